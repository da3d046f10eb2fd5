#include "apps/runtime/json_document.h"

#include <string>

#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  auto document = JsonDocument::parse("c.json", text, limits);
  return document ? "" : document.error().what;
}

const JsonValue& member(const JsonValue& object, std::string_view key) {
  for (const JsonMember& member : std::get<JsonValue::Object>(object.value)) {
    if (member.key == key) return member.value;
  }
  ADD_FAILURE() << "no " << key;
  return object;
}

TEST(JsonDocument, KnowsTheLineOfEveryKindOfValue) {
  auto document = JsonDocument::parse("c.json", R"({
  "string": "a",
  "number": 12,
  "negative": -7
  ,
  "fraction": 1.5,
  "flag": true,
  "nothing":
    null,
  "array": [
    1,
    2],
  "object":
  {}
})");
  ASSERT_TRUE(document) << document.error().what;
  const JsonValue& root = document->root;
  EXPECT_EQ(root.line, 1);
  EXPECT_EQ(member(root, "string").line, 2);
  EXPECT_EQ(member(root, "number").line, 3);
  EXPECT_EQ(member(root, "negative").line, 4);
  EXPECT_EQ(member(root, "fraction").line, 6);
  EXPECT_EQ(member(root, "flag").line, 7);
  EXPECT_EQ(member(root, "nothing").line, 9);
  EXPECT_EQ(member(root, "array").line, 10);
  EXPECT_EQ(std::get<JsonValue::Array>(member(root, "array").value).at(0).line, 11);
  EXPECT_EQ(std::get<JsonValue::Array>(member(root, "array").value).at(1).line, 12);
  EXPECT_EQ(member(root, "object").line, 14);
  EXPECT_EQ(std::get<JsonValue::Object>(root.value)[7].line, 13);  // its key
}

TEST(JsonDocument, KnowsTheLineOfANumberThatEndsItsLineOrTheFile) {
  EXPECT_EQ(JsonDocument::parse("c.json", "\n7")->root.line, 2);
  EXPECT_EQ(JsonDocument::parse("c.json", "\n7\n\n\n")->root.line, 2);
  EXPECT_EQ(JsonDocument::parse("c.json", "\n7\r\n\r\n")->root.line, 2);
}

TEST(JsonDocument, KeepsWholeNumbersExactToTheEndsOfTheirRange) {
  auto document = JsonDocument::parse("c.json", "[18446744073709551615, -9223372036854775808]");
  ASSERT_TRUE(document);
  const auto& array = std::get<JsonValue::Array>(document->root.value);
  EXPECT_EQ(std::get<std::uint64_t>(array[0].value), UINT64_MAX);
  EXPECT_EQ(std::get<std::int64_t>(array[1].value), INT64_MIN);
}

TEST(JsonDocument, RefusesTheSameKeyTwiceAndSaysWhere) {
  EXPECT_EQ(error_of("{\"peers\": [{}, {\"name\": 1,\n\"port\": 2,\n\"name\": 3}]}"),
            "c.json:3: /peers/1/name: the key \"name\" stands here a second time");
}

TEST(JsonDocument, AllowsTheSameKeyInDifferentObjects) {
  EXPECT_EQ(error_of(R"([{"name": 1}, {"name": {"name": 2}}])"), "");
}

TEST(JsonDocument, SaysWhereAndWhyItIsNotJson) {
  EXPECT_EQ(error_of("{\n  \"a\": 1,\n  \"b\"\n}"),
            "c.json:4: not JSON: syntax error while parsing object separator - unexpected '}'; "
            "expected ':'");
  EXPECT_EQ(error_of("").find("c.json:1: not JSON: "), 0u);
  EXPECT_EQ(error_of("{} x").find("c.json:1: not JSON: "), 0u);
  EXPECT_EQ(error_of("[1,\n2,\n").find("c.json:2: not JSON: "), 0u);
  EXPECT_EQ(error_of("[\"\xff\"]").find("c.json:1: not JSON: "), 0u);
}

