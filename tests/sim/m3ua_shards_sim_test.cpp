// An STP of several shards, letter by letter: real modules, ASs and ASP sessions on shards that
// take turns in one thread, while ASPs ask for this and that as fast as they like, are lost, come
// back and move. Whatever the interleaving, no flow of DATA is reordered, doubled, or short of a
// message that was not counted; every ASP gets its way in the end; and nothing stays paused or
// held.
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"
#include "core/shard.h"
#include "protocols/m3ua/counters.h"
#include "protocols/m3ua/module.h"
#include "tests/sim/m3ua_wire.h"
#include "tests/support/seeds.h"

namespace siglane::m3ua {
namespace {

constexpr std::size_t kSources = 2, kSinks = 3;
constexpr unsigned kLabels = 4;  // SLS values in use
constexpr std::uint32_t kSinkContext = 101, kSinkPointCode = 1001;

M3uaConfig config_of(TrafficMode mode, std::size_t active_min) {
  M3uaConfig config;
  ApplicationServerConfig sinks;
  sinks.name = "sinks";
  sinks.routing_context = kSinkContext;
  sinks.traffic_mode = mode;
  sinks.active_asps_min = active_min;
  sinks.recovery_timeout = 20ms;
  sinks.pending_messages_max = 1'000'000;
  for (std::uint32_t n = 1; n <= kSinks; ++n) {
    config.asps.push_back({"sink" + std::to_string(n), n});
    sinks.asps.push_back(config.asps.back().name);
  }
  config.application_servers.push_back(sinks);
  config.routes.push_back({kSinkPointCode, {}, {}, {}, "sinks"});
  ApplicationServerConfig sources;
  sources.name = "sources";
  sources.routing_context = kSinkContext + 1;
  sources.traffic_mode = TrafficMode::loadshare;
  for (std::uint32_t n = 1; n <= kSources; ++n) {
    config.asps.push_back({"source" + std::to_string(n), kSinks + n});
    sources.asps.push_back(config.asps.back().name);
  }
  config.application_servers.push_back(sources);
  config.routes.push_back({kSinkPointCode + 1, {}, {}, {}, "sources"});
  config.drain_messages_per_ms_max = 3;
  return config;
}

// What arrived of every flow: a source and an SLS.
struct Ledger {
  void arrive(const MessageView& message) {
    const Bytes data = *message.find(Tag::protocol_data);
    const std::uint32_t opc = load_u32(data.data()), number = load_u32(data.data() + 12);
    const auto sls = std::to_integer<unsigned>(data[11]);
    auto& last = last_of[{opc, sls}];
    if (number <= last && trouble.empty()) {
      trouble = "flow " + std::to_string(opc) + "/" + std::to_string(sls) + ": " +
                std::to_string(number) + " after " + std::to_string(last);
    }
    last = number;
    ++arrived;
  }
  std::map<std::pair<std::uint32_t, unsigned>, std::uint32_t> sent_of, last_of;
  std::uint64_t sent = 0, arrived = 0;
  std::string trouble;
};

class Schedule {
 public:
  explicit Schedule(std::uint64_t seed)
      : random_(seed),
        mode_(random_.below(2) == 0 ? TrafficMode::loadshare : TrafficMode::override_mode),
        shard_count_(1 + random_.below(3)),
        module_(config_of(mode_, mode_ == TrafficMode::loadshare ? 1 + random_.below(2) : 1)),
        peers_(peers_of(module_.gateway()->config), AdmissionConfig{true, 1h, 1000}) {
    const std::size_t mailbox_max = random_.below(2) == 0 ? 2 + random_.below(6) : 1000;
    for (std::size_t i = 0; i < shard_count_; ++i) {
      auto node = std::make_unique<Node>();
      ShardConfig config;
      config.id = static_cast<ShardId>(i);
      config.seed = random_.next();
      config.mailbox.parcels_max = mailbox_max;
      node->shard = std::make_unique<Shard>(config, node->wire, peers_, directory_, facts_, nullptr,
                                            buffers_, node->counters);
      (void)node->shard->open({}, module_);
      nodes_.push_back(std::move(node));
    }
    for (auto& node : nodes_) module_.add_application_servers(*node->shard, shard_count_, now_);
    for (std::uint32_t n = 1; n <= kSinks; ++n) sinks_.push_back(add(n));
    for (std::uint32_t n = 1; n <= kSources; ++n) sources_.push_back(add(kSinks + n));
    settle();
  }

