// The diversion rule (core/diversion.h) against every interleaving that a seed thinks of: shards in
// one thread take turns letter by letter while associations move and end, sinks come to and leave
// two groups (the real FlowGroup), which pause and resume, often both in one diversion, and
// mailboxes are far too small. Whatever happens, no flow is reordered, doubled, or short of a
// message that was not counted as lost.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/flow_group.h"
#include "tests/sim/shards_in_turn.h"
#include "tests/support/seeds.h"

namespace siglane {
namespace {

constexpr std::size_t kSources = 3, kSinks = 3, kGroups = 2;
constexpr unsigned kLabels = 4;  // of the flows to a group: its selectors

// To sink 0..kSinks-1 directly, or to the group target - kSinks under a label.
struct FlowKey {
  unsigned source = 0, target = 0, label = 0;
  auto operator<=>(const FlowKey&) const = default;
};

class Item final : public Parcel {
 public:
  Carriage carriage() const override { return Carriage::ordered; }
  bool to_group() const { return flow.target >= kSinks; }
  unsigned group() const { return flow.target - static_cast<unsigned>(kSinks); }
  FlowKey flow;
  unsigned number = 0;
};

// A sink says that it joins or leaves the group; or the group says that it has joined.
class Membership final : public Parcel {
 public:
  Membership(unsigned group_, bool joins_, unsigned epoch_)
      : group(group_), joins(joins_), epoch(epoch_) {}
  Carriage carriage() const override { return Carriage::control; }
  unsigned group;
  bool joins;
  unsigned epoch;  // which of its joins
};

// A group as routing sees it.
struct GroupView {
  bool through_coordinator = true;
  Carriers carriers{};
};
class GroupChange final : public Parcel {
 public:
  unsigned group = 0;
  GroupView view;
};

template <class P>
std::unique_ptr<P> cast(ParcelPtr parcel) {
  return std::unique_ptr<P>(static_cast<P*>(parcel.release()));
}

// What every part of one run shares. Relaxed, so that on several threads it orders nothing that the
// shards themselves leave unordered, and hides none of their races.
struct Ledger {
  static constexpr std::size_t kFlows = kSources * (kSinks + kGroups) * kLabels;
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  using Count = std::atomic<unsigned>;

  static std::size_t index_of(const FlowKey& flow) {
    return (flow.source * (kSinks + kGroups) + flow.target) * kLabels + flow.label;
  }
  unsigned next(const FlowKey& flow) {
    sent.fetch_add(1, kRelaxed);
    return sent_of[index_of(flow)].fetch_add(1, kRelaxed) + 1;
  }
  void arrive(const FlowKey& flow, unsigned number) {
    const unsigned before = last_of[index_of(flow)].exchange(number, kRelaxed);
    if (number <= before) {
      trouble_before.store(before, kRelaxed);
      trouble_flow.store(static_cast<unsigned>(index_of(flow)), kRelaxed);
      trouble_number.store(number, kRelaxed);
    }
    arrived.fetch_add(1, kRelaxed);
  }
  // Empty: none.
  std::string trouble() const {
    if (trouble_number == 0) return {};
    return "flow " + std::to_string(trouble_flow) + ": " + std::to_string(trouble_number) +
           " after " + std::to_string(trouble_before);
  }

  std::array<Count, kFlows> sent_of{}, last_of{};
  Count sent = 0, arrived = 0, lost = 0;
  Count trouble_flow = 0, trouble_number = 0, trouble_before = 0;
};

// A FlowGroup with as little around it as will do. It drains a few at a time, so that it relays for
// a while before the shards may send straight to the members.
class Group final : public Session {
 public:
  explicit Group(unsigned index) : index_(index) { flows_.enter(FlowGroup::State::pending); }

  void step(SessionInput input, Instant now, Outbox& out) override {
    if (auto* submitted = std::get_if<Submitted>(&input)) {
      if (submitted->parcel->carriage() == Carriage::control) {
        on_membership(submitted->from, cast<Membership>(std::move(submitted->parcel)), out);
      } else if (flows_.take(submitted->parcel) == FlowGroup::Taken::to_send) {
        send(std::move(submitted->parcel), out);
      }
    } else if (std::holds_alternative<Rerouting>(input)) {
      flows_.rerouted();
      for (const auto& [who, membership] : std::exchange(waiting_, {})) {
        change(who, *membership, out);
      }
      send_held(now, out);
      publish(out);
    } else if (const auto due = deadline(); std::holds_alternative<Woken>(input) && due) {
      if (*due > now) return;
      send_held(now, out);
      if (flows_.may_go_straight() && flows_.reroute()) out.reroute();
    }
  }
  std::optional<Instant> deadline() const override { return flows_.deadline(); }
  SessionStatus status() const override { return {}; }

