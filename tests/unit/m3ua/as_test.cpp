#include "protocols/m3ua/as.h"

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/m3ua/counters.h"
#include "tests/support/test_script.h"
#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using Event = AspEventParcel::Event;
using Order = AsOrderParcel::Order;

// One AS session without a shard: events in, orders and DATA out.
class AsHarness {
 public:
  explicit AsHarness(TrafficMode mode, std::size_t asps = 3, std::size_t active_min = 1)
      : latest_(std::make_shared<const Gateway>(config(mode, asps, active_min))),
        as_(script_.add(kAs, std::make_unique<ApplicationServer>(latest_, latest_.load(), 0))) {
    script_.on_action = [this](AssociationId, Action& action) { return take(action); };
  }

  void event(Event event, std::uint64_t asp) { event_of(asp_name(asp), event, asp); }
  void event_of(std::string_view name, Event event, std::uint64_t association) {
    step(Submitted{
        AssociationId{association},
        std::make_unique<AspEventParcel>(event, name, static_cast<std::uint32_t>(association))});
  }
  void data(std::uint8_t sls, std::string_view text) {
    step(Submitted{AssociationId{99},
                   std::make_unique<DataParcel>(MtpLabel{1, 1001, 3, 0, 0, sls},
                                                Buffer::copy_of(as_bytes(text)))});
  }
  // A DATA as it comes from an ASP, with an extension of that many bytes behind one byte of data.
  void data_with_extension(std::size_t bytes) {
    MessageBuilder builder(script_.pool, MessageType::data);
    builder.protocol_data({1, 1001, 3, 0, 0, 1}, as_bytes("x"));
    builder.bytes(Tag{0xfeed}, as_bytes(std::string(bytes, 'e')));
    Buffer message = std::move(builder).finish();
    const auto view = MessageView::parse(message.bytes());
    step(Submitted{AssociationId{99}, DataParcel::received(*view, std::move(message), {})});
  }
  // A new revision of the config, which the AS follows.
  template <class Change>
  void reconfigure(Change&& change) {
    M3uaConfig next = latest_.load()->config;
    change(next);
    ASSERT_TRUE(check(next));
    latest_.set(std::make_shared<const Gateway>(next, *latest_.load()));
    step(Reconfigured{});
  }
  void advance(Duration span) { script_.pass(span); }
  void forget() {
    orders.clear();
    answered.clear();
    script_.reroutes.clear();
    delivered.clear();
    reports.clear();
  }
  // Answers Reroute from now on only when told to, as a shard does while other shards have marks
  // outstanding.
  void answer_reroutes_later() { script_.answers_reroute = false; }
  void answer_reroute() {
    ASSERT_TRUE(std::exchange(reroute_asked_, false));
    step(Rerouting{});
  }
  unsigned reroutes() { return static_cast<unsigned>(script_.reroutes[kAs]); }  // asked for
  // A DATA that an ASP could not deliver any more.
  void give_back(std::uint64_t asp, std::uint8_t sls, std::string_view text) {
    auto data = std::make_unique<DataParcel>(MtpLabel{1, 1001, 3, 0, 0, sls},
                                             Buffer::copy_of(as_bytes(text)));
    ASSERT_TRUE(data->mark_tried(AssociationId{asp}));
    step(Submitted{AssociationId{asp}, std::move(data)});
  }
  AsState state() const { return view_ ? view_->state : AsState::down; }
  const AsView& view() const { return *view_; }
  std::string status_detail() const { return as_.status().detail; }
  std::uint64_t discarded() const { return script_.counters.get(counter::data_discarded); }
  std::size_t held() const { return as_.status().pending; }

  // "2:AS-PENDING of 1", "1:activated", ...
  std::vector<std::string> orders;
  std::vector<AssociationId> answered;
  std::vector<std::string> delivered;  // "1:text", "1:text#correlation id"
  std::vector<MessageType> reports;
  std::vector<std::string> dropped;  // the reasons, each time
  bool ended = false;

