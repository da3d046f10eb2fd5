// A signalling gateway that takes a new config while it runs, and obeys an operator: what its ASPs
// hear of it, and what becomes of their traffic.
#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/shard_facts.h"
#include "protocols/m3ua/counters.h"
#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MtpLabel label(std::uint32_t opc, std::uint32_t dpc, std::uint8_t sls = 0) {
  return {opc, dpc, 3, 2, 0, sls};
}

// Of types, those of the routing context.
std::vector<MessageType> types_in(const std::deque<Heard>& heard, std::uint32_t context) {
  std::vector<MessageType> all;
  for (const Heard& h : heard) {
    if (h.contexts == std::vector<std::uint32_t>{context}) all.push_back(h.type);
  }
  return all;
}

// "DUNA 1001" and so on.
std::vector<std::string> destinations(const std::deque<Heard>& heard) {
  std::vector<std::string> all;
  for (const Heard& h : heard) {
    if (h.type != MessageType::duna && h.type != MessageType::dava) continue;
    for (const std::uint32_t pc : h.affected) {
      all.push_back(std::string(name_of(h.type)) + " " + std::to_string(pc));
    }
  }
  return all;
}

// as1 has asp1 and asp2, as2 has asp3.
class RevisionTest : public testing::Test {
 protected:
  RevisionTest() : RevisionTest(gateway_config(TrafficMode::loadshare, {2, 1})) {}
  explicit RevisionTest(M3uaConfig first) : config(std::move(first)), gateway(world, config) {}

  static void come_up(RawPeer& peer, std::uint32_t identifier,
                      const std::vector<std::uint32_t>& contexts) {
    ASSERT_EQ(types(peer.aspup(identifier)).front(), MessageType::aspup_ack);
    ASSERT_EQ(count_of(peer.say(MessageType::aspac, contexts), MessageType::aspac_ack),
              contexts.size());
  }
  void all_active() {
    come_up(one, 1, {101});
    come_up(two, 2, {101});
    come_up(three, 3, {102});
    for (RawPeer* peer : {&one, &two, &three}) (void)peer->listen();
  }
  template <class Change>
  void follow(Change&& change) {
    change(config);
    ASSERT_TRUE(check(config));
    gateway.follow(config, world.now());
  }
  ApplicationServerConfig& server(std::size_t n) { return config.application_servers[n - 1]; }
  void remove_server(const std::string& name) {
    std::erase_if(config.routes, [&](auto& route) { return route.application_server == name; });
    std::erase_if(config.application_servers, [&](auto& as) { return as.name == name; });
  }
  // What arrives at whom of 16 DATA to as1, one for each SLS.
  std::pair<std::size_t, std::size_t> spread() {
    for (std::uint8_t sls = 0; sls < 16; ++sls) three.data(102, label(1002, 1001, sls), "x");
    const std::size_t first = count_of(one.listen(), MessageType::data);
    return {first, count_of(two.listen(), MessageType::data)};
  }

  sim::SimWorld world{3};
  M3uaConfig config;
  SimGateway gateway;
  RawPeer one{world, 1}, two{world, 2}, three{world, 3};
};

// --- What a new config does not name notices nothing ---------------------------------------------

TEST_F(RevisionTest, NothingIsSaidToAspsThatItDoesNotConcern) {
  all_active();
  follow([](M3uaConfig& next) {
    next.asps.insert(next.asps.begin(), {"asp9", 9});
    ApplicationServerConfig as;
    as.name = "as9";
    as.routing_context = 109;
    as.asps = {"asp9"};
    next.application_servers.insert(next.application_servers.begin(), as);
    next.routes.insert(next.routes.begin(), {1009, {}, {}, {}, "as9"});
    std::ranges::reverse(next.asps);
  });
  EXPECT_THAT(one.listen(100ms), IsEmpty());
  EXPECT_THAT(two.listen(), IsEmpty());
  EXPECT_THAT(three.listen(), IsEmpty());
  EXPECT_EQ(spread(), std::pair(std::size_t{8}, std::size_t{8}));
  EXPECT_EQ(gateway.status_of("as1").state, "AS-ACTIVE");
  EXPECT_EQ(gateway.status_of("as9").state, "AS-DOWN");
  EXPECT_EQ(gateway.status_of("asp3").detail, "as2 ASP-ACTIVE");
}

