#include "core/flow_group.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/support/seeds.h"

namespace siglane {
namespace {

using State = FlowGroup::State;
using Spread = FlowGroup::Spread;
using Taken = FlowGroup::Taken;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr AssociationId kFirst{1}, kSecond{2};
constexpr FlowGroup::Limits kLimits{
    .held_messages_max = 4, .held_bytes_max = 1000, .drained_per_ms_max = 2};

struct Numbered final : Parcel {
  Numbered(int n, Selector s, std::size_t b = 0) : number(n), selector(s), bytes(b) {}
  std::size_t bytes_held() const override { return bytes; }
  int number;
  Selector selector;
  std::size_t bytes;
};

Taken give(FlowGroup& group, int number, std::size_t bytes = 0) {
  ParcelPtr message = std::make_unique<Numbered>(number, Selector{0}, bytes);
  const Taken taken = group.take(message);
  EXPECT_EQ(message == nullptr, taken == Taken::held) << "untouched, unless it is held";
  return taken;
}
Taken give_back(FlowGroup& group, int number) {
  ParcelPtr message = std::make_unique<Numbered>(number, Selector{0});
  EXPECT_TRUE(message->mark_tried(kFirst));
  return group.take(message);
}
template <class Parcels>
std::vector<int> numbers_of(const Parcels& parcels) {
  std::vector<int> numbers;
  for (const ParcelPtr& one : parcels) numbers.push_back(static_cast<Numbered&>(*one).number);
  return numbers;
}
FlowGroup open_group(Spread spread = Spread::by_selector) {
  FlowGroup group(spread, kLimits);
  group.join("first", kFirst);
  group.enter(State::open);
  return group;
}

TEST(FlowGroup, RefusesMessagesWhileItIsClosedAndSendsThemWhileItIsOpen) {
  FlowGroup group(Spread::by_selector, kLimits);
  EXPECT_EQ(give(group, 1), Taken::refused_closed);
  group.join("first", kFirst);
  group.enter(State::open);
  EXPECT_EQ(give(group, 2), Taken::to_send);
  EXPECT_EQ(group.carriers()[7], kFirst);
  EXPECT_THAT(group.members(), ElementsAre(kFirst));
  EXPECT_EQ(group.held(), 0u);
}

TEST(FlowGroup, HoldsWhilePendingAndDrainsInOrderBeforeWhatIsNew) {
  FlowGroup group(Spread::by_selector, kLimits);
  group.enter(State::pending);
  for (int n : {1, 2, 3}) EXPECT_EQ(give(group, n), Taken::held);
  EXPECT_THAT(group.drain(Instant{1s}), IsEmpty());
  group.join("first", kFirst);
  group.enter(State::open);
  EXPECT_EQ(numbers_of(group.drain(Instant{1s})), (std::vector{1, 2}));
  EXPECT_EQ(give(group, 4), Taken::held);
  EXPECT_THAT(group.drain(Instant{1s}), IsEmpty()) << "two a millisecond";
  EXPECT_EQ(group.deadline(), Instant{1s} + 1ms);
  EXPECT_TRUE(group.through_coordinator());
  EXPECT_FALSE(group.may_go_straight());
  EXPECT_EQ(numbers_of(group.drain(Instant{1s} + 1ms)), (std::vector{3, 4}));
  EXPECT_EQ(group.deadline(), std::nullopt);
  EXPECT_TRUE(group.may_go_straight());
  EXPECT_FALSE(group.through_coordinator());
  EXPECT_EQ(give(group, 5), Taken::to_send);
}

TEST(FlowGroup, HoldsNoMoreThanItsLimitsInMessagesAndBytes) {
  FlowGroup group(Spread::by_selector, kLimits);
  group.enter(State::pending);
  EXPECT_EQ(give(group, 1, 1001), Taken::refused_full);
  EXPECT_EQ(give(group, 2, 600), Taken::held);
  EXPECT_EQ(give(group, 3, 600), Taken::refused_full);
  EXPECT_EQ(numbers_of(group.give_up()), (std::vector{2}));
  for (int n : {4, 5, 6, 7}) EXPECT_EQ(give(group, n), Taken::held);
  EXPECT_EQ(give(group, 8), Taken::refused_full);
  EXPECT_EQ(group.held(), 4u);
  EXPECT_EQ(numbers_of(group.give_up()), (std::vector{4, 5, 6, 7}));
  EXPECT_EQ(give(group, 9, 800), Taken::held) << "what was given up counts no more";
}

TEST(FlowGroup, HoldsEverythingDuringARerouteAndPutsFirstWhatCameBack) {
  FlowGroup group = open_group();
  EXPECT_TRUE(group.reroute());
  EXPECT_FALSE(group.reroute()) << "one is under way";
  EXPECT_EQ(give(group, 3), Taken::held);
  EXPECT_EQ(give_back(group, 1), Taken::held);
  EXPECT_EQ(give(group, 4), Taken::held);
  EXPECT_EQ(give_back(group, 2), Taken::held);
  EXPECT_EQ(give_back(group, 5), Taken::refused_full) << "the bound is over both";
  EXPECT_THAT(group.drain(Instant{1s}), IsEmpty());
  group.rerouted();
  EXPECT_EQ(numbers_of(group.drain(Instant{1s})), (std::vector{1, 2}));
  EXPECT_EQ(numbers_of(group.drain(Instant{1s} + 1ms)), (std::vector{3, 4}));
  EXPECT_EQ(group.deadline(), std::nullopt);
}

TEST(FlowGroup, WaitsWithADrainWhileItIsReroutedOrPendingAgain) {
  FlowGroup group = open_group();
  group.enter(State::pending);
  for (int n : {1, 2, 3}) EXPECT_EQ(give(group, n), Taken::held);
  group.enter(State::open);
  EXPECT_EQ(group.drain(Instant{1s}).size(), 2u);
  EXPECT_TRUE(group.reroute());
  EXPECT_EQ(group.deadline(), std::nullopt);
  EXPECT_THAT(group.drain(Instant{2s}), IsEmpty());
  group.rerouted();
  group.enter(State::pending);
  EXPECT_THAT(group.drain(Instant{2s}), IsEmpty());
  group.enter(State::open);
  EXPECT_EQ(numbers_of(group.drain(Instant{2s})), (std::vector{3}));
}

TEST(FlowGroup, NeedsARerouteOnlyWhereMessagesTakeAnotherWayAfterwards) {
  FlowGroup group(Spread::by_selector, kLimits);
  EXPECT_FALSE(group.changes_if_joined("first", kFirst, State::closed));
  EXPECT_TRUE(group.changes_if_joined("first", kFirst, State::open));
  group.join("first", kFirst);
  EXPECT_FALSE(group.changes_if_left(kFirst, State::closed));
  group.enter(State::open);
  EXPECT_TRUE(group.changes_if_joined("second", kSecond, State::open));
  EXPECT_TRUE(group.changes_if_left(kFirst, State::pending));
  group.join("second", kSecond);
  EXPECT_TRUE(group.changes_if_left(kSecond, State::open));
  group.leave(kFirst);
  group.leave(kSecond);
  group.enter(State::pending);
  EXPECT_TRUE(group.changes_if_joined("first", kFirst, State::open)) << "messages are held";
}

// 256 selectors leave nothing to the rest.
TEST(FlowGroup, NeedsNoRerouteForAMemberThatGetsNoSelector) {
  FlowGroup group = open_group();
  for (std::uint64_t n = 2; n <= 256; ++n) group.join("m" + std::to_string(n), AssociationId{n});
  EXPECT_TRUE(group.changes_if_left(AssociationId{256}, State::open));
  EXPECT_FALSE(group.changes_if_joined("last", AssociationId{257}, State::open));
  group.join("last", AssociationId{257});
  EXPECT_FALSE(group.changes_if_left(AssociationId{257}, State::open));
}

TEST(FlowGroup, ThatSpreadsToAllNeedsARerouteOnlyToOpenAndToClose) {
  FlowGroup group(Spread::to_all, kLimits);
  EXPECT_TRUE(group.changes_if_joined("first", kFirst, State::open));
  group.join("first", kFirst);
  group.enter(State::open);
  EXPECT_TRUE(group.through_coordinator());
  EXPECT_FALSE(group.may_go_straight());
  EXPECT_FALSE(group.changes_if_joined("second", kSecond, State::open));
  EXPECT_FALSE(group.changes_if_left(kFirst, State::pending));
  group.leave(kFirst);
  group.enter(State::pending);
  EXPECT_FALSE(group.changes_if_joined("first", kFirst, State::open));
  EXPECT_TRUE(group.changes_if_left(kFirst, State::closed));
}

// Members come and go by reroutes, messages arrive at any time, and a member that is gone gives
// back what is still on its way to it. Every message arrives once, in the order of its selector, or
// was refused.
class RandomRun {
 public:
  explicit RandomRun(std::uint64_t seed)
      : random_(seed),
        limits_{.held_messages_max = 1 + random_.below(200),
                .held_bytes_max = 200 + random_.below(100'000),
                .drained_per_ms_max = 1 + random_.below(5)},
        group_(Spread::by_selector, limits_) {}

  void play(unsigned events) {
    for (unsigned i = 0; i < events; ++i) {
      now_ += 300us;
      const auto what = random_.below(100);
      if (what < 60) {
        receive();
      } else if (what < 75) {
        deliver_one();
      } else if (what < 85) {
        change();
      } else if (what < 93) {
        finish_reroute();
      } else {
        send_held();
      }
      ASSERT_EQ(trouble_, "");
      ASSERT_LE(group_.held(), limits_.held_messages_max);
    }
  }
  void settle() {
    if (here_.empty()) change();
    finish_reroute();
    if (here_.empty()) {
      change();
      finish_reroute();
    }
    while (group_.held() > 0 || !under_way_.empty()) {
      now_ += 1ms;
      send_held();
      while (!under_way_.empty()) deliver_one();
      ASSERT_EQ(trouble_, "");
    }
    ASSERT_EQ(arrived_ + refused_, sent_);
  }
  int arrived() const { return arrived_; }

 private:
  struct UnderWay {
    AssociationId to{};
    ParcelPtr message;
  };

  void receive() {
    const auto selector = static_cast<Selector>(random_.below(4));
    accept(std::make_unique<Numbered>(++sent_, selector, random_.below(300)));
  }
  void accept(ParcelPtr message) {
    switch (group_.take(message)) {
      case Taken::to_send:
        return send(std::move(message));
      case Taken::held:
        return;
      case Taken::refused_closed:
      case Taken::refused_full:
        ++refused_;
    }
  }
  void send(ParcelPtr message) {
    const AssociationId to = group_.carriers()[static_cast<Numbered&>(*message).selector];
    under_way_.push_back({to, std::move(message)});
  }
  void send_held() {
    for (ParcelPtr& message : group_.drain(now_)) send(std::move(message));
  }
  void deliver_one() {
    if (under_way_.empty()) return;
    UnderWay first = std::move(under_way_.front());
    under_way_.pop_front();
    const auto& message = static_cast<const Numbered&>(*first.message);
    if (!std::ranges::count(here_, first.to)) {
      if (!first.message->mark_tried(first.to))
        ++refused_;
      else
        accept(std::move(first.message));
      return;
    }
    int& last = last_of_[message.selector];
    if (message.number <= last) {
      trouble_ = std::to_string(message.number) + " after " + std::to_string(last);
    }
    last = message.number;
    ++arrived_;
  }
  // A member leaves, which can deliver nothing from now on; or one asks to join.
  void change() {
    if (wants_reroute_) return;
    changing_ = AssociationId{1 + random_.below(4)};
    std::erase(here_, changing_);
    wants_reroute_ = group_.reroute();
  }
  // As a diversion does it: everything under way arrives, or comes back, before the path changes.
  void finish_reroute() {
    if (!std::exchange(wants_reroute_, false)) return;
    while (!under_way_.empty()) deliver_one();
    group_.rerouted();
    const bool was_member = std::ranges::count(group_.members(), changing_) > 0;
    if (was_member) {
      group_.leave(changing_);
    } else {
      group_.join("m" + std::to_string(static_cast<std::uint64_t>(changing_)), changing_);
    }
    here_ = group_.members();
    group_.enter(!here_.empty()          ? State::open
                 : random_.below(4) == 0 ? State::closed
                                         : State::pending);
    if (group_.state() == State::closed) refused_ += static_cast<int>(group_.give_up().size());
    send_held();
  }

  Random random_;
  FlowGroup::Limits limits_;
  FlowGroup group_;
  Instant now_{1s};
  std::vector<AssociationId> here_;  // those that deliver
  AssociationId changing_{};
  bool wants_reroute_ = false;
  std::deque<UnderWay> under_way_;
  std::map<Selector, int> last_of_;
  std::string trouble_;
  int sent_ = 0, arrived_ = 0, refused_ = 0;
};

TEST(FlowGroup, LosesDoublesAndReordersNothingWhoeverComesAndGoes) {
  int arrived = 0;
  for (std::uint64_t seed = 1; seed <= test::seeds(500); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomRun run(seed);
    run.play(400);
    if (!testing::Test::HasFatalFailure()) run.settle();
    if (testing::Test::HasFatalFailure()) return;
    arrived += run.arrived();
  }
  EXPECT_GT(arrived, 500 * 50);
}

}  // namespace
}  // namespace siglane
