#include "protocols/diameter/explain.h"

#include <gtest/gtest.h>

#include "protocols/diameter/error_text.h"
#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

using Verdict = Way::Verdict;

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    config_.relay = true;
    config_.peers = {{"mme", "mme.example", "visited.example", {}},
                     {"hss1", "hss1.example", "home.example", {}},
                     {"hss2", "hss2.example", "home.example", {}},
                     {"agent", "agent.example", "transit.example", {"home.example"}},
                     {"closed", "closed.example", "home.example", {}}};
    routes_.applications = {{ShardId{0}, application::s6a, AssociationId{100}},
                            {ShardId{1}, application::s6a, AssociationId{101}}};
    for (const char* name : {"mme", "hss1", "hss2", "agent"}) add(name);
  }
  void add(const std::string& name) {
    const DiameterPeerConfig& peer = *config_.peer_named(name);
    routes_.peers.push_back({AssociationId{routes_.peers.size() + 1},
                             ShardId{},
                             peer.name,
                             peer.origin_host,
                             peer.realm,
                             false,
                             {application::s6a},
                             peer.routed_realms});
  }
  void idle(const std::string& name, IdlePeer::Reason reason) {
    const auto it = std::ranges::find(routes_.peers, name, &OpenPeer::name);
    routes_.idle.push_back({*it, reason});
    routes_.peers.erase(it);
  }
  Explanation ask(std::string realm, std::string host = {}, std::string from = {},
                  ApplicationId application = application::s6a) {
    const RouteQuestion question{std::move(realm), std::move(host), application, std::move(from)};
    explanation_ = explain(config_, routes_, ShardId{}, question);
    return explanation_;
  }
  // The first of that name.
  const Way& way(std::string_view name) {
    static const Way none;
    const auto it = std::ranges::find(explanation_.ways, name, &Way::name);
    EXPECT_NE(it, explanation_.ways.end()) << name;
    return it != explanation_.ways.end() ? *it : none;
  }
  void expect(std::string_view name, Verdict verdict, std::string_view why, double share = 0) {
    EXPECT_EQ(way(name).verdict, verdict) << name;
    EXPECT_EQ(way(name).why, why) << name;
    EXPECT_DOUBLE_EQ(way(name).share, share) << name;
  }

  DiameterConfig config_ = node_config("us");
  RouteTable routes_;
  Explanation explanation_;
};

const std::string kS6a = application_text(application::s6a);

TEST_F(ExplainTest, EqualsShareARealmAndTheOthersSayWhyTheyAreNotChosen) {
  EXPECT_FALSE(ask("home.example").refusal);
  ASSERT_EQ(explanation_.ways.size(), 6u);
  expect(kS6a, Verdict::unfit, "is of this node, and the request is not for it");
  expect("mme", Verdict::unfit, "is of another realm and does not lead to that one");
  expect("hss1", Verdict::chosen, "is of that realm", 0.5);
  expect("hss2", Verdict::chosen, "is of that realm", 0.5);
  expect("agent", Verdict::outdone,
         "leads to that realm by its config, but another one fits better");
  expect("closed", Verdict::not_open, "is of that realm, but is not open");
  EXPECT_EQ(way("hss1").origin_host, "hss1.example");
  EXPECT_EQ(way("hss1").connection, AssociationId{2});
  EXPECT_EQ(way("closed").connection, AssociationId::none);
}

TEST_F(ExplainTest, EachConnectionOfAPeerHasItsShare) {
  add("hss1");
  ask("home.example");
  expect("hss1", Verdict::chosen, "is of that realm", 1.0 / 3);
  EXPECT_EQ(std::ranges::count(explanation_.ways, "hss1", &Way::name), 2);
}

TEST_F(ExplainTest, AHostIsReachedByItselfAndElseByAnAgentForItsRealm) {
  ask("home.example", "hss1.example");
  expect("hss1", Verdict::chosen, "is Destination-Host", 1);
  expect("hss2", Verdict::unfit, "is another host, and does not lead to that one");
  idle("hss1", IdlePeer::Reason::blocked);
  ask("home.example", "hss1.example");
  expect("hss1", Verdict::blocked, "is blocked by the operator");
  expect("agent", Verdict::chosen, "leads to that realm by its config", 1);
}

