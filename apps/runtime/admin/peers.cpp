#include "apps/runtime/admin/peers.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "apps/runtime/node.h"
#include "apps/runtime/printable.h"
#include "apps/runtime/wall_time.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

using Connection = admin::Peer::Connection;
using Link = admin::Peer::Link;

struct Row {
  admin::Peer peer;
  bool identified = false;  // its connections are; else it has at most one, which only says so
};

// What all shards know, one shard after another.
struct Collected {
  Collected(const Node& node, const admin::PeersRequest& asked)
      : request(asked), time(transport::Loop::fresh_now()), revision(node.revision()) {}

  bool is_asked_for(const std::string& peer) const {
    return request.name().empty() ? peer > request.after() : peer == request.name();
  }

  const admin::PeersRequest request;
  const WallClock time;
  std::uint64_t revision;  // that `rows` has the configured peers of
  std::size_t configured = 0;
  std::map<std::string, Row, std::less<>> rows;
};

// --- What is configured -------------------------------------------------------------------------

void add_past(const PeerPast& past, const WallClock& time, admin::Peer& peer) {
  if (!past.why.empty()) {
    peer.set_last_closed_why(printable(past.why));
    peer.set_last_closed_unix_ms(time.unix_ms(past.ended_at));
    peer.set_state_since_unix_ms(time.unix_ms(past.ended_at));
  }
  if (!past.trouble.empty()) {
    peer.set_last_cause(printable(past.trouble));
    peer.set_last_cause_unix_ms(time.unix_ms(past.trouble_at));
  }
  if (past.held_off_until && !peer.connect_from().empty()) {
    const std::int64_t until = time.unix_ms(*past.held_off_until);
    if (until > time.unix_ms()) peer.set_held_off_until_unix_ms(until);
  }
}

void add_configured(const Node& node, const NodePeer& configured, Collected& into) {
  admin::Peer& peer = into.rows[configured.peer.name].peer;
  peer.set_name(printable(configured.peer.name));
  peer.set_protocol(configured.module);
  peer.set_configured(true);
  for (const std::string& address : configured.peer.addresses) {
    peer.add_configured_address(address);
  }
  peer.set_configured_port(configured.peer.port);
  peer.set_connect_from(configured.connect_from);
  peer.set_pin(std::string(name_of(configured.peer.placement)));
  peer.set_state("down");
  peer.set_state_since_unix_ms(node.configured_unix_ms(configured.peer.name));
  add_past(node.past_of(configured), into.time, peer);
  const StandingOrders orders =
      node.orders_of(node.module(configured.module), configured.peer.name);
  peer.set_blocked(orders.blocked);
  peer.set_disconnected(orders.disconnected);
}

// false: all are there. A new config begins anew. On the node's thread.
bool add_next_configured(const Node& node, Collected& into) {
  if (node.revision() != into.revision) {
    into.rows.clear();
    into.revision = node.revision();
    into.configured = 0;
  }
  const std::vector<NodePeer>& peers = node.config().peers;
  if (into.configured == peers.size()) return false;
  const NodePeer& next = peers[into.configured++];
  if (into.is_asked_for(next.peer.name)) add_configured(node, next, into);
  return true;
}

// --- What a shard has of them -------------------------------------------------------------------

void add_connection(const SessionView& view, ShardId shard, Collected& into) {
  if (view.coordinator) return;
  const SessionStatus status = view.session->status();
  if (status.peer.empty() || !into.is_asked_for(status.peer)) return;
  Row& row = into.rows[status.peer];
  if (!view.identified && row.peer.connection_size() > 0) return;
  if (view.identified && !row.identified) row.peer.clear_connection();
  row.identified = view.identified;
  row.peer.set_name(printable(status.peer));
  row.peer.set_protocol(std::string(status.protocol));
  Connection& connection = *row.peer.add_connection();
  connection.set_association(static_cast<std::uint64_t>(view.id));
  connection.set_state(std::string(status.state));
  connection.set_since_unix_ms(into.time.unix_ms(view.since));
  connection.set_shard(static_cast<std::uint32_t>(shard));
}