  void play(unsigned events) {
    for (unsigned i = 0; i < events && ledger_.trouble.empty(); ++i) {
      now_ += 100us;
      const auto what = random_.below(100);
      if (what < 40) {
        send(sources_[random_.below(kSources)]);
      } else if (what < 80) {
        any().shard->run_mailbox(now_, 1 + random_.below(3));
      } else if (what < 88) {
        for (auto n = 1 + random_.below(8); n > 0; --n) ask(sinks_[random_.below(kSinks)]);
      } else if (what < 90) {
        storm(sinks_[random_.below(kSinks)]);
      } else if (what < 94) {
        move(random_.below(2) == 0 ? sinks_[random_.below(kSinks)]
                                   : sources_[random_.below(kSources)]);
      } else if (what < 95) {
        replace(sinks_[random_.below(kSinks)]);
      } else {
        run_due();
      }
    }
  }

  // Every ASP comes up and active, as far as it may, and all that is under way arrives.
  void settle() {
    for (unsigned quiet = 0; quiet < 400 && !settled();) {
      now_ += 1ms;
      const std::uint64_t before = ledger_.arrived;
      for (unsigned turns = 0; turns < 4; ++turns) {
        for (auto& node : nodes_) node->shard->run_mailbox(now_);
      }
      run_due();
      for (auto* ends : {&sinks_, &sources_}) {
        for (End& end : *ends) come_to_rest(end);
      }
      quiet = before == ledger_.arrived ? quiet + 1 : 0;
    }
  }

  void check() {
    ASSERT_EQ(ledger_.trouble, "");
    ASSERT_FALSE(directory_.diverting()) << "a diversion that never ended";
    ASSERT_EQ(unaccounted(), 0u);
    ASSERT_TRUE(all_have_their_way()) << states();
    ASSERT_FALSE(anything_paused());
  }
  std::uint64_t count(Counter counter) const {
    std::uint64_t n = 0;
    for (const auto& node : nodes_) n += node->counters.get(counter);
    return n;
  }
  const Ledger& ledger() const { return ledger_; }

 private:
  struct Node {
    Wire wire;
    Counters counters;
    std::unique_ptr<Shard> shard;
  };
  struct End {
    AssociationId id{};
    std::uint32_t identifier = 0;
  };

  static std::vector<PeerConfig> peers_of(const M3uaConfig& config) {
    std::vector<PeerConfig> peers;
    for (const AspConfig& asp : config.asps) {
      peers.emplace_back();
      peers.back().name = asp.name;
    }
    return peers;
  }

  Node& any() { return *nodes_[random_.below(nodes_.size())]; }
  // nullptr: on its way.
  Node* home_of(AssociationId id) {
    for (auto& node : nodes_) {
      if (node->wire.lines.contains(id)) return node.get();
    }
    return nullptr;
  }
  void run_due() {
    for (auto& node : nodes_) node->shard->run_due(now_);
  }

  End add(std::uint32_t identifier) {
    const End end{next_association_id(), identifier};
    Node& node = any();
    node.wire.lines[end.id] = std::make_unique<Wire::Line>(end.id, random_.below(2) == 0, sent_);
    AssociationUp up;
    up.local = EndpointId{1};
    up.remote_addresses = {"10.0.0.1"};
    up.streams_in = up.streams_out = 8;
    node.shard->on_event(end.id, up, now_);
    return end;
  }
  void replace(End& end) {
    Node* node = home_of(end.id);
    if (node == nullptr) return;
    node->wire.lines.erase(end.id);
    node->shard->on_event(end.id, AssociationDown{}, now_);
    end = add(end.identifier);
  }
  void move(const End& end) {
    if (Node* node = home_of(end.id)) {
      node->shard->move(end.id, static_cast<ShardId>(random_.below(shard_count_)), now_);
    }
  }
  // Nothing where its input is paused: the peer has to wait.
  void say(const End& end, Buffer payload, StreamId stream) {
    Node* node = home_of(end.id);
    if (node == nullptr || node->wire.lines.at(end.id)->paused) return;
    Message message;
    message.stream = stream;
    message.payload = std::move(payload);
    node->shard->on_event(end.id, AssociationReceived{std::move(message)}, now_);
  }
  void say(const End& end, MessageType type) {
    MessageBuilder builder(buffers_, type);
    if (type == MessageType::aspup) builder.u32(Tag::asp_identifier, end.identifier);
    say(end, std::move(builder).finish(), StreamId{0});
  }
  void ask(const End& end) {
    static constexpr std::array kRequests{MessageType::aspac, MessageType::aspac,
                                          MessageType::aspia, MessageType::aspup,
                                          MessageType::aspdn};
    say(end, kRequests[random_.below(kRequests.size())]);
  }
  void storm(const End& end) {
    for (auto n = random_.below(60); n > 0; --n) ask(end);
  }
  void send(const End& source) {
    Node* node = home_of(source.id);
    if (node == nullptr || node->wire.lines.at(source.id)->paused) return;
    const auto sls = static_cast<std::uint8_t>(random_.below(kLabels));
    std::array<std::byte, 4> number{};
    store_u32(number.data(), ++ledger_.sent_of[{source.identifier, sls}]);
    ++ledger_.sent;
    MessageBuilder builder(buffers_, MessageType::data);
    builder.u32(Tag::routing_context, kSinkContext + 1);
    builder.protocol_data({source.identifier, kSinkPointCode, 3, 2, 0, sls}, number);
    say(source, std::move(builder).finish(), StreamId{1});
  }

