#include "apps/load/under_way.h"

#include <vector>

#include <gtest/gtest.h>

namespace siglane::load {
namespace {

TEST(UnderWay, GivesBackWhatWasAddedOnce) {
  UnderWay<int> under_way;
  const auto one = under_way.add(1);
  const auto two = under_way.add(2);
  EXPECT_EQ(under_way.size(), 2u);
  EXPECT_EQ(under_way.take(two), 2);
  EXPECT_EQ(under_way.take(two), std::nullopt);
  EXPECT_EQ(under_way.take(one), 1);
  EXPECT_EQ(under_way.size(), 0u);
}

TEST(UnderWay, NeverGivesATagOutTwice) {
  UnderWay<int> under_way;
  const auto first = under_way.add(1);
  under_way.take(first);
  const auto second = under_way.add(2);
  EXPECT_NE(first, second);
  EXPECT_EQ(under_way.take(first), std::nullopt);
  EXPECT_EQ(under_way.take(second), 2);
}

TEST(UnderWay, FindsNothingUnderATagItNeverGave) {
  UnderWay<int> under_way;
  EXPECT_EQ(under_way.take(0), std::nullopt);
  under_way.add(1);
  EXPECT_EQ(under_way.take(77), std::nullopt);
  EXPECT_EQ(under_way.take(std::uint64_t{1} << 32), std::nullopt);
}

}  // namespace
}  // namespace siglane::load
