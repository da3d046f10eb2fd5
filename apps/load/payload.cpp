#include "apps/load/payload.h"

#include <array>
#include <cstring>

#include "core/random.h"

namespace siglane::load {
namespace {

constexpr std::byte kShort{0xA5};
constexpr std::byte kLong{0xA6};
constexpr std::size_t kPlaces = 4096;  // where in the pattern a filling may begin

// One pattern for all, so that filling and checking are a copy and a comparison.
const std::byte* pattern() {
  static const auto bytes = [] {
    std::array<std::byte, kPlaces + kPayloadBytesMax> filled{};
    Random random(0x5349474c414e45);
    for (std::byte& b : filled) b = static_cast<std::byte>(random.next() >> 32);
    return filled;
  }();
  return bytes.data();
}

const std::byte* filling(std::uint32_t flow, std::uint32_t sequence, std::size_t size) {
  const std::uint64_t mixed =
      (std::uint64_t{flow} << 32 | sequence) * 0x9e3779b97f4a7c15u + size * 0xbf58476d1ce4e5b9u;
  return pattern() + (mixed >> 40) % kPlaces;
}

std::size_t header_size(std::size_t size) {
  return size < kLongPayloadBytesMin ? kPayloadBytesMin : kLongPayloadBytesMin;
}

}  // namespace

void write_payload(BufferBuilder& out, const Stamp& stamp, std::size_t size) {
  std::byte* at = out.extend(size);
  const std::size_t header = header_size(size);
  const auto low = static_cast<std::uint32_t>(stamp.sequence);
  at[0] = header == kPayloadBytesMin ? kShort : kLong;
  store_u24(at + 1, stamp.flow);
  store_u32(at + 4, low);
  if (header == kLongPayloadBytesMin) {
    store_u32(at + 8, stamp.run);
    store_u32(at + 12, static_cast<std::uint32_t>(size));
    store_u64(at + 16, static_cast<std::uint64_t>(stamp.due.time_since_epoch().count()));
    store_u32(at + 24, static_cast<std::uint32_t>(stamp.sequence >> 32));
    store_u32(at + 28, stamp.sender);
  }
  std::memcpy(at + header, filling(stamp.flow, low, size), size - header);
}

std::optional<ReadStamp> read_payload(Bytes payload) {
  const std::size_t size = payload.size();
  if (size < kPayloadBytesMin || size > kPayloadBytesMax) return std::nullopt;
  const std::byte* at = payload.data();
  const std::size_t header = header_size(size);
  ReadStamp read;
  read.is_long = header == kLongPayloadBytesMin;
  if (at[0] != (read.is_long ? kLong : kShort)) return std::nullopt;
  const std::uint32_t low = load_u32(at + 4);
  read.stamp.flow = load_u24(at + 1);
  read.stamp.sequence = low;
  if (read.is_long) {
    if (load_u32(at + 12) != size) return std::nullopt;
    read.stamp.run = load_u32(at + 8);
    read.stamp.due = Instant(Duration(static_cast<Duration::rep>(load_u64(at + 16))));
    read.stamp.sequence |= std::uint64_t{load_u32(at + 24)} << 32;
    read.stamp.sender = load_u32(at + 28);
  }
  if (std::memcmp(at + header, filling(read.stamp.flow, low, size), size - header) != 0) {
    return std::nullopt;
  }
  return read;
}

std::uint64_t widen_sequence(std::uint32_t low, std::uint64_t expected) {
  const auto ahead = static_cast<std::int32_t>(low - static_cast<std::uint32_t>(expected));
  const std::uint64_t full = expected + static_cast<std::uint64_t>(std::int64_t{ahead});
  // Before number 0 there is nothing: then it is far ahead instead.
  return ahead < 0 && full > expected ? std::uint64_t{low} : full;
}

}  // namespace siglane::load
