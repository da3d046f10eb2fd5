#include "protocols/m3ua/module.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

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

const std::shared_ptr<const AsView>& nobody_up() {
  static const auto view = std::make_shared<const AsView>();
  return view;
}

RouteTable nobody_up(const Gateway& gateway) {
  RouteTable table;
  table.servers.assign(gateway.servers.size(), nobody_up());
  return table;
}

// Of the destinations of an AS by any of these rules, the latest of which come first: those that a
// network reaches by it, and whose state there is what the message says. Another AS may serve them
// too.
std::vector<AffectedPointCode> affected_in(Network network, const NetworkStatusParcel& status,
                                           const std::vector<const RoutingRules*>& rules,
                                           const RouteTable& table) {
  const auto reached = [&](const RoutingRules& by, std::uint32_t dpc) {
    const auto serving = by.serving(network, dpc);
    return std::ranges::find(serving, status.server) != serving.end();
  };
  const RoutingRules& latest = *rules.front();
  std::vector<AffectedPointCode> affected;
  for (const RoutingRules* of : rules) {
    for (const std::uint32_t dpc : of->destinations_of(status.server)) {
      if (!reached(*of, dpc) || (of != &latest && reached(latest, dpc))) continue;
      if (status.type != MessageType::scon) {
        const bool expected = status.type == MessageType::dava;
        if (table.available(latest, network, dpc) != expected) continue;
      }
      affected.push_back({0, dpc});
    }
  }
  return affected;
}

template <class P>
std::unique_ptr<P> as(ParcelPtr parcel) {
  return std::unique_ptr<P>(static_cast<P*>(parcel.release()));
}

// As the routes of that revision have it.
std::unique_ptr<NetworkStatusParcel> status_of(const Gateway& revision, MessageType type,
                                               Network network,
                                               std::vector<AffectedPointCode> affected) {
  auto status = std::make_unique<NetworkStatusParcel>();
  status->type = type;
  status->revision = revision.number;
  status->network_appearance = network;
  status->affected = std::move(affected);
  return status;
}

}  // namespace

M3uaModule::M3uaModule(M3uaConfig config)
    : prepared_(std::make_shared<const Gateway>(std::move(config))),
      latest_(prepared_.load()),
      table_(nobody_up(*prepared_.load())),
      shards_(1, {prepared_.load(), 0, table_.load()->servers}) {}

// --- A new config --------------------------------------------------------------------------------

std::shared_ptr<const Gateway> M3uaModule::build(M3uaConfig next) {
  const auto over = [this] {
    std::lock_guard lock(mutex_);
    return std::exchange(turn_before_, {});
  }();
  return std::make_shared<const Gateway>(std::move(next), *prepared_.load());
}

void M3uaModule::prepare(std::shared_ptr<const Gateway> next) {
  table_.update(
      [&](RouteTable& table) { table.servers.resize(next->servers.size(), nobody_up()); });
  prepared_.set(std::move(next));
}

void M3uaModule::add_application_servers(Shard& shard, std::size_t shards, Instant now) {
  // Before the node runs; none comes later.
  if (shards_.size() < shards) shards_.resize(shards, shards_.front());
  OnShard& here = on(shard.id());
  const auto gateway = prepared_.load();
  for (std::size_t& place = here.servers_added; place < gateway->servers.size(); ++place) {
    if (place % shards != static_cast<std::size_t>(shard.id())) continue;
    shard.add_coordinator(std::make_unique<ApplicationServer>(latest_, gateway, place), *this, now,
                          gateway->servers[place].coordinator);
  }
}

void M3uaModule::adopt(ShardId shard) {
  OnShard& here = on(shard);
  auto next = prepared_.load();
  if (here.gateway == next) return;
  if (std::lock_guard lock(mutex_); latest_.load() != next) {
    turn_before_ = std::exchange(turn_, {latest_.load(), table_.load()});
    report_ = {};
    latest_.set(next);
  }
  here.gateway = std::move(next);
  here.views.resize(std::max(here.views.size(), here.gateway->servers.size()), nobody_up());
  for (std::size_t i = 0; i < here.gateway->servers.size(); ++i) {
    if (here.gateway->servers[i].removed) here.views[i] = nobody_up();
  }
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
  const auto gateway = latest_.load();
  for (const AspConfig& asp : gateway->config.asps) {
    const PeerConfig* peer = peers.find(asp.name);
    if (peer == nullptr || !PeerTable::at_home(*peer, up.remote_addresses)) continue;
    candidates.push_back(asp.name);
    if (peer->port == up.remote_port) by_port.push_back(asp.name);
  }
  if (candidates.size() > 1 && !by_port.empty()) candidates = std::move(by_port);
  return std::make_unique<AspSession>(latest_, up, std::move(candidates));
}

