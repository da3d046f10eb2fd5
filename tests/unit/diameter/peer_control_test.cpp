#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/diameter/peer_session.h"
#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

using testing::HasSubstr;
using testing::Not;
using Verb = Operate::Verb;

constexpr AssociationId kPeer{1}, kOther{2}, kApplication{50};

class PeerControlTest : public testing::Test {
 protected:
  PeerControlTest() {
    application_ = &host_.add(kApplication, std::make_unique<Collector>());
    host_.module.add_application(ShardId{}, application::s6a, kApplication);
    open_peer(host_, kPeer, peer_);
  }
  static DiameterConfig ours() {
    DiameterConfig config = node_config("us");
    config.peers = {{"the peer", "peer.example", "realm.peer.example", {}},
                    {"the other", "other.example", "realm.peer.example", {}}};
    return config;
  }
  // A request of our application's, to that host of the peer's realm, or to any.
  void ask(std::string_view host = {}, std::uint32_t end_to_end = 1) {
    host_.route(kApplication, request_parcel(ulr(host_.pool, "us.example", host,
                                                 "realm.peer.example", end_to_end)));
  }
  void peer_asks() {
    host_.receive(kPeer,
                  ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  }
  void answer_peer() {
    const RequestPtr request = std::move(application_->requests.at(0));
    application_->requests.clear();
    auto answer =
        begin_answer(host_.pool, request->view(), *host_.module.config(), result::success);
    host_.submit(kPeer, make_answer(*request, std::move(answer).finish()), kApplication);
  }
  std::string last_error() {
    const MessageView answer = application_->answers.back()->view();
    return std::to_string(static_cast<std::uint32_t>(answer.result_code().value())) + " " +
           std::string(answer.get(avp::error_message).value_or(""));
  }
  const RouteTable& routes() {
    routes_ = host_.module.routes();
    return *routes_;
  }
  std::string detail(AssociationId id = kPeer) { return host_.sessions[id]->status().detail; }
  std::string_view state(AssociationId id = kPeer) { return host_.sessions[id]->status().state; }
  DisconnectCause cause_of(const Buffer& dpr) {
    EXPECT_TRUE(parsed(dpr).is(command::disconnect_peer));
    return parsed(dpr).get(avp::disconnect_cause).value();
  }

  Host host_{ours()};
  DiameterConfig peer_ = node_config("peer");
  Collector* application_ = nullptr;
  std::shared_ptr<const RouteTable> routes_;
};

// --- Disconnect ---------------------------------------------------------------------------------

TEST_F(PeerControlTest, ADisconnectedPeerIsAskedToStayAwayAndTheOperatorReadsWhy) {
  host_.operate(kPeer, Verb::disconnect, "maintenance of the site");
  EXPECT_EQ(cause_of(host_.sent_one(kPeer)), DisconnectCause::do_not_want_to_talk_to_you);
  ASSERT_EQ(host_.peers_closed.size(), 1u);
  EXPECT_EQ(host_.peers_closed[0].why,
            "we disconnect: DO_NOT_WANT_TO_TALK_TO_YOU, maintenance of the site");
  EXPECT_TRUE(routes().peers.empty());
}

TEST_F(PeerControlTest, APeerThatIsToComeBackIsToldARestart) {
  host_.operate(kPeer, Verb::disconnect, "its config has changed", true);
  EXPECT_EQ(cause_of(host_.sent_one(kPeer)), DisconnectCause::rebooting);
  EXPECT_EQ(host_.peers_closed.at(0).why, "we disconnect: REBOOTING, its config has changed");
}

TEST_F(PeerControlTest, GivesTheAnswersThatItOwesBeforeTheGoodbye) {
  peer_asks();
  host_.operate(kPeer, Verb::disconnect, "why");
  EXPECT_TRUE(host_.sent(kPeer).empty());
  answer_peer();
  const auto sent = host_.sent(kPeer);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_TRUE(parsed(sent[0]).is(command::update_location));
  EXPECT_EQ(cause_of(sent[1]), DisconnectCause::do_not_want_to_talk_to_you);
}

TEST_F(PeerControlTest, AConnectionThatIsNotOpenYetIsClosed) {
  host_.up(kOther, true, "the other");
  host_.sent(kOther);
  host_.operate(kOther, Verb::disconnect, "why");
  EXPECT_EQ(host_.closes[kOther], std::vector{CloseMode::graceful});
  EXPECT_TRUE(host_.sent(kOther).empty());
  EXPECT_TRUE(host_.peers_closed.empty());
  EXPECT_TRUE(routes().connecting.empty());
}

// --- Block --------------------------------------------------------------------------------------

TEST_F(PeerControlTest, ABlockedPeerIsSentNothingNewAndAnOtherOneIs) {
  DiameterConfig other = node_config("other");
  other.origin_realm = "realm.peer.example";
  open_peer(host_, kOther, other);
  host_.operate(kPeer, Verb::block);
  for (std::uint32_t i = 0; i < 4; ++i) ask({}, i);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  EXPECT_EQ(host_.sent(kOther).size(), 4u);
  host_.operate(kPeer, Verb::unblock);
  for (std::uint32_t i = 0; i < 4; ++i) ask({}, i);
  EXPECT_EQ(host_.sent(kPeer).size(), 2u);
}

TEST_F(PeerControlTest, WhatNamesABlockedHostOrItsRealmAloneIsAnswered3002WithWords) {
  host_.operate(kPeer, Verb::block);
  ask("peer.example");
  EXPECT_EQ(last_error(),
            "3002 host peer.example of realm realm.peer.example cannot be reached: peer.example is "
            "blocked by the operator");
  ask();
  EXPECT_EQ(last_error(),
            "3002 realm realm.peer.example cannot be reached: peer.example is blocked by the "
            "operator");
  RequestPtr direct = request_parcel(ulr(host_.pool, "us.example", {}, "realm.peer.example"));
  direct->direct = true;
  host_.submit(kPeer, std::move(direct), kApplication);
  EXPECT_THAT(last_error(), HasSubstr("peer.example is blocked by the operator"));
  EXPECT_TRUE(host_.sent(kPeer).empty());
}

TEST_F(PeerControlTest, ABlockedPeerIsEmptiedAndStillServedAndKeepsItsWatchdog) {
  ask();
  const Buffer before = host_.sent_one(kPeer);
  host_.operate(kPeer, Verb::block);
  host_.receive(kPeer, answer_to(host_.pool, before, result::success, peer_));
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->view().result_code(), result::success);

