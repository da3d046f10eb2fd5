// The whole room in one simulated world: a signalling gateway, ASP clients, their users.
#include <array>
#include <map>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/m3ua/counters.h"
#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

MtpLabel label(std::uint32_t opc, std::uint32_t dpc, std::uint8_t sls) {
  return {opc, dpc, 3, 2, 0, sls};
}

class GatewayTest : public testing::Test {
 protected:
  bool wait_until(const std::function<bool()>& done) { return world.run_until(done, 30s); }

  sim::SimWorld world{42};
};

TEST_F(GatewayTest, AnAspBecomesActiveAndDataPassesFromServerToServer) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  Asp a(world, 1, client_config(1, {101}));
  Asp b(world, 2, client_config(2, {102}));
  ASSERT_TRUE(wait_until([&] { return a.active() && b.active(); }));
  a.send(label(1001, 1002, 7), "hello");
  ASSERT_TRUE(wait_until([&] { return !b.log.data.empty(); }));
  EXPECT_EQ(b.log.data.front().text, "hello");
  EXPECT_EQ(b.log.data.front().label, label(1001, 1002, 7));
  EXPECT_EQ(gateway.count(counter::data_received), 1u);
  EXPECT_EQ(gateway.count(counter::data_sent), 1u);
  EXPECT_THAT(a.log.data, IsEmpty());
}

TEST_F(GatewayTest, AnAspOfSeveralServersServesEachInItsContext) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1, 1});
  config.application_servers[1].asps = {"asp1"};
  SimGateway gateway(world, config);
  Asp a(world, 1, client_config(1, {101, 102}));
  ASSERT_TRUE(wait_until([&] {
    return gateway.as_state(0) == AsState::active && gateway.as_state(1) == AsState::active;
  }));
  world.run_for(5ms);
  a.send(label(1001, 1002, 7), "to myself");
  ASSERT_TRUE(wait_until([&] { return !a.log.data.empty(); }));
}

TEST_F(GatewayTest, AnAspWithoutContextsIsActiveWhereTheGatewaySays) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  Asp a(world, 1, client_config(1, {}));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  a.send(label(7, 1001, 1), "loop");
  ASSERT_TRUE(wait_until([&] { return !a.log.data.empty(); }));
}

TEST_F(GatewayTest, LoadshareKeepsEachSlsWithOneAspAndInOrder) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 3}));
  Asp source(world, 1, client_config(1, {101}));
  std::array<std::unique_ptr<Asp>, 3> sinks;
  for (std::size_t i = 0; i < 3; ++i) {
    sinks[i] = std::make_unique<Asp>(world, 2 + i,
                                     client_config(static_cast<std::uint32_t>(2 + i), {102}));
  }
  ASSERT_TRUE(wait_until([&] {
    return source.active() && sinks[0]->active() && sinks[1]->active() && sinks[2]->active();
  }));
  for (int n = 0; n < 1600; ++n) {
    source.send(label(1001, 1002, static_cast<std::uint8_t>(n % 16)), std::to_string(n));
    if (n % 10 == 0) world.run_for(50us);
  }
  const auto received = [&] {
    return sinks[0]->log.data.size() + sinks[1]->log.data.size() + sinks[2]->log.data.size();
  };
  ASSERT_TRUE(wait_until([&] { return received() == 1600; }));
  std::map<std::uint8_t, std::size_t> home;
  std::map<std::uint8_t, int> last;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(static_cast<double>(sinks[i]->log.data.size()), 533, 101);
    for (const auto& r : sinks[i]->log.data) {
      EXPECT_EQ(home.try_emplace(r.label.sls, i).first->second, i);
      const int number = std::stoi(r.text);
      const auto [at, first] = last.try_emplace(r.label.sls, number);
      if (!first) {
        EXPECT_EQ(number, at->second + 16);
        at->second = number;
      }
    }
  }
  EXPECT_EQ(home.size(), 16u);
}

