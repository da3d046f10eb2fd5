#include "protocols/diameter/peer_session.h"

#include <gtest/gtest.h>

#include "protocols/diameter/counters.h"
#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

constexpr AssociationId kPeer{1}, kOther{2}, kApplication{50};

// Of an application, to any host of the peer's realm.
RequestPtr to_the_realm(BufferPool& pool, std::uint32_t end_to_end = 1) {
  RequestPtr parcel = request_parcel(ulr(pool, "us.example", {}, "realm.peer.example", end_to_end));
  parcel->tag = end_to_end;
  return parcel;
}

class PeerSessionTest : public testing::Test {
 protected:
  PeerSessionTest() {
    application_ = &host_.add(kApplication, std::make_unique<Collector>());
    host_.module.add_application(ShardId{}, application::s6a, kApplication);
  }
  static DiameterConfig ours() {
    DiameterConfig config = node_config("us");
    config.peers = {{"the peer", "peer.example", "realm.peer.example", {}},
                    {"the other", "other.example", "", {}},
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
  Buffer dpr(DisconnectCause cause = DisconnectCause::rebooting, std::uint32_t hop_by_hop = 3) {
    auto dpr = MessageBuilder::request(host_.pool, command::disconnect_peer, hop_by_hop, 4);
    dpr.add(avp::origin_host, "peer.example")
        .add(avp::origin_realm, "realm.peer.example")
        .add(avp::disconnect_cause, cause);
    return std::move(dpr).finish();
  }
  // A request of the peer that the application has, and its answer.
  void receive_request() {
    host_.receive(kPeer,
                  ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
    ASSERT_EQ(application_->requests.size(), 1u);
  }
  void answer_request() {
    const RequestPtr request = std::move(application_->requests.at(0));
    application_->requests.clear();
    auto answer =
        begin_answer(host_.pool, request->view(), *host_.module.config(), result::success);
    host_.submit(kPeer, make_answer(*request, std::move(answer).finish()), kApplication);
  }
  // The peer's next connection begins in REOPEN.
  void fail_watchdog() {
    open_peer(host_, kPeer, peer_);
    host_.pass(99s);
    host_.down(kPeer);
    host_.sent(kPeer);
    host_.closes.clear();
  }

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
  EXPECT_EQ(host_.peers_opened, 1u);
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
  EXPECT_EQ(parsed(cea).get(avp::error_message), "Product-Name (269) is missing");
  EXPECT_EQ(host_.peers_refused.back().why, "Product-Name (269) is missing");
}

TEST_F(PeerSessionTest, ACeaWithAProtocolErrorHasWhatItsGrammarAllowsAndNoCapabilities) {
  host_.objection = "not a configured peer";
  const Buffer cea = answer_to_cer(cer_of(host_.pool, node_config("stranger")));
  std::vector<std::uint32_t> codes;
  for (const AvpView avp : parsed(cea).avps()) codes.push_back(avp.code());
  EXPECT_EQ(codes,
            (std::vector{avp::result_code.code, avp::origin_host.code, avp::origin_realm.code,
                         avp::origin_state_id.code, avp::error_message.code}));
}

TEST_F(PeerSessionTest, ACerThatItsAvpsBreakGetsACeaThatKeepsItsGrammar) {
  const Buffer good = cer_of(host_.pool, peer_);
  std::string bytes(as_text(good.bytes()));
  bytes[Header::kBytes + 7] = 3;
  const Buffer cea = answer_to_cer(Buffer::copy_of(as_bytes(bytes)));
  EXPECT_EQ(result_of(cea), result::invalid_avp_length);
  EXPECT_FALSE(check_command(parsed(cea), dictionary()));
}

TEST_F(PeerSessionTest, RefusesACerWithAnotherRealmThanTheConfigsAndNamesBoth) {
  peer_.origin_realm = "realm.us.example";
  const Buffer cea = answer_to_cer(cer_of(host_.pool, peer_));
  EXPECT_EQ(result_of(cea), result::unknown_peer);
  EXPECT_TRUE(host_.identified.empty());
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  const PeerRefused refused = host_.peers_refused.back();
  EXPECT_EQ(refused.who, "peer.example");
  EXPECT_EQ(refused.why,
            "Origin-Realm is realm.us.example, but peer \"the peer\" is configured with realm "
            "realm.peer.example");

  host_.up(kOther, true, "the peer");
  const Buffer cer = host_.sent_one(kOther);
  host_.receive(kOther, make_cea(host_.pool, peer_, {}, parsed(cer).header(), result::success));
  EXPECT_EQ(host_.closes[kOther], std::vector{CloseMode::graceful});
  EXPECT_EQ(host_.peers_refused.back().why, refused.why);
  EXPECT_EQ(open_peers(), 0u);
}

TEST_F(PeerSessionTest, TakesARealmInAnyCaseAndAnyRealmOfAPeerThatIsConfiguredWithNone) {
  peer_.origin_realm = "REALM.Peer.Example";
  EXPECT_EQ(result_of(answer_to_cer(cer_of(host_.pool, peer_))), result::success);
  DiameterConfig other = node_config("other");
  other.origin_realm = "any.example";
  open_peer(host_, kOther, other);
  EXPECT_EQ(open_peers(), 2u);
  // From then on it is the connection's.
  auto request = MessageBuilder::request(host_.pool, command::update_location, 1, 1);
  request.add(avp::origin_host, "other.example").add(avp::origin_realm, "realm.us.example");
  host_.receive(kOther, std::move(request).finish());
  EXPECT_EQ(result_of(host_.sent_one(kOther)), result::unable_to_comply);
}

TEST_F(PeerSessionTest, TellsTheOperatorNoMoreThanALineOfWhatAStrangerSays) {
  const Buffer good = cer_of(host_.pool, peer_);
  MessageBuilder cer(host_.pool, parsed(good).header());
  cer.add(avp::origin_host, "evil\n" + std::string(10000, 'x'));
  host_.up(kPeer, false);
  host_.receive(kPeer, std::move(cer).finish());
  EXPECT_EQ(host_.peers_refused.back().who, "evil?" + std::string(250, 'x'));
  host_.up(kOther, true, "the peer");
  const Buffer ours = host_.sent_one(kOther);
  host_.receive(kOther, make_cea(host_.pool, peer_, {}, parsed(ours).header(),
                                 result::unable_to_comply, std::string(10000, '\n')));
  EXPECT_LT(host_.peers_refused.back().why.size(), 300u);
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
  EXPECT_EQ(host_.peers_refused.size(), 1u);
  EXPECT_EQ(open_peers(), 0u);
}

TEST_F(PeerSessionTest, ReportsWhatACeaRefuses) {
  host_.up(kPeer, true, "the peer");
  const Buffer cer = host_.sent_one(kPeer);
  host_.receive(
      kPeer, make_cea(host_.pool, peer_, {}, parsed(cer).header(), result::no_common_application));
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  const PeerRefused& refused = host_.peers_refused.back();
  EXPECT_EQ(refused.who, "the peer");
  EXPECT_NE(refused.why.find("5010"), std::string::npos);
}

// --- Whose names a message carries ---------------------------------------------------------------

TEST_F(PeerSessionTest, RefusesRequestsInAnothersNameWith5012AndNamesBoth) {
  open_peer(host_, kPeer, peer_);
  const auto request_from = [&](std::string_view host, std::string_view realm) {
    auto request = MessageBuilder::request(host_.pool, command::update_location, 7, 8);
    request.add(avp::session_id, "s").add(avp::origin_host, host).add(avp::origin_realm, realm);
    request.add(avp::destination_realm, "realm.us.example");
    return std::move(request).finish();
  };
  for (const auto& [host, realm] :
       {std::pair("other.example", "realm.peer.example"), std::pair("peer.example", "example"),
        std::pair("us.example", "realm.us.example")}) {
    host_.receive(kPeer, request_from(host, realm));
    const Buffer answer = host_.sent_one(kPeer);
    EXPECT_EQ(result_of(answer), result::unable_to_comply);
    EXPECT_FALSE(parsed(answer).header().is_error());
    EXPECT_EQ(parsed(answer).get(avp::session_id), "s");
    const std::string text = "the message says that it is from " + std::string(host) +
                             " of realm " + realm +
                             ", and the connection is that of peer.example of realm "
                             "realm.peer.example";
    EXPECT_EQ(parsed(answer).get(avp::error_message), text);
    ASSERT_FALSE(host_.drops.empty());
    EXPECT_EQ(host_.drops.back().reason.name, "diameter.foreign_origin");
    EXPECT_EQ(host_.drops.back().example, "Update-Location request: " + text);
  }
  EXPECT_TRUE(application_->requests.empty());
  EXPECT_EQ(host_.counters.get(siglane::counter::protocol_violations), 3u);

  host_.receive(kPeer, request_from("PEER.example", "Realm.Peer.Example"));
  EXPECT_EQ(application_->requests.size(), 1u) << "names have no case";
}

TEST_F(PeerSessionTest, RefusesRequestsWithoutAnOriginOrWithTwo) {
  open_peer(host_, kPeer, peer_);
  auto none = MessageBuilder::request(host_.pool, command::update_location, 7, 8);
  none.add(avp::origin_realm, "realm.peer.example");
  host_.receive(kPeer, std::move(none).finish());
  Buffer answer = host_.sent_one(kPeer);
  EXPECT_EQ(result_of(answer), result::missing_avp);
  EXPECT_TRUE(parsed(answer).get(avp::failed_avp)->find(avp::origin_host));

  auto two = ulr(host_.pool, "peer.example");
  two.add(avp::origin_host, "other.example");
  host_.receive(kPeer, std::move(two).finish());
  answer = host_.sent_one(kPeer);
  EXPECT_EQ(result_of(answer), result::avp_occurs_too_many_times);
  EXPECT_EQ(parsed(answer).get(avp::failed_avp)->get(avp::origin_host), "other.example");
  EXPECT_EQ(parsed(answer).get(avp::error_message), "Origin-Host (264) occurs too many times");
  EXPECT_TRUE(application_->requests.empty());
}

TEST_F(PeerSessionTest, AnAnswerInAnothersNameBecomesA3002) {
  open_peer(host_, kPeer, peer_);
  host_.submit(kPeer, to_the_realm(host_.pool, 5), kApplication);
  const Buffer sent = host_.sent_one(kPeer);
  const Buffer answer = answer_to(host_.pool, sent, result::success, node_config("other"));
  host_.receive(kPeer, answer);
  ASSERT_EQ(application_->answers.size(), 1u);
  const AnswerParcel& got = *application_->answers[0];
  EXPECT_TRUE(got.made_here());
  EXPECT_EQ(got.tag, 5u);
  EXPECT_EQ(got.why, Why::refused);
  EXPECT_EQ(got.view().result_code(), result::unable_to_deliver);
  EXPECT_EQ(got.view().get(avp::origin_host), "us.example");
  EXPECT_EQ(host_.sessions[kPeer]->status().pending, 0u);
  ASSERT_EQ(host_.drops.size(), 1u);
  EXPECT_EQ(host_.drops[0].reason.name, "diameter.foreign_origin");
  host_.receive(kPeer, answer);  // nobody waits for it any more
  EXPECT_EQ(host_.counters.get(counter::answers_unmatched), 1u);
  EXPECT_EQ(host_.drops.size(), 1u);
}

TEST_F(PeerSessionTest, RefusesMessagesOfTheBaseProtocolInAnothersNameEvenFromAnAgent) {
  DiameterConfig config = ours();
  config.peers[0].routed_realms = {"*"};
  Host host(config);
  open_peer(host, kPeer, peer_);
  const auto give = [&](const CommandDef& command, bool request, std::uint32_t id) {
    Header header;
    header.command = command.code;
    header.flags = request ? command_flag::kRequest : std::uint8_t{0};
    header.hop_by_hop = id;
    MessageBuilder message(host.pool, header);
    message.add(avp::origin_host, "other.example").add(avp::origin_realm, "realm.other.example");
    if (request) message.add(avp::disconnect_cause, DisconnectCause::rebooting);
    if (!request) message.add(avp::result_code, 2001u);
    message.add(avp::route_record, "us.example");  // no way round the check
    host.receive(kPeer, std::move(message).finish());
  };
  give(command::device_watchdog, true, 1);
  EXPECT_EQ(result_of(host.sent_one(kPeer)), result::unable_to_comply);
  give(command::disconnect_peer, true, 2);
  EXPECT_EQ(result_of(host.sent_one(kPeer)), result::unable_to_comply);
  EXPECT_EQ(host.sessions[kPeer]->status().state, "R-Open");
  // Its DWA is none, so the watchdog ends the connection.
  for (int i = 0; i < 3 && host.closes[kPeer].empty(); ++i) {
    host.pass(33s);
    for (const Buffer& dwr : host.sent(kPeer)) {
      give(command::device_watchdog, false, parsed(dwr).header().hop_by_hop);
    }
  }
  EXPECT_FALSE(host.drops.empty());
  EXPECT_EQ(host.peers_closed.size(), 1u);

  Host other(config);
  open_peer(other, kPeer, peer_);
  DiameterConfig changed = peer_;
  changed.origin_realm = "realm.us.example";
  other.receive(kPeer, cer_of(other.pool, changed));
  EXPECT_EQ(other.closes[kPeer], std::vector{CloseMode::abort});
  EXPECT_EQ(other.drops.back().example,
            "a CER from peer.example of realm realm.us.example on the open connection of "
            "peer.example of realm realm.peer.example");
}

TEST_F(PeerSessionTest, AnAgentBringsRequestsAndAnswersOfTheRealmsBehindIt) {
  DiameterConfig config = ours();
  config.peers[0].routed_realms = {"far.example"};
  Host host(config);
  Collector& application = host.add(kApplication, std::make_unique<Collector>());
  host.module.add_application(ShardId{}, application::s6a, kApplication);
  open_peer(host, kPeer, peer_);
  auto request = ulr(host.pool, "mme.far.example", "us.example", "realm.us.example");
  request.add(avp::route_record, "mme.far.example");
  host.receive(kPeer, std::move(request).finish());
  EXPECT_EQ(application.requests.size(), 1u);
  host.receive(kPeer, ulr(host.pool, "mme.near.example", "us.example").finish());
  EXPECT_EQ(result_of(host.sent_one(kPeer)), result::unable_to_comply);
  host.receive(kPeer, ulr(host.pool, "mme.far.example", "us.example").finish());
  EXPECT_EQ(result_of(host.sent_one(kPeer)), result::authorization_rejected);
  EXPECT_EQ(host.drops.back().reason.name, "diameter.unacceptable_route");

  host.submit(kPeer, to_the_realm(host.pool), kApplication);
  DiameterConfig far = node_config("hss");
  far.origin_realm = "far.example";
  host.receive(kPeer, answer_to(host.pool, host.sent_one(kPeer), result::success, far));
  ASSERT_EQ(application.answers.size(), 1u);
  EXPECT_EQ(application.answers[0]->view().result_code(), result::success);
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
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
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
  EXPECT_GE(
      host_.counters.get(counter::watchdogs_sent) + there.counters.get(counter::watchdogs_sent),
      15u);
  EXPECT_EQ(open_peers(), 1u);

  host_.give(kPeer, Stopping{});
  pump(host_, kPeer, there, kOther);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  EXPECT_TRUE(there.closes[kOther].empty());  // it waits for us to disconnect
  EXPECT_EQ(there.module.routes()->peers.size(), 0u);
  there.down(kOther);
  EXPECT_TRUE(host_.counters.get(siglane::counter::protocol_violations) == 0 &&
              there.counters.get(siglane::counter::protocol_violations) == 0);
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
    EXPECT_EQ(parsed(answer).get(avp::error_message), "Origin-Realm (296) is missing");
    EXPECT_FALSE(check_command(parsed(answer), dictionary()));
  }
  EXPECT_EQ(open_peers(), 1u);
}

TEST_F(PeerSessionTest, FailsOverFromASilentPeerThenClosesItAndTrustsItLateAgain) {
  open_peer(host_, kPeer, peer_);
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
  host_.sent(kPeer);
  host_.pass(33s);  // the request's 10 s have gone by as well
  EXPECT_EQ(parsed(host_.sent_one(kPeer)).command(), command::device_watchdog.code);
  EXPECT_EQ(open_peers(), 1u);
  host_.pass(33s);
  EXPECT_EQ(open_peers(), 0u);  // SUSPECT
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.submit(kPeer, to_the_realm(host_.pool, 2), kApplication);
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
  auto answer = begin_answer(host_.pool, request.view(), *host_.module.config(), result::success);
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
    host_.submit(kPeer, to_the_realm(host_.pool, i), kApplication);
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
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
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
  EXPECT_EQ(host_.counters.get(counter::answers_unmatched), 3u);
  EXPECT_TRUE(application_->answers.empty());
  host_.receive(kPeer, answer);
  EXPECT_EQ(application_->answers.size(), 1u);
  host_.receive(kPeer, answer);  // twice
  EXPECT_EQ(host_.counters.get(counter::answers_unmatched), 4u);
}

TEST_F(PeerSessionTest, AnswersItselfWith3002WhenTheTimeIsUp) {
  open_peer(host_, kPeer, peer_);
  RequestPtr quick = to_the_realm(host_.pool, 5);
  quick->timeout = 2s;
  host_.submit(kPeer, std::move(quick), kApplication);
  host_.submit(kPeer, to_the_realm(host_.pool, 6), kApplication);
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
  EXPECT_EQ(host_.counters.get(counter::requests_timed_out), 2u);
}

TEST_F(PeerSessionTest, BoundsTheRequestsThatWait) {
  DiameterConfig config = ours();
  config.limits.pending_max = 3;
  Host host(config);
  Collector& application = host.add(kApplication, std::make_unique<Collector>());
  open_peer(host, kPeer, peer_);
  for (std::uint32_t i = 0; i < 5; ++i) {
    host.submit(kPeer, to_the_realm(host.pool, i), kApplication);
  }
  EXPECT_EQ(host.sent(kPeer).size(), 3u);
  EXPECT_EQ(application.answers.size(), 2u);
}

TEST_F(PeerSessionTest, ALostConnectionFailsWhatWaitsOverToAnotherPeerWithTheTBit) {
  open_peer(host_, kPeer, peer_);
  DiameterConfig twin = node_config("other");
  twin.origin_realm = peer_.origin_realm;
  open_peer(host_, kOther, twin);
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
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
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
  host_.down(kPeer);
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->view().result_code(), result::unable_to_deliver);
}

TEST_F(PeerSessionTest, ARequestMeantForOnePeerAloneIsNotRerouted) {
  open_peer(host_, kPeer, peer_);
  DiameterConfig twin = node_config("other");
  twin.origin_realm = peer_.origin_realm;
  open_peer(host_, kOther, twin);
  RequestPtr direct = to_the_realm(host_.pool);
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
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
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
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  EXPECT_FALSE(host_.sent_one(kOther).empty());
  const RequestPtr request = std::move(application_->requests[0]);
  auto answer = begin_answer(host_.pool, request->view(), *host_.module.config(), result::success);
  host_.submit(kPeer, make_answer(*request, std::move(answer).finish()), kApplication);
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::success);
  host_.give(kPeer, AssociationCongestion{false});
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
  EXPECT_FALSE(host_.sent_one(kPeer).empty());
}

