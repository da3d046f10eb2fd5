#include "protocols/diameter/peer_session.h"

#include <gtest/gtest.h>

#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

constexpr AssociationId kPeer{1}, kOther{2}, kApplication{50};

// Keeps what it is given, as an application would.
class Collector final : public Session {
 public:
  void step(SessionInput input, Instant, Outbox&) override {
    auto* submitted = std::get_if<Submitted>(&input);
    if (submitted == nullptr) return;
    if (kind_of(*submitted->parcel) == ParcelKind::request) {
      requests.push_back(parcel_cast<RequestParcel>(std::move(submitted->parcel)));
    } else {
      answers.push_back(parcel_cast<AnswerParcel>(std::move(submitted->parcel)));
    }
  }
  std::optional<Instant> deadline() const override { return std::nullopt; }
  SessionStatus status() const override { return {}; }

  std::vector<RequestPtr> requests;
  std::vector<AnswerPtr> answers;
};

RequestPtr request_parcel(BufferPool& pool, std::uint32_t end_to_end = 1) {
  auto parcel = std::make_unique<RequestParcel>();
  parcel->message = ulr(pool, "us.example", {}, "realm.peer.example", end_to_end).finish();
  parcel->header = parsed(parcel->message).header();
  parcel->tag = end_to_end;
  return parcel;
}

class PeerSessionTest : public testing::Test {
 protected:
  PeerSessionTest() {
    auto collector = std::make_unique<Collector>();
    application_ = collector.get();
    host_.add(kApplication, std::move(collector));
    host_.module.add_application(ShardId{}, application::s6a, kApplication);
  }
  static DiameterConfig ours() {
    DiameterConfig config = node_config("us");
    config.peers = {{"the peer", "peer.example", "realm.peer.example", {}},
                    {"the other", "other.example", "realm.other.example", {}},
                    {"nickname.example", "third.example", "realm.third.example", {}}};
    return config;
  }
  ResultCode result_of(const Buffer& answer) {
    return parsed(answer).result_code().value_or(ResultCode{0});
  }
  // What a CER gets for an answer.
  Buffer answer_to_cer(const Buffer& cer) {
    host_.up(kPeer, false);
    host_.receive(kPeer, cer);
    return host_.sent_one(kPeer);
  }
  std::size_t open_peers() { return host_.module.routes()->peers.size(); }

  Host host_{ours()};
  DiameterConfig peer_ = node_config("peer");
  Collector* application_ = nullptr;
};

// --- Capabilities exchange -----------------------------------------------------------------------

TEST_F(PeerSessionTest, SendsACerThatSaysWhoWeAreAndWhatWeCan) {
  host_.up(kPeer, true, "the peer");
  const Buffer buffer = host_.sent_one(kPeer);
  const MessageView cer = parsed(buffer);
  EXPECT_EQ(cer.header().flags, command_flag::kRequest);
  EXPECT_EQ(cer.application(), application::common_messages);
  EXPECT_EQ(cer.get(avp::origin_host), "us.example");
  EXPECT_EQ(cer.get(avp::origin_realm), "realm.us.example");
  EXPECT_EQ(cer.avps().count(avp::host_ip_address), 2u);
  EXPECT_EQ(cer.get(avp::vendor_id), vendor::tgpp);
  EXPECT_EQ(cer.get(avp::product_name), "Siglane");
  EXPECT_EQ(cer.get(avp::origin_state_id), 7u);
  const auto specific = cer.get(avp::vendor_specific_application_id);
  ASSERT_TRUE(specific);
  EXPECT_EQ(specific->get(avp::vendor_id), vendor::tgpp);
  EXPECT_EQ(specific->get(avp::auth_application_id), 16777251u);
  EXPECT_EQ(cer.get(avp::inband_security_id), 0u);
  EXPECT_FALSE(validate(cer, dictionary()));
  EXPECT_FALSE(check_command(cer, dictionary()));
}

TEST_F(PeerSessionTest, AnswersACerAfterIdentifyingThePeerByItsOriginHost) {
  const Buffer cea = answer_to_cer(cer_of(host_.pool, peer_, 5));
  EXPECT_EQ(host_.identified, std::vector<std::string>{"the peer"});
  EXPECT_EQ(result_of(cea), result::success);
  EXPECT_EQ(parsed(cea).header().hop_by_hop, 5u);
  EXPECT_FALSE(check_command(parsed(cea), dictionary()));
  ASSERT_EQ(open_peers(), 1u);
  const OpenPeer& open = host_.module.routes()->peers.front();
  EXPECT_EQ(open.name, "the peer");
  EXPECT_EQ(open.origin_host, "peer.example");
  EXPECT_EQ(open.realm, "realm.peer.example");
  EXPECT_EQ(open.applications, std::vector<ApplicationId>{application::s6a});
  EXPECT_EQ(host_.count_facts<fact::PeerOpened>(), 1u);
}

