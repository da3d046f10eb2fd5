#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/load/m3ua_traffic.h"
#include "apps/load/pacer.h"
#include "apps/load/run.h"
#include "apps/load/s6a_client.h"
#include "apps/runtime/daemon.h"
#include "core/result.h"
#include "protocols/diameter/config.h"
#include "protocols/m3ua/config.h"

namespace siglane::load {

// A number of simulated peers that behave alike.
struct GroupConfig {
  std::string name;
  std::size_t count = 1;
  std::vector<std::string> members;  // their Origin-Hosts, or names as ASPs
  PaceConfig pace;
};

// What both kinds of traffic have in common. `node` is as in every daemon's config, with a single
// endpoint, which is the pattern for as many as there are simulated peers (SCTP allows one
// association per pair of endpoints): of port, port + 1, ... or, where it is 0, any.
struct LoadConfig {
  runtime::NodeConfig node;
  PeerConfig target;
  RunConfig run;
  Duration progress_interval = 1s;  // 0: no progress line
  std::uint64_t seed = 1;
  bool tolerate_errors = false;

  const EndpointConfig& endpoint() const { return node.endpoints.front().endpoint; }
  // That of the n-th simulated peer, counted from 0, named after the peer's first label.
  EndpointConfig endpoint_of(std::size_t number, std::string_view peer) const;
};

struct S6aGroupConfig {
  GroupConfig group;
  S6aMix mix;
};
struct S6aLoadConfig {
  LoadConfig load;
  diameter::DiameterConfig diameter;  // of every simulated MME, but for its Origin-Host
  S6aRequestsConfig requests;
  std::vector<S6aGroupConfig> groups;
};

struct M3uaGroupConfig {
  GroupConfig group;
  std::uint32_t asp_identifier_first = 1;
  std::uint32_t routing_context_first = 1;  // of the group's first member; the next has one more
  std::uint32_t point_code_first = 1;
  std::size_t payload_bytes_min = kLongPayloadBytesMin;
  std::size_t payload_bytes_max = 272;
  bool within_group = false;  // its members send to each other only
};
struct M3uaLoadConfig {
  LoadConfig load;
  m3ua::AspClientsConfig asps;  // all members of all groups, in order
  M3uaTrafficConfig traffic;    // their point codes
  std::vector<M3uaGroupConfig> groups;
};

// What the command line says over the file.
struct Overrides {
  runtime::CommandLine common;
  std::string target;  // ADDRESS:PORT or [ADDRESS]:PORT, or the address alone; empty: the file's
  std::optional<Duration> duration, connect_timeout;
  std::optional<std::uint64_t> seed;
  std::optional<bool> tolerate_reconnect;
};

// Errors name file, line and JSON path, or the option.
Result<S6aLoadConfig> load_s6a_config(const std::string& file, const Overrides& overrides);
Result<M3uaLoadConfig> load_m3ua_config(const std::string& file, const Overrides& overrides);

// "mme%02u.example" for 7: "mme07.example". A pattern has one %u or %0Nu (N: 1 to 9), or
// none, and then `number` does not show. nullopt: anything else after a '%'.
std::optional<std::string> numbered(std::string_view pattern, std::uint64_t number);

}  // namespace siglane::load