TEST_F(PeerSessionTest, CountsAnAnswerThatHasNobodyToGoTo) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  ASSERT_EQ(application_->requests.size(), 1u);
  const RequestPtr request = std::move(application_->requests[0]);
  host_.down(kPeer);
  auto answer = begin_answer(host_.pool, request->view(), *host_.module.config(), result::success);
  host_.submit(kPeer, make_answer(*request, std::move(answer).finish()), kApplication);
  EXPECT_EQ(host_.counters.get(counter::answers_orphaned), 1u);
}

TEST_F(PeerSessionTest, SpreadsRequestsOverStreamsOnceThePeerIsSurelyOpen) {
  open_peer(host_, kPeer, peer_, 4);
  host_.submit(kPeer, to_the_realm(host_.pool, 1), kApplication);
  EXPECT_EQ(host_.wire[kPeer].back().stream, StreamId{0});  // must not overtake our CEA
  const Buffer request = host_.sent_one(kPeer);
  host_.receive(kPeer, answer_to(host_.pool, request, result::success, peer_));
  std::array<int, 4> used{};
  for (std::uint32_t i = 0; i < 30; ++i) {
    host_.submit(kPeer, to_the_realm(host_.pool, i), kApplication);
    ++used[static_cast<std::size_t>(host_.wire[kPeer].back().stream)];
  }
  EXPECT_EQ(used, (std::array<int, 4>{0, 10, 10, 10}));
}

