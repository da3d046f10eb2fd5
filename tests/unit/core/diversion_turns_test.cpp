#include "core/diversion_turns.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace siglane {
namespace {

constexpr Diversion::Move kMove{AssociationId{7}, ShardId{0}, ShardId{1}};

Diversion::Flow flow(std::uint64_t coordinator) {
  return {AssociationId{coordinator}, nullptr};
}

std::vector<std::uint64_t> flows_of(const Diversion& reroute) {
  std::vector<std::uint64_t> flows;
  for (const Diversion::Flow& one : reroute.flows()) {
    flows.push_back(static_cast<std::uint64_t>(one.coordinator));
  }
  return flows;
}

TEST(DiversionTurns, BeginAMoveWhereNothingIsUnderWayAndNumberIt) {
  DiversionTurns turns(2);
  EXPECT_FALSE(turns.under_way());
  const auto first = turns.begin(kMove);
  ASSERT_TRUE(first);
  EXPECT_TRUE(turns.under_way());
  ASSERT_NE(first->move(), nullptr);
  EXPECT_EQ(first->move()->who, kMove.who);
  EXPECT_EQ(first->move()->from, kMove.from);
  EXPECT_EQ(first->move()->to, kMove.to);
  EXPECT_TRUE(first->concerns(kMove.who));
  EXPECT_FALSE(first->concerns(AssociationId{8}));
  EXPECT_FALSE(turns.end(first->number));
  EXPECT_FALSE(turns.under_way());
  const auto second = turns.begin(kMove);
  ASSERT_TRUE(second);
  EXPECT_GT(second->number, first->number);
  EXPECT_EQ(turns.begun(), 2u);
}

// A move is refused; a flow has its turn later.
TEST(DiversionTurns, RefuseAMoveWhileAnythingIsUnderWayAndKeepAFlowForLater) {
  DiversionTurns turns(2);
  const auto move = turns.begin(kMove);
  EXPECT_FALSE(turns.begin(kMove));
  EXPECT_FALSE(turns.begin(flow(1)));
  const auto reroute = turns.end(move->number);
  ASSERT_TRUE(reroute);
  EXPECT_EQ(reroute->move(), nullptr);
  EXPECT_EQ(flows_of(*reroute), (std::vector<std::uint64_t>{1}));
  EXPECT_FALSE(turns.begin(kMove));
  EXPECT_FALSE(turns.end(reroute->number));
  EXPECT_TRUE(turns.begin(kMove)) << "the move that was refused does not come again by itself";
}

TEST(DiversionTurns, ServeAllFlowsThatWaitWithOneRerouteAndEachFlowOnce) {
  DiversionTurns turns(1);
  const auto first = turns.begin(flow(1));
  ASSERT_TRUE(first);
  EXPECT_EQ(flows_of(*first), (std::vector<std::uint64_t>{1}));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(turns.begin(flow(3)));
  EXPECT_FALSE(turns.begin(flow(2)));
  EXPECT_FALSE(turns.begin(flow(1)));
  const auto second = turns.end(first->number);
  ASSERT_TRUE(second);
  EXPECT_EQ(flows_of(*second), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_TRUE(second->concerns(AssociationId{3}));
  EXPECT_FALSE(second->concerns(AssociationId{4}));
  EXPECT_FALSE(turns.end(second->number));
  EXPECT_FALSE(turns.under_way());
  EXPECT_EQ(turns.begun(), 2u);
}

// However often one of them asks, the others have their turn between.
TEST(DiversionTurns, ServeThoseFirstThatHaveWaitedLongestWhereTheyAreTooManyForOneReroute) {
  DiversionTurns turns(1);
  auto under_way = turns.begin(flow(1000));
  for (std::uint64_t one = 999; one > 0; --one) EXPECT_FALSE(turns.begin(flow(one)));
  std::vector<std::uint64_t> served;
  std::size_t diversions = 0;
  for (; under_way && diversions < 1000; ++diversions) {
    auto flows = flows_of(*under_way);
    EXPECT_LE(flows.size(), DiversionTurns::kFlowsMax);
    if (served.size() < 999 - flows.size()) {
      EXPECT_FALSE(turns.begin(flow(1000)));  // it storms on
    }
    std::erase(flows, 1000);
    served.insert(served.end(), flows.rbegin(), flows.rend());
    under_way = turns.end(under_way->number);
  }
  EXPECT_LE(diversions, 999u / 8) << "many at a time, though not all at once";
  ASSERT_EQ(served.size(), 999u);
  for (std::size_t i = 0; i < served.size(); ++i) EXPECT_EQ(served[i], 999 - i);
}

// A reroute has two steps in which it waits for every shard.
TEST(DiversionTurns, CountTheShardsAnewForEachStep) {
  DiversionTurns turns;
  turns.use(3);
  const auto reroute = turns.begin(flow(1));
  for (int step = 0; step < 2; ++step) {
    EXPECT_FALSE(turns.followed(reroute->number));
    EXPECT_FALSE(turns.followed(reroute->number));
    EXPECT_TRUE(turns.followed(reroute->number));
  }
}

TEST(DiversionTurns, HearNothingOfADiversionThatIsNotUnderWay) {
  DiversionTurns turns(1);
  EXPECT_FALSE(turns.followed(1));
  EXPECT_FALSE(turns.end(1));
  const auto first = turns.begin(flow(1));
  EXPECT_FALSE(turns.followed(first->number + 1));
  EXPECT_FALSE(turns.end(first->number + 1));
  EXPECT_TRUE(turns.under_way());
  EXPECT_FALSE(turns.end(first->number));
  const auto second = turns.begin(flow(2));
  EXPECT_FALSE(turns.followed(first->number)) << "it is over";
  EXPECT_TRUE(turns.followed(second->number));
}

}  // namespace
}  // namespace siglane
