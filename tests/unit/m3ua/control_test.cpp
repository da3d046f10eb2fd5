#include "protocols/m3ua/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

M3uaConfig two_servers() {
  return gateway_config(TrafficMode::loadshare, {1, 1});
}

TEST(Gateway, PlacesStayWhateverTheOrderOfTheNextConfig) {
  const Gateway first(two_servers());
  M3uaConfig next = two_servers();
  std::ranges::reverse(next.asps);
  std::ranges::reverse(next.application_servers);
  const Gateway second(next, first);
  EXPECT_EQ(second.servers.size(), 2u);
  EXPECT_EQ(second.servers[0].config.name, "as1");
  EXPECT_EQ(second.servers[0].coordinator, first.servers[0].coordinator);
  EXPECT_EQ(second.place_of_asp("asp2"), 1u);
  EXPECT_EQ(second.rules.find({}, {1, 1002, 3, 0, 0, 0}), 1u);
  EXPECT_THAT(second.changed_destinations, IsEmpty());
}

TEST(Gateway, WhatIsRemovedLeavesAnEmptyPlaceAndWhatIsAddedTakesTheNext) {
  const Gateway first(two_servers());
  M3uaConfig next = two_servers();
  next.application_servers.erase(next.application_servers.begin());
  next.routes.erase(next.routes.begin());
  next.asps[0] = {"asp3", 3};
  const Gateway second(next, first);
  EXPECT_TRUE(second.servers[0].removed);
  EXPECT_EQ(second.servers[0].config.name, "as1");
  EXPECT_FALSE(second.servers[1].removed);
  EXPECT_EQ(second.place_of_asp("asp1"), DataParcel::kNobody);
  EXPECT_EQ(second.place_of_asp("asp3"), 2u);
  EXPECT_THAT(second.servers_of("asp1"), IsEmpty());
  EXPECT_THAT(second.changed_destinations, ElementsAre(1001));
  DataParcel data;
  data.sender = 0;
  EXPECT_EQ(second.sender_of(data), "asp1");  // whose DATA may be on its way yet

  const Gateway third(two_servers(), second);
  ASSERT_EQ(third.servers.size(), 3u);
  EXPECT_TRUE(third.servers[0].removed);
  EXPECT_NE(third.servers[2].coordinator, first.servers[0].coordinator);
  EXPECT_THAT(third.servers_of("asp1"), ElementsAre(2));
  EXPECT_EQ(third.place_of_asp("asp1"), 0u);  // back in its old one
  EXPECT_EQ(third.rules.find({}, {1, 1001, 3, 0, 0, 0}), 2u);
  EXPECT_EQ(third.place_of(first.servers[0].coordinator), 0u);
}

TEST(Gateway, AServerThatPeersMustTakeForAnotherGetsAPlaceOfItsOwn) {
  const Gateway first(two_servers());
  const auto place_after = [&](auto&& change) {
    M3uaConfig next = two_servers();
    change(next.application_servers[0]);
    const Gateway second(next, first);
    return second.servers_of("asp1").front();
  };
  using As = ApplicationServerConfig;
  EXPECT_EQ(place_after([](As& as) { as.routing_context = 7; }), 2u);
  EXPECT_EQ(place_after([](As& as) { as.network_appearance = 7; }), 2u);
  EXPECT_EQ(place_after([](As& as) { as.traffic_mode = TrafficMode::broadcast; }), 2u);
  EXPECT_EQ(place_after([](As& as) { as.recovery_timeout = 7s; }), 0u);
  EXPECT_EQ(place_after([](As& as) { as.pending_messages_max = 7; }), 0u);
}

TEST(Gateway, ADestinationHasChangedWhereItsRulesHave) {
  M3uaConfig config = two_servers();
  config.routes.push_back({1003, {}, {3}, {}, "as1"});
  const Gateway first(config);
  config.routes.back().service_indicators = {3, 5};
  config.routes.push_back({1004, {}, {}, {}, "as2"});
  std::swap(config.routes[0], config.routes[1]);
  const Gateway second(config, first);
  EXPECT_THAT(second.changed_destinations, ElementsAre(1003, 1004));
}

}  // namespace
}  // namespace siglane::m3ua
