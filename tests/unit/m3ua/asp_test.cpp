#include "protocols/m3ua/asp.h"

#include <iostream>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/m3ua/counters.h"
#include "tests/support/test_wire.h"
#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr MtpLabel kToAs1{1002, 1001, 3, 2, 0, 5};

TEST(AspSession, TheTableHasOneRowForEveryStateAndEvent) {
  std::set<std::pair<AspState, AspEvent>> rows;
  for (const AspTransition& row : kAspTransitions) {
    EXPECT_TRUE(rows.emplace(row.from, row.event).second);
    std::cout << name_of(row.from) << "  --" << name_of(row.event) << "-->  " << name_of(row.to)
              << "   " << name_of(row.answer) << '\n';
  }
  EXPECT_EQ(rows.size(), 3u * 6u);
}

void bring_to(RawPeer& peer, AspState state, std::uint32_t identifier) {
  if (state == AspState::down) return;
  ASSERT_EQ(types(peer.aspup(identifier)).front(), MessageType::aspup_ack);
  if (state == AspState::inactive) return;
  ASSERT_EQ(types(peer.say(MessageType::aspac, {101})).front(), MessageType::aspac_ack);
}

std::vector<MessageType> expected_of(AspAnswer answer) {
  switch (answer) {
    case AspAnswer::nothing:
      return {};
    case AspAnswer::aspup_ack:
      return {MessageType::aspup_ack};
    case AspAnswer::aspup_ack_and_error:
      return {MessageType::aspup_ack, MessageType::err};
    case AspAnswer::aspdn_ack:
      return {MessageType::aspdn_ack};
    case AspAnswer::aspac_ack:
      return {MessageType::aspac_ack};
    case AspAnswer::aspia_ack:
      return {MessageType::aspia_ack};
    case AspAnswer::notify_alternate_asp_active:
      return {MessageType::ntfy};
    case AspAnswer::error_unexpected_message:
      return {MessageType::err};
  }
  return {};
}

TEST(AspSession, EveryRowOfTheTableIsWhatItAnswersAndBecomes) {
  for (const AspTransition& row : kAspTransitions) {
    sim::SimWorld world(1);
    SimGateway gateway(world, gateway_config(TrafficMode::override_mode, {2}));
    RawPeer peer(world, 1), other(world, 2);
    bring_to(peer, row.from, 1);
    std::deque<Heard> heard;
    switch (row.event) {
      case AspEvent::aspup:
        heard = peer.aspup(1);
        break;
      case AspEvent::aspdn:
        heard = peer.say(MessageType::aspdn);
        break;
      case AspEvent::aspac:
        heard = peer.say(MessageType::aspac, {101});
        break;
      case AspEvent::aspia:
        heard = peer.say(MessageType::aspia, {101});
        break;
      case AspEvent::other_asp_overrides:
        bring_to(other, AspState::active, 2);
        heard = peer.listen();
        std::erase_if(heard, [](const Heard& h) {  // the AS's state is not what this is about
          return h.status == static_cast<std::uint32_t>(NotifyStatus::as_active);
        });
        break;
      case AspEvent::association_lost:
        peer.node.transport.cut(peer.module.association);
        world.run_for(2ms);
        break;
    }
    SCOPED_TRACE(std::string(name_of(row.from)) + ", " + std::string(name_of(row.event)));
    auto answers = types(heard);
    const auto expected = expected_of(row.answer);
    ASSERT_GE(answers.size(), expected.size());
    answers.resize(expected.size());  // NTFYs follow
    EXPECT_EQ(answers, expected);
    if (expected.empty()) {
      EXPECT_THAT(heard, IsEmpty());
    }
    if (row.answer == AspAnswer::error_unexpected_message) {
      EXPECT_TRUE(has_error(heard, ErrorCode::unexpected_message));
    }
    if (row.answer == AspAnswer::notify_alternate_asp_active) {
      EXPECT_TRUE(has_notify(heard, NotifyStatus::alternate_asp_active));
      EXPECT_EQ(heard.front().asp_identifier, 2u);
    }
    const std::string state = gateway.asp_state("asp1");
    EXPECT_TRUE(state == name_of(row.to) || (row.to == AspState::down && state == "none")) << state;
  }
}

