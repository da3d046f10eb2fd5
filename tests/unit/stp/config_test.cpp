#include "apps/stp/config.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/stp/daemon.h"
#include "tests/support/paths.h"

namespace siglane::stp {
namespace {

using runtime::ConfigReader;
using runtime::JsonDocument;
using testing::HasSubstr;

// The errors of reading a config that is right but for `m3ua`.
std::string mistakes_of(const std::string& m3ua) {
  const std::string text =
      R"({"node": {"name": "stp"},
"endpoints": [{"name": "e", "module": "m3ua", "addresses": ["127.0.0.1"], "port": 2905, "listen": true}],
"m3ua": )" +
      m3ua + "}";
  auto document = JsonDocument::parse("stp.json", text);
  if (!document) return document.error().what;
  ConfigReader reader(*document);
  runtime::NodeConfig node = runtime::read_node_config(reader.root(), {"m3ua"});
  (void)read_stp_config(reader.root(), node);
  const auto good = reader.finish();
  return good ? std::string() : good.error().what;
}

TEST(StpConfig, TheExampleIsGoodAndServesEightAspsByName) {
  StpDaemon daemon;
  const auto node = runtime::load_config(test::source_dir() + "/config/stp.json", daemon);
  ASSERT_TRUE(node) << node.error().what;
  EXPECT_EQ(node->endpoints.front().endpoint.port, 2905);
  EXPECT_EQ(node->endpoints.front().endpoint.udp_encapsulation_port, 9902);
  const m3ua::M3uaConfig& config = daemon.config();
  ASSERT_EQ(config.asps.size(), 8u);
  ASSERT_EQ(config.application_servers.size(), 8u);
  ASSERT_EQ(config.routes.size(), 8u);
  for (std::uint32_t n = 0; n < 8; ++n) {
    EXPECT_EQ(config.asps[n].asp_identifier, n + 1);
    EXPECT_EQ(config.application_servers[n].routing_context, 101 + n);
    EXPECT_EQ(config.routes[n].destination_point_code, 1001 + n);
    EXPECT_EQ(config.routes[n].application_server, config.application_servers[n].name);
    EXPECT_NE(node->peer(config.asps[n].name), nullptr);
  }
}

TEST(StpConfig, WhatNobodyCanUseIsAMistakeWithALine) {
  EXPECT_EQ(mistakes_of(R"({
"asps": [{"name": "a", "asp_identifier": 1}],
"application_servers": [{"name": "x", "routing_context": 1, "asps": ["a"]}],
"routes": [{"dpc": 1, "as": "x"}]})"),
            "");
  EXPECT_THAT(mistakes_of(R"({
"asps": [{"name": "a", "asp_identifier": 1},
 {"name": "b", "asp_identifier": 2}],
"application_servers": [{"name": "x", "routing_context": 1, "asps": ["a"]}],
"routes": [{"dpc": 1, "as": "x"}]})"),
              HasSubstr("stp.json:5: /m3ua/asps/1/name"));
  EXPECT_THAT(mistakes_of(R"({
"asps": [{"name": "a", "asp_identifier": 1}],
"application_servers": [{"name": "x", "routing_context": 1, "asps": ["a"]}]})"),
              HasSubstr("has no route to it"));
  EXPECT_THAT(mistakes_of(R"({
"asps": [{"name": "a", "asp_identifier": 1}],
"application_servers": [{"name": "x", "routing_context": 1, "asps": ["a"]}],
"routes": [{"dpc": 1, "as": "x", "service_indicators": [3, 5]},
{"dpc": 1, "as": "x", "service_indicators": [5, 3]}]})"),
              HasSubstr("says the same as routes/0"));
  EXPECT_EQ(mistakes_of("{}"),
            "stp.json:3: /m3ua/asps: missing; expected one ASP or more: nobody else is served");
  EXPECT_THAT(mistakes_of(R"({"colour": "blue"})"), HasSubstr("/m3ua/colour"));
  EXPECT_THAT(mistakes_of(R"({}, "m3ua_": {})"), HasSubstr("/m3ua_"));
}

TEST(StpConfig, AnStpWithoutM3uaIsAMistake) {
  auto document = JsonDocument::parse("stp.json", "{}");
  ConfigReader reader(*document);
  runtime::NodeConfig node;
  (void)read_stp_config(reader.root(), node);
  EXPECT_EQ(reader.finish().error().what,
            "stp.json:1: /m3ua: is missing: whom it serves, and its routes");
}

}  // namespace
}  // namespace siglane::stp
