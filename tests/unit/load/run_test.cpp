#include "apps/load/run.h"

#include <gtest/gtest.h>

namespace siglane::load {
namespace {

const Instant kStart = Instant(50s);
const RunConfig kConfig{.connect_timeout = 5s, .duration = 10s, .warm_up = 2s, .drain_max = 3s};

TEST(Run, BeginsWhenTheLastPeerIsUp) {
  LoadRun run(kConfig, 2, kStart);
  run.peer_up(kStart + 1s);
  EXPECT_EQ(run.phase(kStart + 1s), Phase::connecting);
  EXPECT_EQ(run.began(), std::nullopt);
  run.peer_up(kStart + 2s);
  EXPECT_EQ(run.began(), kStart + 2s);
  EXPECT_EQ(run.ends(), kStart + 12s);
  EXPECT_EQ(run.phase(kStart + 2s), Phase::sending);
}

TEST(Run, CountsAPeerThatCameAndWentAsNotUp) {
  LoadRun run(kConfig, 2, kStart);
  run.peer_up(kStart);
  run.peer_down(kStart);
  run.peer_up(kStart);
  EXPECT_EQ(run.began(), std::nullopt);
  EXPECT_EQ(run.peers_up_most(), 1u);
  EXPECT_EQ(run.connections_lost(), 0u);
}

TEST(Run, GivesUpOnPeersThatDoNotComeUp) {
  LoadRun run(kConfig, 2, kStart);
  run.peer_up(kStart);
  EXPECT_EQ(run.phase(kStart + 5s - 1ns), Phase::connecting);
  EXPECT_EQ(run.phase(kStart + 5s), Phase::finished);
  run.peer_up(kStart + 6s);
  EXPECT_EQ(run.phase(kStart + 6s), Phase::finished);
}

TEST(Run, LeavesTheWarmUpOutOfThePercentiles) {
  LoadRun run(kConfig, 1, kStart);
  EXPECT_FALSE(run.measured(kStart));
  run.peer_up(kStart);
  EXPECT_FALSE(run.measured(kStart + 2s - 1ns));
  EXPECT_TRUE(run.measured(kStart + 2s));
}

TEST(Run, DrainsUntilNothingIsUnderWay) {
  LoadRun run(kConfig, 1, kStart);
  run.peer_up(kStart);
  run.sent(2);
  EXPECT_EQ(run.phase(kStart + 10s), Phase::draining);
  run.settled();
  EXPECT_EQ(run.phase(kStart + 11s), Phase::draining);
  run.settled();
  EXPECT_EQ(run.phase(kStart + 11s), Phase::finished);
}

TEST(Run, DoesNotDrainForEver) {
  LoadRun run(kConfig, 1, kStart);
  run.peer_up(kStart);
  run.sent();
  EXPECT_EQ(run.phase(kStart + 13s - 1ns), Phase::draining);
  EXPECT_EQ(run.phase(kStart + 13s), Phase::finished);
}

TEST(Run, CountsConnectionsLostUnderTrafficOnly) {
  LoadRun run(kConfig, 1, kStart);
  run.peer_up(kStart);
  run.peer_down(kStart + 1s);
  run.peer_up(kStart + 2s);
  EXPECT_EQ(run.began(), kStart);  // it goes on, it does not begin again
  run.peer_down(kStart + 20s);     // after the end
  EXPECT_EQ(run.connections_lost(), 1u);
}

TEST(Run, EndsEarlyWhenInterrupted) {
  LoadRun run(kConfig, 1, kStart);
  run.peer_up(kStart);
  run.sent();
  run.interrupt(kStart + 1s);
  EXPECT_EQ(run.phase(kStart + 1s), Phase::draining);
  run.settled();
  EXPECT_EQ(run.phase(kStart + 1s), Phase::finished);

  LoadRun connecting(kConfig, 1, kStart);
  connecting.interrupt(kStart);
  EXPECT_EQ(connecting.phase(kStart), Phase::finished);
}

}  // namespace
}  // namespace siglane::load