class AspSessionTest : public testing::Test {
 protected:
  sim::SimWorld world{7};
};

TEST_F(AspSessionTest, AnAspupIsAnsweredAndTheAspToldHowItsServerFares) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {2}));
  RawPeer peer(world, 1);
  const auto heard = peer.aspup(1);
  EXPECT_THAT(types(heard), ElementsAre(MessageType::aspup_ack, MessageType::ntfy));
  EXPECT_TRUE(has_notify(heard, NotifyStatus::as_inactive));
  EXPECT_EQ(heard.back().contexts, std::vector<std::uint32_t>{101});
}

TEST_F(AspSessionTest, TheAckOfAnAspacComesBeforeTheNotify) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  MessageBuilder aspac = peer.build(MessageType::aspac);
  aspac.u32(Tag::traffic_mode_type, 2).u32(Tag::routing_context, 101);
  const auto heard = peer.say(std::move(aspac).finish());
  EXPECT_THAT(types(heard), ElementsAre(MessageType::aspac_ack, MessageType::ntfy));
  EXPECT_EQ(heard.front().contexts, std::vector<std::uint32_t>{101});
  EXPECT_EQ(heard.front().mode, 2u);
}

TEST_F(AspSessionTest, AnIdentifierThatNobodyHasIsInvalidAndTheAssociationCloses) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {2}));
  RawPeer peer(world, 1);
  EXPECT_TRUE(has_error(peer.aspup(77), ErrorCode::invalid_asp_identifier));
  EXPECT_TRUE(peer.down());
}

TEST_F(AspSessionTest, AnotherAddressThanConfiguredIsRefused) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {2}));
  RawPeer peer(world, 1);
  EXPECT_TRUE(has_error(peer.aspup(2), ErrorCode::refused_management_blocking));
  EXPECT_TRUE(peer.down());
}

TEST_F(AspSessionTest, WithoutIdentifierTheAddressTells) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {2}));
  RawPeer peer(world, 2);
  EXPECT_EQ(types(peer.aspup({})).front(), MessageType::aspup_ack);
  EXPECT_EQ(gateway.asp_state("asp2"), "ASP-INACTIVE");
}

TEST_F(AspSessionTest, WhereAnAddressIsSharedTheIdentifierIsRequired) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {2});
  M3uaModule module(config);
  sim::SimNode node(world, PeerTable({peer_at("asp1", "10.0.1.1"), peer_at("asp2", "10.0.1.1")}));
  module.add_application_servers(node.shard, 1, world.now());
  (void)node.shard.open(endpoint_at(kGatewayAddress, kM3uaPort, true), module);
  RawPeer peer(world, 1);
  EXPECT_TRUE(has_error(peer.aspup({}), ErrorCode::asp_identifier_required));
  EXPECT_FALSE(peer.down());
  EXPECT_EQ(types(peer.aspup(2)).front(), MessageType::aspup_ack);
}

TEST_F(AspSessionTest, AnUnknownAspThatIsLetInBelongsToNoServer) {
  AdmissionConfig admission;
  admission.accept_unknown_peers = true;
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}), admission);
  RawPeer peer(world, 9);
  EXPECT_THAT(types(peer.aspup(50)), ElementsAre(MessageType::aspup_ack));
  EXPECT_TRUE(has_error(peer.say(MessageType::aspac), ErrorCode::no_configured_as_for_asp));
  const auto heard = peer.say(MessageType::aspac, {101});
  EXPECT_TRUE(has_error(heard, ErrorCode::invalid_routing_context));
  EXPECT_THAT(heard.front().contexts, ElementsAre(101));
}

