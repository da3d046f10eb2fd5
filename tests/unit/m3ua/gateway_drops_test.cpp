// What a gateway drops or refuses, by reason and by the ASP that sent it, with an example.
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/shard_facts.h"
#include "protocols/m3ua/counters.h"
#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class GatewayDropsTest : public testing::Test {
 protected:
  void start(M3uaConfig config) { gateway.emplace(world, std::move(config)); }
  void activate(RawPeer& peer, std::uint32_t identifier) {
    peer.aspup(identifier);
    ASSERT_EQ(types(peer.say(MessageType::aspac)).front(), MessageType::aspac_ack);
  }
  // Nothing has been dropped but that.
  void expect_only(std::string_view reason, std::string_view peer, std::uint64_t count,
                   const std::string& example) {
    std::map<std::string, Drops::Row> rows;
    gateway->node.shard.drops().visit(
        [&](std::string_view why, const std::string& who, const Drops::Row& row) {
          rows[std::string(why) + " of " + who] = row;
        });
    ASSERT_EQ(rows.size(), 1u) << reason;
    EXPECT_EQ(rows.begin()->first, std::string(reason) + " of " + std::string(peer));
    EXPECT_EQ(rows.begin()->second.count, count);
    EXPECT_THAT(rows.begin()->second.example, HasSubstr(example));
  }
  std::pair<std::uint64_t, std::string> row(std::string_view reason, const std::string& peer) {
    std::pair<std::uint64_t, std::string> found;
    gateway->node.shard.drops().visit(
        [&](std::string_view why, const std::string& who, const Drops::Row& row) {
          if (why == reason && who == peer) found = {row.count, row.example};
        });
    return found;
  }

  sim::SimWorld world{3};
  std::optional<SimGateway> gateway;
};

TEST_F(GatewayDropsTest, NothingIsDroppedWhereAllIsWell) {
  start(gateway_config(TrafficMode::loadshare, {1, 1}));
  RawPeer one(world, 1), two(world, 2);
  activate(one, 1);
  activate(two, 2);
  one.data(101, {1001, 1002, 3, 2, 0, 5}, "x");
  gateway->node.shard.drops().visit([](std::string_view reason, const std::string&,
                                       const Drops::Row&) { ADD_FAILURE() << reason; });
}

TEST_F(GatewayDropsTest, DataWithoutARouteIsOfItsSender) {
  start(gateway_config(TrafficMode::loadshare, {1}));
  RawPeer one(world, 1);
  activate(one, 1);
  one.data(101, {1001, 4711, 3, 2, 0, 5}, "x");
  one.data(101, {1001, 4712, 3, 2, 0, 5}, "x");
  expect_only("m3ua.no_route", "asp1", 2, "DATA 1001 -> 4712 NI 2 SI 3 SLS 5 RC 101");
}

TEST_F(GatewayDropsTest, DataForAnAsThatIsDownIsNotWithoutARoute) {
  start(gateway_config(TrafficMode::loadshare, {1, 1}));
  RawPeer one(world, 1);
  activate(one, 1);
  one.data(101, {1001, 1002, 3, 2, 0, 5}, "x");
  expect_only("m3ua.as_not_active", "asp1", 1, "DATA 1001 -> 1002");
}

TEST_F(GatewayDropsTest, WhatAPendingAsCannotHoldOrLosesIsOfEachSender) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1, 1, 1});
  config.application_servers[2].pending_messages_max = 3;
  start(config);
  RawPeer one(world, 1), two(world, 2), three(world, 3);
  activate(one, 1);
  activate(two, 2);
  activate(three, 3);
  three.say(MessageType::aspia);
  ASSERT_EQ(gateway->as_state(2), AsState::pending);
  const auto send = [](RawPeer& peer, std::uint32_t n) {
    peer.data(100 + n, {1000 + n, 1003, 3, 2, 0, 5}, "x");
  };
  send(one, 1), send(two, 2), send(two, 2);
  send(one, 1);
  using Row = std::pair<std::uint64_t, std::string>;
  EXPECT_EQ(row("m3ua.pending_full", "asp1"), Row(1, "DATA 1001 -> 1003 NI 2 SI 3 SLS 5 RC 101"));
  EXPECT_EQ(row("m3ua.pending_full", "asp2").first, 0u);
  ASSERT_TRUE(world.run_until([&] { return gateway->as_state(2) == AsState::inactive; }, 5s));
  EXPECT_EQ(row("m3ua.recovery_expired", "asp1").first, 1u);
  EXPECT_EQ(row("m3ua.recovery_expired", "asp2"),
            Row(2, "DATA 1002 -> 1003 NI 2 SI 3 SLS 5 RC 102"));
  EXPECT_EQ(gateway->count(counter::data_discarded), 4u);
}