TEST_F(GatewayTest, BroadcastReachesEveryActiveAspOnce) {
  SimGateway gateway(world, gateway_config(TrafficMode::broadcast, {1, 3}));
  Asp source(world, 1, client_config(1, {101}));
  Asp b(world, 2, client_config(2, {102})), c(world, 3, client_config(3, {102}));
  ASSERT_TRUE(wait_until([&] { return source.active() && b.active() && c.active(); }));
  for (int n = 0; n < 20; ++n) source.send(label(1001, 1002, 3), std::to_string(n));
  ASSERT_TRUE(wait_until([&] { return b.log.data.size() == 20 && c.log.data.size() == 20; }));
  EXPECT_EQ(b.log.texts(), c.log.texts());
  EXPECT_EQ(b.log.data.back().text, "19");
}

TEST_F(GatewayTest, AStandbyTakesOverWhenTheActiveAspIsLostAndNothingIsLostOrReordered) {
  SimGateway gateway(world, gateway_config(TrafficMode::override_mode, {1, 2}));
  Asp source(world, 1, client_config(1, {101}));
  Asp first(world, 2, client_config(2, {102}));
  ASSERT_TRUE(wait_until([&] { return source.active() && first.active(); }));
  Asp second(world, 3, client_config(3, {102}, true));
  ASSERT_TRUE(wait_until([&] { return second.log.state == AspState::inactive; }));
  for (int n = 0; n < 50; ++n) source.send(label(1001, 1002, 3), std::to_string(n));
  ASSERT_TRUE(wait_until([&] { return first.log.data.size() == 50; }));

  gateway.node.transport.cut(gateway.association_of("asp2"));
  ASSERT_TRUE(wait_until([&] { return gateway.as_state(1) == AsState::pending; }));
  for (int n = 50; n < 1050; ++n) source.send(label(1001, 1002, 3), std::to_string(n));
  ASSERT_TRUE(wait_until([&] { return second.active(); }));
  for (int n = 1050; n < 1100; ++n) source.send(label(1001, 1002, 3), std::to_string(n));
  ASSERT_TRUE(wait_until([&] { return second.log.data.size() == 1050; }));
  for (int n = 0; n < 1050; ++n) {
    ASSERT_EQ(second.log.data[static_cast<std::size_t>(n)].text, std::to_string(n + 50));
  }
  EXPECT_EQ(gateway.count(counter::data_discarded), 0u);
}

TEST_F(GatewayTest, AnOverrideSwitchesTheTrafficAndTellsTheOneBefore) {
  SimGateway gateway(world, gateway_config(TrafficMode::override_mode, {1, 2}));
  Asp source(world, 1, client_config(1, {101}));
  Asp first(world, 2, client_config(2, {102}));
  ASSERT_TRUE(wait_until([&] { return source.active() && first.active(); }));
  source.send(label(1001, 1002, 3), "one");
  ASSERT_TRUE(wait_until([&] { return first.log.data.size() == 1; }));
  Asp second(world, 3, client_config(3, {102}));
  ASSERT_TRUE(wait_until([&] { return second.active() && first.log.state == AspState::inactive; }));
  source.send(label(1001, 1002, 3), "two");
  ASSERT_TRUE(wait_until([&] { return second.log.data.size() == 1; }));
  EXPECT_THAT(first.log.texts(), ElementsAre("one"));
  // The one that was overridden does not fight back, and comes back when it is needed.
  world.run_for(20s);
  EXPECT_EQ(first.log.state, AspState::inactive);
  second.node.shard.stop(world.now());
  ASSERT_TRUE(wait_until([&] { return first.active(); }));
}

TEST_F(GatewayTest, ALoadshareAspThatLeavesHandsItsFlowsToTheOthers) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 2}));
  Asp source(world, 1, client_config(1, {101}));
  Asp b(world, 2, client_config(2, {102})), c(world, 3, client_config(3, {102}));
  ASSERT_TRUE(wait_until([&] { return source.active() && b.active() && c.active(); }));
  b.node.shard.stop(world.now());
  ASSERT_TRUE(wait_until([&] { return gateway.asp_state("asp2") == "none"; }));
  for (int n = 0; n < 160; ++n) {
    source.send(label(1001, 1002, static_cast<std::uint8_t>(n % 16)), std::to_string(n));
  }
  ASSERT_TRUE(wait_until([&] { return c.log.data.size() == 160; }));
  EXPECT_EQ(gateway.as_state(1), AsState::active);
}

