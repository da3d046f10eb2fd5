// A destination is a point code in a network: what an ASP sends, asks and hears is of one network,
// and no other network is concerned.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/m3ua/counters.h"
#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

constexpr std::uint32_t kShared = 100;  // a point code of two networks

// AS 1 and AS 3 are in network 1, AS 2 and AS 4 in network 2; AS 3 and AS 4 serve the same point
// code. An AS has the ASP of its number, and the routing context 100 + its number.
M3uaConfig two_networks() {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, {1, 1, 1, 1});
  for (std::uint32_t i = 0; i < 4; ++i) {
    config.application_servers[i].network_appearance = 1 + i % 2;
    config.routes[i].network_appearance = 1 + i % 2;
  }
  config.routes[2].destination_point_code = config.routes[3].destination_point_code = kShared;
  return config;
}

// asp1 is in AS 1 (network 1) and AS 2 (network 2).
M3uaConfig one_asp_in_two_networks() {
  M3uaConfig config = two_networks();
  config.application_servers[1].asps = {"asp1"};
  return config;
}

class DestinationsTest : public testing::Test {
 protected:
  void start(const M3uaConfig& config) { gateway.emplace(world, config); }
  void activate(RawPeer& peer, std::uint32_t identifier) {
    peer.aspup(identifier);
    ASSERT_EQ(types(peer.say(MessageType::aspac)).front(), MessageType::aspac_ack);
  }
  static std::deque<Heard> ssnm(RawPeer& peer, MessageType type, std::uint32_t affected,
                                Network network = {}, std::vector<std::uint32_t> contexts = {}) {
    MessageBuilder builder = peer.build(type);
    builder.u32_if(Tag::network_appearance, network)
        .list(Tag::routing_context, contexts)
        .u32(Tag::affected_point_code, affected);
    return peer.say(std::move(builder).finish());
  }
  static std::deque<Heard> data(RawPeer& peer, std::uint32_t opc, std::uint32_t dpc,
                                Network network = {}, std::optional<std::uint32_t> context = {}) {
    MessageBuilder builder = peer.build(MessageType::data);
    builder.u32_if(Tag::network_appearance, network).u32_if(Tag::routing_context, context);
    builder.protocol_data({opc, dpc, 3, 2, 0, 5}, as_bytes("x"));
    return peer.say(std::move(builder).finish(), StreamId{1});
  }
  static std::deque<Heard> only_ssnm(std::deque<Heard> heard) {
    std::erase_if(heard, [](const Heard& h) {
      return h.type != MessageType::duna && h.type != MessageType::dava &&
             h.type != MessageType::scon;
    });
    return heard;
  }

  sim::SimWorld world{11};
  std::optional<SimGateway> gateway;
};

// One SSNM of that network, and nothing else.
void expect_one(const std::deque<Heard>& heard, MessageType type, Network network,
                std::uint32_t affected, std::uint32_t context) {
  ASSERT_THAT(types(heard), ElementsAre(type));
  EXPECT_EQ(heard.front().appearance, network);
  EXPECT_THAT(heard.front().affected, ElementsAre(affected));
  EXPECT_THAT(heard.front().contexts, ElementsAre(context));
}

TEST_F(DestinationsTest, DataForTheSamePointCodeGoesToTheServerOfItsNetwork) {
  start(two_networks());
  RawPeer one(world, 1), two(world, 2), three(world, 3), four(world, 4);
  activate(one, 1);
  activate(two, 2);
  activate(three, 3);
  activate(four, 4);
  three.listen(), four.listen();
  data(one, 1001, kShared);
  EXPECT_THAT(types(three.listen()), ElementsAre(MessageType::data));
  EXPECT_THAT(four.listen(), IsEmpty());
  data(two, 1002, kShared);
  EXPECT_THAT(three.listen(), IsEmpty());
  const auto heard = four.listen();
  ASSERT_THAT(types(heard), ElementsAre(MessageType::data));
  EXPECT_EQ(heard.front().appearance, 2u);
  EXPECT_THAT(heard.front().contexts, ElementsAre(104));
}

TEST_F(DestinationsTest, OnlyItsNetworkHearsThatADestinationComesAndGoes) {
  start(two_networks());
  RawPeer one(world, 1), two(world, 2), three(world, 3), four(world, 4);
  activate(one, 1);
  activate(two, 2);
  activate(three, 3);
  one.listen(), two.listen();
  activate(four, 4);
  EXPECT_THAT(one.listen(), IsEmpty());
  expect_one(two.listen(), MessageType::dava, 2, kShared, 102);
  EXPECT_THAT(only_ssnm(three.listen()), IsEmpty());
  three.say(MessageType::aspdn);
  expect_one(one.listen(3s), MessageType::duna, 1, kShared, 101);
  EXPECT_THAT(two.listen(), IsEmpty());
  EXPECT_THAT(only_ssnm(four.listen()), IsEmpty());
}

