#include "protocols/m3ua/explain.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kOpc = 7, kDpc = 1001;

class Explain : public testing::Test {
 protected:
  Explain() {
    config = gateway_config(TrafficMode::loadshare, {2, 1});
    config.routes.clear();
  }
  void route(const std::string& as, Network network = {}, std::vector<std::uint8_t> si = {},
             std::vector<std::uint32_t> opcs = {}) {
    config.routes.push_back({kDpc, network, std::move(si), std::move(opcs), as});
  }
  // as1 and as2 are so; asp1 has the even SLS of as1, asp2 the odd ones.
  RouteExplanation ask(Network network = {}, std::uint8_t si = 3, std::uint8_t sls = 1) const {
    EXPECT_TRUE(check(config));
    const Gateway gateway(config);
    RouteTable table;
    for (std::size_t i = 0; i < 2; ++i) {
      auto view = std::make_shared<AsView>();
      view->state = state;
      view->through_coordinator = drains;
      if (state == AsState::active) {
        view->active = {AssociationId{11}, AssociationId{12}};
        view->asps = {{AssociationId{11}, 0}, {AssociationId{12}, 1}};
      }
      for (std::size_t n = 0; n < kSelectors; ++n) view->carriers[n] = AssociationId{11 + n % 2};
      table.servers.push_back(std::move(view));
    }
    return explain(gateway, table, network, {kOpc, kDpc, si, 2, 0, sls});
  }
  static std::vector<RuleFate> fates(const RouteExplanation& answer) {
    std::vector<RuleFate> all;
    for (const RuleExplanation& rule : answer.rules) all.push_back(rule.fate);
    return all;
  }

  M3uaConfig config;
  AsState state = AsState::active;
  bool drains = false;
};

TEST_F(Explain, WhoCarriesTheSls) {
  route("as1");
  const auto answer = ask();
  EXPECT_EQ(answer.fate, DataFate::to_asp);
  EXPECT_EQ(answer.application_server, "as1");
  EXPECT_EQ(answer.routing_context, 101u);
  EXPECT_THAT(answer.asps, ElementsAre("asp2"));
  EXPECT_THAT(fates(answer), ElementsAre(RuleFate::wins));
  EXPECT_EQ(answer.rules[0].why, "it matches: whatever network, SI and OPC");
  EXPECT_EQ(answer.summary,
            "DATA 7 -> 1001 NI 2 SI 3 SLS 1: as1 (RC 101) is AS-ACTIVE; SLS 1 is carried by asp2");
  EXPECT_THAT(ask({}, 3, 2).asps, ElementsAre("asp1"));
}

TEST_F(Explain, WhyARouteDoesNotMatch) {
  route("as1", 5);
  route("as1", {}, {8, 9});
  route("as1", {}, {}, {1, 2, 3, 4, 5, 6});
  const auto answer = ask();
  EXPECT_EQ(answer.fate, DataFate::no_route);
  EXPECT_THAT(fates(answer), ElementsAre(RuleFate::other_network, RuleFate::other_service_indicator,
                                         RuleFate::other_originating_point_code));
  EXPECT_EQ(answer.rules[0].why,
            "it is for network appearance 5, and this DATA comes from the default network");
  EXPECT_EQ(answer.rules[1].why, "it is for SI 8, 9, not SI 3");
  EXPECT_EQ(answer.rules[2].why, "it is for OPC 1, 2, 3, 4 and 2 more, not OPC 7");
  EXPECT_EQ(answer.summary,
            "DATA 7 -> 1001 NI 2 SI 3 SLS 1: no route matches; dropped, and answered with DUNA");
  EXPECT_EQ(answer.application_server, "");
}

TEST_F(Explain, WhyARouteThatMatchesLoses) {
  route("as2");
  route("as1", {}, {3});
  route("as2", {}, {3, 5});
  const auto answer = ask();
  ASSERT_THAT(fates(answer),
              ElementsAre(RuleFate::wins, RuleFate::later_in_list, RuleFate::less_specific));
  EXPECT_EQ(answer.rules[0].route, 1u);
  EXPECT_EQ(answer.rules[1].route, 2u);
  EXPECT_EQ(answer.rules[1].why,
            "it matches (SI 3, 5), but the route to as1 says as much and stands before it");
  EXPECT_EQ(answer.rules[2].route, 0u);
  EXPECT_EQ(answer.rules[2].why,
            "it matches (whatever network, SI and OPC), but the route to as1 says more: SI 3");
}

TEST_F(Explain, ThatNoRouteHasTheDestination) {
  const auto answer = ask();
  EXPECT_THAT(answer.rules, IsEmpty());
  EXPECT_EQ(answer.fate, DataFate::no_route);
  EXPECT_EQ(answer.summary,
            "DATA 7 -> 1001 NI 2 SI 3 SLS 1: no route has this DPC; dropped, and "
            "answered with DUNA");
}

TEST_F(Explain, WhatTheStateOfTheServerMakesOfIt) {
  route("as1");
  state = AsState::inactive;
  EXPECT_EQ(ask().fate, DataFate::as_not_active);
  EXPECT_EQ(ask().state, AsState::inactive);
  state = AsState::down;
  EXPECT_EQ(ask().fate, DataFate::as_not_active);
  state = AsState::pending;
  EXPECT_EQ(ask().fate, DataFate::held);
  EXPECT_THAT(ask().asps, IsEmpty());
  state = AsState::active;
  drains = true;
  EXPECT_EQ(ask().fate, DataFate::through_as);
  EXPECT_THAT(ask().asps, ElementsAre("asp2"));
}

TEST_F(Explain, ThatABroadcastGoesToAll) {
  config.application_servers[0].traffic_mode = TrafficMode::broadcast;
  drains = true;
  route("as1");
  const auto answer = ask();
  EXPECT_EQ(answer.fate, DataFate::broadcast);
  EXPECT_THAT(answer.asps, ElementsAre("asp1", "asp2"));
  EXPECT_EQ(answer.summary,
            "DATA 7 -> 1001 NI 2 SI 3 SLS 1: as1 (RC 101) is AS-ACTIVE; broadcast to asp1, asp2");
}

// Of a real gateway, whose AS session publishes who its ASPs are.
TEST(ExplainGateway, NamesTheAspThatGetsTheData) {
  sim::SimWorld world(1);
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {2, 1}));
  Asp one(world, 1, client_config(1, {101})), two(world, 2, client_config(2, {101})),
      three(world, 3, client_config(3, {102}));
  ASSERT_TRUE(world.run_until([&] { return one.active() && two.active() && three.active(); }));
  for (std::uint8_t sls = 0; sls < 4; ++sls) {
    const MtpLabel label{1002, 1001, 3, 2, 0, sls};
    const auto answer = explain(*gateway.module.gateway(), *gateway.module.routes(), {}, label);
    ASSERT_EQ(answer.fate, DataFate::to_asp);
    three.send(label, "x");
    Asp& expected = answer.asps.front() == "asp1" ? one : two;
    const std::size_t before = expected.log.data.size();
    world.run_for(5ms);
    EXPECT_EQ(expected.log.data.size(), before + 1);
  }
}

}  // namespace
}  // namespace siglane::m3ua
