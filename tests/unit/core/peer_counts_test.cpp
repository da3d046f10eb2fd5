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

TEST(PeerCounts, AreVisitedOneAtATimeAlsoWhilePeersCome) {
  PeerCounts counts;
  EXPECT_EQ(counts.next(nullptr), nullptr);
  counts.of("bob", true).add(1, 5);
  counts.of("dave", true);
  const PeerCounts::Row* row = counts.next(nullptr);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->first, "bob");
  EXPECT_EQ(row->second.get(1), 5u);
  counts.of("alice", true);
  counts.of("carol", true);
  row = counts.next(row);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->first, "carol");
  row = counts.next(row);
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->first, "dave");
  EXPECT_EQ(counts.next(row), nullptr);
}

}  // namespace
}  // namespace siglane