TEST(JsonDocument, QuotesNothingOfAFileThatMayHoldKeys) {
  for (std::string_view bad : {"{\"k\": \"c0ffee\n\"}", "{\"k\": c0ffee}", "{\"k\": \"c0ffee\\u\"}",
                               "{\"k\": \"c0ffee", "{\"k\": 1c0ffee}"}) {
    const std::string error = error_of(bad);
    EXPECT_EQ(error.find("c.json:"), 0u) << bad;
    EXPECT_EQ(error.find("c0ff"), std::string::npos) << error;
  }
  EXPECT_EQ(error_of("[46e5555]"), "c.json:1: not JSON: number overflow");
}

// The one number of a text, however its type is written.
std::string number(std::string_view text) {
  auto document = JsonDocument::parse("c.json", text);
  if (!document) return document.error().what;
  const auto& value = document->root.value;
  if (const auto* u = std::get_if<std::uint64_t>(&value)) return std::to_string(*u);
  if (const auto* i = std::get_if<std::int64_t>(&value)) return std::to_string(*i);
  return std::holds_alternative<double>(value) ? "a fraction" : "no number";
}

TEST(JsonDocument, ANumberWithoutAFractionIsAnIntegerHoweverItIsWritten) {
  EXPECT_EQ(number("1e+06"), "1000000");
  EXPECT_EQ(number("1.0"), "1");
  EXPECT_EQ(number("-2.50e1"), "-25");
  EXPECT_EQ(number("120e-1"), "12");
  EXPECT_EQ(number("0.0"), "0");
  EXPECT_EQ(number("-0.0"), "0");
  EXPECT_EQ(number("0e99999999999999999999"), "0");
  EXPECT_EQ(number("1.5"), "a fraction");
  EXPECT_EQ(number("1e-1"), "a fraction");
  EXPECT_EQ(number("1e-99999999999999999999"), "a fraction");
}

TEST(JsonDocument, AnIntegerInExponentFormIsExactToTheEndsOfItsRange) {
  EXPECT_EQ(number("1844674407370955161.5e1"), "18446744073709551615");
  EXPECT_EQ(number("9007199254740993.0"), "9007199254740993") << "no double is this number";
  EXPECT_EQ(number("-9.223372036854775808e18"), "-9223372036854775808");
  EXPECT_EQ(number("1844674407370955161.6e1"), "a fraction") << "2^64: as far as a field goes";
  EXPECT_EQ(number("-9.223372036854775809e18"), "a fraction");
  EXPECT_EQ(number("1e300"), "a fraction");
}