 private:
  static M3uaConfig config(TrafficMode mode, std::size_t asps, std::size_t active_min) {
    M3uaConfig config = gateway_config(mode, {asps});
    config.application_servers[0].active_asps_min = active_min;
    config.application_servers[0].pending_messages_max = 5;
    config.application_servers[0].pending_bytes_max = 1000;
    config.drain_messages_per_ms_max = 2;
    return config;
  }
  void step(SessionInput input) { script_.give(kAs, std::move(input)); }
  bool take(Action& action) {
    if (auto* forward = std::get_if<Forward>(&action)) {
      note(forward->to, static_cast<M3uaParcel&>(*forward->parcel));
    } else if (auto* publish = std::get_if<Publish>(&action)) {
      view_ = static_cast<AsChangeParcel&>(*publish->change).view;
    } else if (auto* accept = std::get_if<Accept>(&action)) {
      reports.push_back(static_cast<NetworkStatusParcel&>(*accept->parcel).type);
    } else if (auto* drop = std::get_if<Drop>(&action)) {
      dropped.insert(dropped.end(), drop->count, std::string(drop->reason.name));
    } else if (std::holds_alternative<Close>(action)) {
      ended = true;
    } else {
      if (std::holds_alternative<Reroute>(action)) reroute_asked_ = !script_.answers_reroute;
      return false;
    }
    return true;
  }
  void note(AssociationId to, M3uaParcel& parcel) {
    const std::string who = std::to_string(static_cast<std::uint64_t>(to)) + ":";
    if (parcel.kind() == ParcelKind::data) {
      auto& data = static_cast<DataParcel&>(parcel);
      delivered.push_back(who + std::string(as_text(data.user_data())));
      if (data.correlation_id) delivered.back() += "#" + std::to_string(*data.correlation_id);
      return;
    }
    const auto& order = static_cast<AsOrderParcel&>(parcel);
    if (order.is_answer()) answered.push_back(to);
    switch (order.order) {
      case Order::noted:
        break;
      case Order::activated:
        orders.push_back(who + "activated");
        break;
      case Order::deactivated:
        orders.push_back(who + (order.unasked ? "overridden" : "deactivated"));
        break;
      case Order::removed:
        orders.push_back(who + (order.was_serving ? "removed while serving" : "removed"));
        break;
      case Order::notify:
        orders.push_back(who + name_of_status(order.status));
        if (order.asp_identifier) orders.back() += " of " + std::to_string(*order.asp_identifier);
        break;
    }
  }
  static std::string name_of_status(NotifyStatus status) {
    switch (status) {
      case NotifyStatus::as_inactive:
        return "AS-INACTIVE";
      case NotifyStatus::as_active:
        return "AS-ACTIVE";
      case NotifyStatus::as_pending:
        return "AS-PENDING";
      case NotifyStatus::insufficient_asp_resources:
        return "insufficient";
      case NotifyStatus::alternate_asp_active:
        return "alternate";
      case NotifyStatus::asp_failure:
        return "failure";
    }
    return "?";
  }

  static constexpr AssociationId kAs{98};

  Snapshot<Gateway> latest_;
  test::TestScript script_;
  ApplicationServer& as_;
  bool reroute_asked_ = false;
  std::shared_ptr<const AsView> view_;
};

void bring_to(AsHarness& as, AsState state, bool second_asp_up) {
  if (state == AsState::down) return;
  as.event(Event::up, 1);
  if (second_asp_up) as.event(Event::up, 2);
  if (state == AsState::inactive) return;
  as.event(Event::activate, 1);
  if (state == AsState::active) return;
  as.event(second_asp_up ? Event::deactivate : Event::lost, 1);
}

void cause(AsHarness& as, AsState from, AsEvent event) {
  switch (event) {
    case AsEvent::asp_inactive:
      return as.event(Event::up, 1);
    case AsEvent::asps_active:
      as.event(Event::up, 1);
      return as.event(Event::activate, 1);
    case AsEvent::active_gone:
      return as.event(Event::deactivate, 1);
    case AsEvent::all_down:
      return as.event(Event::down, 1);
    case AsEvent::recovery_expired:
    case AsEvent::recovery_expired_alone:
      EXPECT_EQ(from, AsState::pending);
      as.advance(1999ms);
      EXPECT_EQ(as.state(), AsState::pending);
      return as.advance(1ms);
  }
}

