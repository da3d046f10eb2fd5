#include "core/deadlines.h"

#include <gtest/gtest.h>

#include "core/backoff.h"

namespace siglane {
namespace {

TEST(Deadlines, ALaterDeadlineTouchesNothing) {
  Deadlines<int> deadlines;
  Deadlines<int>::Slot slot;
  deadlines.want(1, slot, Instant(5s));
  for (int i = 6; i < 1000; ++i) deadlines.want(1, slot, Instant(std::chrono::seconds(i)));
  EXPECT_EQ(deadlines.size(), 1u);
  EXPECT_EQ(deadlines.earliest(), Instant(5s));
}

TEST(Deadlines, AnEarlierDeadlineMakesTheOldEntryStale) {
  Deadlines<int> deadlines;
  Deadlines<int>::Slot slot;
  deadlines.want(1, slot, Instant(5s));
  deadlines.want(1, slot, Instant(2s));
  auto due = deadlines.pop_due(Instant(2s));
  ASSERT_TRUE(due);
  EXPECT_EQ(slot, due->at);
  slot.reset();
  EXPECT_FALSE(deadlines.pop_due(Instant(4s)));
  due = deadlines.pop_due(Instant(5s));
  ASSERT_TRUE(due);
  EXPECT_NE(slot, due->at);
}

TEST(Backoff, DoublesUpToItsLongestWithJitterInTheUpperHalf) {
  Random random(3);
  Backoff backoff({100ms, 1s});
  for (Duration whole : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    const Duration wait = backoff.next(random);
    EXPECT_GE(wait, whole / 2);
    EXPECT_LE(wait, whole);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(random), 100ms);
}

}  // namespace
}  // namespace siglane