TEST_F(RevisionTest, WhoSentADroppedDataIsKnownAfterTheConfigIsPutInAnotherOrder) {
  all_active();
  follow([](M3uaConfig& next) { std::ranges::reverse(next.asps); });
  three.data(102, label(1002, 1777), "x");
  std::string who;
  gateway.node.shard.drops().visit(
      [&](std::string_view, const std::string& peer, const Drops::Row&) { who = peer; });
  EXPECT_EQ(who, "asp3");
}

// --- Application Servers and their ASPs ----------------------------------------------------------

TEST_F(RevisionTest, AnAspThatIsUpGetsIntoAnAddedServerAsInactiveAndMayActivate) {
  all_active();
  follow([](M3uaConfig& next) {
    ApplicationServerConfig as;
    as.name = "as3";
    as.routing_context = 103;
    as.asps = {"asp1"};
    next.application_servers.push_back(as);
    next.routes.push_back({1003, {}, {}, {}, "as3"});
  });
  auto heard = one.listen();
  EXPECT_THAT(types(heard), ElementsAre(MessageType::ntfy));
  EXPECT_TRUE(has_notify(heard, NotifyStatus::as_inactive));
  EXPECT_EQ(heard.front().contexts, std::vector<std::uint32_t>{103});
  EXPECT_EQ(gateway.status_of("asp1").detail, "as1 ASP-ACTIVE, as3 ASP-INACTIVE");

  heard = one.say(MessageType::aspac, {103});
  EXPECT_THAT(types(heard), ElementsAre(MessageType::aspac_ack, MessageType::ntfy));
  EXPECT_THAT(destinations(three.listen()), ElementsAre("DAVA 1003"));
  three.data(102, label(1002, 1003), "to the new one");
  heard = one.listen();
  EXPECT_THAT(types_in(heard, 103), ElementsAre(MessageType::data));
}

TEST_F(RevisionTest, AnAddedAspIsLetInAndCarriesItsShare) {
  all_active();
  RawPeer four(world, 4);
  EXPECT_THAT(four.aspup(4), IsEmpty());  // it is a stranger
  follow([](M3uaConfig& next) {
    next.asps.push_back({"asp4", 4});
    next.application_servers[0].asps.push_back("asp4");
  });
  world.run_for(100ms);  // it may be about to be refused
  ASSERT_TRUE(world.run_until([&] { return !four.down(); }, 60s));
  come_up(four, 4, {101});
  (void)four.listen();
  const auto [first, second] = spread();
  EXPECT_EQ(first + second + count_of(four.listen(), MessageType::data), 16u);
  EXPECT_LT(first + second, 16u);
}

TEST_F(RevisionTest, AnAspIsTakenOutOfAServerAndTheOthersCarryItsShare) {
  all_active();
  follow([](M3uaConfig& next) { next.application_servers[0].asps = {"asp2"}; });
  const auto heard = one.listen();
  EXPECT_THAT(types_in(heard, 101), ElementsAre(MessageType::aspia_ack));
  EXPECT_EQ(heard.size(), 1u);
  EXPECT_THAT(two.listen(), IsEmpty());
  EXPECT_EQ(gateway.as_state(0), AsState::active);
  EXPECT_EQ(gateway.status_of("asp1").detail, "");
  EXPECT_EQ(spread(), std::pair(std::size_t{0}, std::size_t{16}));
  EXPECT_TRUE(has_error(one.say(MessageType::aspac, {101}), ErrorCode::invalid_routing_context));
  EXPECT_FALSE(one.down());

  follow([](M3uaConfig& next) { next.application_servers[0].asps = {"asp2", "asp1"}; });
  EXPECT_TRUE(has_notify(one.listen(), NotifyStatus::as_active));
  EXPECT_THAT(types(one.say(MessageType::aspac, {101})).front(), MessageType::aspac_ack);
  EXPECT_EQ(spread(), std::pair(std::size_t{8}, std::size_t{8}));
}

