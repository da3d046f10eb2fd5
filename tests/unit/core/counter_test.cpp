#include "core/counter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/counters.h"

namespace siglane {
namespace {

const Counter spoons{"test.spoons", "spoons"};
const Counter spoons_again{"test.spoons", "spoons"};
const LabelledCounter forks{"test.forks", "forks", {{"size"}, {"place"}}};

TEST(Counter, StandsInTheCatalogueAsItWasDefined) {
  const CounterInfo& info = counter_catalogue()[forks.total().index()];
  EXPECT_EQ(info.name, "test.forks");
  EXPECT_EQ(info.help, "forks");
  ASSERT_EQ(info.labels.size(), 2u);
  EXPECT_EQ(info.labels[1].name, "place");
}

TEST(Counter, ThatIsDefinedTwiceInTheSameWordsIsOne) {
  EXPECT_EQ(spoons.index(), spoons_again.index());
}

TEST(CounterDeathTest, ANameThatIsDefinedTwiceWithDifferentWordsEndsTheProgram) {
  EXPECT_DEATH((Counter{"test.spoons", "knives"}),
               "counter test.spoons: is defined twice, with different words");
  EXPECT_DEATH((LabelledCounter{"test.spoons", "spoons", {{"size"}}}), "is defined twice");
}

TEST(CounterDeathTest, ACounterThatIsDefinedAfterTheNodeWasMadeEndsTheProgram) {
  const Counters node;
  EXPECT_DEATH((Counter{"test.late", "late"}),
               "counter test.late: is defined after the node was made");
}

TEST(Counters, CountEachByItself) {
  Counters counters;
  counters.add(spoons);
  counters.add(spoons, 2);
  EXPECT_EQ(counters.get(spoons), 3u);
  EXPECT_EQ(counters.get(forks.total()), 0u);
}

TEST(Counters, CountALabelledOneInTotalAndByItsLabels) {
  Counters counters;
  counters.add(forks, {1, 2});
  counters.add(forks, {1, 3});
  counters.add(forks, {1, 2});
  EXPECT_EQ(counters.get(forks.total()), 3u);
  std::vector<std::pair<std::uint32_t, std::uint64_t>> by_place;
  counters.labelled().visit(
      [&](const CounterInfo& counter, std::span<const std::uint32_t> values, std::uint64_t count) {
        EXPECT_EQ(counter.name, "test.forks");
        by_place.emplace_back(values[1], count);
      });
  EXPECT_THAT(by_place, testing::UnorderedElementsAre(std::pair(2u, 2u), std::pair(3u, 1u)));
}

}  // namespace
}  // namespace siglane