  peer_asks();
  answer_peer();
  EXPECT_EQ(parsed(host_.sent_one(kPeer)).result_code(), result::success);

  host_.pass(33s);
  const Buffer dwr = host_.sent_one(kPeer);
  ASSERT_TRUE(parsed(dwr).is(command::device_watchdog));
  host_.receive(kPeer, answer_to(host_.pool, dwr, result::success, peer_));
  EXPECT_EQ(state(), "R-Open");
}

TEST_F(PeerControlTest, ABlockIsShownAndIsNoEndOfThePeer) {
  EXPECT_THAT(detail(), Not(HasSubstr("blocked")));
  host_.operate(kPeer, Verb::block);
  host_.operate(kPeer, Verb::block);
  EXPECT_THAT(detail(), HasSubstr("watchdog OKAY, blocked"));
  ASSERT_EQ(routes().idle.size(), 1u);
  EXPECT_EQ(routes().idle[0].reason, IdlePeer::Reason::blocked);
  host_.operate(kPeer, Verb::unblock);
  EXPECT_THAT(detail(), Not(HasSubstr("blocked")));
  EXPECT_TRUE(routes().idle.empty());
  EXPECT_EQ(host_.peers_opened, 1u);
  EXPECT_TRUE(host_.peers_closed.empty());

  host_.operate(kPeer, Verb::block);
  host_.down(kPeer);
  EXPECT_EQ(host_.peers_closed.size(), 1u);
  EXPECT_TRUE(routes().idle.empty());
}

TEST_F(PeerControlTest, ABlockOutlastsASuspicion) {
  host_.operate(kPeer, Verb::block);
  host_.pass(33s);
  const Buffer dwr = host_.sent_one(kPeer);
  host_.pass(33s);
  ASSERT_EQ(routes().idle.size(), 1u);
  EXPECT_EQ(routes().idle[0].reason, IdlePeer::Reason::suspect);
  ASSERT_EQ(host_.peers_closed.size(), 1u);
  ask("peer.example");
  EXPECT_THAT(last_error(), HasSubstr("peer.example has not answered its watchdog"));
  host_.receive(kPeer, answer_to(host_.pool, dwr, result::success, peer_));
  EXPECT_EQ(host_.peers_opened, 2u);
  ASSERT_EQ(routes().idle.size(), 1u);
  EXPECT_EQ(routes().idle[0].reason, IdlePeer::Reason::blocked);
  EXPECT_TRUE(routes().peers.empty());
}

