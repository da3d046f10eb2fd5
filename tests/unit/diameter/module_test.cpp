#include "protocols/diameter/module.h"

#include <gtest/gtest.h>

#include "protocols/diameter/counters.h"
#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

constexpr AssociationId kMme{1}, kHss{2}, kHss2{3}, kAgent{4}, kApplication{50};

// Answers every request with success; keeps the answers it gets.
class Echo final : public Session {
 public:
  explicit Echo(DiameterConfig config) : config_(std::move(config)) {}
  void step(SessionInput input, Instant, Outbox& out) override {
    auto* submitted = std::get_if<Submitted>(&input);
    if (submitted == nullptr) return;
    if (kind_of(*submitted->parcel) == ParcelKind::answer) {
      answers.push_back(parcel_cast<AnswerParcel>(std::move(submitted->parcel)));
      return;
    }
    if (kind_of(*submitted->parcel) != ParcelKind::request) return;
    ++requests;
    const auto request = parcel_cast<RequestParcel>(std::move(submitted->parcel));
    auto answer = begin_answer(out.buffers(), request->view(), config_, result::success);
    out.forward(request->origin, make_answer(*request, std::move(answer).finish()));
  }
  std::optional<Instant> deadline() const override { return std::nullopt; }
  SessionStatus status() const override { return {}; }

  int requests = 0;
  std::vector<AnswerPtr> answers;

 private:
  DiameterConfig config_;
};

DiameterConfig agent_config() {
  DiameterConfig config = node_config("dra");
  config.relay = true;
  config.peers = {{"mme", "mme.example", "realm.mme.example", {}},
                  {"hss", "hss.example", "realm.home.example", {}},
                  {"hss2", "hss2.example", "realm.home.example", {}},
                  {"agent", "agent.example", "realm.agent.example", {"far.example"}},
                  {"closed", "closed.example", "realm.closed.example", {}}};
  return config;
}

class ModuleTest : public testing::Test {
 protected:
  ModuleTest() {
    application_ = &host_.add(kApplication, std::make_unique<Echo>(*host_.module.config()));
    host_.module.add_application(ShardId{}, application::s6a, kApplication);
    open_peer(host_, kMme, node_config("mme"));
  }
  void open_hss() {
    DiameterConfig hss = node_config("hss");
    hss.origin_realm = "realm.home.example";
    open_peer(host_, kHss, hss);
  }
  void open_hss2() {
    DiameterConfig hss = node_config("hss2");
    hss.origin_realm = "realm.home.example";
    open_peer(host_, kHss2, hss);
  }
  void open_agent() {
    DiameterConfig agent = node_config("agent");
    agent.relay = true;
    open_peer(host_, kAgent, agent);
  }
  // The MME sends a ULR there; what the MME is answered, empty if nothing yet.
  Buffer ask(std::string_view host, std::string_view realm, std::uint32_t end_to_end = 1) {
    host_.receive(kMme, ulr(host_.pool, "mme.example", host, realm, end_to_end).finish());
    return host_.sent_one(kMme);
  }
  ResultCode result_of(const Buffer& answer) {
    return answer.empty() ? ResultCode{0} : parsed(answer).result_code().value_or(ResultCode{0});
  }

  Host host_{agent_config()};
  Echo* application_ = nullptr;
};

TEST_F(ModuleTest, GivesTheApplicationWhatNamesUs) {
  EXPECT_EQ(result_of(ask("DRA.example", "realm.dra.example")), result::success);
  EXPECT_EQ(result_of(ask("", "REALM.dra.example")), result::success);
  EXPECT_EQ(application_->requests, 2);
}

