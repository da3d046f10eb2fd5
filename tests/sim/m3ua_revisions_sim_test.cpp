// An STP of several shards that takes one config after another while it runs, letter by letter:
// Application Servers, ASPs and routes come and go, an operator blocks ASPs, and all the while ASPs
// send, come, go and move. What a config does not name must not notice it: of its flows no message
// is lost, doubled or reordered. Of the others none is doubled, and each is accounted for. And in
// the end every ASP is where the last config wants it, and knows what it can reach.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
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

constexpr std::size_t kSources = 2, kSinks = 3, kExtraAsps = 2, kExtraServers = 3, kExtraRoutes = 2;
constexpr std::size_t kAsps = kSources + kSinks + kExtraAsps;
constexpr unsigned kLabels = 4;  // SLS values in use
constexpr std::uint32_t kSinkContext = 101, kSourceContext = 102, kExtraContext = 201;
// Of the sinks, which always have a route and an AS; of the other ASs; and more routes to the
// sinks.
constexpr std::uint32_t kSinkCode = 1001, kServerCode = 2001, kRouteCode = 3001;

std::string name_of_asp(std::uint32_t identifier) {
  if (identifier <= kSinks) return "sink" + std::to_string(identifier);
  if (identifier <= kSinks + kSources) return "source" + std::to_string(identifier);
  return "extra" + std::to_string(identifier);
}

// The sinks and sources are in every config, whatever else is.
class Configs {
 public:
  explicit Configs(Random& random) : random_(random) {}

  M3uaConfig next() {
    M3uaConfig config;
    config.drain_messages_per_ms_max = 3 + random_.below(3);
    config.heartbeat_interval = random_.below(4) == 0 ? 1h : 0s;
    config.destination_report_interval = random_.below(2) == 0 ? 0s : 1s;
    std::set<std::string> asps;
    ApplicationServerConfig sinks = server("sinks", kSinkContext);
    for (std::uint32_t n = 1; n <= kSinks; ++n) sinks.asps.push_back(name_of_asp(n));
    sinks.active_asps_min = 1 + random_.below(2);
    config.application_servers.push_back(sinks);
    ApplicationServerConfig sources = server("sources", kSourceContext);
    for (std::uint32_t n = 1; n <= kSources; ++n) sources.asps.push_back(name_of_asp(kSinks + n));
    config.application_servers.push_back(sources);
    config.routes.push_back({kSinkCode, {}, {}, {}, "sinks"});
    for (std::uint32_t n = 0; n < kExtraServers; ++n) {
      if (random_.below(3) != 0) add_extra(config, n);
    }
    for (std::uint32_t n = 0; n < kExtraRoutes; ++n) {
      if (random_.below(2) == 0) config.routes.push_back({kRouteCode + n, {}, {}, {}, "sinks"});
    }
    for (const auto& as : config.application_servers) asps.insert(as.asps.begin(), as.asps.end());
    for (std::uint32_t n = 1; n <= kAsps; ++n) {
      if (asps.contains(name_of_asp(n))) config.asps.push_back({name_of_asp(n), n});
    }
    if (random_.below(2) == 0) std::ranges::reverse(config.asps);
    if (random_.below(2) == 0) std::ranges::reverse(config.application_servers);
    if (random_.below(2) == 0) std::ranges::reverse(config.routes);
    EXPECT_TRUE(check(config));
    return config;
  }

 private:
  ApplicationServerConfig server(std::string name, std::uint32_t context) {
    ApplicationServerConfig as;
    as.name = std::move(name);
    as.routing_context = context;
    as.recovery_timeout = random_.below(2) == 0 ? 10s : 20s;
    as.pending_messages_max = 1'000'000;
    return as;
  }
  // Of ASPs that come and go, and of sinks too.
  void add_extra(M3uaConfig& config, std::uint32_t n) {
    ApplicationServerConfig as = server("extra" + std::to_string(n), kExtraContext + n);
    std::vector<std::uint32_t> candidates = {1, 2};
    for (std::uint32_t i = 1; i <= kExtraAsps; ++i) candidates.push_back(kSinks + kSources + i);
    for (const std::uint32_t identifier : candidates) {
      if (random_.below(2) == 0) as.asps.push_back(name_of_asp(identifier));
    }
    if (as.asps.empty()) return;
    if (as.asps.size() == 1 && random_.below(2) == 0) as.traffic_mode = TrafficMode::override_mode;
    if (random_.below(2) == 0) as.recovery_timeout = 2ms;
    config.application_servers.push_back(as);
    if (random_.below(4) != 0) config.routes.push_back({kServerCode + n, {}, {}, {}, as.name});
  }