// --- Goodbye -------------------------------------------------------------------------------------

TEST_F(PeerSessionTest, AnswersADprAndWaitsForThePeerToDisconnect) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, dpr());
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
  host_.receive(kPeer, ulr(host_.pool, "peer.example").finish());
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::unable_to_deliver);
  EXPECT_TRUE(application_->requests.empty());
  host_.pass(6s);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, LetsWhatWaitsHaveItsAnswerBeforeItSaysGoodbye) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
  const Buffer ours = host_.sent_one(kPeer);
  host_.give(kPeer, Stopping{});
  EXPECT_TRUE(host_.sent(kPeer).empty());
  // Nothing new is taken, from neither side.
  host_.receive(kPeer, ulr(host_.pool, "peer.example").finish());
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::unable_to_deliver);
  host_.submit(kPeer, to_the_realm(host_.pool, 2), kApplication);
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
  auto answer = begin_answer(host_.pool, request.view(), *host_.module.config(), result::success);
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
  host_.receive(kPeer, dpr());
  EXPECT_TRUE(host_.sent(kPeer).empty());
  host_.pass(2499ms);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  host_.pass(2ms);
  const Buffer dpa = host_.sent_one(kPeer);
  EXPECT_TRUE(parsed(dpa).is(command::disconnect_peer));
  EXPECT_FALSE(parsed(dpa).is_request());
  host_.pass(2400ms);
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.pass(200ms);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, AnswersWhatItOwesBeforeItAnswersADpr) {
  open_peer(host_, kPeer, peer_, 4);
  receive_request();
  host_.receive(kPeer, dpr());
  EXPECT_EQ(open_peers(), 0u);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  host_.pass(4s);
  answer_request();
  for (const Message& message : host_.wire[kPeer]) {
    EXPECT_EQ(message.stream, StreamId{0}) << "a DPA on another stream could overtake the answer";
  }
  const auto sent = host_.sent(kPeer);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_TRUE(parsed(sent[0]).is(command::update_location));
  EXPECT_TRUE(parsed(sent[1]).is(command::disconnect_peer));
  EXPECT_FALSE(parsed(sent[1]).is_request());
  EXPECT_EQ(result_of(sent[1]), result::success);
  EXPECT_EQ(parsed(sent[1]).header().hop_by_hop, 3u);
  EXPECT_EQ(parsed(sent[1]).header().end_to_end, 4u);
  EXPECT_FALSE(check_command(parsed(sent[1]), dictionary()));
  host_.pass(4900ms);
  EXPECT_TRUE(host_.closes[kPeer].empty()) << "the peer has its time to disconnect";
  host_.pass(200ms);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, AnswersADprInTimeThoughAnAnswerIsOwed) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.receive(kPeer, dpr());
  host_.pass(4999ms);
  EXPECT_TRUE(host_.sent(kPeer).empty());
  host_.pass(2ms);
  EXPECT_TRUE(parsed(host_.sent_one(kPeer)).is(command::disconnect_peer));
  answer_request();  // the peer may still be there
  EXPECT_TRUE(parsed(host_.sent_one(kPeer)).is(command::update_location));
}