TEST_F(GatewayTest, NoRouteIsAnsweredByOneDunaForAnInterval) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  for (int n = 0; n < 100; ++n) a.send(label(1001, 4711, 3), "x");
  ASSERT_TRUE(wait_until([&] { return gateway.count(counter::data_unroutable) == 100; }));
  world.run_for(5ms);
  ASSERT_EQ(a.log.network.size(), 1u);
  EXPECT_EQ(a.log.network.front(), std::pair(MessageType::duna, 4711u));
  world.run_for(1s);
  a.send(label(1001, 4711, 3), "x");
  ASSERT_TRUE(wait_until([&] { return a.log.network.size() == 2; }));
}

TEST_F(GatewayTest, TheOthersHearWhenAServerComesAndWhenItIsGone) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  {
    Asp b(world, 2, client_config(2, {102}));
    ASSERT_TRUE(wait_until([&] { return !a.log.network.empty(); }));
    EXPECT_EQ(a.log.network.back(), std::pair(MessageType::dava, 1002u));
    ASSERT_TRUE(wait_until([&] { return b.active(); }));
    EXPECT_THAT(b.log.network, IsEmpty());
    b.node.shard.stop(world.now());
    ASSERT_TRUE(wait_until([&] { return b.node.shard.idle(); }));
  }
  EXPECT_EQ(a.log.network.size(), 1u);  // AS-PENDING is not unavailable
  ASSERT_TRUE(wait_until([&] { return a.log.network.size() == 2; }));
  EXPECT_EQ(a.log.network.back(), std::pair(MessageType::duna, 1002u));
}

TEST_F(GatewayTest, CongestionOfAnAssociationIsToldToTheOthers) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  Asp a(world, 1, client_config(1, {101})), b(world, 2, client_config(2, {102}));
  ASSERT_TRUE(wait_until([&] { return a.active() && b.active(); }));
  world.run_for(5ms);
  a.log.network.clear();
  b.log.network.clear();
  gateway.node.transport.congest(gateway.association_of("asp2"), true);
  ASSERT_TRUE(wait_until([&] { return !a.log.network.empty(); }));
  EXPECT_EQ(a.log.network.front(), std::pair(MessageType::scon, 1002u));
  world.run_for(5ms);
  EXPECT_THAT(b.log.network, IsEmpty());
}

TEST_F(GatewayTest, CongestionIsOverForTheOthersWhenItsAssociationServesNoMore) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  Asp b(world, 2, client_config(2, {102}));
  ASSERT_TRUE(wait_until([&] { return b.active(); }));
  world.run_for(5ms);
  gateway.node.transport.congest(gateway.association_of("asp2"), true);
  ASSERT_TRUE(wait_until([&] { return a.log.congestion.size() == 1; }));
  gateway.node.transport.cut(gateway.association_of("asp2"));
  ASSERT_TRUE(wait_until([&] { return a.log.congestion.size() == 2; }));
  EXPECT_THAT(a.log.congestion, ElementsAre(1u, 0u));
}

TEST_F(GatewayTest, DataThatMeetsNobodyAfterRecoveryIsUnroutable) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  {
    Asp b(world, 2, client_config(2, {102}));
    ASSERT_TRUE(wait_until([&] { return b.active(); }));
    b.node.shard.stop(world.now());
    ASSERT_TRUE(wait_until([&] { return gateway.as_state(1) == AsState::pending; }));
  }
  for (int n = 0; n < 10; ++n) a.send(label(1001, 1002, 1), "held");
  ASSERT_TRUE(wait_until([&] { return gateway.as_state(1) == AsState::down; }));
  EXPECT_EQ(gateway.count(counter::data_discarded), 10u);
  a.send(label(1001, 1002, 1), "late");
  ASSERT_TRUE(wait_until([&] { return gateway.count(counter::data_unroutable) == 1; }));
}