TEST_F(PeerSessionTest, RefusesAnUnknownPeerWith3010) {
  host_.objection = "not a configured peer";
  const Buffer cea = answer_to_cer(cer_of(host_.pool, node_config("stranger")));
  EXPECT_EQ(result_of(cea), result::unknown_peer);
  EXPECT_TRUE(parsed(cea).header().is_error());
  EXPECT_EQ(parsed(cea).get(avp::error_message), "not a configured peer");
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  EXPECT_EQ(open_peers(), 0u);
}

TEST_F(PeerSessionTest, DoesNotTakeTheNameThatAPeerHasInTheConfigForItsOriginHost) {
  const Buffer cea = answer_to_cer(cer_of(host_.pool, node_config("nickname")));
  EXPECT_EQ(result_of(cea), result::unknown_peer);
  EXPECT_EQ(open_peers(), 0u);
}

TEST_F(PeerSessionTest, RefusesAPeerWithoutACommonApplicationWith5010) {
  peer_.applications = {{application::credit_control, 0, false}};
  const Buffer cea = answer_to_cer(cer_of(host_.pool, peer_));
  EXPECT_EQ(result_of(cea), result::no_common_application);
  EXPECT_FALSE(parsed(cea).header().is_error());
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  EXPECT_TRUE(host_.identified.empty());
}

TEST_F(PeerSessionTest, HasEveryApplicationInCommonWithARelay) {
  peer_.applications = {};
  peer_.relay = true;
  const Buffer cea = answer_to_cer(cer_of(host_.pool, peer_));
  EXPECT_EQ(result_of(cea), result::success);
  EXPECT_TRUE(host_.module.routes()->peers.front().relay);
}

TEST_F(PeerSessionTest, FindsAnApplicationAdvertisedWithoutItsVendor) {
  peer_.applications = {{application::s6a, 0, false}};
  EXPECT_EQ(result_of(answer_to_cer(cer_of(host_.pool, peer_))), result::success);
}

TEST_F(PeerSessionTest, RefusesInbandSecurityAloneWith5017) {
  const Buffer good = cer_of(host_.pool, peer_);
  MessageBuilder cer(host_.pool, parsed(good).header());
  for (const AvpView avp : parsed(good).avps()) {
    if (!avp.is(avp::inband_security_id)) cer.add_raw(avp.raw());
  }
  cer.add(avp::inband_security_id, 1u);  // TLS
  EXPECT_EQ(result_of(answer_to_cer(std::move(cer).finish())), result::no_common_security);
  EXPECT_EQ(host_.closes[kPeer].size(), 1u);
}

TEST_F(PeerSessionTest, RefusesACerWithoutAMandatoryAvpAndShowsItInFailedAvp) {
  const Buffer good = cer_of(host_.pool, peer_);
  MessageBuilder cer(host_.pool, parsed(good).header());
  for (const AvpView avp : parsed(good).avps()) {
    if (!avp.is(avp::product_name)) cer.add_raw(avp.raw());
  }
  const Buffer cea = answer_to_cer(std::move(cer).finish());
  EXPECT_EQ(result_of(cea), result::missing_avp);
  const auto failed = parsed(cea).get(avp::failed_avp);
  ASSERT_TRUE(failed);
  EXPECT_TRUE(failed->find(avp::product_name));
}

TEST_F(PeerSessionTest, TellsTheOperatorNoMoreThanALineOfWhatAStrangerSays) {
  const Buffer good = cer_of(host_.pool, peer_);
  MessageBuilder cer(host_.pool, parsed(good).header());
  cer.add(avp::origin_host, "evil\n" + std::string(10000, 'x'));
  host_.up(kPeer, false);
  host_.receive(kPeer, std::move(cer).finish());
  EXPECT_EQ(std::get<fact::PeerRefused>(host_.facts.back()).who, "evil?" + std::string(250, 'x'));
  host_.up(kOther, true, "the peer");
  const Buffer ours = host_.sent_one(kOther);
  host_.receive(kOther, make_cea(host_.pool, peer_, {}, parsed(ours).header(),
                                 result::unable_to_comply, std::string(10000, '\n')));
  EXPECT_LT(std::get<fact::PeerRefused>(host_.facts.back()).why.size(), 300u);
}