void add_link(const Node& node, const LinkView& view, ShardId shard, Collected& into) {
  const auto row = into.rows.find(view.peer.second);
  if (row == into.rows.end()) return;
  Link& link = *row->second.peer.add_link();
  link.set_id(static_cast<std::uint64_t>(view.id));
  link.set_endpoint(node.endpoint_name(view.local));
  link.set_shard(static_cast<std::uint32_t>(shard));
  link.set_state(std::string(name_of(view.state)));
  link.set_association(static_cast<std::uint64_t>(view.association));
  if (view.next) link.set_next_connect_unix_ms(into.time.unix_ms(*view.next));
}

// The configured peers while the walk is on the node's own thread, then what each shard has.
class PeersStep {
 public:
  PeersStep(const Node& node, const Shard& shard, std::shared_ptr<Collected> into)
      : node_(&node),
        shard_(&shard),
        into_(std::move(into)),
        part_(shard.id() == ShardId{0} ? Part::configured : Part::sessions) {}

  bool operator()() {
    switch (part_) {
      case Part::configured:
        if (!add_next_configured(*node_, *into_)) part_ = Part::sessions;
        return true;
      case Part::sessions:
        if (!visit_sessions()) part_ = Part::links;
        return true;
      case Part::links:
        return visit_links();
    }
    return false;
  }

 private:
  enum class Part : std::uint8_t { configured, sessions, links };

  bool visit_sessions() {
    return shard_->visit_sessions(
        sessions_, [this](const SessionView& view) { add_connection(view, shard_->id(), *into_); });
  }
  bool visit_links() {
    return shard_->visit_links(
        links_, [this](const LinkView& view) { add_link(*node_, view, shard_->id(), *into_); });
  }

  const Node* node_;
  const Shard* shard_;
  std::shared_ptr<Collected> into_;
  Part part_;
  TableWalk sessions_, links_;
};

// --- Together -----------------------------------------------------------------------------------

// By `key`. One that moved meanwhile may have been seen twice: where it was seen last is where it
// is.
template <class Rows, class Key>
void sort_and_join(Rows& rows, Key key) {
  std::stable_sort(rows.begin(), rows.end(),
                   [key](const auto& a, const auto& b) { return key(a) < key(b); });
  for (int i = rows.size() - 1; i > 0; --i) {
    if (key(rows[i]) == key(rows[i - 1])) rows.DeleteSubrange(i - 1, 1);
  }
}

void finish(admin::Peer& peer) {
  sort_and_join(*peer.mutable_connection(), [](const Connection& c) { return c.association(); });
  sort_and_join(*peer.mutable_link(), [](const Link& link) { return link.id(); });
  if (peer.connection_size() == 0) return;
  const Connection& first = peer.connection(0);
  peer.set_association(first.association());
  peer.set_state(first.state());
  peer.set_since_unix_ms(first.since_unix_ms());
  peer.set_state_since_unix_ms(first.since_unix_ms());
}

void add_rows(Collected& all, admin::Peers& into) {
  const auto limit = static_cast<int>(all.request.limit());
  for (auto& [name, row] : all.rows) {
    if (limit != 0 && into.peer_size() == limit) {
      into.set_next(into.peer(limit - 1).name());
      break;
    }
    finish(row.peer);
    *into.add_peer() = std::move(row.peer);
  }
}

}  // namespace

void answer_peers(Node& node, const admin::PeersRequest& request,
                  std::shared_ptr<admin::Response> response,
                  std::function<void(admin::Response)> reply) {
  auto all = std::make_shared<Collected>(node, request);
  const auto join = [all, response] {
    add_rows(*all, *response->mutable_peers());
    all->rows.clear();
    const std::string& only = all->request.name();
    if (only.empty() || response->peers().peer_size() > 0) return;
    refuse(*response, fmt::format("no peer is called {}", in_quotes(only)));
  };
  node.walk_what_moves(
      [&node, all](const Shard& shard, const Transport&) { return PeersStep(node, shard, all); },
      [&node, join, response, reply = std::move(reply)] {
        node.beside(join, [response, reply] { reply(std::move(*response)); });
      });
}

}  // namespace siglane::runtime
