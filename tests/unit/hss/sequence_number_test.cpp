#include "apps/hss/sequence_number.h"

#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/unit/hss/hex.h"

namespace siglane::hss {
namespace {

TEST(SequenceNumberTest, ReadsBackWhatItWrites) {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const SequenceNumber number{random.next() & SequenceNumber::kMax};
    EXPECT_EQ(SequenceNumber::of(number.bytes()), number);
    EXPECT_EQ(SequenceNumber::of(number.seq(), number.ind()), number);
  }
  EXPECT_EQ(hex(SequenceNumber{0x010203040506}.bytes()), "010203040506");
}

TEST(SequenceNumberTest, ABatchHasConsecutiveSeqUnderTheNextInd) {
  const auto batch = next_batch(SequenceNumber::of(100, 31), 3);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->at(0), SequenceNumber::of(101, 0));
  EXPECT_EQ(batch->at(1), SequenceNumber::of(102, 0));
  EXPECT_EQ(batch->last(), SequenceNumber::of(103, 0));
  EXPECT_EQ(next_batch(batch->last(), 1)->first, SequenceNumber::of(104, 1));
}

TEST(SequenceNumberTest, EveryBatchLiesAboveTheOneBefore) {
  Random random(2);
  SequenceNumber he{random.next() >> 20};
  for (int i = 0; i < 1000; ++i) {
    const auto batch = next_batch(he, 1 + static_cast<unsigned>(random.below(5)));
    ASSERT_TRUE(batch);
    EXPECT_GT(batch->first, he);
    EXPECT_GE(batch->last(), batch->first);
    he = batch->last();
  }
}

TEST(SequenceNumberTest, NeverWrapsAround) {
  const std::uint64_t last = SequenceNumber::kMax >> SequenceNumber::kIndBits;
  EXPECT_FALSE(next_batch(SequenceNumber::of(last, 0), 1));
  EXPECT_FALSE(next_batch(SequenceNumber::of(last - 1, 0), 2));
  EXPECT_TRUE(next_batch(SequenceNumber::of(last - 1, 0), 1));
}

TEST(SequenceNumberTest, AUsimThatIsAheadPullsTheHomeForward) {
  const auto he = SequenceNumber::of(10, 3), ms = SequenceNumber::of(500, 7);
  EXPECT_EQ(resynchronised(he, ms), ms);
  EXPECT_GT(next_batch(resynchronised(he, ms), 1)->first.seq(), ms.seq());
}

TEST(SequenceNumberTest, AHomeThatIsAheadWithinReachStaysWhereItIs) {
  const auto ms = SequenceNumber::of(500, 7);
  for (std::uint64_t ahead : {std::uint64_t{0}, std::uint64_t{1}, SequenceNumber::kDelta - 1}) {
    const auto he = SequenceNumber::of(ms.seq() + ahead, 1);
    EXPECT_EQ(resynchronised(he, ms), he) << ahead;
    // What follows is in the USIM's range: above SEQ_MS, at most Delta above.
    const auto next = next_batch(resynchronised(he, ms), 1)->first;
    EXPECT_LE(next.seq() - ms.seq(), SequenceNumber::kDelta);
  }
}

TEST(SequenceNumberTest, AHomeBeyondTheUsimsReachTakesTheUsimsWord) {
  const auto ms = SequenceNumber::of(500, 7);
  const auto he = SequenceNumber::of(ms.seq() + SequenceNumber::kDelta, 1);
  EXPECT_EQ(resynchronised(he, ms), ms);
}

class AutsTest : public ::testing::Test {
 protected:
  // What a USIM does (TS 33.102 §6.3.3).
  Auts auts_of(const Rand& rand, const Sqn& sqn_ms) {
    const AnonymityKey ak = milenage_.f5_star(rand);
    const Mac mac = milenage_.f1(rand, sqn_ms, Amf{}).mac_s;
    Auts auts;
    for (std::size_t i = 0; i < 6; ++i) auts[i] = sqn_ms[i] ^ ak[i];
    std::copy(mac.begin(), mac.end(), auts.begin() + 6);
    return auts;
  }
  Aes128 aes_ = Aes128::create().value();
  Milenage milenage_{aes_, bytes_of<16>("465b5ce8b199b49faa5f0a2ee238a6bc"),
                     bytes_of<16>("cd63cb71954a9f4e48a5994e37a02baf")};
  Rand rand_ = bytes_of<16>("23553cbe9637a89d218ae64dae47bf35");
};

TEST_F(AutsTest, GivesSqnMsWhereMacSIsRight) {
  const auto auts = auts_of(rand_, bytes_of<6>("ff9bb4d0b607"));
  // f5* of the test set: 451e8beca43b
  EXPECT_EQ(hex(Bytes(auts).first(6)), "ba853f3c123c");
  const auto sqn = verified_sqn_ms(milenage_, rand_, auts);
  ASSERT_TRUE(sqn);
  EXPECT_EQ(hex(sqn->bytes()), "ff9bb4d0b607");
}

TEST_F(AutsTest, RefusesEveryFlippedBit) {
  const auto good = auts_of(rand_, bytes_of<6>("000000001234"));
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Auts bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(verified_sqn_ms(milenage_, rand_, bad)) << bit;
  }
  Rand other = rand_;
  other[0] ^= std::byte{1};
  EXPECT_FALSE(verified_sqn_ms(milenage_, other, good));
}

}  // namespace
}  // namespace siglane::hss
