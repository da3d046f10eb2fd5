#include "apps/runtime/config.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "apps/runtime/config_fields.h"
#include "apps/runtime/endpoint_checks.h"
#include "apps/runtime/peer_checks.h"
#include "core/host_name.h"
#include "core/peer_counts.h"
#include "transport/address.h"

namespace siglane::runtime {

namespace {

constexpr Range<std::size_t> kQueueBytes{4096, std::size_t{1} << 30};
constexpr std::size_t kDtlsRecordBytes = 18445;  // RFC 6083 §4.1

bool is_name(std::string_view text) {
  constexpr std::size_t kLengthMax = 128;
  return !text.empty() && text.size() <= kLengthMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string in_list(const std::vector<std::string>& words) {
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ", "));
}

LogConfig read_log(const ObjectReader& log) {
  LogConfig config;
  config.level =
      log.parsed("level", config.level,
                 "one of \"debug\", \"info\", \"warning\", \"error\", \"off\"", log_level_of);
  read_field(log, "facts_per_second_max", config.facts_per_second_max, {1, 1'000'000});
  return config;
}

std::optional<std::string> host_name(std::string_view text) {
  if (auto address = canonical_address(text)) return address;
  const bool good = !text.empty() && text.find_first_of("/: []") == std::string_view::npos;
  return good ? std::optional<std::string>(text) : std::nullopt;
}

AdminHttpConfig read_admin_http(const ObjectReader& http) {
  AdminHttpConfig config;
  config.address = http.parsed("address", config.address, "an IP address", canonical_address);
  config.port = http.required_number<std::uint16_t>("port", {.min = 1});
  config.host_names =
      http.parsed_list("host_names", "a host name or address without a port", host_name, {0, 64});
  config.read_token_file = http.file_path("read_token_file", "");
  config.change_token_file = http.file_path("change_token_file", "");
  if (const auto tls = http.optional_object("tls")) {
    config.tls = {tls->required_file_path("certificate"), tls->required_file_path("key")};
  }
  const auto address = transport::SocketAddress::parse(config.address, 0);
  if (address && !address->is_loopback() && (!config.tls || config.read_token_file.empty())) {
    http.complain("address",
                  "can be reached from other machines; expected tls and "
                  "read_token_file beside it, or a loopback address");
  }
  return config;
}

AdminConfig read_admin(const ObjectReader& admin) {
  AdminConfig config;
  config.socket = admin.file_path("socket", config.socket);
  if (config.socket.size() > kSocketPathMax) {
    admin.complain("socket", fmt::format("is {}, of {} bytes; expected a path of at most {}",
                                         admin.shown("socket", config.socket), config.socket.size(),
                                         kSocketPathMax));
  }
  config.group = admin.string("group", config.group);
  config.group_may_change =
      admin.choice("group_may", config.group_may_change, {{"read", false}, {"change", true}});
  read_field(admin, "clients_max", config.clients_max, {1, 1024});
  read_field(admin, "questions_per_second_max", config.questions_per_second_max, {1, 10'000});
  if (const auto http = admin.optional_object("http")) config.http = read_admin_http(*http);
  read_field(admin, "facts_kept_max", config.facts_kept_max, {1, 1'000'000});
  return config;
}

RuntimeConfig read_runtime(const ObjectReader& runtime) {
  RuntimeConfig config;
  if (runtime.is_word("shards", "auto")) {
    config.shards = std::clamp<std::uint16_t>(
        static_cast<std::uint16_t>(std::thread::hardware_concurrency()), 1, kShardsMax);
  } else {
    read_field(runtime, "shards", config.shards, {1, kShardsMax});
  }
  read_field(runtime, "tune_kernel", config.tune_kernel);
  read_field(runtime, "stop_grace_ms", config.stop_grace, {0ms, 10min});
  read_field(runtime, "reconnect_first_ms", config.reconnect.first, {10ms, 1h});
  read_field(runtime, "reconnect_longest_ms", config.reconnect.longest, {10ms, 1h});
  if (config.reconnect.longest < config.reconnect.first) {
    runtime.complain("reconnect_longest_ms", "is less than \"reconnect_first_ms\"");
  }
  read_field(runtime, "cached_buffer_bytes_max", config.cached_buffer_bytes_max, kQueueBytes);
  return config;
}

AssociationLimits read_limits(const ObjectReader& limits) {
  AssociationLimits config;
  read_field(limits, "message_bytes_max", config.message_bytes_max, {64, std::size_t{1} << 24});
  read_field(limits, "send_queue_bytes_max", config.send_queue_bytes_max, kQueueBytes);
  read_field(limits, "send_queue_messages_max", config.send_queue_messages_max, {1, 1'000'000});
  if (config.send_queue_bytes_max < config.message_bytes_max) {
    limits.complain("send_queue_bytes_max", "is less than \"message_bytes_max\"");
  }
  return config;
}

// Of an endpoint, or what a peer has otherwise.
template <class Options>
void read_association_options(const ObjectReader& sctp, Options& options) {
  read_field(sctp, "streams_out", options.streams_out, {1, 65535});
  read_field(sctp, "streams_in_max", options.streams_in_max, {1, 65535});
  read_field(sctp, "init_attempts_max", options.init_attempts_max, {1, 100});
  read_field(sctp, "init_timeout_max_ms", options.init_timeout_max, {10ms, 1min});
  read_field(sctp, "rto_initial_ms", options.rto_initial, {10ms, 10min});
  read_field(sctp, "rto_min_ms", options.rto_min, {1ms, 10min});
  read_field(sctp, "rto_max_ms", options.rto_max, {10ms, 10min});
  read_field(sctp, "heartbeat_interval_ms", options.heartbeat_interval, {0ms, 1h});
  read_field(sctp, "association_retransmissions_max", options.association_retransmissions_max,
             {1, 1000});
  read_field(sctp, "path_retransmissions_max", options.path_retransmissions_max, {1, 1000});
  read_field(sctp, "potentially_failed_retransmissions_max",
             options.potentially_failed_retransmissions_max, {0, 1000});
  // RFC 9260 §6.2: "in no case should this be set ... more than 500 ms".
  read_field(sctp, "sack_delay_ms", options.sack_delay, {0ms, 500ms});
  read_field(sctp, "dscp", options.dscp, {0, 63});
  read_field(sctp, "path_mtu_discovery", options.path_mtu_discovery);
  read_field(sctp, "path_mtu_bytes", options.path_mtu_bytes, {512, 65535});
}

// `with`: whose values a peer's own are judged together with.
void check_association_options(const ObjectReader& sctp, const SctpAssociationOptions& options,
                               const std::string& with = {}) {
  const auto complain = [&](std::string_view key, std::string_view sentence) {
    sctp.complain(key, fmt::format("{}{}", sentence, with));
  };
  if (options.rto_min > options.rto_max) {
    complain("rto_min_ms", "is more than \"rto_max_ms\"");
  } else if (options.rto_initial < options.rto_min || options.rto_initial > options.rto_max) {
    complain("rto_initial_ms", "is not between \"rto_min_ms\" and \"rto_max_ms\"");
  } else if (options.init_timeout_max < options.rto_initial) {
    complain("init_timeout_max_ms", "is less than \"rto_initial_ms\", the first wait");
  }
  if (options.sack_delay >= options.rto_min) {
    complain("sack_delay_ms",
             "is not less than \"rto_min_ms\": a peer set likewise would retransmit what arrived");
  }
  if (options.path_mtu_discovery && options.path_mtu_bytes != 0) {
    complain("path_mtu_bytes", "has no effect: \"path_mtu_discovery\" is true");
  }
}

SctpOptions read_sctp(const ObjectReader& sctp, const AssociationLimits& limits) {
  SctpOptions options;
  read_association_options(sctp, options);
  read_field(sctp, "nodelay", options.nodelay);
  read_field(sctp, "receive_buffer_bytes", options.receive_buffer_bytes, kQueueBytes);
  read_field(sctp, "send_buffer_bytes", options.send_buffer_bytes, kQueueBytes);
  read_field(sctp, "handshake_timeout_ms", options.handshake_timeout, {10ms, 10min});
  check_association_options(sctp, options);
  if (options.send_buffer_bytes < limits.message_bytes_max) {
    sctp.complain("send_buffer_bytes", "is less than the limit \"message_bytes_max\"");
  }
  return options;
}

StreamOptions read_tcp(const ObjectReader& tcp) {
  StreamOptions options;
  read_field(tcp, "connect_timeout_ms", options.connect_timeout, {10ms, 10min});
  read_field(tcp, "handshake_timeout_ms", options.handshake_timeout, {10ms, 10min});
  read_field(tcp, "close_timeout_ms", options.close_timeout, {10ms, 10min});
  read_field(tcp, "unacknowledged_timeout_ms", options.unacknowledged_timeout, {10ms, 1h});
  return options;
}

// The files are looked at when all of the config has been read (load_config).
TlsConfig read_tls(const ObjectReader& tls, TransportKind transport) {
  TlsConfig config;
  config.certificate = tls.required_file_path("certificate");
  config.key = tls.required_file_path("key");
  config.ca = tls.required_file_path("ca");
  config.minimum_version = tls.choice("minimum_version", config.minimum_version,
                                      {{"1.2", TlsVersion::tls_1_2}, {"1.3", TlsVersion::tls_1_3}});
  read_field(tls, "ciphers", config.ciphers);
  read_field(tls, "require_peer_certificate", config.require_peer_certificate);
  if (is_sctp(transport)) {
    read_field(tls, "require_sctp_auth", config.require_sctp_auth);
    if (config.minimum_version == TlsVersion::tls_1_3) {
      tls.complain("minimum_version", "is 1.3: DTLS over SCTP (RFC 6083) exists up to 1.2");
    }
  } else if (tls.has("require_sctp_auth")) {
    tls.complain("require_sctp_auth", "has no effect: \"transport\" is not SCTP");
  }
  return config;
}

NodeEndpoint read_endpoint(const ObjectReader& from, const std::vector<std::string>& modules,
                           const NodeConfig& node) {
  NodeEndpoint config;
  EndpointConfig& endpoint = config.endpoint;
  endpoint.name = required_name(from);
  if (node.endpoint(endpoint.name) != nullptr) from.refuse("name", "a name of its own");
  config.module = from.required_string("module");
  if (!config.module.empty() &&
      std::find(modules.begin(), modules.end(), config.module) == modules.end()) {
    from.refuse("module", fmt::format("a protocol of this node ({})", in_list(modules)));
  }
  endpoint.transport = from.parsed(
      "transport", endpoint.transport,
      "one of \"sctp\", \"kernel-sctp\", \"usrsctp\", \"tcp\", \"tls\"", transport_kind_of);
  endpoint.addresses = from.parsed_list("addresses", "an IP address", canonical_address, {0, 32});
  endpoint.listening = from.boolean("listen", endpoint.listening);
  endpoint.port = endpoint.listening ? from.required_number<std::uint16_t>("port")
                                     : from.number<std::uint16_t>("port", 0);
  read_field(from, "sockets", endpoint.sockets, {0, 1024});
  if (const auto udp = from.optional_object("udp_encapsulation")) {
    endpoint.udp_encapsulation_port = udp->required_number<std::uint16_t>("local_port", {.min = 1});
    read_field(*udp, "remote_port", endpoint.peers_udp_port, {1, 65535});
    read_field(*udp, "segmentation_offload", endpoint.udp_segmentation_offload);
    check_udp(*udp, endpoint, node);
  }
  read_field(from, "associations_max", endpoint.associations_max, {1, 1'000'000});
  endpoint.limits = read_limits(from.object("limits"));
  endpoint.sctp = read_sctp(from.object("sctp"), endpoint.limits);
  endpoint.stream = read_tcp(from.object("tcp"));
  if (endpoint.transport == TransportKind::usrsctp && endpoint.udp_encapsulation_port == 0) {
    from.complain("udp_encapsulation", "is missing: usrsctp runs over UDP and needs a local_port");
  }
  const bool tls = endpoint.transport == TransportKind::tls;
  if ((tls || endpoint.transport == TransportKind::tcp) && endpoint.addresses.size() > 1) {
    from.refuse("addresses", "a single address: TCP has no multi-homing");
  }
  check_local_addresses(from, endpoint.addresses);
  if (const NodeEndpoint* other = colliding_with(endpoint, node)) {
    from.refuse("port", fmt::format("free: endpoint \"{}\" has it", other->endpoint.name));
  }
  if (const auto files = from.optional_object("tls")) {
    endpoint.tls = read_tls(*files, endpoint.transport);
    if (endpoint.transport == TransportKind::tcp) {
      from.complain("tls", "has no effect: \"transport\" is \"tcp\", not \"tls\" or SCTP");
    } else if (!tls && endpoint.sctp.send_buffer_bytes < kDtlsRecordBytes) {
      from.object("sctp").complain(
          "send_buffer_bytes",
          fmt::format("is less than a DTLS record of {} bytes", kDtlsRecordBytes));
    }
  } else if (tls) {
    from.complain("tls", "is missing: transport tls needs a certificate, its key and a ca");
  }
  return config;
}

transport::PeeloffLimits read_peeloff(const ObjectReader& peeloff) {
  transport::PeeloffLimits limits;
  read_field(peeloff, "messages_per_second_min", limits.messages_per_second_min, {0, 1e9});
  read_field(peeloff, "bytes_per_second_min", limits.bytes_per_second_min, {0, 1e12});
  read_field(peeloff, "sustained_ms", limits.sustained_min, {0ms, 1h});
  read_field(peeloff, "age_min_ms", limits.age_min, {0ms, 1h});
  read_field(peeloff, "peeled_max", limits.peeled_max, {0, 65536});
  return limits;
}

AdmissionConfig read_admission(const ObjectReader& admission) {
  AdmissionConfig config;
  config.accept_unknown_peers =
      admission.boolean("accept_unknown_peers", config.accept_unknown_peers);
  read_field(admission, "identification_timeout_ms", config.identification_timeout, {100ms, 10min});
  read_field(admission, "unidentified_associations_max", config.unidentified_associations_max,
             {1, 1'000'000});
  return config;
}

// Whether an association of `endpoint` has a path for each of its peer's addresses.
bool has_paths(const EndpointConfig& endpoint) {
  return endpoint.transport == TransportKind::sctp ||
         endpoint.transport == TransportKind::kernel_sctp;
}

// What several addresses of a peer need.
void check_paths(const ObjectReader& from, const PeerConfig& peer,
                 const SctpAssociationOptions& options, const std::string& with) {
  const std::size_t paths = peer.addresses.size();
  if (paths < 2) return;
  const auto complain = [&](std::string_view key, const std::string& sentence) {
    const auto sctp = from.optional_object("sctp");
    if (sctp && sctp->has(key)) return sctp->complain(key, sentence + with);
    from.complain("remote_addresses",
                  fmt::format("are {}, but \"{}\" {}{}", paths, key, sentence, with));
  };
  if (options.heartbeat_interval == 0ms) {
    complain("heartbeat_interval_ms", "is 0: nothing would tell that a path works again");
  }
  // RFC 9260 §8.2 warns of an Association.Max.Retrans above the sum of its paths' Path.Max.Retrans:
  // all of them would be inactive before the peer counts as unreachable. Linux refuses it.
  const unsigned all = options.association_retransmissions_max;
  const unsigned each = options.path_retransmissions_max;
  if (all > paths * each) {
    complain("association_retransmissions_max",
             fmt::format("is {}, more than {} paths together have", all, paths));
  } else if (all <= each) {
    complain("association_retransmissions_max",
             fmt::format("is {}: the association would be lost with its first path", all));
  }
}

// At each endpoint where it may be met.
void check_sctp(const ObjectReader& from, const NodePeer& config, const NodeConfig& node) {
  for (const NodeEndpoint& met : node.endpoints) {
    if (met.module != config.module || !has_paths(met.endpoint)) continue;
    if (!config.connect_from.empty() && config.connect_from != met.endpoint.name) continue;
    const std::string with = fmt::format(", at endpoint \"{}\"", met.endpoint.name);
    SctpAssociationOptions options = met.endpoint.sctp;
    if (config.peer.sctp) {
      options = config.peer.sctp->over(options);
      check_association_options(from.object("sctp"), options, with);
    }
    check_paths(from, config.peer, options, with);
  }
}

// What is said in INIT, and how often, is for who connects.
void check_not_connecting(const ObjectReader& from) {
  const auto sctp = from.optional_object("sctp");
  if (!sctp) return;
  for (const auto* key :
       {"streams_out", "streams_in_max", "init_attempts_max", "init_timeout_max_ms"}) {
    if (sctp->has(key)) sctp->complain(key, "has no effect: the peer has no \"connect\"");
  }
}

void check_connect(const ObjectReader& from, NodePeer& config, const NodeConfig& node) {
  const auto connect = from.object("connect");
  const NodeEndpoint* local = node.endpoint(config.connect_from);
  if (local == nullptr) {
    if (!config.connect_from.empty()) connect.refuse("endpoint", "the name of an endpoint");
    return;
  }
  if (local->module != config.module) {
    connect.refuse("endpoint", fmt::format("an endpoint of the module \"{}\"", config.module));
  }
  if (config.peer.addresses.empty()) {
    from.complain("remote_addresses", "is missing: \"connect\" needs to know where to");
  }
  if (config.peer.remote_udp_port == 0)
    config.peer.remote_udp_port = local->endpoint.peers_udp_port;
  const bool local_udp = local->endpoint.udp_encapsulation_port != 0;
  const bool remote_udp = config.peer.remote_udp_port != 0;
  if (local_udp && !remote_udp) {
    from.complain(
        "remote_udp_port",
        fmt::format("is missing: endpoint \"{}\" has \"udp_encapsulation\"", config.connect_from));
  } else if (remote_udp && !local_udp) {
    from.complain("remote_udp_port",
                  fmt::format("has no effect: endpoint \"{}\" has no \"udp_encapsulation\"",
                              config.connect_from));
  }
}

}  // namespace

std::string required_name(const ObjectReader& from, std::string_view key) {
  std::string name = from.required_string(key);
  if (!name.empty() && !is_name(name)) from.refuse(key, kName);
  return name;
}

std::string required_host_name(const ObjectReader& from, std::string_view key) {
  std::string name = from.required_string(key);
  if (!name.empty() && !is_host_name(name)) from.refuse(key, kHostName);
  return name;
}

std::optional<std::string> as_host_name(std::string_view text) {
  return is_host_name(text) ? std::optional(std::string(text)) : std::nullopt;
}

std::optional<std::string> as_name(std::string_view text) {
  return is_name(text) ? std::optional(std::string(text)) : std::nullopt;
}

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
    case LogLevel::off:
      return "off";
  }
  return "unknown";
}