TEST_F(RevisionTest, TheLastActiveAspTakenOutLeavesItsServerPending) {
  come_up(one, 1, {101});
  two.aspup(2);
  come_up(three, 3, {102});
  (void)one.listen();
  (void)two.listen();
  follow([](M3uaConfig& next) { next.application_servers[0].asps = {"asp2"}; });
  EXPECT_THAT(types_in(one.listen(), 101), ElementsAre(MessageType::aspia_ack));
  EXPECT_TRUE(has_notify(two.listen(), NotifyStatus::as_pending));
  three.data(102, label(1002, 1001), "held");
  EXPECT_EQ(gateway.status_of("as1").pending, 1u);
  const auto heard = two.say(MessageType::aspac, {101});
  EXPECT_THAT(types(heard),
              ElementsAre(MessageType::aspac_ack, MessageType::ntfy, MessageType::data));
}

TEST_F(RevisionTest, AnInactiveAspTakenOutHearsNothing) {
  one.aspup(1);
  (void)one.listen();
  follow([](M3uaConfig& next) { next.application_servers[0].asps = {"asp2"}; });
  EXPECT_THAT(one.listen(), IsEmpty());
  EXPECT_EQ(gateway.as_state(0), AsState::down);
}

TEST_F(RevisionTest, ARemovedServerEndsAndAllConcernedHearOfIt) {
  all_active();
  two.say(MessageType::aspia, {101});
  follow([this](M3uaConfig&) { remove_server("as1"); });
  auto heard = one.listen();
  EXPECT_THAT(types(heard), ElementsAre(MessageType::aspia_ack, MessageType::ntfy));
  EXPECT_TRUE(has_notify(heard, NotifyStatus::as_inactive));
  EXPECT_THAT(types_in(heard, 101), ElementsAre(MessageType::aspia_ack, MessageType::ntfy));
  EXPECT_THAT(types(two.listen()), ElementsAre(MessageType::ntfy));  // it was inactive
  EXPECT_THAT(destinations(three.listen()), ElementsAre("DUNA 1001"));
  EXPECT_EQ(gateway.status_of("as1").state, "");  // there is no such session
  EXPECT_EQ(gateway.as_state(0), AsState::down);

  heard = three.data(102, label(1002, 1001), "x");
  EXPECT_THAT(destinations(heard), ElementsAre("DUNA 1001"));
  EXPECT_EQ(gateway.dropped("m3ua.no_route"), 1u);
  EXPECT_TRUE(has_error(one.say(MessageType::aspac, {101}), ErrorCode::invalid_routing_context));

  // Added again it is another one, in a place of its own.
  follow([](M3uaConfig& next) {
    next.application_servers.push_back(
        gateway_config(TrafficMode::loadshare, {2}).application_servers[0]);
    next.routes.push_back({1001, {}, {}, {}, "as1"});
  });
  EXPECT_TRUE(has_notify(one.listen(), NotifyStatus::as_inactive));
  EXPECT_EQ(types(one.say(MessageType::aspac, {101})).front(), MessageType::aspac_ack);
  EXPECT_EQ(gateway.as_state(2), AsState::active);
  EXPECT_THAT(destinations(three.listen()), ElementsAre("DAVA 1001"));
}

TEST_F(RevisionTest, WhatARemovedServerHoldsIsDroppedForThatReason) {
  all_active();
  two.say(MessageType::aspia, {101});
  one.say(MessageType::aspia, {101});
  for (int i = 0; i < 3; ++i) three.data(102, label(1002, 1001), "held");
  EXPECT_EQ(gateway.status_of("as1").pending, 3u);
  follow([this](M3uaConfig&) { remove_server("as1"); });
  EXPECT_EQ(gateway.dropped("m3ua.as_removed"), 3u);
  EXPECT_EQ(gateway.count(counter::data_discarded), 3u);
}

