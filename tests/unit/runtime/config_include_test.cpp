#include "apps/runtime/config_include.h"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "apps/runtime/config_reader.h"
#include "tests/support/temporary_directory.h"

namespace siglane::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ConfigInclude : public ::testing::Test {
 protected:
  ConfigInclude() { std::filesystem::create_directory(directory_.path("conf.d")); }

  // The document without line breaks, or the error; the directory's name left out of both.
  std::string load(const std::string& root, const IncludeLimits& limits = {}) {
    const auto document =
        load_config_document(directory_.write("c.json", root), JsonLimits{}, limits);
    std::string text = document ? to_text(document->root) : document.error().what;
    for (const std::string& cut : {directory_.path() + "/", std::string("\n"), std::string("  ")}) {
      for (std::size_t at = 0; (at = text.find(cut)) != text.npos;) text.erase(at, cut.size());
    }
    files_.clear();
    if (document) {
      for (const std::string& file : document->files) {
        files_.push_back(std::filesystem::path(file).filename());
      }
    }
    return text;
  }
  // Reads a config of its own kind, as a daemon does, and returns what finish() says.
  template <class Read>
  std::string read(const std::string& root, Read read) {
    const auto document = load_config_document(directory_.write("c.json", root));
    if (!document) return document.error().what;
    ConfigReader reader(*document);
    read(reader.root());
    const auto good = reader.finish();
    effective_ = good ? to_text(reader.effective()) : "";
    return good ? "" : good.error().what;
  }

  siglane::testing::TemporaryDirectory directory_;
  std::vector<std::string> files_;
  std::string effective_;
};