TEST_F(GatewayTest, AClientComesBackAfterItsAssociationIsLost) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  gateway.node.transport.cut(gateway.association_of("asp1"));
  ASSERT_TRUE(wait_until([&] { return !a.active(); }));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
}

TEST_F(GatewayTest, DataOfAUserThatIsNotActiveComesBackToIt) {
  SimGateway gateway(world, gateway_config(TrafficMode::override_mode, {1}));
  Asp a(world, 1, client_config(1, {101}, true));
  ASSERT_TRUE(wait_until([&] { return a.log.state == AspState::inactive; }));
  a.send(label(1, 2, 3), "too early");
  ASSERT_TRUE(wait_until([&] { return !a.log.returned.empty(); }));
  EXPECT_EQ(a.log.returned.front(), Why::not_open);
}

TEST_F(GatewayTest, DataThatTheTransportRefusesComesBackToItsUser) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  a.node.transport.refuse_sends(a.log.asp, true);
  a.send(label(1, 1001, 3), "refused");
  ASSERT_TRUE(wait_until([&] { return !a.log.returned.empty(); }));
  EXPECT_EQ(a.log.returned.front(), Why::refused);
}

TEST_F(GatewayTest, DataThatATargetsTransportRefusesIsCountedAsDiscarded) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  Asp a(world, 1, client_config(1, {101})), b(world, 2, client_config(2, {102}));
  ASSERT_TRUE(wait_until([&] { return a.active() && b.active(); }));
  gateway.node.transport.refuse_sends(gateway.association_of("asp2"), true);
  for (int n = 0; n < 3; ++n) a.send(label(1001, 1002, 3), "x");
  ASSERT_TRUE(wait_until([&] { return gateway.count(counter::data_discarded) == 3; }));
}

// Asks the client's session alone, with a gateway that is a script.
class ScriptedGateway {
 public:
  explicit ScriptedGateway(sim::SimWorld& world)
      : node(world, PeerTable({peer_at("client", asp_address(1))})) {
    (void)node.shard.open(endpoint_at(kGatewayAddress, kM3uaPort, true), module);
  }
  std::size_t heard(MessageType type) const { return count_of(module.heard, type); }
  void say(sim::SimWorld& world, MessageBuilder builder, StreamId stream = StreamId{0}) {
    auto parcel = std::make_unique<RawParcel>();
    parcel->message = {stream, m3ua::kPayloadProtocol, false, {}, std::move(builder).finish()};
    node.shard.submit(AssociationId::none, module.association, std::move(parcel), world.now());
  }
  RawModule module;
  sim::SimNode node;
};

TEST_F(GatewayTest, AspupIsSentAgainUntilTheClientGivesUpAndConnectsAnew) {
  ScriptedGateway gateway(world);
  gateway.node.peers = PeerTable({peer_at("", asp_address(1))});
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspup) == 1; }));
  world.run_for(4100ms);
  EXPECT_EQ(gateway.heard(MessageType::aspup), 3u);
  ASSERT_TRUE(wait_until([&] { return gateway.module.down; }));
  ASSERT_TRUE(wait_until([&] { return !gateway.module.down; }));
}

TEST_F(GatewayTest, AnAspacWithoutAnswerIsSentAgainAfterTAck) {
  ScriptedGateway gateway(world);
  gateway.node.peers = PeerTable({peer_at("", asp_address(1))});
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspup) == 1; }));
  gateway.say(world, MessageBuilder(gateway.node.buffers, MessageType::aspup_ack));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspac) == 1; }));
  EXPECT_EQ(gateway.module.heard.back().contexts, std::vector<std::uint32_t>{101});
  world.run_for(2100ms);
  EXPECT_EQ(gateway.heard(MessageType::aspac), 2u);
  gateway.say(world, MessageBuilder(gateway.node.buffers, MessageType::aspac_ack));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  world.run_for(10s);
  EXPECT_EQ(gateway.heard(MessageType::aspac), 2u);
  // Taken out of service, it tries again after T(ack); down, it begins anew.
  gateway.say(world, MessageBuilder(gateway.node.buffers, MessageType::aspia_ack));
  ASSERT_TRUE(wait_until([&] { return a.log.state == AspState::inactive; }));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspac) == 3; }));
  gateway.say(world, MessageBuilder(gateway.node.buffers, MessageType::aspdn_ack));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspup) == 2; }));
}

