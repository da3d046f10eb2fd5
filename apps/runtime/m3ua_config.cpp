#include "apps/runtime/m3ua_config.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "apps/runtime/config_fields.h"
#include "protocols/m3ua/networks.h"

namespace siglane::runtime {

namespace {

using m3ua::TrafficMode;

constexpr std::uint16_t kM3uaPort = 2905;  // RFC 4666 §7.2
constexpr Range<std::uint32_t> kPointCode{0, 0xff'ffff};

template <class List>
bool has_name(const List& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(), [&](const auto& item) { return item.name == name; });
}

m3ua::NetworkConfig read_network(const ObjectReader& from, const m3ua::M3uaConfig& config) {
  m3ua::NetworkConfig network;
  network.network_appearance = from.optional_number<std::uint32_t>("network_appearance");
  for (const auto& other : config.networks) {
    if (other.network_appearance != network.network_appearance) continue;
    if (network.network_appearance) {
      from.refuse("network_appearance", "free: another network has it");
    } else {
      from.complain("network_appearance",
                    "is missing; the network without one, the default network, is there already");
    }
  }
  network.point_code_bits = from.required_number<unsigned>("point_code_bits", {14, 24});
  const unsigned bits = network.point_code_bits;
  if (bits != 14 && bits != 16 && bits != 24) from.refuse("point_code_bits", "14, 16 or 24");
  return network;
}

// An ASP Up without an ASP Identifier is that of the only ASP without one at its address, or the
// only one there with its port.
void check_known_by_address(const ObjectReader& from, const PeerConfig& peer,
                            const m3ua::M3uaConfig& config, const NodeConfig& node) {
  if (peer.addresses.empty()) {
    return from.complain("asp_identifier",
                         "is missing: without \"remote_addresses\" nothing else tells who it is");
  }
  for (const m3ua::AspConfig& named : config.asps) {
    const NodePeer* other = named.asp_identifier ? nullptr : node.peer(named.name);
    if (other == nullptr || other->peer.name == peer.name || other->peer.port != peer.port)
      continue;
    const auto shared =
        std::find_first_of(peer.addresses.begin(), peer.addresses.end(),
                           other->peer.addresses.begin(), other->peer.addresses.end());
    if (shared == peer.addresses.end()) continue;
    return from.complain(
        "asp_identifier",
        fmt::format("is missing: ASP \"{}\" has the address {} and the port {} too, and no ASP "
                    "identifier either, so nothing tells them apart",
                    named.name, *shared, peer.port));
  }
}

m3ua::AspConfig read_asp(const ObjectReader& from, const m3ua::M3uaConfig& config,
                         NodeConfig& node) {
  const NodePeer& peer = read_peer(from, "m3ua", kM3uaPort, node);
  m3ua::AspConfig asp;
  asp.name = peer.peer.name;
  asp.asp_identifier = from.optional_number<std::uint32_t>("asp_identifier");
  for (const auto& other : config.asps) {
    if (asp.asp_identifier && asp.asp_identifier == other.asp_identifier) {
      from.refuse("asp_identifier", fmt::format("free: ASP \"{}\" has it", other.name));
    }
  }
  if (!asp.asp_identifier) check_known_by_address(from, peer.peer, config, node);
  return asp;
}

m3ua::ApplicationServerConfig read_application_server(const ObjectReader& from,
                                                      const m3ua::M3uaConfig& config) {
  m3ua::ApplicationServerConfig as;
  as.name = required_name(from);
  if (has_name(config.application_servers, as.name)) from.refuse("name", "a name of its own");
  as.routing_context = from.required_number<std::uint32_t>("routing_context");
  for (const auto& other : config.application_servers) {
    if (other.routing_context == as.routing_context) {
      from.refuse("routing_context", fmt::format("free: AS \"{}\" has it", other.name));
    }
  }
  as.network_appearance = from.optional_number<std::uint32_t>("network_appearance");
  as.traffic_mode = from.choice("traffic_mode", as.traffic_mode,
                                {{"override", TrafficMode::override_mode},
                                 {"loadshare", TrafficMode::loadshare},
                                 {"broadcast", TrafficMode::broadcast}});
  as.asps = from.strings("asps", {1, 4096});
  for (std::size_t i = 0; i < as.asps.size(); ++i) {
    if (!has_name(config.asps, as.asps[i])) from.refuse("asps", i, "the name of an ASP");
    if (std::count(as.asps.begin(), as.asps.end(), as.asps[i]) > 1) {
      from.refuse("asps", i, "named once");
    }
  }
  read_field(from, "active_asps_min", as.active_asps_min,
             {1, std::max<std::size_t>(1, as.asps.size())});
  if (as.traffic_mode == TrafficMode::override_mode && as.active_asps_min != 1) {
    from.refuse("active_asps_min", "1: in override mode one ASP is active");
  }
  read_field(from, "recovery_timeout_ms", as.recovery_timeout, {10ms, 10min});
  read_field(from, "pending_messages_max", as.pending_messages_max, {0, 10'000'000});
  read_field(from, "pending_bytes_max", as.pending_bytes_max, {0, std::size_t{1} << 32});
  return as;
}

m3ua::RouteConfig read_route(const ObjectReader& from, const m3ua::M3uaConfig& config) {
  m3ua::RouteConfig route;
  route.destination_point_code = from.required_number<std::uint32_t>("dpc", kPointCode);
  route.network_appearance = from.optional_number<std::uint32_t>("network_appearance");
  route.service_indicators =
      from.numbers<std::uint8_t>("service_indicators", {.min = 0, .max = 15}, {0, 16});
  route.originating_point_codes = from.numbers<std::uint32_t>("opcs", kPointCode, {0, 4096});
  route.application_server = from.required_string("as");
  if (!route.application_server.empty() &&
      !has_name(config.application_servers, route.application_server)) {
    from.refuse("as", "the name of an application server");
  }
  return route;
}

void check_point_codes(const std::vector<ObjectReader>& list, const m3ua::M3uaConfig& config) {
  const m3ua::Networks networks(config);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const m3ua::RouteConfig& route = config.routes[i];
    const unsigned bits = networks.point_code_bits(route);
    const auto expected = [&] {
      return fmt::format("a point code of at most {} bits ({})", bits,
                         route.network_appearance
                             ? fmt::format("network appearance {}", *route.network_appearance)
                             : "the widest network of an application server");
    };
    if (route.destination_point_code >> bits != 0) list[i].refuse("dpc", expected());
    for (std::size_t n = 0; n < route.originating_point_codes.size(); ++n) {
      if (route.originating_point_codes[n] >> bits != 0) list[i].refuse("opcs", n, expected());
    }
  }
}

// A single stream is stream 0, and DATA may not take that (RFC 4666 §1.4.7).
void check_streams(const ObjectReader& from, const NodeConfig& node) {
  const auto single = [](const SctpAssociationOptions& options) {
    return options.streams_out < 2 || options.streams_in_max < 2;
  };
  const auto complain = [&](const std::string& what) {
    from.complain("single_stream_allowed", "is false, and " + what);
  };
  for (const auto& [endpoint, module] : node.endpoints) {
    if (module != "m3ua" || !is_sctp(endpoint.transport) || !endpoint.listening) continue;
    if (single(endpoint.sctp)) {
      complain(
          fmt::format("endpoint \"{}\" has a single stream: every ASP that connects there would "
                      "be refused",
                      endpoint.name));
    }
  }
  for (const NodePeer& peer : node.peers) {
    const NodeEndpoint* local = node.endpoint(peer.connect_from);
    if (peer.module != "m3ua" || local == nullptr || !is_sctp(local->endpoint.transport)) continue;
    SctpAssociationOptions options = local->endpoint.sctp;
    if (peer.peer.sctp) options = peer.peer.sctp->over(options);
    if (single(options)) {
      complain(fmt::format("ASP \"{}\" is connected to with a single stream: it would be refused",
                           peer.peer.name));
    }
  }
}

}  // namespace

