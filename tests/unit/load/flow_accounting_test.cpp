#include "apps/load/flow_accounting.h"

#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"

namespace siglane::load {
namespace {

TEST(FlowReceiver, FindsNothingWrongWithAFlowInOrder) {
  FlowReceiver flow;
  for (std::uint64_t n = 0; n < 100; ++n) EXPECT_EQ(flow.receive(n), Arrival::in_order);
  EXPECT_EQ(flow.lost(100), 0u);
}

TEST(FlowReceiver, CountsAGapAsLostAndTheTailToo) {
  FlowReceiver flow;
  flow.receive(0);
  EXPECT_EQ(flow.receive(4), Arrival::in_order);
  EXPECT_EQ(flow.missing(), 3u);
  EXPECT_EQ(flow.lost(10), 3u + 5u);
}

TEST(FlowReceiver, TellsALateOneFromADuplicate) {
  FlowReceiver flow;
  flow.receive(0);
  flow.receive(5);
  EXPECT_EQ(flow.receive(3), Arrival::out_of_order);
  EXPECT_EQ(flow.receive(3), Arrival::duplicate);
  EXPECT_EQ(flow.receive(5), Arrival::duplicate);
  EXPECT_EQ(flow.receive(0), Arrival::duplicate);
  EXPECT_EQ(flow.receive(1), Arrival::out_of_order);
  EXPECT_EQ(flow.receive(4), Arrival::out_of_order);
  EXPECT_EQ(flow.missing(), 1u);
  EXPECT_EQ(flow.receive(2), Arrival::out_of_order);
  EXPECT_EQ(flow.lost(6), 0u);
}

TEST(FlowReceiver, LosesTheWholeFlowWhereNothingCame) {
  EXPECT_EQ(FlowReceiver().lost(7), 7u);
}

TEST(FlowReceiver, AgreesWithASlowAndSimpleJudgeOnRandomFlows) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    std::vector<std::uint64_t> arrivals;
    std::uint64_t lost = 0;
    constexpr std::uint64_t kSent = 300;
    for (std::uint64_t n = 0; n < kSent; ++n) {
      const auto fate = random.below(20);
      if (fate == 0) {
        ++lost;
        continue;
      }
      arrivals.push_back(n);
      if (fate == 1) arrivals.push_back(n);
      if (fate == 2 && arrivals.size() > 8) {
        std::swap(arrivals.back(), arrivals[arrivals.size() - 1 - random.below(8)]);
      }
    }
    FlowReceiver flow;
    std::set<std::uint64_t> seen;
    for (std::uint64_t n : arrivals) {
      const Arrival expected = seen.contains(n)                     ? Arrival::duplicate
                               : seen.empty() || n > *seen.rbegin() ? Arrival::in_order
                                                                    : Arrival::out_of_order;
      ASSERT_EQ(flow.receive(n), expected) << "seed " << seed << " number " << n;
      seen.insert(n);
    }
    ASSERT_EQ(flow.lost(kSent), lost) << "seed " << seed;
  }
}

TEST(FlowReceiver, WritesTheOldestGapOffWhenThereAreTooMany) {
  FlowReceiver flow(2);
  flow.receive(1);  // gap 0
  flow.receive(3);  // gap 2
  flow.receive(5);  // gap 4: 0 is written off
  EXPECT_EQ(flow.missing(), 3u);
  EXPECT_EQ(flow.receive(2), Arrival::out_of_order);
  EXPECT_EQ(flow.receive(0), Arrival::duplicate);  // a failed run, if by another name
  EXPECT_EQ(flow.lost(6), 2u);
}

TEST(FlowReceiver, KeepsItsBoundWhenAGapIsSplit) {
  FlowReceiver flow(1);
  flow.receive(5);
  EXPECT_EQ(flow.receive(2), Arrival::out_of_order);  // 0..1 is written off, 3..4 is kept
  EXPECT_EQ(flow.receive(3), Arrival::out_of_order);
  EXPECT_EQ(flow.receive(4), Arrival::out_of_order);
  EXPECT_EQ(flow.lost(6), 2u);
}

}  // namespace
}  // namespace siglane::load
