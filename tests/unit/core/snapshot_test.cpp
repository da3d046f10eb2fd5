#include "core/snapshot.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace siglane {
namespace {

TEST(Snapshot, IsWhatTheLastWriterMadeOfIt) {
  Snapshot<std::vector<int>> numbers(std::vector<int>{1});
  const auto before = numbers.load();
  numbers.update([](std::vector<int>& all) { all.push_back(2); });
  EXPECT_EQ(*numbers.load(), (std::vector<int>{1, 2}));
  EXPECT_EQ(*before, std::vector<int>{1}) << "what was loaded does not change";
}

TEST(Snapshot, TakesAValueThatWasMadeElsewhere) {
  const auto first = std::make_shared<const int>(1), second = std::make_shared<const int>(2);
  Snapshot<int> number(first);
  Snapshot<int>::Reader reader;
  EXPECT_EQ(&reader.get(number), first.get());
  number.set(second);
  EXPECT_EQ(number.load(), second);
  EXPECT_EQ(&reader.get(number), second.get());
}

TEST(Snapshot, ReaderSeesEachChangeAtItsNextLook) {
  Snapshot<int> number(1);
  Snapshot<int>::Reader reader;
  EXPECT_EQ(reader.get(number), 1);
  number.update([](int& value) { value = 2; });
  EXPECT_EQ(reader.get(number), 2);
}

TEST(Snapshot, ReaderReturnsTheSameObjectWhileNothingChanges) {
  Snapshot<int> number(1);
  Snapshot<int>::Reader reader;
  const int* first = &reader.get(number);
  EXPECT_EQ(&reader.get(number), first);
}

// Under the thread sanitizer too.
TEST(Snapshot, ReadersOnOtherThreadsSeeWholeValuesInTheOrderTheyWereWritten) {
  constexpr int kWrites = 2000;
  struct Pair {
    int a = 0, b = 0;
  };
  Snapshot<Pair> pair;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&pair] {
      Snapshot<Pair>::Reader reader;
      for (int last = 0; last < kWrites;) {
        const Pair& seen = reader.get(pair);
        ASSERT_EQ(seen.a, seen.b);
        ASSERT_GE(seen.a, last);
        last = seen.a;
      }
    });
  }
  for (int i = 0; i < kWrites; ++i) {
    pair.update([](Pair& value) {
      ++value.a;
      ++value.b;
    });
  }
}

}  // namespace
}  // namespace siglane