  Random& random_;
};

// What was sent and what arrived.
class Ledger {
 public:
  struct Flow {
    std::uint32_t opc = 0, dpc = 0;
    unsigned sls = 0;
    auto operator<=>(const Flow&) const = default;
  };

  std::uint32_t next(const Flow& flow) {
    ++sent;
    return ++flows_[flow].sent;
  }
  void arrive(AssociationId at, const MessageView& message) {
    const Bytes data = *message.find(Tag::protocol_data);
    const Flow flow{load_u32(data.data()), load_u32(data.data() + 4),
                    std::to_integer<unsigned>(data[11])};
    const std::uint32_t number = load_u32(data.data() + 12);
    ++arrived;
    Fate& fate = flows_[flow];
    if (!fate.numbers.insert(number).second) complain(flow, number, "twice");
    // Where the AS may be another one, only within it.
    std::uint32_t& last =
        last_[{flow, flow.dpc < kServerCode || flow.dpc >= kRouteCode ? AssociationId::none : at}];
    if (number < last) complain(flow, number, "after " + std::to_string(last));
    last = number;
  }
  // Of flows that no config concerns nothing may be missing.
  void judge() {
    for (const auto& [flow, fate] : flows_) {
      if (flow.dpc == kSinkCode && fate.numbers.size() != fate.sent) {
        complain(flow, fate.sent, "sent, " + std::to_string(fate.numbers.size()) + " arrived");
      }
    }
  }
  std::uint64_t sent = 0, arrived = 0;
  std::string trouble;

 private:
  struct Fate {
    std::uint32_t sent = 0;
    std::set<std::uint32_t> numbers;
  };
  void complain(const Flow& flow, std::uint32_t number, const std::string& what) {
    if (!trouble.empty()) return;
    trouble = "flow " + std::to_string(flow.opc) + " -> " + std::to_string(flow.dpc) + " SLS " +
              std::to_string(flow.sls) + ": " + std::to_string(number) + " " + what;
  }

  std::map<Flow, Fate> flows_;
  std::map<std::pair<Flow, AssociationId>, std::uint32_t> last_;
};

class Schedule {
 public:
  explicit Schedule(std::uint64_t seed)
      : random_(seed),
        configs_(random_),
        shard_count_(1 + random_.below(3)),
        module_(configs_.next()),
        peers_(peers_of(module_.gateway()->config)) {
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
    settle();
  }

  void play(unsigned events) {
    for (unsigned i = 0; i < events && ledger_.trouble.empty(); ++i) {
      now_ += 100us;
      const auto what = random_.below(100);
      if (what < 40) {
        send();
      } else if (what < 78) {
        any().shard->run_mailbox(now_, 1 + random_.below(3));
      } else if (what < 84) {
        ask(any_end());
      } else if (what < 88) {
        move(any_end());
      } else if (what < 89) {
        lose(any_end());
      } else if (what < 91) {
        order(1 + static_cast<std::uint32_t>(random_.below(kAsps)));
      } else if (what < 96) {
        revise();
      } else {
        run_due();
        tend(any_end());
      }
    }
  }

  // Nobody is blocked any more, every ASP comes up and active wherever the config has it, and all
  // that is under way arrives.
  void settle() {
    for (std::uint32_t n = 1; n <= kAsps; ++n) set_blocked(n, false);
    for (unsigned quiet = 0; quiet < 400 && !settled();) {
      now_ += 1ms;
      const std::uint64_t before = ledger_.arrived;
      for (unsigned turns = 0; turns < 4; ++turns) {
        for (auto& node : nodes_) node->shard->run_mailbox(now_);
      }
      run_due();
      for (std::uint32_t n = 1; n <= kAsps; ++n) {
        tend(n);
        come_to_rest(n);
      }
      if (step_ != Step::none) revise();
      quiet = before == ledger_.arrived ? quiet + 1 : 0;
    }
  }