TEST_F(GatewayTest, AClientThatIsOverriddenWhileItAsksDoesNotAskForAll) {
  ScriptedGateway gateway(world);
  gateway.node.peers = PeerTable({peer_at("", asp_address(1))});
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspup) == 1; }));
  gateway.say(world, MessageBuilder(gateway.node.buffers, MessageType::aspup_ack));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspac) == 1; }));
  MessageBuilder ntfy(gateway.node.buffers, MessageType::ntfy);
  ntfy.u32(Tag::status, static_cast<std::uint32_t>(NotifyStatus::alternate_asp_active));
  gateway.say(world, std::move(ntfy));
  world.run_for(20s);
  EXPECT_EQ(gateway.heard(MessageType::aspac), 1u);
  EXPECT_FALSE(gateway.module.down);
}

TEST_F(GatewayTest, ADupuNamesOnePointCodeAndNoRange) {
  ScriptedGateway gateway(world);
  gateway.node.peers = PeerTable({peer_at("", asp_address(1))});
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspup) == 1; }));
  for (const std::vector<std::uint32_t>& affected :
       {std::vector<std::uint32_t>{7, 8}, std::vector<std::uint32_t>{0x0100'0007},
        std::vector<std::uint32_t>{7}}) {
    MessageBuilder dupu(gateway.node.buffers, MessageType::dupu);
    dupu.list(Tag::affected_point_code, affected).u32(Tag::user_cause, 3);
    gateway.say(world, std::move(dupu));
    world.run_for(5ms);
  }
  EXPECT_EQ(gateway.heard(MessageType::err), 2u);
  EXPECT_TRUE(has_error(gateway.module.heard, ErrorCode::invalid_parameter_value));
  EXPECT_THAT(a.log.network, ElementsAre(std::pair(MessageType::dupu, 7u)));
}

TEST_F(GatewayTest, NoPointCodeOfMoreThan24BitsIsTakenFromAGatewayOrFromAUser) {
  ScriptedGateway gateway(world);
  gateway.node.peers = PeerTable({peer_at("", asp_address(1))});
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspup) == 1; }));
  gateway.say(world, MessageBuilder(gateway.node.buffers, MessageType::aspup_ack));
  gateway.say(world, MessageBuilder(gateway.node.buffers, MessageType::aspac_ack));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  for (const MtpLabel& wide : {label(1, 0x0100'0002, 3), label(0x0100'0001, 2, 3)}) {
    MessageBuilder data(gateway.node.buffers, MessageType::data);
    data.protocol_data(wide, as_bytes("x"));
    gateway.say(world, std::move(data), StreamId{1});
    a.send(wide, "x");
  }
  world.run_for(5ms);
  EXPECT_EQ(gateway.heard(MessageType::err), 2u);
  EXPECT_TRUE(has_error(gateway.module.heard, ErrorCode::invalid_parameter_value));
  EXPECT_EQ(gateway.heard(MessageType::data), 0u);
  EXPECT_THAT(a.log.data, IsEmpty());
  EXPECT_THAT(a.log.returned, ElementsAre(Why::refused, Why::refused));
}

TEST_F(GatewayTest, WhatComesToAnAspWithoutANetworkIsOfItsOwn) {
  ScriptedGateway gateway(world);
  gateway.node.peers = PeerTable({peer_at("", asp_address(1))});
  AspClientsConfig config = client_config(1, {101});
  config.asps[0].network_appearance = 7;
  Asp a(world, 1, config);
  ASSERT_TRUE(wait_until([&] { return gateway.heard(MessageType::aspup) == 1; }));
  for (const Network said : {Network(), Network(8)}) {
    MessageBuilder duna(gateway.node.buffers, MessageType::duna);
    duna.u32_if(Tag::network_appearance, said).u32(Tag::affected_point_code, 2);
    gateway.say(world, std::move(duna));
  }
  ASSERT_TRUE(wait_until([&] { return a.log.networks.size() == 2; }));
  EXPECT_THAT(a.log.networks, ElementsAre(Network(7), Network(8)));
}

