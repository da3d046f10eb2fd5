#include "core/stay.h"

#include <gtest/gtest.h>

namespace siglane {
namespace {

TEST(Stay, WhoHasNeverBeenMovedMayGoAtOnce) {
  EXPECT_TRUE(Stay().over(Instant(1s)));
}

TEST(Stay, IsShortTheFirstTime) {
  Stay stay;
  stay.begin(Instant(100s));
  EXPECT_FALSE(stay.over(Instant(109s)));
  EXPECT_TRUE(stay.over(Instant(110s)));
}

TEST(Stay, GetsLongerForOneThatIsMovedWheneverItMayBe) {
  Stay stay;
  Instant now(100s);
  int moves = 0;
  for (; now < Instant(100s) + 1h; now += 1s) {
    if (!stay.over(now)) continue;
    stay.begin(now);
    ++moves;
  }
  EXPECT_EQ(moves, 9);  // after 0, 10, 30, 70, 150, 310, 630, 1270 and 2550 s
  EXPECT_FALSE(stay.over(now));
}

TEST(Stay, IsNeverLongerThanItsLimit) {
  Stay stay;
  Instant now(100s);
  for (int i = 0; i < 100; ++i) {
    stay.begin(now);
    now += Stay::kLongest;
    EXPECT_TRUE(stay.over(now));
  }
}

TEST(Stay, IsShortAgainForOneThatWasLongContent) {
  Stay stay;
  stay.begin(Instant(100s));
  stay.begin(Instant(110s));
  EXPECT_FALSE(stay.over(Instant(129s)));
  stay.begin(Instant(110s) + 80s);
  EXPECT_TRUE(stay.over(Instant(110s) + 80s + 10s));
}

}  // namespace
}  // namespace siglane
