#include "protocols/diameter/application.h"

#include <gtest/gtest.h>

#include "core/ask_parcel.h"
#include "tests/support/facts.h"
#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

constexpr AssociationId kPeer{1}, kOther{2}, kApplication{50};

// What goes to a store and comes back.
class StoreParcel final : public AskParcel {};

// Answers ULR from its store, later; knows no other command.
class Hss final : public Application {
 public:
  using Application::Application;

  void on_request(RequestPtr request, const MessageView& message, Instant, Outbox& out) override {
    if (!message.is(command::update_location)) {
      return reject(std::move(request), result::command_unsupported, out);
    }
    users.emplace_back(*message.get(avp::user_name));
    keep_for_answer(*request, {&avp::ulr_flags}, out);
    auto ask = std::make_unique<StoreParcel>();
    ask->cause = std::move(request);
    out.ask(std::move(ask));
  }
  void on_completed(Completed completed, Instant, Outbox& out) override {
    auto request =
        parcel_cast<RequestParcel>(std::move(static_cast<StoreParcel&>(*completed.parcel).cause));
    if (!completed.ran) return reject(std::move(request), result::too_busy, out);
    auto answer = begin_answer(out.buffers(), request->view(), config(), result::success);
    answer.add(avp::auth_session_state, AuthSessionState::no_state_maintained)
        .add(avp::ula_flags, 1u);
    reply(std::move(request), std::move(answer), out);
  }
  void add_application_avps(MessageBuilder& answer) const override {
    answer.add(avp::auth_session_state, AuthSessionState::no_state_maintained);
  }
  void on_answer(AnswerPtr answer, const MessageView& message, Instant, Outbox&) override {
    answers.emplace_back(answer->tag, message.result_code().value_or(ResultCode{0}));
  }
  void on_woken(Instant, Outbox& out) override {
    auto cancel = MessageBuilder::request(out.buffers(), command::cancel_location);
    cancel.add(avp::session_id, "s")
        .add(avp::destination_host, "peer.example")
        .add(avp::destination_realm, "realm.peer.example");
    if (to == AssociationId::none) {
      send(std::move(cancel), ++tag, 0s, out);
    } else {
      send_to(to, std::move(cancel), ++tag, 3s, out);
    }
  }

  void on_reconfigured(Instant, Outbox&) override { product_name = config().product_name; }
  void on_peer_open(const PeerChange& peer, AssociationId connection, Instant, Outbox&) override {
    EXPECT_EQ(connection, kPeer);
    heard.push_back(peer.name + " open");
  }
  void on_peer_closed(const PeerChange& peer, AssociationId, Instant, Outbox&) override {
    heard.push_back(peer.name + " closed");
  }
  // Asks the peer, and notes what comes of that under a name.
  void cancel(std::string name, Outbox& out) {
    auto request = MessageBuilder::request(out.buffers(), command::cancel_location);
    request.add(avp::session_id, "s")
        .add(avp::destination_host, "peer.example")
        .add(avp::destination_realm, "realm.peer.example");
    send(
        std::move(request),
        [this, name](AnswerPtr, const MessageView& message, Instant, Outbox&) {
          heard.push_back(
              name + " " +
              std::to_string(static_cast<unsigned>(message.result_code().value_or(ResultCode{}))));
        },
        0s, out);
  }

  std::vector<std::string> users, heard;
  std::string product_name;
  std::vector<std::pair<std::uint64_t, ResultCode>> answers;
  AssociationId to = AssociationId::none;
  std::uint64_t tag = 0;
};

constexpr FactKind kCreditExhausted{"charging.credit_exhausted", Severity::warning,
                                    "a subscriber has used up all credit"};

// Has an event of its own to tell.
class Charging final : public Application {
 public:
  using Application::Application;

  void on_request(RequestPtr request, const MessageView& message, Instant, Outbox& out) override {
    out.announce(
        {kCreditExhausted, {{"subscriber", *message.get(avp::user_name)}, {"seconds_used", 180}}});
    reject(std::move(request), result::unable_to_comply, out);
  }
};

class ApplicationTest : public testing::Test {
 protected:
  ApplicationTest() {
    hss_ = &host_.add(kApplication, std::make_unique<Hss>(host_.module, 1));
    host_.module.add_application(ShardId{}, application::s6a, kApplication);
    open_peer(host_, kPeer, node_config("peer"));
  }
  Buffer ask(Buffer request) {
    host_.receive(kPeer, std::move(request));
    return host_.sent_one(kPeer);
  }

  Host host_{node_config("us")};
  Hss* hss_ = nullptr;
};