TEST_F(PeerSessionTest, ClosesOnAnythingBeforeACer) {
  host_.up(kPeer, false);
  host_.receive(kPeer, ulr(host_.pool).finish());
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
  EXPECT_TRUE(host_.sent(kPeer).empty());
  EXPECT_EQ(host_.drops.size(), 1u);
  EXPECT_TRUE(application_->requests.empty());
}

TEST_F(PeerSessionTest, ClosesAConnectionThatNeverSpeaks) {
  host_.up(kPeer, false);
  host_.pass(9s);
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.pass(2s);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, ClosesWhenNoCeaComes) {
  host_.up(kPeer, true, "the peer");
  host_.pass(11s);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, AnInitiatorInsistsOnTheHostItConnectedTo) {
  host_.up(kPeer, true, "the peer");
  const Buffer cer = host_.sent_one(kPeer);
  host_.receive(
      kPeer, make_cea(host_.pool, node_config("other"), {}, parsed(cer).header(), result::success));
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  EXPECT_EQ(host_.count_facts<fact::PeerRefused>(), 1u);
  EXPECT_EQ(open_peers(), 0u);
}

TEST_F(PeerSessionTest, ReportsWhatACeaRefuses) {
  host_.up(kPeer, true, "the peer");
  const Buffer cer = host_.sent_one(kPeer);
  host_.receive(
      kPeer, make_cea(host_.pool, peer_, {}, parsed(cer).header(), result::no_common_application));
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  const auto& refused = std::get<fact::PeerRefused>(host_.facts.back());
  EXPECT_EQ(refused.who, "the peer");
  EXPECT_NE(refused.why.find("5010"), std::string::npos);
}

// --- Two nodes -----------------------------------------------------------------------------------

TEST_F(PeerSessionTest, TwoNodesOpenTalkAndPart) {
  DiameterConfig theirs = peer_;
  theirs.peers = {{"us", "us.example", "realm.us.example", {}}};
  Host there(theirs);
  host_.up(kPeer, true, "the peer", 4);
  there.up(kOther, false, {}, 4);
  pump(host_, kPeer, there, kOther);
  EXPECT_EQ(open_peers(), 1u);
  EXPECT_EQ(there.module.routes()->peers.size(), 1u);
  EXPECT_EQ(host_.sessions[kPeer]->status().state, "I-Open");
  EXPECT_EQ(there.sessions[kOther]->status().state, "R-Open");

  // A request there finds no application and comes back as an error.
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  pump(host_, kPeer, there, kOther);
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->view().result_code(), result::application_unsupported);
  EXPECT_FALSE(application_->answers[0]->made_here());

  // Watchdogs both ways for ten minutes.
  for (int i = 0; i < 100; ++i) {
    host_.pass(6s);
    there.pass(6s);
    pump(host_, kPeer, there, kOther);
  }
  EXPECT_GE(host_.counters.get(Counter::diameter_watchdogs_sent) +
                there.counters.get(Counter::diameter_watchdogs_sent),
            15u);
  EXPECT_EQ(open_peers(), 1u);

  host_.give(kPeer, Stopping{});
  pump(host_, kPeer, there, kOther);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  EXPECT_TRUE(there.closes[kOther].empty());  // it waits for us to disconnect
  EXPECT_EQ(there.module.routes()->peers.size(), 0u);
  there.down(kOther);
  EXPECT_TRUE(host_.counters.get(Counter::protocol_violations) == 0 &&
              there.counters.get(Counter::protocol_violations) == 0);
}

// Both ends of one SCTP association may have connected: each answers the other's CER.
TEST_F(PeerSessionTest, TwoInitiatorsOfOneAssociationBothOpen) {
  DiameterConfig theirs = peer_;
  theirs.peers = {{"us", "us.example", "realm.us.example", {}}};
  Host there(theirs);
  host_.up(kPeer, true, "the peer");
  there.up(kOther, true, "us");
  pump(host_, kPeer, there, kOther);
  EXPECT_EQ(open_peers(), 1u);
  EXPECT_EQ(there.module.routes()->peers.size(), 1u);
}

