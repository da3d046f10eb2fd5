#include "protocols/diameter/module.h"

#include <algorithm>
#include <array>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/counters.h"
#include "protocols/diameter/error_text.h"
#include "protocols/diameter/peer_session.h"
#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

constexpr DropReason kNobodyWaits{"diameter.answer_orphaned",
                                  "the peer that sent the request is gone"};

constexpr std::array kPayloadProtocols = {kPayloadProtocol};

// RFC 6733 §6.1.9: a relay "MUST append a Route-Record AVP to all requests forwarded. The AVP
// contains the identity of the peer from which the request was received."
Buffer with_route_record(const MessageView& request, std::string_view from, BufferPool& pool) {
  MessageBuilder relayed(pool, request.header(), request.bytes().size() + from.size() + 12);
  relayed.add_raw(request.avps().bytes());
  relayed.add(avp::route_record, from);
  return std::move(relayed).finish();
}

const DiameterPeerConfig* find_peer(const DiameterConfig& config, std::string_view name) {
  const auto it = std::find_if(config.peers.begin(), config.peers.end(),
                               [&](const DiameterPeerConfig& peer) { return peer.name == name; });
  return it != config.peers.end() ? &*it : nullptr;
}

}  // namespace

DiameterModule::DiameterModule(DiameterConfig config) : config_(std::move(config)) {}

void DiameterModule::add_application(ShardId shard, ApplicationId application,
                                     AssociationId coordinator) {
  routes_.update([&](RouteTable& routes) {
    routes.applications.push_back({shard, application, coordinator});
  });
}

std::span<const PayloadProtocol> DiameterModule::payload_protocols() const {
  return kPayloadProtocols;
}

Result<std::optional<std::size_t>> DiameterModule::frame_length(Bytes head) const {
  if (head.size() < 4) return std::nullopt;
  const std::size_t length = load_u24(head.data() + 1);
  if (length < Header::kBytes) return failure("a Diameter message shorter than its header");
  const bool plausible = length % 4 == 0 && length <= config_.limits.message_bytes_max;
  if (head[0] != std::byte{1} && !plausible) {
    return failure("not a Diameter message: the version is " +
                   std::to_string(std::to_integer<unsigned>(head[0])) + ", not 1");
  }
  return length;
}

std::unique_ptr<Session> DiameterModule::open_session(AssociationId id, const AssociationUp&,
                                                      const PeerTable&, std::uint64_t seed) const {
  return std::make_unique<PeerSession>(id, config_, routes_, seed);
}

void DiameterModule::route(ShardId shard, AssociationId from, ParcelPtr parcel, Instant now,
                           Outbox& out) const {
  if (kind_of(*parcel) != ParcelKind::request) {
    return undelivered(shard, from, std::move(parcel), Why::no_such_association, now, out);
  }
  auto request = parcel_cast<RequestParcel>(std::move(parcel));
  if (request->origin == AssociationId::none) request->origin = from;
  route_request(shard, std::move(request), Why::no_such_association, out);
}

// `why`: it did not get on where it was tried last, if it was tried.
void DiameterModule::route_request(ShardId shard, RequestPtr request, Why why, Outbox& out) const {
  const MessageView message = request->view();
  // RFC 6733 §6.1.3: "A relay or proxy agent MUST check for forwarding loops when receiving
  // requests. A loop is detected if the server finds its own identity in a Route-Record AVP."
  if (was_at(message, config_.origin_host)) {
    return refuse(std::move(request), result::loop_detected, Why::exhausted, out);
  }
  const RouteTable& routes = routes_on(shard);
  const RouteQuery query = RouteQuery::of(message, *request);
  const bool our_realm = query.destination_realm.empty() ||
                         same_identity(query.destination_realm, config_.origin_realm);
  const bool our_host = same_identity(query.destination_host, config_.origin_host);
  // RFC 6733 §6.1.4: what names us, or names no host in a realm that is ours, is for us.
  if (our_host || (our_realm && query.destination_host.empty())) {
    for (const LocalApplication& local : routes.applications) {
      if (local.shard == shard && local.id == message.application() &&
          local.coordinator != request->origin && !request->was_tried(local.coordinator)) {
        return out.forward(local.coordinator, std::move(request));
      }
    }
    if (our_host) {
      const bool tried = !request->tried().empty();
      return refuse(std::move(request),
                    tried ? result::unable_to_deliver : result::application_unsupported, why, out);
    }
  }
  // Only agents pass on what others sent; everybody sends what is their own. RFC 6733 §3, P: "If
  // cleared, the message MUST be locally processed."
  if (request->received_from == nullptr || (config_.relay && request->header.is_proxiable())) {
    if (const OpenPeer* peer = choose_peer(routes, query)) {
      return relay(*peer, std::move(request), out);
    }
  }
  // Nobody will have it: the code says why.
  ResultCode code = result::unable_to_deliver;
  if (our_realm && query.destination_host.empty() && request->tried().empty()) {
    code = result::application_unsupported;
  } else if (!our_realm && !leads_to(config_, routes, query.destination_realm)) {
    code = result::realm_not_served;
  }
  refuse(std::move(request), code, why, out);
}

