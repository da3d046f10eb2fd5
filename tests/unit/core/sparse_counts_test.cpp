#include "core/sparse_counts.h"

#include <map>

#include <gtest/gtest.h>

#include "core/random.h"

namespace siglane {
namespace {

TEST(SparseCounts, CountWhatAMapCounts) {
  SparseCounts counts;
  std::map<std::size_t, std::uint64_t> expected;
  Random random(7);
  for (int i = 0; i < 1000; ++i) {
    const std::size_t index = random.next() % 40;
    const std::uint64_t n = random.next() % 1000;
    counts.add(index, n);
    expected[index] += n;
  }
  ASSERT_EQ(counts.entries().size(), expected.size());
  auto entry = counts.entries().begin();
  for (const auto& [index, count] : expected) {
    EXPECT_EQ(entry->index, index);
    EXPECT_EQ(entry->count, count);
    EXPECT_EQ(counts.get(index), count);
    ++entry;
  }
}

TEST(SparseCounts, HaveNothingOfWhatWasNeverCounted) {
  SparseCounts counts;
  EXPECT_EQ(counts.get(3), 0u);
  counts.add(5, 1);
  EXPECT_EQ(counts.get(3), 0u);
  EXPECT_EQ(counts.get(6), 0u);
}

}  // namespace
}  // namespace siglane