 private:
  void on_membership(AssociationId who, std::unique_ptr<Membership> membership, Outbox& out) {
    if (flows_.rerouting() || changes_path(who, *membership)) {
      waiting_.emplace_back(who, std::move(membership));
      if (flows_.reroute()) out.reroute();
      return;
    }
    change(who, *membership, out);
  }
  static std::string name_of(AssociationId who) {
    return std::to_string(static_cast<std::uint64_t>(who));
  }
  static FlowGroup::State state_with(std::size_t members) {
    return members == 0 ? FlowGroup::State::pending : FlowGroup::State::open;
  }
  bool changes_path(AssociationId who, const Membership& membership) const {
    const std::size_t members = flows_.members().size();
    if (membership.joins) {
      return flows_.changes_if_joined(name_of(who), who, FlowGroup::State::open);
    }
    const bool is_member = std::ranges::count(flows_.members(), who) > 0;
    return is_member && flows_.changes_if_left(who, state_with(members - 1));
  }
  // Joined is told here only: a sink that served again earlier would take what overtakes its
  // returned items.
  void change(AssociationId who, const Membership& membership, Outbox& out) {
    flows_.leave(who);
    if (membership.joins) {
      flows_.join(name_of(who), who);
      out.forward(who, std::make_unique<Membership>(index_, true, membership.epoch));
    }
    flows_.enter(state_with(flows_.members().size()));
  }
  void send(ParcelPtr item, Outbox& out) {
    const auto label = static_cast<Selector>(static_cast<Item&>(*item).flow.label);
    out.forward(flows_.carriers()[label], std::move(item));
  }
  void send_held(Instant now, Outbox& out) {
    for (ParcelPtr& item : flows_.drain(now)) send(std::move(item), out);
  }
  void publish(Outbox& out) {
    auto change = std::make_unique<GroupChange>();
    change->group = index_;
    change->view = {flows_.through_coordinator(), flows_.carriers()};
    out.publish(std::move(change));
  }

  unsigned index_;
  FlowGroup flows_{FlowGroup::Spread::by_selector,
                   {.held_messages_max = 1'000'000,
                    .held_bytes_max = std::size_t{1} << 30,
                    .drained_per_ms_max = 3}};
  std::vector<std::pair<AssociationId, std::unique_ptr<Membership>>> waiting_;
};

class TestModule final : public ProtocolModule {
 public:
  TestModule(Ledger& run, std::size_t shards) : ledger(run), views_(shards) {}

  std::string_view name() const override { return "test"; }
  std::span<const PayloadProtocol> payload_protocols() const override { return {}; }
  Result<std::optional<std::size_t>> frame_length(Bytes) const override {
    return std::optional<std::size_t>();
  }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
  std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp& up, const PeerTable&,
                                        std::uint64_t) const override;

  void route(ShardId shard, AssociationId, ParcelPtr parcel, Instant, Outbox& out) const override {
    auto item = cast<Item>(std::move(parcel));
    if (!item->to_group()) {
      const AssociationId to = sinks[item->flow.target];
      return out.forward(to, std::move(item));
    }
    const GroupView& view = views_[static_cast<std::size_t>(shard)][item->group()];
    const AssociationId to =
        view.through_coordinator ? groups[item->group()] : view.carriers[item->flow.label];
    out.forward(to, std::move(item));
  }
  void undelivered(ShardId, AssociationId, ParcelPtr parcel, Why why, Instant,
                   Outbox& out) const override {
    if (parcel->carriage() == Carriage::control) return;
    auto item = cast<Item>(std::move(parcel));
    if (!item->to_group() || why == Why::exhausted) {
      ledger.lost.fetch_add(1, Ledger::kRelaxed);
      return;
    }
    const AssociationId group = groups[item->group()];
    out.forward(group, std::move(item));
  }
  void publish(ShardId, AssociationId, ParcelPtr change) override {
    const auto news = cast<GroupChange>(std::move(change));
    published_[news->group] = news->view;
  }
  void hold(ShardId shard, AssociationId group) override {
    views_[static_cast<std::size_t>(shard)][index_of(group)].through_coordinator = true;
  }
  void follow(ShardId shard, AssociationId group) override {
    views_[static_cast<std::size_t>(shard)][index_of(group)] = published_[index_of(group)];
  }

  Ledger& ledger;
  std::array<AssociationId, kGroups> groups{};
  std::array<AssociationId, kSinks> sinks{};
  std::map<AssociationId, unsigned> sources;