TEST_F(PeerControlTest, ABlockedPeerCanBeDisconnected) {
  host_.operate(kPeer, Verb::block);
  host_.operate(kPeer, Verb::disconnect, "why");
  EXPECT_EQ(cause_of(host_.sent_one(kPeer)), DisconnectCause::do_not_want_to_talk_to_you);
  EXPECT_EQ(host_.peers_closed.size(), 1u);
  EXPECT_TRUE(routes().idle.empty());
}

// --- A new config -------------------------------------------------------------------------------

TEST_F(PeerControlTest, AnUnchangedPeerNoticesNothing) {
  ask();
  peer_asks();
  host_.sent(kPeer);
  const auto before = host_.module.routes();
  DiameterConfig next = ours();
  next.product_name = "Next";
  next.peers[1].routed_realms = {"*"};
  next.peers.push_back({"third", "third.example", "", {}});
  host_.reload(next);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  EXPECT_EQ(host_.module.routes(), before);
  EXPECT_EQ(host_.sessions[kPeer]->status().pending, 1u);
  EXPECT_EQ(application_->requests.size(), 1u);
  EXPECT_TRUE(host_.peers_closed.empty());
}

TEST_F(PeerControlTest, WhoThisNodeIsDoesNotChange) {
  DiameterConfig next = ours();
  next.origin_host = "changed.example";
  next.origin_realm = "realm.changed.example";
  next.origin_state_id = 8;
  next.product_name = "Next";
  host_.reload(next);
  const auto now = host_.module.config();
  EXPECT_EQ(now->origin_host, "us.example");
  EXPECT_EQ(now->origin_realm, "realm.us.example");
  EXPECT_EQ(now->origin_state_id, 7u);
  EXPECT_EQ(now->product_name, "Next");
}

TEST_F(PeerControlTest, TheNextCapabilitiesExchangeSaysWhatTheNewConfigSays) {
  DiameterConfig next = ours();
  next.product_name = "Next";
  next.host_ip_addresses = {"192.0.2.7"};
  next.firmware_revision = 9;
  next.vendor_id = 4711;
  next.applications.push_back({application::credit_control, 0, false});
  host_.reload(next);
  host_.up(kOther, true, "the other");
  const Buffer cer = host_.sent_one(kOther);
  EXPECT_EQ(parsed(cer).get(avp::product_name), "Next");
  EXPECT_EQ(parsed(cer).get(avp::firmware_revision), 9u);
  EXPECT_EQ(parsed(cer).get(avp::vendor_id), 4711u);
  EXPECT_EQ(parsed(cer).avps().count(avp::host_ip_address), 1u);
  EXPECT_EQ(parsed(cer).avps().count(avp::auth_application_id), 1u) << "credit control";
}

TEST_F(PeerControlTest, AShardRoutesByTheConfigThatItHasAdopted) {
  peer_.origin_realm = "realm.peer.example";
  DiameterConfig next = ours();
  next.relay = true;
  host_.module.prepare(next);
  const auto asks_other = [&] {
    host_.receive(kPeer, ulr(host_.pool, "peer.example", "nobody.example", "far.example").finish());
    const Buffer answer = host_.sent_one(kPeer);
    return std::string(parsed(answer).get(avp::error_message).value_or(""));
  };
  next.peers[1].routed_realms = {"far.example"};
  EXPECT_THAT(asks_other(), HasSubstr("no peer that leads to realm far.example"));
  host_.module.adopt(ShardId{});
  host_.module.prepare(next);
  EXPECT_THAT(asks_other(), HasSubstr("no peer that leads to realm far.example"));
  host_.module.adopt(ShardId{});
  EXPECT_THAT(asks_other(), HasSubstr("no peer that leads there is open"));
}

TEST_F(PeerControlTest, TheRealmsThatAnOpenPeerLeadsToFollow) {
  EXPECT_TRUE(routes().peers.at(0).routed_realms.empty());
  DiameterConfig next = ours();
  next.peers[0].routed_realms = {"far.example"};
  host_.reload(next);
  EXPECT_EQ(routes().peers.at(0).routed_realms, std::vector<std::string>{"far.example"});
  EXPECT_EQ(host_.peers_opened, 1u);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  // And whom it may speak for.
  auto request = ulr(host_.pool, "mme.far.example", "us.example", "realm.us.example");
  request.add(avp::route_record, "mme.far.example");
  host_.receive(kPeer, std::move(request).finish());
  EXPECT_EQ(application_->requests.size(), 1u);
  host_.reload(ours());
  EXPECT_TRUE(routes().peers.at(0).routed_realms.empty());
}