TEST_F(GatewayTest, UserDataThatNoParameterCanHoldComesBack) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  Asp a(world, 1, client_config(1, {101}));
  ASSERT_TRUE(wait_until([&] { return a.active(); }));
  a.send(label(1, 1001, 3), std::string(kUserDataMax + 1, 'x'));
  a.send(label(1, 1001, 3), std::string(kUserDataMax, 'x'));
  ASSERT_TRUE(wait_until([&] { return !a.log.data.empty(); }));
  EXPECT_THAT(a.log.returned, ElementsAre(Why::refused));
  EXPECT_EQ(a.log.data.front().text.size(), kUserDataMax);
}

// The copy of one broadcast that meets an ASP which has just left must not make another broadcast.
TEST(M3uaModule, WhatABroadcastCannotDeliverIsDiscardedAndNotSentToTheOthersAgain) {
  for (const TrafficMode mode : {TrafficMode::loadshare, TrafficMode::broadcast}) {
    const M3uaModule module(gateway_config(mode, {2}));
    BufferPool buffers;
    Counters counters;
    Outbox out(buffers, counters);
    auto data = std::make_unique<DataParcel>(label(1, 1001, 3), Buffer::copy_of(as_bytes("x")));
    module.undelivered(ShardId{0}, AssociationId{1}, std::move(data), Why::not_open, {}, out);
    const bool broadcast = mode == TrafficMode::broadcast;
    ASSERT_EQ(out.actions().size(), 1u);
    const auto* drop = std::get_if<Drop>(&out.actions().front());
    EXPECT_EQ(drop != nullptr, broadcast);
    EXPECT_TRUE(drop == nullptr || drop->reason.name == "m3ua.broadcast_copy");
    EXPECT_EQ(counters.get(counter::data_discarded), broadcast ? 1u : 0u);
  }
}

// Many seeds, everything at once: ASPs die and come back while every flow goes on. What arrives
// arrives once and in order; what does not is counted.
TEST(GatewayStorm, FlowsKeepTheirOrderWhileAspsComeAndGo) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    sim::SimWorld world(seed);
    const TrafficMode mode = seed % 2 == 0 ? TrafficMode::loadshare : TrafficMode::override_mode;
    SimGateway gateway(world, gateway_config(mode, {1, 3}));
    Asp source(world, 1, client_config(1, {101}));
    std::array<std::unique_ptr<Asp>, 3> sinks;
    for (std::size_t i = 0; i < 3; ++i) {
      sinks[i] = std::make_unique<Asp>(world, 2 + i,
                                       client_config(static_cast<std::uint32_t>(2 + i), {102}));
    }
    ASSERT_TRUE(
        world.run_until([&] { return source.active() && gateway.as_state(1) == AsState::active; }));
    std::map<std::uint8_t, int> sent;
    for (int n = 0; n < 4000; ++n) {
      const auto sls = static_cast<std::uint8_t>(world.random().below(16));
      source.send(label(1001, 1002, sls), std::to_string(++sent[sls]));
      if (n % 4 == 0) world.run_for(100us);
      if (n % 700 == 350) {
        const auto victim = gateway.association_of(asp_name(2 + world.random().below(3)));
        gateway.node.transport.cut(victim);
      }
    }
    world.run_for(5s);
    // Within one ASP every flow rises; no message is anywhere twice.
    std::set<std::pair<std::uint8_t, int>> seen;
    for (const auto& sink : sinks) {
      std::map<std::uint8_t, int> last;
      for (const auto& r : sink->log.data) {
        const int number = std::stoi(r.text);
        EXPECT_TRUE(seen.emplace(r.label.sls, number).second) << "twice";
        EXPECT_GT(number, last[r.label.sls]) << "out of order";
        last[r.label.sls] = number;
      }
    }
    EXPECT_GT(seen.size(), 3000u);
    EXPECT_LE(seen.size(), 4000u);
  }
}

}  // namespace
}  // namespace siglane::m3ua
