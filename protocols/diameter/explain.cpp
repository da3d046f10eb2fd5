#include "protocols/diameter/explain.h"

#include <memory>
#include <string_view>
#include <utility>

#include "protocols/diameter/constants.h"
#include "protocols/diameter/error_text.h"
#include "protocols/diameter/message.h"

namespace siglane::diameter {
namespace {

// What fills the lines of an Explanation.
class Explainer {
 public:
  Explainer(const DiameterConfig& config, const RouteTable& routes, ShardId shard,
            const RouteQuery& query)
      : config_(config),
        routes_(routes),
        query_(query),
        shard_(shard),
        route_(find_route(config, routes, shard, query)),
        best_(best_peers(routes, query)) {}

  Explanation run() {
    for (const LocalApplication& local : routes_.applications) {
      if (local.shard == shard_) explain(local);
    }
    for (const OpenPeer& peer : routes_.peers) explain(peer);
    for (const IdlePeer& one : routes_.idle) explain(one);
    for (const DiameterPeerConfig& peer : config_.peers) {
      if (routes_.connections_of(peer.name) == 0) explain(peer);
    }
    if (route_.application == nullptr && route_.peer == nullptr) {
      explanation_.refusal = route_.refusal;
      explanation_.error_message =
          not_routed_text(query_.message, config_, route_.refusal, Why::no_such_association,
                          idle_peer(routes_, query_));
    }
    return std::move(explanation_);
  }

 private:
  using Verdict = Way::Verdict;

  void explain(const LocalApplication& local) {
    Way way;
    way.kind = Way::Kind::application;
    way.name = application_text(local.id);
    if (route_.application == &local) {
      way.share = 1;
      return add(std::move(way), Verdict::chosen,
                 is_ours(config_, query_) == Ours::host
                     ? "is of this node, which Destination-Host names"
                     : "is of this node, whose realm the request is for");
    }
    if (local.id != query_.message.application()) {
      return add(std::move(way), Verdict::unfit, "is another application");
    }
    if (is_ours(config_, query_) == Ours::no) {
      return add(std::move(way), Verdict::unfit, "is of this node, and the request is not for it");
    }
    add(std::move(way), Verdict::outdone, "comes after another one of this node");
  }

  void explain(const OpenPeer& peer) {
    Way way = way_of(peer);
    const auto fitness = fitness_of(peer, query_);
    if (!fitness) return add(std::move(way), Verdict::unfit, text_of(fitness.error()));
    const std::string_view leads = text_of(*leads_there(peer, query_));
    if (route_.peer != nullptr && *fitness == best_.fitness) {
      way.share = 1.0 / static_cast<double>(best_.count);
      return add(std::move(way), Verdict::chosen, leads);
    }
    std::string_view but = "this node takes the request itself";
    if (route_.peer != nullptr) {
      but = "another one fits better";
    } else if (route_.application == nullptr && !may_leave(config_, query_)) {
      but = "this node is no relay, and passes on no request of a peer";
    } else if (route_.application == nullptr) {
      but = "a request for this host stays here";
    }
    add(std::move(way), Verdict::outdone, std::string(leads) + ", but " + std::string(but));
  }

  void explain(const IdlePeer& one) {
    Way way = way_of(one.peer);
    const auto fitness = fitness_of(one.peer, query_);
    if (!fitness) return add(std::move(way), Verdict::unfit, text_of(fitness.error()));
    switch (one.reason) {
      case IdlePeer::Reason::blocked:
        return add(std::move(way), Verdict::blocked, idle_text(one.reason));
      case IdlePeer::Reason::suspect:
        return add(std::move(way), Verdict::suspect, idle_text(one.reason));
    }
  }

  // What it supports is not known before it is open.
  void explain(const DiameterPeerConfig& peer) {
    OpenPeer closed;
    closed.name = peer.name;
    closed.origin_host = peer.origin_host;
    closed.realm = peer.realm;
    closed.routed_realms = peer.routed_realms;
    const auto leads = leads_there(closed, query_);
    if (!leads) return add(way_of(closed), Verdict::unfit, text_of(leads.error()));
    add(way_of(closed), Verdict::not_open, std::string(text_of(*leads)) + ", but is not open");
  }

  static Way way_of(const OpenPeer& peer) {
    Way way;
    way.kind = Way::Kind::peer;
    way.name = peer.name;
    way.origin_host = peer.origin_host;
    way.connection = peer.id;
    return way;
  }

  void add(Way way, Verdict verdict, std::string_view why) {
    way.verdict = verdict;
    way.why = why;
    explanation_.ways.push_back(std::move(way));
  }

  const DiameterConfig& config_;
  const RouteTable& routes_;
  const RouteQuery& query_;
  const ShardId shard_;
  const Route route_;
  const BestPeers best_;
  Explanation explanation_;
};

}  // namespace

Explanation explain(const DiameterConfig& config, const RouteTable& routes, ShardId shard,
                    const RouteQuestion& question) {
  BufferPool pool(0);
  Header header;
  header.flags = static_cast<std::uint8_t>(command_flag::kRequest | command_flag::kProxiable);
  header.application = question.application;
  MessageBuilder builder(pool, header);
  if (!question.destination_host.empty()) {
    builder.add(avp::destination_host, question.destination_host);
  }
  if (!question.destination_realm.empty()) {
    builder.add(avp::destination_realm, question.destination_realm);
  }
  RequestParcel request;
  request.message = std::move(builder).finish();
  request.header = header;
  if (!question.from.empty()) {
    request.peer = std::make_shared<const std::string>(question.from);
    request.received_from = request.peer;
  }
  const MessageView message = request.view();
  return Explainer(config, routes, shard, RouteQuery::of(message, request)).run();
}

}  // namespace siglane::diameter