// RFC 6733 §5.6.4: of two connections the one survives whose initiator has the lesser Origin-Host.
TEST_F(PeerSessionTest, AnElectionLeavesTheSameOneOfTwoConnectionsInWhateverOrder) {
  // "peer.example" is less than "us.example": we win, and what they connected stays.
  EXPECT_TRUE(wins_election("us.example", "peer.example"));
  EXPECT_FALSE(wins_election("peer.example", "us.example"));
  EXPECT_TRUE(wins_election("US.example", "peer.example"));  // 'U' < 'p', but 'u' > 'p'
  EXPECT_FALSE(wins_election("peer.example", "US.example"));
  EXPECT_FALSE(wins_election("Peer.example", "peer.example"));
  EXPECT_FALSE(wins_election("peer.example", "Peer.example"));
  constexpr AssociationId kOurs{11}, kTheirs{12};
  for (const bool ours_first : {true, false}) {
    DiameterConfig theirs = peer_;
    theirs.peers = {{"us", "us.example", "realm.us.example", {}}};
    Host here(ours()), there(theirs);
    here.up(kOurs, true, "the peer");
    there.up(kOurs, false);
    there.up(kTheirs, true, "us");
    here.up(kTheirs, false);
    for (const AssociationId id : {ours_first ? kOurs : kTheirs, ours_first ? kTheirs : kOurs}) {
      pump(here, id, there, id);
    }
    ASSERT_EQ(here.module.routes()->peers.size(), 1u);
    ASSERT_EQ(there.module.routes()->peers.size(), 1u);
    EXPECT_EQ(here.module.routes()->peers.front().id, kTheirs);
    EXPECT_EQ(there.module.routes()->peers.front().id, kTheirs);
    EXPECT_FALSE(there.closes[kOurs].empty());
    EXPECT_FALSE(here.closes[kOurs].empty());
    EXPECT_TRUE(here.closes[kTheirs].empty());
  }
}

// --- Watchdog ------------------------------------------------------------------------------------

TEST_F(PeerSessionTest, AnswersADwr) {
  open_peer(host_, kPeer, peer_);
  auto dwr = MessageBuilder::request(host_.pool, command::device_watchdog, 3, 4);
  dwr.add(avp::origin_host, "peer.example").add(avp::origin_realm, "realm.peer.example");
  host_.receive(kPeer, std::move(dwr).finish());
  const Buffer dwa = host_.sent_one(kPeer);
  EXPECT_TRUE(parsed(dwa).is(command::device_watchdog));
  EXPECT_EQ(result_of(dwa), result::success);
  EXPECT_EQ(parsed(dwa).header().hop_by_hop, 3u);
  EXPECT_EQ(parsed(dwa).get(avp::origin_state_id), 7u);
}

TEST_F(PeerSessionTest, AnswersADwrOrDprWithoutAMandatoryAvpWith5005) {
  open_peer(host_, kPeer, peer_);
  for (const CommandDef& command : {command::device_watchdog, command::disconnect_peer}) {
    auto request = MessageBuilder::request(host_.pool, command, 3, 4);
    request.add(avp::origin_host, "peer.example");
    host_.receive(kPeer, std::move(request).finish());
    const Buffer answer = host_.sent_one(kPeer);
    EXPECT_EQ(result_of(answer), result::missing_avp);
    EXPECT_TRUE(parsed(answer).get(avp::failed_avp)->find(avp::origin_realm));
    EXPECT_FALSE(check_command(parsed(answer), dictionary()));
  }
  EXPECT_EQ(open_peers(), 1u);
}

TEST_F(PeerSessionTest, FailsOverFromASilentPeerThenClosesItAndTrustsItLateAgain) {
  open_peer(host_, kPeer, peer_);
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  host_.sent(kPeer);
  host_.pass(33s);  // the request's 10 s have gone by as well
  EXPECT_EQ(parsed(host_.sent_one(kPeer)).command(), command::device_watchdog.code);
  EXPECT_EQ(open_peers(), 1u);
  host_.pass(33s);
  EXPECT_EQ(open_peers(), 0u);  // SUSPECT
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.submit(kPeer, request_parcel(host_.pool, 2), kApplication);
  EXPECT_EQ(application_->answers.size(), 2u);
  host_.pass(33s);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
  host_.down(kPeer);

  // Connected again it must answer three watchdogs before it is sent anything.
  PeerSession& again = host_.up(kOther, false);
  host_.receive(kOther, cer_of(host_.pool, peer_));
  EXPECT_EQ(again.state(), PeerState::r_open);
  EXPECT_NE(again.status().detail.find("REOPEN"), std::string::npos);
  for (int dwas = 0; dwas < 3; ++dwas) {
    EXPECT_EQ(open_peers(), 0u);
    const auto sent = host_.sent(kOther);
    ASSERT_FALSE(sent.empty());
    ASSERT_TRUE(parsed(sent.back()).is(command::device_watchdog));
    host_.receive(kOther, answer_to(host_.pool, sent.back(), result::success, peer_));
    if (dwas < 2) host_.pass(33s);
  }
  EXPECT_EQ(open_peers(), 1u);
}

