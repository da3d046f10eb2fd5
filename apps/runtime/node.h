#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "apps/runtime/config.h"
#include "apps/runtime/store_thread.h"
#include "core/counters.h"
#include "core/module.h"
#include "core/move_refusal.h"
#include "core/peer_table.h"
#include "core/result.h"
#include "core/revision.h"
#include "core/shard.h"

namespace siglane::transport {
class Loop;
struct TransportOptions;
}  // namespace siglane::transport

namespace siglane::runtime {

struct AdminSecrets;
struct Credentials;
class FactLog;
class Node;
class SideThread;
class Supervisor;

// What a set-up function gets for each shard, before any endpoint is open and any thread runs.
struct ShardSetUp {
  Shard& shard;
  std::size_t shards;  // of the node
  std::uint64_t seed;  // for the coordinators' own randomness
  Instant now;
};

// What a running node is to be from now on (Node::reconfigure).
struct Reconfiguration {
  NodeConfig config;
  std::vector<ProtocolModule*> modules;  // whose config has changed; they have the new one
  // Peers of `config` whose associations are to be made anew, for what their protocol knows of
  // them. What Node sees itself (addresses, where we connect from) need not be named.
  std::set<std::string> reconnected;
  // On each shard's thread, before any shard follows the new config: new coordinators. May be
  // empty.
  std::function<void(const ShardSetUp&)> on_shard;
};

// What came of a reload, or would come of it.
struct ReloadOutcome {
  bool good = false;
  bool dry_run = false;
  std::uint64_t revision = 0;  // that holds from now on, or would
  std::string text;            // what changes, or what is wrong: lines
};

// From a config, protocol modules and applications to a running node. A daemon's main is
// run_daemon() (daemon.h), which reads the config and calls this; without a daemon around it:
//
//   NodeConfig config = ...;                       // read, or filled in by hand
//   NodeBuilder builder(std::move(config));
//   auto& diameter = builder.add_module(std::make_unique<diameter::DiameterModule>(d));
//   builder.use_store(std::make_unique<MyStore>());                       // optional
//   builder.on_shard([&](const ShardSetUp& at) -> Result<void> {
//     const AssociationId id = at.shard.add_coordinator(
//         std::make_unique<MyApplication>(diameter, at.seed), diameter, at.now);
//     diameter.add_application(at.shard.id(), diameter::application::s6a, id);
//     return {};
//   });
//   Result<std::unique_ptr<Node>> node = std::move(builder).build();      // endpoints are open
//   if (!node) return complain(node.error().what);
//   return (*node)->run();                         // until a signal, or stop() from any thread
class NodeBuilder {
 public:
  explicit NodeBuilder(NodeConfig config);
  ~NodeBuilder();
  NodeBuilder(const NodeBuilder&) = delete;
  NodeBuilder& operator=(const NodeBuilder&) = delete;

  // A protocol; the endpoints and peers whose `module` is its name() are its. Lives as long as the
  // node.
  template <class Module>
  Module& add_module(std::unique_ptr<Module> module) {
    Module& added = *module;
    modules_.push_back(std::move(module));
    return added;
  }
  // Answers Ask, on a thread of its own. Without it every Ask is refused.
  void use_store(std::unique_ptr<Store> store, StoreThreadConfig config = {});
  void on_shard(std::function<Result<void>(const ShardSetUp&)> set_up);
  // Reads the config again, tells the node to follow it (Node::reconfigure), and says what came of
  // it; where it is a dry run, only what would. Called on the node's thread, one after another.
  using Reload =
      std::function<void(Node&, bool dry_run, std::function<void(const ReloadOutcome&)> then)>;
  void on_reload(Reload reload) { reload_ = std::move(reload); }
  // A warning for the operator, when the node starts.
  void warn(std::string text) { warnings_.push_back(std::move(text)); }
  // Signals are left to the caller, and nothing is logged: for nodes within a test or a
  // larger program.
  void embed() { embedded_ = true; }

  // Signals are left to the caller: for programs that have something to finish first.
  void leave_signals() { signals_left_ = true; }

  // Opens the endpoints and the admin socket, and begins to connect. An error names what could not
  // be had and what to do.
  Result<std::unique_ptr<Node>> build() &&;

 private:
  friend class Node;