TEST(ApplicationServer, EveryRowOfTheTableIsWhatItDoes) {
  for (const AsTransition& row : kAsTransitions) {
    AsHarness as(TrafficMode::override_mode);
    bring_to(as, row.from, row.event == AsEvent::recovery_expired);
    ASSERT_EQ(as.state(), row.from);
    cause(as, row.from, row.event);
    EXPECT_EQ(as.state(), row.to) << name_of(row.from) << ", " << name_of(row.event);
    std::cout << row.arrow << ": " << name_of(row.from) << "  --" << name_of(row.event) << "-->  "
              << name_of(row.to) << '\n';
  }
}

TEST(ApplicationServer, TellsEveryAspThatIsNotDownWhatItBecomes) {
  AsHarness as(TrafficMode::loadshare);
  as.event(Event::up, 1);
  EXPECT_THAT(as.orders, ElementsAre("1:AS-INACTIVE"));
  as.forget();
  as.event(Event::up, 2);
  EXPECT_THAT(as.orders, ElementsAre("2:AS-INACTIVE"));
  as.forget();
  as.event(Event::activate, 1);
  EXPECT_THAT(as.orders, ElementsAre("1:activated", "1:AS-ACTIVE", "2:AS-ACTIVE"));
  EXPECT_THAT(as.reports, ElementsAre(MessageType::dava));
  as.forget();
  as.event(Event::lost, 1);
  EXPECT_THAT(as.orders, ElementsAre("2:failure of 1", "2:AS-PENDING of 1"));
  EXPECT_THAT(as.reports, IsEmpty());
  as.forget();
  as.advance(2s);
  EXPECT_THAT(as.orders, ElementsAre("2:AS-INACTIVE"));
  EXPECT_THAT(as.reports, ElementsAre(MessageType::duna));
}

TEST(ApplicationServer, OverrideLeavesOneActiveAndTellsTheOther) {
  AsHarness as(TrafficMode::override_mode);
  as.event(Event::up, 1);
  as.event(Event::up, 2);
  as.event(Event::activate, 1);
  as.forget();
  as.event(Event::activate, 2);
  EXPECT_THAT(as.orders, ElementsAre("1:overridden", "2:activated"));
  EXPECT_THAT(as.view().active, ElementsAre(AssociationId{2}));
  EXPECT_EQ(as.state(), AsState::active);
  as.event(Event::lost, 1);
  EXPECT_EQ(as.state(), AsState::active);
}

TEST(ApplicationServer, LoadshareWaitsForAsManyAsItNeedsAndWarnsWhenTheyAreFewer) {
  AsHarness as(TrafficMode::loadshare, 3, 2);
  for (std::uint64_t asp : {1, 2, 3}) as.event(Event::up, asp);
  as.event(Event::activate, 1);
  EXPECT_EQ(as.state(), AsState::inactive);
  as.event(Event::activate, 2);
  EXPECT_EQ(as.state(), AsState::active);
  as.forget();
  as.event(Event::deactivate, 1);
  EXPECT_EQ(as.state(), AsState::active);
  EXPECT_THAT(as.orders, ElementsAre("1:deactivated", "1:insufficient", "3:insufficient"));
}

// A thousand ASPs that are lost at once would make half a million of them.
TEST(ApplicationServer, TellsNothingToAnAspWhoseOwnLossWaitsForTheReroute) {
  AsHarness as(TrafficMode::loadshare);
  for (std::uint64_t asp : {1, 2, 3}) as.event(Event::up, asp);
  for (std::uint64_t asp : {1, 2}) as.event(Event::activate, asp);
  as.forget();
  as.answer_reroutes_later();
  for (std::uint64_t asp : {1, 2}) as.event(Event::lost, asp);
  as.answer_reroute();
  EXPECT_THAT(as.orders, ElementsAre("3:failure of 1", "3:failure of 2", "3:AS-PENDING of 2"));
}