TEST_F(PeerControlTest, ARunningWatchdogFollowsTheNewTwAtItsNextTurn) {
  DiameterConfig next = ours();
  next.watchdog_interval = 8s;
  host_.reload(next);
  host_.pass(20s);
  EXPECT_TRUE(host_.sent(kPeer).empty()) << "the deadline that stands stays";
  host_.pass(13s);
  const Buffer dwr = host_.sent_one(kPeer);
  ASSERT_TRUE(parsed(dwr).is(command::device_watchdog));
  host_.receive(kPeer, answer_to(host_.pool, dwr, result::success, peer_));
  host_.pass(11s);
  EXPECT_TRUE(parsed(host_.sent_one(kPeer)).is(command::device_watchdog));
}

TEST_F(PeerControlTest, NewTimeoutsAndLimitsHoldForWhatComesAfter) {
  ask({}, 1);
  DiameterConfig next = ours();
  next.request_timeout = 2s;
  next.limits.pending_max = 2;
  host_.reload(next);
  ask({}, 2);
  EXPECT_EQ(host_.sent(kPeer).size(), 2u);
  ask({}, 3);
  EXPECT_THAT(last_error(), HasSubstr("the peer's queue is full"));
  host_.pass(3s);
  EXPECT_EQ(application_->answers.size(), 2u);
  EXPECT_THAT(last_error(), HasSubstr("did not answer in time"));
  EXPECT_EQ(host_.sessions[kPeer]->status().pending, 1u) << "the first one has its 10 s";
  host_.pass(8s);
  EXPECT_EQ(application_->answers.size(), 3u);
}

TEST_F(PeerControlTest, AMessageMayBeAsLongAsTheNewConfigSays) {
  DiameterConfig next = ours();
  next.limits.message_bytes_max = 60;
  host_.reload(next);
  peer_asks();
  EXPECT_TRUE(application_->requests.empty());
  EXPECT_EQ(parsed(host_.sent_one(kPeer)).result_code(), result::invalid_message_length);
  EXPECT_FALSE(host_.module.frame_length(as_bytes(std::string_view("\2\0\0\x40", 4))));
}

TEST_F(PeerControlTest, APeerThatGetsAnotherHostOrRealmIsAskedToComeBack) {
  for (const bool host : {true, false}) {
    Host node(ours());
    open_peer(node, kPeer, peer_);
    DiameterConfig next = ours();
    (host ? next.peers[0].origin_host : next.peers[0].realm) = "new.example";
    node.reload(next);
    EXPECT_EQ(cause_of(node.sent_one(kPeer)), DisconnectCause::rebooting);
    ASSERT_EQ(node.peers_closed.size(), 1u);
    EXPECT_EQ(node.peers_closed[0].why,
              host ? "we disconnect: REBOOTING, its Origin-Host is configured as new.example now"
                   : "we disconnect: REBOOTING, its realm is configured as new.example now");
  }
}

TEST_F(PeerControlTest, AStrangerThatIsConfiguredNowComesBackUnderItsName) {
  DiameterConfig without = ours();
  without.peers.erase(without.peers.begin());
  Host node(without);
  open_peer(node, kPeer, peer_);
  EXPECT_EQ(node.identified, std::vector<std::string>{"peer.example"});
  DiameterConfig next = ours();
  next.peers[0].name = "peer.example";
  node.reload(next);
  EXPECT_TRUE(node.sent(kPeer).empty()) << "that is what it is called already";
  node.reload(ours());
  EXPECT_EQ(cause_of(node.sent_one(kPeer)), DisconnectCause::rebooting);
}

TEST_F(PeerControlTest, AConnectThatIsUnderWayIsJudgedByTheNewConfig) {
  host_.up(kOther, true, "the other");
  const Buffer cer = host_.sent_one(kOther);
  DiameterConfig next = ours();
  next.peers[1].origin_host = "renamed.example";
  host_.reload(next);
  EXPECT_EQ(routes().connecting.at(0).origin_host, "renamed.example");
  DiameterConfig renamed = node_config("renamed");
  renamed.origin_realm = "realm.peer.example";
  host_.receive(kOther, make_cea(host_.pool, renamed, {}, parsed(cer).header(), result::success));
  EXPECT_EQ(state(kOther), "I-Open");
  EXPECT_TRUE(routes().connecting.empty());
}

