#include "protocols/diameter/config.h"

#include <algorithm>

#include "core/config.h"
#include "core/host_name.h"
#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

Result<void> check_identity(const std::string& key, const std::string& value) {
  if (is_host_name(value)) return {};  // RFC 6733 §4.3.1
  return failure("/diameter/" + key + ": \"" + value + "\" is not a DiameterIdentity");
}

Result<void> check_positive(const std::string& key, Duration value) {
  if (value > Duration::zero()) return {};
  return failure("/diameter/" + key + ": must be greater than 0");
}

Result<void> check_peer(const DiameterConfig& config, std::size_t index) {
  const DiameterPeerConfig& peer = config.peers[index];
  const std::string key = "peers/" + std::to_string(index) + "/";
  if (auto good = check_identity(key + "origin_host", peer.origin_host); !good) return good;
  if (!peer.realm.empty()) {
    if (auto good = check_identity(key + "realm", peer.realm); !good) return good;
  }
  if (peer.connections_max < 1 || peer.connections_max > kConnectionsMax) {
    return failure("/diameter/" + key + "connections_max: must be 1 to " +
                   std::to_string(kConnectionsMax));
  }
  for (std::size_t i = 0; i < peer.routed_realms.size(); ++i) {
    if (peer.routed_realms[i] == "*") continue;
    const std::string at = key + "routed_realms/" + std::to_string(i);
    if (auto good = check_identity(at, peer.routed_realms[i]); !good) return good;
  }
  if (same_identity(peer.origin_host, config.origin_host)) {
    return failure("/diameter/" + key + "origin_host: \"" + peer.origin_host + "\" is our own");
  }
  for (std::size_t other = 0; other < index; ++other) {
    if (same_identity(config.peers[other].origin_host, peer.origin_host)) {
      return failure("/diameter/" + key + "origin_host: \"" + peer.origin_host +
                     "\" is that of peer " + config.peers[other].name + " too");
    }
  }
  return {};
}

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

bool contains_realm(const std::vector<std::string>& routed_realms, std::string_view realm) {
  return std::any_of(routed_realms.begin(), routed_realms.end(), [&](const std::string& one) {
    return one == "*" || same_identity(one, realm);
  });
}

void DiameterConfig::index_peers() {
  by_host.clear();
  by_name.clear();
  for (std::size_t i = 0; i < peers.size(); ++i) {
    by_host.emplace(in_lower_case(peers[i].origin_host), i);
    by_name.emplace(peers[i].name, i);
  }
}

const DiameterPeerConfig* DiameterConfig::peer_at(std::string_view host) const {
  if (by_host.size() == peers.size()) {
    const auto it = by_host.find(in_lower_case(host));
    return it != by_host.end() ? &peers[it->second] : nullptr;
  }
  for (const DiameterPeerConfig& peer : peers) {
    if (same_identity(peer.origin_host, host)) return &peer;
  }
  return nullptr;
}

const DiameterPeerConfig* DiameterConfig::peer_named(std::string_view peer_name) const {
  if (by_name.size() == peers.size()) {
    const auto it = by_name.find(std::string(peer_name));
    return it != by_name.end() ? &peers[it->second] : nullptr;
  }
  const auto it = std::ranges::find(peers, peer_name, &DiameterPeerConfig::name);
  return it != peers.end() ? &*it : nullptr;
}

Result<void> check(const DiameterConfig& config) {
  for (const auto& good : {
           check_identity("origin_host", config.origin_host),
           check_identity("origin_realm", config.origin_realm),
           check_positive("watchdog_ms", config.watchdog_interval),
           check_positive("capabilities_timeout_ms", config.capabilities_timeout),
           check_positive("disconnect_timeout_ms", config.disconnect_timeout),
           check_positive("request_timeout_ms", config.request_timeout),
       }) {
    if (!good) return good;
  }
  if (config.limits.pending_max == 0) {
    return failure("/diameter/limits/pending_max: must be greater than 0");
  }
  for (std::size_t i = 0; i < config.host_ip_addresses.size(); ++i) {
    if (!parse_ip(config.host_ip_addresses[i])) {
      return failure("/diameter/host_ip_addresses/" + std::to_string(i) + ": \"" +
                     config.host_ip_addresses[i] + "\" is not an IP address");
    }
  }
  for (std::size_t i = 0; i < config.peers.size(); ++i) {
    if (auto good = check_peer(config, i); !good) return good;
  }
  return {};
}

}  // namespace siglane::diameter