TEST_F(PeerSessionTest, AnswersASecondDprAtOnceAndTheFirstBeforeIt) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.receive(kPeer, dpr(DisconnectCause::rebooting, 3));
  host_.receive(kPeer, dpr(DisconnectCause::rebooting, 8));
  const auto sent = host_.sent(kPeer);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(parsed(sent[0]).header().hop_by_hop, 3u);
  EXPECT_EQ(parsed(sent[1]).header().hop_by_hop, 8u);
}

// RFC 6733 §5.4.3.
TEST_F(PeerSessionTest, StaysAwayFromAPeerThatIsBusyOrDoesNotWantToTalkToUs) {
  struct Case {
    DisconnectCause cause;
    std::string name;
    bool stays_away;
  };
  for (const Case& one :
       {Case{DisconnectCause::rebooting, "REBOOTING", false},
        Case{DisconnectCause::busy, "BUSY", true},
        Case{DisconnectCause::do_not_want_to_talk_to_you, "DO_NOT_WANT_TO_TALK_TO_YOU", true},
        Case{DisconnectCause{7}, "Disconnect-Cause 7", false}}) {
    SCOPED_TRACE(one.name);
    Host host(ours());
    open_peer(host, kPeer, peer_);
    host.receive(kPeer, dpr(one.cause));
    EXPECT_EQ(result_of(host.sent_one(kPeer)), result::success);
    ASSERT_EQ(host.peers_closed.size(), 1u);
    const PeerClosed& closed = host.peers_closed.back();
    EXPECT_EQ(closed.why, "the peer disconnects: " + one.name);
    EXPECT_EQ(closed.hold_off, one.stays_away ? Duration{5min} : Duration{});
  }
}