void M3uaModule::route(ShardId shard, AssociationId from, ParcelPtr parcel, Instant,
                       Outbox& out) const {
  switch (static_cast<M3uaParcel&>(*parcel).kind()) {
    case ParcelKind::data:
      return route_data(shard, from, as<DataParcel>(std::move(parcel)), out);
    case ParcelKind::network_status:
      return route_status(shard, from, as<NetworkStatusParcel>(std::move(parcel)), out);
    case ParcelKind::asp_status:
    case ParcelKind::asp_event:
    case ParcelKind::as_order:
      return;  // these have an address of their own
    case ParcelKind::routes_changed:
      return report_changes(from, static_cast<const RoutesChangedParcel&>(*parcel), out);
  }
}

void M3uaModule::route_data(ShardId shard, AssociationId from, std::unique_ptr<DataParcel> data,
                            Outbox& out) const {
  const OnShard& here = on(shard);
  const auto place = here.gateway->rules.find(data->network_appearance, data->label);
  const AsView* view = place ? here.views[*place].get() : nullptr;
  if (view == nullptr || !view->takes_data()) {
    out.count(counter::data_unroutable);
    out.drop(place ? kAsNotActive : kNoRoute, data->describe(), here.gateway->sender_of(*data));
    auto duna = status_of(*here.gateway, MessageType::duna, data->network_appearance,
                          {{0, data->label.dpc}});
    duna->limited = true;
    return out.forward(from, std::move(duna));
  }
  data->server = *place;
  if (view->through_coordinator) return out.forward(view->coordinator, std::move(data));
  const AssociationId asp = view->carriers[data->label.sls];
  out.forward(asp, std::move(data));
}

void M3uaModule::route_status(ShardId shard, AssociationId from,
                              std::unique_ptr<NetworkStatusParcel> status, Outbox& out) const {
  if (status->type == MessageType::daud) return answer_audit(from, *status, out);
  const auto latest = latest_.load();
  const auto table = table_.load();
  // Until this shard has followed, those too that the AS served before.
  std::vector<const RoutingRules*> rules{&latest->rules};
  if (on(shard).gateway != latest) rules.push_back(&on(shard).gateway->rules);
  // Every ASP that is active in another AS hears of the destinations in the networks of its ASs,
  // each network by itself.
  const std::vector<AssociationId>& behind = table->servers[status->server]->active;
  std::map<Network, std::vector<AssociationId>> concerned;
  for (std::size_t as = 0; as < table->servers.size(); ++as) {
    if (as == status->server) continue;
    const std::vector<AssociationId>& active = table->servers[as]->active;
    if (active.empty() || as >= latest->servers.size()) continue;
    auto& asps = concerned[latest->servers[as].config.network_appearance];
    asps.insert(asps.end(), active.begin(), active.end());
  }
  for (auto& [network, asps] : concerned) {
    const auto affected = affected_in(network, *status, rules, *table);
    if (affected.empty()) continue;
    std::ranges::sort(asps);
    asps.erase(std::unique(asps.begin(), asps.end()), asps.end());
    for (const AssociationId asp : asps) {
      if (std::ranges::find(behind, asp) != behind.end()) continue;
      auto copy = status_of(*latest, status->type, network, affected);
      copy->congestion_level = status->congestion_level;
      out.forward(asp, std::move(copy));
    }
  }
}

// What an ASP was told by the rules before, as states were when they changed; and what is so by
// those of now. What states change in between is said by the latter (route_status). So it is told
// what is true last, whichever comes first; at worst twice.
void M3uaModule::report_changes(AssociationId asp, const RoutesChangedParcel& changed,
                                Outbox& out) const {
  const auto latest = latest_.load();
  const auto table = table_.load();
  const Turn turn = [this] {
    std::lock_guard lock(mutex_);
    return turn_;
  }();
  std::set<Network> networks;
  for (const std::size_t as : changed.active_in) {
    networks.insert(latest->servers[as].config.network_appearance);
  }
  for (const Network& network : networks) {
    // Not of those that it serves, or served, itself.
    const auto tell = [&](MessageType type, const std::vector<std::uint32_t>& destinations,
                          const RoutingRules& rules) {
      std::vector<std::uint32_t> own;
      for (const std::size_t as : changed.active_in) {
        for (const std::uint32_t dpc : rules.destinations_of(as)) {
          if (!std::ranges::binary_search(destinations, dpc)) continue;
          const auto serving = rules.serving(network, dpc);
          if (std::ranges::find(serving, as) != serving.end()) own.push_back(dpc);
        }
      }
      std::ranges::sort(own);
      std::vector<AffectedPointCode> affected;
      affected.reserve(destinations.size());
      for (const std::uint32_t dpc : destinations) {
        if (!std::ranges::binary_search(own, dpc)) affected.push_back({0, dpc});
      }
      if (!affected.empty()) {
        out.forward(asp, status_of(*latest, type, network, std::move(affected)));
      }
    };
    const ChangesPtr changes = changes_in(network, turn, latest, table);
    tell(MessageType::dava, changes->available, latest->rules);
    tell(MessageType::duna, changes->unavailable, turn.before->rules);
  }
}

