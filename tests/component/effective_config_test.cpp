// What --dump-effective-config prints is a config again, and the same one.
#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/hss/daemon.h"
#include "apps/load/config.h"
#include "apps/stp/daemon.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_directory.h"

namespace siglane::runtime {
namespace {

using siglane::testing::TemporaryDirectory;
using ::testing::HasSubstr;
using ::testing::Not;

bool has(const JsonValue& object, std::string_view key) {
  const auto& members = std::get<JsonValue::Object>(object.value);
  return std::any_of(members.begin(), members.end(),
                     [&](const JsonMember& member) { return member.key == key; });
}

// The effective config of `file`, by the program that it is for; else the error.
std::string dump(const std::string& file, const CommandLine& command = {}) {
  const auto document = JsonDocument::load(file);
  if (!document) return document.error().what;
  Result<NodeConfig> node;
  if (has(document->root, "load")) {
    load::Overrides overrides;
    overrides.common = command;
    if (has(document->root, "diameter")) {
      auto config = load::load_s6a_config(file, overrides);
      node = config ? Result<NodeConfig>(config->load.node) : tl::unexpected(config.error());
    } else {
      auto config = load::load_m3ua_config(file, overrides);
      node = config ? Result<NodeConfig>(config->load.node) : tl::unexpected(config.error());
    }
  } else if (has(document->root, "hss")) {
    hss::HssDaemon daemon;
    node = load_config(file, daemon, command);
  } else {
    stp::StpDaemon daemon;
    node = load_config(file, daemon, command);
  }
  return node ? to_text(node->effective) : node.error().what;
}

void expect_the_same_again(const std::string& text) {
  const TemporaryDirectory elsewhere;
  EXPECT_EQ(dump(elsewhere.write("c.json", text)), text);
}

TEST(EffectiveConfig, OfEveryExampleIsTheSameConfigAgainFromAnyDirectory) {
  std::set<std::string> examples;
  for (const auto& file : std::filesystem::directory_iterator(test::source_dir() + "/config")) {
    const auto document = JsonDocument::load(file.path().string());
    if (!document || !has(document->root, "node")) continue;
    examples.insert(file.path().filename());
    SCOPED_TRACE(file.path());
    const std::string text = dump(file.path());
    EXPECT_THAT(text, HasSubstr("\"facts_per_second_max\": 50"));  // a default
    expect_the_same_again(text);
  }
  EXPECT_EQ(examples,
            (std::set<std::string>{"hss.json", "load-m3ua.json", "load-s6a.json", "stp.json"}));
}

TEST(EffectiveConfig, HasWhatTheCommandLineSaysInstead) {
  CommandLine command;
  command.transport = TransportKind::tcp;
  command.log_level = LogLevel::debug;
  command.admin_socket = "/tmp/another.sock";
  for (const char* name : {"hss.json", "stp.json", "load-s6a.json", "load-m3ua.json"}) {
    SCOPED_TRACE(name);
    const std::string text = dump(test::source_dir() + "/config/" + name, command);
    EXPECT_THAT(text, HasSubstr("\"transport\": \"tcp\""));
    EXPECT_THAT(text, HasSubstr("\"level\": \"debug\""));
    EXPECT_THAT(text, HasSubstr("\"socket\": \"/tmp/another.sock\""));
    expect_the_same_again(text);
  }
}

// A default that the readers would refuse if the file said it.
TEST(EffectiveConfig, LeavesOutDefaultsThatHaveNoEffectHere) {
  const TemporaryDirectory directory;
  const std::string text = dump(directory.write("c.json", R"({"node": {"name": "n"},
    "endpoints": [{"name": "e", "module": "diameter", "transport": "tcp", "listen": true, "port": 1,
                   "limits": {"message_bytes_max": 1000}}],
    "admission": {"identification_timeout_ms": 1000},
    "diameter": {"origin_host": "a.example", "origin_realm": "example",
                 "peers": [{"name": "p", "origin_host": "p.example"}]},
    "hss": {"database": "h.db"}})"));
  EXPECT_THAT(text, HasSubstr("\"database\": \"" + directory.path("h.db") + "\""));
  EXPECT_THAT(text, HasSubstr("\"realm\": \"example\""));
  EXPECT_THAT(text, Not(HasSubstr("capabilities_timeout_ms")));
  expect_the_same_again(text);
}

}  // namespace
}  // namespace siglane::runtime