TEST_F(PeerSessionTest, TellsWhyAPeerDisconnectsThatIsNotTrustedYet) {
  fail_watchdog();
  open_peer(host_, kOther, peer_);
  ASSERT_NE(host_.sessions[kOther]->status().detail.find("REOPEN"), std::string::npos);
  host_.receive(kOther, dpr(DisconnectCause::busy));
  const PeerClosed& closed = host_.peers_closed.back();
  EXPECT_EQ(closed.why, "the peer disconnects: BUSY");
  EXPECT_EQ(closed.hold_off, 5min);
}

// --- A peer that has ended its half of the connection --------------------------------------------

TEST_F(PeerSessionTest, ClosesAtOnceWhenAPeerThatIsOwedNothingHasEndedTheConnection) {
  open_peer(host_, kPeer, peer_);
  host_.give(kPeer, AssociationEnding{true});
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  EXPECT_EQ(host_.lingers[kPeer], 0u);
  EXPECT_EQ(open_peers(), 0u);
  host_.up(kOther, false);  // and so it does before the CER
  host_.give(kOther, AssociationEnding{true});
  EXPECT_EQ(host_.closes[kOther], std::vector{CloseMode::graceful});
}

TEST_F(PeerSessionTest, APeerThatHasEndedTheConnectionGetsWhatItIsOwed) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.give(kPeer, AssociationEnding{true});
  EXPECT_EQ(host_.lingers[kPeer], 1u);
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.pass(4s);
  answer_request();
  EXPECT_TRUE(parsed(host_.sent_one(kPeer)).is(command::update_location));
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
}

