#include "apps/runtime/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Reads `text` with `read` and returns what finish() has to say.
template <class Read>
std::string errors_of(std::string_view text, Read read) {
  auto document = JsonDocument::parse("c.json", text);
  if (!document) return document.error().what;
  ConfigReader reader(*document);
  read(reader.root());
  auto good = reader.finish();
  return good ? "" : good.error().what;
}

auto word_starting_with_a(std::string_view text) {
  return text.starts_with('a') ? std::optional(std::string(text)) : std::nullopt;
}

TEST(ConfigReader, GivesWhatStandsInTheFile) {
  EXPECT_EQ(errors_of(R"({"s": "x", "b": true, "n": 7, "d": 1.5, "whole": 2, "t_ms": 250,
                          "c": "two", "h": "00fF", "list": ["a", "b"], "numbers": [1, 2],
                          "o": {"k": 1}, "os": [{"k": 2}, {"k": 3}], "p": "abc", "ps": ["ab"]})",
                      [](ObjectReader r) {
                        EXPECT_EQ(r.required_string("s"), "x");
                        EXPECT_EQ(r.string("s", "y"), "x");
                        EXPECT_TRUE(r.boolean("b", false));
                        EXPECT_EQ(r.number<int>("n", 1), 7);
                        EXPECT_EQ(r.required_number<std::uint8_t>("n"), 7);
                        EXPECT_EQ(r.decimal("d", 0), 1.5);
                        EXPECT_EQ(r.required_decimal("whole"), 2.0);
                        EXPECT_EQ(r.milliseconds("t_ms", 1s), 250ms);
                        EXPECT_EQ(r.choice("c", 1, {{"one", 1}, {"two", 2}}), 2);
                        EXPECT_THAT(r.hex_bytes("h", 2),
                                    ElementsAre(std::byte{0}, std::byte{0xff}));
                        EXPECT_THAT(r.strings("list"), ElementsAre("a", "b"));
                        EXPECT_THAT(r.numbers<int>("numbers"), ElementsAre(1, 2));
                        EXPECT_EQ(r.object("o").number<int>("k", 0), 1);
                        std::vector<int> ks;
                        for (const ObjectReader& o : r.objects("os")) {
                          ks.push_back(o.required_number<int>("k"));
                        }
                        EXPECT_THAT(ks, ElementsAre(2, 3));
                        EXPECT_EQ(r.required_parsed("p", "an a-word", word_starting_with_a), "abc");
                        EXPECT_THAT(r.parsed_list("ps", "an a-word", word_starting_with_a),
                                    ElementsAre("ab"));
                      }),
            "");
}

TEST(ConfigReader, GivesTheDefaultWhereNothingStands) {
  EXPECT_EQ(errors_of("{}",
                      [](ObjectReader r) {
                        EXPECT_FALSE(r.has("s"));
                        EXPECT_EQ(r.string("s", "y"), "y");
                        EXPECT_TRUE(r.boolean("b", true));
                        EXPECT_EQ(r.number<std::uint64_t>("n", UINT64_MAX), UINT64_MAX);
                        EXPECT_EQ(r.decimal("d", 2.5), 2.5);
                        EXPECT_EQ(r.milliseconds("t_ms", 1s), 1s);
                        EXPECT_EQ(r.choice("c", 1, {{"one", 1}, {"two", 2}}), 1);
                        EXPECT_THAT(r.strings("list"), IsEmpty());
                        EXPECT_THAT(r.objects("os"), IsEmpty());
                        EXPECT_EQ(r.object("o").number<int>("k", 9), 9);
                        EXPECT_FALSE(r.optional_object("oo"));
                        EXPECT_EQ(r.parsed("p", std::string("a"), "x", word_starting_with_a), "a");
                      }),
            "");
}

TEST(ConfigReader, SaysFileLinePathWhatWasFoundAndWhatIsExpected) {
  EXPECT_EQ(errors_of("{\"peers\": [\n{},\n{\"remote_addresses\":\n[\"abc\", \"10.0.0\"]}]}",
                      [](ObjectReader r) {
                        for (const ObjectReader& peer : r.objects("peers")) {
                          peer.parsed_list("remote_addresses", "an IP address",
                                           word_starting_with_a);
                        }
                      }),
            "c.json:4: /peers/1/remote_addresses/1: \"10.0.0\" is not an IP address");
}