TEST_F(GatewayDropsTest, DataInAStateContextOrNetworkThatIsNotRightIsRefusedByReason) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1});
  config.application_servers[0].network_appearance = 8;
  start(config);
  RawPeer one(world, 1);
  one.aspup(1);
  const MtpLabel label{1001, 1001, 3, 2, 0, 5};
  one.data(101, label, "x");
  EXPECT_EQ(row("m3ua.unexpected_message", "asp1").first, 1u);
  one.say(MessageType::aspac);
  one.data(555, label, "x");
  EXPECT_THAT(row("m3ua.invalid_routing_context", "asp1").second, HasSubstr("RC 555"));
  one.data(101, {1001, 0x0100'0000, 3, 2, 0, 5}, "x");
  EXPECT_THAT(row("m3ua.invalid_parameter_value", "asp1").second, HasSubstr("-> 16777216"));
  MessageBuilder data = one.build(MessageType::data);
  data.u32(Tag::network_appearance, 9).protocol_data(label, {});
  one.say(std::move(data).finish(), StreamId{1});
  EXPECT_THAT(row("m3ua.invalid_network_appearance", "asp1").second, HasSubstr("NA 9"));
}

TEST_F(GatewayDropsTest, WhatItsTransportRefusesIsOfTheAspThatItWasFor) {
  start(gateway_config(TrafficMode::loadshare, {1, 1}));
  RawPeer one(world, 1), two(world, 2);
  activate(one, 1);
  activate(two, 2);
  gateway->node.transport.refuse_sends(gateway->association_of("asp2"), true);
  for (int n = 0; n < 3; ++n) one.data(101, {1001, 1002, 3, 2, 0, 5}, "x");
  expect_only("m3ua.send_refused", "asp2", 3, "DATA 1001 -> 1002");
  // Of what is no DATA too.
  two.say(MessageType::daud, {});
  MessageBuilder daud = two.build(MessageType::daud);
  daud.u32(Tag::affected_point_code, 1001);
  two.say(std::move(daud).finish());
  EXPECT_THAT(row("m3ua.send_refused", "asp2").second, HasSubstr("DAVA 1001 RC 102"));
}

TEST_F(GatewayDropsTest, AnErrOfAnAspIsToldWithWhatItIsAbout) {
  start(gateway_config(TrafficMode::loadshare, {1}));
  RawPeer one(world, 1);
  activate(one, 1);
  MessageBuilder ntfy = one.build(MessageType::ntfy);
  ntfy.u32(Tag::status, static_cast<std::uint32_t>(NotifyStatus::as_active));
  const Buffer about = std::move(ntfy).finish();
  MessageBuilder err = one.build(MessageType::err);
  err.u32(Tag::error_code, 6).bytes(Tag::diagnostic_information, about.bytes());
  EXPECT_THAT(one.say(std::move(err).finish()), IsEmpty());
  expect_only("m3ua.err_received", "asp1", 1,
              "ERR Unexpected Message about NTFY, 16 octets: 01 00 00 01");
}

TEST_F(GatewayDropsTest, CongestionThatAnAspReportsIsSeen) {
  start(gateway_config(TrafficMode::loadshare, {1}));
  RawPeer one(world, 1);
  activate(one, 1);
  MessageBuilder scon = one.build(MessageType::scon);
  scon.u32(Tag::affected_point_code, 77);
  EXPECT_THAT(one.say(std::move(scon).finish()), IsEmpty());
  expect_only("m3ua.scon_of_asp", "asp1", 1, "SCON 77");
}

TEST_F(GatewayDropsTest, ARefusedStrangerIsToldOnceAsAPeer) {
  start(gateway_config(TrafficMode::loadshare, {1}));
  RawPeer one(world, 1);
  one.aspup(77);
  EXPECT_EQ(gateway->node.facts.count(kPeerRefused), 1u);
  EXPECT_EQ(gateway->node.facts.count(kProtocolViolation), 0u);
  EXPECT_EQ(gateway->node.facts.count(kMessagesDropped), 0u);
}

}  // namespace
}  // namespace siglane::m3ua