TEST(ApplicationServer, APendingThatNoFailureCausedNamesNobody) {
  AsHarness as(TrafficMode::loadshare);
  for (std::uint64_t asp : {1, 2}) as.event(Event::up, asp);
  as.event(Event::activate, 1);
  as.forget();
  as.event(Event::down, 1);
  EXPECT_THAT(as.orders, ElementsAre("2:AS-PENDING"));
}

TEST(ApplicationServer, ThatComesBackWithFewerThanItNeedsAsksTheOthers) {
  AsHarness as(TrafficMode::loadshare, 3, 2);
  for (std::uint64_t asp : {1, 2, 3}) as.event(Event::up, asp);
  for (std::uint64_t asp : {1, 2}) as.event(Event::activate, asp);
  for (std::uint64_t asp : {1, 2}) as.event(Event::deactivate, asp);
  ASSERT_EQ(as.state(), AsState::pending);
  as.forget();
  as.event(Event::activate, 3);
  EXPECT_EQ(as.state(), AsState::active);
  EXPECT_THAT(as.orders, ElementsAre("3:activated", "1:AS-ACTIVE", "2:AS-ACTIVE", "3:AS-ACTIVE",
                                     "1:insufficient", "2:insufficient"));
}

// An ASP's session says nothing more to an AS until it has that answer.
TEST(ApplicationServer, AnswersWhateverAnAspSaysOnceButALossToNobody) {
  for (const Event said : {Event::up, Event::activate, Event::deactivate, Event::down}) {
    for (const AsState state : {AsState::down, AsState::inactive, AsState::active}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(said)) + " in " + std::string(name_of(state)));
      AsHarness as(TrafficMode::override_mode);
      bring_to(as, state, true);
      as.forget();
      for (int again = 1; again <= 2; ++again) {
        as.event(said, 1);
        EXPECT_EQ(as.answered.size(), static_cast<std::size_t>(again));
      }
      EXPECT_THAT(as.answered, Each(AssociationId{1}));
    }
  }
  AsHarness as(TrafficMode::loadshare);
  bring_to(as, AsState::active, false);
  as.forget();
  as.event(Event::lost, 1);
  EXPECT_THAT(as.answered, IsEmpty());
}

TEST(ApplicationServer, AsksForARerouteOnlyWhereDataGoesAnotherWayAfterwards) {
  AsHarness as(TrafficMode::loadshare, 3, 2);
  const auto reroutes = [&](Event event, std::uint64_t asp) {
    as.forget();
    as.event(event, asp);
    return as.reroutes();
  };
  EXPECT_EQ(reroutes(Event::up, 1), 0u);
  EXPECT_EQ(reroutes(Event::up, 2), 0u);
  EXPECT_EQ(reroutes(Event::activate, 1), 0u) << "it needs two";
  EXPECT_EQ(reroutes(Event::deactivate, 1), 0u);
  EXPECT_EQ(reroutes(Event::activate, 1), 0u);
  EXPECT_EQ(as.state(), AsState::inactive);
  EXPECT_EQ(reroutes(Event::activate, 2), 1u);
  EXPECT_EQ(as.state(), AsState::active);
  EXPECT_EQ(reroutes(Event::activate, 2), 0u) << "it is";
  EXPECT_EQ(reroutes(Event::up, 3), 0u);
  EXPECT_EQ(reroutes(Event::deactivate, 3), 0u);
  EXPECT_EQ(reroutes(Event::activate, 3), 1u);
  EXPECT_THAT(as.view().active, ElementsAre(AssociationId{1}, AssociationId{2}, AssociationId{3}));
  EXPECT_EQ(reroutes(Event::up, 3), 1u) << "it was active before it came up anew";
  EXPECT_THAT(as.view().active, ElementsAre(AssociationId{1}, AssociationId{2}));
  EXPECT_EQ(reroutes(Event::lost, 3), 0u);
  EXPECT_EQ(reroutes(Event::down, 2), 1u);
  EXPECT_EQ(reroutes(Event::lost, 1), 1u);
  EXPECT_EQ(as.state(), AsState::pending);
  EXPECT_EQ(reroutes(Event::up, 1), 0u);
  EXPECT_EQ(reroutes(Event::down, 1), 0u);
  EXPECT_EQ(reroutes(Event::up, 1), 0u);
  EXPECT_EQ(reroutes(Event::activate, 1), 1u) << "one is enough to come back";
}

