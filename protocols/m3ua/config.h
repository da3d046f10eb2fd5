#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "protocols/m3ua/parameters.h"

namespace siglane::m3ua {

// An ASP as the SG side knows it. `name` is the peer's name in the node's PeerTable.
struct AspConfig {
  std::string name;
  std::optional<std::uint32_t> asp_identifier;  // none: known by its address alone
  friend bool operator==(const AspConfig&, const AspConfig&) = default;
};

// How wide the point codes of a network are: 14 bits (ITU-T), 16 (TTC) or 24 (ANSI, China).
struct NetworkConfig {
  Network network_appearance;  // none: the default network
  unsigned point_code_bits = kPointCodeBitsMax;
  friend bool operator==(const NetworkConfig&, const NetworkConfig&) = default;
};

// An Application Server (RFC 4666 §1.2): the ASPs that serve one routing context.
struct ApplicationServerConfig {
  std::string name;
  std::uint32_t routing_context = 0;
  Network network_appearance = {};  // the network it is in; goes into what is sent to it
  TrafficMode traffic_mode = TrafficMode::loadshare;
  std::vector<std::string> asps = {};
  std::size_t active_asps_min = 1;  // the n of n+k (loadshare, broadcast): active from here on
  Duration recovery_timeout = 2s;   // T(r), RFC 4666 §4.3.2
  std::size_t pending_messages_max = 16384;  // held while AS-PENDING; more are discarded
  std::size_t pending_bytes_max = 16 * 1024 * 1024;
  friend bool operator==(const ApplicationServerConfig&, const ApplicationServerConfig&) = default;
};

// Where DATA goes. What is left out matches everything; of several that match, the one that says
// most wins (network appearance before SI before OPC), then the first in the list. The network is
// the one that DATA comes from; the AS may be in another.
struct RouteConfig {
  std::uint32_t destination_point_code = 0;
  Network network_appearance = {};
  std::vector<std::uint8_t> service_indicators = {};
  std::vector<std::uint32_t> originating_point_codes = {};
  std::string application_server = {};
  friend bool operator==(const RouteConfig&, const RouteConfig&) = default;
};

// The signalling gateway side.
struct M3uaConfig {
  std::vector<NetworkConfig> networks;  // those that are not listed: 24 bits
  std::vector<AspConfig> asps;
  std::vector<ApplicationServerConfig> application_servers;
  std::vector<RouteConfig> routes;
  Duration heartbeat_interval = 0s;  // T(beat), RFC 4666 §4.3.4.6; 0: no BEATs of our own
  // An SCTP association with a single stream has none for DATA beside stream 0: refused, or stream
  // 0 carries everything. TCP and TLS have no streams, and are not asked.
  bool single_stream_allowed = false;
  Duration destination_report_interval = 1s;    // DUNA for one destination to one ASP, at most
  std::size_t drain_messages_per_ms_max = 256;  // resumption from AS-PENDING
  friend bool operator==(const M3uaConfig&, const M3uaConfig&) = default;
};

// Names that are not there, contexts and identifiers used twice, an AS without a route, ...
Result<void> check(const M3uaConfig& config);

// The ASP side: one connection to a signalling gateway. `name` is the peer's name in PeerConfig.
struct AspClientConfig {
  std::string name;
  std::optional<std::uint32_t> asp_identifier;
  std::vector<std::uint32_t> routing_contexts;  // empty: as the gateway has configured us
  std::optional<TrafficMode> traffic_mode;
  std::optional<std::uint32_t> network_appearance;  // put into DATA
  bool standby = false;  // ASPAC only on NTFY AS-PENDING or Insufficient ASP Resources
  bool single_stream_allowed = true;
};
struct AspClientsConfig {
  std::vector<AspClientConfig> asps;
  Duration acknowledgement_timeout = 2s;  // T(ack), RFC 4666 §4.3.4
  std::size_t retransmissions_max = 5;    // then the association is closed
  Duration heartbeat_interval = 0s;       // T(beat); 0: none of our own
};
Result<void> check(const AspClientsConfig& config);

}  // namespace siglane::m3ua
