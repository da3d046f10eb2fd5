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
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/m3ua_shards.h"
#include "tests/support/seeds.h"

namespace siglane::m3ua {
namespace {

constexpr std::size_t kSources = 2, kSinks = 3, kExtraAsps = 2, kExtraServers = 3, kExtraRoutes = 2;
constexpr std::size_t kAsps = kSources + kSinks + kExtraAsps;
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

class Schedule : public M3uaShards {
 public:
  explicit Schedule(std::uint64_t seed) : M3uaShards(seed, kAsps), configs_(random_) {
    const std::size_t shards = 1 + random_.below(3);
    const M3uaConfig config = configs_.next();
    open(shards, config, kAdmission, draw_mailbox(2));
    settle();
  }

  void play(unsigned events) {
    for (unsigned i = 0; i < events && ledger_.trouble.empty(); ++i) {
      now_ += 100us;
      const auto what = random_.below(100);
      if (what < 40) {
        send_data();
      } else if (what < 78) {
        any().shard->run_mailbox(now_, 1 + random_.below(3));
      } else if (what < 84) {
        const std::uint32_t asp = any_end();
        ask_anything(asp, 1 + random_.below(4));
      } else if (what < 88) {
        move_anywhere(ends_[any_end()]);
      } else if (what < 89) {
        lose(any_end());
      } else if (what < 91) {
        const std::uint32_t asp = any_end();
        set_blocked(asp, random_.below(2) == 0);
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
    come_to_rest([&] { return settled(); },
                 [&] {
                   for (std::uint32_t n = 1; n <= kAsps; ++n) {
                     tend(n);
                     come_up_and_active(n);
                   }
                   if (step_ != Step::none) revise();
                 });
  }

  void check() {
    // One may meet five ASPs, one after another, that have just become inactive: then it is given
    // up, which is no doing of a revision.
    ledger_.expect_all_of(kSinkCode, count(siglane::counter::parcels_exhausted));
    ASSERT_EQ(ledger_.trouble, "");
    ASSERT_EQ(step_, Step::none);
    ASSERT_FALSE(directory_.diverting()) << "a diversion that never ended";
    ASSERT_EQ(unaccounted(), 0);
    ASSERT_TRUE(all_have_their_way()) << states();
    ASSERT_EQ(coordinators(), module_->gateway()->config.application_servers.size());
    ASSERT_EQ(misinformed(), "");
    ASSERT_FALSE(anything_paused());
  }
  std::uint64_t revisions() const { return revision_; }

 private:
  // What is under way of a revision.
  enum class Step { none, adding, following };

  std::uint32_t any_end() { return any_asp(1, kAsps); }
  bool is_configured(std::uint32_t asp) const {
    return module_->gateway()->find_asp(asp) != nullptr;
  }

  // --- Revisions, one after the other, as the runtime makes them ---
  void revise() {
    if (!untold_.empty()) return;
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
    change->modules = {module_};
    for (const AspConfig& asp : module_->gateway()->config.asps) {
      if (std::ranges::find(next.asps, asp.name, &AspConfig::name) == next.asps.end()) {
        change->peers[{module_, asp.name}] = PeerChange::removed;
      }
    }
    auto revision = std::make_shared<Revision>();
    revision->number = 1 + ++revision_;
    revision->peers = PeerTable(peers_of(next), kAdmission);
    revised_ = {std::move(revision), std::move(change)};
    module_->prepare(next);
    step_ = Step::adding;
    tell_all(
        [this](Shard& shard) { module_->add_application_servers(shard, nodes_.size(), now_); });
  }
  template <class What>
  void tell_all(What what) {
    for (auto& node : nodes_) {
      Shard& shard = *node->shard;
      untold_.insert(&shard);
      shard.mailbox().post_control(Call{[this, &shard, what] {
        untold_.erase(&shard);
        what(shard);
      }});
    }
  }

  // --- What happens to ASPs ---
  // Buries what was closed, and connects who has a place.
  void tend(std::uint32_t asp) {
    if (was_closed(asp)) lose(asp);
    if (ends_[asp] != AssociationId::none || !is_configured(asp)) return;
    told_[asp].clear();
    connect(asp);
  }
  void set_blocked(std::uint32_t asp, bool blocked) {
    const std::string name = name_of_asp(asp);
    StandingOrders orders = directory_.orders_of(module_, name);
    orders.blocked = blocked;
    directory_.order(module_, name, orders);
    for (auto& node : nodes_) {
      node->shard->order({module_, name}, blocked ? PeerOrder::block : PeerOrder::unblock, "test",
                         now_);
    }
  }
  void send_data() {
    const std::uint32_t source = any_asp(kSinks + 1, kSources);
    // What is refused because the source is inactive is nobody's business here.
    if (!may_speak(source) || !is_active(source)) return;
    const std::array<std::uint32_t, 3> codes{
        kSinkCode, kServerCode + static_cast<std::uint32_t>(random_.below(kExtraServers)),
        kRouteCode + static_cast<std::uint32_t>(random_.below(kExtraRoutes))};
    send(source, kSourceContext, codes[random_.below(codes.size())]);
  }
  void come_up_and_active(std::uint32_t asp) {
    const std::string status = status_of(asp);
    if (status.starts_with("ASP-DOWN")) say(asp, MessageType::aspup);
    if (status.find("ASP-INACTIVE") != std::string::npos) say(asp, MessageType::aspac);
  }

  // --- What has become of it ---
  bool all_have_their_way() {
    const auto gateway = module_->gateway();
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
    for (const auto& server : module_->gateway()->servers) {
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
  // What a source heard last of a destination must be so.
  std::string misinformed() {
    const auto routes = module_->routes();
    for (std::uint32_t n = kSinks + 1; n <= kSinks + kSources; ++n) {
      for (const auto& [dpc, available] : told_[n]) {
        if (available == routes->available(module_->gateway()->rules, {}, dpc)) continue;
        return name_of_asp(n) + " was told last that " + std::to_string(dpc) + " is " +
               (available ? "available" : "unavailable");
      }
    }
    return {};
  }
  bool settled() {
    return step_ == Step::none && unaccounted() == 0 && !directory_.diverting() &&
           all_have_their_way() && !anything_paused() &&
           std::ranges::all_of(nodes_, [](auto& node) { return node->shard->mailbox().empty(); });
  }
  void on_sent(AssociationId on, const MessageView& message) override {
    if (message.type() == MessageType::data) {
      // Where the AS may be another one, order holds only within it.
      const std::uint32_t dpc = Ledger::flow_of(message).dpc;
      const bool one_server = dpc < kServerCode || dpc >= kRouteCode;
      return ledger_.arrive(message, one_server ? AssociationId::none : on);
    }
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

  static constexpr AdmissionConfig kAdmission{false, 1h, 1000};

  Configs configs_;
  std::array<std::map<std::uint32_t, bool>, kAsps + 1> told_;  // available, as heard last
  Step step_ = Step::none;
  std::uint64_t revision_ = 0;
  Revised revised_;
  std::set<const Shard*> untold_;  // of that step
};

TEST(M3uaRevisions, DisturbNoFlowThatTheyDoNotConcern) {
  const std::uint64_t schedules = test::long_run() ? 1'000'000 : 10'000;
  std::uint64_t moves = 0, revisions = 0, sent = 0, arrived = 0, ended = 0, given_up = 0;
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
    given_up += run.count(siglane::counter::parcels_exhausted);
  }
  // The schedules do what they are for.
  EXPECT_GT(moves, schedules / 2);
  EXPECT_GT(revisions, 3 * schedules);
  EXPECT_GT(arrived, sent / 2);
  EXPECT_GT(ended, schedules / 10);
  EXPECT_LE(given_up, test::long_run() ? schedules / 1000 : 0);
}

}  // namespace
}  // namespace siglane::m3ua
