#include "core/backoff.h"

#include <array>

#include <gtest/gtest.h>

namespace siglane {
namespace {

TEST(Backoff, AThousandPeersThatLostTheSameNodeComeBackSpreadOverHalfOfTheWait) {
  constexpr int kPeers = 1000, kParts = 10;
  Random shard(1);  // all of them draw from their shard's
  std::array<int, kParts> peers_in_part{};
  for (int i = 0; i < kPeers; ++i) {
    const Duration wait = Backoff({.first = 200ms, .longest = 10s}).next(shard);
    ASSERT_GE(wait, 100ms);
    ASSERT_LE(wait, 200ms);
    ++peers_in_part[static_cast<std::size_t>(std::min<std::int64_t>((wait - 100ms) / 10ms, 9))];
  }
  for (const int peers : peers_in_part) {
    EXPECT_GT(peers, kPeers / kParts / 2);
    EXPECT_LT(peers, kPeers / kParts * 2);
  }
}

TEST(Backoff, DoublesUpToTheLongestAndBeginsAnewAfterASuccess) {
  Random random(1);
  Backoff backoff({.first = 100ms, .longest = 500ms});
  for (const Duration whole : {100ms, 200ms, 400ms, 500ms, 500ms}) {
    const Duration wait = backoff.next(random);
    EXPECT_GE(wait, whole / 2);
    EXPECT_LE(wait, whole);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(random), 100ms);
}

}  // namespace
}  // namespace siglane