 private:
  std::size_t index_of(AssociationId group) const {
    return static_cast<std::size_t>(std::ranges::find(groups, group) - groups.begin());
  }

  std::array<GroupView, kGroups> published_;
  std::vector<std::array<GroupView, kGroups>> views_;
};

// A source turns what it receives into an Item; a sink transmits every Item, or gives back those of
// a group while it is no member.
class End final : public Session {
 public:
  End(const TestModule& module, AssociationId id) : module_(module), id_(id) {}
  void step(SessionInput input, Instant, Outbox& out) override {
    if (auto* up = std::get_if<AssociationUp>(&input)) return out.identify(up->peer);
    if (auto* received = std::get_if<AssociationReceived>(&input)) {
      ByteReader bytes(received->message.payload.bytes());
      const auto kind = *bytes.u32();
      if (kind == 0) {
        const std::uint32_t group = *bytes.u32();
        return join_or_leave(group, *bytes.u32() != 0, out);
      }
      auto item = std::make_unique<Item>();
      item->flow.source = module_.sources.at(id_);
      item->flow.target = *bytes.u32();
      item->flow.label = *bytes.u32();
      item->number = *bytes.u32();
      return out.accept(std::move(item));
    }
    if (std::holds_alternative<AssociationDown>(input)) {
      for (unsigned group = 0; group < kGroups; ++group) join_or_leave(group, false, out);
      return;
    }
    auto* submitted = std::get_if<Submitted>(&input);
    if (submitted == nullptr) return;
    if (submitted->parcel->carriage() == Carriage::control) {
      const auto& told = static_cast<const Membership&>(*submitted->parcel);
      Place& place = places_[told.group];
      place.member = place.wants && told.epoch == place.epoch;
      return;
    }
    auto item = cast<Item>(std::move(submitted->parcel));
    if (item->to_group() && !places_[item->group()].member) {
      return out.undelivered(std::move(item), Why::not_open);
    }
    module_.ledger.arrive(item->flow, item->number);
  }
  std::optional<Instant> deadline() const override { return std::nullopt; }
  SessionStatus status() const override { return {}; }

 private:
  struct Place {
    bool wants = false, member = false;
    unsigned epoch = 0;
  };
  void join_or_leave(unsigned group, bool joins, Outbox& out) {
    Place& place = places_[group];
    if (joins == place.wants) return;
    place.wants = joins;
    place.member = false;
    out.forward(module_.groups[group], std::make_unique<Membership>(group, joins, ++place.epoch));
  }
  const TestModule& module_;
  AssociationId id_;
  std::array<Place, kGroups> places_;
};

std::unique_ptr<Session> TestModule::open_session(AssociationId id, const AssociationUp&,
                                                  const PeerTable&, std::uint64_t) const {
  return std::make_unique<End>(*this, id);
}

// The shards, their sources and sinks, and what may happen to them.
class Schedule : public sim::ShardsInTurn {
 public:
  explicit Schedule(std::uint64_t seed) : ShardsInTurn(seed) {
    const std::size_t shards = 2 + random_.below(3);
    const std::size_t mailbox_max = draw_mailbox(1);
    module_ = &open(shards, std::make_unique<TestModule>(ledger_, shards),
                    PeerTable({}, AdmissionConfig{true, 10s, 1000}), mailbox_max);
    for (unsigned i = 0; i < kGroups; ++i) {
      module_->groups[i] = any().shard->add_coordinator(std::make_unique<Group>(i), *module_, now_);
    }
    for (auto& sink : module_->sinks) sink = add();
    for (unsigned i = 0; i < kSources; ++i) {
      sources_[i] = add();
      module_->sources[sources_[i]] = i;
    }
  }

  void play(unsigned events) {
    for (unsigned i = 0; i < events && ledger_.trouble_number == 0; ++i) {
      now_ += 100us;
      const auto what = random_.below(100);
      if (what < 45) {
        send();
      } else if (what < 85) {
        any().shard->run_mailbox(now_, 1 + random_.below(3));
      } else if (what < 90) {
        const AssociationId sink = module_->sinks[random_.below(kSinks)];
        toggle(sink, static_cast<unsigned>(random_.below(kGroups)), random_.below(3) != 0);
      } else if (what < 94) {
        move_one();
      } else if (what < 95) {
        replace(module_->sinks[random_.below(kSinks)]);
      } else if (what < 96) {
        peel(sources_[random_.below(kSources)]);
      } else {
        run_due();
      }
    }
  }

