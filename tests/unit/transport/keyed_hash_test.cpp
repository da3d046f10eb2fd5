#include "transport/sctp/usrsctp/keyed_hash.h"

#include <array>
#include <cstddef>

#include <gtest/gtest.h>

namespace siglane::transport {
namespace {

// The example of the paper's appendix A, and the first of the reference implementation's vectors.
TEST(KeyedHash, IsSipHash24) {
  const KeyedHash hash({0x0706050403020100, 0x0f0e0d0c0b0a0908});
  std::array<std::byte, 15> input{};
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i);
  EXPECT_EQ(hash(input), 0xa129ca6149be45e5u);
  EXPECT_EQ(hash(Bytes{}), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(hash(Bytes(input).first(8)), 0x93f5f5799a932462u);
}

TEST(KeyedHash, DependsOnTheKey) {
  const std::array<std::byte, 4> input{};
  EXPECT_NE(KeyedHash({1, 2})(input), KeyedHash({1, 3})(input));
}

}  // namespace
}  // namespace siglane::transport
