#include "protocols/m3ua/route_table.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/random.h"

namespace siglane::m3ua {
namespace {

M3uaConfig three_servers() {
  M3uaConfig config;
  config.asps = {{"a", {}}};
  for (const char* name : {"plain", "sccp", "foreign"}) {
    ApplicationServerConfig as;
    as.name = name;
    as.routing_context = static_cast<std::uint32_t>(config.application_servers.size() + 1);
    as.asps = {"a"};
    config.application_servers.push_back(as);
  }
  return config;
}

TEST(RoutingRules, ARangeFindsExactlyTheDestinationsThatItCovers) {
  Random random(5);
  M3uaConfig config = three_servers();
  for (std::uint32_t dpc : {0u, 1u, 255u, 256u, 0x7f'ffffu, 0x80'0000u, 0xff'ffffu}) {
    config.routes.push_back({dpc, {}, {}, {}, "plain"});
  }
  for (int n = 0; n < 50; ++n) {
    const auto dpc = static_cast<std::uint32_t>(random.below(2048));
    config.routes.push_back({dpc, {}, {}, {}, "plain"});
  }
  const RoutingRules rules(config);
  const auto all = rules.destinations_in({}, {kPointCodeBitsMax, 0});
  EXPECT_GT(all.size(), 50u);
  for (unsigned mask = 0; mask < 256; ++mask) {
    for (std::uint32_t pc : {0u, 1u, 300u, 2047u, 0x7f'ffffu, 0x80'0001u, 0xff'ffffu}) {
      const AffectedPointCode range{static_cast<std::uint8_t>(mask), pc};
      std::vector<std::uint32_t> covered;
      for (const std::uint32_t dpc : all) {
        if (range.covers(dpc)) covered.push_back(dpc);
      }
      EXPECT_EQ(rules.destinations_in({}, range), covered) << mask << ", " << pc;
    }
  }
}

TEST(RoutingRules, TheRouteThatSaysMostWins) {
  M3uaConfig config = three_servers();
  config.routes = {{100, {}, {}, {}, "plain"},
                   {100, {}, {3, 200}, {}, "sccp"},
                   {100, 8, {}, {}, "foreign"},
                   {101, {}, {}, {7, 5}, "sccp"}};
  ASSERT_TRUE(check(config));
  const RoutingRules rules(config);
  EXPECT_EQ(rules.find({}, {1, 100, 5, 0, 0, 0}), 0u);
  EXPECT_EQ(rules.find({}, {1, 100, 3, 0, 0, 0}), 1u);
  EXPECT_EQ(rules.find({}, {1, 100, 200, 0, 0, 0}), 1u);
  EXPECT_EQ(rules.find(8, {1, 100, 3, 0, 0, 0}), 2u);
  EXPECT_EQ(rules.find(9, {1, 100, 3, 0, 0, 0}), 1u);
  EXPECT_EQ(rules.find({}, {5, 101, 3, 0, 0, 0}), 1u);
  EXPECT_EQ(rules.find({}, {6, 101, 3, 0, 0, 0}), std::nullopt);
  EXPECT_EQ(rules.find({}, {1, 102, 3, 0, 0, 0}), std::nullopt);
  EXPECT_THAT(rules.destinations_of(1), testing::ElementsAre(100, 101));
}

TEST(RoutingRules, ADestinationBelongsToTheNetworkOfItsRoutes) {
  M3uaConfig config = three_servers();
  config.routes = {{100, {}, {}, {}, "plain"},  {100, {}, {3}, {}, "sccp"},
                   {100, 8, {}, {}, "foreign"}, {200, 8, {3}, {}, "foreign"},
                   {200, {}, {}, {}, "plain"},  {300, 9, {}, {}, "sccp"}};
  const RoutingRules rules(config);
  using Servers = std::vector<std::size_t>;
  EXPECT_EQ(rules.serving({}, 100), (Servers{1, 0}));
  EXPECT_EQ(rules.serving(9, 100), (Servers{1, 0}));
  EXPECT_EQ(rules.serving(8, 100), Servers{2});       // of network 8 nothing else gets any
  EXPECT_EQ(rules.serving(8, 200), (Servers{2, 0}));  // but for other SIs
  EXPECT_EQ(rules.serving({}, 200), Servers{0});
  EXPECT_EQ(rules.serving({}, 300), Servers{});
  EXPECT_EQ(rules.serving(9, 300), Servers{1});
  const AffectedPointCode all{kPointCodeBitsMax, 0};
  using Codes = std::vector<std::uint32_t>;
  EXPECT_EQ(rules.destinations_in({}, all), (Codes{100, 200}));
  EXPECT_EQ(rules.destinations_in(8, all), (Codes{100, 200}));
  EXPECT_EQ(rules.destinations_in(9, all), (Codes{100, 200, 300}));
  EXPECT_EQ(rules.destinations_in(9, {8, 300}), Codes{300});
  EXPECT_GE(rules.destinations_max(9), 3u);
  EXPECT_GE(rules.destinations_max({}), 2u);
}

TEST(M3uaConfig, MistakesAreNamed) {
  const auto mistake = [](auto change) {
    M3uaConfig config = three_servers();
    change(config);
    const auto good = check(config);
    return good ? std::string("none") : good.error().what;
  };
  EXPECT_EQ(mistake([](auto&) {}), "none");
  EXPECT_EQ(mistake([](auto& c) { c.application_servers[1].routing_context = 1; }),
            "application server \"sccp\": routing context 1 is another AS's already");
  EXPECT_EQ(mistake([](auto& c) { c.application_servers[0].asps = {"b"}; }),
            "application server \"plain\": there is no ASP \"b\"");
  EXPECT_EQ(mistake([](auto& c) { c.application_servers[0].asps.clear(); }),
            "application server \"plain\" has no ASP");
  EXPECT_EQ(mistake([](auto& c) { c.application_servers[0].active_asps_min = 2; }),
            "application server \"plain\": active_asps_min must be 1 to the number of its ASPs");
  EXPECT_EQ(mistake([](auto& c) {
              c.routes = {{1, {}, {}, {}, "nobody"}};
            }),
            "route to 1: there is no application server \"nobody\"");
  EXPECT_EQ(mistake([](auto& c) { c.asps.push_back({"a", {}}); }), "ASP \"a\" twice");
  EXPECT_EQ(mistake([](auto& c) {
              c.networks = {{8, 14}, {8, 24}};
            }),
            "network appearance 8 twice");
  EXPECT_EQ(mistake([](auto& c) {
              c.networks = {{{}, 15}};
            }),
            "the default network: point_code_bits must be 14, 16 or 24");
  EXPECT_EQ(mistake([](auto& c) {
              c.routes = {{0x100'0000, {}, {}, {}, "plain"}};
            }),
            "route to 16777216: more than 24 bits");
  const auto itu = [](auto& c) { c.networks = {{8, 14}, {{}, 14}}; };
  EXPECT_EQ(mistake([&](auto& c) {
              itu(c);
              c.routes = {{16384, 8, {}, {}, "plain"}};
            }),
            "route to 16384: more than 14 bits");
  EXPECT_EQ(mistake([&](auto& c) {
              itu(c);
              c.routes = {{16383, {}, {}, {16384}, "plain"}};
            }),
            "route to 16383: originating point code 16384 has more than 14 bits");
  EXPECT_EQ(mistake([&](auto& c) {  // it may be of the wider one
              itu(c);
              c.application_servers[2].network_appearance = 9;
              c.routes = {{16384, {}, {}, {}, "plain"}};
            }),
            "none");
}

}  // namespace
}  // namespace siglane::m3ua
