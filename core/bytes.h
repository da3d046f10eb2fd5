#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace siglane {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Big-endian loads and stores. Precondition: the bytes are there.
inline std::uint16_t load_u16(const std::byte* p) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(p[0]) << 8 |
                                    std::to_integer<unsigned>(p[1]));
}
inline std::uint32_t load_u24(const std::byte* p) {
  return std::to_integer<std::uint32_t>(p[0]) << 16 | std::to_integer<std::uint32_t>(p[1]) << 8 |
         std::to_integer<std::uint32_t>(p[2]);
}
inline std::uint32_t load_u32(const std::byte* p) {
  return std::uint32_t{load_u16(p)} << 16 | load_u16(p + 2);
}
inline std::uint64_t load_u64(const std::byte* p) {
  return std::uint64_t{load_u32(p)} << 32 | load_u32(p + 4);
}
inline void store_u16(std::byte* p, std::uint16_t v) {
  p[0] = static_cast<std::byte>(v >> 8);
  p[1] = static_cast<std::byte>(v);
}
inline void store_u24(std::byte* p, std::uint32_t v) {
  p[0] = static_cast<std::byte>(v >> 16);
  p[1] = static_cast<std::byte>(v >> 8);
  p[2] = static_cast<std::byte>(v);
}
inline void store_u32(std::byte* p, std::uint32_t v) {
  store_u16(p, static_cast<std::uint16_t>(v >> 16));
  store_u16(p + 2, static_cast<std::uint16_t>(v));
}
inline void store_u64(std::byte* p, std::uint64_t v) {
  store_u32(p, static_cast<std::uint32_t>(v >> 32));
  store_u32(p + 4, static_cast<std::uint32_t>(v));
}

// Reads a big-endian stream of fields. Total: reading past the end gives nullopt and moves nothing.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }
  bool done() const { return remaining() == 0; }

  std::optional<std::uint8_t> u8() {
    auto part = take(1);
    if (!part) return std::nullopt;
    return std::to_integer<std::uint8_t>((*part)[0]);
  }
  std::optional<std::uint16_t> u16() { return field<std::uint16_t, 2>(load_u16); }
  std::optional<std::uint32_t> u24() { return field<std::uint32_t, 3>(load_u24); }
  std::optional<std::uint32_t> u32() { return field<std::uint32_t, 4>(load_u32); }
  std::optional<std::uint64_t> u64() { return field<std::uint64_t, 8>(load_u64); }

  std::optional<Bytes> take(std::size_t count) {
    if (count > remaining()) return std::nullopt;
    Bytes part = bytes_.subspan(offset_, count);
    offset_ += count;
    return part;
  }

 private:
  template <class T, std::size_t Size, class Load>
  std::optional<T> field(Load load) {
    auto part = take(Size);
    if (!part) return std::nullopt;
    return load(part->data());
  }

  Bytes bytes_;
  std::size_t offset_ = 0;
};

}  // namespace siglane
