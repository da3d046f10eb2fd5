#include "protocols/m3ua/request_queue.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane::m3ua {
namespace {

using testing::ElementsAre;

constexpr auto kUp = MessageType::aspup, kDown = MessageType::aspdn, kActive = MessageType::aspac,
               kInactive = MessageType::aspia;

class RequestQueueTest : public testing::Test {
 protected:
  std::size_t add(MessageType type, std::string_view text) {
    return queue.add(type, Buffer::copy_of(as_bytes(text)));
  }
  std::vector<std::string> take_all() {
    std::vector<std::string> all;
    while (!queue.empty()) all.emplace_back(as_text(queue.take().bytes()));
    return all;
  }
  RequestQueue queue;
};

TEST_F(RequestQueueTest, KeepsRequestsInOrder) {
  EXPECT_EQ(add(kUp, "up"), 0u);
  EXPECT_EQ(add(kActive, "active 1"), 0u);
  EXPECT_EQ(add(kActive, "active 2"), 0u);
  EXPECT_EQ(add(kInactive, "inactive 1"), 0u);
  EXPECT_EQ(as_text(queue.front()), "up");
  EXPECT_THAT(take_all(), ElementsAre("up", "active 1", "active 2", "inactive 1"));
}

TEST_F(RequestQueueTest, TheSameRequestWaitsOnceAndTheLastTimeCounts) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(add(kActive, "active"), i == 0 ? 0u : 1u);
    EXPECT_EQ(add(kInactive, "inactive"), i == 0 ? 0u : 1u);
  }
  EXPECT_THAT(take_all(), ElementsAre("active", "inactive"));
}

TEST_F(RequestQueueTest, WhatAnAspdnOrAspupUndoesNeedsNoAnswer) {
  add(kUp, "up");
  add(kActive, "active");
  EXPECT_EQ(add(kDown, "down"), 2u);
  EXPECT_EQ(add(kUp, "up"), 0u);
  add(kActive, "active");
  EXPECT_EQ(add(kUp, "up"), 2u);
  EXPECT_THAT(take_all(), ElementsAre("down", "up"));
}

TEST_F(RequestQueueTest, HasRoomForSoManyRequestsAndBytesAndAgainOnceTheyAreTaken) {
  for (std::size_t i = 0; i < RequestQueue::kRequestsMax; ++i) {
    EXPECT_EQ(add(kActive, std::to_string(i)), 0u);
  }
  EXPECT_EQ(add(kActive, "one more"), 1u);
  EXPECT_EQ(queue.size(), RequestQueue::kRequestsMax);
  EXPECT_EQ(add(kDown, "down"), RequestQueue::kRequestsMax);
  EXPECT_THAT(take_all(), ElementsAre("down"));

  const std::string large(RequestQueue::kBytesMax, 'x');
  EXPECT_EQ(add(kActive, large + "x"), 1u);
  EXPECT_EQ(add(kActive, large), 0u);
  EXPECT_EQ(add(kInactive, "inactive"), 1u);
  queue.take();
  EXPECT_EQ(add(kActive, large), 0u);
  queue.clear();
  EXPECT_EQ(add(kActive, large), 0u);
}

}  // namespace
}  // namespace siglane::m3ua
