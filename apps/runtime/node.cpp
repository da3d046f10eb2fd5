#include "apps/runtime/node.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <random>

#include <fmt/format.h>
#include <unistd.h>

#include "apps/runtime/fact_log.h"
#include "apps/runtime/newcomer_budget.h"
#include "apps/runtime/node_admin.h"
#include "apps/runtime/node_shard.h"
#include "apps/runtime/program.h"
#include "apps/runtime/side_thread.h"
#include "apps/runtime/signals.h"
#include "apps/runtime/supervisor.h"
#include "apps/runtime/wall_time.h"
#include "transport/loop/loop.h"
#include "transport/loop/shard_loop.h"
#include "transport/peeling/descriptor_reserve.h"
#include "transport/transport_set.h"

namespace siglane::runtime {

struct Node::Signals {
  std::vector<SignalWatch> watches;
};

namespace {

TransportKind resolved(const EndpointConfig& endpoint) {
  const auto carrier = transport::resolve_transport(endpoint);
  return carrier ? carrier->kind : endpoint.transport;
}

}  // namespace

std::shared_ptr<const Revision> revision_of(const NodeConfig& config, std::uint64_t number) {
  std::vector<PeerConfig> peers;
  for (const NodePeer& peer : config.peers) peers.push_back(peer.peer);
  return std::make_shared<const Revision>(
      Revision{number, PeerTable(std::move(peers), config.admission), config.runtime.reconnect});
}

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

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
  if (config_.runtime.shards < 1 || config_.runtime.shards > kShardsMax) {
    return failure(
        fmt::format("runtime.shards is {}; expected 1 to {}", config_.runtime.shards, kShardsMax));
  }
  std::unique_ptr<Node> node(new Node(std::move(config_)));
  if (auto started = node->start(*this); !started) return tl::unexpected(started.error());
  return node;
}

// ---- Node --------------------------------------------------------------------------------------

Node::Node(NodeConfig config)
    : config_(std::make_shared<const NodeConfig>(std::move(config))),
      revised_{revision_of(*config_, 1), nullptr},
      started_unix_ms_(unix_ms_now()) {}

Node::~Node() {
  for (std::size_t i = 1; i < shards_.size(); ++i) {
    shards_[i]->shard->mailbox().post_control(
        Call{[loop = shards_[i]->loop.get()] { loop->stop(); }});
  }
  for (std::thread& thread : threads_) thread.join();
  if (store_ != nullptr) store_->stop();  // its completions go to the shards' mailboxes
  end_admin();
  if (side_thread_ != nullptr) side_thread_->run_now([] {});  // what it has to say is said
  side_thread_.reset();
  signals_.reset();
  supervisor_.reset();
  // What is on its way from one shard to another belongs to both.
  for (auto& one : shards_) one->driver.reset();
  for (auto& one : shards_) one->shard.reset();
  shards_.clear();
}

Result<void> Node::start(NodeBuilder& builder) {
  facts_ = std::make_unique<FactLog>(
      config_->log, config_->admin.facts_kept_max,
      builder.embedded_ ? nullptr : make_logger(config_->name, config_->log.level));
  const auto tell = [this](const Fact& fact) {
    const Instant now{std::chrono::steady_clock::now().time_since_epoch()};
    facts_->on_fact({}, fact, now);
  };
  for (const std::string& text : builder.warnings_) tell(notice(text, Severity::warning));
  modules_ = std::move(builder.modules_);
  reload_ = std::move(builder.reload_);
  if (builder.store_ != nullptr) {
    store_ = std::make_unique<StoreThread>(builder.store_config_, std::move(builder.store_),
                                           directory_, tell);
  }
  say(fmt::format("starting: {}, process {}, {} {}", what_runs(), getpid(), config_->runtime.shards,
                  config_->runtime.shards == 1 ? "shard" : "shards"));
  const transport::TransportOptions options{.peeloff = config_->peeloff};
  const std::uint64_t seed = config_->runtime.seed.value_or(random_seed());
  for (std::size_t i = 0; i < config_->runtime.shards; ++i) {
    if (auto made = make_shard(static_cast<ShardId>(i), seed + i, options); !made) return made;
  }
  for (const auto& set_up : builder.set_ups_) {
    for (const auto& one : shards_) {
      auto done = set_up({*one->shard, shards_.size(), random_seed(), loop().now()});
      if (!done) return done;
    }
  }
  // Before anybody can see that the node is there, and ends it.
  if (!builder.embedded_ && !builder.signals_left_) {
    if (auto watching = watch_signals(); !watching) return watching;
  }
  if (auto opened = open_endpoints(); !opened) return opened;
  if (auto connecting = connect_peers(); !connecting) return connecting;
  if (auto admin = start_admin(); !admin) return admin;
  limit_newcomers();
  say("ready: " + what_runs());
  if (!builder.embedded_) tell_supervisor();
  return {};
}

