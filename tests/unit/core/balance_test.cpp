#include "core/balance.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace siglane {
namespace {

constexpr ShardId kHere{0}, kThere{1}, kFarther{2};
constexpr AssociationId kLoud{7}, kLouder{8}, kQuiet{9};

TEST(ChooseMove, SendsALoudAssociationFromWhereManyWaitToWhereNobodyDoes) {
  const std::array loads{ShardLoad{1.0, 17}, ShardLoad{0.0, 0}};
  const std::array candidates{MoveCandidate{kLoud, 0.9}};
  const auto choice = choose_move(kHere, loads, candidates);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->id, kLoud);
  EXPECT_EQ(choice->to, kThere);
}

TEST(ChooseMove, LeavesALoudAssociationThatHasAShardForItself) {
  const std::array loads{ShardLoad{1.0, 1}, ShardLoad{0.0, 0}};
  EXPECT_FALSE(choose_move(kHere, loads, std::array{MoveCandidate{kLoud, 1.0}}));
}

TEST(ChooseMove, LeavesItWhereAsManyWouldWaitForItThere) {
  const std::array loads{ShardLoad{1.0, 9}, ShardLoad{0.1, 8}};
  EXPECT_FALSE(choose_move(kHere, loads, std::array{MoveCandidate{kLoud, 0.9}}));
}

TEST(ChooseMove, SendsItToTheShardWhereTheLeastIsWaitedFor) {
  const std::array loads{ShardLoad{0.9, 10}, ShardLoad{0.6, 5}, ShardLoad{0.1, 5}};
  const auto choice = choose_move(kHere, loads, std::array{MoveCandidate{kLoud, 0.5}});
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->to, kFarther);
}

TEST(ChooseMove, ChoosesAmongSeveralTheOneWhoseLeavingHelpsMost) {
  const std::array loads{ShardLoad{0.95, 10}, ShardLoad{0.0, 0}};
  const std::array candidates{MoveCandidate{kQuiet, 0.06}, MoveCandidate{kLouder, 0.6},
                              MoveCandidate{kLoud, 0.2}};
  const auto choice = choose_move(kHere, loads, candidates);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->id, kLouder);
}

TEST(ChooseMove, MovesNothingWhileTheShardIsHardlyBusy) {
  const std::array loads{ShardLoad{kBusyEnoughToMove - 0.01, 100}, ShardLoad{0.0, 0}};
  EXPECT_FALSE(choose_move(kHere, loads, std::array{MoveCandidate{kLoud, 0.2}}));
}

TEST(ChooseMove, MovesNothingForAnAssociationThatHardlyCounts) {
  const std::array loads{ShardLoad{0.99, 100}, ShardLoad{0.0, 0}};
  EXPECT_FALSE(choose_move(kHere, loads, std::array{MoveCandidate{kQuiet, 0.01}}));
}

// What a choice has changed must not be undone by the next one, whatever the loads.
TEST(ChooseMove, NeverSendsBackWhatItHasJustSent) {
  for (double rest = 0; rest < 1; rest += 0.1) {
    for (double there = 0; there < 1; there += 0.1) {
      for (double own = 0.05; rest + own <= 1; own += 0.05) {
        for (const std::size_t here_count : {2u, 5u, 100u}) {
          for (const std::size_t there_count : {0u, 1u, 5u, 100u}) {
            const std::array before{ShardLoad{rest + own, here_count},
                                    ShardLoad{there, there_count}};
            if (!choose_move(kHere, before, std::array{MoveCandidate{kLoud, own}})) continue;
            const std::array after{ShardLoad{rest, here_count - 1},
                                   ShardLoad{std::min(1.0, there + own), there_count + 1}};
            EXPECT_FALSE(choose_move(kThere, after, std::array{MoveCandidate{kLoud, own}}))
                << rest << ' ' << there << ' ' << own << ' ' << here_count << ' ' << there_count;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace siglane