void DiameterModule::undelivered(ShardId shard, AssociationId from, ParcelPtr parcel, Why why,
                                 Instant, Outbox& out) const {
  switch (kind_of(*parcel)) {
    case ParcelKind::answer:
      out.count(counter::answers_orphaned);
      return out.drop(kNobodyWaits, parcel->describe());
    case ParcelKind::peer_change:
      return;
    case ParcelKind::request:
      break;
  }
  auto request = parcel_cast<RequestParcel>(std::move(parcel));
  if (request->origin == AssociationId::none) request->origin = from;
  // Nobody is there to be answered: no other peer is troubled with it.
  if (!request->wanted()) return out.count(counter::answers_orphaned);
  // RFC 6733 §5.5.4 fails over what a lost peer leaves behind. What had its time has had it, and
  // what was meant for one peer alone is for nobody else.
  if (request->direct || why == Why::timed_out || why == Why::exhausted) {
    return refuse(std::move(request), result::unable_to_deliver, why, out);
  }
  route_request(shard, std::move(request), why, out);
}

void DiameterModule::relay(const OpenPeer& peer, RequestPtr request, Outbox& out) const {
  if (request->received_from != nullptr && !request->recorded) {
    request->message = with_route_record(request->view(), *request->received_from, out.buffers());
    request->recorded = true;
  }
  out.forward(peer.id, std::move(request));
}

void DiameterModule::refuse(RequestPtr request, ResultCode result, Why why, Outbox& out) const {
  const MessageView message = request->view();
  const std::string text = not_routed_text(message, config_, result, why);
  out.count(counter::requests_unroutable);
  out.drop(drop_reason(result), command_text(message) + ": " + text,
           std::string(request->asked_by()));
  auto answer = make_answer(*request, error_answer(out.buffers(), message, config_, result, text));
  answer->why = why;
  out.forward(request->origin, std::move(answer));
}

void DiameterModule::publish(ShardId shard, AssociationId from, ParcelPtr change) {
  const auto peer = parcel_cast<PeerChange>(std::move(change));
  const DiameterPeerConfig* config = find_peer(config_, peer->name);
  routes_.update([&](RouteTable& routes) {
    std::erase_if(routes.peers, [&](const OpenPeer& open) { return open.id == from; });
    std::erase_if(routes.connecting, [&](const ConnectingPeer& one) { return one.id == from; });
    switch (peer->state) {
      case PeerChange::State::connecting:
        routes.connecting.push_back({from, peer->origin_host});
        return;
      case PeerChange::State::open:
        std::erase(routes.suspects, peer->name);
        routes.peers.push_back(
            {from, shard, peer->name, peer->origin_host, peer->realm, peer->relay,
             peer->applications,
             config != nullptr ? config->routed_realms : std::vector<std::string>()});
        return;
      case PeerChange::State::closed:
        return;
      case PeerChange::State::failed:
        if (config != nullptr && !routes.is_suspect(peer->name)) {
          routes.suspects.push_back(peer->name);
        }
        return;
    }
  });
}

}  // namespace siglane::diameter