TEST_F(RevisionTest, AServerWithAnotherTrafficModeIsAnotherOneAndTheOldOneEnds) {
  all_active();
  follow([](M3uaConfig& next) {
    next.application_servers[0].traffic_mode = TrafficMode::override_mode;
  });
  const auto heard = one.listen();
  // Active no more, then how the old one fares, then how the new one does.
  EXPECT_THAT(types(heard),
              ElementsAre(MessageType::aspia_ack, MessageType::ntfy, MessageType::ntfy));
  EXPECT_EQ(gateway.status_of("asp1").detail, "as1 ASP-INACTIVE");
  MessageBuilder aspac = one.build(MessageType::aspac);
  aspac.u32(Tag::traffic_mode_type, 1).u32(Tag::routing_context, 101);
  EXPECT_EQ(types(one.say(std::move(aspac).finish())).front(), MessageType::aspac_ack);
  EXPECT_EQ(gateway.as_state(2), AsState::active);
  (void)three.listen();
  three.data(102, label(1002, 1001), "x");
  EXPECT_EQ(count_of(one.listen(), MessageType::data), 1u);
}

TEST_F(RevisionTest, AnAspThatChangesItsMindWhileAServerEndsIsServedAfterwards) {
  all_active();
  // Both in one turn: the config, and what the ASP had sent before it heard of it.
  follow([this](M3uaConfig&) { remove_server("as1"); });
  const auto heard = one.aspup(1);
  EXPECT_EQ(count_of(heard, MessageType::aspia_ack), 1u);
  EXPECT_EQ(heard.back().type, MessageType::aspup_ack);
  EXPECT_EQ(gateway.asp_state("asp1"), "ASP-INACTIVE");
}

// --- Routes --------------------------------------------------------------------------------------

TEST_F(RevisionTest, ARemovedRouteIsUnavailableAndAnAddedOneAvailable) {
  all_active();
  follow([](M3uaConfig& next) { next.routes.push_back({1500, {}, {}, {}, "as1"}); });
  EXPECT_THAT(destinations(three.listen()), ElementsAre("DAVA 1500"));
  EXPECT_THAT(one.listen(), IsEmpty());  // it serves that itself
  three.data(102, label(1002, 1500), "x");
  EXPECT_EQ(count_of(one.listen(), MessageType::data) + count_of(two.listen(), MessageType::data),
            1u);

  follow([](M3uaConfig& next) { next.routes.pop_back(); });
  EXPECT_THAT(destinations(three.listen()), ElementsAre("DUNA 1500"));
  EXPECT_THAT(one.listen(), IsEmpty());
  const auto heard = three.data(102, label(1002, 1500), "x");
  EXPECT_THAT(destinations(heard), ElementsAre("DUNA 1500"));
  EXPECT_EQ(gateway.dropped("m3ua.no_route"), 1u);
}

TEST_F(RevisionTest, ADestinationThatAnotherServerTakesOverStaysAvailable) {
  follow([](M3uaConfig& next) {
    next.asps.push_back({"asp4", 4});
    ApplicationServerConfig as = next.application_servers[1];
    as.name = "as3";
    as.routing_context = 103;
    as.asps = {"asp4"};
    next.application_servers.push_back(as);
  });
  RawPeer four(world, 4);
  all_active();
  come_up(four, 4, {103});
  (void)three.listen();
  follow([](M3uaConfig& next) { next.routes[0].application_server = "as3"; });
  EXPECT_THAT(three.listen(), IsEmpty());
  three.data(102, label(1002, 1001), "x");
  EXPECT_EQ(count_of(four.listen(), MessageType::data), 1u);
}

TEST_F(RevisionTest, ARouteToAServerThatIsNotActiveIsNotAnnounced) {
  come_up(three, 3, {102});
  follow([](M3uaConfig& next) { next.routes.push_back({1500, {}, {}, {}, "as1"}); });
  EXPECT_THAT(three.listen(), IsEmpty());
}

TEST_F(RevisionTest, ARouteOfAnotherNetworkIsNotAnnouncedInThisOne) {
  all_active();
  follow([](M3uaConfig& next) { next.routes.push_back({1500, 7, {}, {}, "as1"}); });
  EXPECT_THAT(three.listen(), IsEmpty());
}

// --- Values --------------------------------------------------------------------------------------

