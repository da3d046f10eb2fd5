#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "apps/runtime/node_admin.h"
#include "apps/runtime/node_revision.h"
#include "apps/runtime/node_shard.h"
#include "apps/runtime/peer_changes.h"
#include "apps/runtime/plan.h"
#include "apps/runtime/printable.h"
#include "apps/runtime/supervisor.h"
#include "apps/runtime/wall_time.h"

// Node: a new config while it runs.
//
// Everything that a new revision needs is made first, on each shard in turn: then no shard that
// follows it already meets one where something is missing. Then each shard follows, in its own turn
// of its loop. The next revision waits until all have, so that of two shards never more than one
// revision lies between them.
namespace siglane::runtime {

void Node::each_shard_in_turn(std::function<void(ShardRuntime&)> what, std::function<void()> then,
                              std::size_t index) {
  if (index == shards_.size()) {
    return call(std::move(then));
  }
  shards_[index]->shard->mailbox().post_control(
      Call{[this, index, what = std::move(what), then = std::move(then)] {
        what(*shards_[index]);
        each_shard_in_turn(what, then, index + 1);
      }});
}

void Node::revise(const Reconfiguration& reconfiguration, NextRevision& next) const {
  auto change = std::make_shared<RevisionChange>();
  change->modules = reconfiguration.modules;
  std::unordered_map<std::string_view, const NodePeer*> known;
  for (const NodePeer& peer : next.config->peers) known.emplace(peer.peer.name, &peer);
  for (const NodePeer& peer : config_->peers) known.insert_or_assign(peer.peer.name, &peer);
  const PeerChanges peers = compare_peers(*config_, *next.config, reconfiguration.reconnected);
  for (const auto& [name, what] : peers.changed) {
    change->peers.emplace(PeerKey{module(known.at(name)->module), name}, what);
  }
  next.next_link = next_link_;
  for (const auto& [peer, before] : peers.to_connect) {
    const std::vector<std::string> links = next.config->links_to(*peer);
    for (std::size_t i = before; i < links.size(); ++i) {
      const std::size_t shards = shards_of(config_->endpoint(links[i])->endpoint);
      change->links.push_back({static_cast<ShardId>(next.next_link++ % shards),
                               module(peer->module), *endpoint(links[i]), peer->peer});
    }
  }
  next.revised = {revision_of(*next.config, revision() + 1), std::move(change)};
}

Result<std::shared_ptr<Node::NextRevision>> Node::build_revision(
    Reconfiguration reconfiguration) const {
  const std::set<std::string> secured = secured_endpoints(reconfiguration.config);
  keep_what_is_fixed(reconfiguration.config, *config_);
  keep_connecting(reconfiguration.config.peers, config_->peers,
                  [this](const std::string& name) { return endpoint(name).has_value(); });
  auto credentials = load_credentials(reconfiguration.config, &secured);
  if (!credentials) return tl::unexpected(credentials.error());
  auto next = std::make_shared<NextRevision>();
  next->config = std::make_shared<const NodeConfig>(std::move(reconfiguration.config));
  next->credentials = std::move(*credentials);
  next->on_shard = std::move(reconfiguration.on_shard);
  next->peers_added_unix_ms = added_unix_ms(*next->config);
  revise(reconfiguration, *next);
  return next;
}

void Node::reconfigure(std::shared_ptr<NextRevision> next,
                       std::function<void(std::uint64_t)> then) {
  use_admin_tokens(next->credentials.admin);
  const auto prepare = [this, next](ShardRuntime& at) {
    at.transports.reconfigure(next->config->peeloff);
    for (const NodeEndpoint& endpoint : next->config->endpoints) {
      const auto id = this->endpoint(endpoint.endpoint.name);
      if (!id) continue;
      EndpointConfig config = endpoint.endpoint;
      const auto loaded = next->credentials.by_endpoint.find(config.name);
      if (loaded != next->credentials.by_endpoint.end()) {
        at.transports.reconfigure(*id, config, loaded->second);
      } else {
        config.tls.reset();  // it keeps what it has
        at.transports.reconfigure(*id, config, nullptr);
      }
    }
    if (next->on_shard) {
      next->on_shard({*at.shard, shards_.size(), random_seed(), at.loop->now()});
    }
  };
  each_shard_in_turn(prepare, [this, next, then = std::move(then)] {
    const auto follow = [next](ShardRuntime& at) {
      at.shard->follow(next->revised, at.loop->now());
    };
    each_shard_in_turn(follow, [this, next, then] {
      // What siglanectl has set stays, unless the config has another level than before.
      if (next->config->log.level != config_->log.level) set_log_level(next->config->log.level);
      peers_added_unix_ms_.swap(next->peers_added_unix_ms);
      next_link_ = next->next_link;
      config_.swap(next->config);
      std::swap(revised_, next->revised);
      limit_newcomers();
      then(revision());
      discard(std::make_shared<NextRevision>(std::move(*next)));
    });
  });
}

void Node::reconfigure(Reconfiguration next, std::function<void(std::uint64_t)> then) {
  auto built = build_revision(std::move(next));
  if (built) return reconfigure(std::move(*built), std::move(then));
  say("the config stays as it was: " + built.error().what, Severity::error);
  then(revision());
}

// What was replaced is as large as what replaces it. Nobody else has a share in `what`, or a loop
// may be the one that destroys it.
void Node::discard(std::shared_ptr<const void> what) {
  beside([what = std::move(what)] {}, [] {});
}

std::unordered_map<std::string, std::int64_t> Node::added_unix_ms(const NodeConfig& next) const {
  std::unordered_map<std::string, std::int64_t> added;
  const std::int64_t now = unix_ms_now();
  for (const NodePeer& peer : next.peers) {
    const std::string& name = peer.peer.name;
    if (peers().find(name) == nullptr) {
      added.emplace(name, now);
    } else if (const auto at = peers_added_unix_ms_.find(name); at != peers_added_unix_ms_.end()) {
      added.insert(*at);
    }
  }
  return added;
}

// --- Reload -------------------------------------------------------------------------------------

bool Node::may_reload() const {
  return reload_ != nullptr || has_credentials();
}

void Node::reload(bool dry_run, std::function<void(const ReloadOutcome&)> then) {
  call([this, dry_run, then = std::move(then)] { begin_reload(dry_run, then); });
}

void Node::begin_reload(bool dry_run, std::function<void(const ReloadOutcome&)> then) {
  const bool is_stopping = shards_.front()->driver->stopping();
  if (supervisor_ != nullptr && !dry_run && !is_stopping) supervisor_->reloading();
  const auto answer = [this, dry_run, then = std::move(then)](ReloadOutcome outcome) {
    outcome.dry_run = dry_run;
    if (supervisor_ != nullptr && !dry_run && !shards_.front()->driver->stopping()) {
      supervisor_->ready(fmt::format("{}, revision {}", what_runs(), outcome.revision));
    }
    tell(outcome);
    if (then) then(outcome);
  };
  if (reload_ == nullptr) {
    if (!has_credentials()) {
      return answer({false, dry_run, revision(),
                     "nothing to read again: no endpoint has certificates, and this program does "
                     "not read its config again"});
    }
    if (!dry_run) reload_credentials();
    return answer({true, dry_run, revision(), "certificates are read again"});
  }
  if (is_stopping) {
    return answer({false, dry_run, revision(), "this node is stopping"});
  }
  if (reloading_) {
    // Who asks now may have changed the file since it was read.
    reloads_waiting_.push_back({dry_run, answer});
    return;
  }
  reloading_ = true;
  reload_(*this, dry_run, [this, answer](const ReloadOutcome& outcome) {
    reloading_ = false;
    answer(outcome);
    serve_waiting_reloads();
  });
}

// The file is read once for all that have asked meanwhile for the same.
void Node::serve_waiting_reloads() {
  if (reloads_waiting_.empty()) return;
  auto waiting = std::exchange(reloads_waiting_, {});
  const bool dry_run = std::ranges::all_of(waiting, &WaitingReload::dry_run);
  std::vector<WaitingReload> now, later;
  for (WaitingReload& one : waiting) (one.dry_run == dry_run ? now : later).push_back(one);
  reloads_waiting_ = std::move(later);
  reloading_ = true;
  reload_(*this, dry_run, [this, now = std::move(now)](const ReloadOutcome& outcome) {
    reloading_ = false;
    for (const WaitingReload& one : now) one.answer(outcome);
    serve_waiting_reloads();
  });
}

void Node::tell(const ReloadOutcome& outcome) {
  if (outcome.dry_run) return;  // nothing has happened
  std::string_view left = outcome.text;
  constexpr std::size_t kLinesMax = 30;
  const Severity severity = outcome.good ? Severity::info : Severity::error;
  for (std::size_t line = 0; !left.empty(); ++line) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    if (line == kLinesMax) return say("(more)", severity);
    const std::string_view text = left.substr(0, end);
    const bool warning = outcome.good && text.starts_with("warning: ");
    say(fmt::format("reload: {}", text), warning ? Severity::warning : severity);
    left.remove_prefix(std::min(end + 1, left.size()));
  }
}