TEST_F(PeerControlTest, ASuspicionOfAPeerThatIsConfiguredNoMoreIsForgotten) {
  host_.pass(99s);
  host_.down(kPeer);
  EXPECT_TRUE(routes().is_suspect("the peer"));
  host_.reload(ours());
  EXPECT_TRUE(routes().is_suspect("the peer"));
  DiameterConfig next = ours();
  next.peers.erase(next.peers.begin());
  host_.reload(next);
  EXPECT_FALSE(routes().is_suspect("the peer"));
}

TEST_F(PeerControlTest, NobodyIsSuspectedWhoWasRemovedBeforeItsWatchdogFailed) {
  DiameterConfig next = ours();
  next.peers.erase(next.peers.begin());
  host_.module.prepare(next);  // which no shard has adopted
  host_.pass(99s);
  host_.down(kPeer);
  EXPECT_FALSE(routes().is_suspect("the peer"));
}

// --- Several connections of one peer ------------------------------------------------------------

class SeveralConnectionsTest : public PeerControlTest {
 protected:
  SeveralConnectionsTest() {
    DiameterConfig config = ours();
    config.peers[0].connections_max = 2;
    host_.reload(config);
    host_.connections_max = 2;
    open_peer(host_, kSecond, peer_);
  }

  static constexpr AssociationId kSecond{3};
};

TEST_F(SeveralConnectionsTest, ShareThePeersRequests) {
  EXPECT_EQ(state(kSecond), "R-Open");
  EXPECT_EQ(routes().connections_of("the peer"), 2u);
  for (std::uint32_t i = 0; i < 10; ++i) ask("peer.example", i);
  EXPECT_EQ(host_.sent(kPeer).size(), 5u);
  EXPECT_EQ(host_.sent(kSecond).size(), 5u);
}

