#include "protocols/diameter/routing.h"

#include <algorithm>
#include <array>

#include "protocols/diameter/constants.h"
#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

// A scorer's opinion of one connection for one request: the sum decides, unless one forbids it.
using Opinion = tl::expected<int, Unfit>;
using Scorer = Opinion (*)(const OpenPeer&, const RouteQuery&);

Opinion never(Unfit why) {
  return tl::unexpected(why);
}

// Not back to who sent it, on whichever of its connections.
Opinion not_where_it_was(const OpenPeer& peer, const RouteQuery& query) {
  const RequestParcel& request = *query.request;
  if (peer.id == request.origin || request.asked_by() == peer.name) return never(Unfit::sender);
  return request.was_tried(peer.id) ? never(Unfit::tried) : 0;
}

// RFC 6733 §6.1.7, of a peer whose identity is in a Route-Record: "the agent MUST ignore such a
// route for the Diameter request message and attempt alternate routes if any exist."
Opinion not_on_its_record(const OpenPeer& peer, const RouteQuery& query) {
  return was_at(query.message, peer.origin_host) ? never(Unfit::on_record) : 0;
}

Opinion supports_application(const OpenPeer& peer, const RouteQuery& query) {
  const auto& ids = peer.applications;
  if (std::find(ids.begin(), ids.end(), query.message.application()) != ids.end()) return 2;
  return peer.relay ? Opinion(1) : never(Unfit::application);
}

// What one connection of a peer could not keep goes to another one of it first: the peer may have
// it, and knows it again by the T bit. What two could not keep goes to another peer that leads
// there as well, for a request is tried at few places (Parcel::mark_tried), and a peer may have
// more connections than that.
Opinion stays_with_its_peer(const OpenPeer& peer, const RouteQuery& query) {
  const RequestParcel& request = *query.request;
  if (request.returned_by == nullptr || *request.returned_by != peer.name) return 0;
  return request.returns < 2 ? 10 : -10;
}

Opinion leads_to_destination(const OpenPeer& peer, const RouteQuery& query) {
  return leads_there(peer, query).map([](Lead lead) { return static_cast<int>(lead); });
}

constexpr std::array<Scorer, 5> kScorers = {not_where_it_was, not_on_its_record,
                                            supports_application, leads_to_destination,
                                            stays_with_its_peer};

bool speaks_for(const OpenPeer& peer, std::string_view realm) {
  return same_identity(peer.realm, realm) || contains_realm(peer.routed_realms, realm);
}

}  // namespace

bool RouteTable::is_suspect(std::string_view name) const {
  return std::find(suspects.begin(), suspects.end(), name) != suspects.end();
}

std::size_t RouteTable::connecting_to(std::string_view origin_host, AssociationId but) const {
  return static_cast<std::size_t>(std::ranges::count_if(connecting, [&](const ConnectingPeer& one) {
    return one.id != but && same_identity(one.origin_host, origin_host);
  }));
}

std::size_t RouteTable::connections_of(std::string_view name) const {
  const auto open = std::ranges::count(peers, name, &OpenPeer::name);
  const auto not_taking = std::ranges::count(
      idle, name, [](const IdlePeer& one) -> const std::string& { return one.peer.name; });
  return static_cast<std::size_t>(open + not_taking);
}

bool RouteTable::is_well(std::string_view name) const {
  const auto well = [&](const IdlePeer& one) {
    return one.reason == IdlePeer::Reason::blocked && one.peer.name == name;
  };
  return std::ranges::find(peers, name, &OpenPeer::name) != peers.end() ||
         std::ranges::any_of(idle, well);
}

RouteQuery RouteQuery::of(const MessageView& message, const RequestParcel& request) {
  RouteQuery query{message, &request, {}, {}};
  for (const AvpView avp : message.avps()) {
    if (avp.is(avp::destination_host)) query.destination_host = avp.text();
    if (avp.is(avp::destination_realm)) query.destination_realm = avp.text();
  }
  return query;
}

bool was_at(const MessageView& request, std::string_view origin_host) {
  for (const AvpView avp : request.avps()) {
    if (avp.is(avp::route_record) && same_identity(avp.text(), origin_host)) return true;
  }
  return false;
}

// --- One peer -----------------------------------------------------------------------------------

std::string_view text_of(Unfit unfit) {
  switch (unfit) {
    case Unfit::sender:
      return "sent the request";
    case Unfit::tried:
      return "was tried already";
    case Unfit::on_record:
      return "had the request before, by its Route-Record";
    case Unfit::application:
      return "has not advertised the application";
    case Unfit::realm:
      return "is of another realm and does not lead to that one";
    case Unfit::host:
      return "is another host, and does not lead to that one";
  }
  return {};
}

std::string_view text_of(Lead lead) {
  switch (lead) {
    case Lead::behind:
      return "leads to that realm by its config";
    case Lead::realm:
      return "is of that realm";
    case Lead::host:
      return "is Destination-Host";
  }
  return {};
}