m3ua::M3uaConfig read_m3ua_config(const ObjectReader& root, NodeConfig& node) {
  const ObjectReader from = root.object("m3ua");
  m3ua::M3uaConfig config;
  for (const ObjectReader& network : from.objects("networks", {0, 256})) {
    config.networks.push_back(read_network(network, config));
  }
  for (const ObjectReader& asp : from.objects("asps", {0, 65536})) {
    config.asps.push_back(read_asp(asp, config, node));
  }
  for (const ObjectReader& as : from.objects("application_servers", {0, 65536})) {
    config.application_servers.push_back(read_application_server(as, config));
  }
  const auto routes = from.objects("routes", {0, 1'000'000});
  for (const ObjectReader& route : routes) config.routes.push_back(read_route(route, config));
  check_point_codes(routes, config);
  read_field(from, "heartbeat_interval_ms", config.heartbeat_interval, {0ms, 1h});
  read_field(from, "single_stream_allowed", config.single_stream_allowed);
  if (!config.single_stream_allowed) check_streams(from, node);
  read_field(from, "destination_report_interval_ms", config.destination_report_interval, {0ms, 1h});
  read_field(from, "drain_messages_per_ms_max", config.drain_messages_per_ms_max, {1, 1'000'000});
  return config;
}

std::set<std::string> asps_to_reconnect(const m3ua::M3uaConfig& now, const m3ua::M3uaConfig& next) {
  std::unordered_map<std::string_view, const m3ua::AspConfig*> known;
  for (const auto& asp : now.asps) known.emplace(asp.name, &asp);
  std::set<std::string> names;
  for (const auto& asp : next.asps) {
    const auto was = known.find(asp.name);
    if (was != known.end() && was->second->asp_identifier != asp.asp_identifier) {
      names.insert(asp.name);
    }
  }
  return names;
}

}  // namespace siglane::runtime
