// The three diseases of a shared socket: seen with peeling off, and seen to be gone with peeling
// on.
#include "tests/support/diseases.h"

#include <gtest/gtest.h>

namespace siglane::test {
namespace {

TEST(SharedSocketDiseases, AFloodKeepsSporadicPeersWaitingUntilItIsPeeledOntoAnotherShard) {
  const PingTimes shared = ping_beside_a_flood(false, 7s);
  const PingTimes peeled = ping_beside_a_flood(true, 7s);
  EXPECT_FALSE(shared.peeled);
  EXPECT_TRUE(peeled.peeled);
  EXPECT_TRUE(peeled.moved);
  EXPECT_GE(shared.pings, 1000u);
  EXPECT_GE(peeled.pings, 1000u);
  EXPECT_EQ(peeled.unanswered, 0u);
  EXPECT_GT(shared.p99, 5 * peeled.p99)
      << seconds(shared.p99) << " s and " << seconds(peeled.p99) << " s";
}

TEST(SharedSocketDiseases, APeerThatStopsReadingStopsABareServerAndNotANode) {
  const ExchangeRates bare = exchange_beside_a_stopped_peer(Server::bare, 4s);
  const ExchangeRates shared = exchange_beside_a_stopped_peer(Server::node_without_peeling, 4s);
  const ExchangeRates node = exchange_beside_a_stopped_peer(Server::node, 4s);
  // How much they keep, the benchmark says; here, that they go on.
  EXPECT_LT(bare.kept(), 0.5);
  EXPECT_GT(shared.kept(), 2 * bare.kept());
  EXPECT_GT(node.kept(), 2 * bare.kept());
  EXPECT_GT(node.kept(), 0.2);
}

void expect_peeled(const WedgeCare& care) {
  EXPECT_GE(care.stalls, 1u);
  EXPECT_TRUE(care.peeled);
  EXPECT_FALSE(care.enlarged);
}

// Where nobody may be peeled off.
void expect_enlarged(const WedgeCare& care) {
  EXPECT_GE(care.stalls, 1u);
  EXPECT_FALSE(care.peeled);
  EXPECT_TRUE(care.enlarged);
}

TEST(SharedSocketDiseases, AWedgeSilencesABareServerAndANodePeelsWhoHoldsTheMemory) {
  const WedgedRun bare = exchange_beside_gaps(Server::bare, 4s);
  EXPECT_GE(bare.longest_silence, 3s);
  const WedgedRun shared = exchange_beside_gaps(Server::node_without_peeling, 4s);
  expect_enlarged(shared.care);
  EXPECT_TRUE(shared.gaps_filled);
  const WedgedRun node = exchange_beside_gaps(Server::node, 4s);
  expect_peeled(node.care);
  EXPECT_TRUE(node.gaps_filled);
  EXPECT_GT(node.answers, 0u);
  EXPECT_LE(node.longest_silence, 3s);
}

// Most runs of this traffic wedge the buffer, and not all: the first that does, or the last of a
// few.
TwoWayRun exchange_until_wedged(Server server, Duration silence_max) {
  constexpr std::size_t kMessagesEach = 3000;
  constexpr int kRuns = 8;
  TwoWayRun run;
  for (int tries = 0; tries < kRuns && !run.ends_wedged && run.care.stalls == 0; ++tries) {
    run = exchange_with_little_receive_buffer(server, kMessagesEach, silence_max);
    EXPECT_EQ(run.wrong, 0u);
    if (server == Server::bare) continue;
    EXPECT_EQ(run.arrived, 6 * kMessagesEach);
    EXPECT_LE(run.longest_silence, 10s);
  }
  return run;
}

TEST(SharedSocketDiseases, SixTwoWaySendersWedgeABareServerAndOfANodeLoseNothing) {
  EXPECT_TRUE(exchange_until_wedged(Server::bare, 3s).ends_wedged);
  expect_enlarged(exchange_until_wedged(Server::node_without_peeling, 20s).care);
  expect_peeled(exchange_until_wedged(Server::node, 20s).care);
}

}  // namespace
}  // namespace siglane::test