void Node::tell_supervisor() {
  const auto look_alive = [this](std::function<void()> then) {
    on_each_shard([](const Shard&, const Transport&) {}, std::move(then));
  };
  // A supervisor that does not read holds up no loop.
  const auto say = [this](std::string text) {
    if (side_thread() == nullptr) return Supervisor::notify(text);
    side_thread_->call([text = std::move(text)] { Supervisor::notify(text); });
  };
  if (std::getenv("NOTIFY_SOCKET") == nullptr) return;
  supervisor_ = std::make_unique<Supervisor>(loop(), look_alive, say);
  supervisor_->ready(what_runs());
}

std::string Node::what_runs() const {
  const std::string program = config_->program.empty() ? "Siglane" : config_->program;
  return fmt::format("{} {}{}", program, version(),
                     config_->file.empty() ? "" : ", config " + config_->file);
}

void Node::say(std::string_view text, Severity severity) {
  facts_->on_fact({}, notice(text, severity), transport::Loop::fresh_now());
}

Result<void> Node::make_shard(ShardId id, std::uint64_t seed,
                              const transport::TransportOptions& options) {
  auto loop = transport::Loop::create();
  if (!loop) return tl::unexpected(loop.error());
  auto made = std::make_unique<ShardRuntime>(std::move(*loop), *config_, options);
  ShardConfig of_shard;
  of_shard.id = id;
  of_shard.seed = seed;
  of_shard.reconnect = config_->runtime.reconnect;
  made->shard =
      std::make_unique<Shard>(of_shard, made->transports, revised_.revision->peers, directory_,
                              *facts_, store_.get(), made->buffers, made->counters);
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
  if (config_->runtime.tune_kernel) {
    if (const std::string said = transport::tune_kernel(); !said.empty()) say(said);
  }
  for (const NodeEndpoint& endpoint : config_->endpoints) {
    ProtocolModule* owner = module(endpoint.module);
    if (owner == nullptr) {
      return failure(
          fmt::format("endpoint \"{}\" is for the module \"{}\", which this node does "
                      "not have",
                      endpoint.endpoint.name, endpoint.module));
    }
    auto id = open_everywhere(endpoint.endpoint, *owner);
    if (!id) return tl::unexpected(id.error());
    endpoints_.emplace(endpoint.endpoint.name, *id);
  }
  return {};
}

// On every shard, as peers are to be connected from any. Its listening sockets are dealt out:
// unless the config says how many, at least one for each shard, and enough for a crowd.
Result<EndpointId> Node::open_everywhere(EndpointConfig endpoint, ProtocolModule& module) {
  const std::size_t shards = shards_of(endpoint);
  std::size_t sockets = std::max<std::size_t>(endpoint.sockets, 1);
  if (endpoint.sockets == 0) {
    const std::size_t for_a_crowd = sockets_for_a_crowd(endpoint);
    sockets = std::max(shards, for_a_crowd);
    if (for_a_crowd > 1) warn_of_a_crowd(endpoint.name, sockets);
  }
  const bool listening = endpoint.listening;
  endpoint.pool = std::make_shared<EndpointPool>();
  endpoint.pool->several = shards > 1;
  for (std::size_t i = 0; i < shards; ++i) {
    const std::size_t share = sockets / shards + (i < sockets % shards ? 1 : 0);
    endpoint.sockets = static_cast<std::uint16_t>(share);
    endpoint.listening = listening && share > 0;
    auto id = shards_[i]->shard->open(endpoint, module);
    if (!id) return id;
  }
  return endpoint.pool->id;
}