TEST_F(AspSessionTest, AContextThatIsNotItsOwnIsInvalidTheOthersGetActive) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  const auto heard = peer.say(MessageType::aspac, {102, 101});
  EXPECT_TRUE(has_error(heard, ErrorCode::invalid_routing_context));
  EXPECT_EQ(heard.front().contexts, std::vector<std::uint32_t>{102});
  EXPECT_EQ(count_of(heard, MessageType::aspac_ack), 1u);
  EXPECT_EQ(gateway.as_state(0), AsState::active);
}

TEST_F(AspSessionTest, ATrafficModeThatIsNoneOrAnotherIsUnsupported) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  for (const std::uint32_t mode : {0u, 1u, 3u, 4u, 0xffff'ffffu}) {
    MessageBuilder aspac = peer.build(MessageType::aspac);
    aspac.u32(Tag::traffic_mode_type, mode);
    EXPECT_TRUE(
        has_error(peer.say(std::move(aspac).finish()), ErrorCode::unsupported_traffic_mode_type));
  }
  EXPECT_EQ(gateway.as_state(0), AsState::inactive);
}

TEST_F(AspSessionTest, DataBeforeAspActiveIsUnexpected) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  EXPECT_TRUE(has_error(peer.data(101, kToAs1, "x"), ErrorCode::unexpected_message));
  peer.aspup(1);
  const auto heard = peer.data(101, kToAs1, "x");
  EXPECT_TRUE(has_error(heard, ErrorCode::unexpected_message));
  EXPECT_EQ(heard.front().contexts, std::vector<std::uint32_t>{101});
  EXPECT_TRUE(has_error(peer.data({}, kToAs1, "x"), ErrorCode::unexpected_message));
  EXPECT_EQ(gateway.count(counter::data_sent), 0u);
}

TEST_F(AspSessionTest, DataOfAnAspOfSeveralServersMustSayItsContext) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1, 1});
  config.application_servers[1].asps = {"asp1"};
  SimGateway gateway(world, config);
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  EXPECT_TRUE(has_error(peer.data({}, kToAs1, "x"), ErrorCode::missing_parameter));
  EXPECT_THAT(types(peer.data(102, kToAs1, "x")), ElementsAre(MessageType::data));
}

TEST_F(AspSessionTest, ACorrelationIdStaysInTheServerItCameFrom) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  MessageBuilder data = peer.build(MessageType::data);
  data.u32(Tag::routing_context, 101).protocol_data(kToAs1, as_bytes("x"));
  data.u32(Tag::correlation_id, 77);
  const auto heard = peer.say(std::move(data).finish(), StreamId{1});
  ASSERT_THAT(types(heard), ElementsAre(MessageType::data));
  EXPECT_EQ(heard.front().correlation_id, std::nullopt);
}

TEST_F(AspSessionTest, DataOnStreamZeroAndManagementElsewhereAreOnInvalidStreams) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  EXPECT_TRUE(has_error(peer.say(peer.build(MessageType::aspup).finish(), StreamId{3}),
                        ErrorCode::invalid_stream_identifier));
  peer.aspup(1);
  peer.say(MessageType::aspac);
  EXPECT_TRUE(
      has_error(peer.data(101, kToAs1, "x", StreamId{0}), ErrorCode::invalid_stream_identifier));
  const auto heard = peer.data(101, kToAs1, "x", StreamId{2});
  EXPECT_THAT(types(heard), ElementsAre(MessageType::data));
}

TEST_F(AspSessionTest, DataGoesOutOnTheStreamOfItsSls) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  for (int sls = 0; sls < 256; ++sls) {
    MtpLabel label = kToAs1;
    label.sls = static_cast<std::uint8_t>(sls);
    const auto heard = peer.data(101, label, "x");
    ASSERT_EQ(heard.size(), 1u);
    EXPECT_EQ(heard.front().stream, StreamId{static_cast<std::uint16_t>(1 + sls % 7)});
  }
}

