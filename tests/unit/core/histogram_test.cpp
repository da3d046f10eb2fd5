#include "core/histogram.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"

namespace siglane {
namespace {

TEST(Histogram, QuantilesAreWithinThreeAndAHalfPercentOfTheTruth) {
  Random random(7);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 20000; ++i) {
    const auto value = static_cast<std::uint64_t>(std::exp(random.unit() * 27.0));
    values.push_back(value);
    histogram.record(value);
  }
  std::sort(values.begin(), values.end());
  for (double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto truth = static_cast<double>(
        values[static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size()))) -
               1]);
    const auto answer = static_cast<double>(histogram.quantile(share));
    EXPECT_GE(answer, truth * 0.999);
    EXPECT_LE(answer, truth * 1.035 + 1);
  }
}

TEST(Histogram, MergesAndClears) {
  Histogram a, b;
  a.record(10);
  b.record(1000, 3);
  a.merge(b);
  EXPECT_EQ(a.count(), 4u);
  EXPECT_EQ(a.quantile(0.25), 10u);
  EXPECT_NEAR(static_cast<double>(a.quantile(1)), 1000, 33);
  a.clear();
  EXPECT_EQ(a.quantile(0.5), 0u);
}

// Few values are kept in another way than many: nobody may notice.
TEST(Histogram, SaysTheSameOfFewValuesAsOfMany) {
  const auto of = [](std::uint64_t first, std::uint64_t last) {
    Histogram histogram;
    for (std::uint64_t value = first; value <= last; ++value) histogram.record(value * 1000);
    return histogram;
  };
  Histogram few = of(1, 40), rest = of(41, 1000), all = of(1, 1000);
  EXPECT_EQ(few.quantile(0.5), of(1, 40).quantile(0.5));
  EXPECT_NEAR(static_cast<double>(few.quantile(0.5)), 20'000, 700);
  Histogram few_first = few, rest_first = rest;
  few_first.merge(rest);
  rest_first.merge(few);
  for (const double share : {0.0, 0.01, 0.03, 0.5, 0.99, 1.0}) {
    EXPECT_EQ(few_first.quantile(share), all.quantile(share)) << share;
    EXPECT_EQ(rest_first.quantile(share), all.quantile(share)) << share;
  }
  EXPECT_EQ(few_first.count(), 1000u);
}

TEST(Histogram, CountsForYears) {
  constexpr std::uint32_t kMost = ~std::uint32_t{0};
  Histogram histogram, sum;
  for (std::uint64_t times = 1; times <= 3; ++times) {
    histogram.record(10, kMost);
    histogram.record(20, kMost / 2);
    EXPECT_EQ(histogram.count(), times * kMost + times * (kMost / 2));
    EXPECT_EQ(histogram.quantile(0.6), 10u);
    EXPECT_EQ(histogram.quantile(0.7), 20u);
  }
  sum.merge(histogram);
  sum.merge(histogram);
  EXPECT_EQ(sum.count(), 2 * histogram.count());
  EXPECT_EQ(sum.quantile(0.6), 10u);
  EXPECT_EQ(sum.quantile(0.7), 20u);
}

TEST(Histogram, CountsTheHugeAsTheLargest) {
  Histogram histogram;
  histogram.record(~std::uint64_t{0});
  EXPECT_GE(histogram.quantile(1), std::uint64_t{1} << 39);
}

}  // namespace
}  // namespace siglane