TEST_F(PeerSessionTest, APeerThatHasEndedTheConnectionAfterItsDprGetsItsAnswersThenItsDpa) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.receive(kPeer, dpr());
  host_.give(kPeer, AssociationEnding{true});
  EXPECT_EQ(host_.lingers[kPeer], 1u);
  answer_request();
  const auto sent = host_.sent(kPeer);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_TRUE(parsed(sent[0]).is(command::update_location));
  EXPECT_TRUE(parsed(sent[1]).is(command::disconnect_peer));
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
}

TEST_F(PeerSessionTest, APeerThatReadsNothingMoreIsOwedNothing) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.give(kPeer, AssociationEnding{false});
  EXPECT_EQ(host_.lingers[kPeer], 0u) << "so its shard closes it";
}

TEST_F(PeerSessionTest, DoesNotWaitForEverForAnAnswerToAPeerThatHasEndedTheConnection) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.give(kPeer, AssociationEnding{true});
  host_.pass(4900ms);
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.pass(200ms);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, RequestsToAPeerThatHasEndedTheConnectionGoElsewhereAtOnce) {
  open_peer(host_, kPeer, peer_);
  DiameterConfig twin = node_config("other");
  twin.origin_realm = peer_.origin_realm;
  open_peer(host_, kOther, twin);
  receive_request();
  host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
  host_.sent(kPeer);
  host_.give(kPeer, AssociationEnding{true});
  EXPECT_FALSE(host_.sent_one(kOther).empty());
  host_.submit(kPeer, to_the_realm(host_.pool, 2), kApplication);
  EXPECT_FALSE(host_.sent_one(kOther).empty());
}