void Node::call(std::function<void()> what) {
  shards_.front()->shard->mailbox().post_control(Call{std::move(what)});
}

void Node::reload_credentials() {
  const auto loaded = std::make_shared<Result<Credentials>>();
  beside([config = config_, loaded] { *loaded = load_credentials(*config); },
         [this, loaded] {
           if (!*loaded) {
             return say("kept the certificates there were: " + loaded->error().what,
                        Severity::warning);
           }
           for (const std::string& warning : (*loaded)->warnings) say(warning, Severity::warning);
           use_credentials(**loaded);
         });
}

void Node::use_credentials(const Credentials& credentials) {
  use_admin_tokens(credentials.admin);
  for (const auto& [name, loaded] : credentials.by_endpoint) {
    const auto id = endpoint(name);
    if (!id) continue;
    for (const auto& one : shards_) {
      one->shard->mailbox().post_control(
          Call{[&transports = one->transports, id = *id, loaded = loaded] {
            transports.use_credentials(id, loaded);
          }});
    }
  }
}

// --- An operator's orders -----------------------------------------------------------------------

void Node::set_log_level(LogLevel level) {
  facts_->set_level(level);
}

void Node::order(const std::string& peer, PeerOrder order,
                 std::function<void(std::optional<std::size_t>)> then) {
  call([this, peer, order, then = std::move(then)] { carry_out(peer, order, then); });
}