M3uaModule::ChangesPtr M3uaModule::changes_in(
    Network network, const Turn& turn, const std::shared_ptr<const Gateway>& latest,
    const std::shared_ptr<const RouteTable>& table) const {
  {
    std::lock_guard lock(mutex_);
    if (report_.latest != latest || report_.table != table) report_ = {latest, table, {}};
    if (const auto known = report_.by_network.find(network); known != report_.by_network.end()) {
      return known->second;
    }
  }
  auto changes = std::make_shared<Changes>();
  for (const std::uint32_t dpc : latest->changed_destinations) {
    const bool is = table->available(latest->rules, network, dpc);
    if (is == turn.table->available(turn.before->rules, network, dpc)) continue;
    (is ? changes->available : changes->unavailable).push_back(dpc);
  }
  std::lock_guard lock(mutex_);
  if (report_.latest == latest && report_.table == table) report_.by_network[network] = changes;
  return changes;
}

// RFC 4666 §4.5.3: DAUD is answered with the state of each destination: DAVA or DUNA. We keep none
// of congestion, so there is no SCON.
void M3uaModule::answer_audit(AssociationId from, const NetworkStatusParcel& audit,
                              Outbox& out) const {
  const auto latest = latest_.load();
  const RoutingRules& rules = latest->rules;
  const auto table = table_.load();
  const Network network = audit.network_appearance;
  const std::size_t answers_max = audit.affected.size() + rules.destinations_max(network);
  std::vector<AffectedPointCode> up, down;
  const auto sort_out = [&](std::uint32_t dpc) {
    (table->available(rules, network, dpc) ? up : down).push_back({0, dpc});
  };
  for (const AffectedPointCode& pc : audit.affected) {
    if (pc.mask == 0) {
      sort_out(pc.point_code);
      continue;
    }
    // A range: those of it that we know; where we know none, the range itself is unavailable.
    const auto known = rules.destinations_in(network, pc);
    for (const std::uint32_t dpc : known) sort_out(dpc);
    if (known.empty()) down.push_back(pc);
    if (up.size() + down.size() > answers_max) break;  // ranges that overlap say the same again
  }
  for (auto& [type, affected] : {std::pair(MessageType::dava, std::move(up)),
                                 std::pair(MessageType::duna, std::move(down))}) {
    if (!affected.empty()) out.forward(from, status_of(*latest, type, network, affected));
  }
}

void M3uaModule::undelivered(ShardId, AssociationId from, ParcelPtr parcel, Why why, Instant,
                             Outbox& out) const {
  switch (static_cast<M3uaParcel&>(*parcel).kind()) {
    case ParcelKind::data:
      return give_back(as<DataParcel>(std::move(parcel)), why, out);
    case ParcelKind::asp_event: {
      // Its AS was removed.
      const auto& event = static_cast<const AspEventParcel&>(*parcel);
      if (event.event == AspEventParcel::Event::lost) return;
      return out.forward(from, std::make_unique<AsOrderParcel>(AsOrderParcel::Order::removed,
                                                               event.server, event.epoch));
    }
    case ParcelKind::as_order:        // that ASP is gone
    case ParcelKind::network_status:  // and need not know
    case ParcelKind::asp_status:
    case ParcelKind::routes_changed:
      return;
  }
}

// Its ASP has just gone. The AS session knows who serves now, or holds it: never past what was sent
// before, because it decides in the order in which it hears. This shard may not know the AS yet, or
// not know that it is removed.
void M3uaModule::give_back(std::unique_ptr<DataParcel> data, Why why, Outbox& out) const {
  const auto latest = latest_.load();
  const Gateway::Server& server = latest->servers[data->server];
  // Of broadcast, the others have theirs.
  const bool broadcast = server.config.traffic_mode == TrafficMode::broadcast;
  if (server.removed || broadcast || why == Why::exhausted || data->was_tried(server.coordinator)) {
    out.count(counter::data_discarded);
    const DropReason& reason = server.removed ? kAsRemoved
                               : broadcast    ? kBroadcastCopy
                                              : kNobodyLeft;
    return out.drop(reason, data->describe(), latest->sender_of(*data));
  }
  out.forward(server.coordinator, std::move(data));
}

void M3uaModule::publish(ShardId, AssociationId, ParcelPtr change) {
  auto news = as<AsChangeParcel>(std::move(change));
  table_.update([&](RouteTable& table) { table.servers[news->as] = std::move(news->view); });
}

// It may be one that this shard has yet to follow.
std::shared_ptr<const AsView>& M3uaModule::view_of(ShardId shard, std::size_t place) {
  auto& views = on(shard).views;
  if (views.size() <= place) views.resize(place + 1, nobody_up());
  return views[place];
}

void M3uaModule::hold(ShardId shard, AssociationId coordinator) {
  const auto place = latest_.load()->place_of(coordinator);
  auto& view = view_of(shard, *place);
  auto held = std::make_shared<AsView>(*view);
  held->coordinator = coordinator;
  held->through_coordinator = true;
  held->rerouting = true;
  view = std::move(held);
}

void M3uaModule::follow(ShardId shard, AssociationId coordinator) {
  const auto place = latest_.load()->place_of(coordinator);
  view_of(shard, *place) = table_.load()->servers[*place];
}

}  // namespace siglane::m3ua