TEST_F(ApplicationTest, HasTheNewConfigOnceItsShardFollows) {
  DiameterConfig next = node_config("us");
  next.product_name = "Next";
  host_.module.prepare(next);
  host_.pass(1s);
  EXPECT_EQ(hss_->product_name, "");
  host_.give(kApplication, Reconfigured{});
  EXPECT_EQ(hss_->product_name, "Next");
}

TEST_F(ApplicationTest, HearsWhenAPeerMayBeSentRequestsAndWhenNotAnyMore) {
  EXPECT_EQ(hss_->heard, std::vector<std::string>{"peer.example open"});
  host_.give(kPeer, Operate{Operate::Verb::block, "asked"});
  host_.give(kPeer, Operate{Operate::Verb::unblock, "asked"});
  host_.down(kPeer);
  EXPECT_EQ(hss_->heard, (std::vector<std::string>{"peer.example open", "peer.example closed",
                                                   "peer.example open", "peer.example closed"}));
}

TEST_F(ApplicationTest, ARequestOfAnotherThreadIsAStepOfItsOwnAndItsAnswerGoesToItsCallback) {
  hss_->heard.clear();
  const auto ask_for = [&](std::string name) {
    host_.give(kApplication, Submitted{AssociationId::none,
                                       std::make_unique<CallParcel>(
                                           [name](Application& application, Instant, Outbox& out) {
                                             static_cast<Hss&>(application).cancel(name, out);
                                           })});
  };
  ask_for("first");
  const Buffer asked = host_.sent_one(kPeer);
  host_.down(kPeer);
  ask_for("second");
  EXPECT_EQ(hss_->heard,
            (std::vector<std::string>{"peer.example closed", "first 3003", "second 3003"}))
      << "each callback once, whatever becomes of the request";
  EXPECT_TRUE(hss_->answers.empty()) << "on_answer() is for requests with a tag";
}

TEST_F(ApplicationTest, AnswersARequestWhenItsStoreHasDoneItsPart) {
  auto request = ulr(host_.pool, "peer.example", "us.example", "realm.us.example");
  request.group(avp::proxy_info, [&] {
    request.add(avp::proxy_host, "proxy.example").add(avp::proxy_state, as_bytes("state"));
  });
  EXPECT_TRUE(ask(std::move(request).finish()).empty());
  EXPECT_EQ(hss_->users, std::vector<std::string>{"001010000000001"});
  ASSERT_EQ(host_.asked.size(), 1u);
  host_.give(kApplication, Completed{std::move(host_.asked[0])});
  const Buffer answer = host_.sent_one(kPeer);
  const MessageView message = parsed(answer);
  EXPECT_EQ(message.result_code(), result::success);
  EXPECT_EQ(message.header().hop_by_hop, 77u);
  EXPECT_EQ(message.get(avp::session_id), "mme.visited.example;1;2");
  EXPECT_EQ(as_text(*message.get(avp::proxy_info)->get(avp::proxy_state)), "state");
  EXPECT_FALSE(validate(message, dictionary()));
  EXPECT_FALSE(check_command(message, dictionary()));
}

TEST_F(ApplicationTest, HearsThatItsStoreDidNotTakeARequest) {
  EXPECT_TRUE(
      ask(ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish()).empty());
  ASSERT_EQ(host_.asked.size(), 1u);
  host_.give(kApplication, Completed{std::move(host_.asked[0]), false});
  EXPECT_EQ(parsed(host_.sent_one(kPeer)).result_code(), result::too_busy);
}