TEST_F(DestinationsTest, AnotherNetworksServerDoesNotMakeADestinationAvailable) {
  start(two_networks());
  RawPeer one(world, 1), two(world, 2), three(world, 3);
  activate(one, 1);
  activate(two, 2);
  activate(three, 3);
  one.listen(), two.listen();
  expect_one(ssnm(one, MessageType::daud, kShared), MessageType::dava, 1, kShared, 101);
  expect_one(ssnm(two, MessageType::daud, kShared), MessageType::duna, 2, kShared, 102);
  expect_one(ssnm(two, MessageType::daud, (AffectedPointCode{4, kShared}).pack(), 2),
             MessageType::duna, 2, kShared, 102);
  expect_one(data(two, 1002, kShared), MessageType::duna, 2, kShared, 102);
  EXPECT_THAT(data(one, 1001, kShared), IsEmpty());
  EXPECT_THAT(types(three.listen()), testing::Contains(MessageType::data));
}

TEST_F(DestinationsTest, ARangeHoldsNothingOfAnotherNetwork) {
  start(two_networks());
  RawPeer two(world, 2);
  activate(two, 2);
  const auto heard = ssnm(two, MessageType::daud, (AffectedPointCode{24, 0}).pack());
  ASSERT_THAT(types(heard), ElementsAre(MessageType::dava, MessageType::duna));
  EXPECT_THAT(heard[0].affected, ElementsAre(1002));
  EXPECT_THAT(heard[1].affected, ElementsAre(kShared));
}

TEST_F(DestinationsTest, CongestionIsToldToItsNetworkAlone) {
  start(two_networks());
  RawPeer one(world, 1), two(world, 2), three(world, 3);
  activate(one, 1);
  activate(two, 2);
  activate(three, 3);
  one.listen(), two.listen();
  gateway->node.transport.congest(gateway->association_of("asp3"), true);
  expect_one(one.listen(), MessageType::scon, 1, kShared, 101);
  EXPECT_THAT(two.listen(), IsEmpty());
}

TEST_F(DestinationsTest, AnAspInTwoNetworksHearsOfEachWithTheContextsThere) {
  start(one_asp_in_two_networks());
  RawPeer one(world, 1), three(world, 3), four(world, 4);
  activate(one, 1);
  one.listen();
  activate(three, 3);
  expect_one(only_ssnm(one.listen()), MessageType::dava, 1, kShared, 101);
  activate(four, 4);
  expect_one(only_ssnm(one.listen()), MessageType::dava, 2, kShared, 102);
}

TEST_F(DestinationsTest, AnAuditIsOfTheNetworkOfItsContextOrAppearanceOrOfAll) {
  start(one_asp_in_two_networks());
  RawPeer one(world, 1), three(world, 3);
  activate(one, 1);
  activate(three, 3);
  one.listen();
  expect_one(ssnm(one, MessageType::daud, kShared, {}, {102}), MessageType::duna, 2, kShared, 102);
  expect_one(ssnm(one, MessageType::daud, kShared, 1), MessageType::dava, 1, kShared, 101);
  const auto both = ssnm(one, MessageType::daud, kShared);
  ASSERT_THAT(types(both), ElementsAre(MessageType::dava, MessageType::duna));
  EXPECT_THAT(both[0].appearance, Optional(1u));
  EXPECT_THAT(both[1].appearance, Optional(2u));
  EXPECT_THAT(both[1].contexts, ElementsAre(102));
}

TEST_F(DestinationsTest, AnAspOfManyNetworksMustSayWhichOneItsAuditIsOf) {
  M3uaConfig config = gateway_config(TrafficMode::loadshare, std::vector<std::size_t>(17, 1));
  for (std::uint32_t i = 0; i < 17; ++i) {
    config.application_servers[i].network_appearance = 1 + i;
    config.application_servers[i].asps = {"asp1"};
  }
  start(config);
  RawPeer one(world, 1);
  activate(one, 1);
  EXPECT_TRUE(has_error(ssnm(one, MessageType::daud, 1001), ErrorCode::missing_parameter));
  expect_one(ssnm(one, MessageType::daud, 1001, 17), MessageType::dava, 17, 1001, 117);
}

TEST_F(DestinationsTest, AnAuditOfANetworkThatIsNotItsOwnIsInvalid) {
  start(one_asp_in_two_networks());
  RawPeer one(world, 1);
  activate(one, 1);
  for (const auto& [network, contexts] :
       {std::pair(9u, std::vector<std::uint32_t>{}), std::pair(2u, std::vector{101u})}) {
    const auto heard = ssnm(one, MessageType::daud, kShared, network, contexts);
    ASSERT_THAT(types(heard), ElementsAre(MessageType::err));
    EXPECT_TRUE(has_error(heard, ErrorCode::invalid_network_appearance));
    EXPECT_EQ(heard.front().appearance, network);
  }
}

