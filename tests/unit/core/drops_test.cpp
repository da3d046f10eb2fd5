#include "core/drops.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/facts.h"

namespace siglane {
namespace {

constexpr DropReason kNoRoute{"test.no_route", "nothing leads there"};
constexpr DropReason kFull{"test.full", "the queue is full"};
constexpr AssociationId kAlice{1};

class DropsTest : public testing::Test {
 protected:
  void add(const DropReason& reason, std::string_view peer, std::string example, Instant now) {
    drops.add(reason, peer, kAlice, std::move(example), now, tell());
  }
  Drops::Tell tell() {
    return [this](AssociationId, const Fact& dropped) { told.push_back(dropped); };
  }

  Drops drops;
  std::vector<Fact> told;
};

TEST_F(DropsTest, TheFirstOfAPeerAndReasonIsToldAtOnce) {
  add(kNoRoute, "alice", "one", Instant(1s));
  add(kNoRoute, "bob", "two", Instant(1s));
  add(kFull, "alice", "three", Instant(1s));
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(field(told[1], "peer"), "bob");
  EXPECT_EQ(field(told[1], "reason"), kNoRoute.name);
  EXPECT_EQ(field(told[1], "what"), kNoRoute.what);
  EXPECT_EQ(field(told[2], "example"), "three");
  EXPECT_EQ(field(told[2], "count"), "1");
}

TEST_F(DropsTest, MoreOfThemAreToldTogetherAMinuteLaterAlthoughNoMoreCome) {
  add(kNoRoute, "alice", "first", Instant(1s));
  EXPECT_EQ(drops.deadline(), std::nullopt);
  add(kNoRoute, "alice", "second", Instant(2s));
  add(kNoRoute, "alice", "last", Instant(3s));
  ASSERT_EQ(told.size(), 1u);
  ASSERT_EQ(drops.deadline(), Instant(61s));
  drops.tell_due(Instant(60s), tell());
  ASSERT_EQ(told.size(), 1u);
  drops.tell_due(Instant(61s), tell());
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(field(told[1], "example"), "last");
  EXPECT_EQ(field(told[1], "count"), "2");
  EXPECT_EQ(drops.deadline(), std::nullopt);
}

TEST_F(DropsTest, EachRowHasAMinuteOfItsOwn) {
  add(kNoRoute, "alice", "1", Instant(0s));
  add(kNoRoute, "bob", "1", Instant(30s));
  add(kNoRoute, "bob", "2", Instant(40s));
  add(kNoRoute, "alice", "2", Instant(40s));
  drops.tell_due(Instant(60s), tell());
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(field(told[2], "peer"), "alice");
  ASSERT_EQ(drops.deadline(), Instant(90s));
  drops.tell_due(Instant(90s), tell());
  ASSERT_EQ(told.size(), 4u);
  EXPECT_EQ(field(told[3], "peer"), "bob");
}

TEST_F(DropsTest, KeepsTheCountAndTheLastExampleOfEachPeerAndReason) {
  add(kNoRoute, "alice", "first", Instant(1s));
  add(kNoRoute, "alice", "last", Instant(2s));
  add(kFull, "", "stranger's", Instant(3s));
  std::vector<std::string> seen;
  drops.visit([&](std::string_view reason, const std::string& peer, const Drops::Row& row) {
    seen.push_back(std::string(reason) + "|" + peer + "|" + row.example + "|" +
                   std::to_string(row.count));
  });
  EXPECT_EQ(seen,
            (std::vector<std::string>{"test.full||stranger's|1", "test.no_route|alice|last|2"}));
}

TEST_F(DropsTest, SeveralAtOnceCountAsSoManyAndAreToldOnce) {
  drops.add(kFull, "alice", kAlice, "last of many", Instant(1s), tell(), 500);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(field(told[0], "count"), "500");
  EXPECT_EQ(field(told[0], "example"), "last of many");
}

TEST_F(DropsTest, PeersBeyondTheBoundShareARow) {
  for (std::size_t i = 0; i < Drops::kRowsMax + 100; ++i) {
    add(kNoRoute, "peer" + std::to_string(i), "x", Instant(1s));
  }
  std::size_t rows = 0, others = 0;
  drops.visit([&](std::string_view, const std::string& peer, const Drops::Row& row) {
    ++rows;
    if (peer == Drops::kOtherPeers) others = row.count;
  });
  EXPECT_EQ(rows, Drops::kRowsMax + 1);
  EXPECT_EQ(others, 100u);
  EXPECT_EQ(told.size(), Drops::kRowsMax + 1);
}

TEST_F(DropsTest, AreVisitedOneAtATimeAlsoWhileMoreAreDropped) {
  EXPECT_EQ(drops.next(nullptr), nullptr);
  add(kNoRoute, "bob", "one", Instant(1s));
  add(kFull, "dave", "two", Instant(1s));
  const Drops::Entry* entry = drops.next(nullptr);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->first, Drops::Key(kFull.name, "dave"));
  add(kFull, "alice", "behind", Instant(1s));
  add(kNoRoute, "alice", "three", Instant(1s));
  std::vector<std::string> examples;
  while ((entry = drops.next(entry)) != nullptr) examples.push_back(entry->second.example);
  EXPECT_EQ(examples, (std::vector<std::string>{"three", "one"}));
}

}  // namespace
}  // namespace siglane
