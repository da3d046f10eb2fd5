#include "apps/runtime/admin/service.h"

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "apps/runtime/admin/commands.h"
#include "apps/runtime/admin/facts.h"
#include "apps/runtime/admin/lookup.h"
#include "apps/runtime/admin/peers.h"
#include "apps/runtime/admin/routes.h"
#include "apps/runtime/admin/stats.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "apps/runtime/printable.h"
#include "apps/runtime/program.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {

namespace {

// What comes from the wire may be no UTF-8, which protobuf wants its strings to be, and may hold
// what would play tricks on a terminal: it is made printable before it goes into a message.

// By id. One that moved meanwhile may be there twice: where it was seen last is where it is.
void add_associations(std::list<admin::Association>& rows, std::uint32_t limit,
                      admin::Response& response) {
  std::map<std::uint64_t, admin::Association*> by_id;
  for (admin::Association& row : rows) by_id[row.id()] = &row;
  admin::Associations& associations = *response.mutable_associations();
  for (const auto& [id, row] : by_id) {
    if (limit != 0 && associations.association_size() == static_cast<int>(limit)) {
      associations.set_next(associations.association(associations.association_size() - 1).id());
      break;
    }
    *associations.add_association() = std::move(*row);
  }
  rows.clear();
}

bool is_asked_for(const SessionView& view, const admin::AssociationsRequest& request) {
  if (view.coordinator) return false;
  const auto id = static_cast<std::uint64_t>(view.id);
  if (request.id() != 0 ? id != request.id() : id <= request.after()) return false;
  return request.peer().empty() || view.session->status().peer == request.peer();
}

void answer_associations(Node& node, const admin::AssociationsRequest& request,
                         std::shared_ptr<admin::Response> response,
                         std::function<void(admin::Response)> reply) {
  auto rows = std::make_shared<std::list<admin::Association>>();
  const WallClock time(transport::Loop::fresh_now());
  const auto begin = [rows, time, request](const Shard& shard, const Transport& transport) {
    const std::function<void(const SessionView&)> visit = [&shard, &transport, rows, time,
                                                           request](const SessionView& view) {
      if (is_asked_for(view, request)) {
        rows->push_back(admin_association(view, shard.id(), transport, time));
      }
    };
    return
        [&shard, visit, walk = TableWalk()]() mutable { return shard.visit_sessions(walk, visit); };
  };
  const auto join = [rows, request, response] {
    add_associations(*rows, request.limit(), *response);
    if (request.id() == 0 || response->associations().association_size() > 0) return;
    refuse(*response, fmt::format("there is no association {}", request.id()));
  };
  node.walk_what_moves(begin, [&node, join, response, reply = std::move(reply)] {
    node.beside(join, [response, reply] { reply(std::move(*response)); });
  });
}

// A peer may have been on several shards: its rows are one.
using DropRows = std::map<std::pair<std::string, std::string>, admin::Drop>;

void add_drop(const Drops::Entry& entry, const WallClock& time, DropRows& into) {
  const auto& [key, row] = entry;
  const auto& [reason, peer] = key;
  admin::Drop& drop = into[{std::string(reason), peer}];
  drop.set_reason(std::string(reason));
  drop.set_what(std::string(row.what));
  drop.set_peer(printable(peer));
  drop.set_count(drop.count() + row.count);
  const std::int64_t last = time.unix_ms(row.last);
  if (last < drop.last_unix_ms()) return;
  drop.set_example(printable(row.example));
  drop.set_last_unix_ms(last);
  drop.set_association(static_cast<std::uint64_t>(row.about));
}

void answer_drops(Node& node, std::shared_ptr<admin::Response> response,
                  std::function<void(admin::Response)> reply) {
  auto rows = std::make_shared<DropRows>();
  const WallClock time(transport::Loop::fresh_now());
  const auto begin = [rows, time](const Shard& shard, const Transport&) {
    return [&shard, rows, time, last = static_cast<const Drops::Entry*>(nullptr)]() mutable {
      last = shard.drops().next(last);
      if (last != nullptr) add_drop(*last, time, *rows);
      return last != nullptr;
    };
  };
  const auto join = [rows, response] {
    admin::Drops& drops = *response->mutable_drops();
    for (auto& [key, drop] : *rows) *drops.add_drop() = std::move(drop);
    rows->clear();
  };
  node.walk(begin, [&node, join, response, reply = std::move(reply)] {
    node.beside(join, [response, reply] { reply(std::move(*response)); });
  });
}

// --- The node itself ----------------------------------------------------------------------------

void add_endpoints(const NodeConfig& config, admin::NodeStatus& into) {
  for (const NodeEndpoint& one : config.endpoints) {
    admin::NodeStatus::Endpoint& row = *into.add_endpoint();
    row.set_name(printable(one.endpoint.name));
    row.set_module(one.module);
    row.set_transport(std::string(name_of(one.endpoint.transport)));
    row.set_listens(one.endpoint.listening);
    for (const std::string& address : one.endpoint.addresses) row.add_address(address);
    row.set_port(one.endpoint.port);
  }
}

void add_node(const Node& node, admin::NodeStatus& into) {
  const NodeConfig& config = node.config();
  into.set_program(printable(config.program));
  into.set_version(version());
  into.set_config_file(printable(config.file));
  into.set_revision(node.revision());
  into.set_process(static_cast<std::uint32_t>(getpid()));
  into.set_shards(config.runtime.shards);
  for (const auto& module : node.modules()) into.add_module(std::string(module->name()));
  add_endpoints(config, into);
  into.set_associations(node.associations());
}

}  // namespace