TEST_F(ConfigInclude, JoinsObjectsAndAppendsArraysInTheOrderOfNames) {
  directory_.write("peers.json", R"({"d": {"peers": [4], "realm": "r"}})");
  directory_.write("conf.d/b.json", R"({"d": {"peers": [3]}})");
  directory_.write("conf.d/a.json", R"({"d": {"peers": [2]}, "log": {"level": "off"}})");
  directory_.write("conf.d/.hidden.json", "{");
  directory_.write("conf.d/c.json.orig", "{");
  EXPECT_EQ(
      load(R"({"include": ["conf.d/*.json", "peers.json"], "d": {"peers": [1], "host": "h"}})"),
      R"({"d": {"peers": [1, 2, 3, 4],"host": "h","realm": "r"},"log": {"level": "off"}})");
  EXPECT_THAT(files_, ElementsAre("c.json", "a.json", "b.json", "peers.json"));
}

TEST_F(ConfigInclude, AnIncludedFileIncludesFilesBesideItself) {
  directory_.write("conf.d/a.json", R"({"include": ["b.json", "../c2.json"], "list": [2]})");
  directory_.write("conf.d/b.json", R"({"list": [3]})");
  directory_.write("c2.json", R"({"list": [4]})");
  EXPECT_EQ(load(R"({"list": [1], "include": ["conf.d/a.json"]})"), R"({"list": [1, 2, 3, 4]})");
}

TEST_F(ConfigInclude, APatternMayMatchNothingAndAPlainNameMustExist) {
  EXPECT_EQ(load(R"({"include": ["conf.d/*.json", "none.d/*.json"]})"), "{}");
  EXPECT_EQ(load("{\n\"include\": [\n\"none.json\"]}"),
            "c.json:3: /include/0: none.json: cannot be read: No such file or directory");
  EXPECT_EQ(load(R"({"include": ["conf.d"]})"),
            "c.json:1: /include/0: conf.d: is a directory, not a JSON file");
}

TEST_F(ConfigInclude, WildcardsInTheNameOfTheDirectoryMeanThemselves) {
  std::filesystem::create_directory(directory_.path("[x]*"));
  directory_.write("[x]*/a.json", R"({"a": 1})");
  directory_.write("[x]*/b.json", R"({"include": ["a.js?n"]})");
  EXPECT_EQ(load(R"({"include": ["\\[x\\]\\*/b.j*"]})"), R"({"a": 1})");
}

TEST_F(ConfigInclude, AScalarThatStandsInTwoFilesIsAnErrorThatNamesBoth) {
  directory_.write("a.json", "{\"log\":\n{\"level\": \"off\"}}");
  EXPECT_EQ(load("{\"include\": [\"a.json\"],\n\"log\": {\n\"level\": \"info\"}}"),
            "a.json:2: /log/level: stands at c.json:3 already");
  EXPECT_EQ(load("{\"include\": [\"a.json\"],\n\"log\": []}"),
            "a.json:2: /log: stands at c.json:2 already, as a value of another kind");
  directory_.write("b.json", "[]");
  EXPECT_EQ(load(R"({"include": ["b.json"]})"), "b.json:1: /: an array is not an object");
}

TEST_F(ConfigInclude, ErrorsNameTheFileWhereTheValueStands) {
  const std::string a = directory_.write("a.json", "{\"peers\": [\n{\"port\": 0, \"x\": 1}]}");
  const auto peers = [](ObjectReader root) {
    for (const ObjectReader& peer : root.objects("peers")) {
      peer.number<int>("port", 1, {.min = 1, .max = 9});
      peer.required_string("name");
    }
  };
  EXPECT_EQ(read("{\"include\": [\"a.json\"], \"y\": 1,\n\"peers\": [{\"name\": \"b\"}]}", peers),
            directory_.path("c.json") + ":1: /y: \"y\" is not a known key\n" + a +
                ":2: /peers/1/port: 0 is not a whole number from 1 to 9\n" + a +
                ":2: /peers/1/name: missing; expected a string\n" + a +
                ":2: /peers/1/x: \"x\" is not a known key");
  directory_.write("a.json", "{\n]");
  EXPECT_THAT(load(R"({"include": ["a.json"]})"), ::testing::StartsWith("a.json:2: not JSON: "));
}

TEST_F(ConfigInclude, PathsBeginBesideTheFileWhereTheyStand) {
  directory_.write("conf.d/a.json", R"({"tls": {"key": "a.key"}})");
  EXPECT_EQ(read(R"({"include": ["conf.d/a.json"], "tls": {"ca": "a.ca"}})",
                 [&](ObjectReader root) {
                   const ObjectReader tls = root.object("tls");
                   EXPECT_EQ(tls.required_file_path("key"), directory_.path("conf.d/a.key"));
                   EXPECT_EQ(tls.required_file_path("ca"), directory_.path("a.ca"));
                   EXPECT_EQ(tls.file_path("more", "m"), directory_.path("m"));
                 }),
            "");
  EXPECT_THAT(effective_, HasSubstr("\"key\": \"" + directory_.path("conf.d/a.key") + "\""));
  EXPECT_THAT(effective_, Not(HasSubstr("include")));
}

TEST_F(ConfigInclude, RefusesCyclesAndFilesThatAreIncludedTwice) {
  directory_.write("a.json", "{\n\"include\": [\"b.json\"]}");
  directory_.write("b.json", "{\n\n\"include\": [\"conf.d/../a.json\"]}");
  EXPECT_EQ(load(R"({"include": ["a.json"]})"),
            "b.json:3: /include/0: is a cycle: a.json includes b.json includes conf.d/../a.json");
  EXPECT_EQ(load(R"({"include": ["*.json"]})"),
            "b.json:3: /include/0: is a cycle: a.json includes b.json includes conf.d/../a.json");
  directory_.write("b.json", "{}");
  EXPECT_EQ(load("{\"include\": [\"a.json\",\n\"b.json\"]}"),
            "c.json:2: /include/1: b.json is included already, at a.json:2");
  EXPECT_EQ(load(R"({"include": ["c.json"]})"),
            "c.json:1: /include/0: is a cycle: c.json includes c.json");
}

TEST_F(ConfigInclude, HasLimits) {
  const auto name = [](int n) { return "f" + std::to_string(n) + ".json"; };
  for (int n = 1; n <= 17; ++n) {
    directory_.write(name(n), "{\"include\": [\"" + name(n + 1) + "\"]}");
  }
  directory_.write(name(16), "{\"depth\": 16}");
  EXPECT_EQ(load(R"({"include": ["f1.json"]})"), R"({"depth": 16})");
  directory_.write(name(16), "{\"include\": [\"f17.json\"]}");
  EXPECT_EQ(load(R"({"include": ["f1.json"]})"),
            "f16.json:1: /include/0: f17.json is more than 16 levels below c.json");

  directory_.write("conf.d/1.json", "{}");
  directory_.write("conf.d/2.json", "{}");
  EXPECT_EQ(load(R"({"include": ["conf.d/*"]})", {.files_max = 3}), "{}");
  EXPECT_EQ(load(R"({"include": ["conf.d/*"]})", {.files_max = 2}),
            "c.json:1: /include/0: conf.d/2.json: more than 2 files");
}

TEST_F(ConfigInclude, RefusesAnIncludeThatIsNoListOfNames) {
  EXPECT_EQ(load("{\n\"include\": \"a.json\"}"),
            "c.json:2: /include: \"a.json\" is not an array of names of files");
  EXPECT_EQ(load(R"({"include": [7]})"), "c.json:1: /include/0: 7 is not the name of a file");
  EXPECT_EQ(load(R"({"include": [""]})"), "c.json:1: /include/0: \"\" is not the name of a file");
  EXPECT_EQ(load(R"({"include": ["a\u0000b"]})"),
            "c.json:1: /include/0: \"a\\u0000b\" is not the name of a file");
  // Elsewhere it is a key like any other.
  EXPECT_EQ(load(R"({"o": {"include": 1}})"), R"({"o": {"include": 1}})");
}

// What is not shown: an environment variable's value.
constexpr const char* kVariable = "SIGLANE_CONFIG_INCLUDE_TEST";

TEST_F(ConfigInclude, TakesStringsAndNumbersFromTheEnvironmentAndFromFiles) {
  setenv(kVariable, "4711", 1);
  directory_.write("conf.d/word", "open sesame\n");
  directory_.write("conf.d/lines", "a\n\n");
  directory_.write("conf.d/a.json", R"({"word": {"from_file": "word"}})");
  const std::string env = std::string("{\"from_env\": \"") + kVariable + "\"}";
  const auto take = [](ObjectReader root) {
    EXPECT_EQ(root.required_string("text"), "4711");
    EXPECT_EQ(root.required_number<int>("number"), 4711);
    EXPECT_EQ(root.required_decimal("decimal"), 4711.0);
    EXPECT_EQ(root.milliseconds("t_ms", 1s), 4711ms);
    EXPECT_THAT(root.strings("list"), ElementsAre("a", "4711"));
    EXPECT_THAT(root.numbers<int>("numbers"), ElementsAre(4711));
    EXPECT_EQ(root.hex_bytes("hex", 2).at(0), std::byte{0x47});
    EXPECT_EQ(root.required_string("word"), "open sesame");
    EXPECT_EQ(root.required_file_path("path"),
              root.file().substr(0, root.file().rfind('/')) + "/4711");
  };
  EXPECT_EQ(read(R"({"include": ["conf.d/a.json"], "text": )" + env + ", \"number\": " + env +
                     ", \"decimal\": " + env + ", \"t_ms\": " + env + ", \"list\": [\"a\", " + env +
                     "], \"numbers\": [" + env + "], \"hex\": " + env + ", \"path\": " + env + "}",
                 take),
            "");
  EXPECT_THAT(effective_, Not(HasSubstr("4711")));
  EXPECT_THAT(effective_, Not(HasSubstr("sesame")));
  EXPECT_THAT(effective_, HasSubstr("\"number\": \"" + masked("4711") + "\""));
  EXPECT_THAT(effective_, HasSubstr("\"hex\": \"" + masked("4711") + "\""));
  EXPECT_THAT(effective_, HasSubstr("\"list\": [\"a\", \"" + masked("4711") + "\"]"));
  EXPECT_THAT(effective_, HasSubstr("\"word\": \"" + masked("open sesame") + "\""));
  // One line break at the end is the editor's.
  EXPECT_EQ(read(R"({"word": {"from_file": "conf.d/lines"}})",
                 [](ObjectReader root) { root.required_string("word"); }),
            directory_.path("c.json") +
                ":1: /word: the value (not shown) is not a string without control characters");
}

TEST_F(ConfigInclude, ASecretStandsInNoError) {
  setenv(kVariable, "sesame", 1);
  const std::string env = std::string("{\"from_env\": \"") + kVariable + "\"}";
  const std::string errors =
      read("{\"n\": " + env + ", \"d\": " + env + ", \"b\": " + env + ", \"c\": " + env +
               ", \"o\": " + env + ", \"a\": " + env + ", \"h\": " + env + ", \"s\": " + env + "}",
           [](ObjectReader root) {
             root.number<int>("n", 0);
             root.decimal("d", 0);
             root.boolean("b", false);
             root.choice("c", 1, {{"one", 1}});
             root.object("o");
             root.strings("a");
             root.hex_bytes("h", 2);
             const std::string text = root.required_string("s");
             root.refuse("s", "a name");
             root.complain("s", "is " + root.shown("s", text));
           });
  EXPECT_THAT(errors, Not(HasSubstr("sesame")));
  EXPECT_THAT(errors, HasSubstr("/n: the value (not shown) is not a whole number"));
  EXPECT_THAT(errors, HasSubstr("/s: the value (not shown) is not a name"));
  EXPECT_THAT(errors, HasSubstr("/s: is the value (not shown)"));
  for (const char* text : {"1 ", " 1", "0x1", "1//2", "", "1e999", "[1]", "-"}) {
    setenv(kVariable, text, 1);
    EXPECT_THAT(read("{\"n\": " + env + "}", [](ObjectReader r) { r.required_number<int>("n"); }),
                HasSubstr("/n: the value (not shown) is not a whole number"))
        << text;
  }
}

TEST_F(ConfigInclude, SaysWhyAValueCannotBeTakenFromElsewhere) {
  unsetenv(kVariable);
  EXPECT_EQ(load("{\"a\": [\n{\"from_env\": \"SIGLANE_CONFIG_INCLUDE_TEST\"}]}"),
            "c.json:2: /a/0: the environment variable \"SIGLANE_CONFIG_INCLUDE_TEST\" is not set");
  EXPECT_EQ(load(R"({"a": {"from_env": 7}})"),
            "c.json:1: /a: 7 is not the name of an environment variable");
  EXPECT_EQ(load(R"({"a": {"from_file": ""}})"), "c.json:1: /a: \"\" is not the name of a file");
  EXPECT_EQ(load(R"({"a": {"from_file": "none"}})"),
            "c.json:1: /a: \"none\" cannot be read: No such file or directory");
  EXPECT_EQ(load(R"({"a": {"from_file": "conf.d"}})"),
            "c.json:1: /a: \"conf.d\" cannot be read: Is a directory");
  ASSERT_EQ(mkfifo(directory_.path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(load(R"({"a": {"from_file": "fifo"}})"),
            "c.json:1: /a: \"fifo\" cannot be read: is not a regular file, but a FIFO or a device");
  EXPECT_EQ(load(R"({"a": {"b": 1, "from_env": "PATH"}})"),
            "c.json:1: /a: \"from_env\" stands beside other keys; expected it alone");

  directory_.write("large", std::string(65536, 'x'));
  EXPECT_THAT(load(R"({"a": {"from_file": "large"}})"), HasSubstr("(secret, "));
  directory_.write("large", std::string(65537, 'x'));
  EXPECT_EQ(load(R"({"a": {"from_file": "large"}})"),
            "c.json:1: /a: \"large\" cannot be read: is larger than the 65536 bytes that are read");
  directory_.write("bytes", "\xff");
  EXPECT_EQ(load(R"({"a": {"from_file": "bytes"}})"),
            "c.json:1: /a: what \"bytes\" has is not UTF-8 text");
}

TEST_F(ConfigInclude, NamesTheRootThatCannotBeRead) {
  EXPECT_EQ(load_config_document("/nonexistent/c.json").error().what,
            "/nonexistent/c.json: cannot be read: No such file or directory");
  EXPECT_EQ(load("[]"), "[]");  // the reader refuses it
}

}  // namespace
}  // namespace siglane::runtime