  void check() {
    ledger_.judge();
    ASSERT_EQ(ledger_.trouble, "");
    ASSERT_EQ(step_, Step::none);
    ASSERT_FALSE(directory_.diverting()) << "a diversion that never ended";
    ASSERT_EQ(unaccounted(), 0);
    ASSERT_TRUE(all_have_their_way()) << states();
    ASSERT_EQ(coordinators(), module_.gateway()->config.application_servers.size());
    ASSERT_EQ(misinformed(), "");
    ASSERT_FALSE(anything_paused());
  }
  std::uint64_t count(Counter counter) const {
    std::uint64_t n = 0;
    for (const auto& node : nodes_) n += node->counters.get(counter);
    return n;
  }
  std::uint64_t dropped(std::string_view reason) const {
    std::uint64_t n = 0;
    for (const auto& node : nodes_) {
      node->shard->drops().visit(
          [&](std::string_view why, const std::string&, const Drops::Row& row) {
            n += why == reason ? row.count : 0;
          });
    }
    return n;
  }
  const Ledger& ledger() const { return ledger_; }
  std::uint64_t revisions() const { return revision_; }

 private:
  struct Node {
    Wire wire;
    Counters counters;
    std::unique_ptr<Shard> shard;
    bool told = false;  // of a step of the revision, and has not taken it yet
  };
  // What is under way of a revision.
  enum class Step { none, adding, following };

  static PeerTable peers_of(const M3uaConfig& config) {
    std::vector<PeerConfig> peers;
    for (const AspConfig& asp : config.asps) {
      peers.emplace_back();
      peers.back().name = asp.name;
    }
    return PeerTable(std::move(peers), AdmissionConfig{false, 1h, 1000});
  }

  Node& any() { return *nodes_[random_.below(nodes_.size())]; }
  std::uint32_t any_end() { return 1 + static_cast<std::uint32_t>(random_.below(kAsps)); }
  // nullptr: on its way.
  Node* home_of(AssociationId id) {
    for (auto& node : nodes_) {
      if (node->wire.lines.contains(id)) return node.get();
    }
    return nullptr;
  }
  Node* home_of(std::uint32_t identifier) { return home_of(ends_[identifier]); }
  void run_due() {
    for (auto& node : nodes_) node->shard->run_due(now_);
  }
  bool is_configured(std::uint32_t identifier) const {
    return module_.gateway()->find_asp(identifier) != nullptr;
  }

  // --- Revisions, one after the other, as the runtime makes them ---
  void revise() {
    if (std::ranges::any_of(nodes_, [](auto& node) { return node->told; })) return;
    switch (step_) {
      case Step::none:
        return begin_revision();
      case Step::adding:
        step_ = Step::following;
        return tell_all([this](Shard& shard) { shard.follow(revised_, now_); });
      case Step::following:
        step_ = Step::none;
        return;
    }
  }
  void begin_revision() {
    const M3uaConfig next = configs_.next();
    auto change = std::make_shared<RevisionChange>();
    change->modules = {&module_};
    for (const AspConfig& asp : module_.gateway()->config.asps) {
      if (std::ranges::find(next.asps, asp.name, &AspConfig::name) == next.asps.end()) {
        change->peers[{&module_, asp.name}] = PeerChange::removed;
      }
    }
    auto revision = std::make_shared<Revision>();
    revision->number = 1 + ++revision_;
    revision->peers = peers_of(next);
    revised_ = {std::move(revision), std::move(change)};
    module_.prepare(next);
    step_ = Step::adding;
    tell_all([this](Shard& shard) { module_.add_application_servers(shard, shard_count_, now_); });
  }
  template <class What>
  void tell_all(What what) {
    for (auto& node : nodes_) {
      node->told = true;
      node->shard->mailbox().post_control(Call{[&node = *node, what] {
        node.told = false;
        what(*node.shard);
      }});
    }
  }

  // --- What happens to ASPs ---
  void connect(std::uint32_t identifier) {
    const AssociationId id = ends_[identifier] = next_association_id();
    told_[identifier].clear();
    Node& node = any();
    node.wire.lines[id] = std::make_unique<Wire::Line>(id, random_.below(2) == 0, sent_);
    AssociationUp up;
    up.local = EndpointId{1};
    up.remote_addresses = {"10.0.0.1"};
    up.streams_in = up.streams_out = 8;
    node.shard->on_event(id, up, now_);
  }
  void lose(std::uint32_t identifier) {
    Node* node = home_of(identifier);
    if (node == nullptr) return;
    const AssociationId id = std::exchange(ends_[identifier], AssociationId::none);
    node->wire.lines.erase(id);
    node->shard->on_event(id, AssociationDown{}, now_);
  }
  // Buries what was closed, and connects who has a place.
  void tend(std::uint32_t identifier) {
    if (Node* node = home_of(identifier)) {
      if (node->wire.lines.at(ends_[identifier])->closed) lose(identifier);
    }
    if (ends_[identifier] == AssociationId::none && is_configured(identifier)) connect(identifier);
  }
  void move(std::uint32_t identifier) {
    if (Node* node = home_of(identifier)) {
      node->shard->move(ends_[identifier], static_cast<ShardId>(random_.below(shard_count_)), now_);
    }
  }
  void order(std::uint32_t identifier) { set_blocked(identifier, random_.below(2) == 0); }
  void set_blocked(std::uint32_t identifier, bool blocked) {
    const std::string name = name_of_asp(identifier);
    StandingOrders orders = directory_.orders_of(&module_, name);
    orders.blocked = blocked;
    directory_.order(&module_, name, orders);
    for (auto& node : nodes_) {
      node->shard->order({&module_, name}, blocked ? PeerOrder::block : PeerOrder::unblock, "test",
                         now_);
    }
  }

