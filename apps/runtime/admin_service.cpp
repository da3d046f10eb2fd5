#include "apps/runtime/admin_service.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "apps/runtime/admin_commands.h"
#include "apps/runtime/admin_stats.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "apps/runtime/printable.h"
#include "apps/runtime/wall_time.h"

namespace siglane::runtime {

namespace {

// A fact is some hundred bytes; so many fit any client's frame.
constexpr std::size_t kFactsMax = 10'000;

// What comes from the wire may be no UTF-8, which protobuf wants its strings to be, and may hold
// what would play tricks on a terminal: it is made printable before it goes into a message.

using Peers = std::map<std::string, admin::Peer, std::less<>>;

// How its last association ended, and whether it wants to be left alone.
void add_past(const PeerPast& past, Instant now, admin::Peer& peer) {
  if (!past.why.empty()) {
    peer.set_last_closed_why(printable(past.why));
    peer.set_last_closed_unix_ms(unix_ms_of(past.ended_at, now));
  }
  if (past.held_off_until && *past.held_off_until > now && !peer.connect_from().empty()) {
    peer.set_held_off_until_unix_ms(unix_ms_of(*past.held_off_until, now));
  }
}

Peers configured_peers(const Node& node, Instant now) {
  Peers peers;
  for (const NodePeer& configured : node.config().peers) {
    admin::Peer& peer = peers[configured.peer.name];
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
    add_past(node.past_of(configured), now, peer);
  }
  return peers;
}

void add_peers(const Shard& shard, Instant now, Peers& into) {
  shard.visit_sessions([&](const SessionView& view) {
    if (view.coordinator) return;
    const SessionStatus status = view.session->status();
    if (status.peer.empty()) return;
    const auto known = into.find(status.peer);
    const bool shown = known != into.end() && known->second.association() != 0;
    if (shown && !view.identified) return;  // who only says so
    admin::Peer& peer = into[std::string(status.peer)];
    peer.set_name(printable(status.peer));
    peer.set_protocol(std::string(status.protocol));
    peer.set_state(std::string(status.state));
    peer.set_association(static_cast<std::uint64_t>(view.id));
    peer.set_since_unix_ms(unix_ms_of(view.since, now));
  });
}

void add_associations(const Shard& shard, const Transport& transport, Instant now,
                      admin::Associations& into) {
  shard.visit_sessions([&](const SessionView& view) {
    if (view.coordinator) return;
    *into.add_association() = admin_association(view, shard.id(), transport, now);
  });
}

// A peer may have been on several shards: its rows are one.
using DropRows = std::map<std::pair<std::string, std::string>, admin::Drop>;

void add_drops(const Shard& shard, Instant now, DropRows& into) {
  shard.drops().visit([&](std::string_view reason, const std::string& peer, const Drops::Row& row) {
    admin::Drop& drop = into[{std::string(reason), peer}];
    drop.set_reason(std::string(reason));
    drop.set_what(std::string(row.what));
    drop.set_peer(printable(peer));
    drop.set_count(drop.count() + row.count);
    const std::int64_t last = unix_ms_of(row.last, now);
    if (last < drop.last_unix_ms()) return;
    drop.set_example(printable(row.example));
    drop.set_last_unix_ms(last);
    drop.set_association(static_cast<std::uint64_t>(row.about));
  });
}

// One that moved meanwhile may have been seen twice: where it was seen last is where it is.
void sort_associations(admin::Associations& associations) {
  auto& rows = *associations.mutable_association();
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.id() < b.id(); });
  for (int i = rows.size() - 1; i > 0; --i) {
    if (rows[i].id() == rows[i - 1].id()) rows.DeleteSubrange(i - 1, 1);
  }
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
                                     const Transport& transport, Instant now) {
  admin::Association row;
  row.set_id(static_cast<std::uint64_t>(view.id));
  row.set_shard(static_cast<std::uint32_t>(shard));
  row.set_opened_unix_ms(unix_ms_of(view.since, now));
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
      row.set_peeled_unix_ms(unix_ms_of(status->peeled_at, now));
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

void answer_admin(Node& node, const admin::Request& request, Instant now,
                  std::function<void(admin::Response)> reply) {
  auto response = std::make_shared<admin::Response>();
  response->set_id(request.id());
  response->set_node(printable(node.config().name));
  response->set_time_unix_ms(unix_ms_now());
  response->set_node_started_unix_ms(node.started_unix_ms());
  switch (request.what_case()) {
    case admin::Request::kPeers: {
      auto peers = std::make_shared<Peers>(configured_peers(node, now));
      return node.on_each_shard(
          [peers, now](const Shard& shard, const Transport&) { add_peers(shard, now, *peers); },
          [peers, response, reply = std::move(reply)] {
            for (auto& [name, peer] : *peers) {
              *response->mutable_peers()->add_peer() = std::move(peer);
            }
            reply(std::move(*response));
          });
    }
    case admin::Request::kAssociations:
      return node.on_each_shard(
          [response, now](const Shard& shard, const Transport& transport) {
            add_associations(shard, transport, now, *response->mutable_associations());
          },
          [response, reply = std::move(reply)] {
            sort_associations(*response->mutable_associations());
            reply(std::move(*response));
          });
    case admin::Request::kStats:
      return answer_stats(node, request.stats(), std::move(response), std::move(reply));
    case admin::Request::kFacts:
      add_facts(node, request.facts(), *response->mutable_facts());
      break;
    case admin::Request::kDrops: {
      auto rows = std::make_shared<DropRows>();
      return node.on_each_shard(
          [rows, now](const Shard& shard, const Transport&) { add_drops(shard, now, *rows); },
          [rows, response, reply = std::move(reply)] {
            response->mutable_drops();
            for (auto& [key, drop] : *rows) {
              *response->mutable_drops()->add_drop() = std::move(drop);
            }
            reply(std::move(*response));
          });
    }
    case admin::Request::kReload:
      return answer_reload(node, request.reload(), std::move(response), std::move(reply));
    case admin::Request::kOrder:
      return answer_order(node, request.order(), std::move(response), std::move(reply));
    case admin::Request::kLogLevel:
      answer_log_level(node, request.log_level(), *response);
      break;
    case admin::Request::WHAT_NOT_SET:
      response->mutable_error()->set_code(admin::Error::UNIMPLEMENTED);
      response->mutable_error()->set_text("this node does not have the requested view or command");
      break;
  }
  reply(std::move(*response));
}

}  // namespace siglane::runtime