std::optional<LogLevel> log_level_of(std::string_view name) {
  for (LogLevel level :
       {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error, LogLevel::off}) {
    if (name_of(level) == name) return level;
  }
  return std::nullopt;
}

std::optional<TransportKind> transport_kind_of(std::string_view name) {
  for (TransportKind kind : {TransportKind::sctp, TransportKind::kernel_sctp,
                             TransportKind::usrsctp, TransportKind::tcp, TransportKind::tls}) {
    if (name_of(kind) == name) return kind;
  }
  return std::nullopt;
}

std::optional<std::string> canonical_address(std::string_view text) {
  const auto address = transport::SocketAddress::parse(text, 0);
  return address ? std::optional(address->text()) : std::nullopt;
}

std::vector<std::string> NodeConfig::links_to(const NodePeer& peer) const {
  std::vector<std::string> links;
  if (peer.connect_from.empty()) return links;
  const std::size_t endpoints = peer.also_from.size() + 1;
  const NodeEndpoint* first = endpoint(peer.connect_from);
  const bool one_each = first != nullptr && is_sctp(first->endpoint.transport);
  const std::size_t count = peer.peer.connections_max;
  for (std::size_t i = 0; i < (one_each ? std::min(count, endpoints) : count); ++i) {
    links.push_back(i % endpoints == 0 ? peer.connect_from : peer.also_from[i % endpoints - 1]);
  }
  return links;
}