  NodeConfig config_;
  std::vector<std::unique_ptr<ProtocolModule>> modules_;
  std::unique_ptr<Store> store_;
  StoreThreadConfig store_config_;
  std::vector<std::function<Result<void>(const ShardSetUp&)>> set_ups_;
  std::vector<std::string> warnings_;
  Reload reload_;
  bool embedded_ = false;
  bool signals_left_ = false;
};

// How run() ended; a daemon's exit status.
enum class NodeExit { graceful = 0, abandoned = 3 };

class Node {
 public:
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Until stop(), SIGTERM or SIGINT; then until every association is down, or the grace is over and
  // the rest was aborted (`abandoned`). A second signal ends the process at once. On any one
  // thread, which is the node's and shard 0's from then on; the other shards have threads of their
  // own as long as this runs.
  NodeExit run();
  // One turn of shard 0's loop instead, for nodes that take turns on one thread; `wait`: until
  // something happens. A value: the node has stopped.
  std::optional<NodeExit> turn(bool wait);
  // Begins the graceful stop. Any thread, also before run(); idempotent.
  void stop();
  // What SIGHUP and `siglanectl reload` do: the config is read again by whoever has said how
  // (on_reload), and what has changed is followed; certificates and keys are read again in any
  // case, for connections to come. Nothing changes where the config is wrong. Where nobody has said
  // how, it is only the certificates. `then` hears what came of it, on the node's thread; the log
  // says it too. Any thread.
  void reload(bool dry_run = false, std::function<void(const ReloadOutcome&)> then = {});
  // Follows a new config: peers, links, admission, peel-off limits, back-off, stop_grace, log
  // level, and of the endpoints that exist their TLS, limits and options. Everything else stays as
  // it is, whatever the next one says. What has not changed notices nothing. In two steps, so that
  // no loop waits for what takes long with many peers:
  // 1. On any thread. The error: certificates that cannot be used. The same node must not be
  //    reconfigured by another one before this one is followed.
  struct NextRevision;
  Result<std::shared_ptr<NextRevision>> build_revision(Reconfiguration next) const;
  // 2. On the node's thread, while it runs, one after another: `then`, on that thread, once every
  //    shard follows.
  void reconfigure(std::shared_ptr<NextRevision> next,
                   std::function<void(std::uint64_t revision)> then);
  // Both at once.
  void reconfigure(Reconfiguration next, std::function<void(std::uint64_t revision)> then);
  // What the operator asks of a peer. Any thread. `then` hears how many associations that
  // concerned, or nothing: no such peer is configured, here, or under orders; on the node's thread.
  void order(const std::string& peer, PeerOrder order,
             std::function<void(std::optional<std::size_t>)> then = {});
  void set_log_level(LogLevel level);
  // Certificates and keys are read again, beside the loops, for connections to come. Where they
  // cannot be used, the old ones stay, and a warning says so. On the node's thread.
  void reload_credentials();
  // What was read of the endpoints' files holds for connections to come. Any thread.
  void use_credentials(const Credentials& credentials);
  // `what` soon, on the node's own thread. Any thread, as long as the node exists.
  void call(std::function<void()> what);

  // On the node's own thread, or while it does not run:
  const NodeConfig& config() const { return *config_; }
  // The same, to keep.
  std::shared_ptr<const NodeConfig> shared_config() const { return config_; }
  const PeerTable& peers() const { return revised_.revision->peers; }
  std::uint64_t revision() const { return revised_.revision->number; }
  const std::vector<std::unique_ptr<ProtocolModule>>& modules() const { return modules_; }
  ProtocolModule* module(std::string_view name) const;
  // The one of that class; nullptr: the node has none.
  template <class Module>
  const Module* find_module() const {
    for (const auto& one : modules_) {
      if (const auto* found = dynamic_cast<const Module*>(one.get())) return found;
    }
    return nullptr;
  }
  PeerPast past_of(const NodePeer& peer) const;
  // Since when it is configured.
  std::int64_t configured_unix_ms(const std::string& peer) const;
  // Empty: none is called so.
  std::string endpoint_name(EndpointId id) const;
  // Shard 0's: for the application's own timers.
  transport::Loop& loop();
  Shard& shard();
  std::optional<EndpointId> endpoint(std::string_view name) const;
  // `each` on every shard's thread, one after another, then `then` on the node's own. With one
  // shard all of it before this returns; where the node stops meanwhile, perhaps never.
  void on_each_shard(std::function<void(const Shard&, const Transport&)> each,
                     std::function<void()> then);
  // The same for what has many parts, so that no loop stalls. `begin` makes a step, which sees to
  // one part each time that it is called, and returns false when there are no more. A walk begins
  // with a slice of 50 microseconds on that shard's thread. Further slices of all walks there take
  // turns, one in each millisecond.
  using WalkStep = std::function<bool()>;
  using WalkBegin = std::function<WalkStep(const Shard&, const Transport&)>;
  void walk(WalkBegin begin, std::function<void()> then);
  // The same for what moves from shard to shard: it would be missed if it went from one that is yet
  // to be visited to one that has been. So if anything has moved meanwhile all shards are visited
  // once more, at most three times, and most of what is there is seen again.
  void walk_what_moves(WalkBegin begin, std::function<void()> then);
  // `work` on a thread of its own, one after another; then `then` on the node's. Neither runs any
  // more once the node is destroyed, so the work may read what any thread may read of it.
  void beside(std::function<void()> work, std::function<void()> then);

