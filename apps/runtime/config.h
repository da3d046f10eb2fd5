#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/runtime/config_reader.h"
#include "core/backoff.h"
#include "core/config.h"
#include "core/result.h"
#include "core/time.h"
#include "transport/peeling/policy.h"

namespace siglane::runtime {

// The sections that every daemon's config shares, as typed values. An application reads its own
// section beside them, from the same ConfigReader:
//
//   ConfigReader reader(document);
//   NodeConfig node = read_node_config(reader.root(), {"diameter"});
//   DiameterConfig diameter = read_diameter_config(reader.root(), node);   // diameter_config.h
//   HssConfig hss = read_hss_config(reader.root());                        // the application's own
//   if (auto good = reader.finish(); !good) return failure(good.error().what);

enum class LogLevel { debug, info, warning, error, off };
std::string_view name_of(LogLevel level);
std::optional<LogLevel> log_level_of(std::string_view name);

struct LogConfig {
  LogLevel level = LogLevel::info;
  // Facts of one kind that are logged; what is beyond is counted, and the count is logged.
  std::size_t facts_per_second_max = 50;
};

// sockaddr_un::sun_path without its end.
inline constexpr std::size_t kSocketPathMax = 107;

// The admin API over TCP.
struct AdminHttpConfig {
  struct Tls {
    std::string certificate, key;  // files
  };
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  std::vector<std::string> host_names;             // what clients may call it, besides loopback
  std::string read_token_file, change_token_file;  // empty: none
  std::optional<Tls> tls;
};

struct AdminConfig {
  std::string socket;  // a path of at most kSocketPathMax bytes; empty: no admin API there
  std::string group;   // may use it too; empty: none
  bool group_may_change = false;
  std::size_t clients_max = 64;        // of the socket, and as many over HTTP
  int questions_per_second_max = 100;  // that the node answers; more of them wait
  std::optional<AdminHttpConfig> http;
  std::size_t facts_kept_max = 1024;  // of the past, for `siglanectl facts`
};

struct RuntimeConfig {
  std::uint16_t shards = 1;
  bool tune_kernel = false;  // may the node set sysctls of its network namespace?
  Duration stop_grace = 5s;  // for goodbyes; then what is left is aborted
  BackoffConfig reconnect;
  std::size_t cached_buffer_bytes_max = std::size_t{4} << 20;  // for each shard
  std::optional<std::uint64_t> seed;  // not in the file: for tests; none: the system's randomness
};

struct NodeEndpoint {
  EndpointConfig endpoint;
  std::string module;  // ProtocolModule::name()
};

struct NodePeer {
  PeerConfig peer;
  std::string module;
  std::string connect_from;                 // an endpoint; empty: we wait for the peer to connect
  std::vector<std::string> also_from = {};  // more of them, for a peer with several connections
};

struct NodeConfig {
  std::string name;
  std::string program, file;  // what runs it, and where it was read; for the log, may be empty
  LogConfig log;
  AdminConfig admin;
  RuntimeConfig runtime;
  std::vector<NodeEndpoint> endpoints;
  transport::PeeloffLimits peeloff;
  AdmissionConfig admission;
  std::vector<NodePeer> peers;  // of all modules; a name stands for one peer
  // What the file and the command line say, with all defaults (ConfigReader::effective()).
  JsonValue effective;

  const NodeEndpoint* endpoint(std::string_view name) const;
  const NodePeer* peer(std::string_view name) const;
  // The endpoint of each link to a peer that we connect to: as many as its connections_max, from
  // its endpoints in turn. SCTP has one association between two endpoints, so there it is no more
  // than these.
  std::vector<std::string> links_to(const NodePeer& peer) const;
};

// Reads "node", "log", "admin", "runtime", "endpoints", "peeloff" and "admission". `modules`: what
// an endpoint's "module" may be. What is wrong is told to the reader.
NodeConfig read_node_config(const ObjectReader& root, const std::vector<std::string>& modules);

// The same checks of the endpoints as while reading, for one whose transport was changed since.
Result<void> check_endpoints(const NodeConfig& config);

// Reads what every protocol's peers have in common ("name", "remote_addresses", "port",
// "remote_udp_port", "placement", "tls", "primary_address", "sctp", "connect") from one entry of a
// module's list of peers, checks it against the node's endpoints, and appends it to node.peers.
NodePeer& read_peer(const ObjectReader& peer, std::string_view module, std::uint16_t default_port,
                    NodeConfig& node);

// An IP address in canonical text, for parsed() and parsed_list().
std::optional<std::string> canonical_address(std::string_view text);

// "sctp", "kernel-sctp", "usrsctp", "tcp", "tls": what a config or --transport may say.
std::optional<TransportKind> transport_kind_of(std::string_view name);

}  // namespace siglane::runtime