  std::string state_of(AssociationId id) {
    std::string state;
    for (auto& node : nodes_) {
      node->shard->visit_sessions([&](const SessionView& view) {
        if (view.id == id) state = view.session->status().state;
      });
    }
    return state;
  }
  void come_to_rest(End& end) {
    Node* node = home_of(end.id);
    if (node == nullptr) return;
    if (node->wire.lines.at(end.id)->closed) return replace(end);
    const std::string state = state_of(end.id);
    if (state == "ASP-DOWN") say(end, MessageType::aspup);
    if (state == "ASP-INACTIVE" && (end.identifier > kSinks || !one_is_enough())) {
      say(end, MessageType::aspac);
    }
  }
  std::size_t active_sinks() {
    std::size_t n = 0;
    for (const End& sink : sinks_) n += state_of(sink.id) == "ASP-ACTIVE" ? 1 : 0;
    return n;
  }
  bool one_is_enough() { return mode_ == TrafficMode::override_mode && active_sinks() > 0; }
  bool all_have_their_way() {
    for (const End& source : sources_) {
      if (state_of(source.id) != "ASP-ACTIVE") return false;
    }
    return active_sinks() == (mode_ == TrafficMode::loadshare ? kSinks : 1);
  }
  std::string states() {
    std::string all;
    for (const auto* ends : {&sinks_, &sources_}) {
      for (const End& end : *ends) all += state_of(end.id) + " ";
    }
    return all;
  }
  bool anything_paused() {
    for (const auto& node : nodes_) {
      for (const auto& [id, line] : node->wire.lines) {
        if (line->paused) return true;
      }
    }
    return false;
  }
  std::uint64_t unaccounted() const {
    return ledger_.sent - ledger_.arrived - count(counter::data_discarded) -
           count(counter::data_unroutable) - count(siglane::counter::parcels_lost);
  }
  bool settled() {
    return unaccounted() == 0 && !directory_.diverting() && all_have_their_way() &&
           !anything_paused();
  }

  Random random_;
  Ledger ledger_;
  const Wire::Sent sent_ = [this](AssociationId, const MessageView& message) {
    if (message.type() == MessageType::data) ledger_.arrive(message);
  };
  TrafficMode mode_;
  std::size_t shard_count_;
  M3uaModule module_;
  PeerTable peers_;
  Directory directory_;
  NoFacts facts_;
  BufferPool buffers_;
  Instant now_{1s};
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<End> sinks_, sources_;
};

TEST(M3uaShards, KeepEveryFlowInOrderAndServeEveryAspWhateverItAsksFor) {
  const std::uint64_t schedules = test::long_run() ? 200'000 : 5'000;
  std::uint64_t moves = 0, pauses = 0, sent = 0, arrived = 0;
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    Schedule run(seed);
    run.play(400);
    run.settle();
    run.check();
    if (HasFatalFailure()) FAIL() << "seed " << seed;
    moves += run.count(siglane::counter::moves);
    pauses += run.count(siglane::counter::inputs_paused);
    sent += run.ledger().sent;
    arrived += run.ledger().arrived;
  }
  // The schedules do what they are for.
  EXPECT_GT(moves, schedules / 4);
  EXPECT_GT(pauses, schedules);
  EXPECT_GT(arrived, sent / 2);
}

}  // namespace
}  // namespace siglane::m3ua