// usrsctp is one stack in the process, and lives on the first shard.
std::size_t Node::shards_of(const EndpointConfig& endpoint) const {
  return resolved(endpoint) == TransportKind::usrsctp ? 1 : shards_.size();
}

std::size_t Node::sockets_for_a_crowd(const EndpointConfig& endpoint) const {
  if (resolved(endpoint) != TransportKind::kernel_sctp) return 1;
  return transport::sockets_wanted(
      config_->admission.accept_unknown_peers ? endpoint.associations_max : config_->peers.size());
}

void Node::warn_of_a_crowd(const std::string& endpoint, std::size_t sockets) {
  const std::string text = fmt::format(
      "endpoint {}: spread over {} sockets, because with net.sctp.sndbuf_policy=0 many "
      "associations on one make every message dear: sysctl -w net.sctp.sndbuf_policy=1 and "
      "restart, or runtime.tune_kernel",
      endpoint, sockets);
  say(text, Severity::warning);
}

Result<void> Node::connect_peers() {
  for (const NodePeer& peer : config_->peers) {
    for (const std::string& name : config_->links_to(peer)) {
      const auto from = endpoint(name);
      if (!from) {
        return failure(
            fmt::format("peer \"{}\" is to be connected from \"{}\", which is no endpoint",
                        peer.peer.name, name));
      }
      const std::size_t shards = shards_of(config_->endpoint(name)->endpoint);
      shards_[next_link_++ % shards]->shard->keep_connected(*from, peer.peer);
    }
  }
  return {};
}

bool Node::has_credentials() const {
  if (serves_admin_http_) return true;  // its tokens
  return std::any_of(config_->endpoints.begin(), config_->endpoints.end(),
                     [](const NodeEndpoint& e) { return e.endpoint.tls.has_value(); });
}

// What is open now stays open.
void Node::limit_newcomers() {
  const NewcomerBudget budget =
      budget_newcomers(transport::descriptors_left(), *config_, revised_.revision->peers.places());
  directory_.newcomers().limit(budget.places);
  if (!budget.complaint.empty()) say(budget.complaint, Severity::warning);
}

Result<void> Node::watch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = std::make_unique<Signals>();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    // nohup(1): nothing to say, unless it is asked for new certificates.
    if (signal == SIGHUP && !may_reload() && is_ignored(SIGHUP)) continue;
    auto watch = SignalWatch::create(loop().raw(), signal, [this, signal] {
      if (signal == SIGHUP) return reload();
      if (shards_.front()->driver->stopping()) std::_Exit(128 + signal);
      begin_stop(signal == SIGTERM ? "SIGTERM" : "SIGINT");
    });
    if (!watch) return tl::unexpected(watch.error());
    signals_->watches.push_back(std::move(*watch));
  }
  return {};
}

NodeExit Node::run() {
  start_threads();
  shards_.front()->driver->run();
  return finish();
}

std::optional<NodeExit> Node::turn(bool wait) {
  start_threads();
  ShardRuntime& first = *shards_.front();
  first.loop->run_once(wait);
  if (!first.driver->abandoned() && !(first.driver->stopping() && first.shard->idle())) {
    return std::nullopt;
  }
  return finish();
}