TEST_F(AspSessionTest, ASingleStreamIsRefusedUnlessAllowed) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1});
  {
    SimGateway gateway(world, config);
    RawPeer peer(world, 1, 1);
    EXPECT_TRUE(has_error(peer.aspup(1), ErrorCode::refused_management_blocking));
    EXPECT_TRUE(peer.down());
  }
  config.single_stream_allowed = true;
  SimGateway gateway(world, config);
  RawPeer peer(world, 1, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  const auto heard = peer.data(101, kToAs1, "x", StreamId{0});
  ASSERT_THAT(types(heard), ElementsAre(MessageType::data));
  EXPECT_EQ(heard.front().stream, StreamId{0});
}

TEST_F(AspSessionTest, ATransportWithoutStreamsNeedsNoPermission) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1, 0);  // as TCP and TLS report themselves
  EXPECT_FALSE(has_error(peer.aspup(1), ErrorCode::refused_management_blocking));
  peer.say(MessageType::aspac);
  const auto heard = peer.data(101, kToAs1, "x", StreamId{0});
  ASSERT_THAT(types(heard), ElementsAre(MessageType::data));
  EXPECT_EQ(heard.front().stream, StreamId{0});
}

TEST_F(AspSessionTest, AWrongContextOrAppearanceInDataIsNamedInTheError) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1});
  config.application_servers[0].network_appearance = 8;
  SimGateway gateway(world, config);
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  EXPECT_TRUE(has_error(peer.data(555, kToAs1, "x"), ErrorCode::invalid_routing_context));
  MessageBuilder data = peer.build(MessageType::data);
  data.u32(Tag::network_appearance, 9).protocol_data(kToAs1, {});
  EXPECT_TRUE(has_error(peer.say(std::move(data).finish(), StreamId{1}),
                        ErrorCode::invalid_network_appearance));
  EXPECT_THAT(types(peer.data(101, kToAs1, "x")), ElementsAre(MessageType::data));
}

TEST_F(AspSessionTest, MalformedMessagesAreAnsweredCountedAndToldOnceAMinute) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(has_error(peer.say(Buffer::copy_of(as_bytes("\x02 nonsense"))),
                          ErrorCode::invalid_version));
  }
  EXPECT_EQ(gateway.count(counter::malformed), 5u);
  EXPECT_EQ(gateway.count(counter::errors_sent), 5u);
  const sim::FactLog& facts = gateway.node.facts;
  ASSERT_EQ(facts.count(kMessagesDropped), 1u);
  EXPECT_EQ(facts.last(kMessagesDropped, "peer"), "asp1");
  EXPECT_EQ(facts.last(kMessagesDropped, "reason"), "m3ua.invalid_version");
  EXPECT_THAT(facts.last(kMessagesDropped, "example"), testing::HasSubstr("10 octets: 02 20 6e"));
  EXPECT_THAT(facts.last(kMessagesDropped, "example"),
              testing::HasSubstr("Invalid Version at offset 0"));
  world.run_for(61s);
  EXPECT_EQ(facts.count(kMessagesDropped), 2u);
  EXPECT_EQ(facts.last(kMessagesDropped, "count"), "4");
  EXPECT_FALSE(peer.down());
}

TEST_F(AspSessionTest, AnErrNeverAnswersAnErr) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  MessageBuilder good = peer.build(MessageType::err);
  good.u32(Tag::error_code, 7);
  EXPECT_THAT(peer.say(std::move(good).finish()), IsEmpty());
  EXPECT_THAT(peer.say(peer.build(MessageType::err).finish()), IsEmpty());  // lacks its code
  MessageBuilder elsewhere = peer.build(MessageType::err);
  elsewhere.u32(Tag::error_code, 7);
  EXPECT_THAT(peer.say(std::move(elsewhere).finish(), StreamId{4}), IsEmpty());
  EXPECT_EQ(gateway.count(counter::errors_received), 1u);
}

