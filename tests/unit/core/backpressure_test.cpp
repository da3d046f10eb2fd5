#include "core/backpressure.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr AssociationId kOne{1}, kTwo{2};
constexpr ShardId kNear{1}, kFar{2};

class BackpressureTest : public testing::Test {
 protected:
  auto let_go(const std::set<ShardId>& with_room) {
    return input.let_go([&](ShardId shard) { return with_room.contains(shard); });
  }

  Backpressure input;
};

TEST_F(BackpressureTest, PausesForASessionUntilItReadsOn) {
  EXPECT_FALSE(input.is_paused(kOne));
  EXPECT_TRUE(input.pause(kOne, PauseReason::session));
  EXPECT_TRUE(input.is_paused(kOne));
  EXPECT_TRUE(input.resume(kOne, PauseReason::session));
  EXPECT_FALSE(input.is_paused(kOne));
}

TEST_F(BackpressureTest, APauseIsNewOnceForEachReason) {
  EXPECT_TRUE(input.pause(kOne, PauseReason::session));
  EXPECT_FALSE(input.pause(kOne, PauseReason::session));
  EXPECT_TRUE(input.wait_for_room(kOne, kNear));
  EXPECT_FALSE(input.wait_for_room(kOne, kNear));
  EXPECT_FALSE(input.wait_for_room(kOne, kFar));
  EXPECT_TRUE(input.pause(kTwo, PauseReason::session));
}

TEST_F(BackpressureTest, ManyPausesForOneReasonEndWithOneResume) {
  (void)input.pause(kOne, PauseReason::session);
  (void)input.pause(kOne, PauseReason::session);
  EXPECT_TRUE(input.resume(kOne, PauseReason::session));
  EXPECT_FALSE(input.resume(kOne, PauseReason::session)) << "nothing is paused any more";
}

TEST_F(BackpressureTest, ResumesNothingThatWasNotPausedForThatReason) {
  EXPECT_FALSE(input.resume(kOne, PauseReason::session));
  (void)input.pause(kOne, PauseReason::claim);
  EXPECT_FALSE(input.resume(kOne, PauseReason::session));
  EXPECT_TRUE(input.is_paused(kOne));
}

TEST_F(BackpressureTest, ReadsOnOnceThereIsRoomOnTheWayThere) {
  (void)input.wait_for_room(kOne, kNear);
  (void)input.wait_for_room(kTwo, kFar);
  EXPECT_THAT(let_go({}), IsEmpty());
  EXPECT_THAT(let_go({kFar}), ElementsAre(kTwo));
  EXPECT_TRUE(input.is_paused(kOne));
  EXPECT_THAT(let_go({kNear, kFar}), ElementsAre(kOne));
  EXPECT_THAT(let_go({kNear, kFar}), IsEmpty());
}

TEST_F(BackpressureTest, ReadsOnWhenTheLastReasonIsGoneInWhateverOrderTheyGo) {
  (void)input.wait_for_room(kOne, kNear);
  (void)input.pause(kOne, PauseReason::session);
  EXPECT_THAT(let_go({kNear}), IsEmpty()) << "there is room, but its session waits";
  EXPECT_TRUE(input.resume(kOne, PauseReason::session));

  (void)input.wait_for_room(kOne, kNear);
  (void)input.pause(kOne, PauseReason::session);
  EXPECT_FALSE(input.resume(kOne, PauseReason::session)) << "its session goes on, without room";
  EXPECT_THAT(let_go({kNear}), ElementsAre(kOne));
}

TEST_F(BackpressureTest, AClaimThatIsSettledDoesNotEndThePauseThatItsSessionWants) {
  (void)input.pause(kOne, PauseReason::session);
  EXPECT_TRUE(input.pause(kOne, PauseReason::claim));
  EXPECT_FALSE(input.resume(kOne, PauseReason::claim));
  EXPECT_TRUE(input.is_paused(kOne, PauseReason::session));
  EXPECT_FALSE(input.is_paused(kOne, PauseReason::claim));
  EXPECT_TRUE(input.resume(kOne, PauseReason::session));
}

TEST_F(BackpressureTest, CanWaitForRoomAgainAsSoonAsItWasLetGo) {
  (void)input.wait_for_room(kOne, kNear);
  EXPECT_THAT(let_go({kNear}), ElementsAre(kOne));
  EXPECT_TRUE(input.wait_for_room(kOne, kFar));
  EXPECT_THAT(let_go({kNear}), IsEmpty());
}

TEST_F(BackpressureTest, KnowsNothingOfOneThatHasLeftAndMayComeBack) {
  (void)input.wait_for_room(kOne, kNear);
  (void)input.pause(kOne, PauseReason::session);
  input.forget(kOne);
  EXPECT_FALSE(input.is_paused(kOne));
  EXPECT_THAT(let_go({kNear}), IsEmpty());
  EXPECT_TRUE(input.pause(kOne, PauseReason::session));
}

}  // namespace
}  // namespace siglane
