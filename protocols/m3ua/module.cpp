#include "protocols/m3ua/module.h"

#include <algorithm>
#include <array>
#include <map>

#include "core/shard.h"
#include "protocols/m3ua/as.h"
#include "protocols/m3ua/asp.h"
#include "protocols/m3ua/counters.h"

namespace siglane::m3ua {
namespace {

constexpr std::array kPayloadProtocols = {kPayloadProtocol};

constexpr DropReason kNoRoute{"m3ua.no_route", "no route leads to the destination"};
constexpr DropReason kNobodyLeft{"m3ua.undelivered",
                                 "the ASP for this DATA left, and no other ASP may have it"};
constexpr DropReason kBroadcastCopy{
    "m3ua.broadcast_copy", "the ASP for this copy of a broadcast left; the others have theirs"};

RouteTable nobody_up(const Gateway& gateway) {
  RouteTable table;
  table.servers.assign(gateway.config.application_servers.size(), std::make_shared<AsView>());
  return table;
}

template <class P>
std::unique_ptr<P> as(ParcelPtr parcel) {
  return std::unique_ptr<P>(static_cast<P*>(parcel.release()));
}

std::unique_ptr<NetworkStatusParcel> status_of(MessageType type, Network network,
                                               std::vector<AffectedPointCode> affected) {
  auto status = std::make_unique<NetworkStatusParcel>();
  status->type = type;
  status->network_appearance = network;
  status->affected = std::move(affected);
  return status;
}

}  // namespace

M3uaModule::M3uaModule(M3uaConfig config)
    : gateway_(std::move(config)), table_(nobody_up(gateway_)), views_(1, table_.load()->servers) {}

void M3uaModule::add_application_servers(Shard& shard, std::size_t shards, Instant now) {
  views_.resize(shards, table_.load()->servers);
  for (std::size_t i = 0; i < gateway_.coordinators.size(); ++i) {
    if (i % shards != static_cast<std::size_t>(shard.id())) continue;
    set_coordinator(i, shard.add_coordinator(make_application_server(i), *this, now));
  }
}

std::unique_ptr<Session> M3uaModule::make_application_server(std::size_t index) const {
  return std::make_unique<ApplicationServer>(gateway_, index);
}

void M3uaModule::set_coordinator(std::size_t index, AssociationId id) {
  gateway_.coordinators[index] = id;
}

std::span<const PayloadProtocol> M3uaModule::payload_protocols() const {
  return kPayloadProtocols;
}

Result<std::optional<std::size_t>> frame_length_of(Bytes head) {
  const auto length = length_in_header(head);
  if (!length) return std::optional<std::size_t>();
  if (std::to_integer<std::uint8_t>(head[0]) != kVersion || *length < kHeaderSize) {
    return failure("not an M3UA message");
  }
  return length;
}

Result<std::optional<std::size_t>> M3uaModule::frame_length(Bytes head) const {
  return frame_length_of(head);
}

std::unique_ptr<Session> M3uaModule::open_session(AssociationId, const AssociationUp& up,
                                                  const PeerTable& peers, std::uint64_t) const {
  // By address; and where several share one, by the port they connect from.
  std::vector<std::string> candidates, by_port;
  for (const AspConfig& asp : gateway_.config.asps) {
    const PeerConfig* peer = peers.find(asp.name);
    if (peer == nullptr || !PeerTable::at_home(*peer, up.remote_addresses)) continue;
    candidates.push_back(asp.name);
    if (peer->port == up.remote_port) by_port.push_back(asp.name);
  }
  if (candidates.size() > 1 && !by_port.empty()) candidates = std::move(by_port);
  return std::make_unique<AspSession>(gateway_, up, std::move(candidates));
}

void M3uaModule::route(ShardId shard, AssociationId from, ParcelPtr parcel, Instant,
                       Outbox& out) const {
  switch (static_cast<M3uaParcel&>(*parcel).kind()) {
    case ParcelKind::data:
      return route_data(shard, from, as<DataParcel>(std::move(parcel)), out);
    case ParcelKind::network_status:
      return route_status(from, as<NetworkStatusParcel>(std::move(parcel)), out);
    case ParcelKind::asp_status:
    case ParcelKind::asp_event:
    case ParcelKind::as_order:
      return;  // these have an address of their own
  }
}

void M3uaModule::route_data(ShardId shard, AssociationId from, std::unique_ptr<DataParcel> data,
                            Outbox& out) const {
  const auto index = gateway_.rules.find(data->network_appearance, data->label);
  const AsView* view = index ? views_[static_cast<std::size_t>(shard)][*index].get() : nullptr;
  if (view == nullptr || view->state == AsState::down || view->state == AsState::inactive) {
    out.count(counter::data_unroutable);
    out.drop(index ? kAsNotActive : kNoRoute, data->describe(), gateway_.sender_of(*data));
    auto duna = status_of(MessageType::duna, data->network_appearance, {{0, data->label.dpc}});
    duna->limited = true;
    return out.forward(from, std::move(duna));
  }
  data->server = *index;
  if (view->through_coordinator) return out.forward(view->coordinator, std::move(data));
  const AssociationId asp = view->carriers[data->label.sls];
  out.forward(asp, std::move(data));
}

void M3uaModule::route_status(AssociationId from, std::unique_ptr<NetworkStatusParcel> status,
                              Outbox& out) const {
  if (status->type == MessageType::daud) return answer_audit(from, *status, out);
  // Every ASP that is active in another AS hears of the destinations in the networks of its ASs,
  // each network by itself.
  const auto table = table_.load();
  const std::vector<AssociationId>& behind = table->servers[status->server]->active;
  std::map<Network, std::vector<AssociationId>> concerned;
  for (std::size_t as = 0; as < table->servers.size(); ++as) {
    if (as == status->server) continue;
    const std::vector<AssociationId>& active = table->servers[as]->active;
    if (active.empty()) continue;
    auto& asps = concerned[gateway_.config.application_servers[as].network_appearance];
    asps.insert(asps.end(), active.begin(), active.end());
  }
  for (auto& [network, asps] : concerned) {
    const auto affected = affected_in(network, *status, *table);
    if (affected.empty()) continue;
    std::ranges::sort(asps);
    asps.erase(std::unique(asps.begin(), asps.end()), asps.end());
    for (const AssociationId asp : asps) {
      if (std::ranges::find(behind, asp) != behind.end()) continue;
      auto copy = status_of(status->type, network, affected);
      copy->congestion_level = status->congestion_level;
      out.forward(asp, std::move(copy));
    }
  }
}

// Of the destinations of an AS those that a network reaches by it, and whose state there is what
// the message says: another AS may serve them too.
std::vector<AffectedPointCode> M3uaModule::affected_in(Network network,
                                                       const NetworkStatusParcel& status,
                                                       const RouteTable& table) const {
  std::vector<AffectedPointCode> affected;
  for (const AffectedPointCode& pc : status.affected) {
    const auto serving = gateway_.rules.serving(network, pc.point_code);
    if (std::ranges::find(serving, status.server) == serving.end()) continue;
    if (status.type != MessageType::scon) {
      const bool expected = status.type == MessageType::dava;
      if (table.available(gateway_.rules, network, pc.point_code) != expected) continue;
    }
    affected.push_back(pc);
  }
  return affected;
}

// RFC 4666 §4.5.3: DAUD is answered with the state of each destination: DAVA or DUNA. We keep none
// of congestion, so there is no SCON.
void M3uaModule::answer_audit(AssociationId from, const NetworkStatusParcel& audit,
                              Outbox& out) const {
  const auto table = table_.load();
  const Network network = audit.network_appearance;
  const std::size_t answers_max = audit.affected.size() + gateway_.rules.destinations_max(network);
  std::vector<AffectedPointCode> up, down;
  const auto sort_out = [&](std::uint32_t dpc) {
    (table->available(gateway_.rules, network, dpc) ? up : down).push_back({0, dpc});
  };
  for (const AffectedPointCode& pc : audit.affected) {
    if (pc.mask == 0) {
      sort_out(pc.point_code);
      continue;
    }
    // A range: those of it that we know; where we know none, the range itself is unavailable.
    const auto known = gateway_.rules.destinations_in(network, pc);
    for (const std::uint32_t dpc : known) sort_out(dpc);
    if (known.empty()) down.push_back(pc);
    if (up.size() + down.size() > answers_max) break;  // ranges that overlap say the same again
  }
  for (auto& [type, affected] : {std::pair(MessageType::dava, std::move(up)),
                                 std::pair(MessageType::duna, std::move(down))}) {
    if (!affected.empty()) out.forward(from, status_of(type, network, affected));
  }
}

void M3uaModule::undelivered(ShardId, AssociationId, ParcelPtr parcel, Why why, Instant,
                             Outbox& out) const {
  switch (static_cast<M3uaParcel&>(*parcel).kind()) {
    case ParcelKind::data: {
      // Its ASP has just gone. The AS session knows who serves now, or holds it: never past what
      // was sent before, because it decides in the order in which it hears.
      auto data = as<DataParcel>(std::move(parcel));
      const AssociationId coordinator = gateway_.coordinators[data->server];
      // Of broadcast, the others have theirs.
      const bool broadcast =
          gateway_.config.application_servers[data->server].traffic_mode == TrafficMode::broadcast;
      if (why == Why::exhausted || data->was_tried(coordinator) || broadcast) {
        out.count(counter::data_discarded);
        return out.drop(broadcast ? kBroadcastCopy : kNobodyLeft, data->describe(),
                        gateway_.sender_of(*data));
      }
      return out.forward(coordinator, std::move(data));
    }
    case ParcelKind::asp_event:
    case ParcelKind::as_order:        // that ASP is gone
    case ParcelKind::network_status:  // and need not know
    case ParcelKind::asp_status:
      return;
  }
}

void M3uaModule::publish(ShardId, AssociationId, ParcelPtr change) {
  auto news = as<AsChangeParcel>(std::move(change));
  table_.update([&](RouteTable& table) { table.servers[news->as] = std::move(news->view); });
}

std::size_t M3uaModule::index_of(AssociationId coordinator) const {
  return static_cast<std::size_t>(std::ranges::find(gateway_.coordinators, coordinator) -
                                  gateway_.coordinators.begin());
}

void M3uaModule::hold(ShardId shard, AssociationId coordinator) {
  auto& view = views_[static_cast<std::size_t>(shard)][index_of(coordinator)];
  auto held = std::make_shared<AsView>(*view);
  held->coordinator = coordinator;
  held->through_coordinator = true;
  view = std::move(held);
}

void M3uaModule::follow(ShardId shard, AssociationId coordinator) {
  const std::size_t index = index_of(coordinator);
  views_[static_cast<std::size_t>(shard)][index] = table_.load()->servers[index];
}

}  // namespace siglane::m3ua
