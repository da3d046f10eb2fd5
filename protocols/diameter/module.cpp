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

}  // namespace

DiameterModule::DiameterModule(DiameterConfig config)
    : config_(std::move(config)), message_bytes_max_(config_.load()->limits.message_bytes_max) {
  config_.update([](DiameterConfig& indexed) { indexed.index_peers(); });
  for (View& view : views_) view.config = config_.load();
}

std::shared_ptr<const DiameterConfig> DiameterModule::build(DiameterConfig next) const {
  const auto present = config_.load();
  next.origin_host = present->origin_host;
  next.origin_realm = present->origin_realm;
  next.origin_state_id = present->origin_state_id;
  next.index_peers();
  return std::make_shared<const DiameterConfig>(std::move(next));
}

void DiameterModule::prepare(std::shared_ptr<const DiameterConfig> next) {
  message_bytes_max_.store(next->limits.message_bytes_max, std::memory_order_relaxed);
  config_.set(next);
  const auto routes = routes_.load();
  const auto unknown = [&](const std::string& name) { return next->peer_named(name) == nullptr; };
  if (std::ranges::none_of(routes->suspects, unknown)) return;
  routes_.update([&](RouteTable& table) { std::erase_if(table.suspects, unknown); });
}

void DiameterModule::adopt(ShardId shard) {
  views_[static_cast<std::size_t>(shard)].config = config_.load();
}

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
  const bool plausible =
      length % 4 == 0 && length <= message_bytes_max_.load(std::memory_order_relaxed);
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
  const RouteQuery query = RouteQuery::of(request->view(), *request);
  const Route route = find_route(config_on(shard), routes_on(shard), shard, query);
  if (route.application != nullptr) {
    return out.forward(route.application->coordinator, std::move(request));
  }
  if (route.peer != nullptr) return relay(*route.peer, std::move(request), out);
  if (route.refusal == result::loop_detected) why = Why::exhausted;
  refuse(shard, std::move(request), route.refusal, why, out);
}

void DiameterModule::undelivered(ShardId shard, AssociationId from, ParcelPtr parcel, Why why,
                                 Instant, Outbox& out) const {
  switch (kind_of(*parcel)) {
    case ParcelKind::answer:
      out.count(counter::answers_orphaned);
      return out.drop(kNobodyWaits, parcel->describe());
    case ParcelKind::peer_change:
    case ParcelKind::call:
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
    return refuse(shard, std::move(request), result::unable_to_deliver, why, out);
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

void DiameterModule::refuse(ShardId shard, RequestPtr request, ResultCode result, Why why,
                            Outbox& out) const {
  const MessageView message = request->view();
  const IdlePeer* idle = nullptr;
  if (why == Why::no_such_association || why == Why::not_open) {
    idle = idle_peer(routes_on(shard), RouteQuery::of(message, *request));
  }
  const DiameterConfig& config = config_on(shard);
  const std::string text = not_routed_text(message, config, result, why, idle);
  out.count(counter::requests_unroutable);
  out.drop(drop_reason(result), command_text(message) + ": " + text,
           std::string(request->asked_by()));
  auto answer = make_answer(*request, error_answer(out.buffers(), message, config, result, text));
  answer->why = why;
  out.forward(request->origin, std::move(answer));
}

void DiameterModule::publish(ShardId shard, AssociationId from, ParcelPtr change) {
  const auto peer = parcel_cast<PeerChange>(std::move(change));
  routes_.update([&](RouteTable& routes) {
    const auto connection = [&] {
      return OpenPeer{from,        shard,       peer->name,         peer->origin_host,
                      peer->realm, peer->relay, peer->applications, peer->routed_realms};
    };
    std::erase_if(routes.peers, [&](const OpenPeer& open) { return open.id == from; });
    std::erase_if(routes.idle, [&](const IdlePeer& one) { return one.peer.id == from; });
    std::erase_if(routes.connecting, [&](const ConnectingPeer& one) { return one.id == from; });
    switch (peer->state) {
      case PeerChange::State::connecting:
        routes.connecting.push_back({from, peer->origin_host});
        return;
      case PeerChange::State::open:
        std::erase(routes.suspects, peer->name);
        routes.peers.push_back(connection());
        return;
      case PeerChange::State::blocked:
        std::erase(routes.suspects, peer->name);
        routes.idle.push_back({connection(), IdlePeer::Reason::blocked});
        return;
      case PeerChange::State::suspect:
        routes.idle.push_back({connection(), IdlePeer::Reason::suspect});
        return;
      case PeerChange::State::closed:
        return;
      case PeerChange::State::failed:
        // While another connection of it is well, the peer is. One that was removed meanwhile would
        // stay here for ever: prepare() has looked for such already.
        if (peer->configured && config_.load()->peer_named(peer->name) != nullptr &&
            !routes.is_well(peer->name) && !routes.is_suspect(peer->name)) {
          routes.suspects.push_back(peer->name);
        }
        return;
    }
  });
}

}  // namespace siglane::diameter