TEST_F(RevisionTest, AnotherHeartbeatIntervalHoldsAtOnce) {
  all_active();
  follow([](M3uaConfig& next) { next.heartbeat_interval = 100ms; });
  EXPECT_EQ(count_of(one.listen(150ms), MessageType::beat), 1u);
  follow([](M3uaConfig& next) { next.heartbeat_interval = 0s; });
  EXPECT_EQ(count_of(one.listen(1s), MessageType::beat), 0u);
  EXPECT_FALSE(one.down());
}

TEST_F(RevisionTest, AnotherReportIntervalHoldsAtOnce) {
  all_active();
  EXPECT_THAT(destinations(three.data(102, label(1002, 1777), "x")), ElementsAre("DUNA 1777"));
  EXPECT_THAT(three.data(102, label(1002, 1777), "x"), IsEmpty());
  follow([](M3uaConfig& next) { next.destination_report_interval = 1ms; });
  EXPECT_THAT(destinations(three.data(102, label(1002, 1777), "x")), ElementsAre("DUNA 1777"));
}

TEST_F(RevisionTest, ASingleStreamIsRefusedToAssociationsThatComeLater) {
  follow([](M3uaConfig& next) {
    next.asps.push_back({"asp4", 4});
    next.application_servers[0].asps.push_back("asp4");
    next.single_stream_allowed = true;
  });
  RawPeer four(world, 4, 1);
  follow([](M3uaConfig& next) { next.single_stream_allowed = false; });
  EXPECT_EQ(types(four.aspup(4)).front(), MessageType::aspup_ack);
  four.node.transport.cut(four.module.association);
  ASSERT_TRUE(world.run_until([&] { return four.down(); }, 1s));
  ASSERT_TRUE(world.run_until([&] { return !four.down(); }, 60s));
  EXPECT_TRUE(has_error(four.aspup(4), ErrorCode::refused_management_blocking));
}

// --- What an operator orders ---------------------------------------------------------------------

TEST_F(RevisionTest, ARemovedAspIsToldGoodbye) {
  all_active();
  follow([](M3uaConfig& next) {
    std::erase_if(next.asps, [](const AspConfig& asp) { return asp.name == "asp1"; });
    next.application_servers[0].asps = {"asp2"};
  });
  EXPECT_THAT(types(one.listen()), ElementsAre(MessageType::aspdn_ack));
  EXPECT_TRUE(one.down());
  EXPECT_EQ(gateway.node.facts.last(kPeerClosed, "why"), "it is no peer any more");
  EXPECT_EQ(spread(), std::pair(std::size_t{0}, std::size_t{16}));
}

TEST_F(RevisionTest, AnAspWithAnotherIdentifierIsToldGoodbyeAndComesBackByThat) {
  all_active();
  follow([](M3uaConfig& next) { next.asps[0].asp_identifier = 41; });
  EXPECT_THAT(types(one.listen()), ElementsAre(MessageType::aspdn_ack));
  ASSERT_TRUE(world.run_until([&] { return !one.down(); }, 60s));
  come_up(one, 41, {101});
  EXPECT_EQ(gateway.asp_state("asp1"), "ASP-ACTIVE");
}

TEST_F(RevisionTest, AnAspIsDisconnectedAsTheOperatorSays) {
  all_active();
  gateway.order("asp1", PeerOrder::disconnect, "maintenance", world.now());
  EXPECT_THAT(types(one.listen()), ElementsAre(MessageType::aspdn_ack));
  EXPECT_TRUE(one.down());
  EXPECT_EQ(gateway.node.facts.last(kPeerClosed, "why"), "maintenance");
  EXPECT_EQ(gateway.as_state(0), AsState::active);
}

TEST_F(RevisionTest, ADisconnectedAspThatConnectsByItselfIsRefusedUntilItMayConnect) {
  all_active();
  gateway.order("asp1", PeerOrder::disconnect, "maintenance", world.now());
  ASSERT_TRUE(world.run_until([&] { return one.down(); }, 1s));
  ASSERT_TRUE(world.run_until([&] { return !one.down(); }, 60s));
  EXPECT_TRUE(has_error(one.aspup(1), ErrorCode::refused_management_blocking));
  EXPECT_EQ(gateway.node.facts.last(kPeerRefused, "why"), "the operator has disconnected it");
  ASSERT_TRUE(world.run_until([&] { return one.down(); }, 1s));

  gateway.order("asp1", PeerOrder::connect, "", world.now());
  ASSERT_TRUE(world.run_until([&] { return !one.down(); }, 60s));
  come_up(one, 1, {101});
  EXPECT_EQ(gateway.asp_state("asp1"), "ASP-ACTIVE");
}

