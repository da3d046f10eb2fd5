// What an ASP asks for, and when: one AspSession without a shard, its ASs being the test.
#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/m3ua/asp.h"
#include "tests/support/test_script.h"
#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Event = AspEventParcel::Event;
using Order = AsOrderParcel::Order;
using enum MessageType;

// asp1 of as1 and as2.
class AspRequests : public testing::Test {
 protected:
  AspRequests() : latest_(std::make_shared<const Gateway>(config())) {
    AssociationUp up;
    up.remote_addresses = {"10.0.1.1"};
    up.streams_in = up.streams_out = 8;
    session_ = &script_.add(
        kAsp, std::make_unique<AspSession>(latest_, up, std::vector<std::string>{"asp1"}));
    script_.on_action = [this](AssociationId, Action& action) { return take(action); };
    step(std::move(up));
  }
  // Up in both, and they have said so.
  void come_up() {
    say(aspup);
    answer(0);
    answer(1);
    forget();
  }
  void come_up_and_active() {
    come_up();
    say(aspac);
    answer(0);
    answer(1);
    forget();
  }
  void say(MessageType type, std::initializer_list<std::uint32_t> contexts = {},
           std::optional<std::uint32_t> mode = {}) {
    MessageBuilder builder(script_.pool, type);
    builder.u32_if(Tag::traffic_mode_type, mode);
    builder.list(Tag::routing_context, std::vector<std::uint32_t>(contexts));
    if (type == aspup) builder.u32(Tag::asp_identifier, 1);
    script_.receive(kAsp, std::move(builder).finish());
  }
  void return_unsent(std::string_view text) {
    MessageBuilder builder(script_.pool, data);
    builder.u32(Tag::routing_context, 101)
        .protocol_data(MtpLabel{1002, 1001, 3, 2, 0, 5}, as_bytes(text));
    step(AssociationUnsent{{StreamId{1}, kPayloadProtocol, false, {}, std::move(builder).finish()},
                           false});
  }
  // The answer of an AS to what it was told last.
  void answer(std::size_t as) {
    ASSERT_TRUE(asked_[as]) << "nothing to answer";
    const Asked asked = *std::exchange(asked_[as], std::nullopt);
    const Order order = asked.event == Event::activate     ? Order::activated
                        : asked.event == Event::deactivate ? Order::deactivated
                                                           : Order::noted;
    step(Submitted{latest_.load()->servers[as].coordinator,
                   std::make_unique<AsOrderParcel>(order, as, asked.epoch)});
  }
  void answer_if_asked(std::size_t as) {
    if (asked_[as]) answer(as);
  }
  void advance(Duration span) { script_.pass(span); }
  void forget() {
    told.clear();
    heard.clear();
  }
  std::string state() const { return session_->status().detail; }
  // The servers hear of an end without having answered.
  void end(SessionInput input) {
    ending_ = true;
    step(std::move(input));
  }
  void step(SessionInput input) { script_.give(kAsp, std::move(input)); }
  bool paused() { return script_.paused[kAsp]; }
  std::size_t dropped() const { return script_.drops.size(); }

  std::vector<std::string> told;   // "as1 up"
  std::vector<MessageType> heard;  // by the ASP
  std::vector<bool> came_back;     // DATA for an AS: marked as sent before

 private:
  static M3uaConfig config() {
    M3uaConfig config = gateway_config(TrafficMode::loadshare, {1, 1});
    config.application_servers[1].asps = {"asp1"};
    return config;
  }
  bool take(Action& action) {
    if (auto* transmit = std::get_if<Transmit>(&action)) {
      heard.push_back(MessageView::parse(transmit->message.payload.bytes())->type());
      return true;
    }
    const auto* forward = std::get_if<Forward>(&action);
    if (forward == nullptr) return false;
    const auto& parcel = static_cast<const M3uaParcel&>(*forward->parcel);
    if (parcel.kind() == ParcelKind::data) {
      came_back.push_back(!parcel.tried().empty());
    } else {
      note(parcel);
    }
    return true;
  }
  void note(const M3uaParcel& parcel) {
    ASSERT_EQ(parcel.kind(), ParcelKind::asp_event);
    const auto& event = static_cast<const AspEventParcel&>(parcel);
    static constexpr const char* kNames[] = {"up", "down", "lost", "activate", "deactivate"};
    told.push_back("as" + std::to_string(event.server + 1) + " " +
                   kNames[static_cast<std::size_t>(event.event)]);
    EXPECT_TRUE(!asked_[event.server] || ending_) << told.back() << " before the last answer";
    asked_[event.server] = {event.event, event.epoch};
  }

  struct Asked {
    Event event{};
    std::uint32_t epoch = 0;
  };
  static constexpr AssociationId kAsp{1};

  Snapshot<Gateway> latest_;
  test::TestScript script_;
  AspSession* session_ = nullptr;
  std::optional<Asked> asked_[2];  // by AS: what has no answer yet
  bool ending_ = false;
};

TEST_F(AspRequests, ThatChangeNothingAreAcknowledgedAndNoServerHearsOfThem) {
  come_up();
  for (int i = 0; i < 1000; ++i) say(aspup);
  for (int i = 0; i < 1000; ++i) say(aspia);
  EXPECT_THAT(told, IsEmpty());
  EXPECT_EQ(std::ranges::count(heard, aspup_ack), 1000);
  EXPECT_EQ(std::ranges::count(heard, aspia_ack), 2000);  // of two servers
  say(aspac);
  answer(0);
  answer(1);
  forget();
  for (int i = 0; i < 1000; ++i) say(aspac);
  EXPECT_THAT(told, IsEmpty());
  EXPECT_EQ(std::ranges::count(heard, aspac_ack), 2000);
  EXPECT_FALSE(paused());
}