  // Lets everything come to rest, with every sink in both groups.
  void settle() {
    // Until all has arrived; and where something never does, for as long as it takes to be sure.
    for (unsigned quiet = 0; quiet < 1000 && (unaccounted() > 0 || directory_.diverting());) {
      now_ += 1ms;
      for (const AssociationId sink : module_->sinks) {  // once none is on its way
        for (unsigned group = 0; group < kGroups; ++group) toggle(sink, group, true);
      }
      const unsigned before = ledger_.arrived;
      for (auto& node : nodes_) {
        node->shard->run_due(now_);
        node->shard->run_mailbox(now_);
      }
      quiet = before == ledger_.arrived ? quiet + 1 : 0;
    }
  }

  // Each shard on a thread of its own: random steps until so many associations have moved, then to
  // rest.
  void play_on_threads(std::uint64_t moves_min) {
    std::vector<std::thread> threads;
    std::vector<std::atomic<std::uint64_t>> turns(nodes_.size());
    std::atomic<std::size_t> playing = nodes_.size();
    std::atomic<bool> over = false;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      threads.emplace_back([&, &node = *nodes_[i], &mine = turns[i], seed = random_.next()] {
        const Instant played = play_here(node, moves_min, seed);
        --playing;
        playing.notify_one();
        rest_here(node, played, mine, over);
      });
    }
    // This thread only waits, and takes no processor from the shards.
    while (const std::size_t still = playing) playing.wait(still);
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (!at_rest(turns) && std::chrono::steady_clock::now() < give_up) {
      turns.front().wait(turns.front());
    }
    over = true;
    for (std::thread& thread : threads) thread.join();
  }

  void check() {
    ASSERT_EQ(ledger_.trouble(), "");
    ASSERT_EQ(unpaused_, 0u) << "found no room, and may go on";
    ASSERT_EQ(unaccounted(), 0u);
    ASSERT_EQ(directory_.diverting(), false) << "a diversion that never ended";
    run_mailboxes(2);  // room has been made: it is told
    ASSERT_FALSE(anything_paused()) << "for ever";
  }
  std::uint64_t moves() const { return count(counter::moves); }
  unsigned lost() const { return ledger_.lost; }

 private:
  Instant play_here(Node& node, std::uint64_t moves_min, std::uint64_t seed) {
    constexpr unsigned kStepsMax = 1'000'000;
    constexpr std::uint64_t kUnderWayMax = 300;
    Random random(seed);
    Instant now = now_;
    const auto pick = [&](const auto& ends) {
      const AssociationId id = ends[random.below(ends.size())];
      return node.wire.lines.contains(id) ? id : AssociationId::none;
    };
    for (unsigned step = 0; step < kStepsMax && moves() < moves_min; ++step) {
      if (step % 64 == 0) std::this_thread::yield();
      now += 100us;
      const auto what = random.below(100);
      if (what < 45) {
        const auto source = static_cast<unsigned>(random.below(kSources));
        const bool room = unaccounted() < kUnderWayMax;  // the group drains slowly
        if (room && node.wire.lines.contains(sources_[source])) {
          send_from(node, source, random, now);
        }
      } else if (what < 85) {
        node.shard->run_mailbox(now, 1 + random.below(8));
      } else if (what < 90) {
        const AssociationId sink = pick(module_->sinks);
        if (sink != AssociationId::none) {
          const auto group = static_cast<std::uint32_t>(random.below(kGroups));
          receive_at(node, sink, {0, group, random.below(3) != 0 ? 1u : 0u}, now);
        }
      } else if (what < 94) {
        const AssociationId id = random.below(2) == 0 ? pick(module_->sinks) : pick(sources_);
        node.shard->move(id, static_cast<ShardId>(random.below(nodes_.size())), now);
      } else {
        node.shard->run_due(now);
      }
    }
    return now;
  }
  void rest_here(Node& node, Instant now, std::atomic<std::uint64_t>& turns,
                 const std::atomic<bool>& over) {
    for (; !over; ++turns, turns.notify_one()) {
      now += 1ms;
      for (const AssociationId sink : module_->sinks) {
        for (std::uint32_t group = 0; group < kGroups; ++group) {
          if (node.wire.lines.contains(sink)) receive_at(node, sink, {0, group, 1}, now);
        }
      }
      node.shard->run_due(now);
      node.shard->run_mailbox(now);
      std::this_thread::yield();
    }
  }
  // Nothing is under way, and no shard finds anything more to do in whole turns.
  bool at_rest(const std::vector<std::atomic<std::uint64_t>>& turns) const {
    const auto quiet = [this] { return unaccounted() == 0 && !directory_.diverting(); };
    if (!quiet()) return false;
    const std::uint64_t begun = directory_.diversions();
    for (const auto& of_shard : turns) {
      const std::uint64_t first = of_shard;
      for (std::uint64_t last = first; last < first + 3; last = of_shard) {
        if (!quiet()) return false;
        of_shard.wait(last);
      }
    }
    return quiet() && directory_.diversions() == begun;
  }