  // --- What ASPs say ---
  bool may_speak(std::uint32_t identifier) {
    Node* node = home_of(identifier);
    if (node == nullptr) return false;
    const Wire::Line& line = *node->wire.lines.at(ends_[identifier]);
    return !line.paused && !line.closed;  // else the peer has to wait
  }
  void say(std::uint32_t identifier, Buffer payload, StreamId stream) {
    if (!may_speak(identifier)) return;
    Message message;
    message.stream = stream;
    message.payload = std::move(payload);
    home_of(identifier)
        ->shard->on_event(ends_[identifier], AssociationReceived{std::move(message)}, now_);
  }
  void say(std::uint32_t identifier, MessageType type) {
    MessageBuilder builder(buffers_, type);
    if (type == MessageType::aspup) builder.u32(Tag::asp_identifier, identifier);
    say(identifier, std::move(builder).finish(), StreamId{0});
  }
  void ask(std::uint32_t identifier) {
    static constexpr std::array kRequests{MessageType::aspac, MessageType::aspac,
                                          MessageType::aspia, MessageType::aspup,
                                          MessageType::aspdn};
    for (auto n = 1 + random_.below(4); n > 0; --n) {
      say(identifier, kRequests[random_.below(kRequests.size())]);
    }
  }
  void send() {
    const auto source = static_cast<std::uint32_t>(kSinks + 1 + random_.below(kSources));
    // What is refused because the source is inactive is nobody's business here.
    if (!may_speak(source) || !status_of(source).starts_with("ASP-ACTIVE")) return;
    const std::array<std::uint32_t, 3> codes{
        kSinkCode, kServerCode + static_cast<std::uint32_t>(random_.below(kExtraServers)),
        kRouteCode + static_cast<std::uint32_t>(random_.below(kExtraRoutes))};
    const std::uint32_t dpc = codes[random_.below(codes.size())];
    const auto sls = static_cast<std::uint8_t>(random_.below(kLabels));
    std::array<std::byte, 4> number{};
    store_u32(number.data(), ledger_.next({source, dpc, sls}));
    MessageBuilder builder(buffers_, MessageType::data);
    builder.u32(Tag::routing_context, kSourceContext);
    builder.protocol_data({source, dpc, 3, 2, 0, sls}, number);
    say(source, std::move(builder).finish(), StreamId{1});
  }
  void come_to_rest(std::uint32_t identifier) {
    const std::string status = status_of(identifier);
    if (status.starts_with("ASP-DOWN")) say(identifier, MessageType::aspup);
    if (status.find("ASP-INACTIVE") != std::string::npos) say(identifier, MessageType::aspac);
  }

