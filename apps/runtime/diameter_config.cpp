#include "apps/runtime/diameter_config.h"

#include <fmt/format.h>

#include "apps/runtime/config_fields.h"
#include "apps/runtime/wall_time.h"
#include "protocols/diameter/text.h"

namespace siglane::runtime {

namespace {

constexpr std::uint16_t kDiameterPort = 3868;  // RFC 6733 §11.4

diameter::DiameterPeerConfig read_diameter_peer(const ObjectReader& from,
                                                const diameter::DiameterConfig& config,
                                                NodeConfig& node) {
  diameter::DiameterPeerConfig peer;
  PeerConfig& connection = read_peer(from, "diameter", kDiameterPort, node).peer;
  peer.name = connection.name;
  peer.origin_host = required_name(from, "origin_host");
  if (connection.tls_identity.empty()) connection.tls_identity = peer.origin_host;
  if (diameter::same_identity(peer.origin_host, config.origin_host)) {
    from.refuse("origin_host", "another host than this node's own");
  }
  for (const auto& other : config.peers) {
    if (diameter::same_identity(peer.origin_host, other.origin_host)) {
      from.refuse("origin_host", fmt::format("free: peer \"{}\" has it", other.name));
    }
  }
  peer.realm = from.parsed("realm", config.origin_realm, kName, as_name);
  peer.routed_realms = from.parsed_list("routed_realms", kName, as_name, {0, 4096});
  return peer;
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

diameter::DiameterConfig read_diameter_config(const ObjectReader& root, NodeConfig& node) {
  const ObjectReader from = root.object("diameter");
  diameter::DiameterConfig config;
  config.origin_host = required_name(from, "origin_host");
  config.origin_realm = required_name(from, "origin_realm");
  read_field(from, "product_name", config.product_name);
  read_field(from, "vendor_id", config.vendor_id);
  read_field(from, "firmware_revision", config.firmware_revision);
  config.host_ip_addresses =
      from.parsed_list("host_ip_addresses", "an IP address", canonical_address, {0, 32});
  read_field(from, "relay", config.relay);
  // RFC 3539 §3.4.1: "While Twinit MAY be set as low as 6 seconds (not including jitter), it MUST
  // NOT be set lower than this." Tests may.
  read_field(from, "watchdog_ms", config.watchdog_interval, {100ms, 1h});
  read_field(from, "capabilities_timeout_ms", config.capabilities_timeout, {100ms, 10min});
  read_field(from, "disconnect_timeout_ms", config.disconnect_timeout, {10ms, 10min});
  read_field(from, "request_timeout_ms", config.request_timeout, {10ms, 10min});
  config.limits = read_diameter_limits(from.object("limits"));
  config.origin_state_id = static_cast<std::uint32_t>(unix_ms_now() / 1000);
  for (const ObjectReader& peer : from.objects("peers", {0, 65536})) {
    config.peers.push_back(read_diameter_peer(peer, config, node));
  }
  return config;
}

}  // namespace siglane::runtime