// What changes no path keeps its turn behind what does.
TEST(ApplicationServer, LetsNothingOvertakeAnEventThatWaitsForAReroute) {
  AsHarness as(TrafficMode::loadshare);
  as.event(Event::up, 1);
  as.answer_reroutes_later();
  as.event(Event::activate, 1);
  as.forget();
  as.event(Event::up, 2);
  EXPECT_THAT(as.answered, IsEmpty());
  as.answer_reroute();
  EXPECT_THAT(as.orders, ElementsAre("1:activated", "1:AS-ACTIVE", "2:AS-ACTIVE"));
  EXPECT_THAT(as.answered, ElementsAre(AssociationId{1}, AssociationId{2}));
}

TEST(ApplicationServer, HoldsDataWhilePendingAndDrainsItInOrderBeforeWhatComesLater) {
  AsHarness as(TrafficMode::override_mode);
  bring_to(as, AsState::pending, true);
  for (const char* text : {"a", "b", "c", "d"}) as.data(1, text);
  EXPECT_THAT(as.delivered, IsEmpty());
  EXPECT_EQ(as.held(), 4u);
  as.event(Event::activate, 2);
  EXPECT_THAT(as.delivered, ElementsAre("2:a", "2:b"));
  EXPECT_TRUE(as.view().through_coordinator);
  as.data(1, "e");
  EXPECT_THAT(as.delivered, ElementsAre("2:a", "2:b"));
  as.advance(1ms);
  EXPECT_THAT(as.delivered, ElementsAre("2:a", "2:b", "2:c", "2:d"));
  EXPECT_TRUE(as.view().through_coordinator);
  as.advance(1ms);
  EXPECT_THAT(as.delivered, ElementsAre("2:a", "2:b", "2:c", "2:d", "2:e"));
  EXPECT_FALSE(as.view().through_coordinator);
  as.data(1, "f");
  EXPECT_EQ(as.delivered.back(), "2:f");
  EXPECT_EQ(as.discarded(), 0u);
}

TEST(ApplicationServer, GoesOnHoldingWhenItsAspLeavesWhileItDrains) {
  AsHarness as(TrafficMode::override_mode);
  bring_to(as, AsState::pending, true);
  for (const char* text : {"a", "b", "c"}) as.data(1, text);
  as.event(Event::activate, 2);
  as.event(Event::lost, 2);
  EXPECT_EQ(as.state(), AsState::pending);
  as.advance(100ms);
  as.event(Event::activate, 1);
  as.advance(1ms);
  EXPECT_THAT(as.delivered, ElementsAre("2:a", "2:b", "1:c"));
}

TEST(ApplicationServer, WhatIsHeldIsBoundedInMessagesAndBytes) {
  AsHarness as(TrafficMode::override_mode);
  bring_to(as, AsState::pending, true);
  for (int i = 0; i < 8; ++i) as.data(1, "x");
  EXPECT_EQ(as.held(), 5u);
  EXPECT_EQ(as.discarded(), 3u);

  AsHarness big(TrafficMode::override_mode);
  bring_to(big, AsState::pending, true);
  big.data(1, std::string(600, 'x'));
  big.data(1, std::string(600, 'x'));
  EXPECT_EQ(big.held(), 1u);
  EXPECT_EQ(big.discarded(), 1u);

  AsHarness stuffed(TrafficMode::override_mode);
  bring_to(stuffed, AsState::pending, true);
  stuffed.data_with_extension(600);
  stuffed.data_with_extension(600);
  EXPECT_EQ(stuffed.held(), 1u);
  EXPECT_EQ(stuffed.discarded(), 1u);
}

TEST(ApplicationServer, WhatIsHeldWhenRecoveryExpiresIsDiscardedAndCounted) {
  AsHarness as(TrafficMode::override_mode);
  bring_to(as, AsState::pending, false);
  as.data(1, "a");
  as.data(1, "b");
  as.advance(2s);
  EXPECT_EQ(as.state(), AsState::down);
  EXPECT_EQ(as.held(), 0u);
  EXPECT_EQ(as.discarded(), 2u);
}