TEST_F(ModuleTest, AnswersAnUnknownApplicationWith3007) {
  Header header = parsed(ulr(host_.pool).finish()).header();
  header.application = application::credit_control;
  for (const bool named : {true, false}) {
    MessageBuilder request(host_.pool, header);
    request.add(avp::session_id, "s")
        .add(avp::origin_host, "mme.example")
        .add(avp::origin_realm, "realm.mme.example")
        .add(avp::destination_realm, "realm.dra.example");
    if (named) request.add(avp::destination_host, "dra.example");
    host_.receive(kMme, std::move(request).finish());
    const Buffer answer = host_.sent_one(kMme);
    EXPECT_EQ(result_of(answer), result::application_unsupported);
    EXPECT_TRUE(parsed(answer).header().is_error());
    EXPECT_EQ(parsed(answer).get(avp::session_id), "s");
    EXPECT_EQ(parsed(answer).get(avp::error_message),
              "dra.example does not support application 4 (Credit-Control)");
  }
  EXPECT_EQ(host_.counters.get(counter::requests_unroutable), 2u);
}

TEST_F(ModuleTest, AnswersARealmThatNobodyLeadsToWith3003) {
  const Buffer answer = ask("", "nowhere.example");
  EXPECT_EQ(result_of(answer), result::realm_not_served);
  EXPECT_EQ(parsed(answer).get(avp::error_message),
            "dra.example has no peer that leads to realm nowhere.example");
  ASSERT_EQ(host_.drops.size(), 1u);
  EXPECT_EQ(host_.drops[0].reason.name, "diameter.realm_not_served");
  EXPECT_EQ(host_.drops[0].peer, "mme");
  EXPECT_EQ(host_.drops[0].example,
            "Update-Location request: dra.example has no peer that leads to realm "
            "nowhere.example");
}

TEST_F(ModuleTest, AnErrorMessageQuotesNoMoreThanALineOfARequestAndNoControlCharacters) {
  const Buffer answer = ask("", "no\n\x1b" + std::string(1000, 'x'));
  const auto text = parsed(answer).get(avp::error_message);
  ASSERT_TRUE(text);
  EXPECT_LT(text->size(), 320u);
  EXPECT_NE(text->find("realm no??xxx"), text->npos);
}

TEST_F(ModuleTest, Answers3002WhenThePeersOfARealmAreNotOpen) {
  const Buffer answer = ask("", "realm.closed.example");
  EXPECT_EQ(result_of(answer), result::unable_to_deliver);
  EXPECT_EQ(parsed(answer).get(avp::error_message),
            "realm realm.closed.example cannot be reached: no peer that leads there is open");
  EXPECT_EQ(result_of(ask("closed.example", "realm.closed.example")), result::unable_to_deliver);
}

TEST_F(ModuleTest, AnswersItsOwnRouteRecordWith3005) {
  open_hss();
  auto request = ulr(host_.pool, "mme.example", {}, "realm.home.example");
  request.add(avp::route_record, "Dra.Example");
  host_.receive(kMme, std::move(request).finish());
  const Buffer answer = host_.sent_one(kMme);
  EXPECT_EQ(result_of(answer), result::loop_detected);
  EXPECT_EQ(parsed(answer).get(avp::error_message),
            "loop: Route-Record already names this node, dra.example");
  EXPECT_TRUE(host_.sent(kHss).empty());
}

TEST_F(ModuleTest, RelaysWithARouteRecordAndRestoresTheHopByHopIdentifier) {
  open_hss();
  EXPECT_TRUE(ask("", "realm.home.example", 4711).empty());
  const Buffer relayed = host_.sent_one(kHss);
  ASSERT_FALSE(relayed.empty());
  const MessageView request = parsed(relayed);
  EXPECT_EQ(request.header().end_to_end, 4711u);
  EXPECT_NE(request.header().hop_by_hop, 77u);
  EXPECT_EQ(request.get(avp::route_record), "mme.example");
  EXPECT_EQ(request.get(avp::user_name), "001010000000001");
  EXPECT_FALSE(validate(request, dictionary()));

  DiameterConfig hss = node_config("hss");
  hss.origin_realm = "realm.home.example";
  host_.receive(kHss, answer_to(host_.pool, relayed, result::success, hss));
  const Buffer answer = host_.sent_one(kMme);
  EXPECT_EQ(result_of(answer), result::success);
  EXPECT_EQ(parsed(answer).header().hop_by_hop, 77u);
  EXPECT_EQ(parsed(answer).header().end_to_end, 4711u);
  EXPECT_EQ(parsed(answer).get(avp::origin_host), "hss.example");
}