const NodeEndpoint* NodeConfig::endpoint(std::string_view wanted) const {
  auto it = std::find_if(endpoints.begin(), endpoints.end(),
                         [&](const NodeEndpoint& e) { return e.endpoint.name == wanted; });
  return it == endpoints.end() ? nullptr : &*it;
}

const NodePeer* NodeConfig::peer(std::string_view wanted) const {
  auto it = std::find_if(peers.begin(), peers.end(),
                         [&](const NodePeer& p) { return p.peer.name == wanted; });
  return it == peers.end() ? nullptr : &*it;
}

NodeConfig read_node_config(const ObjectReader& root, const std::vector<std::string>& modules) {
  NodeConfig config;
  config.name = required_name(root.object("node"));
  config.log = read_log(root.object("log"));
  config.admin = read_admin(root.object("admin"));
  config.runtime = read_runtime(root.object("runtime"));
  for (const ObjectReader& endpoint : root.objects("endpoints", {1, 4096})) {
    config.endpoints.push_back(read_endpoint(endpoint, modules, config));
  }
  config.peeloff = read_peeloff(root.object("peeloff"));
  config.admission = read_admission(root.object("admission"));
  return config;
}

NodePeer& read_peer(const ObjectReader& from, std::string_view module, std::uint16_t default_port,
                    NodeConfig& node) {
  NodePeer config;
  config.module = module;
  PeerConfig& peer = config.peer;
  peer.name = required_name(from);
  if (node.peer(peer.name) != nullptr) from.refuse("name", "a name of its own");
  if (peer.name == PeerCounts::kOtherPeers) {
    from.refuse("name", "a name for one peer: tables of counters have it for all the others");
  }
  peer.addresses =
      from.parsed_list("remote_addresses", "an IP address", canonical_address, {0, 32});
  peer.port = from.number<std::uint16_t>("port", default_port, {.min = 1});
  if (from.has("remote_udp_port")) {
    peer.remote_udp_port = from.required_number<std::uint16_t>("remote_udp_port", {.min = 1});
  }
  peer.placement = from.choice("placement", peer.placement,
                               {{"auto", Placement::automatic},
                                {"always", Placement::always_peeled},
                                {"never", Placement::never_peeled}});
  if (const auto tls = from.optional_object("tls")) {
    peer.tls_identity = required_host_name(*tls, "identity");
  }
  peer.primary_address =
      from.parsed("primary_address", peer.primary_address, "an IP address", canonical_address);
  if (!peer.primary_address.empty() && std::find(peer.addresses.begin(), peer.addresses.end(),
                                                 peer.primary_address) == peer.addresses.end()) {
    from.refuse("primary_address", "one of \"remote_addresses\"");
  }
  if (const auto sctp = from.optional_object("sctp")) {
    read_association_options(*sctp, peer.sctp.emplace());
  }
  if (const auto connect = from.optional_object("connect")) {
    config.connect_from = connect->required_string("endpoint");
    check_connect(from, config, node);
  } else {
    check_not_connecting(from);
  }
  check_sctp(from, config, node);
  check_meeting(from, config, node);
  return node.peers.emplace_back(std::move(config));
}

}  // namespace siglane::runtime