  // --- What has become of it ---
  // "ASP-ACTIVE: sinks ASP-ACTIVE, extra1 ASP-INACTIVE"
  std::string status_of(std::uint32_t identifier) {
    Node* node = home_of(identifier);
    std::string text;
    if (node == nullptr) return text;
    node->shard->visit_sessions([&](const SessionView& view) {
      if (view.id != ends_[identifier]) return;
      const SessionStatus status = view.session->status();
      text = std::string(status.state) + ": " + status.detail;
    });
    return text;
  }
  bool all_have_their_way() {
    const auto gateway = module_.gateway();
    for (std::uint32_t n = 1; n <= kAsps; ++n) {
      if (!is_configured(n)) {
        if (ends_[n] != AssociationId::none) return false;
        continue;
      }
      std::string expected;
      for (const std::size_t as : gateway->servers_of(name_of_asp(n))) {
        if (status_of(n).find(gateway->servers[as].config.name + " ASP-ACTIVE") ==
            std::string::npos) {
          return false;
        }
        expected += ", ";
      }
      const std::string status = status_of(n);
      if (!status.starts_with("ASP-ACTIVE") ||
          static_cast<std::size_t>(std::ranges::count(status, ',')) * 2 + 2 != expected.size()) {
        return false;
      }
    }
    return true;
  }
  std::string states() {
    std::string all;
    for (std::uint32_t n = 1; n <= kAsps; ++n) all += name_of_asp(n) + " " + status_of(n) + "\n";
    for (const auto& server : module_.gateway()->servers) {
      all += server.config.name + (server.removed ? " removed\n" : ":");
      for (const auto& asp : server.config.asps) all += " " + asp;
      if (!server.removed) all += "\n";
    }
    return all;
  }
  std::size_t coordinators() const {
    std::size_t n = 0;
    for (const auto& node : nodes_) {
      node->shard->visit_sessions([&](const SessionView& view) { n += view.coordinator ? 1 : 0; });
    }
    return n;
  }
  bool anything_paused() const {
    for (const auto& node : nodes_) {
      for (const auto& [id, line] : node->wire.lines) {
        if (line->paused) return true;
      }
    }
    return false;
  }
  // What a source heard last of a destination must be so.
  std::string misinformed() {
    const auto routes = module_.routes();
    for (std::uint32_t n = kSinks + 1; n <= kSinks + kSources; ++n) {
      for (const auto& [dpc, available] : told_[n]) {
        if (available == routes->available(module_.gateway()->rules, {}, dpc)) continue;
        return name_of_asp(n) + " was told last that " + std::to_string(dpc) + " is " +
               (available ? "available" : "unavailable");
      }
    }
    return {};
  }
  std::int64_t unaccounted() const {
    return static_cast<std::int64_t>(
        ledger_.sent - ledger_.arrived - count(counter::data_discarded) -
        count(counter::data_unroutable) - count(siglane::counter::parcels_lost));
  }
  bool settled() {
    return step_ == Step::none && unaccounted() == 0 && !directory_.diverting() &&
           all_have_their_way() && !anything_paused() &&
           std::ranges::all_of(nodes_, [](auto& node) { return node->shard->mailbox().empty(); });
  }
  void on_sent(AssociationId on, const MessageView& message) {
    if (message.type() == MessageType::data) return ledger_.arrive(on, message);
    const auto end = std::ranges::find(ends_, on);
    if (end == ends_.end()) return;
    auto& told = told_[static_cast<std::size_t>(end - ends_.begin())];
    switch (message.type()) {
      case MessageType::duna:
      case MessageType::dava:
        break;
      case MessageType::aspup_ack:
      case MessageType::aspdn_ack:
      case MessageType::aspia_ack:
        return told.clear();  // while it is inactive it is told nothing
      default:
        return;
    }
    for (const std::uint32_t word : message.list(Tag::affected_point_code)) {
      told[AffectedPointCode::unpack(word).point_code] = message.type() == MessageType::dava;
    }
  }

  Random random_;
  Configs configs_;
  Ledger ledger_;
  const Wire::Sent sent_ = [this](AssociationId on, const MessageView& message) {
    on_sent(on, message);
  };
  std::size_t shard_count_;
  M3uaModule module_;
  PeerTable peers_;
  Directory directory_;
  NoFacts facts_;
  BufferPool buffers_;
  Instant now_{1s};
  std::vector<std::unique_ptr<Node>> nodes_;
  std::array<AssociationId, kAsps + 1> ends_{};                // by ASP identifier
  std::array<std::map<std::uint32_t, bool>, kAsps + 1> told_;  // available, as heard last

  Step step_ = Step::none;
  std::uint64_t revision_ = 0;
  Revised revised_;
};

TEST(M3uaRevisions, DisturbNoFlowThatTheyDoNotConcern) {
  const std::uint64_t schedules = test::long_run() ? 200'000 : 10'000;
  std::uint64_t moves = 0, revisions = 0, sent = 0, arrived = 0, ended = 0;
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    Schedule run(seed);
    run.play(600);
    run.settle();
    run.check();
    if (HasFatalFailure()) FAIL() << "seed " << seed;
    moves += run.count(siglane::counter::moves);
    revisions += run.revisions();
    sent += run.ledger().sent;
    arrived += run.ledger().arrived;
    ended += run.dropped("m3ua.as_removed");
  }
  // The schedules do what they are for.
  EXPECT_GT(moves, schedules / 2);
  EXPECT_GT(revisions, 3 * schedules);
  EXPECT_GT(arrived, sent / 2);
  EXPECT_GT(ended, schedules / 10);
}

}  // namespace
}  // namespace siglane::m3ua