admin::Association admin_association(const SessionView& view, ShardId shard,
                                     const Transport& transport, const WallClock& time) {
  admin::Association row;
  row.set_id(static_cast<std::uint64_t>(view.id));
  row.set_shard(static_cast<std::uint32_t>(shard));
  row.set_opened_unix_ms(time.unix_ms(view.since));
  row.set_messages_in(view.messages_received);
  row.set_messages_out(view.messages_sent);
  row.set_bytes_in(view.bytes_received);
  row.set_bytes_out(view.bytes_sent);

  const SessionStatus session = view.session->status();
  row.set_peer(printable(session.peer));
  row.set_protocol(std::string(session.protocol));
  row.set_state(std::string(session.state));
  row.set_detail(printable(session.detail));
  row.set_pending(session.pending);

  if (const auto status = transport.status(view.id)) {
    row.set_endpoint(status->endpoint);
    row.set_local(status->local);
    row.set_remote(status->remote);
    row.set_transport(std::string(name_of(status->transport)));
    const bool stream =
        status->transport == TransportKind::tcp || status->transport == TransportKind::tls;
    row.set_placement(status->peeled ? admin::PEELED : stream ? admin::DEDICATED : admin::SHARED);
    if (status->peeled) {
      row.set_peel_reason(std::string(name_of(status->reason)));
      row.set_peeled_unix_ms(time.unix_ms(status->peeled_at));
      row.set_peeled_at_messages_per_second(status->peeled_at_messages_per_second);
    }
    row.set_congested(status->congested);
    row.set_queued_messages(status->queued_messages);
    row.set_queued_bytes(status->queued_bytes);
    row.set_messages_in_per_second(status->messages_in_per_second);
    row.set_messages_out_per_second(status->messages_out_per_second);
  }
  if (const Histogram* residence = transport.residence(view.id)) {
    row.set_residence_count(residence->count());
    row.set_residence_p50_ns(residence->quantile(0.5));
    row.set_residence_p99_ns(residence->quantile(0.99));
  }
  return row;
}

void answer_admin(Node& node, const admin::Request& request,
                  std::function<void(admin::Response)> reply) {
  auto response = std::make_shared<admin::Response>();
  response->set_node(printable(node.config().name));
  response->set_time_unix_ms(unix_ms_now());
  response->set_node_started_unix_ms(node.started_unix_ms());
  switch (request.what_case()) {
    case admin::Request::kPeers:
      return answer_peers(node, request.peers(), std::move(response), std::move(reply));
    case admin::Request::kAssociations:
      return answer_associations(node, request.associations(), std::move(response),
                                 std::move(reply));
    case admin::Request::kStats:
      return answer_stats(node, request.stats(), std::move(response), std::move(reply));
    case admin::Request::kFacts:
      return node.beside([&node, facts = request.facts(),
                          response] { add_facts(node.facts(), facts, *response->mutable_facts()); },
                         [response, reply = std::move(reply)] { reply(std::move(*response)); });
    case admin::Request::kDrops:
      return answer_drops(node, std::move(response), std::move(reply));
    case admin::Request::kReload:
      return answer_reload(node, request.reload(), std::move(response), std::move(reply));
    case admin::Request::kOrder:
      return answer_order(node, request.order(), std::move(response), std::move(reply));
    case admin::Request::kApplicationServers:
      return answer_application_servers(node, std::move(response), std::move(reply));
    case admin::Request::kApplications:
      return answer_applications(node, std::move(response), std::move(reply));
    case admin::Request::kNode:
      add_node(node, *response->mutable_node_status());
      break;
    case admin::Request::kRoutes:
      return answer_routes(node, std::move(response), std::move(reply));
    case admin::Request::kLogLevel:
      answer_log_level(node, request.log_level(), *response);
      break;
    case admin::Request::kRouteLookup:
      return answer_route_lookup(node, request.route_lookup(), std::move(response),
                                 std::move(reply));
    case admin::Request::WHAT_NOT_SET:
      refuse(*response, admin::Error::UNIMPLEMENTED,
             "this node does not have the requested view or command");
      break;
  }
  reply(std::move(*response));
}

}  // namespace siglane::runtime
