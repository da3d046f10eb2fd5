#include "apps/runtime/store_queue.h"

#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

struct Asked final : Parcel {
  std::size_t bytes_held() const override { return bytes; }
  std::string_view asked_by() const override { return peer; }
  bool wanted() const override { return !gone->contains(connection); }

  int number = 0;
  std::string peer;
  int connection = 0;
  std::size_t bytes = 1;
  const std::set<int>* gone = nullptr;
};

class StoreQueueTest : public ::testing::Test {
 protected:
  using Outcome = StoreQueue::Outcome;

  Outcome ask(const std::string& peer, int connection = 0, std::size_t bytes = 1) {
    auto asked = std::make_unique<Asked>();
    asked->number = ++last_;
    asked->peer = peer;
    asked->connection = connection;
    asked->bytes = bytes;
    asked->gone = &gone_;
    ParcelPtr parcel = std::move(asked);
    const Outcome outcome = queue_.push(ShardId{0}, AssociationId{1}, parcel);
    EXPECT_EQ(parcel == nullptr, outcome == Outcome::taken);
    return outcome;
  }
  std::vector<int> pop(std::size_t group_max = 100) {
    group_.clear();
    abandoned_.clear();
    queue_.pop(group_max, group_, abandoned_);
    std::vector<int> numbers;
    for (const ParcelPtr& parcel : group_.requests) {
      numbers.push_back(static_cast<const Asked&>(*parcel).number);
    }
    return numbers;
  }
  void release() {
    queue_.release(group_);
    queue_.release(abandoned_);
  }

  StoreQueue queue_{{{.parcels_max = 10, .bytes_max = 1000}, {.parcels_max = 4, .bytes_max = 100}}};
  StoreQueue::Group group_, abandoned_;
  std::set<int> gone_;
  int last_ = 0;
};

TEST_F(StoreQueueTest, APeerHasItsShareAndNoMoreAndOthersFindRoom) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ask("loud"), Outcome::taken);
  EXPECT_EQ(ask("loud"), Outcome::share_full);
  EXPECT_EQ(ask("quiet"), Outcome::taken);
  EXPECT_EQ(ask(""), Outcome::taken) << "nobody's request has no share";
  EXPECT_EQ(pop(), (std::vector<int>{1, 2, 3, 4, 6, 7}));
  EXPECT_EQ(ask("loud"), Outcome::share_full) << "taken, and not done";
  release();
  EXPECT_EQ(ask("loud"), Outcome::taken);
}

TEST_F(StoreQueueTest, AShareIsThePeersWhicheverConnectionItsRequestsCameOn) {
  for (int connection = 0; connection < 4; ++connection) {
    EXPECT_EQ(ask("loud", connection), Outcome::taken);
    gone_.insert(connection);
  }
  EXPECT_EQ(ask("loud", 4), Outcome::share_full) << "what is left of its old connections counts";
  EXPECT_TRUE(pop().empty()) << "but is not run";
  EXPECT_EQ(abandoned_.requests.size(), 4u);
  release();
  EXPECT_EQ(queue_.outstanding().parcels, 0u);
  EXPECT_EQ(ask("loud", 4), Outcome::taken);
}

TEST_F(StoreQueueTest, AShareIsAlsoOfBytesAndOneRequestAlwaysFindsRoomInIt) {
  EXPECT_EQ(ask("loud", 0, 900), Outcome::taken) << "longer than its share, but alone";
  EXPECT_EQ(ask("loud", 0, 1), Outcome::share_full);
  EXPECT_EQ(ask("quiet", 0, 60), Outcome::taken);
  EXPECT_EQ(ask("quiet", 0, 40), Outcome::taken);
  EXPECT_EQ(ask("third", 0, 1), Outcome::full) << "1000 bytes wait";
  pop(1);
  release();
  EXPECT_EQ(queue_.outstanding().bytes, 100u);
  EXPECT_EQ(ask("third", 0, 1), Outcome::taken);
}

TEST_F(StoreQueueTest, TheWholeQueueIsBoundedWhoeverAsks) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask("peer" + std::to_string(i)), Outcome::taken);
  EXPECT_EQ(ask("another"), Outcome::full);
  EXPECT_EQ(ask(""), Outcome::full);
}

TEST_F(StoreQueueTest, KeepsTheOrderOverManyRoundsWhileItNeverRunsEmpty) {
  int next = 1;
  for (int round = 0; round < 1000; ++round) {
    while (ask("") == Outcome::taken) {
    }
    last_ = next + 9;
    for (const int number : pop(3)) EXPECT_EQ(number, next++);
    release();
    EXPECT_FALSE(queue_.empty());
  }
  while (!queue_.empty()) {
    for (const int number : pop(3)) EXPECT_EQ(number, next++);
    release();
  }
  EXPECT_EQ(queue_.outstanding().parcels, 0u);
  EXPECT_EQ(queue_.outstanding().bytes, 0u);
}

TEST_F(StoreQueueTest, WhatIsAbandonedTakesNoPlaceInAGroup) {
  for (int connection : {1, 2, 1, 2}) EXPECT_EQ(ask("", connection), Outcome::taken);
  gone_.insert(1);
  EXPECT_EQ(pop(2), (std::vector<int>{2, 4}));
}

}  // namespace
}  // namespace siglane::runtime