TEST_F(DestinationsTest, AnAuditInAContextThatIsInactiveIsUnexpected) {
  start(one_asp_in_two_networks());
  RawPeer one(world, 1);
  one.aspup(1);
  one.say(MessageType::aspac, {101});
  const auto heard = ssnm(one, MessageType::daud, kShared, {}, {102});
  ASSERT_THAT(types(heard), ElementsAre(MessageType::err));
  EXPECT_TRUE(has_error(heard, ErrorCode::unexpected_message));
  EXPECT_THAT(heard.front().contexts, ElementsAre(102));
}

TEST_F(DestinationsTest, ADunaForOneNetworkDoesNotSilenceTheOthers) {
  start(one_asp_in_two_networks());
  RawPeer one(world, 1);
  activate(one, 1);
  expect_one(data(one, 1001, kShared, {}, 101), MessageType::duna, 1, kShared, 101);
  expect_one(data(one, 1002, kShared, {}, 102), MessageType::duna, 2, kShared, 102);
  EXPECT_THAT(data(one, 1001, kShared, 1, 101), IsEmpty());  // said within this interval
}

TEST_F(DestinationsTest, AServerWithoutANetworkIsInTheOneThatItsAspNames) {
  M3uaConfig config = two_networks();
  config.application_servers[0].network_appearance.reset();
  start(config);
  RawPeer one(world, 1), three(world, 3);
  activate(one, 1);
  activate(three, 3);
  EXPECT_THAT(only_ssnm(one.listen()), IsEmpty());  // network 1 is not where it is
  expect_one(ssnm(one, MessageType::daud, kShared, 1), MessageType::dava, 1, kShared, 101);
  expect_one(ssnm(one, MessageType::daud, kShared), MessageType::duna, {}, kShared, 101);
  EXPECT_TRUE(
      has_error(ssnm(one, MessageType::daud, kShared, 5), ErrorCode::invalid_network_appearance));
  EXPECT_TRUE(has_error(data(one, 1001, kShared, 5), ErrorCode::invalid_network_appearance));
}

TEST_F(DestinationsTest, APointCodeThatIsWiderThanItsNetworkIsAnErr) {
  M3uaConfig config = two_networks();
  config.networks = {{1, 14}};
  ASSERT_TRUE(check(config));
  start(config);
  RawPeer one(world, 1), two(world, 2);
  activate(one, 1);
  activate(two, 2);
  one.listen();
  const auto invalid = [](const std::deque<Heard>& heard) {
    return types(heard) == std::vector{MessageType::err} &&
           has_error(heard, ErrorCode::invalid_parameter_value);
  };
  EXPECT_TRUE(invalid(data(one, 1001, 0x4000 + kShared)));
  EXPECT_TRUE(invalid(data(one, 0x4000, kShared)));
  EXPECT_TRUE(invalid(ssnm(one, MessageType::daud, 0x4000)));
  EXPECT_TRUE(invalid(ssnm(one, MessageType::daud, (AffectedPointCode{15, 0}).pack())));
  EXPECT_TRUE(invalid(ssnm(one, MessageType::scon, 0x4000)));
  MessageBuilder scon = one.build(MessageType::scon);
  scon.u32(Tag::affected_point_code, 1).u32(Tag::concerned_destination, 0x4000);
  EXPECT_TRUE(invalid(one.say(std::move(scon).finish())));
  EXPECT_THAT(types(data(one, 1001, 0x3fff)), ElementsAre(MessageType::duna));
  EXPECT_THAT(types(ssnm(one, MessageType::daud, (AffectedPointCode{14, 0}).pack())),
              ElementsAre(MessageType::dava, MessageType::duna));
  // Network 2 has 24 bits.
  EXPECT_THAT(types(data(two, 1002, 0x4000)), ElementsAre(MessageType::duna));
}

TEST_F(DestinationsTest, NoPointCodeHasMoreThan24BitsAndNobodyElseIsUnavailableThen) {
  start(gateway_config(TrafficMode::loadshare, {1, 1}));
  RawPeer one(world, 1);
  activate(one, 1);
  one.listen();
  const auto heard = data(one, 1001, 0x0100'0000 + 1002);
  ASSERT_THAT(types(heard), ElementsAre(MessageType::err));
  EXPECT_TRUE(has_error(heard, ErrorCode::invalid_parameter_value));
  EXPECT_EQ(gateway->count(counter::data_unroutable), 0u);
}

}  // namespace
}  // namespace siglane::m3ua
