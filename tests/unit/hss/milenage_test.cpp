#include "apps/hss/milenage.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/unit/hss/hex.h"

namespace siglane::hss {
namespace {

// TS 35.207 §4-§6 (sets 1-6, all functions) and TS 35.208 §4.3 (the sets after them).
struct TestSet {
  std::string_view k, rand, sqn, amf, op, opc, f1, f1_star, f2, f5, f3, f4, f5_star;
};

std::ostream& operator<<(std::ostream& out, const TestSet& set) {
  return out << "K " << set.k;
}

constexpr TestSet kTestSets[] = {
    {.k = "465b5ce8b199b49faa5f0a2ee238a6bc",
     .rand = "23553cbe9637a89d218ae64dae47bf35",
     .sqn = "ff9bb4d0b607",
     .amf = "b9b9",
     .op = "cdc202d5123e20f62b6d676ac72cb318",
     .opc = "cd63cb71954a9f4e48a5994e37a02baf",
     .f1 = "4a9ffac354dfafb3",
     .f1_star = "01cfaf9ec4e871e9",
     .f2 = "a54211d5e3ba50bf",
     .f5 = "aa689c648370",
     .f3 = "b40ba9a3c58b2a05bbf0d987b21bf8cb",
     .f4 = "f769bcd751044604127672711c6d3441",
     .f5_star = "451e8beca43b"},
    {.k = "0396eb317b6d1c36f19c1c84cd6ffd16",
     .rand = "c00d603103dcee52c4478119494202e8",
     .sqn = "fd8eef40df7d",
     .amf = "af17",
     .op = "ff53bade17df5d4e793073ce9d7579fa",
     .opc = "53c15671c60a4b731c55b4a441c0bde2",
     .f1 = "5df5b31807e258b0",
     .f1_star = "a8c016e51ef4a343",
     .f2 = "d3a628ed988620f0",
     .f5 = "c47783995f72",
     .f3 = "58c433ff7a7082acd424220f2b67c556",
     .f4 = "21a8c1f929702adb3e738488b9f5c5da",
     .f5_star = "30f1197061c1"},
    {.k = "fec86ba6eb707ed08905757b1bb44b8f",
     .rand = "9f7c8d021accf4db213ccff0c7f71a6a",
     .sqn = "9d0277595ffc",
     .amf = "725c",
     .op = "dbc59adcb6f9a0ef735477b7fadf8374",
     .opc = "1006020f0a478bf6b699f15c062e42b3",
     .f1 = "9cabc3e99baf7281",
     .f1_star = "95814ba2b3044324",
     .f2 = "8011c48c0c214ed2",
     .f5 = "33484dc2136b",
     .f3 = "5dbdbb2954e8f3cde665b046179a5098",
     .f4 = "59a92d3b476a0443487055cf88b2307b",
     .f5_star = "deacdd848cc6"},
    {.k = "9e5944aea94b81165c82fbf9f32db751",
     .rand = "ce83dbc54ac0274a157c17f80d017bd6",
     .sqn = "0b604a81eca8",
     .amf = "9e09",
     .op = "223014c5806694c007ca1eeef57f004f",
     .opc = "a64a507ae1a2a98bb88eb4210135dc87",
     .f1 = "74a58220cba84c49",
     .f1_star = "ac2cc74a96871837",
     .f2 = "f365cd683cd92e96",
     .f5 = "f0b9c08ad02e",
     .f3 = "e203edb3971574f5a94b0d61b816345d",
     .f4 = "0c4524adeac041c4dd830d20854fc46b",
     .f5_star = "6085a86c6f63"},
    {.k = "4ab1deb05ca6ceb051fc98e77d026a84",
     .rand = "74b0cd6031a1c8339b2b6ce2b8c4a186",
     .sqn = "e880a1b580b6",
     .amf = "9f07",
     .op = "2d16c5cd1fdf6b22383584e3bef2a8d8",
     .opc = "dcf07cbd51855290b92a07a9891e523e",
     .f1 = "49e785dd12626ef2",
     .f1_star = "9e85790336bb3fa2",
     .f2 = "5860fc1bce351e7e",
     .f5 = "31e11a609118",
     .f3 = "7657766b373d1c2138f307e3de9242f9",
     .f4 = "1c42e960d89b8fa99f2744e0708ccb53",
     .f5_star = "fe2555e54aa9"},
    {.k = "6c38a116ac280c454f59332ee35c8c4f",
     .rand = "ee6466bc96202c5a557abbeff8babf63",
     .sqn = "414b98222181",
     .amf = "4464",
     .op = "1ba00a1a7c6700ac8c3ff3e96ad08725",
     .opc = "3803ef5363b947c6aaa225e58fae3934",
     .f1 = "078adfb488241a57",
     .f1_star = "80246b8d0186bcf1",
     .f2 = "16c8233f05a0ac28",
     .f5 = "45b0f69ab06c",
     .f3 = "3f8c7587fe8e4b233af676aede30ba3b",
     .f4 = "a7466cc1e6b2a1337d49d3b66e95d7b4",
     .f5_star = "1f53cd2b1113"},
    {.k = "2d609d4db0ac5bf0d2c0de267014de0d",
     .rand = "194aa756013896b74b4a2a3b0af4539e",
     .sqn = "6bf69438c2e4",
     .amf = "5f67",
     .op = "460a48385427aa39264aac8efc9e73e8",
     .opc = "c35a0ab0bcbfc9252caff15f24efbde0",
     .f1 = "bd07d3003b9e5cc3",
     .f1_star = "bcb6c2fcad152250",
     .f2 = "8c25a16cd918a1df",
     .f5 = "7e6455f34cf3",
     .f3 = "4cd0846020f8fa0731dd47cbdc6be411",
     .f4 = "88ab80a415f15c73711254a1d388f696",
     .f5_star = "dc6dd01e8f15"},
    {.k = "5122250214c33e723a5dd523fc145fc0",
     .rand = "81e92b6c0ee0e12ebceba8d92a99dfa5",
     .sqn = "16f3b3f70fc2",
     .amf = "c3ab",
     .op = "c9e8763286b5b9ffbdf56e1297d0887b",
     .opc = "981d464c7c52eb6e5036234984ad0bcf",
     .f1 = "2a5c23d15ee351d5",
     .f1_star = "62dae3853f3af9d2",
     .f2 = "28d7b0f2a2ec3de5",
     .f5 = "ada15aeb7bb8",
     .f3 = "5349fbe098649f948f5d2e973a81c00f",
     .f4 = "9744871ad32bf9bbd1dd5ce54e3e2e5a",
     .f5_star = "d461bc15475d"},
    {.k = "90dca4eda45b53cf0f12d7c9c3bc6a89",
     .rand = "9fddc72092c6ad036b6e464789315b78",
     .sqn = "20f813bd4141",
     .amf = "61df",
     .op = "3ffcfe5b7b1111589920d3528e84e655",
     .opc = "cb9cccc4b9258e6dca4760379fb82581",
     .f1 = "09db94eab4f8149e",
     .f1_star = "a29468aa9775b527",
     .f2 = "a95100e2760952cd",
     .f5 = "83cfd54db913",
     .f3 = "b5f2da03883b69f96bf52e029ed9ac45",
     .f4 = "b4721368bc16ea67875c5598688bb0ef",
     .f5_star = "4f2039392ddc"},
};

class MilenageTest : public ::testing::TestWithParam<TestSet> {
 protected:
  Aes128 aes_ = Aes128::create().value();
};

TEST_P(MilenageTest, GivesWhatThe3gppTestSetsSay) {
  const TestSet& set = GetParam();
  const Key k = bytes_of<16>(set.k);
  const Rand rand = bytes_of<16>(set.rand);
  const Key opc = Milenage::opc(aes_, k, bytes_of<16>(set.op));
  ASSERT_EQ(hex(opc), set.opc);

  Milenage milenage(aes_, k, opc);
  const auto f1 = milenage.f1(rand, bytes_of<6>(set.sqn), bytes_of<2>(set.amf));
  EXPECT_EQ(hex(f1.mac_a), set.f1);
  EXPECT_EQ(hex(f1.mac_s), set.f1_star);
  const auto f2345 = milenage.f2345(rand);
  EXPECT_EQ(hex(f2345.res), set.f2);
  EXPECT_EQ(hex(f2345.ck), set.f3);
  EXPECT_EQ(hex(f2345.ik), set.f4);
  EXPECT_EQ(hex(f2345.ak), set.f5);
  EXPECT_EQ(hex(milenage.f5_star(rand)), set.f5_star);
  EXPECT_TRUE(milenage.good());
}

INSTANTIATE_TEST_SUITE_P(Ts35207And35208, MilenageTest, ::testing::ValuesIn(kTestSets));

TEST(Aes128Test, OneContextServesKeyAfterKey) {
  Aes128 aes = Aes128::create().value();
  const TestSet &a = kTestSets[0], &b = kTestSets[2];
  for (int round = 0; round < 3; ++round) {
    for (const TestSet* set : {&a, &b}) {
      EXPECT_EQ(hex(Milenage::opc(aes, bytes_of<16>(set->k), bytes_of<16>(set->op))), set->opc);
    }
  }
}

// FIPS 197 Appendix C.1.
TEST(Aes128Test, EncryptsTheExampleOfFips197) {
  Aes128 aes = Aes128::create().value();
  EXPECT_FALSE(aes.good()) << "no key yet";
  aes.set_key(bytes_of<16>("000102030405060708090a0b0c0d0e0f"));
  EXPECT_EQ(hex(aes.encrypted(bytes_of<16>("00112233445566778899aabbccddeeff"))),
            "69c4e0d86a7b0430d8cdb78070b4c55a");
}

}  // namespace
}  // namespace siglane::hss