TEST_F(AspSessionTest, WhatOnlyAGatewaySaysIsUnexpectedFromAnAsp) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  for (const MessageType type : {MessageType::aspup_ack, MessageType::aspdn_ack,
                                 MessageType::aspac_ack, MessageType::aspia_ack}) {
    EXPECT_TRUE(has_error(peer.say(type), ErrorCode::unexpected_message)) << name_of(type);
  }
  MessageBuilder duna = peer.build(MessageType::duna);
  duna.u32(Tag::affected_point_code, 1);
  EXPECT_TRUE(has_error(peer.say(std::move(duna).finish()), ErrorCode::unexpected_message));
}

TEST_F(AspSessionTest, ABeatComesBackAsItWasOnItsStream) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  MessageBuilder beat = peer.build(MessageType::beat);
  beat.bytes(Tag::heartbeat_data, as_bytes("anything"));
  beat.bytes(Tag{0xfeed}, as_bytes("an extension"));
  const Buffer sent = std::move(beat).finish();
  const auto heard = peer.say(sent, StreamId{5});
  ASSERT_THAT(types(heard), ElementsAre(MessageType::beat_ack));
  EXPECT_EQ(heard.front().data, "anything");
  EXPECT_EQ(heard.front().stream, StreamId{5});
  EXPECT_EQ(heard.front().parameters, as_text(sent.bytes().subspan(kHeaderSize)));
}

TEST_F(AspSessionTest, AnAspThatAnswersNoBeatIsGoneAfterTwoIntervals) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1});
  config.heartbeat_interval = 1s;
  SimGateway gateway(world, config);
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  const auto heard = peer.listen(2500ms);
  EXPECT_EQ(count_of(heard, MessageType::beat), 2u);
  EXPECT_FALSE(peer.down());
  peer.listen(600ms);
  EXPECT_TRUE(peer.down());
  EXPECT_EQ(gateway.as_state(0), AsState::pending);
}

TEST_F(AspSessionTest, AnyMessageOfAnAspShowsThatItIsThere) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1});
  config.heartbeat_interval = 1s;
  SimGateway gateway(world, config);
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  for (int i = 0; i < 10; ++i) {
    peer.listen(900ms);
    peer.data(101, kToAs1, "still here");
  }
  EXPECT_FALSE(peer.down());
}

TEST_F(AspSessionTest, AnAuditIsAnsweredWithWhatTheRoutesSay) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  MessageBuilder daud = peer.build(MessageType::daud);
  daud.list(Tag::affected_point_code, std::vector<std::uint32_t>{1001, 1002, 1003});
  auto heard = peer.say(std::move(daud).finish());
  ASSERT_THAT(types(heard), ElementsAre(MessageType::dava, MessageType::duna));
  EXPECT_THAT(heard[0].affected, ElementsAre(1001));
  EXPECT_THAT(heard[1].affected, ElementsAre(1002, 1003));
  EXPECT_THAT(heard[0].contexts, ElementsAre(101));

  MessageBuilder range = peer.build(MessageType::daud);
  range.u32(Tag::affected_point_code, (AffectedPointCode{8, 1001}).pack());
  heard = peer.say(std::move(range).finish());
  ASSERT_THAT(types(heard), ElementsAre(MessageType::dava, MessageType::duna));
  EXPECT_THAT(heard[0].affected, ElementsAre(1001));
  EXPECT_THAT(heard[1].affected, ElementsAre(1002));
}

TEST_F(AspSessionTest, AnAuditInAContextThatIsNotItsOwnIsInvalid) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  MessageBuilder daud = peer.build(MessageType::daud);
  daud.u32(Tag::routing_context, 102).u32(Tag::affected_point_code, 1001);
  const auto heard = peer.say(std::move(daud).finish());
  ASSERT_THAT(types(heard), ElementsAre(MessageType::err));
  EXPECT_TRUE(has_error(heard, ErrorCode::invalid_routing_context));
  EXPECT_THAT(heard.front().contexts, ElementsAre(102));
}

