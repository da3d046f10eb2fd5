#include "apps/runtime/endpoint_checks.h"

#include <algorithm>

#include <fmt/format.h>

#include "apps/runtime/peer_checks.h"

namespace siglane::runtime {

namespace {

// Whether both could not be open at once, whatever the kernel has.
bool collide(const EndpointConfig& a, const EndpointConfig& b) {
  if (a.port == 0 || a.port != b.port || is_sctp(a.transport) != is_sctp(b.transport)) return false;
  if (!is_sctp(a.transport) && !(a.listening && b.listening)) return false;
  // One stack in this process, and no addresses of its own.
  if (a.transport == TransportKind::usrsctp && b.transport == TransportKind::usrsctp) return true;
  return share_an_address(a.addresses, b.addresses);
}

// What keeps both from having their UDP ports of RFC 6951. Endpoints may share one: their SCTP
// ports tell them apart.
std::string udp_conflict(const EndpointConfig& a, const EndpointConfig& b) {
  constexpr auto kernel = TransportKind::kernel_sctp, user = TransportKind::usrsctp;
  const auto are = [&](TransportKind one, TransportKind other) {
    return a.transport == one && b.transport == other;
  };
  if (a.udp_encapsulation_port == 0 || b.udp_encapsulation_port == 0) return {};
  const bool same = a.udp_encapsulation_port == b.udp_encapsulation_port;
  if (are(kernel, kernel) && !same) {
    return fmt::format("{}: the kernel has one UDP port for all SCTP, and endpoint \"{}\" has that",
                       b.udp_encapsulation_port, b.name);
  }
  if (same && (are(kernel, user) || are(user, kernel))) {
    return fmt::format("free: endpoint \"{}\" has it, over {}", b.name, name_of(b.transport));
  }
  // A socket on every address leaves none for a socket on one of them.
  if (same && are(user, user) && a.addresses.empty() != b.addresses.empty()) {
    return fmt::format("free: endpoint \"{}\" has it on {}", b.name,
                       b.addresses.empty() ? "every address" : b.addresses.front());
  }
  return {};
}

}  // namespace

const NodeEndpoint* colliding_with(const EndpointConfig& endpoint, const NodeConfig& node) {
  auto it = std::find_if(node.endpoints.begin(), node.endpoints.end(), [&](const NodeEndpoint& e) {
    return e.endpoint.name != endpoint.name && collide(e.endpoint, endpoint);
  });
  return it == node.endpoints.end() ? nullptr : &*it;
}

void check_udp(const ObjectReader& udp, const EndpointConfig& endpoint, const NodeConfig& node) {
  for (const NodeEndpoint& other : node.endpoints) {
    const std::string expected = udp_conflict(endpoint, other.endpoint);
    if (!expected.empty()) return udp.refuse("local_port", expected);
  }
}

Result<void> check_endpoints(const NodeConfig& config) {
  for (const NodeEndpoint& named : config.endpoints) {
    const EndpointConfig& endpoint = named.endpoint;
    const std::string who =
        fmt::format("endpoint \"{}\" over {} ", endpoint.name, name_of(endpoint.transport));
    if (endpoint.transport == TransportKind::usrsctp && endpoint.udp_encapsulation_port == 0) {
      return failure(who + "needs a \"udp_encapsulation\" in the config");
    }
    const bool tls = endpoint.transport == TransportKind::tls;
    if (tls && !endpoint.tls) return failure(who + "needs a \"tls\" in the config");
    if (endpoint.tls && endpoint.transport == TransportKind::tcp) {
      return failure(who + "would be in clear, and has a \"tls\" in the config");
    }
    if ((tls || endpoint.transport == TransportKind::tcp) && endpoint.addresses.size() > 1) {
      return failure(who + "can have a single address: TCP has no multi-homing");
    }
    if (const NodeEndpoint* other = colliding_with(endpoint, config)) {
      return failure(fmt::format("{}has the port {} of endpoint \"{}\"", who, endpoint.port,
                                 other->endpoint.name));
    }
    for (const NodeEndpoint& other : config.endpoints) {
      if (&other == &named || udp_conflict(endpoint, other.endpoint).empty()) continue;
      return failure(
          fmt::format("{}cannot have the UDP port {} beside endpoint \"{}\", which has {}", who,
                      endpoint.udp_encapsulation_port, other.endpoint.name,
                      other.endpoint.udp_encapsulation_port));
    }
  }
  return {};
}

void check_endpoints_used(const ObjectReader& root, const NodeConfig& node) {
  const std::vector<ObjectReader> readers = root.objects("endpoints");
  if (readers.size() != node.endpoints.size()) return;
  for (std::size_t i = 0; i < readers.size(); ++i) {
    const NodeEndpoint& here = node.endpoints[i];
    const bool connects =
        std::any_of(node.peers.begin(), node.peers.end(), [&](const NodePeer& peer) {
          const bool also = std::ranges::count(peer.also_from, here.endpoint.name) > 0;
          return (also || peer.connect_from == here.endpoint.name) && peer.module == here.module;
        });
    if (here.endpoint.listening || connects) continue;
    readers[i].complain("listen",
                        "is not true, and no peer has this endpoint in its \"connect\": nobody "
                        "can use it");
  }
}

}  // namespace siglane::runtime
