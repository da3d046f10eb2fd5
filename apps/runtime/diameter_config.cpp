#include "apps/runtime/diameter_config.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "apps/runtime/config_fields.h"
#include "apps/runtime/peer_checks.h"
#include "apps/runtime/wall_time.h"
#include "protocols/diameter/text.h"

namespace siglane::runtime {

namespace {

constexpr std::uint16_t kDiameterPort = 3868;  // RFC 6733 §11.4

// A realm, or all of them.
std::optional<std::string> as_routed_realm(std::string_view text) {
  return text == "*" ? std::optional(std::string(text)) : as_host_name(text);
}

void check_routed_realms(const ObjectReader& from, const std::vector<std::string>& realms) {
  if (from.array_size("routed_realms") != realms.size()) return;
  for (std::size_t i = 1; i < realms.size(); ++i) {
    const bool twice = std::any_of(
        realms.begin(), realms.begin() + static_cast<std::ptrdiff_t>(i),
        [&](const std::string& other) { return diameter::same_identity(other, realms[i]); });
    if (twice) from.refuse("routed_realms", i, "named once");
  }
}

// RFC 6733 §2.1: instances of one peer may have a connection each.
void read_connections(const ObjectReader& from, const NodeConfig& node, NodePeer& peer) {
  peer.peer.connections_max =
      from.number<std::size_t>("connections_max", 1, {.min = 1, .max = kConnectionsMax});
  const auto connect = from.optional_object("connect");
  if (!connect) return;
  peer.also_from = connect->strings("also_from", {0, kConnectionsMax - 1});
  const NodeEndpoint* first = node.endpoint(peer.connect_from);
  for (std::size_t i = 0; i < peer.also_from.size(); ++i) {
    const std::string& name = peer.also_from[i];
    const NodeEndpoint* local = node.endpoint(name);
    const bool repeated = name == peer.connect_from ||
                          std::find(peer.also_from.begin(), peer.also_from.begin() + i, name) !=
                              peer.also_from.begin() + i;
    if (local == nullptr || local->module != "diameter" || repeated) {
      connect->refuse("also_from", i, "another endpoint of the module \"diameter\"");
    } else if (first != nullptr && local->endpoint.transport != first->endpoint.transport) {
      connect->refuse("also_from", i,
                      fmt::format("an endpoint with the transport of \"{}\"", peer.connect_from));
    }
  }
  const std::size_t endpoints = peer.also_from.size() + 1;
  if (endpoints > peer.peer.connections_max) {
    connect->complain("also_from",
                      fmt::format("has no effect beyond \"connections_max\", which is {}",
                                  peer.peer.connections_max));
  }
}

diameter::DiameterPeerConfig read_diameter_peer(const ObjectReader& from,
                                                const diameter::DiameterConfig& config,
                                                const std::string& default_realm,
                                                NodeConfig& node) {
  diameter::DiameterPeerConfig peer;
  NodePeer& node_peer = read_peer(from, "diameter", kDiameterPort, node);
  read_connections(from, node, node_peer);
  PeerConfig& connection = node_peer.peer;
  peer.name = connection.name;
  peer.origin_host = required_host_name(from, "origin_host");
  if (connection.tls_identity.empty()) connection.tls_identity = peer.origin_host;
  if (diameter::same_identity(peer.origin_host, config.origin_host)) {
    from.refuse("origin_host", "another host than this node's own");
  }
  for (const auto& other : config.peers) {
    if (diameter::same_identity(peer.origin_host, other.origin_host)) {
      from.refuse("origin_host", fmt::format("free: peer \"{}\" has it", other.name));
    }
  }
  peer.realm = from.parsed("realm", default_realm, kHostName, as_host_name);
  peer.routed_realms = from.parsed_list("routed_realms", fmt::format("\"*\" or {}", kHostName),
                                        as_routed_realm, {0, 4096});
  check_routed_realms(from, peer.routed_realms);
  peer.connections_max = connection.connections_max;
  return peer;
}

// What stands in the file and has no effect, and a node that nobody could talk to.
void check_diameter(const ObjectReader& from, const diameter::DiameterConfig& config,
                    const NodeConfig& node) {
  const ObjectReader limits = from.object("limits");
  for (const auto& [endpoint, module] : node.endpoints) {
    const std::size_t max = config.limits.message_bytes_max;
    if (module != "diameter" || max <= endpoint.limits.message_bytes_max) continue;
    if (!limits.has("message_bytes_max")) {
      limits.leave_out("message_bytes_max");
      continue;
    }
    limits.complain(
        "message_bytes_max",
        fmt::format("is {}, and endpoint \"{}\" closes an association at {} bytes: raise its "
                    "\"limits.message_bytes_max\" too, or lower this",
                    max, endpoint.name, endpoint.limits.message_bytes_max));
  }
  const Duration identification = node.admission.identification_timeout;
  if (config.capabilities_timeout > identification && !from.has("capabilities_timeout_ms")) {
    from.leave_out("capabilities_timeout_ms");
  } else if (config.capabilities_timeout > identification) {
    from.complain(
        "capabilities_timeout_ms",
        fmt::format("has no effect: \"admission.identification_timeout_ms\" ends it after "
                    "{} ms",
                    identification / 1ms));
  }
  if (node.admission.accept_unknown_peers) return;
  if (config.peers.empty()) {
    from.complain("peers", "missing; expected one peer or more: nobody else is admitted");
  } else if (config.relay && config.peers.size() == 1) {
    from.complain("relay", "is true, and there is one peer only: nobody to relay its requests to");
  }
}

diameter::DiameterLimits read_diameter_limits(const ObjectReader& from) {
  diameter::DiameterLimits limits;
  read_field(from, "pending_max", limits.pending_max, {1, 10'000'000});
  read_field(from, "pending_bytes_max", limits.pending_bytes_max, {65536, std::size_t{1} << 32});
  read_field(from, "message_bytes_max", limits.message_bytes_max, {256, 0xff'ffff});
  read_field(from, "avp_depth_max", limits.avp_depth_max, {1, 32});
  return limits;
}

}  // namespace

diameter::DiameterConfig read_diameter_config(const ObjectReader& root, NodeConfig& node,
                                              const std::string& realm_in_force) {
  const ObjectReader from = root.object("diameter");
  diameter::DiameterConfig config;
  config.origin_host = required_host_name(from, "origin_host");
  config.origin_realm = required_host_name(from, "origin_realm");
  read_field(from, "product_name", config.product_name);
  read_field(from, "vendor_id", config.vendor_id);
  read_field(from, "firmware_revision", config.firmware_revision);
  config.host_ip_addresses =
      from.parsed_list("host_ip_addresses", "an IP address", canonical_address, {0, 32});
  check_addresses(from, "host_ip_addresses", config.host_ip_addresses);
  read_field(from, "relay", config.relay);
  // RFC 3539 §3.4.1: "While Twinit MAY be set as low as 6 seconds (not including jitter), it MUST
  // NOT be set lower than this." Tests may.
  read_field(from, "watchdog_ms", config.watchdog_interval, {100ms, 1h});
  read_field(from, "capabilities_timeout_ms", config.capabilities_timeout, {100ms, 10min});
  read_field(from, "disconnect_timeout_ms", config.disconnect_timeout, {10ms, 10min});
  read_field(from, "disconnect_holdoff_ms", config.disconnect_holdoff, {0ms, 24h});
  read_field(from, "request_timeout_ms", config.request_timeout, {10ms, 10min});
  config.limits = read_diameter_limits(from.object("limits"));
  config.origin_state_id = static_cast<std::uint32_t>(unix_ms_now() / 1000);
  const std::string& realm = realm_in_force.empty() ? config.origin_realm : realm_in_force;
  for (const ObjectReader& peer : from.objects("peers", {0, 65536})) {
    config.peers.push_back(read_diameter_peer(peer, config, realm, node));
  }
  check_diameter(from, config, node);
  return config;
}

std::set<std::string> peers_to_reconnect(const diameter::DiameterConfig& now,
                                         const diameter::DiameterConfig& next) {
  std::unordered_map<std::string_view, const diameter::DiameterPeerConfig*> known;
  for (const auto& peer : now.peers) known.emplace(peer.name, &peer);
  std::set<std::string> names;
  for (const auto& peer : next.peers) {
    const auto was = known.find(peer.name);
    if (was == known.end()) continue;
    if (was->second->origin_host != peer.origin_host || was->second->realm != peer.realm) {
      names.insert(peer.name);
    }
  }
  return names;
}

}  // namespace siglane::runtime