TEST_F(RevisionTest, ABlockedAspIsMadeInactiveAndItsAspacRefused) {
  all_active();
  gateway.order("asp1", PeerOrder::block, "maintenance", world.now());
  EXPECT_THAT(types_in(one.listen(), 101), ElementsAre(MessageType::aspia_ack));
  EXPECT_EQ(gateway.status_of("asp1").detail, "blocked, as1 ASP-INACTIVE");
  EXPECT_EQ(spread(), std::pair(std::size_t{0}, std::size_t{16}));
  const auto heard = one.say(MessageType::aspac, {101});
  EXPECT_THAT(types(heard), ElementsAre(MessageType::err));
  EXPECT_TRUE(has_error(heard, ErrorCode::refused_management_blocking));
  EXPECT_EQ(heard.front().contexts, std::vector<std::uint32_t>{101});
  EXPECT_FALSE(one.down());

  gateway.order("asp1", PeerOrder::unblock, "", world.now());
  const auto told = one.listen();
  EXPECT_THAT(types_in(told, 101), ElementsAre(MessageType::ntfy)) << "how its AS fares";
  EXPECT_TRUE(has_notify(told, NotifyStatus::as_active));
  EXPECT_EQ(types(one.say(MessageType::aspac, {101})).front(), MessageType::aspac_ack);
  EXPECT_EQ(spread(), std::pair(std::size_t{8}, std::size_t{8}));
}

TEST_F(RevisionTest, AnAspThatIsDownWhenItIsUnblockedHearsOfItsServerOnce) {
  all_active();
  one.say(MessageType::aspdn);
  gateway.order("asp1", PeerOrder::block, "maintenance", world.now());
  gateway.order("asp1", PeerOrder::unblock, "", world.now());
  EXPECT_THAT(one.listen(), IsEmpty());
  EXPECT_THAT(types(one.aspup(1)), ElementsAre(MessageType::aspup_ack, MessageType::ntfy));
}

TEST_F(RevisionTest, ABlockedAspThatComesBackIsStillBlocked) {
  all_active();
  gateway.order("asp1", PeerOrder::block, "maintenance", world.now());
  (void)one.listen();
  one.node.transport.cut(one.module.association);
  ASSERT_TRUE(world.run_until([&] { return one.down(); }, 1s));
  ASSERT_TRUE(world.run_until([&] { return !one.down(); }, 60s));
  EXPECT_EQ(types(one.aspup(1)).front(), MessageType::aspup_ack);
  EXPECT_TRUE(
      has_error(one.say(MessageType::aspac, {101}), ErrorCode::refused_management_blocking));
}

TEST_F(RevisionTest, AnInactiveAspThatIsBlockedHearsNothing) {
  one.aspup(1);
  (void)one.listen();
  gateway.order("asp1", PeerOrder::block, "maintenance", world.now());
  EXPECT_THAT(one.listen(), IsEmpty());
  EXPECT_EQ(gateway.status_of("asp1").detail, "blocked, as1 ASP-INACTIVE");
}

TEST_F(RevisionTest, AnAspThatIsUnblockedBeforeItsAckHearsOfItsServerAfterThat) {
  all_active();
  two.say(MessageType::aspia, {101});
  (void)one.listen();
  gateway.order("asp1", PeerOrder::block, "maintenance", world.now());
  gateway.order("asp1", PeerOrder::unblock, "", world.now());
  const auto heard = one.listen();
  EXPECT_THAT(types_in(heard, 101),
              ElementsAre(MessageType::aspia_ack, MessageType::ntfy, MessageType::ntfy));
  EXPECT_EQ(types(one.say(MessageType::aspac, {101})).front(), MessageType::aspac_ack);
}

