#include "protocols/diameter/origin.h"

#include <gtest/gtest.h>

#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

// What an agent may bring; that of other peers is seen in peer_session_test.cpp.
class AgentOriginTest : public testing::Test {
 protected:
  AgentOriginTest() {
    config_.peers = {{"mme", "mme01.near.example", "near.example", {}},
                     {"dra", "dra.transit.example", "transit.example", {}}};
  }
  std::optional<OriginObjection> objection(const Buffer& message) {
    return objection_to_origin(parsed(message),
                               {"agent.transit.example", "transit.example", &realms_}, config_);
  }
  // A request of that host with these Route-Records.
  Buffer request(std::string_view host, std::string_view realm,
                 std::initializer_list<const char*> hops) {
    auto out = MessageBuilder::request(pool_, command::purge_ue);
    out.add(avp::origin_host, host).add(avp::origin_realm, realm);
    for (const char* hop : hops) out.add(avp::route_record, hop);
    return std::move(out).finish();
  }
  Buffer answer(std::string_view host, std::string_view realm) {
    Header header;
    header.command = command::purge_ue.code;
    header.application = application::s6a;
    MessageBuilder out(pool_, header);
    out.add(avp::origin_host, host).add(avp::origin_realm, realm);
    return std::move(out).finish();
  }

  BufferPool pool_;
  DiameterConfig config_ = node_config("us");
  std::vector<std::string> realms_ = {"far.example", "near.example"};
};

TEST_F(AgentOriginTest, ItSpeaksForItselfWithoutARoute) {
  EXPECT_FALSE(objection(request("AGENT.transit.example", "transit.EXAMPLE", {})));
  EXPECT_FALSE(objection(answer("agent.transit.example", "transit.example")));
}

TEST_F(AgentOriginTest, ItSpeaksForTheRealmsBehindItAndForNoOther) {
  EXPECT_FALSE(objection(request("mme.far.example", "FAR.example", {"mme.far.example"})));
  EXPECT_FALSE(objection(answer("hss.far.example", "far.example")));
  for (const Buffer& message :
       {request("mme.else.example", "else.example", {"mme.else.example"}),
        request("peer.transit.example", "transit.example", {"peer.transit.example"}),
        answer("hss.else.example", "else.example")}) {
    const auto found = objection(message);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->reason.name, kForeignOrigin.name);
    EXPECT_EQ(found->result, result::unable_to_comply);
    EXPECT_NE(found->what.find("that realm is not among the peer's routed_realms"),
              std::string::npos);
  }
}

TEST_F(AgentOriginTest, AnyRealmStillIsNotThisNodesNameNorAConfiguredPeersInAnotherRealm) {
  realms_ = {"*"};
  EXPECT_FALSE(objection(request("x.else.example", "else.example", {})));
  EXPECT_FALSE(objection(request("mme01.near.example", "near.example", {})));
  EXPECT_FALSE(objection(answer("x.else.example", "else.example")));
  for (const Buffer& message :
       {request("US.example", "realm.us.example", {}), answer("us.example", "far.example"),
        request("mme01.near.example", "else.example", {}),
        request("agent.transit.example", "else.example", {})}) {
    const auto found = objection(message);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->result, result::unable_to_comply);
  }
}

TEST_F(AgentOriginTest, ARelayedRequestMustShowItsRouteFromItsOriginOn) {
  for (const auto& hops : {std::initializer_list<const char*>{},
                           {"other.far.example"},
                           {"dra.far.example", "mme.far.example"}}) {
    const auto found = objection(request("mme.far.example", "far.example", hops));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->reason.name, kUnacceptableRoute.name);
    EXPECT_EQ(found->result, result::authorization_rejected);
  }
  // Neighbour speaks for neighbour behind an honest agent: not even an agent for any realm covers
  // it.
  realms_ = {"*"};
  EXPECT_TRUE(objection(request("mme.far.example", "far.example", {"other.far.example"})));
}

TEST_F(AgentOriginTest, EveryHopOfARelayedRequestBelongsToARealmOfTheAgent) {
  const auto by_way_of = [&](const char* hop) {
    return objection(request("mme.far.example", "far.example", {"MME.far.example", hop}));
  };
  EXPECT_FALSE(by_way_of("edge.near.example"));
  EXPECT_FALSE(by_way_of("edge.transit.example"));
  EXPECT_FALSE(by_way_of("dra.transit.example")) << "a configured peer of the agent's realm";
  const auto found = by_way_of("edge.evilfar.example");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->result, result::authorization_rejected);
  EXPECT_NE(found->what.find("edge.evilfar.example"), std::string::npos);
  config_.peers[1].realm = "else.example";
  EXPECT_TRUE(by_way_of("dra.transit.example")) << "its name says one realm, its config another";
  realms_ = {"*"};
  EXPECT_FALSE(by_way_of("edge.evilfar.example"));
}

TEST_F(AgentOriginTest, ADwaNeedsNoNameButMayNotHaveAnothers) {
  Header header;
  header.command = command::device_watchdog.code;
  MessageBuilder dwa(pool_, header);
  dwa.add(avp::result_code, 2001u);
  EXPECT_FALSE(objection(std::move(dwa).finish()));
  MessageBuilder foreign(pool_, header);
  foreign.add(avp::origin_host, "mme.far.example").add(avp::origin_realm, "far.example");
  EXPECT_TRUE(objection(std::move(foreign).finish()));
}

TEST_F(AgentOriginTest, ALoopIsLeftToRouting) {
  EXPECT_FALSE(objection(request("x.else.example", "else.example", {"us.example"})));
  EXPECT_TRUE(objection(answer("x.else.example", "else.example")));
}

}  // namespace
}  // namespace siglane::diameter
