#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/bytes.h"

namespace siglane::transport {

// SipHash-2-4 (Aumasson and Bernstein, 2012): whoever does not know the key can neither predict a
// value nor find two inputs that have the same.
class KeyedHash {
 public:
  using Key = std::array<std::uint64_t, 2>;
  explicit KeyedHash(Key key) : key_(key) {}

  std::uint64_t operator()(Bytes input) const {
    State v{key_[0] ^ 0x736f6d6570736575, key_[1] ^ 0x646f72616e646f6d,
            key_[0] ^ 0x6c7967656e657261, key_[1] ^ 0x7465646279746573};
    const std::uint64_t length = input.size();
    while (input.size() >= 8) {
      absorb(v, little_endian(input.first(8)));
      input = input.subspan(8);
    }
    absorb(v, little_endian(input) | length << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; ++i) round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
  }

 private:
  using State = std::array<std::uint64_t, 4>;

  static std::uint64_t little_endian(Bytes bytes) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      word |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    }
    return word;
  }
  static void round(State& v) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = std::rotl(v[1], 13) ^ v[0];
    v[3] = std::rotl(v[3], 16) ^ v[2];
    v[0] = std::rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = std::rotl(v[1], 17) ^ v[2];
    v[3] = std::rotl(v[3], 21) ^ v[0];
    v[2] = std::rotl(v[2], 32);
  }
  static void absorb(State& v, std::uint64_t word) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
  }

  Key key_;
};

}  // namespace siglane::transport
