#include "apps/runtime/peer_checks.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "transport/address.h"

namespace siglane::runtime {

namespace {

constexpr std::string_view kAny4 = "0.0.0.0", kAny6 = "::";

bool is_v6(std::string_view address) {
  return address.find(':') != address.npos;
}

bool is_any(std::string_view address) {
  return address == kAny4 || address == kAny6;
}

bool is_loopback(std::string_view address) {
  const auto parsed = transport::SocketAddress::parse(address, 0);
  return parsed && parsed->is_loopback();
}

unsigned first_octet(std::string_view v4) {
  unsigned octet = 0;
  std::from_chars(v4.data(), v4.data() + v4.size(), octet);
  return octet;
}

// The first sixteen bits; 0 where the text begins with "::".
unsigned first_group(std::string_view v6) {
  unsigned group = 0;
  std::from_chars(v6.data(), v6.data() + v6.size(), group, 16);
  return group;
}

// As they stand in the file, if all of them could be read.
template <class Wrong>
void refuse_each(const ObjectReader& from, std::string_view key,
                 const std::vector<std::string>& values, std::string_view expected, Wrong wrong) {
  if (from.array_size(key) != values.size()) return;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (wrong(values[i])) from.refuse(key, i, expected);
  }
}

void refuse_twice(const ObjectReader& from, std::string_view key,
                  const std::vector<std::string>& values) {
  refuse_each(from, key, values, "named once", [&](const std::string& one) {
    return std::count(values.begin(), values.end(), one) > 1;
  });
}

// --- Where a peer is met ---------------------------------------------------------------------

using Endpoints = std::vector<const EndpointConfig*>;

// The one that we connect from, or all at which the peer may connect to us.
Endpoints met_at(const NodePeer& peer, const NodeConfig& node) {
  Endpoints met;
  for (const auto& [endpoint, module] : node.endpoints) {
    if (module != peer.module) continue;
    const bool here =
        peer.connect_from.empty() ? endpoint.listening : endpoint.name == peer.connect_from;
    if (here) met.push_back(&endpoint);
  }
  return met;
}

bool has_family(const EndpointConfig& endpoint, bool v6) {
  if (endpoint.addresses.empty()) return true;
  return std::any_of(endpoint.addresses.begin(), endpoint.addresses.end(),
                     [&](const std::string& own) {
                       // A kernel SCTP socket on :: has IPv4 as well.
                       const bool both = own == kAny6 && is_sctp(endpoint.transport) &&
                                         endpoint.transport != TransportKind::usrsctp;
                       return both || is_v6(own) == v6;
                     });
}

bool is_loopback_only(const EndpointConfig& endpoint) {
  const auto& own = endpoint.addresses;
  return !own.empty() && std::all_of(own.begin(), own.end(), is_loopback);
}

std::string list_of(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

std::string names_of(const Endpoints& endpoints) {
  std::vector<std::string> names;
  for (const EndpointConfig* endpoint : endpoints) names.push_back('"' + endpoint->name + '"');
  return (names.size() == 1 ? "endpoint " : "endpoints ") + list_of(names);
}

void check_addresses_meet(const ObjectReader& from, const NodePeer& peer, const Endpoints& met) {
  const auto& addresses = peer.peer.addresses;
  if (addresses.empty()) return;
  Endpoints of_family;
  for (const EndpointConfig* endpoint : met) {
    const bool fits = std::any_of(addresses.begin(), addresses.end(), [&](const std::string& one) {
      return has_family(*endpoint, is_v6(one));
    });
    if (fits) of_family.push_back(endpoint);
  }
  if (of_family.empty()) {
    return from.complain("remote_addresses",
                         fmt::format("are all {}, and {} has no such address of its own",
                                     is_v6(addresses.front()) ? "IPv6" : "IPv4", names_of(met)));
  }
  const bool elsewhere = std::none_of(addresses.begin(), addresses.end(), is_loopback);
  const bool here_only = std::all_of(of_family.begin(), of_family.end(), [](const auto* endpoint) {
    return is_loopback_only(*endpoint);
  });
  if (elsewhere && here_only) {
    from.complain("remote_addresses",
                  fmt::format("are not on this machine, and {} has loopback addresses only",
                              names_of(of_family)));
  }
}

// --- Whom we connect to ----------------------------------------------------------------------

bool is_own_port(const EndpointConfig& own, const EndpointConfig& local, const PeerConfig& peer) {
  if (!own.listening || own.port == 0 || own.port != peer.port) return false;
  if (is_sctp(own.transport) != is_sctp(local.transport)) return false;
  if (is_sctp(own.transport) && own.udp_encapsulation_port != peer.remote_udp_port) return false;
  return std::any_of(peer.addresses.begin(), peer.addresses.end(), [&](const std::string& one) {
    if (own.addresses.empty()) return is_loopback(one);
    return std::find(own.addresses.begin(), own.addresses.end(), one) != own.addresses.end();
  });
}

void check_connecting(const ObjectReader& from, const NodePeer& peer, const NodeConfig& node,
                      const EndpointConfig& local) {
  for (const auto& [own, module] : node.endpoints) {
    if (!is_own_port(own, local, peer.peer)) continue;
    from.complain("remote_addresses",
                  fmt::format("and the port {} are those of our own endpoint \"{}\"",
                              peer.peer.port, own.name));
  }
  const auto& addresses = peer.peer.addresses;
  refuse_each(from, "remote_addresses", addresses,
              "an address to connect to: a link-local one needs a zone", is_link_local);

  std::size_t connecting = 1;
  for (const NodePeer& other : node.peers) {
    if (other.connect_from != peer.connect_from) continue;
    ++connecting;
    // SCTP has one association for each pair of endpoints (RFC 9260 §1.3).
    if (!is_sctp(local.transport) || other.peer.port != peer.peer.port) continue;
    const auto shared =
        std::find_first_of(addresses.begin(), addresses.end(), other.peer.addresses.begin(),
                           other.peer.addresses.end());
    if (shared == addresses.end()) continue;
    from.complain(
        "remote_addresses",
        fmt::format("and the port {} are those of peer \"{}\" too ({}): SCTP has a single "
                    "association from endpoint \"{}\" to there",
                    peer.peer.port, other.peer.name, *shared, local.name));
  }
  if (connecting == local.associations_max + 1) {
    from.object("connect").complain(
        "endpoint", fmt::format("\"{}\" has \"associations_max\" {}, and this is one peer more",
                                local.name, local.associations_max));
  }
}

void check_placement(const ObjectReader& from, const NodePeer& peer, const NodeConfig& node,
                     const Endpoints& met) {
  if (peer.peer.placement != Placement::always_peeled) return;
  if (std::none_of(met.begin(), met.end(), [](const auto* e) { return is_sctp(e->transport); })) {
    return;  // a TCP connection has a socket of its own
  }
  const std::size_t max = node.peeloff.peeled_max;
  if (max == 0) {
    return from.complain("placement", "is \"always\", and \"peeloff.peeled_max\" 0 forbids it");
  }
  const auto before = static_cast<std::size_t>(std::count_if(
      node.peers.begin(), node.peers.end(),
      [](const NodePeer& other) { return other.peer.placement == Placement::always_peeled; }));
  if (before != max) return;  // said once, of the first that has no room
  from.complain(
      "placement",
      fmt::format("is \"always\" for more peers than \"peeloff.peeled_max\", {}, allows", max));
}

void check_certificate(const ObjectReader& from, const Endpoints& met) {
  if (!from.has("tls")) return;
  if (std::any_of(met.begin(), met.end(), [](const auto* e) { return e->tls.has_value(); })) return;
  from.complain("tls",
                fmt::format("has no effect: {} has no \"tls\", so nobody shows a certificate",
                            names_of(met)));
}

}  // namespace

bool is_link_local(std::string_view address) {
  return is_v6(address) && (first_group(address) & 0xffc0u) == 0xfe80u;
}

bool is_host_address(std::string_view address) {
  if (is_v6(address)) return address != kAny6 && first_group(address) < 0xff00;
  const unsigned octet = first_octet(address);
  // This network, multicast, reserved and broadcast (RFC 6890).
  return octet > 0 && octet < 224;
}

void check_addresses(const ObjectReader& from, std::string_view key,
                     const std::vector<std::string>& values) {
  refuse_each(from, key, values, "the address of a host",
              [](const std::string& one) { return !is_host_address(one); });
  refuse_twice(from, key, values);
}

void check_local_addresses(const ObjectReader& from, const std::vector<std::string>& values) {
  refuse_each(from, "addresses", values, "the address of a host",
              [](const std::string& one) { return !is_any(one) && !is_host_address(one); });
  refuse_each(from, "addresses", values, "an address to bind to: a link-local one needs a zone",
              is_link_local);
  refuse_each(from, "addresses", values, "beside others: it stands for all of them",
              [&](const std::string& one) {
                return is_any(one) && std::any_of(values.begin(), values.end(), [&](const auto& o) {
                         return !is_any(o) && is_v6(o) == is_v6(one);
                       });
              });
  refuse_twice(from, "addresses", values);
}

bool share_an_address(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return true;
  return std::any_of(a.begin(), a.end(), [&](const std::string& one) {
    return std::any_of(b.begin(), b.end(), [&](const std::string& other) {
      return one == other || ((is_any(one) || is_any(other)) && is_v6(one) == is_v6(other));
    });
  });
}

void check_meeting(const ObjectReader& from, const NodePeer& peer, const NodeConfig& node) {
  check_addresses(from, "remote_addresses", peer.peer.addresses);
  const Endpoints met = met_at(peer, node);
  if (met.empty()) {
    // A connect.endpoint that is none has been complained of.
    if (!peer.connect_from.empty() || from.has("connect")) return;
    return from.complain(
        "connect", fmt::format("is missing: no endpoint of module \"{}\" has \"listen\": true, so "
                               "this peer cannot connect to us either",
                               peer.module));
  }
  check_addresses_meet(from, peer, met);
  if (!peer.connect_from.empty()) check_connecting(from, peer, node, *met.front());
  check_placement(from, peer, node, met);
  check_certificate(from, met);
}

}  // namespace siglane::runtime