TEST_F(AspSessionTest, RegistrationIsDeniedForEachKey) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  MessageBuilder request = peer.build(MessageType::reg_req);
  const std::size_t key = request.open(Tag::routing_key);
  request.u32(Tag::local_routing_key_identifier, 9).u32(Tag::destination_point_code, 1001);
  request.close(key);
  const auto heard = peer.say(std::move(request).finish());
  ASSERT_THAT(types(heard), ElementsAre(MessageType::reg_rsp));
  ParameterReader result(as_bytes(heard.front().data));
  EXPECT_EQ(load_u32(result.next()->value.data()), 9u);
  EXPECT_EQ(load_u32(result.next()->value.data()),
            static_cast<std::uint32_t>(RegistrationStatus::permission_denied));

  const auto dereg = peer.say(MessageType::dereg_req, {101});
  ASSERT_THAT(types(dereg), ElementsAre(MessageType::dereg_rsp));
  ParameterReader outcome(as_bytes(dereg.front().data));
  EXPECT_EQ(load_u32(outcome.next()->value.data()), 101u);
  EXPECT_EQ(load_u32(outcome.next()->value.data()),
            static_cast<std::uint32_t>(DeregistrationStatus::permission_denied));
}

TEST_F(AspSessionTest, ALongDeregistrationIsAnsweredInPieces) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  const auto heard = peer.say(MessageType::dereg_req, std::vector<std::uint32_t>(2049, 7));
  ASSERT_THAT(types(heard),
              ElementsAre(MessageType::dereg_rsp, MessageType::dereg_rsp, MessageType::dereg_rsp));
  EXPECT_EQ(heard[0].parameters.size(), 1024u * 20);
  EXPECT_EQ(heard[2].parameters.size(), 20u);
}

TEST_F(AspSessionTest, AStoppingGatewayTakesItsAspsDownAndCloses) {
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1}));
  RawPeer peer(world, 1);
  peer.aspup(1);
  peer.say(MessageType::aspac);
  gateway.node.shard.stop(world.now());
  EXPECT_THAT(types(peer.listen()), Contains(MessageType::aspdn_ack));
  EXPECT_TRUE(peer.down());
  EXPECT_TRUE(gateway.node.shard.idle());
}

// A shard without a wire: what an association reports is the test's to say.
class LostAssociationTest : public testing::Test {
 protected:
  LostAssociationTest() : gateway_(config()), first_(open(1)), second_(open(2)) {}

  void receive(AssociationId from, MessageBuilder message, StreamId stream = StreamId{0}) {
    shard_.on_event(from,
                    AssociationReceived{
                        {stream, m3ua::kPayloadProtocol, false, {}, std::move(message).finish()}},
                    now_);
  }
  MessageBuilder build(MessageType type) { return MessageBuilder(buffers_, type); }
  Buffer data(std::string_view text) {
    MessageBuilder builder = build(MessageType::data);
    builder.u32(Tag::routing_context, 101).protocol_data(kToAs1, as_bytes(text));
    return std::move(builder).finish();
  }
  void unsent(std::string_view text, bool unacknowledged = false) {
    shard_.on_event(first_,
                    AssociationUnsent{{StreamId{1}, m3ua::kPayloadProtocol, false, {}, data(text)},
                                      unacknowledged},
                    now_);
  }
  void down() { shard_.on_event(first_, AssociationDown{DownCause::lost, {}}, now_); }
  void bring_up(AssociationId id, std::uint32_t identifier, bool active) {
    MessageBuilder aspup = build(MessageType::aspup);
    aspup.u32(Tag::asp_identifier, identifier);
    receive(id, std::move(aspup));
    if (active) receive(id, build(MessageType::aspac));
  }
  std::uint64_t discarded() const { return counters_.get(counter::data_discarded); }
  std::uint64_t dropped(std::string_view reason) const {
    std::uint64_t count = 0;
    shard_.drops().visit([&](std::string_view why, const std::string&, const Drops::Row& row) {
      if (why == reason) count += row.count;
    });
    return count;
  }

