#include "apps/load/payload.h"

#include <vector>

#include <gtest/gtest.h>

namespace siglane::load {
namespace {

Buffer payload_of(BufferPool& pool, const Stamp& stamp, std::size_t size) {
  BufferBuilder builder(pool, size);
  write_payload(builder, stamp, size);
  return std::move(builder).finish();
}

TEST(Payload, CarriesItsStampInEverySize) {
  BufferPool pool;
  const Stamp stamp{.flow = 0x123456,
                    .sequence = 0x1'2345'6789,
                    .run = 77,
                    .sender = 8,
                    .due = Instant(123456789ns)};
  for (std::size_t size = kPayloadBytesMin; size <= 600; ++size) {
    const Buffer payload = payload_of(pool, stamp, size);
    ASSERT_EQ(payload.size(), size);
    const auto read = read_payload(payload.bytes());
    ASSERT_TRUE(read.has_value()) << size;
    EXPECT_EQ(read->is_long, size >= kLongPayloadBytesMin);
    EXPECT_EQ(read->stamp.flow, stamp.flow);
    EXPECT_EQ(widen_sequence(static_cast<std::uint32_t>(read->stamp.sequence), stamp.sequence + 3),
              stamp.sequence);
    if (!read->is_long) continue;
    EXPECT_EQ(read->stamp.sequence, stamp.sequence);
    EXPECT_EQ(read->stamp.run, stamp.run);
    EXPECT_EQ(read->stamp.sender, stamp.sender);
    EXPECT_EQ(read->stamp.due, stamp.due);
  }
  EXPECT_TRUE(read_payload(payload_of(pool, stamp, kPayloadBytesMax).bytes()).has_value());
}

TEST(Payload, NoticesAnyByteOfTheFillingThatChanged) {
  BufferPool pool;
  for (const std::size_t size : {std::size_t{20}, std::size_t{200}}) {
    const Buffer good = payload_of(pool, {.flow = 3, .sequence = 9}, size);
    const std::size_t header = size < kLongPayloadBytesMin ? 8 : 32;
    for (std::size_t at = header; at < size; ++at) {
      std::vector<std::byte> bytes(good.bytes().begin(), good.bytes().end());
      bytes[at] ^= std::byte{1};
      EXPECT_FALSE(read_payload(bytes).has_value()) << at;
    }
  }
}

TEST(Payload, NoticesThatItWasCutOrThatTwoWereMixed) {
  BufferPool pool;
  const Buffer one = payload_of(pool, {.flow = 3, .sequence = 9}, 200);
  const Buffer two = payload_of(pool, {.flow = 3, .sequence = 10}, 200);
  EXPECT_FALSE(read_payload(one.bytes().first(199)).has_value());
  EXPECT_FALSE(read_payload(one.bytes().first(40)).has_value());
  EXPECT_FALSE(read_payload(one.bytes().first(20)).has_value());
  std::vector<std::byte> mixed(one.bytes().begin(), one.bytes().end());
  std::copy(two.bytes().begin() + 100, two.bytes().end(), mixed.begin() + 100);
  EXPECT_FALSE(read_payload(mixed).has_value());
}

TEST(Payload, IsNotFoundInWhatIsNotOurs) {
  EXPECT_FALSE(read_payload({}).has_value());
  EXPECT_FALSE(read_payload(as_bytes("short")).has_value());
  EXPECT_FALSE(read_payload(as_bytes("somebody else's user data, quite long")).has_value());
}

TEST(Payload, WidensASequenceNumberToTheNearestOne) {
  EXPECT_EQ(widen_sequence(5, 5), 5u);
  EXPECT_EQ(widen_sequence(4, 5), 4u);
  EXPECT_EQ(widen_sequence(0, 0xFFFF'FFFF), 0x1'0000'0000u);
  EXPECT_EQ(widen_sequence(0xFFFF'FFFF, 0x1'0000'0000), 0xFFFF'FFFFu);
  EXPECT_EQ(widen_sequence(7, 0x5'0000'0003), 0x5'0000'0007u);
  EXPECT_EQ(widen_sequence(0xFFFF'FFFF, 2), 0xFFFF'FFFFu);  // nothing before 0
}

}  // namespace
}  // namespace siglane::load