TEST(ConfigReader, RefusesValuesOfAnotherType) {
  auto read = [](ObjectReader r) {
    r.required_string("s");
    r.boolean("b", true);
    r.number<std::uint16_t>("n", 1);
    r.decimal("d", 0);
    r.milliseconds("t_ms", 1s);
    r.choice("c", 1, {{"one", 1}, {"two", 2}});
    r.choice("single", 1, {{"one", 1}});
    r.strings("list");
    r.strings("list2");
    r.object("o").required_string("not_missed_a_second_time");
    r.objects("os");
    r.objects("os2");
  };
  EXPECT_EQ(errors_of(R"({"s": 5,
    "b": "true",
    "n": 1.5,
    "d": "1.5",
    "t_ms": "250ms",
    "c": "three",
    "single": null,
    "list": "a",
    "list2": ["a", 7],
    "o": [],
    "os": {},
    "os2": [{}, 3]})",
                      read),
            "c.json:1: /s: 5 is not a string\n"
            "c.json:2: /b: \"true\" is not true or false\n"
            "c.json:3: /n: 1.5 is not a whole number from 0 to 65535\n"
            "c.json:4: /d: \"1.5\" is not a number\n"
            "c.json:5: /t_ms: \"250ms\" is not a whole number from 0 to 86400000\n"
            "c.json:6: /c: \"three\" is not one of \"one\", \"two\"\n"
            "c.json:7: /single: null is not \"one\"\n"
            "c.json:8: /list: \"a\" is not an array of at most 65536 elements\n"
            "c.json:9: /list2/1: 7 is not a string\n"
            "c.json:10: /o: an array is not an object\n"
            "c.json:11: /os: an object is not an array of at most 65536 elements\n"
            "c.json:12: /os2/1: 3 is not an object");
}

TEST(ConfigReader, RefusesValuesOutOfRange) {
  auto read = [](ObjectReader r) {
    EXPECT_EQ(r.number<std::uint16_t>("port", 1, {.min = 1}), 1);
    r.number<std::int8_t>("small", 0);
    r.number<std::uint64_t>("large", 0, {.max = 10});
    r.decimal("share", 0.5, {.min = 0, .max = 1});
    r.milliseconds("t_ms", 1s, {.min = 100ms, .max = 5s});
    r.hex_bytes("h", 2);
    r.hex_bytes("h2", 2);
    r.hex_bytes("h3", 2);
    r.strings("few", {.min = 1, .max = 2});
    r.strings("none", {.min = 1});
    r.numbers<std::uint8_t>("octets");
  };
  EXPECT_EQ(errors_of(R"({"port": 70000,
    "small": -129,
    "large": 18446744073709551615,
    "share": -0.5,
    "t_ms": 5001,
    "h": "00f",
    "h2": "00fg",
    "h3": 4711,
    "few": ["a", "b", "c"],
    "none": [],
    "octets": [255, 256]})",
                      read),
            "c.json:1: /port: 70000 is not a whole number from 1 to 65535\n"
            "c.json:2: /small: -129 is not a whole number from -128 to 127\n"
            "c.json:3: /large: 18446744073709551615 is not a whole number from 0 to 10\n"
            "c.json:4: /share: -0.5 is not a number from 0 to 1\n"
            "c.json:5: /t_ms: 5001 is not a whole number from 100 to 5000\n"
            "c.json:6: /h: a string of 3 characters is not 4 hexadecimal digits\n"
            "c.json:7: /h2: a string of 4 characters is not 4 hexadecimal digits\n"
            "c.json:8: /h3: the value (not shown) is not 4 hexadecimal digits\n"
            "c.json:9: /few: an array of 3 is not an array of 1 to 2 elements\n"
            "c.json:10: /none: an array of 0 is not an array of at least 1 elements\n"
            "c.json:11: /octets/1: 256 is not a whole number from 0 to 255");
}