TEST(ApplicationServer, BroadcastReachesEveryActiveAsp) {
  AsHarness as(TrafficMode::broadcast);
  for (std::uint64_t asp : {1, 2, 3}) as.event(Event::up, asp);
  for (std::uint64_t asp : {1, 3}) as.event(Event::activate, asp);
  as.data(1, "x");
  EXPECT_THAT(as.delivered, testing::UnorderedElementsAre("1:x#1", "3:x#1"));
  EXPECT_TRUE(as.view().through_coordinator);
}

TEST(ApplicationServer, TheFirstOfEachBroadcastFlowAfterAnActivationHasACorrelationId) {
  AsHarness as(TrafficMode::broadcast);
  for (std::uint64_t asp : {1, 2}) as.event(Event::up, asp);
  as.event(Event::activate, 1);
  for (const char* text : {"a", "b"}) as.data(1, text);
  as.data(2, "c");
  EXPECT_THAT(as.delivered, ElementsAre("1:a#1", "1:b", "1:c#2"));
  as.forget();
  as.event(Event::activate, 2);
  for (const char* text : {"d", "e"}) as.data(1, text);
  EXPECT_THAT(as.delivered, testing::UnorderedElementsAre("1:d#3", "2:d#3", "1:e", "2:e"));
}

// All of it passes through the AS, whoever is active.
TEST(ApplicationServer, BroadcastNeedsARerouteOnlyToOpenAndToClose) {
  AsHarness as(TrafficMode::broadcast);
  for (std::uint64_t asp : {1, 2}) as.event(Event::up, asp);
  as.event(Event::activate, 1);
  EXPECT_EQ(as.reroutes(), 1u);
  as.event(Event::activate, 2);
  as.event(Event::lost, 1);
  as.event(Event::deactivate, 2);
  EXPECT_EQ(as.state(), AsState::pending);
  for (const char* text : {"a", "b", "c"}) as.data(1, text);
  as.event(Event::activate, 2);
  EXPECT_THAT(as.delivered, ElementsAre("2:a#1", "2:b"));
  as.data(1, "d");
  as.advance(1ms);
  EXPECT_THAT(as.delivered, ElementsAre("2:a#1", "2:b", "2:c", "2:d"));
  EXPECT_EQ(as.reroutes(), 1u);
  as.event(Event::lost, 2);
  as.advance(2s);
  EXPECT_EQ(as.state(), AsState::down);
  EXPECT_EQ(as.reroutes(), 2u);
}

TEST(ApplicationServer, GivesAnAspThatReturnsOnAnotherAssociationTheSlssThatItHad) {
  AsHarness as(TrafficMode::loadshare);
  for (std::uint64_t asp : {1, 2, 3}) as.event(Event::up, asp);
  for (std::uint64_t asp : {1, 2, 3}) as.event(Event::activate, asp);
  const Carriers before = as.view().carriers;
  as.event(Event::lost, 2);
  as.event_of("asp2", Event::up, 7);
  as.event_of("asp2", Event::activate, 7);
  for (std::size_t sls = 0; sls < kSelectors; ++sls) {
    const AssociationId had = before[sls] == AssociationId{2} ? AssociationId{7} : before[sls];
    EXPECT_EQ(as.view().carriers[sls], had) << sls;
  }
}

TEST(ApplicationServer, AnAspUpAgainIsInactiveAgain) {
  AsHarness as(TrafficMode::override_mode);
  bring_to(as, AsState::active, false);
  as.event(Event::up, 1);
  EXPECT_EQ(as.state(), AsState::pending);
  EXPECT_THAT(as.view().active, IsEmpty());
}