TEST_F(PeerSessionTest, TrustsAPeerThatWasLostWhileSuspectedNoSoonerThanOneWeClosed) {
  for (const bool suspected : {false, true}) {
    Host host(ours());
    open_peer(host, kPeer, peer_);
    host.pass(suspected ? 66s : 33s);
    host.down(kPeer);
    open_peer(host, kOther, peer_);
    EXPECT_EQ(host.module.routes()->peers.size(), suspected ? 0u : 1u);
  }
}

// --- Requests and answers ------------------------------------------------------------------------

TEST_F(PeerSessionTest, GivesARequestToTheApplicationAndSendsItsAnswerHome) {
  open_peer(host_, kPeer, peer_);
  host_.now += 5s;
  const Instant read_at = host_.now;
  host_.receive(kPeer, ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  ASSERT_EQ(application_->requests.size(), 1u);
  const RequestParcel& request = *application_->requests[0];
  EXPECT_EQ(request.origin, kPeer);
  EXPECT_EQ(request.received_at, read_at);
  EXPECT_EQ(request.header.hop_by_hop, 77u);
  host_.now += 1s;
  auto answer = begin_answer(host_.pool, request.view(), host_.module.config(), result::success);
  host_.submit(kPeer, make_answer(request, std::move(answer).finish()), kApplication);
  ASSERT_EQ(host_.wire[kPeer].size(), 1u);
  EXPECT_EQ(host_.wire[kPeer][0].caused_at, read_at);
  const Buffer sent = host_.sent_one(kPeer);
  EXPECT_EQ(parsed(sent).header().hop_by_hop, 77u);
  EXPECT_EQ(parsed(sent).header().end_to_end, 1u);
}

TEST_F(PeerSessionTest, MatchesAnAnswerToItsRequestByItsOwnHopByHopIdentifier) {
  open_peer(host_, kPeer, peer_);
  for (std::uint32_t i = 0; i < 10; ++i) {
    host_.submit(kPeer, request_parcel(host_.pool, i), kApplication);
  }
  EXPECT_EQ(host_.sessions[kPeer]->status().pending, 10u);
  auto sent = host_.sent(kPeer);
  ASSERT_EQ(sent.size(), 10u);
  for (std::size_t i = sent.size(); i-- > 0;) {  // the last one first
    host_.receive(kPeer, answer_to(host_.pool, sent[i], result::success, peer_));
    ASSERT_EQ(application_->answers.size(), 10 - i);
    const AnswerParcel& answer = *application_->answers.back();
    EXPECT_EQ(answer.tag, i);
    EXPECT_EQ(answer.end_to_end, i);
    EXPECT_EQ(answer.hop_by_hop, 77u);
    EXPECT_EQ(answer.answered_by, kPeer);
  }
  EXPECT_EQ(host_.sessions[kPeer]->status().pending, 0u);
}

TEST_F(PeerSessionTest, CountsAnswersThatMatchNothing) {
  open_peer(host_, kPeer, peer_);
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  const Buffer sent = host_.sent_one(kPeer);
  const Buffer answer = answer_to(host_.pool, sent, result::success, peer_);
  const auto altered = [&](std::size_t at) {
    std::string bytes(as_text(answer.bytes()));
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    return Buffer::copy_of(as_bytes(bytes));
  };
  host_.receive(kPeer, altered(Header::kHopByHopAt));
  host_.receive(kPeer, altered(Header::kEndToEndAt));
  host_.receive(kPeer, altered(7));  // another command
  EXPECT_EQ(host_.counters.get(Counter::diameter_answers_unmatched), 3u);
  EXPECT_TRUE(application_->answers.empty());
  host_.receive(kPeer, answer);
  EXPECT_EQ(application_->answers.size(), 1u);
  host_.receive(kPeer, answer);  // twice
  EXPECT_EQ(host_.counters.get(Counter::diameter_answers_unmatched), 4u);
}

TEST_F(PeerSessionTest, AnswersItselfWith3002WhenTheTimeIsUp) {
  open_peer(host_, kPeer, peer_);
  RequestPtr quick = request_parcel(host_.pool, 5);
  quick->timeout = 2s;
  host_.submit(kPeer, std::move(quick), kApplication);
  host_.submit(kPeer, request_parcel(host_.pool, 6), kApplication);
  host_.pass(1900ms);
  EXPECT_TRUE(application_->answers.empty());
  host_.pass(200ms);
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->tag, 5u);
  EXPECT_TRUE(application_->answers[0]->made_here());
  EXPECT_EQ(application_->answers[0]->why, Why::timed_out);
  EXPECT_EQ(application_->answers[0]->view().result_code(), result::unable_to_deliver);
  host_.pass(8s);
  ASSERT_EQ(application_->answers.size(), 2u);
  EXPECT_EQ(host_.counters.get(Counter::diameter_requests_timed_out), 2u);
}

