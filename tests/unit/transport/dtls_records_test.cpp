#include "transport/dtls_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane::transport {
namespace {

using ::testing::ElementsAre;

constexpr std::uint8_t kApplication = DtlsRecord::kApplicationData;

std::vector<std::byte> record(std::uint64_t sequence, std::uint8_t type = kApplication,
                              std::uint16_t epoch = 1) {
  std::vector<std::byte> bytes(DtlsRecord::kHeaderBytes + 2);
  bytes[0] = std::byte{type};
  store_u16(bytes.data() + 3, epoch);
  store_u16(bytes.data() + 5, static_cast<std::uint16_t>(sequence >> 32));
  store_u32(bytes.data() + 7, static_cast<std::uint32_t>(sequence));
  store_u16(bytes.data() + 11, 2);
  return bytes;
}

class DtlsOrderTest : public ::testing::Test {
 protected:
  bool add(std::uint64_t sequence, std::uint8_t type = kApplication, std::uint16_t epoch = 1) {
    const auto bytes = record(sequence, type, epoch);
    return order_.add(*dtls_record_at(bytes), bytes);
  }
  // The sequence numbers of what may be read now.
  std::vector<std::uint64_t> ready() {
    std::vector<std::byte> bytes;
    order_.take_ready(bytes);
    std::vector<std::uint64_t> numbers;
    for (Bytes rest = bytes; !rest.empty();) {
      const DtlsRecord next = *dtls_record_at(rest);
      numbers.push_back(next.sequence);
      rest = rest.subspan(next.bytes);
    }
    return numbers;
  }

  DtlsOrder order_{1000};
};

TEST(DtlsRecord, is_read_from_its_clear_header) {
  const auto bytes = record(0x123456789abc, DtlsRecord::kAlert, 7);
  const auto read = dtls_record_at(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->type, DtlsRecord::kAlert);
  EXPECT_EQ(read->epoch, 7);
  EXPECT_EQ(read->sequence, 0x123456789abcu);
  EXPECT_EQ(read->bytes, bytes.size());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(dtls_record_at(Bytes(bytes).first(size))) << size;
  }
}

TEST_F(DtlsOrderTest, lets_records_pass_in_any_order_within_the_window) {
  order_.handshake_done();
  ASSERT_TRUE(add(63));
  ASSERT_TRUE(add(5));
  ASSERT_TRUE(add(0));
  EXPECT_THAT(ready(), ElementsAre(63, 5, 0));
}

TEST_F(DtlsOrderTest, holds_back_what_would_push_the_window_past_a_missing_record) {
  order_.handshake_done();
  ASSERT_TRUE(add(64));
  ASSERT_TRUE(add(65));
  ASSERT_TRUE(add(1));
  EXPECT_THAT(ready(), ElementsAre(1));
  EXPECT_EQ(order_.held_bytes(), 30u);
  ASSERT_TRUE(add(0));
  EXPECT_THAT(ready(), ElementsAre(0, 64, 65));
  EXPECT_EQ(order_.held_bytes(), 0u);
}

TEST_F(DtlsOrderTest, gives_up_when_too_much_waits) {
  order_.handshake_done();
  std::uint64_t sequence = 64;
  while (order_.held_bytes() + 15 <= 1000) ASSERT_TRUE(add(sequence++));
  EXPECT_FALSE(add(sequence));
}

TEST_F(DtlsOrderTest, keeps_application_data_until_the_handshake_is_done) {
  ASSERT_TRUE(add(1));
  EXPECT_THAT(ready(), ElementsAre());
  ASSERT_TRUE(add(0, DtlsRecord::kHandshake));
  EXPECT_THAT(ready(), ElementsAre(0));
  order_.handshake_done();
  EXPECT_THAT(ready(), ElementsAre(1));
}

TEST_F(DtlsOrderTest, lets_no_alert_overtake_what_was_sent_before_it) {
  order_.handshake_done();
  ASSERT_TRUE(add(2, DtlsRecord::kAlert));
  ASSERT_TRUE(add(1));
  EXPECT_THAT(ready(), ElementsAre(1));
  ASSERT_TRUE(add(0));
  EXPECT_THAT(ready(), ElementsAre(0, 2));
}

TEST_F(DtlsOrderTest, does_not_touch_the_handshake_in_clear) {
  ASSERT_TRUE(add(500, DtlsRecord::kHandshake, 0));
  ASSERT_TRUE(add(3, DtlsRecord::kAlert, 0));
  EXPECT_THAT(ready(), ElementsAre(500, 3));
}

TEST_F(DtlsOrderTest, is_not_confused_by_a_record_that_comes_twice) {
  order_.handshake_done();
  ASSERT_TRUE(add(0));
  ASSERT_TRUE(add(0));
  ASSERT_TRUE(add(64));
  EXPECT_THAT(ready(), ElementsAre(0, 0, 64));
}

}  // namespace
}  // namespace siglane::transport