TEST(ConfigReader, MissesRequiredKeysAtTheLineOfTheirObject) {
  EXPECT_EQ(errors_of("{\n\"peer\": {}\n}",
                      [](ObjectReader r) {
                        r.object("peer").required_string("name");
                        r.object("peer").required_number<int>("port");
                        r.object("absent").required_choice<int>("mode", {{"on", 1}});
                      }),
            "c.json:1: /absent/mode: missing; expected \"on\"\n"
            "c.json:2: /peer/name: missing; expected a string\n"
            "c.json:2: /peer/port: missing; expected a whole number");
}

TEST(ConfigReader, RefusesUnknownKeysAndSuggestsTheNearestKnownOne) {
  EXPECT_EQ(errors_of(R"({"nmae": "a",
    "completely_else": {},
    "inner": {
      "watchdog_s": 3}})",
                      [](ObjectReader r) {
                        r.string("name", "");
                        r.object("inner").milliseconds("watchdog_ms", 1s);
                      }),
            "c.json:1: /nmae: \"nmae\" is not a known key (did you mean \"name\"?)\n"
            "c.json:2: /completely_else: \"completely_else\" is not a known key\n"
            "c.json:4: /inner/watchdog_s: \"watchdog_s\" is not a known key (did you mean "
            "\"watchdog_ms\"?)");
}

TEST(ConfigReader, RefusesControlCharactersInStringsAndNeverRepeatsThemRaw) {
  const std::string error = errors_of(R"({"name": "a\u001b[2J", "bad\u001bkey": 1})",
                                      [](ObjectReader r) { r.required_string("name"); });
  EXPECT_EQ(error,
            "c.json:1: /name: \"a\\u001b[2J\" is not a string without control characters\n"
            "c.json:1: \"/bad\\u001bkey\": \"bad\\u001bkey\" is not a known key");
}

TEST(ConfigReader, RefusesARootThatIsNoObjectOnce) {
  EXPECT_EQ(errors_of("[]",
                      [](ObjectReader r) {
                        r.required_string("name");
                        r.object("node").required_string("name");
                      }),
            "c.json:1: /: an array is not an object");
}

TEST(ConfigReader, LetsAnApplicationAddItsOwnChecks) {
  EXPECT_EQ(errors_of("{\"peers\": [{\"name\": \"b\",\n\"addresses\": [1,\n2]}]}",
                      [](ObjectReader r) {
                        ObjectReader peer = r.objects("peers").at(0);
                        EXPECT_EQ(peer.path(), "/peers/0");
                        peer.numbers<int>("addresses");
                        peer.refuse("name", "a peer of this node");
                        peer.refuse("addresses", 1, "an odd number");
                        peer.complain("port", "is needed where \"connect\" stands");
                      }),
            "c.json:1: /peers/0/name: \"b\" is not a peer of this node\n"
            "c.json:1: /peers/0/port: is needed where \"connect\" stands\n"
            "c.json:3: /peers/0/addresses/1: 2 is not an odd number");
}

TEST(ConfigReader, SaysTheSameOnlyOnceAndNotWithoutEnd) {
  std::string text = "{";
  for (int i = 0; i < 500; ++i) {
    text += (i == 0 ? "" : ",") + ("\n\"k" + std::to_string(i)) + "\": 1";
  }
  const std::string error = errors_of(text + "}", [](ObjectReader r) {
    r.string("k1", "");
    r.string("k1", "");
  });
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), ConfigReader::kErrorsShownMax);
  EXPECT_THAT(error, testing::StartsWith("c.json:2: /k0: "));
  EXPECT_THAT(error, testing::EndsWith("\nc.json: and 480 more"));
}

TEST(ConfigReader, TellsWhichKeysItKnows) {
  auto document = JsonDocument::parse("c.json", R"({"peers": [{}, {}]})");
  ConfigReader reader(*document);
  for (const ObjectReader& peer : reader.root().objects("peers")) peer.string("name", "");
  reader.root().object("node").string("name", "");
  EXPECT_THAT(reader.known_keys(),
              UnorderedElementsAre("/node", "/node/name", "/peers", "/peers/*/name"));
}

}  // namespace
}  // namespace siglane::runtime