TEST_F(PeerSessionTest, BoundsTheRequestsThatWait) {
  DiameterConfig config = ours();
  config.limits.pending_max = 3;
  Host host(config);
  auto collector = std::make_unique<Collector>();
  Collector& application = *collector;
  host.add(kApplication, std::move(collector));
  open_peer(host, kPeer, peer_);
  for (std::uint32_t i = 0; i < 5; ++i) {
    host.submit(kPeer, request_parcel(host.pool, i), kApplication);
  }
  EXPECT_EQ(host.sent(kPeer).size(), 3u);
  EXPECT_EQ(application.answers.size(), 2u);
}

TEST_F(PeerSessionTest, ALostConnectionFailsWhatWaitsOverToAnotherPeerWithTheTBit) {
  open_peer(host_, kPeer, peer_);
  DiameterConfig twin = node_config("other");
  twin.origin_realm = peer_.origin_realm;
  open_peer(host_, kOther, twin);
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  EXPECT_FALSE(parsed(host_.sent_one(kPeer)).header().is_retransmitted());
  host_.down(kPeer);
  const Buffer again = host_.sent_one(kOther);
  ASSERT_FALSE(again.empty());
  EXPECT_TRUE(parsed(again).header().is_retransmitted());
  EXPECT_EQ(parsed(again).header().end_to_end, 1u);
  host_.receive(kOther, answer_to(host_.pool, again, result::success, twin));
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->view().result_code(), result::success);
}

TEST_F(PeerSessionTest, ALostConnectionWithoutAnotherAnswers3002) {
  open_peer(host_, kPeer, peer_);
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  host_.down(kPeer);
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->view().result_code(), result::unable_to_deliver);
}

TEST_F(PeerSessionTest, ARequestMeantForOnePeerAloneIsNotRerouted) {
  open_peer(host_, kPeer, peer_);
  DiameterConfig twin = node_config("other");
  twin.origin_realm = peer_.origin_realm;
  open_peer(host_, kOther, twin);
  RequestPtr direct = request_parcel(host_.pool);
  direct->direct = true;
  host_.submit(kPeer, std::move(direct), kApplication);
  host_.down(kPeer);
  EXPECT_TRUE(host_.sent(kOther).empty());
  EXPECT_EQ(application_->answers.size(), 1u);
}

TEST_F(PeerSessionTest, AMessageThatComesBackUnsentIsRoutedAgainWithoutTheTBit) {
  open_peer(host_, kPeer, peer_);
  DiameterConfig twin = node_config("other");
  twin.origin_realm = peer_.origin_realm;
  open_peer(host_, kOther, twin);
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  Message back;
  back.payload = host_.sent_one(kPeer);
  host_.give(kPeer, AssociationUnsent{std::move(back), false});
  const Buffer again = host_.sent_one(kOther);
  ASSERT_FALSE(again.empty());
  EXPECT_FALSE(parsed(again).header().is_retransmitted());
}

TEST_F(PeerSessionTest, WhileItsConnectionIsCongestedRequestsGoToAnotherPeerAndAnswersDoNot) {
  open_peer(host_, kPeer, peer_);
  DiameterConfig twin = node_config("other");
  twin.origin_realm = peer_.origin_realm;
  open_peer(host_, kOther, twin);
  host_.receive(kPeer, ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  ASSERT_EQ(application_->requests.size(), 1u);
  host_.give(kPeer, AssociationCongestion{true});
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  EXPECT_FALSE(host_.sent_one(kOther).empty());
  const RequestPtr request = std::move(application_->requests[0]);
  auto answer = begin_answer(host_.pool, request->view(), host_.module.config(), result::success);
  host_.submit(kPeer, make_answer(*request, std::move(answer).finish()), kApplication);
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::success);
  host_.give(kPeer, AssociationCongestion{false});
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  EXPECT_FALSE(host_.sent_one(kPeer).empty());
}