  // Destroys what is large, and nobody else has, beside the loops. On the node's thread.
  void discard(std::shared_ptr<const void> what);

  // Any thread.
  // Moves it soon, if it can be done then. `then` hears whether it was, and if not, why: on the
  // thread of the shard where the association lives; if there is none, on the caller's, before this
  // returns. For tools; loud ones move by themselves.
  void move(AssociationId id, ShardId to,
            std::function<void(tl::expected<void, MoveRefusal>)> then = {});
  StandingOrders orders_of(const ProtocolModule* module, const std::string& peer) const;
  std::uint64_t count(Counter counter) const;  // of all shards, of the store and the admin API
  std::size_t associations() const { return directory_.associations(); }
  const FactLog& facts() const { return *facts_; }
  std::int64_t started_unix_ms() const { return started_unix_ms_; }

 private:
  friend class NodeBuilder;
  class Admin;
  struct ShardRuntime;
  struct Signals;
  struct Moves;
  struct Walk;

  explicit Node(NodeConfig config);
  Result<void> start(NodeBuilder& builder);
  Result<void> make_shard(ShardId id, std::uint64_t seed,
                          const transport::TransportOptions& options);
  Result<void> open_endpoints();
  Result<EndpointId> open_everywhere(EndpointConfig endpoint, ProtocolModule& module);
  std::size_t shards_of(const EndpointConfig& endpoint) const;
  std::size_t sockets_for_a_crowd(const EndpointConfig& endpoint) const;
  void warn_of_a_crowd(const std::string& endpoint, std::size_t sockets);
  Result<void> connect_peers();
  Result<void> start_admin();
  void end_admin();
  void use_admin_tokens(const AdminSecrets& secrets);
  // nullptr: there can be none now.
  SideThread* side_thread();
  void limit_newcomers();
  Result<void> watch_signals();
  bool has_credentials() const;
  void begin_stop(std::string_view why);
  void tell_supervisor();
  void say(std::string_view text, Severity severity = Severity::info);
  std::string what_runs() const;
  void walk_on(std::size_t index, std::shared_ptr<Walk> walk);
  void take_slice(std::size_t index, std::shared_ptr<Walk> walk);
  void end_round(std::shared_ptr<Walk> walk);
  void visit_shard(std::size_t index, std::function<void(const Shard&, const Transport&)> each,
                   std::function<void()> then);
  void each_shard_in_turn(std::function<void(ShardRuntime&)> what, std::function<void()> then,
                          std::size_t index = 0);
  void revise(const Reconfiguration& reconfiguration, NextRevision& next) const;
  std::unordered_map<std::string, std::int64_t> added_unix_ms(const NodeConfig& next) const;
  bool may_reload() const;
  void begin_reload(bool dry_run, std::function<void(const ReloadOutcome&)> then);
  void serve_waiting_reloads();
  void tell(const ReloadOutcome& outcome);
  void carry_out(const std::string& peer, PeerOrder order,
                 std::function<void(std::optional<std::size_t>)> then);
  void start_threads();
  NodeExit finish();

  std::shared_ptr<const NodeConfig> config_;
  Revised revised_;  // what config_ makes of it; kept here, so that no shard has to destroy it
  Directory directory_;
  std::unique_ptr<FactLog> facts_;
  std::vector<std::unique_ptr<ProtocolModule>> modules_;
  std::unique_ptr<StoreThread> store_;
  std::vector<std::unique_ptr<ShardRuntime>> shards_;
  std::unordered_map<std::string, EndpointId> endpoints_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<Supervisor> supervisor_;   // not of an embedded one
  std::unique_ptr<SideThread> side_thread_;  // none: nobody has needed it yet
  std::string side_thread_trouble_;          // why there can be none
  std::unique_ptr<Admin> admin_;             // lives on the side thread
  bool serves_admin_http_ = false;
  std::unordered_map<std::string, std::int64_t> peers_added_unix_ms_;  // by a new config
  std::int64_t started_unix_ms_ = 0;
  std::vector<std::thread> threads_;  // of the shards but the first
  bool running_ = false;
  struct WaitingReload {
    bool dry_run = false;
    std::function<void(ReloadOutcome)> answer;
  };
  NodeBuilder::Reload reload_;
  bool reloading_ = false;
  std::vector<WaitingReload> reloads_waiting_;
  std::size_t next_link_ = 0;  // links are dealt out to the shards in turn
};

}  // namespace siglane::runtime