TEST_F(ModuleTest, PrefersTheHostThatIsNamed) {
  open_hss();
  open_hss2();
  for (std::uint32_t i = 0; i < 10; ++i) ask("hss2.example", "realm.home.example", i);
  EXPECT_EQ(host_.sent(kHss2).size(), 10u);
  EXPECT_TRUE(host_.sent(kHss).empty());
}

TEST_F(ModuleTest, SharesARealmsRequestsAmongItsPeers) {
  open_hss();
  open_hss2();
  for (std::uint32_t i = 0; i < 10; ++i) ask("", "realm.home.example", i);
  EXPECT_EQ(host_.sent(kHss).size(), 5u);
  EXPECT_EQ(host_.sent(kHss2).size(), 5u);
}

TEST_F(ModuleTest, DoesNotSendAHostsRequestsToItsNeighbour) {
  open_hss();
  EXPECT_EQ(result_of(ask("hss2.example", "realm.home.example")), result::unable_to_deliver);
  EXPECT_TRUE(host_.sent(kHss).empty());
}

TEST_F(ModuleTest, SendsWhatIsForARealmBehindAnAgentToTheAgent) {
  open_agent();
  EXPECT_TRUE(ask("some.far.example", "far.example").empty());
  EXPECT_EQ(host_.sent(kAgent).size(), 1u);
}

TEST_F(ModuleTest, AsksARelayForAHostOnlyWhereItSpeaksForTheHostsRealm) {
  open_agent();
  EXPECT_EQ(result_of(ask("some.agent.example", "realm.agent.example")), result::unable_to_deliver)
      << "the answer would not be believed";
  EXPECT_TRUE(host_.sent(kAgent).empty());
}

TEST_F(ModuleTest, TellsTheClientWhenAnAnswerThatItRelaysIsInAnothersName) {
  open_hss();
  ask("", "realm.home.example");
  host_.receive(kHss,
                answer_to(host_.pool, host_.sent_one(kHss), result::success, node_config("hss2")));
  const Buffer answer = host_.sent_one(kMme);
  EXPECT_EQ(result_of(answer), result::unable_to_deliver);
  EXPECT_EQ(parsed(answer).header().hop_by_hop, 77u);
  EXPECT_EQ(parsed(answer).get(avp::origin_host), "dra.example");
}

TEST_F(ModuleTest, NeverSendsARequestBackWhereItCameFrom) {
  EXPECT_EQ(result_of(ask("", "realm.mme.example")), result::unable_to_deliver);
}

TEST_F(ModuleTest, NeverSendsARequestToAPeerThatIsOnItsRecord) {
  open_hss();
  auto request = ulr(host_.pool, "mme.example", {}, "realm.home.example");
  request.add(avp::route_record, "hss.example");
  host_.receive(kMme, std::move(request).finish());
  EXPECT_EQ(result_of(host_.sent_one(kMme)), result::unable_to_deliver);
}

TEST_F(ModuleTest, FailsOverToTheNextPeerWithOneRouteRecordAndGivesUpAfterTheLast) {
  open_hss();
  open_hss2();
  ask("", "realm.home.example", 0);
  const AssociationId first = host_.wire[kHss].empty() ? kHss2 : kHss;
  const AssociationId second = first == kHss ? kHss2 : kHss;
  ASSERT_EQ(host_.sent(first).size(), 1u);
  host_.down(first);
  const Buffer again = host_.sent_one(second);
  ASSERT_FALSE(again.empty());
  EXPECT_TRUE(parsed(again).header().is_retransmitted());
  EXPECT_EQ(parsed(again).avps().count(avp::route_record), 1u);
  host_.down(second);
  const Buffer answer = host_.sent_one(kMme);
  EXPECT_EQ(result_of(answer), result::unable_to_deliver);
  EXPECT_EQ(parsed(answer).get(avp::error_message),
            "realm realm.home.example cannot be reached: the connection to the peer closed");
}