TEST_F(PeerSessionTest, CountsAnAnswerThatHasNobodyToGoTo) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  ASSERT_EQ(application_->requests.size(), 1u);
  const RequestPtr request = std::move(application_->requests[0]);
  host_.down(kPeer);
  auto answer = begin_answer(host_.pool, request->view(), host_.module.config(), result::success);
  host_.submit(kPeer, make_answer(*request, std::move(answer).finish()), kApplication);
  EXPECT_EQ(host_.counters.get(Counter::diameter_answers_orphaned), 1u);
}

TEST_F(PeerSessionTest, SpreadsRequestsOverStreamsOnceThePeerIsSurelyOpen) {
  open_peer(host_, kPeer, peer_, 4);
  host_.submit(kPeer, request_parcel(host_.pool, 1), kApplication);
  EXPECT_EQ(host_.wire[kPeer].back().stream, StreamId{0});  // must not overtake our CEA
  const Buffer request = host_.sent_one(kPeer);
  host_.receive(kPeer, answer_to(host_.pool, request, result::success, peer_));
  std::array<int, 4> used{};
  for (std::uint32_t i = 0; i < 30; ++i) {
    host_.submit(kPeer, request_parcel(host_.pool, i), kApplication);
    ++used[static_cast<std::size_t>(host_.wire[kPeer].back().stream)];
  }
  EXPECT_EQ(used, (std::array<int, 4>{0, 10, 10, 10}));
}

// --- Goodbye -------------------------------------------------------------------------------------

TEST_F(PeerSessionTest, AnswersADprAndWaitsForThePeerToDisconnect) {
  open_peer(host_, kPeer, peer_);
  auto dpr = MessageBuilder::request(host_.pool, command::disconnect_peer, 3, 4);
  dpr.add(avp::origin_host, "peer.example")
      .add(avp::origin_realm, "realm.peer.example")
      .add(avp::disconnect_cause, DisconnectCause::rebooting);
  host_.receive(kPeer, std::move(dpr).finish());
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::success);
  EXPECT_EQ(open_peers(), 0u);
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.pass(6s);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, SaysGoodbyeWhenTheNodeStopsAndClosesWithoutADpaInTheEnd) {
  open_peer(host_, kPeer, peer_);
  host_.give(kPeer, Stopping{});
  const Buffer dpr = host_.sent_one(kPeer);
  EXPECT_TRUE(parsed(dpr).is(command::disconnect_peer));
  EXPECT_EQ(parsed(dpr).get(avp::disconnect_cause), DisconnectCause::rebooting);
  host_.receive(kPeer, ulr(host_.pool).finish());
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::unable_to_deliver);
  EXPECT_TRUE(application_->requests.empty());
  host_.pass(6s);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, LetsWhatWaitsHaveItsAnswerBeforeItSaysGoodbye) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  host_.submit(kPeer, request_parcel(host_.pool), kApplication);
  const Buffer ours = host_.sent_one(kPeer);
  host_.give(kPeer, Stopping{});
  EXPECT_TRUE(host_.sent(kPeer).empty());
  // Nothing new is taken, from neither side.
  host_.receive(kPeer, ulr(host_.pool).finish());
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::unable_to_deliver);
  host_.submit(kPeer, request_parcel(host_.pool, 2), kApplication);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  EXPECT_EQ(application_->answers.size(), 1u);
  // A watchdog is answered all the same.
  auto dwr = MessageBuilder::request(host_.pool, command::device_watchdog, 3, 4);
  dwr.add(avp::origin_host, "peer.example").add(avp::origin_realm, "realm.peer.example");
  host_.receive(kPeer, std::move(dwr).finish());
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::success);

  host_.receive(kPeer, answer_to(host_.pool, ours, result::success, peer_));
  EXPECT_EQ(application_->answers.size(), 2u);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  const RequestParcel& request = *application_->requests.at(0);
  auto answer = begin_answer(host_.pool, request.view(), host_.module.config(), result::success);
  host_.submit(kPeer, make_answer(request, std::move(answer).finish()), kApplication);
  const auto sent = host_.sent(kPeer);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_TRUE(parsed(sent[0]).is(command::update_location));
  EXPECT_TRUE(parsed(sent[1]).is(command::disconnect_peer));
  host_.receive(kPeer, answer_to(host_.pool, sent[1], result::success, peer_));
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
}

