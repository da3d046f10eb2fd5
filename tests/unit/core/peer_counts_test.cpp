#include "core/peer_counts.h"

#include <vector>

#include <gtest/gtest.h>

namespace siglane {
namespace {

TEST(PeerCounts, KeepAPeersRowWhileOthersCome) {
  PeerCounts counts;
  SparseCounts& bob = counts.of("bob", true);
  for (int i = 0; i < 1000; ++i) counts.of("peer" + std::to_string(i), true);
  bob.add(1, 5);
  EXPECT_EQ(&counts.of("bob", true), &bob);
  EXPECT_EQ(counts.find("bob")->get(1), 5u);
  EXPECT_EQ(counts.find("alice"), nullptr);
}

TEST(PeerCounts, ShareARowBetweenUnknownPeersBeyondTheBound) {
  PeerCounts counts;
  SparseCounts& first = counts.of("unknown", false);
  for (std::size_t i = 1; i < PeerCounts::kUnknownPeersMax; ++i) {
    counts.of("unknown" + std::to_string(i), false);
  }
  SparseCounts& others = counts.of("one more", false);
  EXPECT_EQ(&counts.of("and another", false), &others);
  EXPECT_EQ(counts.find(PeerCounts::kOtherPeers), &others);
  EXPECT_EQ(&counts.of("unknown", false), &first);
  EXPECT_NE(&counts.of("configured", true), &others);
  std::size_t rows = 0;
  counts.visit([&](const std::string&, const SparseCounts&) { ++rows; });
  EXPECT_EQ(rows, PeerCounts::kUnknownPeersMax + 2);
}

}  // namespace
}  // namespace siglane