TEST_F(ExplainTest, SaysWhatTheRequestIsAnsweredWhereNobodyTakesIt) {
  idle("hss1", IdlePeer::Reason::suspect);
  idle("agent", IdlePeer::Reason::blocked);
  routes_.peers[1].applications = {application::credit_control};
  ask("home.example");
  EXPECT_EQ(explanation_.refusal, result::unable_to_deliver);
  EXPECT_EQ(explanation_.error_message,
            "realm home.example cannot be reached: hss1.example has not answered its watchdog");
  expect("hss1", Verdict::suspect, "has not answered its watchdog");
  expect("hss2", Verdict::unfit, "has not advertised the application");
  expect("agent", Verdict::blocked, "is blocked by the operator");

  ask("nowhere.example");
  EXPECT_EQ(explanation_.refusal, result::realm_not_served);
  EXPECT_EQ(explanation_.error_message,
            "us.example has no peer that leads to realm nowhere.example");
}

TEST_F(ExplainTest, WhatIsForThisNodeGoesToItsApplication) {
  ask("realm.us.example", "us.example");
  expect(kS6a, Verdict::chosen, "is of this node, which Destination-Host names", 1);
  EXPECT_EQ(explanation_.ways.size(), 6u) << "that of the other shard is the same one";
  ask("");
  expect(kS6a, Verdict::chosen, "is of this node, whose realm the request is for", 1);

  ask("realm.us.example", "us.example", {}, application::credit_control);
  expect(kS6a, Verdict::unfit, "is another application");
  EXPECT_EQ(explanation_.refusal, result::application_unsupported);
}

TEST_F(ExplainTest, ARequestDoesNotGoBackToItsSender) {
  add("hss1");
  ask("home.example", {}, "hss1");
  expect("hss1", Verdict::unfit, "sent the request");
  expect("hss2", Verdict::chosen, "is of that realm", 1);
}

TEST_F(ExplainTest, OnlyARelayPassesOnWhatPeersSend) {
  config_.relay = false;
  ask("home.example", {}, "mme");
  expect("hss1", Verdict::outdone,
         "is of that realm, but this node is no relay, and passes on no request of a peer");
  EXPECT_EQ(explanation_.refusal, result::unable_to_deliver);
  ask("home.example");
  expect("hss1", Verdict::chosen, "is of that realm", 0.5);
}

// What it says is what happens.
TEST_F(ExplainTest, AgreesWithRouting) {
  config_.peers[0].realm = "realm.mme.example";
  Host host(config_);
  open_peer(host, AssociationId{1}, node_config("mme"));
  std::size_t questions = 0;
  for (const char* name : {"hss1", "hss2", "agent"}) {
    DiameterConfig peer = node_config(name);
    peer.origin_realm = config_.peer_named(name)->realm;
    open_peer(host, AssociationId{10 + questions++}, peer);
  }
  for (const char* realm : {"home.example", "transit.example", "nowhere.example",
                            "realm.us.example", "realm.mme.example"}) {
    for (const char* destination : {"", "hss1.example", "closed.example", "us.example"}) {
      const Explanation said = explain(*host.module.config(), *host.module.routes(), ShardId{},
                                       {realm, destination, application::s6a, "mme"});
      std::map<AssociationId, std::size_t> went;
      constexpr std::uint32_t kAsked = 12;
      std::size_t refused = 0;
      for (std::uint32_t id = 0; id < kAsked; ++id) {
        host.receive(AssociationId{1},
                     ulr(host.pool, "mme.example", destination, realm, id).finish());
        for (const Buffer& answer : host.sent(AssociationId{1})) {
          ++refused;
          ASSERT_TRUE(said.refusal) << realm << " " << destination;
          EXPECT_EQ(parsed(answer).result_code(), said.refusal);
          EXPECT_EQ(parsed(answer).get(avp::error_message), said.error_message);
        }
        for (std::uint64_t peer = 10; peer < 13; ++peer) {
          went[AssociationId{peer}] += host.sent(AssociationId{peer}).size();
        }
      }
      EXPECT_EQ(refused, said.refusal ? kAsked : 0u) << realm << " " << destination;
      for (const Way& one : said.ways) {
        if (one.connection == AssociationId::none) continue;
        EXPECT_DOUBLE_EQ(one.share * kAsked, static_cast<double>(went[one.connection]))
            << one.name << " " << realm << " " << destination;
      }
    }
  }
}

}  // namespace
}  // namespace siglane::diameter
