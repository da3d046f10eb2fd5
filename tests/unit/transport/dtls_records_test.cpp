#include "transport/secure/dtls_records.h"

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
    DtlsRecord added = *dtls_record_at(bytes);
    added.tag = 1000 + sequence;
    return order_.add(added, bytes);
  }
  // The sequence numbers of what may be read now.
  std::vector<std::uint64_t> ready() {
    std::vector<std::byte> bytes;
    tags_.clear();
    order_.take_ready(bytes, tags_);
    std::vector<std::uint64_t> numbers;
    for (Bytes rest = bytes; !rest.empty();) {
      const DtlsRecord next = *dtls_record_at(rest);
      numbers.push_back(next.sequence);
      rest = rest.subspan(next.bytes);
    }
    return numbers;
  }

  DtlsOrder order_{100, 1000};
  std::vector<std::uint64_t> tags_;  // of what ready() told
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

TEST(DtlsRecord, shows_the_random_of_a_client_hello) {
  std::vector<std::byte> hello(70, std::byte{7});
  hello[0] = std::byte{DtlsRecord::kHandshake};
  store_u16(hello.data() + 3, 0);
  store_u16(hello.data() + 11, 57);
  hello[13] = std::byte{1};
  hello[27] = std::byte{8};
  const auto random = client_random_of(hello);
  ASSERT_TRUE(random);
  EXPECT_EQ(random->size(), 32u);
  EXPECT_EQ(random->front(), std::byte{8});
  hello[13] = std::byte{2};
  EXPECT_FALSE(client_random_of(hello)) << "a ServerHello";
  EXPECT_FALSE(client_random_of(record(0)));
  EXPECT_FALSE(client_random_of({}));
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

TEST_F(DtlsOrderTest, keeps_little_of_who_has_not_shown_who_he_is) {
  for (std::uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(add(i));
  EXPECT_FALSE(add(6));
  order_.handshake_done();
  EXPECT_TRUE(add(6));
}

TEST_F(DtlsOrderTest, gives_back_the_tag_of_each_record) {
  order_.handshake_done();
  ASSERT_TRUE(add(64));
  ASSERT_TRUE(add(1));
  ASSERT_TRUE(add(0));
  EXPECT_THAT(ready(), ElementsAre(1, 0, 64));
  EXPECT_THAT(tags_, ElementsAre(1001, 1000, 1064));
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
