#include "core/strangers.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/facts.h"

namespace siglane {
namespace {

constexpr Instant kNow{100s};

TEST(Strangers, AreToldAtOnceTheFirstTimeAndThenTogetherOnceAMinute) {
  Strangers strangers;
  EXPECT_FALSE(strangers.next());
  strangers.note("10.0.0.1", "said nothing", false);
  const auto first = strangers.tell(kNow);
  ASSERT_TRUE(first);
  EXPECT_EQ(field(*first, "refused"), "1");
  EXPECT_EQ(field(*first, "last"), "10.0.0.1");
  EXPECT_EQ(field(*first, "why"), "said nothing");
  EXPECT_FALSE(strangers.next()) << "there is nothing more to tell";

  for (int i = 0; i < 5; ++i) strangers.note("10.0.0.1", "said nothing", false);
  strangers.note("2001:db8::1", "said nothing", false);
  strangers.note("2001:db8::2", "went", true);
  EXPECT_FALSE(strangers.tell(kNow + 59s));
  EXPECT_EQ(strangers.next(), kNow + 60s);
  const auto second = strangers.tell(kNow + 60s);
  ASSERT_TRUE(second);
  EXPECT_EQ(field(*second, "refused"), "6");
  EXPECT_EQ(field(*second, "left"), "1");
  EXPECT_EQ(field(*second, "sources"), "2");
  EXPECT_EQ(field(*second, "most_from"), "10.0.0.1");
  EXPECT_EQ(field(*second, "most"), "5");
  EXPECT_EQ(field(*second, "last"), "2001:db8::2");
  EXPECT_EQ(field(*second, "why"), "went");
}

TEST(Strangers, OfManySourcesAllAreCountedAndOnlySomeAreRemembered) {
  Strangers strangers;
  for (int i = 0; i < 10'000; ++i) {
    strangers.note("10.0." + std::to_string(i / 100) + "." + std::to_string(i % 100), "", false);
  }
  const auto seen = strangers.tell(kNow);
  ASSERT_TRUE(seen);
  EXPECT_EQ(field(*seen, "refused"), "10000");
  EXPECT_EQ(field(*seen, "sources"), "4096");
}

TEST(Strangers, WhoSaidItsNameHasALineOfItsOwnOnceAMinuteAndOnlyAFewHave) {
  Strangers strangers;
  EXPECT_TRUE(strangers.may_tell_alone("mme01", kNow));
  EXPECT_FALSE(strangers.may_tell_alone("mme01", kNow + 59s));
  EXPECT_TRUE(strangers.may_tell_alone("mme01", kNow + 60s));
  int alone = 0;
  for (int i = 0; i < 1000; ++i) {
    alone += strangers.may_tell_alone("made up " + std::to_string(i), kNow + 60s) ? 1 : 0;
  }
  EXPECT_EQ(alone, 7);
}

}  // namespace
}  // namespace siglane
