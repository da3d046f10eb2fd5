#include "apps/runtime/side_thread.h"

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/turns.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

using ::testing::ElementsAre;

class SideThreadTest : public ::testing::Test {
 protected:
  void SetUp() override { side_ = std::make_unique<SideThread>(*loop_); }

  bool turn_until(const std::function<bool()>& condition) {
    return siglane::testing::turn_until(*loop_, condition);
  }

  std::unique_ptr<transport::Loop> loop_ = std::move(*transport::Loop::create());
  std::unique_ptr<SideThread> side_;
};

TEST_F(SideThreadTest, WorksElsewhereInOrderAndHandsBackHere) {
  const auto here = std::this_thread::get_id();
  std::vector<int> order;
  bool elsewhere = true, back = true;
  for (int i = 0; i < 100; ++i) {
    side_->run([&, here] { elsewhere = elsewhere && std::this_thread::get_id() != here; },
               [&, here, i] {
                 back = back && std::this_thread::get_id() == here;
                 order.push_back(i);
               });
  }
  ASSERT_TRUE(turn_until([&] { return order.size() == 100; }));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_TRUE(elsewhere);
  EXPECT_TRUE(back);
}

TEST_F(SideThreadTest, WhatFollowsMayAskForMore) {
  std::vector<int> order;
  side_->run([] {},
             [&] {
               order.push_back(1);
               side_->run([] {}, [&] { order.push_back(2); });
             });
  ASSERT_TRUE(turn_until([&] { return order.size() == 2; }));
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST_F(SideThreadTest, EndsWithoutWhatHasNotBegun) {
  const auto held = std::make_shared<int>(0);
  bool followed = false;
  for (int i = 0; i < 100; ++i) side_->run([held] {}, [held, &followed] { followed = true; });
  side_.reset();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(followed);
}

}  // namespace
}  // namespace siglane::runtime
