#include "core/labelled_counts.h"

#include <map>

#include <gtest/gtest.h>

#include "core/random.h"

namespace siglane {
namespace {

const LabelledCounter doors{"test.doors", "doors", {{"number"}}};
const LabelledCounter windows{"test.windows", "windows", {{"floor"}, {"number"}}};

using Seen = std::map<std::pair<std::string, std::vector<std::uint32_t>>, std::uint64_t>;

Seen seen(const LabelledCounts& counts) {
  Seen seen;
  counts.visit(
      [&](const CounterInfo& counter, std::span<const std::uint32_t> values, std::uint64_t count) {
        const bool first =
            seen.try_emplace({counter.name, {values.begin(), values.end()}}, count).second;
        EXPECT_TRUE(first) << counter.name << " has two rows for one combination";
      });
  return seen;
}

TEST(LabelledCounts, KeepTheCombinationsOfEachCounterApart) {
  LabelledCounts counts;
  counts.add(doors, {1}, 1);
  counts.add(windows, {1, 0}, 1);
  counts.add(windows, {0, 1}, 2);
  counts.add(doors, {1}, 4);
  counts.add(doors, {2}, 0);
  EXPECT_EQ(seen(counts), (Seen{{{"test.doors", {1}}, 5},
                                {{"test.windows", {1, 0}}, 1},
                                {{"test.windows", {0, 1}}, 2}}));
}

TEST(LabelledCounts, BeyondTheBoundACountersOtherCombinationsShareARow) {
  LabelledCounts counts;
  Random random(1);
  std::uint64_t total = 0;
  counts.add(doors, {7}, 1);
  for (; total < 100'000; ++total) {
    counts.add(windows, {static_cast<std::uint32_t>(random.next()), 0}, 1);
  }
  counts.add(doors, {7}, 1);  // it has its row
  counts.add(doors, {8}, 3);
  const Seen rows = seen(counts);
  EXPECT_EQ(rows.size(), LabelledCounts::kRowsMax + 2);
  EXPECT_EQ(rows.at({"test.doors", {7}}), 2u);
  EXPECT_EQ(rows.at({"test.doors", {}}), 3u);
  std::uint64_t sum = 0;
  for (const auto& [key, count] : rows) sum += key.first == "test.windows" ? count : 0;
  EXPECT_EQ(sum, total);
}

// A table that is as full as it may be.
TEST(LabelledCounts, NumbersInARowAllFindTheirRow) {
  LabelledCounts counts;
  for (std::uint32_t i = 0; i < LabelledCounts::kRowsMax; ++i)
    counts.add(windows, {i / 64, i % 64}, 1);
  EXPECT_EQ(seen(counts).size(), LabelledCounts::kRowsMax);
  EXPECT_FALSE(seen(counts).contains({"test.windows", {}}));
}

}  // namespace
}  // namespace siglane
