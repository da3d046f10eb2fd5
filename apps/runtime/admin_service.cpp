#include "apps/runtime/admin_service.h"

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include "apps/runtime/admin_commands.h"
#include "apps/runtime/admin_lookup.h"
#include "apps/runtime/admin_peers.h"
#include "apps/runtime/admin_routes.h"
#include "apps/runtime/admin_stats.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "apps/runtime/printable.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {

namespace {

// A fact is some hundred bytes; so many fit any client's frame.
constexpr std::size_t kFactsMax = 10'000;

// What comes from the wire may be no UTF-8, which protobuf wants its strings to be, and may hold
// what would play tricks on a terminal: it is made printable before it goes into a message.

// By id. One that moved meanwhile may be there twice: where it was seen last is where it is.
void add_associations(std::list<admin::Association>& rows, admin::Response& response) {
  std::map<std::uint64_t, admin::Association*> by_id;
  for (admin::Association& row : rows) by_id[row.id()] = &row;
  admin::Associations& associations = *response.mutable_associations();
  for (const auto& [id, row] : by_id) *associations.add_association() = std::move(*row);
  rows.clear();
}

void answer_associations(Node& node, std::shared_ptr<admin::Response> response,
                         std::function<void(admin::Response)> reply) {
  auto rows = std::make_shared<std::list<admin::Association>>();
  const WallClock time(transport::Loop::fresh_now());
  const auto begin = [rows, time](const Shard& shard, const Transport& transport) {
    const std::function<void(const SessionView&)> visit = [&shard, &transport, rows,
                                                           time](const SessionView& view) {
      if (!view.coordinator) {
        rows->push_back(admin_association(view, shard.id(), transport, time));
      }
    };
    return
        [&shard, visit, walk = TableWalk()]() mutable { return shard.visit_sessions(walk, visit); };
  };
  const auto join = [rows, response] { add_associations(*rows, *response); };
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

void add_facts(const Node& node, const admin::FactsRequest& request, admin::Facts& into) {
  const std::size_t count_max =
      request.count_max() == 0 ? kFactsMax : std::min<std::size_t>(request.count_max(), kFactsMax);
  for (const KeptFact& kept : node.facts().after(request.after(), count_max)) {
    admin::Fact& fact = *into.add_fact();
    fact.set_number(kept.number);
    fact.set_unix_ms(kept.unix_ms);
    fact.set_kind(std::string(kept.fact.kind.name));
    fact.set_severity(std::string(name_of(kept.fact.severity)));
    fact.set_shard(static_cast<std::uint32_t>(kept.shard));
    fact.set_association(static_cast<std::uint64_t>(kept.about));
    fact.set_peer(printable(kept.peer));
    for (const FactField& field : kept.fact.fields) {
      fact.add_field()->set_key(std::string(field.key));
      fact.mutable_field(fact.field_size() - 1)->set_value(printable(field.value));
    }
  }
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
  response->set_id(request.id());
  response->set_node(printable(node.config().name));
  response->set_time_unix_ms(unix_ms_now());
  response->set_node_started_unix_ms(node.started_unix_ms());
  switch (request.what_case()) {
    case admin::Request::kPeers:
      return answer_peers(node, std::move(response), std::move(reply));
    case admin::Request::kAssociations:
      return answer_associations(node, std::move(response), std::move(reply));
    case admin::Request::kStats:
      return answer_stats(node, request.stats(), std::move(response), std::move(reply));
    case admin::Request::kFacts:
      return node.beside([&node, facts = request.facts(),
                          response] { add_facts(node, facts, *response->mutable_facts()); },
                         [response, reply = std::move(reply)] { reply(std::move(*response)); });
    case admin::Request::kDrops:
      return answer_drops(node, std::move(response), std::move(reply));
    case admin::Request::kReload:
      return answer_reload(node, request.reload(), std::move(response), std::move(reply));
    case admin::Request::kOrder:
      return answer_order(node, request.order(), std::move(response), std::move(reply));
    case admin::Request::kApplicationServers:
      return answer_application_servers(node, std::move(response), std::move(reply));
    case admin::Request::kRoutes:
      return answer_routes(node, std::move(response), std::move(reply));
    case admin::Request::kLogLevel:
      answer_log_level(node, request.log_level(), *response);
      break;
    case admin::Request::kRouteLookup:
      return answer_route_lookup(node, request.route_lookup(), std::move(response),
                                 std::move(reply));
    case admin::Request::WHAT_NOT_SET:
      response->mutable_error()->set_code(admin::Error::UNIMPLEMENTED);
      response->mutable_error()->set_text("this node does not have the requested view or command");
      break;
  }
  reply(std::move(*response));
}

}  // namespace siglane::runtime