// core/diversion.h: what is under way by the old path must be here before the new one is taken.
TEST(ApplicationServer, HoldsDataAndEventsUntilItMayReroute) {
  AsHarness as(TrafficMode::override_mode);
  as.event(Event::up, 1);
  as.event(Event::up, 2);
  as.event(Event::activate, 1);
  as.forget();

  as.answer_reroutes_later();
  as.event(Event::activate, 2);
  as.data(1, "new");
  as.event(Event::deactivate, 2);
  EXPECT_THAT(as.delivered, IsEmpty());
  EXPECT_THAT(as.orders, IsEmpty());
  EXPECT_EQ(as.held(), 1u);

  as.event(Event::activate, 1);
  as.answer_reroute();
  EXPECT_THAT(as.delivered, ElementsAre("1:new"));
  EXPECT_EQ(as.state(), AsState::active);
}

// It would come back, behind what is held.
TEST(ApplicationServer, SendsNothingToAnAspThatIsGoneBeforeTheRerouteIsOver) {
  AsHarness as(TrafficMode::override_mode);
  bring_to(as, AsState::pending, true);
  as.data(1, "held");
  as.answer_reroutes_later();
  as.event(Event::activate, 2);
  as.event(Event::lost, 2);
  as.answer_reroute();
  EXPECT_EQ(as.state(), AsState::pending);
  EXPECT_THAT(as.delivered, IsEmpty());
  EXPECT_EQ(as.held(), 1u);
}

TEST(ApplicationServer, PutsWhatComesBackBeforeWhatItHolds) {
  AsHarness as(TrafficMode::override_mode);
  as.event(Event::up, 1);
  as.event(Event::up, 2);
  as.event(Event::activate, 1);
  as.answer_reroutes_later();
  as.event(Event::activate, 2);
  as.data(1, "third");
  as.give_back(1, 1, "first");
  as.give_back(1, 1, "second");
  as.answer_reroute();
  EXPECT_THAT(as.delivered, ElementsAre("2:first", "2:second"));  // two a millisecond
  EXPECT_TRUE(as.view().through_coordinator);
  as.advance(1ms);
  EXPECT_THAT(as.delivered, ElementsAre("2:first", "2:second", "2:third"));
  as.answer_reroute();
  EXPECT_FALSE(as.view().through_coordinator);
}

// --- Another config ------------------------------------------------------------------------------

TEST(ApplicationServer, AConfigThatDoesNotConcernItChangesNothing) {
  AsHarness as(TrafficMode::loadshare, 3, 2);
  as.event(Event::up, 1);
  as.event(Event::up, 2);
  as.event(Event::activate, 1);
  as.event(Event::activate, 2);
  as.event(Event::up, 3);
  as.forget();
  as.reconfigure([](M3uaConfig& next) {
    next.routes.push_back({1999, {}, {}, {}, "as1"});
    next.application_servers.push_back(next.application_servers.front());
    next.application_servers.back().name = "another";
    next.application_servers.back().routing_context = 999;
    std::ranges::reverse(next.application_servers);
  });
  EXPECT_THAT(as.orders, IsEmpty());
  EXPECT_EQ(as.reroutes(), 0u);
  EXPECT_THAT(as.reports, IsEmpty());
  as.data(0, "x");
  EXPECT_EQ(as.delivered.size(), 1u);
}

TEST(ApplicationServer, ThatNeedsFewerAspsBecomesActiveByAReroute) {
  AsHarness as(TrafficMode::loadshare, 3, 2);
  as.event(Event::up, 1);
  as.event(Event::activate, 1);
  ASSERT_EQ(as.state(), AsState::inactive);
  as.answer_reroutes_later();
  as.reconfigure([](M3uaConfig& next) { next.application_servers[0].active_asps_min = 1; });
  EXPECT_EQ(as.state(), AsState::inactive);
  EXPECT_EQ(as.reroutes(), 1u);
  as.answer_reroute();
  EXPECT_EQ(as.state(), AsState::active);
}

TEST(ApplicationServer, ThatNeedsMoreAspsAsksTheInactiveOnesForThem) {
  AsHarness as(TrafficMode::loadshare);
  as.event(Event::up, 1);
  as.event(Event::up, 2);
  as.event(Event::activate, 1);
  as.forget();
  const auto two = [](M3uaConfig& next) { next.application_servers[0].active_asps_min = 2; };
  as.reconfigure(two);
  EXPECT_EQ(as.state(), AsState::active);
  EXPECT_THAT(as.orders, ElementsAre("2:insufficient"));
  as.forget();
  as.reconfigure([](M3uaConfig& next) { next.routes.push_back({1999, {}, {}, {}, "as1"}); });
  EXPECT_THAT(as.orders, IsEmpty());
}