TEST_F(PeerSessionTest, SaysGoodbyeInTimeToAPeerThatIsOwedAnAnswer) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  host_.give(kPeer, Stopping{});
  host_.pass(2499ms);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  host_.pass(2ms);
  EXPECT_TRUE(parsed(host_.sent_one(kPeer)).is(command::disconnect_peer));
  host_.pass(2400ms);
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.pass(200ms);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, SaysNoGoodbyeOfItsOwnAfterThePeersWhileAnAnswerIsOwed) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  host_.give(kPeer, Stopping{});
  auto dpr = MessageBuilder::request(host_.pool, command::disconnect_peer, 3, 4);
  dpr.add(avp::origin_host, "peer.example")
      .add(avp::origin_realm, "realm.peer.example")
      .add(avp::disconnect_cause, DisconnectCause::rebooting);
  host_.receive(kPeer, std::move(dpr).finish());
  EXPECT_FALSE(parsed(host_.sent_one(kPeer)).is_request());
  host_.pass(4s);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.pass(2s);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

// --- What should not arrive ----------------------------------------------------------------------

TEST_F(PeerSessionTest, AnswersMalformedRequestsWithTheirCodeAndSaysSoOnce) {
  open_peer(host_, kPeer, peer_);
  const std::string good(as_text(ulr(host_.pool).finish().bytes()));
  const auto answer_for = [&](std::size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    host_.receive(kPeer, Buffer::copy_of(as_bytes(bytes)));
    return host_.sent_one(kPeer);
  };
  EXPECT_EQ(result_of(answer_for(0, 2)), result::unsupported_version);
  EXPECT_EQ(result_of(answer_for(3, 4)), result::invalid_message_length);
  const Buffer bits = answer_for(Header::kFlagsAt, static_cast<char>(0xe0));
  EXPECT_EQ(result_of(bits), result::invalid_hdr_bits);
  EXPECT_TRUE(parsed(bits).header().is_error());
  const Buffer length = answer_for(Header::kBytes + 7, 3);
  EXPECT_EQ(result_of(length), result::invalid_avp_length);
  EXPECT_TRUE(parsed(length).get(avp::failed_avp)->find(avp::session_id));
  EXPECT_EQ(host_.counters.get(Counter::diameter_malformed), 4u);
  EXPECT_EQ(host_.drops.size(), 4u);
  EXPECT_TRUE(host_.closes[kPeer].empty());
}

TEST_F(PeerSessionTest, ClosesOnBytesThatCannotBeAnswered) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, Buffer::copy_of(as_bytes("garbage")));
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
  EXPECT_EQ(open_peers(), 0u);
}

TEST_F(PeerSessionTest, AnswersUnknownBaseCommandsWith3001) {
  open_peer(host_, kPeer, peer_);
  Header header;
  header.flags = command_flag::kRequest;
  header.command = CommandCode{999};
  host_.receive(kPeer, MessageBuilder(host_.pool, header).finish());
  const Buffer answer = host_.sent_one(kPeer);
  EXPECT_EQ(result_of(answer), result::command_unsupported);
  EXPECT_TRUE(parsed(answer).header().is_error());
}

TEST_F(PeerSessionTest, RefusesAMessageLongerThanItsLimit) {
  DiameterConfig config = ours();
  config.limits.message_bytes_max = 512;
  Host host(config);
  open_peer(host, kPeer, peer_);
  auto large = ulr(host.pool);
  large.add(avp::class_, as_bytes(std::string(1000, 'x')));
  host.receive(kPeer, std::move(large).finish());
  EXPECT_EQ(result_of(host.sent_one(kPeer)), result::invalid_message_length);
}

TEST_F(PeerSessionTest, AllocatesNoBuffersFromTheHeapInSteadyState) {
  open_peer(host_, kPeer, peer_);
  const auto exchange = [&] {
    host_.submit(kPeer, request_parcel(host_.pool), kApplication);
    host_.receive(kPeer, answer_to(host_.pool, host_.sent_one(kPeer), result::success, peer_));
    application_->answers.clear();
  };
  exchange();
  const auto before = host_.pool.heap_allocations();
  for (int i = 0; i < 100; ++i) exchange();
  EXPECT_EQ(host_.pool.heap_allocations(), before);
}

}  // namespace
}  // namespace siglane::diameter