  AssociationId add() {
    const AssociationId id = next_association_id();
    come_up(id, "peer" + std::to_string(static_cast<std::uint64_t>(id)));
    return id;
  }
  // The association goes down, and another comes.
  void replace(AssociationId& sink) {
    if (lose(sink)) sink = add();
  }
  static void receive_at(Node& node, AssociationId id, std::initializer_list<std::uint32_t> words,
                         Instant now) {
    std::array<std::byte, 16> bytes{};
    std::size_t size = 0;
    for (const auto word : words) {
      store_u32(bytes.data() + size, word);
      size += sizeof word;
    }
    Message message;
    message.payload = Buffer::copy_of({bytes.data(), size});
    node.shard->on_event(id, AssociationReceived{std::move(message)}, now);
  }
  void receive(AssociationId id, std::initializer_list<std::uint32_t> words) {
    if (Node* node = home_of(id)) receive_at(*node, id, words, now_);
  }
  void send() {
    const auto source = static_cast<unsigned>(random_.below(kSources));
    Node* node = home_of(sources_[source]);
    if (node == nullptr) return;
    const std::uint64_t full = node->counters.get(counter::mailbox_full);
    const bool to_a_sink = send_from(*node, source, random_, now_);
    const bool found_no_room = to_a_sink && node->counters.get(counter::mailbox_full) > full;
    const Wire::Line& line = *node->wire.line(sources_[source]);
    if (found_no_room && line.own && !line.paused) ++unpaused_;
  }
  void peel(AssociationId id) {
    Node* node = home_of(id);
    if (node != nullptr && !node->wire.line(id)->own) node->wire.peel(id);
  }
  // true: to a sink; not to the group, which may send on what it gets from anybody.
  bool send_from(Node& node, unsigned source, Random& random, Instant now) {
    const auto target = static_cast<unsigned>(random.below(kSinks + kGroups));
    const FlowKey flow{source, target,
                       target < kSinks ? 0 : static_cast<unsigned>(random.below(kLabels))};
    receive_at(node, sources_[source], {1, flow.target, flow.label, ledger_.next(flow)}, now);
    return target < kSinks;
  }
  void toggle(AssociationId sink, unsigned group, bool joins) {
    receive(sink, {0, group, joins ? 1u : 0u});
  }
  void move_one() {
    const bool sink = random_.below(2) == 0;
    move_anywhere(sink ? module_->sinks[random_.below(kSinks)] : sources_[random_.below(kSources)]);
  }
  std::uint64_t unaccounted() const {
    const std::uint64_t counted = ledger_.arrived + ledger_.lost + count(counter::parcels_lost);
    return ledger_.sent - counted;
  }

  Ledger ledger_;
  TestModule* module_ = nullptr;
  std::array<AssociationId, kSources> sources_{};
  unsigned unpaused_ = 0;
};

TEST(Diversion, KeepsEveryFlowInOrderWhateverTheInterleaving) {
  const std::uint64_t schedules = test::long_run() ? 1'000'000 : 10'000;
  std::uint64_t moves = 0, lost = 0, pauses = 0;
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    Schedule run(seed);
    run.play(300);
    run.settle();
    run.check();
    if (HasFatalFailure()) FAIL() << "seed " << seed;
    moves += run.moves();
    lost += run.lost();
    pauses += run.count(counter::inputs_paused);
  }
  // The schedules do what they are for.
  EXPECT_GT(moves, schedules / 2);
  EXPECT_GT(pauses, schedules / 2);
  EXPECT_LT(lost, 10 * schedules);  // of some 140 each, to sinks that are no more
}

// The same on real threads, where a race detector may watch: whatever they do at the same time.
TEST(Diversion, KeepsEveryFlowInOrderOnRealThreads) {
  const std::uint64_t runs = test::long_run() ? 200 : 20;
  std::uint64_t moves = 0;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    Schedule run(seed);
    run.play_on_threads(20);
    run.check();
    if (HasFatalFailure()) FAIL() << "seed " << seed;
    moves += run.moves();
  }
  EXPECT_GT(moves, runs * 10);
}

}  // namespace
}  // namespace siglane