void Node::start_threads() {
  if (std::exchange(running_, true)) return;
  shards_.front()->buffers.bind_to_this_thread();
  if (shards_.size() == 1) return;
  for (const auto& one : shards_) one->driver->keep_balanced();
  for (std::size_t i = 1; i < shards_.size(); ++i) {
    threads_.emplace_back([one = shards_[i].get()] {
      one->buffers.bind_to_this_thread();
      one->driver->run();
    });
    const std::string name = fmt::format("shard-{}", i);
    pthread_setname_np(threads_.back().native_handle(), name.c_str());
  }
}

// The first shard has ended; so do the others, each within its own grace.
NodeExit Node::finish() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  const bool abandoned =
      std::ranges::any_of(shards_, [](const auto& one) { return one->driver->abandoned(); });
  say(abandoned ? "stopped: what had not closed within runtime.stop_grace_ms was aborted"
                : "stopped: every association is closed");
  return abandoned ? NodeExit::abandoned : NodeExit::graceful;
}

void Node::stop() {
  shards_.front()->shard->mailbox().post_control(
      Call{[this] { begin_stop("the program asks for it"); }});
}

void Node::begin_stop(std::string_view why) {
  if (!shards_.front()->driver->stopping()) {
    say(fmt::format("stopping: {}; associations have {:.1f} s to close", why,
                    seconds(config_->runtime.stop_grace)));
    if (admin_ != nullptr) admin_->stop_being_ready("stopping");
    if (supervisor_ != nullptr) supervisor_->stopping(why);
  }
  for (const auto& one : shards_) {
    auto stop = [driver = one->driver.get(), grace = config_->runtime.stop_grace] {
      driver->stop(grace);
    };
    if (one == shards_.front()) {
      stop();
    } else {
      one->shard->mailbox().post_control(Call{std::move(stop)});
    }
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

PeerPast Node::past_of(const NodePeer& peer) const {
  return directory_.past_of(module(peer.module), peer.peer.name);
}

StandingOrders Node::orders_of(const ProtocolModule* module, const std::string& peer) const {
  return directory_.orders_of(module, peer);
}

std::int64_t Node::configured_unix_ms(const std::string& peer) const {
  const auto added = peers_added_unix_ms_.find(peer);
  return added == peers_added_unix_ms_.end() ? started_unix_ms_ : added->second;
}

std::string Node::endpoint_name(EndpointId id) const {
  for (const auto& [name, endpoint] : endpoints_) {
    if (endpoint == id) return name;
  }
  return {};
}

void Node::on_each_shard(std::function<void(const Shard&, const Transport&)> each,
                         std::function<void()> then) {
  each(*shards_.front()->shard, shards_.front()->transports);
  if (shards_.size() == 1) return then();
  visit_shard(1, std::move(each), std::move(then));
}

void Node::visit_shard(std::size_t index, std::function<void(const Shard&, const Transport&)> each,
                       std::function<void()> then) {
  if (index == shards_.size()) {
    return shards_.front()->shard->mailbox().post_control(Call{std::move(then)});
  }
  ShardRuntime& at = *shards_[index];
  at.shard->mailbox().post_control(
      Call{[this, &at, index, each = std::move(each), then = std::move(then)] {
        each(*at.shard, at.transports);
        visit_shard(index + 1, each, then);
      }});
}

void Node::move(AssociationId id, ShardId to,
                std::function<void(tl::expected<void, MoveRefusal>)> then) {
  const auto home = directory_.home_of(id);
  if (!home) {
    if (then) then(tl::unexpected(MoveRefusal::gone));
    return;
  }
  ShardRuntime& at = *shards_[static_cast<std::size_t>(*home)];
  at.shard->mailbox().post_control(Call{[&at, id, to, then = std::move(then)] {
    const auto outcome = at.shard->move(id, to, at.loop->now(), "asked for");
    if (then) then(outcome);
  }});
}

std::uint64_t Node::count(Counter counter) const {
  std::uint64_t sum = store_ != nullptr ? store_->counters().get(counter) : 0;
  for (const auto& shard : shards_) sum += shard->counters.get(counter);
  if (admin_ != nullptr) sum += admin_->counters().get(counter);
  return sum;
}

}  // namespace siglane::runtime