TEST_F(AspRequests, ForAnotherTrafficModeAreRefusedAndNoServerHearsOfThem) {
  come_up();
  say(aspac, {}, 1);  // theirs is loadshare
  EXPECT_THAT(told, IsEmpty());
  EXPECT_THAT(heard, ElementsAre(err, err));
  say(aspac, {101}, 2);
  EXPECT_THAT(told, ElementsAre("as1 activate"));
}

TEST_F(AspRequests, AskAServerOneThingAtATimeHoweverManyTheyAre) {
  come_up_and_active();
  for (int i = 0; i < 10'000; ++i) {
    say(aspdn);
    say(aspup);
    say(aspac);
  }
  EXPECT_THAT(told, ElementsAre("as1 down", "as2 down"));
  EXPECT_THAT(heard, ElementsAre(aspdn_ack));
  EXPECT_TRUE(paused());
  EXPECT_EQ(dropped(), 3u * 10'000 - 1 - 3);  // the first was dealt with, the last three wait
  answer(0);
  EXPECT_EQ(told.size(), 2u) << "ASPUP is for both";
  answer(1);
  EXPECT_THAT(told, ElementsAre("as1 down", "as2 down", "as1 up", "as2 up"));
  EXPECT_TRUE(paused()) << "the ASPAC has yet to come";
}

TEST_F(AspRequests, OfAStormLeadToWhatTheLastOfThemAsksFor) {
  come_up_and_active();
  for (int i = 0; i < 100; ++i) {
    say(aspdn);
    say(aspup);
    say(aspac, {101});
  }
  for (int rounds = 0; rounds < 10 && paused(); ++rounds) {
    told.clear();
    for (const std::size_t as : {0u, 1u}) answer_if_asked(as);
  }
  EXPECT_FALSE(paused());
  for (const std::size_t as : {0u, 1u}) answer_if_asked(as);
  EXPECT_EQ(state(), "as1 ASP-ACTIVE, as2 ASP-INACTIVE");
  EXPECT_THAT(heard, ElementsAre(aspdn_ack, aspdn_ack, aspup_ack, aspac_ack));
}

TEST_F(AspRequests, KeepTheirOrder) {
  come_up();
  say(aspac, {101});
  say(aspia, {101});
  EXPECT_THAT(told, ElementsAre("as1 activate"));
  EXPECT_TRUE(paused());
  answer(0);
  EXPECT_FALSE(paused());
  EXPECT_THAT(told, ElementsAre("as1 activate", "as1 deactivate"));
  answer(0);
  EXPECT_THAT(heard, ElementsAre(aspac_ack, aspia_ack));
}

TEST_F(AspRequests, ThatAreSentAgainAfterTAckAreAcknowledgedOnceEach) {
  come_up();
  say(aspac, {101});
  say(aspac, {101});
  EXPECT_THAT(told, ElementsAre("as1 activate"));
  answer(0);
  EXPECT_THAT(told, ElementsAre("as1 activate"));
  EXPECT_THAT(heard, ElementsAre(aspac_ack, aspac_ack));
}

TEST_F(AspRequests, ToDifferentServersDoNotWaitForOneAnother) {
  come_up();
  say(aspac, {101});
  say(aspac, {102});
  EXPECT_THAT(told, ElementsAre("as1 activate", "as2 activate"));
  EXPECT_FALSE(paused());
}

TEST_F(AspRequests, WaitWhereTheAspGoesOnChangingItsMind) {
  come_up();
  const auto change = [&] {
    for (const MessageType type : {aspac, aspia}) {
      say(type, {101});
      if (paused()) return false;
      answer(0);
    }
    return true;
  };
  while (change()) ASSERT_LT(told.size(), 100u);
  EXPECT_GE(told.size(), 10u) << "as often as an operator may want to, at once";
  EXPECT_LE(told.size(), 20u);
  const std::size_t at_once = told.size();
  say(aspac, {102});
  advance(49ms);
  EXPECT_EQ(told.size(), at_once);
  advance(1ms);
  EXPECT_EQ(told.size(), at_once + 2) << "and the one for as2, which waits behind it";
  EXPECT_FALSE(paused());
  answer(0);
  say(aspac, {101});
  EXPECT_TRUE(paused()) << "one per interval from now on";
  advance(50ms);
  EXPECT_FALSE(paused());
  answer(0);
  advance(10s);
  say(aspia, {101});
  answer(0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(change()) << "it has been quiet for a while";
}

TEST_F(AspRequests, ThatWaitEndWithTheAssociationWhichIsReadToItsEnd) {
  come_up();
  say(aspac);
  say(aspia);
  ASSERT_TRUE(paused());
  forget();
  // The node stops. It tells the servers so in any case.
  end(Stopping{});
  EXPECT_FALSE(paused());
  EXPECT_THAT(heard, ElementsAre(aspdn_ack));
}

TEST_F(AspRequests, LeaveALostAssociationNothingToWaitFor) {
  come_up();
  say(aspac);
  say(aspia);
  forget();
  end(AssociationDown{DownCause::lost, {}});
  EXPECT_THAT(told, ElementsAre("as1 lost", "as2 lost"));
}

// An AS, and a shard that holds its flow, put what was sent before in front of what they hold.
TEST_F(AspRequests, MarkWhatALostAssociationReturnsAsSentBefore) {
  come_up_and_active();
  return_unsent("one");
  return_unsent("two");
  end(AssociationDown{DownCause::lost, {}});
  EXPECT_THAT(told, ElementsAre("as1 lost", "as2 lost"));
  EXPECT_THAT(came_back, ElementsAre(true, true));
}

}  // namespace
}  // namespace siglane::m3ua
