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

TEST(Table, LeavesOutTheLastOptionalColumnsBeforeItShrinksAny) {
  Table table({{"A", false, 4}, {"B", false, 0, true}, {"C"}, {"D", false, 0, true}});
  table.add({"aaaaaaaa", "bb", "cc", "dd"});
  EXPECT_EQ(table.text(20), "A         B   C   D\naaaaaaaa  bb  cc  dd\n");
  EXPECT_EQ(table.text(19), "A         B   C\naaaaaaaa  bb  cc\n");
  EXPECT_EQ(table.text(12), "A         C\naaaaaaaa  cc\n");
  EXPECT_EQ(table.text(9), "A      C\naaaa~  cc\n");
}

TEST(FittedToScreen, KeepsTheFirstLinesAndTheLastAndSaysWhatIsMissing) {
  EXPECT_EQ(fitted_to_screen("a\nb\nc\n", 3, 80), "a\nb\nc\n");
  EXPECT_EQ(fitted_to_screen("a\nb\nc\nd\nsum\n", 4, 80),
            "a\nb\n... and 2 lines more than fit this screen\nsum\n");
  EXPECT_EQ(fitted_to_screen("a\nb\nc\n", 2, 80), "a\nb\n");
  EXPECT_EQ(fitted_to_screen("", 4, 80), "");
}

TEST(FittedToScreen, CutsLinesThatWouldWrap) {
  EXPECT_EQ(fitted_to_screen("12345\n123456\n", 9, 5), "12345\n1234~\n");
  EXPECT_EQ(fitted_to_screen("12345\n", 9, 0), "\n");
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
