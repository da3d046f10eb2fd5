#include "apps/runtime/node.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <random>

#include <fmt/format.h>

#include "apps/runtime/admin_server.h"
#include "apps/runtime/admin_service.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/signals.h"
#include "apps/runtime/wall_time.h"
#include "transport/loop.h"
#include "transport/shard_loop.h"
#include "transport/transport_set.h"

namespace siglane::runtime {

// One thread's worth of a node. Members are destroyed from below: the driver before what it drives.
struct Node::ShardRuntime {
  ShardRuntime(std::unique_ptr<transport::Loop> own_loop, const NodeConfig& config)
      : loop(std::move(own_loop)),
        buffers(config.runtime.cached_buffer_bytes_max),
        transports(*loop, buffers, counters, {.peeloff = config.peeloff}) {}

  std::unique_ptr<transport::Loop> loop;
  BufferPool buffers;
  Counters counters;
  transport::TransportSet transports;
  std::unique_ptr<Shard> shard;
  std::unique_ptr<transport::ShardLoop> driver;
};

struct Node::Signals {
  std::vector<SignalWatch> watches;
};

namespace {

PeerTable peer_table(const NodeConfig& config) {
  std::vector<PeerConfig> peers;
  for (const NodePeer& peer : config.peers) peers.push_back(peer.peer);
  return PeerTable(std::move(peers), config.admission);
}

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

// ---- NodeBuilder -------------------------------------------------------------------------------

NodeBuilder::NodeBuilder(NodeConfig config) : config_(std::move(config)) {}
NodeBuilder::~NodeBuilder() = default;

void NodeBuilder::use_store(std::unique_ptr<Store> store, StoreThreadConfig config) {
  store_ = std::move(store);
  store_config_ = config;
}

void NodeBuilder::on_shard(std::function<Result<void>(const ShardSetUp&)> set_up) {
  set_ups_.push_back(std::move(set_up));
}

Result<std::unique_ptr<Node>> NodeBuilder::build() && {
  std::unique_ptr<Node> node(new Node(std::move(config_)));
  if (auto started = node->start(*this); !started) return tl::unexpected(started.error());
  return node;
}

// ---- Node --------------------------------------------------------------------------------------

Node::Node(NodeConfig config)
    : config_(std::move(config)), peers_(peer_table(config_)), started_unix_ms_(unix_ms_now()) {}

Node::~Node() {
  if (store_ != nullptr) store_->stop();  // its completions go to the shards' mailboxes
  admin_.reset();
  signals_.reset();
  shards_.clear();
}

Result<void> Node::start(NodeBuilder& builder) {
  if (config_.runtime.shards != 1) {
    return failure(fmt::format("runtime.shards is {}: this version runs a single shard",
                               config_.runtime.shards));
  }
  facts_ = std::make_unique<FactLog>(
      config_.log, config_.admin.facts_kept_max,
      builder.embedded_ ? nullptr : make_logger(config_.name, config_.log.level));
  modules_ = std::move(builder.modules_);
  if (builder.store_ != nullptr) {
    store_ =
        std::make_unique<StoreThread>(builder.store_config_, std::move(builder.store_), directory_);
  }
  if (auto made = make_shard(ShardId{0}); !made) return made;
  for (const auto& set_up : builder.set_ups_) {
    auto done = set_up({shard(), random_seed(), loop().now()});
    if (!done) return done;
  }
  if (auto opened = open_endpoints(); !opened) return opened;
  if (auto connecting = connect_peers(); !connecting) return connecting;
  if (auto admin = start_admin(); !admin) return admin;
  return builder.embedded_ || builder.signals_left_ ? Result<void>() : watch_signals();
}

Result<void> Node::make_shard(ShardId id) {
  auto loop = transport::Loop::create();
  if (!loop) return tl::unexpected(loop.error());
  auto made = std::make_unique<ShardRuntime>(std::move(*loop), config_);
  const std::uint64_t seed = config_.runtime.seed.value_or(random_seed());
  made->shard = std::make_unique<Shard>(ShardConfig{id, seed, config_.runtime.reconnect},
                                        made->transports, peers_, directory_, *facts_, store_.get(),
                                        made->buffers, made->counters);
  made->transports.set_sink(*made->shard);
  made->driver = std::make_unique<transport::ShardLoop>(*made->loop, *made->shard);
  shards_.push_back(std::move(made));
  return {};
}

ProtocolModule* Node::module(std::string_view name) const {
  auto it = std::find_if(modules_.begin(), modules_.end(),
                         [&](const auto& module) { return module->name() == name; });
  return it == modules_.end() ? nullptr : it->get();
}

Result<void> Node::open_endpoints() {
  for (const NodeEndpoint& endpoint : config_.endpoints) {
    ProtocolModule* owner = module(endpoint.module);
    if (owner == nullptr) {
      return failure(
          fmt::format("endpoint \"{}\" is for the module \"{}\", which this node does "
                      "not have",
                      endpoint.endpoint.name, endpoint.module));
    }
    auto id = shard().open(endpoint.endpoint, *owner);
    if (!id) return tl::unexpected(id.error());
    endpoints_.emplace(endpoint.endpoint.name, *id);
  }
  return {};
}

Result<void> Node::connect_peers() {
  for (const NodePeer& peer : config_.peers) {
    if (peer.connect_from.empty()) continue;
    const auto from = endpoint(peer.connect_from);
    if (!from) {
      return failure(fmt::format("peer \"{}\" is to be connected from \"{}\", which is no endpoint",
                                 peer.peer.name, peer.connect_from));
    }
    shard().keep_connected(*from, peer.peer, loop().now());
  }
  return {};
}

Result<void> Node::start_admin() {
  if (config_.admin.socket.empty()) return {};
  auto server = AdminServer::create(
      loop().raw(), config_.admin.socket, {.clients_max = config_.admin.clients_max},
      [this](const admin::Request& request) { return answer_admin(*this, request, loop().now()); });
  if (!server) return tl::unexpected(server.error());
  admin_ = std::move(*server);
  return {};
}

Result<void> Node::watch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = std::make_unique<Signals>();
  // What has certificates lives long, and must be told of new ones; what has none may go with its
  // terminal.
  const bool reloads =
      std::any_of(config_.endpoints.begin(), config_.endpoints.end(),
                  [](const NodeEndpoint& e) { return e.endpoint.transport == TransportKind::tls; });
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    if (signal == SIGHUP && !reloads && is_ignored(SIGHUP)) continue;  // nohup(1)
    auto watch = SignalWatch::create(loop().raw(), signal, [this, signal, reloads] {
      if (signal == SIGHUP && reloads) return reload();
      if (!shards_.front()->driver->stopping()) return begin_stop();
      // A terminal that goes away may say so twice; that is no impatience.
      if (signal != SIGHUP) std::_Exit(128 + signal);
    });
    if (!watch) return tl::unexpected(watch.error());
    signals_->watches.push_back(std::move(*watch));
  }
  return {};
}

