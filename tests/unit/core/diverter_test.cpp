#include "core/diverter.h"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace siglane {
namespace {

using State = DiverterState;
using Step = DiverterStep;

constexpr ShardId kHere{0}, kThere{1}, kElsewhere{2};
constexpr AssociationId kSender{1}, kMover{7}, kFlow{8}, kOtherFlow{9}, kSomebody{10};
constexpr std::uint64_t kNumber = 5;
constexpr std::size_t kShards = 2;

std::string name_of(State state) {
  switch (state) {
    case State::idle:
      return "idle";
    case State::leaving:
      return "leaving";
    case State::holding:
      return "holding";
    case State::moved:
      return "moved";
    case State::gathering:
      return "gathering";
    case State::gathered:
      return "gathered";
    case State::sending_on:
      return "sending_on";
    case State::sent_on:
      return "sent_on";
  }
  return "?";
}

std::string name_of(Step step) {
  switch (step) {
    case Step::announce:
      return "announce";
    case Step::ask_anew:
      return "ask_anew";
    case Step::mark_old_home:
      return "mark_old_home";
    case Step::mark_all:
      return "mark_all";
    case Step::hold_flows:
      return "hold_flows";
    case Step::release:
      return "release";
    case Step::report:
      return "report";
    case Step::tell_gathered:
      return "tell_gathered";
    case Step::step_coordinators:
      return "step_coordinators";
    case Step::await_out:
      return "await_out";
    case Step::settle_home:
      return "settle_home";
    case Step::tell_settled:
      return "tell_settled";
    case Step::end:
      return "end";
    case Step::follow:
      return "follow";
    case Step::route:
      return "route";
  }
  return "?";
}

std::string in_words(const Diverter::Todo& todo) {
  if (!todo.in_table) return "not in the table";
  std::string words;
  for (const Step step : todo.steps) words += (words.empty() ? "" : ", ") + name_of(step);
  return words.empty() ? "nothing" : words;
}

Diversion move(ShardId from = kElsewhere, ShardId to = kThere, std::uint64_t number = kNumber) {
  return {number, Diversion::Move{kMover, from, to}};
}

Diversion reroute(std::uint64_t number = kNumber) {
  const std::vector<Diversion::Flow> flows = {{kFlow, nullptr}, {kOtherFlow, nullptr}};
  return {number, Diversion::Reroute{std::make_shared<const std::vector<Diversion::Flow>>(flows)}};
}

// A diverter that was led into a state, by the shortest way.
Diverter in(State state) {
  Diverter diverter(kHere);
  const auto expect = [](const Diverter::Todo& todo) { EXPECT_TRUE(todo.in_table); };
  switch (state) {
    case State::idle:
      break;
    case State::leaving:
      expect(diverter.leave(move(kHere), nullptr));
      break;
    case State::holding:
      expect(diverter.begin(move(), kShards));
      break;
    case State::moved:
      diverter = in(State::holding);
      expect(diverter.on(Passed{kNumber}));
      break;
    case State::gathering:
      expect(diverter.begin(reroute(), kShards));
      break;
    case State::gathered:
      diverter = in(State::gathering);
      for (std::size_t i = 0; i < kShards; ++i) expect(diverter.on(Passed{kNumber}));
      break;
    case State::sending_on:
      diverter = in(State::gathered);
      expect(diverter.on(Gathered{kNumber}));
      break;
    case State::sent_on:
      diverter = in(State::sending_on);
      expect(diverter.all_out());
      break;
  }
  EXPECT_EQ(name_of(diverter.state()), name_of(state));
  return diverter;
}

constexpr std::array kStates = {State::idle,       State::leaving,   State::holding,
                                State::moved,      State::gathering, State::gathered,
                                State::sending_on, State::sent_on};

using Stimulus = std::pair<std::string, std::function<Diverter::Todo(Diverter&)>>;
const std::vector<Stimulus>& stimuli() {
  static const std::vector<Stimulus> all = {
      {"leave", [](Diverter& d) { return d.leave(move(kHere), nullptr); }},
      {"move", [](Diverter& d) { return d.begin(move(), kShards); }},
      {"reroute", [](Diverter& d) { return d.begin(reroute(), kShards); }},
      {"passed", [](Diverter& d) { return d.on(Passed{kNumber}); }},
      {"all_gathered", [](Diverter& d) { return d.on(Gathered{kNumber}); }},
      {"all_out", [](Diverter& d) { return d.all_out(); }},
      {"all_followed", [](Diverter& d) { return d.all_followed(); }},
      {"settled", [](Diverter& d) { return d.on(Settled{kNumber}); }},
  };
  return all;
}

// The whole table: each event in each state. What is not here is not in the table either.
TEST(Diverter, DoesInEachStateWhatEachEventCallsFor) {
  const std::map<std::pair<std::string, std::string>, std::string> figure = {
      {{"idle", "leave"}, "ask_anew, announce, report -> leaving"},
      {{"leaving", "settled"}, "ask_anew -> idle"},

      {{"idle", "move"}, "ask_anew, mark_old_home -> holding"},
      {{"holding", "passed"}, "release, report -> moved"},
      {{"moved", "all_followed"}, "settle_home, tell_settled, end -> moved"},
      {{"moved", "settled"}, "ask_anew -> idle"},

      {{"idle", "reroute"}, "hold_flows, mark_all -> gathering"},
      {{"gathering", "passed"}, "nothing -> gathering"},  // the first of two marks; the other below
      {{"gathered", "all_followed"}, "tell_gathered -> gathered"},
      {{"gathered", "all_gathered"}, "step_coordinators, await_out -> sending_on"},
      {{"sending_on", "all_out"}, "report -> sent_on"},
      {{"sent_on", "all_followed"}, "tell_settled, end -> sent_on"},
      {{"sent_on", "settled"}, "follow, route -> idle"},
  };
  std::size_t in_figure = 0;
  for (const State state : kStates) {
    for (const auto& [event, apply] : stimuli()) {
      Diverter diverter = in(state);
      const std::string steps = in_words(apply(diverter));
      const auto row = figure.find({name_of(state), event});
      in_figure += row != figure.end() ? 1 : 0;
      const std::string expected =
          row != figure.end() ? row->second : "not in the table -> " + name_of(state);
      EXPECT_EQ(steps + " -> " + name_of(diverter.state()), expected)
          << event << " in " << name_of(state);
    }
  }
  EXPECT_EQ(in_figure, figure.size());
}

TEST(Diverter, WaitsForAsManyMarksAsThereAreShards) {
  for (const std::size_t shards : {1u, 2u, 5u}) {
    Diverter diverter(kHere);
    EXPECT_EQ(in_words(diverter.begin(reroute(), shards)), "hold_flows, mark_all");
    for (std::size_t i = 1; i < shards; ++i) {
      EXPECT_EQ(in_words(diverter.on(Passed{kNumber})), "nothing");
    }
    EXPECT_EQ(in_words(diverter.on(Passed{kNumber})), "report");
    EXPECT_EQ(in_words(diverter.on(Passed{kNumber})), "not in the table");
  }
}

TEST(Diverter, HearsNothingOfAnotherDiversion) {
  constexpr std::uint64_t kOther = kNumber + 1;
  for (const State state : kStates) {
    Diverter diverter = in(state);
    EXPECT_FALSE(diverter.on(Passed{kOther}).in_table);
    EXPECT_FALSE(diverter.on(Gathered{kOther}).in_table);
    EXPECT_FALSE(diverter.on(Settled{kOther}).in_table);
    EXPECT_EQ(name_of(diverter.state()), name_of(state));
  }
}

// Another that begins by mistake takes nothing from the one that is under way.
TEST(Diverter, GoesOnWithTheDiversionThatIsUnderWay) {
  Diverter diverter = in(State::holding);
  EXPECT_FALSE(diverter.begin(reroute(kNumber + 1), 9).in_table);
  EXPECT_FALSE(diverter.leave(move(kHere, kThere, kNumber + 2), nullptr).in_table);
  const Diverter::Todo todo = diverter.on(Passed{kNumber});
  EXPECT_EQ(in_words(todo), "release, report");
  EXPECT_EQ(todo.diversion.number, kNumber);
}

TEST(Diverter, SaysWithEachStepWhichDiversionItIsOf) {
  Diverter mover = in(State::moved);
  const Diverter::Todo settled = mover.on(Settled{kNumber});
  ASSERT_NE(settled.diversion.move(), nullptr);
  EXPECT_EQ(settled.diversion.move()->who, kMover);
  Diverter router = in(State::sent_on);
  EXPECT_EQ(router.on(Settled{kNumber}).diversion.flows().size(), 2u);
  EXPECT_EQ(in_words(router.begin(move(), kShards)), "ask_anew, mark_old_home") << "the next one";
}

TEST(Diverter, GivesBackWhatLeavesToBeAnnounced) {
  struct Unit final : MovingUnit {};
  auto unit = std::make_unique<Unit>();
  const MovingUnit* const sent = unit.get();
  Diverter diverter(kHere);
  EXPECT_EQ(diverter.leave(move(kHere), std::move(unit)).unit.get(), sent);
}

// --- What is held --------------------------------------------------------------------------------

struct Item final : Parcel {
  Item(Carriage c, std::size_t b, int n) : carried(c), bytes(b), number(n) {}
  Carriage carriage() const override { return carried; }
  std::size_t bytes_held() const override { return bytes; }
  Carriage carried;
  std::size_t bytes;
  int number;
};

Delivery to(AssociationId whom, Carriage carriage = Carriage::ordered, std::size_t bytes = 1,
            int number = 0) {
  return {kSender, whom, std::make_unique<Item>(carriage, bytes, number), nullptr};
}

std::vector<int> numbers_of(const std::vector<Delivery>& held) {
  std::vector<int> numbers;
  for (const Delivery& one : held) numbers.push_back(static_cast<const Item&>(*one.parcel).number);
  return numbers;
}

TEST(Diverter, HoldsAllThatGoesToAMoverUntilItsMarkWasPassed) {
  for (const State state : kStates) {
    const Diverter diverter = in(state);
    for (const auto carriage : {Carriage::unordered, Carriage::ordered, Carriage::control}) {
      for (const bool fresh : {false, true}) {
        EXPECT_EQ(diverter.holds(to(kMover, carriage), fresh), state == State::holding)
            << name_of(state);
        EXPECT_FALSE(diverter.holds(to(kSomebody, carriage), fresh)) << name_of(state);
      }
    }
  }
}

TEST(Diverter, HoldsWhatIsNewAndOrderedOfAReroutedFlowUntilItIsSettled) {
  const std::set<State> holding = {State::gathering, State::gathered, State::sending_on,
                                   State::sent_on};
  for (const State state : kStates) {
    const Diverter diverter = in(state);
    for (const AssociationId flow : {kFlow, kOtherFlow}) {
      EXPECT_EQ(diverter.holds(to(flow), true), holding.contains(state)) << name_of(state);
      EXPECT_FALSE(diverter.holds(to(flow), false)) << "older than what is held";
      EXPECT_FALSE(diverter.holds(to(flow, Carriage::unordered), true));
      EXPECT_FALSE(diverter.holds(to(flow, Carriage::control), true));
      Delivery back = to(flow);
      ASSERT_TRUE(back.parcel->mark_tried(kSomebody));
      EXPECT_FALSE(diverter.holds(back, true)) << "it comes back";
    }
    EXPECT_FALSE(diverter.holds(to(kSomebody), true));
  }
}

TEST(Diverter, ReleasesWhatIsHeldInItsOrderAndOnce) {
  for (const State state : {State::holding, State::sent_on}) {
    Diverter diverter = in(state);
    for (int i = 0; i < 3; ++i) {
      Delivery delivery = to(state == State::holding ? kMover : kFlow, Carriage::ordered, 1, i);
      EXPECT_EQ(diverter.hold(delivery).outcome, Diverter::Held::held);
    }
    Diverter::Todo todo =
        state == State::holding ? diverter.on(Passed{kNumber}) : diverter.on(Settled{kNumber});
    EXPECT_EQ(numbers_of(todo.held), (std::vector{0, 1, 2}));
    if (state == State::holding) {
      EXPECT_TRUE(diverter.on(Settled{kNumber}).held.empty());
    }
    ASSERT_TRUE(diverter.begin(move(), kShards).in_table);
    EXPECT_TRUE(diverter.on(Passed{kNumber}).held.empty());
  }
}

TEST(Diverter, KeepsWhatIsHeldThroughAllStepsOfAReroute) {
  Diverter diverter = in(State::gathering);
  Delivery delivery = to(kFlow, Carriage::ordered, 1, 4);
  ASSERT_EQ(diverter.hold(delivery).outcome, Diverter::Held::held);
  for (std::size_t i = 0; i < kShards; ++i) EXPECT_TRUE(diverter.on(Passed{kNumber}).held.empty());
  EXPECT_TRUE(diverter.on(Gathered{kNumber}).held.empty());
  EXPECT_TRUE(diverter.all_out().held.empty());
  EXPECT_TRUE(diverter.all_followed().held.empty());
  EXPECT_EQ(numbers_of(diverter.on(Settled{kNumber}).held), (std::vector{4}));
}

TEST(Diverter, SaysThatMuchIsHeldLongBeforeItHoldsNoMore) {
  constexpr std::size_t kMuch = 4096, kMost = 65536;
  Diverter diverter = in(State::holding);
  for (std::size_t i = 0; i < kMost; ++i) {
    Delivery delivery = to(kMover);
    const auto [outcome, much] = diverter.hold(delivery);
    ASSERT_EQ(outcome, Diverter::Held::held);
    ASSERT_EQ(much, i >= kMuch) << i;
  }
  for (const auto& [carriage, outcome] :
       {std::pair(Carriage::ordered, Diverter::Held::lost),
        std::pair(Carriage::unordered, Diverter::Held::refused)}) {
    Delivery delivery = to(kMover, carriage);
    const Diverter::Holding answer = diverter.hold(delivery);
    EXPECT_EQ(answer.outcome, outcome);
    EXPECT_TRUE(answer.much);
    EXPECT_NE(delivery.parcel, nullptr) << "untouched";
  }
  Delivery control = to(kMover, Carriage::control);
  EXPECT_EQ(diverter.hold(control).outcome, Diverter::Held::held) << "never refused";
  EXPECT_EQ(diverter.on(Passed{kNumber}).held.size(), kMost + 1);
}

TEST(Diverter, BoundsTheBytesThatItHoldsAndBeginsAnewWithTheNextDiversion) {
  constexpr std::size_t kMost = std::size_t{8} << 20;
  for (int round = 0; round < 2; ++round) {
    Diverter diverter = in(State::holding);
    Delivery large = to(kMover, Carriage::ordered, kMost), small = to(kMover);
    EXPECT_EQ(diverter.hold(large).outcome, Diverter::Held::held);
    EXPECT_EQ(diverter.hold(small).outcome, Diverter::Held::lost);
    EXPECT_EQ(diverter.on(Passed{kNumber}).held.size(), 1u);
    EXPECT_EQ(in_words(diverter.on(Settled{kNumber})), "ask_anew");
    ASSERT_TRUE(diverter.begin(move(), kShards).in_table);
    EXPECT_EQ(diverter.hold(small).outcome, Diverter::Held::held);
    EXPECT_FALSE(diverter.hold(small = to(kMover)).much);
  }
}

// --- Where a mover lives -------------------------------------------------------------------------

TEST(Diverter, LeadsToTheNewHomeExceptWhereTheOldPathStillHoldsTheOrder) {
  const std::set<State> leads = {State::leaving, State::moved};
  for (const State state : kStates) {
    const Diverter diverter = in(state);
    EXPECT_EQ(diverter.home_of(kMover),
              leads.contains(state) ? std::optional(kThere) : std::nullopt)
        << name_of(state);
    EXPECT_EQ(diverter.home_of(kFlow), std::nullopt);
  }
}

TEST(Diverter, IsTheNewHomeFromTheArrivalOn) {
  Diverter diverter(kHere);
  ASSERT_TRUE(diverter.begin(move(kElsewhere, kHere), kShards).in_table);
  EXPECT_EQ(diverter.home_of(kMover), kHere);
  EXPECT_TRUE(diverter.holds(to(kMover), true)) << "behind what the old home passes on";
}

}  // namespace
}  // namespace siglane
