#include "apps/runtime/printable.h"

#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

TEST(Printable, LeavesPrintableAsciiAsItIs) {
  EXPECT_EQ(printable("mme01.epc-1_x ~!\"'"), "mme01.epc-1_x ~!\"'");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("a\x1b[31mred"), "a\\u001b[31mred");
  EXPECT_EQ(printable(std::string_view("\0\n\r\t\b\f\x7f", 7)), "\\u0000\\n\\r\\t\\b\\f\\u007f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\u009b") << "CSI of eight bits";
}

TEST(Printable, EscapesWhatWouldChangeTheOrderOfTextOrHideIt) {
  EXPECT_EQ(printable("abc\xe2\x80\xae"
                      "cba"),
            "abc\\u202ecba")
      << "right-to-left override";
  EXPECT_EQ(printable("\xef\xbb\xbf"), "\\ufeff") << "a zero-width space";
  EXPECT_EQ(printable("\xd0\xb0"), "\\u0430") << "a Cyrillic letter that looks like an a";
  EXPECT_EQ(printable("\xf0\x9f\x98\x80"), "\\ud83d\\ude00");
}

TEST(Printable, ShowsEachByteThatIsNotUtf8) {
  EXPECT_EQ(printable("\xff\x80"
                      "a"),
            "\\xff\\x80a");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "an overlong /";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond U+10FFFF";
  EXPECT_EQ(printable("\xe2\x80"), "\\xe2\\x80") << "cut off";
}

TEST(Printable, NoTwoTextsLookTheSame) {
  EXPECT_EQ(printable("\\n"), "\\\\n");
  EXPECT_NE(printable("\\n"), printable("\n"));
}

TEST(Printable, WithoutTheBackslashItChangesNothingThatIsPrintableAlready) {
  for (std::string_view text : {"a\x1b\\", "\xff", "x\\u001by", "\xe2\x80\xae"}) {
    const std::string once = printable(text);
    EXPECT_TRUE(is_printable(once));
    EXPECT_EQ(printable(once, ""), once);
  }
}

TEST(Printable, InQuotesNothingEndsTheQuotationEarly) {
  EXPECT_EQ(in_quotes("a\"b\\\n"), "\"a\\\"b\\\\\\n\"");
}

}  // namespace
}  // namespace siglane::runtime
