#include "protocols/diameter/routing.h"

#include <algorithm>
#include <array>

#include "protocols/diameter/constants.h"
#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

// A scorer's opinion of one peer for one request: the sum decides, kNever forbids.
constexpr int kNever = -1'000'000;
using Scorer = int (*)(const OpenPeer&, const RouteQuery&);

int not_where_it_was(const OpenPeer& peer, const RouteQuery& query) {
  if (peer.id == query.origin) return kNever;
  return query.parcel != nullptr && query.parcel->was_tried(peer.id) ? kNever : 0;
}

// RFC 6733 §6.1.7, of a peer whose identity is in a Route-Record: "the agent MUST ignore such a
// route for the Diameter request message and attempt alternate routes if any exist."
int not_on_its_record(const OpenPeer& peer, const RouteQuery& query) {
  return was_at(query.message, peer.origin_host) ? kNever : 0;
}

int supports_application(const OpenPeer& peer, const RouteQuery& query) {
  const auto& ids = peer.applications;
  if (std::find(ids.begin(), ids.end(), query.message.application()) != ids.end()) return 2;
  return peer.relay ? 1 : kNever;
}

int leads_there(const OpenPeer& peer, const RouteQuery& query) {
  if (!query.destination_host.empty() && same_identity(peer.origin_host, query.destination_host)) {
    return 1000;
  }
  if (query.destination_realm.empty()) return kNever;
  const bool realm = same_identity(peer.realm, query.destination_realm);
  const bool behind = contains_realm(peer.routed_realms, query.destination_realm);
  // A host of that realm is reached through an agent for it, not through its neighbour, which could
  // not answer in that host's name either (origin.h).
  if (realm && (query.destination_host.empty() || behind)) return 100;
  return behind ? 50 : kNever;
}

constexpr std::array<Scorer, 4> kScorers = {not_where_it_was, not_on_its_record,
                                            supports_application, leads_there};

int score(const OpenPeer& peer, const RouteQuery& query) {
  int sum = 0;
  for (const Scorer scorer : kScorers) {
    const int opinion = scorer(peer, query);
    if (opinion == kNever) return kNever;
    sum += opinion;
  }
  return sum;
}

}  // namespace

const OpenPeer* RouteTable::peer(AssociationId id) const {
  const auto it =
      std::find_if(peers.begin(), peers.end(), [&](const OpenPeer& open) { return open.id == id; });
  return it != peers.end() ? &*it : nullptr;
}

const OpenPeer* RouteTable::peer(std::string_view name) const {
  const auto it = std::find_if(peers.begin(), peers.end(),
                               [&](const OpenPeer& open) { return open.name == name; });
  return it != peers.end() ? &*it : nullptr;
}

bool RouteTable::is_suspect(std::string_view name) const {
  return std::find(suspects.begin(), suspects.end(), name) != suspects.end();
}

bool RouteTable::is_connecting_to(std::string_view origin_host, AssociationId but) const {
  return std::any_of(connecting.begin(), connecting.end(), [&](const ConnectingPeer& one) {
    return one.id != but && same_identity(one.origin_host, origin_host);
  });
}

RouteQuery RouteQuery::of(const MessageView& message, const RequestParcel& request) {
  RouteQuery query{message, {}, {}, request.origin, &request};
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

const OpenPeer* choose_peer(const RouteTable& routes, const RouteQuery& query) {
  int best = kNever;
  std::size_t equals = 0;
  for (const OpenPeer& peer : routes.peers) {
    const int opinion = score(peer, query);
    if (opinion == kNever || opinion < best) continue;
    equals = opinion > best ? 1 : equals + 1;
    best = opinion;
  }
  if (equals == 0) return nullptr;
  std::size_t turn = query.message.header().end_to_end % equals;
  for (const OpenPeer& peer : routes.peers) {
    if (score(peer, query) == best && turn-- == 0) return &peer;
  }
  return nullptr;
}

bool leads_to(const DiameterConfig& config, const RouteTable& routes, std::string_view realm) {
  const auto leads = [&](const auto& peer) {
    return same_identity(peer.realm, realm) || contains_realm(peer.routed_realms, realm);
  };
  return std::any_of(config.peers.begin(), config.peers.end(), leads) ||
         std::any_of(routes.peers.begin(), routes.peers.end(), leads);
}

}  // namespace siglane::diameter