// Its DPA cannot come any more.
TEST_F(PeerSessionTest, SaysNoGoodbyeToAPeerThatHasEndedTheConnection) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.give(kPeer, Stopping{});
  host_.give(kPeer, AssociationEnding{true});
  answer_request();
  EXPECT_TRUE(parsed(host_.sent_one(kPeer)).is(command::update_location));
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
}

// --- A peer that is here again -------------------------------------------------------------------

TEST_F(PeerSessionTest, AnOpenConnectionStaysWhenItsPeerConnectsAgain) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.give(kPeer, Superseded{});
  EXPECT_TRUE(host_.closes[kPeer].empty());
  EXPECT_EQ(host_.lingers[kPeer], 0u);
  EXPECT_EQ(open_peers(), 1u);
}

TEST_F(PeerSessionTest, AfterItsDpaAConnectionGivesWayToThePeersNextOne) {
  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, dpr());
  host_.give(kPeer, Superseded{});
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  host_.pass(201ms);  // the peer does not close its end
  EXPECT_EQ(host_.closes[kPeer], (std::vector{CloseMode::graceful, CloseMode::abort}));
}

TEST_F(PeerSessionTest, AConnectionThatIsOwedAnAnswerAfterADprGivesWayAfterItsDpa) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.receive(kPeer, dpr());
  host_.give(kPeer, Superseded{});
  EXPECT_EQ(host_.lingers[kPeer], 1u);
  EXPECT_TRUE(host_.closes[kPeer].empty());
  host_.pass(900ms);
  answer_request();
  EXPECT_EQ(host_.sent(kPeer).size(), 2u);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
}

TEST_F(PeerSessionTest, AConnectionThatIsOwedAnAnswerAfterADprGivesWayWithinASecond) {
  open_peer(host_, kPeer, peer_);
  receive_request();
  host_.receive(kPeer, dpr());
  host_.give(kPeer, Superseded{});
  host_.pass(1001ms);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
}

TEST_F(PeerSessionTest, ASuspectConnectionGivesWayAndThePeersNextOneMustProveItself) {
  open_peer(host_, kPeer, peer_);
  host_.pass(66s);
  ASSERT_NE(host_.sessions[kPeer]->status().detail.find("SUSPECT"), std::string::npos);
  host_.give(kPeer, Superseded{});
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::abort});
  host_.down(kPeer);
  open_peer(host_, kOther, peer_);
  EXPECT_NE(host_.sessions[kOther]->status().detail.find("REOPEN"), std::string::npos);
}