TEST(ApplicationServer, ThatIsRemovedWhileARerouteChangesWhatItNeedsEndsAfterIt) {
  AsHarness as(TrafficMode::loadshare, 3, 2);
  as.event(Event::up, 1);
  as.event(Event::activate, 1);
  as.answer_reroutes_later();
  as.event(Event::up, 2);
  as.event(Event::activate, 2);  // two are enough: the path changes
  ASSERT_EQ(as.reroutes(), 1u);
  as.forget();
  as.reconfigure([](M3uaConfig& next) {
    next.application_servers.clear();
    next.routes.clear();
  });
  EXPECT_FALSE(as.ended);
  as.data(1, "x");
  as.answer_reroute();
  EXPECT_TRUE(as.ended);
  EXPECT_EQ(as.state(), AsState::down);
  // The ASP that waits for an answer has it; both hear that it is no more.
  EXPECT_THAT(as.answered, ElementsAre(AssociationId{2}));
  EXPECT_THAT(as.orders, ElementsAre("2:removed", "1:removed", "2:removed"));
  EXPECT_THAT(as.dropped, ElementsAre("m3ua.as_removed"));
}

TEST(ApplicationServer, OtherLimitsAndTimersHoldAtOnce) {
  AsHarness as(TrafficMode::loadshare);
  as.event(Event::up, 1);
  as.event(Event::activate, 1);
  as.event(Event::deactivate, 1);
  ASSERT_EQ(as.state(), AsState::pending);
  as.data(0, "a");
  as.data(0, "b");
  as.advance(500ms);
  as.reconfigure([](M3uaConfig& next) {
    next.application_servers[0].pending_messages_max = 3;
    next.application_servers[0].recovery_timeout = 1s;
    next.drain_messages_per_ms_max = 3;
  });
  as.data(0, "c");
  EXPECT_THAT(as.dropped, IsEmpty());
  as.data(0, "d");
  EXPECT_THAT(as.dropped, ElementsAre("m3ua.pending_full"));
  as.event(Event::activate, 1);
  EXPECT_EQ(as.delivered.size(), 3u);  // in the first millisecond

  as.event(Event::deactivate, 1);
  as.advance(999ms);
  EXPECT_EQ(as.state(), AsState::pending);
  as.advance(1ms);
  EXPECT_EQ(as.state(), AsState::inactive);
}

TEST(ApplicationServer, AShorterRecoveryTimeRunsFromWhenItBecamePending) {
  AsHarness as(TrafficMode::loadshare);
  as.event(Event::up, 1);
  as.event(Event::activate, 1);
  as.event(Event::deactivate, 1);
  as.advance(600ms);
  as.reconfigure([](M3uaConfig& next) { next.application_servers[0].recovery_timeout = 500ms; });
  as.advance(1ms);
  EXPECT_EQ(as.state(), AsState::inactive);
}

TEST(ApplicationServer, ThatIsRemovedDropsWhatItHoldsAndTellsItsAsps) {
  AsHarness as(TrafficMode::loadshare);
  as.event(Event::up, 1);
  as.event(Event::up, 2);
  as.event(Event::activate, 1);
  as.event(Event::deactivate, 1);
  as.data(0, "a");
  as.data(1, "b");
  as.forget();
  as.reconfigure([](M3uaConfig& next) {
    next.application_servers.clear();
    next.routes.clear();
  });
  EXPECT_TRUE(as.ended);
  EXPECT_EQ(as.discarded(), 2u);
  EXPECT_THAT(as.dropped, ElementsAre("m3ua.as_removed", "m3ua.as_removed"));
  EXPECT_THAT(as.orders, ElementsAre("1:removed while serving", "2:removed while serving"));
  EXPECT_EQ(as.reroutes(), 0u);
}

}  // namespace
}  // namespace siglane::m3ua