TEST_F(ModuleTest, DoesNotFailOverARequestWhoseOwnConnectionIsGone) {
  open_hss();
  open_hss2();
  ask("", "realm.home.example", 0);
  const AssociationId first = host_.wire[kHss].empty() ? kHss2 : kHss;
  const AssociationId second = first == kHss ? kHss2 : kHss;
  ASSERT_EQ(host_.sent(first).size(), 1u);
  host_.down(kMme);
  host_.down(first);
  EXPECT_TRUE(host_.sent(second).empty()) << "nobody would be answered";
}

TEST_F(ModuleTest, DoesNotRetryWhatTimedOut) {
  open_hss();
  open_hss2();
  ask("", "realm.home.example", 0);
  host_.sent(kHss);
  host_.sent(kHss2);
  host_.pass(11s);
  EXPECT_EQ(result_of(host_.sent_one(kMme)), result::unable_to_deliver);
  EXPECT_TRUE(host_.sent(kHss).empty());
  EXPECT_TRUE(host_.sent(kHss2).empty());
}

TEST_F(ModuleTest, GivesARequestOneTimeForAllPeersThatItIsTriedAt) {
  open_hss();
  open_hss2();
  ask("", "realm.home.example", 0);
  const AssociationId first = host_.wire[kHss].empty() ? kHss2 : kHss;
  const AssociationId second = first == kHss ? kHss2 : kHss;
  host_.pass(9s);
  host_.down(first);
  ASSERT_EQ(host_.sent(second).size(), 1u);
  host_.pass(900ms);
  EXPECT_TRUE(host_.sent(kMme).empty());
  host_.pass(200ms);
  EXPECT_EQ(result_of(host_.sent_one(kMme)), result::unable_to_deliver);
}

TEST_F(ModuleTest, DoesNotSendARequestWhoseTimeIsOver) {
  open_hss();
  RequestPtr late = request_parcel(ulr(host_.pool, "dra.example", {}, "realm.home.example"));
  late->answer_by = host_.now;
  host_.route(kApplication, std::move(late));
  EXPECT_TRUE(host_.sent(kHss).empty());
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->why, Why::timed_out);
}

TEST_F(ModuleTest, RoutesAnApplicationsOwnRequestsAndGivesItTheAnswer) {
  open_hss();
  RequestPtr parcel = request_parcel(ulr(host_.pool, "dra.example", {}, "realm.home.example"));
  parcel->tag = 99;
  host_.route(kApplication, std::move(parcel));
  const Buffer sent = host_.sent_one(kHss);
  ASSERT_FALSE(sent.empty());
  EXPECT_FALSE(parsed(sent).find(avp::route_record));
  DiameterConfig hss = node_config("hss");
  hss.origin_realm = "realm.home.example";
  host_.receive(kHss, answer_to(host_.pool, sent, result::success, hss));
  ASSERT_EQ(application_->answers.size(), 1u);
  EXPECT_EQ(application_->answers[0]->tag, 99u);
}

TEST_F(ModuleTest, ANodeThatIsNoAgentPassesNothingOn) {
  DiameterConfig config = agent_config();
  config.relay = false;
  Host host(config);
  open_peer(host, kMme, node_config("mme"));
  DiameterConfig hss = node_config("hss");
  hss.origin_realm = "realm.home.example";
  open_peer(host, kHss, hss);
  host.receive(kMme, ulr(host.pool, "mme.example", {}, "realm.home.example").finish());
  EXPECT_TRUE(host.sent(kHss).empty());
  EXPECT_EQ(result_of(host.sent_one(kMme)), result::unable_to_deliver);
}

TEST_F(ModuleTest, PassesNothingOnThatIsNotProxiable) {
  open_hss();
  const Buffer whole = ulr(host_.pool, "mme.example", {}, "realm.home.example").finish();
  Header header = parsed(whole).header();
  header.flags &= static_cast<std::uint8_t>(~command_flag::kProxiable);
  MessageBuilder request(host_.pool, header);
  request.add_raw(parsed(whole).avps().bytes());
  host_.receive(kMme, std::move(request).finish());
  EXPECT_TRUE(host_.sent(kHss).empty());
  EXPECT_EQ(result_of(host_.sent_one(kMme)), result::unable_to_deliver);
}

