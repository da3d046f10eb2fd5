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

TEST(SharedSocketDiseases, AWedgeSilencesABareServerAndANodePeelsWhoHoldsTheMemory) {
  const WedgedRun bare = exchange_beside_gaps(Server::bare, 4s);
  EXPECT_GE(bare.longest_silence, 3s);
  const WedgedRun shared = exchange_beside_gaps(Server::node_without_peeling, 4s);
  EXPECT_GE(shared.stalls, 1u);
  EXPECT_FALSE(shared.peeled);
  EXPECT_TRUE(shared.enlarged);
  EXPECT_TRUE(shared.gaps_filled);
  const WedgedRun node = exchange_beside_gaps(Server::node, 4s);
  EXPECT_GE(node.stalls, 1u);
  EXPECT_TRUE(node.peeled);
  EXPECT_FALSE(node.enlarged);
  EXPECT_TRUE(node.gaps_filled);
  EXPECT_GT(node.answers, 0u);
  EXPECT_LE(node.longest_silence, 3s);
}

// Not every run of this traffic wedges the buffer: the first that does, or the last of a few.
TwoWayRun exchange_until_wedged(Server server, Duration silence_max) {
  constexpr std::size_t kMessagesEach = 3000;
  TwoWayRun run;
  for (int tries = 0; tries < 6 && run.stalls == 0; ++tries) {
    run = exchange_with_little_receive_buffer(server, kMessagesEach, silence_max);
    EXPECT_EQ(run.wrong, 0u);
    if (server != Server::bare) {
      EXPECT_EQ(run.arrived, 6 * kMessagesEach);
      EXPECT_LE(run.longest_silence, 10s);
    }
  }
  return run;
}

TEST(SharedSocketDiseases, SixTwoWaySendersWedgeABareServerAndOfANodeLoseNothing) {
  const TwoWayRun bare = exchange_until_wedged(Server::bare, 3s);
  EXPECT_GT(bare.stalls, 0u);
  EXPECT_GE(bare.longest_silence, 3s);
  const TwoWayRun shared = exchange_until_wedged(Server::node_without_peeling, 20s);
  EXPECT_GT(shared.stalls, 0u);
  EXPECT_FALSE(shared.peeled);
  EXPECT_TRUE(shared.enlarged);
  const TwoWayRun node = exchange_until_wedged(Server::node, 20s);
  EXPECT_GT(node.stalls, 0u);
  EXPECT_TRUE(node.peeled);
  EXPECT_FALSE(node.enlarged);
}

}  // namespace
}  // namespace siglane::test