TEST_F(SeveralConnectionsTest, AnAnswerGoesBackOnTheConnectionOfItsRequest) {
  host_.receive(kSecond,
                ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  const RequestPtr request = std::move(application_->requests.at(0));
  auto answer = begin_answer(host_.pool, request->view(), *host_.module.config(), result::success);
  AnswerPtr parcel = make_answer(*request, std::move(answer).finish());
  host_.submit(request->origin, std::move(parcel), kApplication);
  EXPECT_EQ(host_.sent(kSecond).size(), 1u);
  EXPECT_TRUE(host_.sent(kPeer).empty());
}

TEST_F(SeveralConnectionsTest, WhatALostConnectionLeavesGoesToThePeersOtherOneFirst) {
  DiameterConfig other = node_config("other");
  other.origin_realm = "realm.peer.example";
  for (std::uint64_t i = 0; i < 3; ++i) {
    host_.connections_max = 3;
    open_peer(host_, AssociationId{10 + i}, other);
  }
  for (std::uint32_t i = 0; i < 10; ++i) ask({}, i);
  const std::size_t waiting = host_.sent(kPeer).size();
  ASSERT_EQ(waiting, 2u) << "two of five connections are the peer's";
  host_.sent(kSecond);
  host_.down(kPeer);
  const auto again = host_.sent(kSecond);
  ASSERT_EQ(again.size(), waiting);
  for (const Buffer& request : again) EXPECT_TRUE(parsed(request).header().is_retransmitted());
  // And then to the others.
  for (std::uint64_t i = 0; i < 3; ++i) host_.sent(AssociationId{10 + i});
  host_.down(kSecond);
  std::size_t elsewhere = 0;
  for (std::uint64_t i = 0; i < 3; ++i) elsewhere += host_.sent(AssociationId{10 + i}).size();
  EXPECT_EQ(elsewhere, 2 * waiting);
  EXPECT_TRUE(application_->answers.empty());
}

TEST_F(SeveralConnectionsTest, ARequestOfThePeerDoesNotGoBackToItOnItsOtherConnection) {
  DiameterConfig relay = ours();
  relay.peers[0].connections_max = 2;
  relay.relay = true;
  host_.reload(relay);
  host_.receive(kPeer, ulr(host_.pool, "peer.example", {}, "realm.peer.example").finish());
  EXPECT_EQ(parsed(host_.sent_one(kPeer)).result_code(), result::unable_to_deliver);
  EXPECT_TRUE(host_.sent(kSecond).empty());
}

TEST_F(SeveralConnectionsTest, ThePeerIsSuspectOnlyWhenNoneOfThemIsWell) {
  const auto answer_watchdogs = [&](AssociationId id) {
    for (const Buffer& dwr : host_.sent(id)) {
      host_.receive(id, answer_to(host_.pool, dwr, result::success, peer_));
    }
  };
  for (int i = 0; i < 120; ++i) {
    host_.pass(1s);
    answer_watchdogs(kSecond);
  }
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
  host_.down(kPeer);
  EXPECT_FALSE(routes().is_suspect("the peer"));
  open_peer(host_, kPeer, peer_);
  EXPECT_EQ(routes().peers.size(), 2u) << "it takes requests at once";

  host_.sent(kPeer);
  host_.pass(110s);
  host_.down(kPeer);
  host_.down(kSecond);
  EXPECT_TRUE(routes().is_suspect("the peer"));
}

TEST_F(SeveralConnectionsTest, NoElectionIsHeldWhileThereIsRoomForAll) {
  // We lose every election with a host that is greater than we are.
  DiameterConfig config = ours();
  config.peers.push_back({"zoe", "zoe.example", "", {}, 2});
  host_.reload(config);
  const DiameterConfig zoe = node_config("zoe");
  constexpr AssociationId kOurs{20}, kTheirs{21}, kMore{22};
  host_.up(kOurs, true, "zoe");
  host_.up(kTheirs, false);
  host_.sent(kOurs);
  host_.receive(kTheirs, cer_of(host_.pool, zoe));
  EXPECT_EQ(parsed(host_.sent_one(kTheirs)).result_code(), result::success);
  EXPECT_EQ(state(kOurs), "Wait-I-CEA") << "there is a slot for it, too";
  // One slot is left, which ours is on its way to: the election says whose it is.
  host_.up(kMore, false);
  host_.receive(kMore, cer_of(host_.pool, zoe));
  EXPECT_EQ(parsed(host_.sent_one(kMore)).result_code(), result::election_lost);
}

class ManyConnectionsTest : public SeveralConnectionsTest {
 protected:
  ManyConnectionsTest() {
    DiameterConfig config = ours();
    config.peers[0].connections_max = 16;
    host_.reload(config);
    host_.connections_max = 16;
    for (std::uint64_t i = 0; i < 14; ++i) {
      peers_.push_back(AssociationId{20 + i});
      open_peer(host_, peers_.back(), peer_);
    }
  }
  // One request.
  void begin() {
    for (auto& [id, messages] : host_.wire) messages.clear();
    ask({}, 0);
  }
  // Who was sent the one request that is under way.
  AssociationId holder() {
    AssociationId found = AssociationId::none;
    for (auto& [id, messages] : host_.wire) {
      if (id == kApplication || messages.empty()) continue;
      EXPECT_EQ(messages.size(), 1u);
      EXPECT_EQ(found, AssociationId::none);
      messages.clear();
      found = id;
    }
    return found;
  }
  std::vector<AssociationId> peers_{kPeer, kSecond};
};

TEST_F(ManyConnectionsTest, WhatTwoOfThemCouldNotKeepGoesToAnotherPeer) {
  DiameterConfig other = node_config("other");
  other.origin_realm = "realm.peer.example";
  open_peer(host_, kOther, other);
  begin();
  for (int i = 0; i < 2; ++i) {
    const AssociationId at = holder();
    ASSERT_EQ(std::ranges::count(peers_, at), 1) << i;
    host_.down(at);
  }
  EXPECT_EQ(holder(), kOther);
  host_.down(kOther);
  EXPECT_EQ(std::ranges::count(peers_, holder()), 1) << "the peer again, where no other is left";
  EXPECT_TRUE(application_->answers.empty());
}

// A request that brings down who handles it must not go through all of them.
TEST_F(ManyConnectionsTest, ARequestIsTriedAtFiveOfThem) {
  begin();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(application_->answers.empty()) << i;
    const AssociationId at = holder();
    ASSERT_EQ(std::ranges::count(peers_, at), 1) << i;
    host_.down(at);
  }
  EXPECT_EQ(holder(), AssociationId::none);
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->why, Why::exhausted);
}

}  // namespace
}  // namespace siglane::diameter