TEST_F(ModuleTest, CopiesProxyInfoIntoTheAnswersItMakes) {
  auto request = ulr(host_.pool, "mme.example", {}, "nowhere.example");
  for (const char* state : {"first", "second"}) {
    request.group(avp::proxy_info, [&] {
      request.add(avp::proxy_host, "proxy.example").add(avp::proxy_state, as_bytes(state));
    });
  }
  host_.receive(kMme, std::move(request).finish());
  const Buffer answer = host_.sent_one(kMme);
  std::vector<std::string> states;
  for (const AvpView avp : parsed(answer).avps()) {
    if (avp.is(avp::proxy_info)) {
      states.emplace_back(as_text(*avp.group().get(avp::proxy_state)));
    }
  }
  EXPECT_EQ(states, (std::vector<std::string>{"first", "second"}));
}

TEST_F(ModuleTest, CutsAStreamIntoMessagesByTheirLength) {
  const std::string bytes = vector_file("ulr.bin");
  const Bytes head = as_bytes(bytes);
  for (std::size_t size = 0; size < 4; ++size) {
    const auto length = host_.module.frame_length(head.first(size));
    ASSERT_TRUE(length);
    EXPECT_EQ(*length, std::nullopt);
  }
  EXPECT_EQ(host_.module.frame_length(head.first(4)).value(), bytes.size());
  // Another version can be answered where its length is plausible.
  EXPECT_EQ(host_.module.frame_length(as_bytes(std::string_view("\2\0\0\x20", 4))).value(), 32u);
  EXPECT_FALSE(host_.module.frame_length(as_bytes(std::string_view("\2\0\0\x21", 4))));
  EXPECT_FALSE(host_.module.frame_length(as_bytes(std::string_view("\2\1\0\x04", 4))));
  EXPECT_FALSE(host_.module.frame_length(as_bytes(std::string_view("GET /"))));
  EXPECT_FALSE(host_.module.frame_length(as_bytes(std::string_view("\1\0\0\x13", 4))));
  EXPECT_TRUE(host_.module.frame_length(as_bytes(std::string_view("\1\0\0\x14", 4))));
}

TEST(AnswerParcel, WaitsForRoomOnItsWayToAnotherShardForNobodyElseWantsIt) {
  AnswerParcel answer;
  EXPECT_EQ(answer.carriage(), Carriage::ordered);
  answer.tag = kFirstCallbackTag;
  EXPECT_EQ(answer.carriage(), Carriage::control);
}

TEST(DiameterConfig, IsCheckedInTheWordsOfItsFile) {
  EXPECT_TRUE(check(agent_config()));
  const auto complaint = [](auto change) {
    DiameterConfig config = agent_config();
    change(config);
    const auto good = check(config);
    return good ? std::string() : good.error().what;
  };
  EXPECT_EQ(complaint([](auto& c) { c.origin_host = ""; }),
            "/diameter/origin_host: \"\" is not a DiameterIdentity");
  EXPECT_EQ(complaint([](auto& c) { c.watchdog_interval = 0s; }),
            "/diameter/watchdog_ms: must be greater than 0");
  EXPECT_EQ(complaint([](auto& c) { c.host_ip_addresses = {"10.0.0"}; }),
            "/diameter/host_ip_addresses/0: \"10.0.0\" is not an IP address");
  EXPECT_EQ(complaint([](auto& c) { c.peers[1].origin_host = "MME.example"; }),
            "/diameter/peers/1/origin_host: \"MME.example\" is that of peer mme too");
  EXPECT_EQ(complaint([](auto& c) { c.peers[0].origin_host = "dra.example"; }),
            "/diameter/peers/0/origin_host: \"dra.example\" is our own");
  EXPECT_EQ(complaint([](auto& c) { c.limits.pending_max = 0; }),
            "/diameter/limits/pending_max: must be greater than 0");
  EXPECT_EQ(complaint([](auto& c) { c.peers[2].connections_max = 17; }),
            "/diameter/peers/2/connections_max: must be 1 to 16");
  EXPECT_EQ(complaint([](auto& c) { c.peers[3].routed_realms.push_back(""); }),
            "/diameter/peers/3/routed_realms/1: \"\" is not a DiameterIdentity");
}

}  // namespace
}  // namespace siglane::diameter
