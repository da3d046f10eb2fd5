#include "apps/ctl/table.h"

#include <gtest/gtest.h>

namespace siglane::ctl {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRight) {
  Table table({{"NAME"}, {"RATE", true}, {"NOTE"}});
  table.add({"a", "1", "x"});
  table.add({"longer", "12345", ""});
  EXPECT_EQ(table.text(),
            "NAME     RATE  NOTE\n"
            "a           1  x\n"
            "longer  12345\n");
}

TEST(Table, ShrinksTheWidestColumnThatMayUntilTheLineFits) {
  Table table({{"A", false, 4}, {"B", false, 4}, {"C"}});
  table.add({"aaaaaaaaaaaa", "bbbbbbbb", "cccccccc"});
  EXPECT_EQ(table.text(26),
            "A        B        C\n"
            "aaaaaa~  bbbbbb~  cccccccc\n");
}

TEST(Table, NeverShrinksWhatMayNot) {
  Table table({{"A", false, 4}, {"B"}});
  table.add({"aaaaaaaa", "bbbbbbbb"});
  EXPECT_EQ(table.text(5),
            "A     B\n"
            "aaa~  bbbbbbbb\n");
}

TEST(Table, LeavesOutAColumn) {
  Table table({{"A"}, {"B"}});
  table.add({"1", "2"});
  table.drop("A");
  table.drop("nothing");
  EXPECT_EQ(table.text(), "B\n2\n");
}

}  // namespace
}  // namespace siglane::ctl
