#pragma once
#include <cstdint>

#include "core/bytes.h"

namespace siglane::test {

// RFC 9260 appendix A: CRC32c, reflected, which goes out with its low byte first.
inline std::uint32_t crc32c(Bytes bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

}  // namespace siglane::test
