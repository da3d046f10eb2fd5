#include "apps/hss/authentication_vector.h"

#include <gtest/gtest.h>

#include "tests/unit/hss/hex.h"

namespace siglane::hss {
namespace {

// TS 35.207 test set 1.
constexpr std::string_view kK = "465b5ce8b199b49faa5f0a2ee238a6bc";
constexpr std::string_view kOpc = "cd63cb71954a9f4e48a5994e37a02baf";
constexpr std::string_view kRand = "23553cbe9637a89d218ae64dae47bf35";

class AuthenticationVectorTest : public ::testing::Test {
 protected:
  AuthenticationVector made(std::string_view amf) {
    Milenage milenage(aes_, bytes_of<16>(kK), bytes_of<16>(kOpc));
    AuthenticationVector vector{};
    EXPECT_TRUE(make_vector(milenage, derivation_, bytes_of<16>(kRand), bytes_of<6>("ff9bb4d0b607"),
                            bytes_of<2>(amf), bytes_of<3>("00f110"), vector));
    return vector;
  }
  Aes128 aes_ = Aes128::create().value();
  KasmeDerivation derivation_ = KasmeDerivation::create().value();
};

// AUTN = SQN xor AK || AMF || MAC-A of the test set (its AMF has the separation bit); K_ASME
// computed from the set's CK and IK with another HMAC implementation.
TEST_F(AuthenticationVectorTest, CarriesRandXresAutnAndKasme) {
  const AuthenticationVector vector = made("b9b9");
  EXPECT_EQ(hex(vector.rand), kRand);
  EXPECT_EQ(hex(vector.xres), "a54211d5e3ba50bf");
  EXPECT_EQ(hex(vector.autn), "55f328b43577b9b94a9ffac354dfafb3");
  EXPECT_EQ(hex(vector.kasme), "48579af8781c742d5120e6ed8ccac13193f38c53ab7aa69396f49ca6e1b0562d");
}

TEST_F(AuthenticationVectorTest, AlwaysSetsTheSeparationBit) {
  EXPECT_EQ(made("39b9"), made("b9b9"));
  EXPECT_EQ(hex(Bytes(made("0000").autn).subspan(6, 2)), "8000");
}

TEST_F(AuthenticationVectorTest, OneDerivationServesManyVectors) {
  const AuthenticationVector first = made("b9b9");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(made("b9b9"), first);
}

}  // namespace
}  // namespace siglane::hss
