#include "core/table_walk.h"

#include <map>
#include <unordered_map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane {
namespace {

class TableWalkTest : public testing::Test {
 protected:
  TableWalkTest() { fill(0, 1000); }
  void fill(int first, int end) {
    for (int key = first; key < end; ++key) table[key] = key;
  }
  bool step() {
    return walk.step(table, [this](const auto& item) { ++visits[item.first]; });
  }
  void go_on() {
    while (step()) {
    }
  }

  TableWalk walk;
  std::unordered_map<int, int> table;
  std::map<int, int> visits;
};

TEST_F(TableWalkTest, VisitsEachOnceWhereNothingChanges) {
  go_on();
  EXPECT_EQ(visits.size(), 1000u);
  EXPECT_THAT(visits, testing::Each(testing::Pair(testing::_, 1)));
  EXPECT_FALSE(step()) << "it has ended";
}

TEST_F(TableWalkTest, AStepIsShort) {
  std::size_t steps = 1;
  while (step()) ++steps;
  EXPECT_GE(steps, 1000u);
}

TEST_F(TableWalkTest, WhoIsThereAllTheTimeIsVisitedAlsoWhereOthersEnd) {
  for (int i = 0; i < 100; ++i) step();
  for (int key = 0; key < 1000; key += 2) table.erase(key);
  go_on();
  for (const auto& [key, value] : table) EXPECT_EQ(visits[key], 1) << key;
}

TEST_F(TableWalkTest, WhoIsThereAllTheTimeIsVisitedAlsoWhereTheTableGrows) {
  for (int i = 0; i < 100; ++i) step();
  const std::size_t before = table.bucket_count();
  fill(1000, 4000);
  ASSERT_GT(table.bucket_count(), before);
  go_on();
  for (int key = 0; key < 1000; ++key) {
    EXPECT_THAT(visits[key], testing::AllOf(testing::Ge(1), testing::Le(2))) << key;
  }
}

TEST_F(TableWalkTest, EndsAtOnceWhereThereIsNobody) {
  table = {};
  go_on();
  EXPECT_THAT(visits, testing::IsEmpty());
}

}  // namespace
}  // namespace siglane