TEST_F(RevisionTest, ABlockedAspOfAnAddedServerMayNotActivateThere) {
  all_active();
  gateway.order("asp1", PeerOrder::block, "maintenance", world.now());
  (void)one.listen();
  follow([](M3uaConfig& next) { next.application_servers[1].asps.push_back("asp1"); });
  EXPECT_TRUE(has_notify(one.listen(), NotifyStatus::as_active));
  EXPECT_TRUE(
      has_error(one.say(MessageType::aspac, {102}), ErrorCode::refused_management_blocking));
}

// --- The ASP side --------------------------------------------------------------------------------

class AspClientOrders : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(world.run_until([&] { return asp.active(); }, 20s));
    world.run_for(5ms);
  }
  void order(PeerOrder order, const std::string& why) {
    StandingOrders orders = asp.node.directory.orders_of(&asp.module, "sg");
    if (order == PeerOrder::block) orders.blocked = true;
    if (order == PeerOrder::unblock) orders.blocked = false;
    if (order == PeerOrder::disconnect) {
      ++orders.disconnects;
      orders.disconnected = true;
    }
    asp.node.directory.order(&asp.module, "sg", orders);
    asp.node.shard.order({&asp.module, "sg"}, order, why, world.now());
  }
  std::string detail() const {
    std::string detail;
    asp.node.shard.visit_sessions([&](const SessionView& view) {
      if (!view.coordinator) detail = view.session->status().detail;
    });
    return detail;
  }

  sim::SimWorld world{5};
  SimGateway gateway{world, gateway_config(TrafficMode::loadshare, {1})};
  Asp asp{world, 1, client_config(1, {101})};
};

TEST_F(AspClientOrders, ABlockedOneGoesAndStaysInactiveUntilItIsUnblocked) {
  order(PeerOrder::block, "maintenance");
  EXPECT_EQ(asp.log.state, AspState::inactive);
  asp.send({1001, 1001, 3, 2, 0, 0}, "x");
  world.run_for(1s);
  EXPECT_THAT(asp.log.returned, ElementsAre(Why::not_open));
  EXPECT_EQ(gateway.asp_state("asp1"), "ASP-INACTIVE");
  EXPECT_EQ(detail(), "blocked, routing context 101 ASP-INACTIVE");
  world.run_for(60s);
  EXPECT_EQ(gateway.asp_state("asp1"), "ASP-INACTIVE");

  order(PeerOrder::unblock, "");
  ASSERT_TRUE(world.run_until([&] { return asp.active(); }, 1s));
  EXPECT_EQ(gateway.asp_state("asp1"), "ASP-ACTIVE");
  EXPECT_EQ(gateway.count(siglane::counter::associations_opened), 1u);
}

TEST_F(AspClientOrders, OneThatIsUnblockedBeforeItsAckActivatesAfterIt) {
  order(PeerOrder::block, "maintenance");
  order(PeerOrder::unblock, "");
  EXPECT_EQ(asp.log.state, AspState::inactive);
  ASSERT_TRUE(world.run_until([&] { return asp.active(); }, 1s));
}

TEST_F(AspClientOrders, ADisconnectedOneSaysGoodbye) {
  order(PeerOrder::disconnect, "maintenance");
  world.run_for(1s);
  EXPECT_EQ(asp.log.state, AspState::down);
  EXPECT_EQ(gateway.asp_state("asp1"), "none");
  EXPECT_EQ(asp.node.facts.last(kPeerClosed, "why"), "maintenance");
}

TEST_F(AspClientOrders, OneThatTheGatewayBlocksKeepsItsAssociationAndActivatesLater) {
  gateway.order("asp1", PeerOrder::block, "maintenance", world.now());
  world.run_for(60s);
  EXPECT_EQ(gateway.count(siglane::counter::associations_opened), 1u);
  EXPECT_EQ(asp.log.state, AspState::inactive);
  gateway.order("asp1", PeerOrder::unblock, "", world.now());
  ASSERT_TRUE(world.run_until([&] { return asp.active(); }, 10s));
}

}  // namespace
}  // namespace siglane::m3ua