NodeExit Node::run() {
  ShardRuntime& first = *shards_.front();
  first.buffers.bind_to_this_thread();
  first.driver->run();
  return first.driver->abandoned() ? NodeExit::abandoned : NodeExit::graceful;
}

std::optional<NodeExit> Node::turn(bool wait) {
  ShardRuntime& first = *shards_.front();
  first.buffers.bind_to_this_thread();
  first.loop->run_once(wait);
  if (first.driver->abandoned()) return NodeExit::abandoned;
  if (first.driver->stopping() && first.shard->idle()) return NodeExit::graceful;
  return std::nullopt;
}

void Node::stop() {
  shards_.front()->shard->mailbox().post_control(Call{[this] { begin_stop(); }});
}

void Node::begin_stop() {
  shards_.front()->driver->stop(config_.runtime.stop_grace);
}

void Node::reload() {
  for (const auto& one : shards_) {
    one->shard->mailbox().post_control(
        Call{[&transports = one->transports] { transports.reload_credentials(); }});
  }
}

transport::Loop& Node::loop() {
  return *shards_.front()->loop;
}
Shard& Node::shard() {
  return *shards_.front()->shard;
}

std::optional<EndpointId> Node::endpoint(std::string_view name) const {
  auto it = endpoints_.find(std::string(name));
  return it == endpoints_.end() ? std::nullopt : std::optional(it->second);
}

void Node::visit_sessions(
    const std::function<void(const SessionView&, ShardId, const Transport&)>& visit) const {
  for (const auto& shard : shards_) {
    shard->shard->visit_sessions(
        [&](const SessionView& session) { visit(session, shard->shard->id(), shard->transports); });
  }
}

std::uint64_t Node::count(Counter counter) const {
  std::uint64_t sum = store_ != nullptr ? store_->counters().get(counter) : 0;
  for (const auto& shard : shards_) sum += shard->counters.get(counter);
  return sum;
}

}  // namespace siglane::runtime