  static M3uaConfig config() { return gateway_config(TrafficMode::override_mode, {2}); }
  AssociationId open(std::size_t n) {
    if (n == 1) {
      gateway_.add_application_servers(shard_, 1, now_);
      (void)shard_.open({}, gateway_);
    }
    const AssociationId id = next_association_id();
    wire_.add(id, true);
    AssociationUp up;
    up.local = EndpointId{1};
    up.remote_addresses = {asp_address(n)};
    up.streams_in = up.streams_out = 4;
    shard_.on_event(id, up, now_);
    return id;
  }

  BufferPool buffers_;
  Counters counters_;
  Directory directory_;
  sim::FactLog facts_;
  std::map<AssociationId, std::vector<std::string>> texts_;  // of DATA that was sent
  const test::Wire::OnSend on_send_ = [this](test::Wire::Line& line, const Message& message) {
    const auto view = MessageView::parse(message.payload.bytes());
    if (const auto d = view->find(Tag::protocol_data)) {
      texts_[line.id()].emplace_back(as_text(d->subspan(kMtpLabelSize)));
    }
    return SendOutcome::accepted;
  };
  test::Wire wire_{&on_send_};
  PeerTable peers_{{peer_at("asp1", asp_address(1)), peer_at("asp2", asp_address(2))}};
  Instant now_{1s};
  M3uaModule gateway_;
  Shard shard_{{}, wire_, peers_, directory_, facts_, nullptr, buffers_, counters_};
  AssociationId first_, second_;
};

TEST_F(LostAssociationTest, WhatNeverLeftGoesToTheNextActiveAspAheadOfWhatComesLater) {
  bring_up(first_, 1, true);
  bring_up(second_, 2, false);
  unsent("one");
  unsent("two");
  down();
  receive(second_, build(MessageType::aspac));
  MessageBuilder later = build(MessageType::data);
  later.protocol_data(kToAs1, as_bytes("three"));
  receive(second_, std::move(later), StreamId{1});
  EXPECT_THAT(texts_[second_], ElementsAre("one", "two", "three"));
  EXPECT_EQ(discarded(), 0u);
}

TEST_F(LostAssociationTest, WhatMayHaveArrivedIsNotSentASecondTime) {
  bring_up(first_, 1, true);
  bring_up(second_, 2, false);
  unsent("perhaps", true);
  unsent("never");
  down();
  receive(second_, build(MessageType::aspac));
  EXPECT_THAT(texts_[second_], ElementsAre("never"));
  EXPECT_EQ(discarded(), 1u);
  EXPECT_EQ(dropped("m3ua.unacknowledged"), 1u);
}

TEST_F(LostAssociationTest, WhatIsRefusedWhileTheAssociationLivesIsLost) {
  bring_up(first_, 1, true);
  bring_up(second_, 2, false);
  unsent("refused");
  shard_.run_due(now_);
  EXPECT_EQ(discarded(), 1u);
  now_ += 1ms;
  unsent("also refused");
  now_ += 1ms;
  unsent("kept");
  EXPECT_EQ(discarded(), 2u);
  down();
  receive(second_, build(MessageType::aspac));
  EXPECT_THAT(texts_[second_], ElementsAre("kept"));
  EXPECT_EQ(dropped("m3ua.send_refused"), 2u);
}

TEST_F(LostAssociationTest, KeepsABoundedPartOfWhatNeverLeft) {
  bring_up(first_, 1, true);
  bring_up(second_, 2, false);
  for (int i = 0; i < 4096 + 10; ++i) unsent(std::to_string(i));
  EXPECT_EQ(discarded(), 10u);
  EXPECT_EQ(dropped("m3ua.unsent_full"), 10u);
}

}  // namespace
}  // namespace siglane::m3ua
