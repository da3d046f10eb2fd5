#include "apps/runtime/admin/pace.h"

#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

constexpr Instant kStart = Instant(1h);

TEST(Pace, AfterARestSeveralGoAtOnceThenOneInEachInterval) {
  Pace pace(10ms, 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_LE(pace.next(), kStart);
    pace.take(kStart);
  }
  EXPECT_EQ(pace.next(), kStart + 10ms);
  pace.take(kStart + 10ms);
  EXPECT_EQ(pace.next(), kStart + 20ms);
}

TEST(Pace, ARestGivesBackNoMoreThanTheBurst) {
  Pace pace(10ms, 2);
  pace.take(kStart);
  pace.take(kStart);
  const Instant later = kStart + 1h;
  pace.take(later);
  EXPECT_LE(pace.next(), later);
  pace.take(later);
  EXPECT_EQ(pace.next(), later + 10ms);
}

TEST(Pace, WithoutABurstEachWaitsForItsTurn) {
  Pace pace(10ms, 1);
  pace.take(kStart);
  EXPECT_EQ(pace.next(), kStart + 10ms);
}

}  // namespace
}  // namespace siglane::runtime