TEST_F(ApplicationTest, WhatItKeepsForAnAnswerHoldsOnToNothingElse) {
  auto request = ulr(host_.pool, "peer.example", "us.example", "realm.us.example");
  auto unknown = avp::proxy_state;
  unknown.code = 9999;
  unknown.mandatory = false;
  request.add(unknown, as_bytes(std::string(50'000, 'x')));
  ASSERT_TRUE(ask(std::move(request).finish()).empty());
  ASSERT_EQ(host_.asked.size(), 1u);
  const auto& kept =
      static_cast<const RequestParcel&>(*static_cast<const StoreParcel&>(*host_.asked[0]).cause);
  EXPECT_LT(host_.asked[0]->bytes_held(), 100u);
  EXPECT_EQ(kept.view().header().end_to_end, kept.header.end_to_end);
  EXPECT_TRUE(kept.view().find(avp::session_id));
  EXPECT_TRUE(kept.view().find(avp::ulr_flags));
  EXPECT_FALSE(kept.view().find(avp::user_name));
}

TEST_F(ApplicationTest, WhatItAsksCountsForThePeerAndIsWantedAsLongAsItsConnectionIsThere) {
  ask(ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish());
  ASSERT_EQ(host_.asked.size(), 1u);
  EXPECT_EQ(host_.asked[0]->asked_by(), "peer.example");
  EXPECT_TRUE(host_.asked[0]->wanted());
  host_.down(kPeer);
  EXPECT_EQ(host_.asked[0]->asked_by(), "peer.example");
  EXPECT_FALSE(host_.asked[0]->wanted());
  const StoreParcel ours;
  EXPECT_TRUE(ours.wanted()) << "made here";
  EXPECT_EQ(ours.asked_by(), "");
}

TEST(ApplicationFactTest, AnApplicationAnnouncesFactsOfItsOwn) {
  Host host(node_config("us"));
  host.add(kApplication, std::make_unique<Charging>(host.module, 1));
  host.module.add_application(ShardId{}, application::s6a, kApplication);
  open_peer(host, kPeer, node_config("peer"));
  host.receive(kPeer, ulr(host.pool, "peer.example", "us.example", "realm.us.example").finish());
  ASSERT_EQ(host.facts.size(), 1u);
  const Fact& told = host.facts.front();
  EXPECT_TRUE(is(told, kCreditExhausted));
  EXPECT_EQ(told.severity, Severity::warning);
  EXPECT_EQ(field(told, "subscriber"), "001010000000001");
  EXPECT_EQ(field(told, "seconds_used"), "180");
}

TEST_F(ApplicationTest, SeesNoRequestThatItsGrammarForbids) {
  const Buffer good = ulr(host_.pool, "peer.example", "us.example", "realm.us.example").finish();
  MessageBuilder request(host_.pool, parsed(good).header());
  for (const AvpView avp : parsed(good).avps()) {
    if (!avp.is(avp::rat_type)) request.add_raw(avp.raw());
  }
  const Buffer answer = ask(std::move(request).finish());
  EXPECT_EQ(parsed(answer).result_code(), result::missing_avp);
  const auto failed = parsed(answer).get(avp::failed_avp);
  ASSERT_TRUE(failed);
  EXPECT_TRUE(failed->find(avp::rat_type));
  EXPECT_FALSE(check_command(parsed(answer), dictionary())) << "the answer keeps its own";
  EXPECT_TRUE(hss_->users.empty());
}

TEST_F(ApplicationTest, RejectsCommandsThatItDoesNotKnow) {
  auto request = MessageBuilder::request(host_.pool, command::purge_ue);
  request.add(avp::session_id, "s")
      .add(avp::auth_session_state, AuthSessionState::no_state_maintained)
      .add(avp::origin_host, "peer.example")
      .add(avp::origin_realm, "realm.peer.example")
      .add(avp::destination_realm, "realm.us.example")
      .add(avp::user_name, "1");
  const Buffer answer = ask(std::move(request).finish());
  EXPECT_EQ(parsed(answer).result_code(), result::command_unsupported);
  EXPECT_TRUE(parsed(answer).header().is_error());
  EXPECT_FALSE(parsed(answer).find(avp::auth_session_state)) << "the E bit has its own grammar";
}

TEST_F(ApplicationTest, SendsRequestsOfItsOwnWithAFreshEndToEndIdentifierEach) {
  std::vector<std::uint32_t> seen;
  for (int i = 1; i <= 3; ++i) {
    host_.give(kApplication, Woken{});
    const Buffer sent = host_.sent_one(kPeer);
    ASSERT_FALSE(sent.empty());
    seen.push_back(parsed(sent).header().end_to_end);
    host_.receive(kPeer, answer_to(host_.pool, sent, result::success, node_config("peer")));
    EXPECT_EQ(hss_->answers.back(), std::pair(static_cast<std::uint64_t>(i), result::success));
  }
  EXPECT_EQ(seen[1], seen[0] + 1);
  EXPECT_EQ(seen[2], seen[0] + 2);
}

TEST_F(ApplicationTest, HearsOfATimeoutAndOfAPeerThatIsGone) {
  host_.give(kApplication, Woken{});
  host_.pass(11s);
  ASSERT_EQ(hss_->answers.size(), 1u);
  EXPECT_EQ(hss_->answers[0], std::pair(std::uint64_t{1}, result::unable_to_deliver));
  hss_->to = kPeer;
  host_.give(kApplication, Woken{});
  host_.pass(4s);
  ASSERT_EQ(hss_->answers.size(), 2u);
  hss_->to = kOther;  // nobody
  host_.give(kApplication, Woken{});
  ASSERT_EQ(hss_->answers.size(), 3u);
  EXPECT_EQ(hss_->answers[2], std::pair(std::uint64_t{3}, result::unable_to_deliver));
}

}  // namespace
}  // namespace siglane::diameter