// In whatever state the first connection is: it is known, and no election was held.
TEST_F(PeerSessionTest, APeerThatIsConnectedAlreadyIsToldSoWith5012) {
  const auto refusal = [&](const AssociationId id) {
    host_.up(id, false);
    host_.receive(id, cer_of(host_.pool, peer_));
    const Buffer cea = host_.sent_one(id);
    EXPECT_EQ(result_of(cea), result::unable_to_comply);
    EXPECT_FALSE(parsed(cea).header().is_error());
    EXPECT_EQ(parsed(cea).get(avp::error_message), "has an association already");
    EXPECT_EQ(host_.closes[id], std::vector{CloseMode::graceful});
  };
  open_peer(host_, kPeer, peer_);
  refusal(AssociationId{11});
  host_.receive(kPeer, dpr());
  refusal(AssociationId{12});  // Closing
  host_.down(kPeer);
  fail_watchdog();
  open_peer(host_, kOther, peer_);
  ASSERT_NE(host_.sessions[kOther]->status().detail.find("REOPEN"), std::string::npos);
  host_.sent(kOther);
  refusal(AssociationId{13});
}

TEST_F(PeerSessionTest, OnlyAnElectionThatWasHeldIsLostWith4003) {
  DiameterConfig low = node_config("a");  // less than "peer.example": it loses
  low.peers = ours().peers;
  Host host(low);
  host.up(kPeer, true, "the peer");
  host.up(kOther, false);
  host.receive(kOther, cer_of(host.pool, peer_));
  EXPECT_EQ(result_of(host.sent_one(kOther)), result::election_lost);
}

// --- What should not arrive ----------------------------------------------------------------------

TEST_F(PeerSessionTest, AnswersMalformedRequestsWithTheirCodeAndSaysSoOnce) {
  open_peer(host_, kPeer, peer_);
  const std::string good(as_text(ulr(host_.pool, "peer.example").finish().bytes()));
  const auto answer_for = [&](std::size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    host_.receive(kPeer, Buffer::copy_of(as_bytes(bytes)));
    return host_.sent_one(kPeer);
  };
  EXPECT_EQ(result_of(answer_for(3, 4)), result::invalid_message_length);
  const Buffer bits = answer_for(Header::kFlagsAt, static_cast<char>(0xe0));
  EXPECT_EQ(result_of(bits), result::invalid_hdr_bits);
  EXPECT_TRUE(parsed(bits).header().is_error());
  const Buffer length = answer_for(Header::kBytes + 7, 3);
  EXPECT_EQ(result_of(length), result::invalid_avp_length);
  EXPECT_TRUE(parsed(length).get(avp::failed_avp)->find(avp::session_id));
  EXPECT_EQ(parsed(length).get(avp::error_message), "Session-Id (263) has an impossible length");
  EXPECT_EQ(host_.counters.get(counter::malformed), 3u);
  EXPECT_EQ(host_.drops.size(), 3u);
  EXPECT_TRUE(host_.closes[kPeer].empty());
}

TEST_F(PeerSessionTest, AnswersAnotherVersionWith5011AndThenCloses) {
  const auto version_2 = [](const Buffer& message) {
    std::string bytes(as_text(message.bytes()));
    bytes[0] = 2;
    return Buffer::copy_of(as_bytes(bytes));
  };
  host_.up(kOther, false);
  host_.receive(kOther, version_2(cer_of(host_.pool, peer_)));
  const Buffer cea = host_.sent_one(kOther);
  EXPECT_EQ(result_of(cea), result::unsupported_version);
  EXPECT_FALSE(check_command(parsed(cea), dictionary())) << "a CEA keeps its grammar";
  EXPECT_EQ(host_.closes[kOther], std::vector{CloseMode::graceful});

  open_peer(host_, kPeer, peer_);
  host_.receive(kPeer, version_2(ulr(host_.pool, "peer.example").finish()));
  EXPECT_EQ(result_of(host_.sent_one(kPeer)), result::unsupported_version);
  EXPECT_EQ(host_.closes[kPeer], std::vector{CloseMode::graceful});
  EXPECT_EQ(open_peers(), 0u);
  EXPECT_TRUE(application_->requests.empty());
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
  MessageBuilder request(host_.pool, header);
  request.add(avp::origin_host, "peer.example").add(avp::origin_realm, "realm.peer.example");
  host_.receive(kPeer, std::move(request).finish());
  const Buffer answer = host_.sent_one(kPeer);
  EXPECT_EQ(result_of(answer), result::command_unsupported);
  EXPECT_TRUE(parsed(answer).header().is_error());
  EXPECT_EQ(parsed(answer).get(avp::error_message),
            "command 999 of application 0 (Common-Messages) is not supported");
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
    host_.submit(kPeer, to_the_realm(host_.pool), kApplication);
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
