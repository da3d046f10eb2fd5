#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "core/bytes.h"

namespace siglane::hss {

// Test vectors as the specifications print them.
template <std::size_t Size>
std::array<std::byte, Size> bytes_of(std::string_view hex) {
  std::array<std::byte, Size> bytes{};
  for (std::size_t i = 0; i < std::min(Size, hex.size() / 2); ++i) {
    unsigned value = 0;
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, value, 16);
    bytes[i] = static_cast<std::byte>(value);
  }
  return bytes;
}

inline std::string hex(Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::byte b : bytes) {
    text += kDigits[std::to_integer<unsigned>(b) >> 4];
    text += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

}  // namespace siglane::hss
