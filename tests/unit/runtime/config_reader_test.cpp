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

// What effective() shows of `text`, as it is printed.
template <class Read>
std::string effective(std::string_view text, Read read) {
  auto document = JsonDocument::parse("/etc/c.json", text);
  if (!document) return document.error().what;
  ConfigReader reader(*document);
  read(reader.root());
  auto good = reader.finish();
  return good ? to_text(reader.effective()) : good.error().what;
}

enum class Colour { red, blue };
[[maybe_unused]] std::string_view name_of(Colour colour) {
  return colour == Colour::red ? "red" : "blue";
}
std::optional<Colour> colour_of(std::string_view name) {
  if (name == "red") return Colour::red;
  return name == "blue" ? std::optional(Colour::blue) : std::nullopt;
}

void read_all_kinds(ObjectReader r) {
  r.required_string("s");
  r.string("s2", "y");
  r.boolean("b", true);
  r.number<int>("n", -7);
  r.number<std::uint64_t>("n2", UINT64_MAX);
  r.decimal("d", 2.5);
  r.milliseconds("t_ms", 1s);
  r.choice("c", 1, {{"one", 1}, {"two", 2}});
  r.parsed("colour", Colour::blue, "a colour", colour_of);
  r.parsed("a_word", std::string("abc"), "an a-word", word_starting_with_a);
  r.strings("list");
  r.numbers<int>("numbers");
  r.parsed_list("words", "an a-word", word_starting_with_a);
  r.file_path("file", "default.db");
  r.object("o").number<int>("k", 9);
  for (const ObjectReader& o : r.objects("os")) o.number<int>("k", 9);
}

TEST(ConfigReader, TheEffectiveConfigHasEveryDefaultInTheOrderOfAsking) {
  EXPECT_EQ(effective(R"({"s": "x"})", read_all_kinds), R"({
  "s": "x",
  "s2": "y",
  "b": true,
  "n": -7,
  "n2": 18446744073709551615,
  "d": 2.5,
  "t_ms": 1000,
  "c": "one",
  "colour": "blue",
  "a_word": "abc",
  "list": [],
  "numbers": [],
  "words": [],
  "file": "/etc/default.db",
  "o": {
    "k": 9
  },
  "os": []
})");
}

TEST(ConfigReader, TheEffectiveConfigHasWhatStandsInTheFile) {
  const std::string text = R"({
  "s": "a \"quoted\" \u00e9",
  "s2": "",
  "b": false,
  "n": 0,
  "n2": 1,
  "d": 1.25,
  "t_ms": 250,
  "c": "two",
  "colour": "red",
  "a_word": "a",
  "list": ["a", "b"],
  "numbers": [1, -2],
  "words": ["ab"],
  "file": "/var/x.db",
  "o": {
    "k": 1
  },
  "os": [
    {
      "k": 2
    },
    {
      "k": 9
    }
  ]
})";
  EXPECT_EQ(effective(text, read_all_kinds), text);
  std::string shuffled = text;  // the order is that of asking
  shuffled.replace(shuffled.find("\"t_ms\": 250,"), 12, "");
  shuffled.replace(shuffled.find("{"), 1, "{\"t_ms\": 250,");
  EXPECT_EQ(effective(shuffled, read_all_kinds), text);
}

TEST(ConfigReader, TheEffectiveConfigLeavesOutWhatIsAbsentAndWhatTheFileCouldNotSay) {
  EXPECT_EQ(effective(R"({"there": {}})",
                      [](ObjectReader r) {
                        EXPECT_FALSE(r.has("asked"));
                        EXPECT_FALSE(r.is_word("asked", "auto"));
                        r.optional_number<int>("on");
                        r.optional_object("oo");
                        EXPECT_TRUE(r.optional_object("there"));
                        r.object("nothing_asked").has("x");
                        r.number<int>("bytes", 0, {.min = 512, .max = 65535});
                        r.decimal("rate", 0, {.min = 1, .max = 2});
                        r.milliseconds("t_ms", 0ms, {.min = 10ms, .max = 1s});
                        r.parsed("none", std::string(), "an a-word", word_starting_with_a);
                        r.parsed("other", 5, "a colour",
                                 [](std::string_view) { return std::optional(1); });
                        r.number<int>("no_effect", 3);
                        r.leave_out("no_effect");
                      }),
            "{\n  \"there\": {}\n}");
}

TEST(ConfigReader, TheEffectiveConfigHasAWordInTheNumbersPlace) {
  const auto read = [](ObjectReader r) {
    if (!r.is_word("shards", "auto")) r.number<int>("shards", 1);
  };
  EXPECT_EQ(effective(R"({"shards": "auto"})", read), "{\n  \"shards\": \"auto\"\n}");
  EXPECT_EQ(effective(R"({"shards": 4})", read), "{\n  \"shards\": 4\n}");
}

TEST(ConfigReader, TheEffectiveConfigHasWhatTheCommandLineSaysInstead) {
  EXPECT_EQ(effective(R"({"level": "info"})",
                      [](ObjectReader r) {
                        r.string("level", "off");
                        r.string("socket", "");
                        r.show_instead("level", {std::string("debug")});
                        r.show_instead("socket", {std::string("/tmp/s")});
                      }),
            "{\n  \"level\": \"debug\",\n  \"socket\": \"/tmp/s\"\n}");
}

TEST(ConfigReader, TheEffectiveConfigShowsOfASecretOnlyThatItChanged) {
  const auto shown = [](const std::string& key) {
    return effective("{\"k\": \"" + key + "\"}", [](ObjectReader r) { r.hex_bytes("k", 2); });
  };
  // The beginning of the SHA-256 of "00ff".
  EXPECT_EQ(shown("00ff"), "{\n  \"k\": \"" + masked("00ff") + "\"\n}");
  EXPECT_EQ(masked("abc"), "(secret, ba7816bf)");  // FIPS 180-2 B.1
  EXPECT_NE(shown("00ff"), shown("00fe"));
  EXPECT_THAT(shown("00ff"), testing::Not(testing::HasSubstr("00ff\"")));
}

TEST(ConfigReader, PathsBeginBesideTheConfigAndAreAbsoluteInTheEffectiveConfig) {
  EXPECT_EQ(effective(R"({"a": "x/../y.db", "b": "/z", "c": ""})",
                      [](ObjectReader r) {
                        EXPECT_EQ(r.required_file_path("a"), "/etc/x/../y.db");
                        EXPECT_EQ(r.required_file_path("b"), "/z");
                        EXPECT_EQ(r.file_path("c", "d"), "");
                        EXPECT_EQ(r.file_path("d", "d"), "/etc/d");
                        EXPECT_EQ(r.file_path("e", ""), "");
                      }),
            "{\n  \"a\": \"/etc/y.db\",\n  \"b\": \"/z\",\n  \"c\": \"\",\n  \"d\": \"/etc/d\",\n"
            "  \"e\": \"\"\n}");
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