// Of a peer that is not configured it is not known which module it is of: of any.
void Node::carry_out(const std::string& peer, PeerOrder order,
                     std::function<void(std::optional<std::size_t>)> then) {
  std::vector<PeerKey> keys;
  if (const NodePeer* configured = config_->peer(peer)) {
    keys.push_back({module(configured->module), peer});
  } else {
    for (const auto& one : modules_) keys.push_back({one.get(), peer});
  }
  bool had_orders = false;
  for (const auto& [module, name] : keys) {
    StandingOrders orders = directory_.orders_of(module, name);
    had_orders |= orders.disconnected || orders.blocked;
    switch (order) {
      case PeerOrder::disconnect:
        orders.disconnected = true;
        ++orders.disconnects;
        break;
      case PeerOrder::connect:
        orders.disconnected = false;
        directory_.hold_off(module, name, Instant{});
        break;
      case PeerOrder::block:
      case PeerOrder::unblock:
        orders.blocked = order == PeerOrder::block;
        break;
      case PeerOrder::peel:
        break;
    }
    directory_.order(module, name, orders);
  }
  say(fmt::format("the operator asks to {} {}", name_of(order), printable(peer)));
  const auto concerned = std::make_shared<std::size_t>(0);
  each_shard_in_turn(
      [keys, order, concerned](ShardRuntime& at) {
        for (const PeerKey& key : keys) {
          *concerned += at.shard->order(key, order, "the operator asks for it", at.loop->now());
        }
      },
      [this, keys, peer, had_orders, concerned, then = std::move(then)] {
        const bool known = had_orders || config_->peer(peer) != nullptr;
        // Nobody that there is: it is not to hold for somebody who comes later.
        if (*concerned == 0 && !known) {
          for (const auto& [module, name] : keys) directory_.forget_peer(module, name);
        }
        if (then) then(known || *concerned > 0 ? std::optional(*concerned) : std::nullopt);
      });
}

}  // namespace siglane::runtime