TEST(JsonDocument, AllowsCommentsAndStillKnowsEveryLine) {
  auto document = JsonDocument::parse("c.json", R"(// a config
{ // with comments
  "a": 1, // one
  /* of
     several lines */ "b": /* here */ 2 // two
  ,
  "c": [ // an array
    3 /* last */
  ] /* "d": 4 */
} // the end)");
  ASSERT_TRUE(document) << document.error().what;
  EXPECT_EQ(document->root.line, 2);
  EXPECT_EQ(member(document->root, "a").line, 3);
  EXPECT_EQ(member(document->root, "b").line, 5);
  EXPECT_EQ(member(document->root, "c").line, 7);
  EXPECT_EQ(std::get<JsonValue::Array>(member(document->root, "c").value).at(0).line, 8);
  EXPECT_EQ(std::get<JsonValue::Object>(document->root.value).size(), 3u);
  EXPECT_EQ(error_of("{\"a\": \"// no comment /* either */\"}"), "");
}

TEST(JsonDocument, SaysWhereACommentIsNone) {
  EXPECT_EQ(error_of("{\n/* no end"),
            "c.json:2: not JSON: syntax error while parsing object key - invalid comment; missing "
            "closing '*/'");
  EXPECT_EQ(error_of("{\n# not so").find("c.json:2: not JSON: "), 0u);
  EXPECT_EQ(error_of("{\n/ 1").find("c.json:2: not JSON: "), 0u);
}

TEST(JsonDocument, RefusesWhatStandsBehindTheEnd) {
  using std::string_view_literals::operator""sv;
  const std::string nul = ": not JSON: a NUL byte; expected text to the end of the file";
  EXPECT_EQ(error_of("{}\n{}").find("c.json:2: not JSON: "), 0u);
  EXPECT_EQ(error_of("{}\n\0"sv), "c.json:2" + nul);
  EXPECT_EQ(error_of("{}\0garbage"sv), "c.json:1" + nul);
  EXPECT_EQ(error_of("{}\n\n// \0"sv), "c.json:3" + nul);
  EXPECT_EQ(error_of("{\"a\": \"\0\"}"sv), "c.json:1" + nul);
  EXPECT_EQ(error_of("{}\n// said\n"), "");
}

TEST(JsonDocument, ShowsNoControlCharacterOfAKey) {
  EXPECT_EQ(error_of(R"({"\u001b[2J": 1, "\u001b[2J": 2})"),
            R"(c.json:1: "/\u001b[2J": the key "\u001b[2J" stands here a second time)");
}

TEST(JsonDocument, RefusesNumbersThatNoFieldCouldHold) {
  EXPECT_EQ(error_of("[\n1e999]").find("c.json:2: not JSON: "), 0u) << error_of("[\n1e999]");
}

TEST(JsonDocument, RefusesDeepNestingAndLargeFiles) {
  EXPECT_EQ(error_of("[[[[]]]]", {.depth_max = 3}), "c.json:1: nested deeper than 3 levels");
  EXPECT_EQ(error_of("[[[]]]", {.depth_max = 3}), "");
  EXPECT_EQ(error_of("[1, 2]", {.file_bytes_max = 5}),
            "c.json: 6 bytes are more than the 5 that are read");
  EXPECT_EQ(error_of(std::string(1'000'000, '[')), "c.json:1: nested deeper than 32 levels");
}

TEST(JsonDocument, NamesTheFileThatCannotBeRead) {
  EXPECT_EQ(JsonDocument::load("/nonexistent/c.json").error().what,
            "/nonexistent/c.json: cannot be read: No such file or directory");
  EXPECT_EQ(JsonDocument::load("/tmp").error().what, "/tmp: is a directory, not a JSON file");
}

TEST(JsonDocument, PrintsAValueSoThatItIsTheSameAgain) {
  const std::string text = R"({
  "none": null,
  "flags": [true, false],
  "numbers": [0, -9223372036854775808, 18446744073709551615, 0.1, 1e+300, -2.5],
  "text": "\u001b \"\\ \u00e9 \ud83d\ude00 \u007f\n",
  "empty": {},
  "nothing": [],
  "mixed": [
    1,
    {
      "\u00fc": [
        [1, 2],
        []
      ]
    }
  ]
})";
  const auto document = JsonDocument::parse("c.json", text);
  ASSERT_TRUE(document) << document.error().what;
  EXPECT_EQ(to_text(document->root), text);
  EXPECT_EQ(to_text(JsonDocument::parse("c.json", "[-0.0]")->root), "[0]");
  EXPECT_EQ(to_text({std::string("abc"), 1, 0, true}), "\"(secret, ba7816bf)\"");
}

TEST(JsonDocument, ValuesAreEqualWhereverTheyStand) {
  const auto root = [](std::string_view text) { return JsonDocument::parse("c.json", text)->root; };
  EXPECT_EQ(root("{\"a\": [1, {}]}"), root("{\n\"a\":\n[1,\n{}]}"));
  EXPECT_FALSE(root("[1]") == root("[2]"));
  EXPECT_FALSE(root("{\"a\": 1}") == root("{\"b\": 1}"));
}

TEST(JsonDocument, DescribesValuesBriefly) {
  EXPECT_EQ(describe({std::string("abc"), 1, 0, true}), "the value (not shown)");
  auto say = [](std::string_view text) {
    return describe(JsonDocument::parse("c.json", text)->root);
  };
  EXPECT_EQ(say("null"), "null");
  EXPECT_EQ(say("true"), "true");
  EXPECT_EQ(say("70000"), "70000");
  EXPECT_EQ(say("-3"), "-3");
  EXPECT_EQ(say("1.5"), "1.5");
  EXPECT_EQ(say(R"("a\"b\n")"), R"("a\"b\n")");
  EXPECT_EQ(say("[1]"), "an array");
  EXPECT_EQ(say("{}"), "an object");
  EXPECT_EQ(say('"' + std::string(200, 'x') + '"'), '"' + std::string(80, 'x') + "...\"");
}

}  // namespace
}  // namespace siglane::runtime