tl::expected<Lead, Unfit> leads_there(const OpenPeer& peer, const RouteQuery& query) {
  if (!query.destination_host.empty() && same_identity(peer.origin_host, query.destination_host)) {
    return Lead::host;
  }
  if (query.destination_realm.empty()) return tl::unexpected(Unfit::host);
  const bool realm = same_identity(peer.realm, query.destination_realm);
  const bool behind = contains_realm(peer.routed_realms, query.destination_realm);
  // A host of that realm is reached through an agent for it, not through its neighbour, which could
  // not answer in that host's name either (origin.h).
  if (realm && (query.destination_host.empty() || behind)) return Lead::realm;
  if (behind) return Lead::behind;
  return tl::unexpected(realm ? Unfit::host : Unfit::realm);
}

tl::expected<int, Unfit> fitness_of(const OpenPeer& peer, const RouteQuery& query) {
  int sum = 0;
  for (const Scorer scorer : kScorers) {
    const Opinion opinion = scorer(peer, query);
    if (!opinion) return opinion;
    sum += *opinion;
  }
  return sum;
}

// --- All of them --------------------------------------------------------------------------------

BestPeers best_peers(const RouteTable& routes, const RouteQuery& query) {
  BestPeers best;
  for (const OpenPeer& peer : routes.peers) {
    const auto fitness = fitness_of(peer, query);
    if (!fitness || *fitness < best.fitness) continue;
    best.count = *fitness > best.fitness ? 1 : best.count + 1;
    best.fitness = *fitness;
  }
  return best;
}

const OpenPeer* choose_peer(const RouteTable& routes, const RouteQuery& query) {
  const BestPeers best = best_peers(routes, query);
  if (best.count == 0) return nullptr;
  std::size_t turn = query.message.header().end_to_end % best.count;
  for (const OpenPeer& peer : routes.peers) {
    if (fitness_of(peer, query) == best.fitness && turn-- == 0) return &peer;
  }
  return nullptr;
}

const IdlePeer* idle_peer(const RouteTable& routes, const RouteQuery& query) {
  const auto it = std::ranges::find_if(routes.idle, [&](const IdlePeer& one) {
    return query.request->was_tried(one.peer.id) || fitness_of(one.peer, query).has_value();
  });
  return it != routes.idle.end() ? &*it : nullptr;
}

bool leads_to(const DiameterConfig& config, const RouteTable& routes, std::string_view realm) {
  const auto configured = [&](const DiameterPeerConfig& peer) {
    return same_identity(peer.realm, realm) || contains_realm(peer.routed_realms, realm);
  };
  const auto open = [&](const OpenPeer& peer) { return speaks_for(peer, realm); };
  const auto idle = [&](const IdlePeer& one) { return speaks_for(one.peer, realm); };
  return std::ranges::any_of(config.peers, configured) || std::ranges::any_of(routes.peers, open) ||
         std::ranges::any_of(routes.idle, idle);
}

// --- This node and all of them ------------------------------------------------------------------

Ours is_ours(const DiameterConfig& config, const RouteQuery& query) {
  if (!query.destination_host.empty()) {
    return same_identity(query.destination_host, config.origin_host) ? Ours::host : Ours::no;
  }
  // RFC 6733 §6.1.4: what names us, or names no host in a realm that is ours, is for us.
  const bool realm = query.destination_realm.empty() ||
                     same_identity(query.destination_realm, config.origin_realm);
  return realm ? Ours::realm : Ours::no;
}

// RFC 6733 §3, P: "If cleared, the message MUST be locally processed."
bool may_leave(const DiameterConfig& config, const RouteQuery& query) {
  return query.request->received_from == nullptr ||
         (config.relay && query.request->header.is_proxiable());
}

Route find_route(const DiameterConfig& config, const RouteTable& routes, ShardId shard,
                 const RouteQuery& query) {
  const auto refused = [](ResultCode code) { return Route{nullptr, nullptr, code}; };
  const RequestParcel& request = *query.request;
  // RFC 6733 §6.1.3: "A relay or proxy agent MUST check for forwarding loops when receiving
  // requests. A loop is detected if the server finds its own identity in a Route-Record AVP."
  if (was_at(query.message, config.origin_host)) return refused(result::loop_detected);
  const Ours ours = is_ours(config, query);
  const bool tried = !request.tried().empty();
  if (ours != Ours::no) {
    for (const LocalApplication& local : routes.applications) {
      if (local.shard == shard && local.id == query.message.application() &&
          local.coordinator != request.origin && !request.was_tried(local.coordinator)) {
        return {&local, nullptr, {}};
      }
    }
    if (ours == Ours::host) {
      return refused(tried ? result::unable_to_deliver : result::application_unsupported);
    }
  }
  if (may_leave(config, query)) {
    if (const OpenPeer* peer = choose_peer(routes, query)) return {nullptr, peer, {}};
  }
  // Nobody will have it: the code says why.
  if (ours == Ours::realm && !tried) return refused(result::application_unsupported);
  const bool our_realm = query.destination_realm.empty() ||
                         same_identity(query.destination_realm, config.origin_realm);
  if (!our_realm && !leads_to(config, routes, query.destination_realm)) {
    return refused(result::realm_not_served);
  }
  return refused(result::unable_to_deliver);
}

}  // namespace siglane::diameter
