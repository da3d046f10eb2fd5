#include "apps/load/config.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/config_fields.h"
#include "apps/runtime/config_include.h"
#include "apps/runtime/credentials.h"
#include "apps/runtime/diameter_config.h"
#include "core/host_name.h"
#include "protocols/diameter/constants.h"
#include "protocols/diameter/text.h"

namespace siglane::load {
namespace {

using runtime::ConfigReader;
using runtime::JsonValue;
using runtime::ObjectReader;
using runtime::read_field;
using runtime::required_name;

constexpr std::uint16_t kM3uaPort = 2905;  // RFC 4666 §1.4.8
constexpr std::size_t kPeersMax = 10'000;

void read_common(const ObjectReader& from, LoadConfig& config) {
  RunConfig& run = config.run;
  read_field(from, "duration_ms", run.duration, {1ms, 24h});
  read_field(from, "warm_up_ms", run.warm_up, {0ms, 1h});
  read_field(from, "drain_max_ms", run.drain_max, {0ms, 10min});
  read_field(from, "connect_timeout_ms", run.connect_timeout, {10ms, 10min});
  read_field(from, "progress_interval_ms", config.progress_interval, {0ms, 1h});
  read_field(from, "seed", config.seed);
  read_field(from, "tolerate_reconnect", run.tolerate_reconnect);
  read_field(from, "tolerate_errors", config.tolerate_errors);
}

PaceConfig read_pace(const ObjectReader& from, std::string_view rate_key) {
  PaceConfig pace;
  pace.mode =
      from.choice("mode", pace.mode,
                  {{"open_loop", PaceMode::open_loop}, {"closed_loop", PaceMode::closed_loop}});
  if (pace.mode == PaceMode::closed_loop) {
    for (const std::string_view key : {rate_key, std::string_view("jitter")}) {
      if (from.has(key)) from.complain(key, "has no effect: a closed loop has a \"window\" only");
    }
  } else {
    pace.per_second = from.required_decimal(rate_key, {0.001, 10e6});
    read_field(from, "jitter", pace.jitter, {0.0, 1.0});
    pace.window = 1000;
  }
  read_field(from, "window", pace.window, {1, 1'000'000});
  return pace;
}

GroupConfig read_group(const ObjectReader& from, std::string_view member_key,
                       std::string_view rate_key, std::size_t first_default,
                       std::set<std::string>& names) {
  GroupConfig group;
  group.name = required_name(from);
  if (!names.insert(group.name).second) from.refuse("name", "a name of its own");
  read_field(from, "count", group.count, {1, kPeersMax});
  const auto first = from.number<std::uint64_t>("first", first_default, {0, 1'000'000'000});
  group.pace = read_pace(from, rate_key);
  const std::string pattern = required_name(from, member_key);
  for (std::size_t n = 0; n < group.count; ++n) {
    auto member = numbered(pattern, first + n);
    if (!member || (group.count > 1 && *member == pattern)) {
      from.refuse(member_key, "a pattern with one %u, or %02u and the like, for the number");
      break;
    }
    group.members.push_back(std::move(*member));
  }
  return group;
}

S6aMix read_mix(const ObjectReader& from) {
  S6aMix mix;
  if (!from.has("mix")) return mix;
  const ObjectReader weights = from.object("mix");
  mix = {0, 0, 0};
  read_field(weights, "air", mix.air, {0.0, 1e6});
  read_field(weights, "ulr", mix.ulr, {0.0, 1e6});
  read_field(weights, "pur", mix.pur, {0.0, 1e6});
  if (mix.air + mix.ulr + mix.pur <= 0) {
    from.complain("mix", "has no weight above 0: nothing would be sent");
  }
  return mix;
}

// TS 23.003 §2.2: 6 to 15 digits. A range that reaches into another MCC and MNC is a mistake.
std::optional<ImsiRange> imsis_of_one_network(std::string_view first, std::uint64_t count) {
  constexpr std::size_t kDigitsMin = 6, kPlmnDigitsMin = 5;
  auto range = first.size() < kDigitsMin ? std::nullopt : ImsiRange::from(first, count);
  if (!range) return range;
  const bool one_network = range->text(count - 1).starts_with(first.substr(0, kPlmnDigitsMin));
  return one_network ? range : std::nullopt;
}

S6aRequestsConfig read_requests(const ObjectReader& from, const diameter::DiameterConfig& node) {
  S6aRequestsConfig config;
  const auto count = from.number<std::uint64_t>("imsi_count", 1000, {.min = 1});
  config.imsis = from.required_parsed(
      "imsi_first",
      fmt::format("an IMSI (6 to 15 digits) with {} more of its network behind it", count - 1),
      [&](std::string_view text) { return imsis_of_one_network(text, count); });
  config.visited_plmn =
      from.required_parsed("visited_plmn", "a PLMN: 5 or 6 digits, MCC (3) and MNC (2 or 3)",
                           [](std::string_view text) { return plmn_octets(text); });
  read_field(from, "vectors_per_request", config.vectors_per_request, {1, 32});
  config.destination_realm = node.peers.empty() ? node.origin_realm : node.peers.front().realm;
  for (auto [key, value] : {std::pair("destination_realm", &config.destination_realm),
                            std::pair("destination_host", &config.destination_host)}) {
    *value = from.parsed(key, *value, runtime::kHostName, runtime::as_host_name);
  }
  return config;
}

template <class Groups>
void check_members(const ObjectReader& root, const ObjectReader& from, const Groups& groups,
                   const LoadConfig& config) {
  std::vector<std::string> names;
  for (const auto& group : groups) {
    names.insert(names.end(), group.group.members.begin(), group.group.members.end());
  }
  if (!config.node.endpoints.empty() && config.endpoint().port + names.size() > 0x10000 &&
      config.endpoint().port != 0) {
    root.complain("endpoints", fmt::format("has no room for the ports of {} peers behind {}",
                                           names.size(), config.endpoint().port));
  }
  // Origin-Hosts are the same in whatever case; ASPs whose names differ by no more are a mistake.
  std::sort(names.begin(), names.end(), diameter::identity_less);
  const auto twice = std::adjacent_find(names.begin(), names.end(), diameter::same_identity);
  if (twice != names.end()) from.complain("groups", fmt::format("has \"{}\" twice", *twice));
}

// The one endpoint that is the pattern for all, and the one peer that all connect to.
void check_single(const ObjectReader& root, const LoadConfig& config, std::string_view peers) {
  if (config.node.endpoints.size() > 1) {
    root.complain("endpoints", "has more than one: one is the pattern for every simulated peer");
  }
  if (config.node.peers.size() != 1) {
    root.complain(peers, "needs exactly one peer: the target");
  } else if (config.node.peers.front().connect_from.empty() ||
             config.node.peers.front().peer.addresses.empty()) {
    root.complain(peers, "needs \"connect\" and \"remote_addresses\" in its peer, the target");
  }
}

Result<void> set_target(std::string_view text, PeerConfig& target) {
  std::string_view address = text, port;
  if (const auto end = text.find(']'); text.starts_with('[') && end != text.npos) {
    address = text.substr(1, end - 1);
    if (end + 1 < text.size()) port = text.substr(end + 1);
    if (port == ":" || (!port.empty() && port.front() != ':')) address = {};
    if (!port.empty()) port.remove_prefix(1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    address = text.substr(0, text.find(':'));
    port = text.substr(text.find(':') + 1);
  }
  const auto canonical = runtime::canonical_address(address);
  if (!canonical) {
    return failure(fmt::format("--target: \"{}\" is not ADDRESS or ADDRESS:PORT", text));
  }
  target.addresses = {*canonical};
  if (port.empty()) return {};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), target.port);
  if (error != std::errc() || end != port.data() + port.size() || target.port == 0) {
    return failure(fmt::format("--target: \"{}\" is not a port", port));
  }
  return {};
}

Result<void> apply(const Overrides& overrides, LoadConfig& config) {
  config.target = config.node.peers.front().peer;
  EndpointConfig& endpoint = config.node.endpoints.front().endpoint;
  overrides.common.apply_to(config.node);
  if (auto good = runtime::check_endpoints(config.node); !good) return good;
  if (endpoint.transport == TransportKind::tcp ||
      endpoint.transport == TransportKind::kernel_sctp) {
    endpoint.udp_encapsulation_port = 0;
    config.target.remote_udp_port = 0;
  }
  if (overrides.duration) config.run.duration = *overrides.duration;
  if (overrides.connect_timeout) config.run.connect_timeout = *overrides.connect_timeout;
  if (overrides.seed) config.seed = *overrides.seed;
  if (overrides.tolerate_reconnect) config.run.tolerate_reconnect = *overrides.tolerate_reconnect;
  config.run.warm_up = std::min(config.run.warm_up, config.run.duration / 2);
  return overrides.target.empty() ? Result<void>{} : set_target(overrides.target, config.target);
}

// What the command line says, in what effective() shows.
void show(const Overrides& overrides, const LoadConfig& config, const ObjectReader& root) {
  overrides.common.show_in(root);
  const ObjectReader load = root.object("load");
  const auto show_ms = [&](std::string_view key, const std::optional<Duration>& value) {
    if (value) load.show_instead(key, {static_cast<std::uint64_t>(*value / 1ms)});
  };
  show_ms("duration_ms", overrides.duration);
  show_ms("connect_timeout_ms", overrides.connect_timeout);
  if (overrides.seed) load.show_instead("seed", {*overrides.seed});
  if (overrides.tolerate_reconnect) {
    load.show_instead("tolerate_reconnect", {*overrides.tolerate_reconnect});
  }
  if (overrides.target.empty()) return;
  const ObjectReader target =
      load.has("target") ? load.object("target") : root.object("diameter").objects("peers").front();
  target.show_instead("remote_addresses", {JsonValue::Array{{config.target.addresses.front()}}});
  target.show_instead("port", {std::uint64_t{config.target.port}});
}

runtime::NodeConfig read_node(const ObjectReader& root, const std::string& module) {
  runtime::NodeConfig node = runtime::read_node_config(root, {module});
  if (node.runtime.shards != 1) {
    root.object("runtime").refuse("shards", "1: for more load, start more processes");
  }
  return node;
}

void check_origin_hosts(const ObjectReader& from, const std::vector<std::string>& hosts,
                        const diameter::DiameterConfig& diameter) {
  if (!std::all_of(hosts.begin(), hosts.end(), is_host_name)) {
    return from.refuse("origin_host", runtime::kHostName);
  }
  for (const auto& target : diameter.peers) {
    const bool taken = std::any_of(hosts.begin(), hosts.end(), [&](const std::string& host) {
      return diameter::same_identity(host, target.origin_host);
    });
    if (taken) from.refuse("origin_host", "another host than the target's");
  }
}

S6aLoadConfig read_s6a(const ObjectReader& root) {
  S6aLoadConfig config;
  LoadConfig& common = config.load;
  common.node = read_node(root, "diameter");
  config.diameter = runtime::read_diameter_config(root, common.node);
  config.diameter.applications = {
      {.id = diameter::application::s6a, .vendor = diameter::vendor::tgpp}};
  const ObjectReader load = root.object("load");
  read_common(load, common);
  config.requests = read_requests(load, config.diameter);
  std::set<std::string> names;
  std::size_t first = 1;
  for (const ObjectReader& from : load.objects("groups", {1, 64})) {
    S6aGroupConfig group;
    group.group = read_group(from, "origin_host", "requests_per_second", first, names);
    check_origin_hosts(from, group.group.members, config.diameter);
    group.mix = read_mix(from);
    first += group.group.count;
    config.groups.push_back(std::move(group));
  }
  check_members(root, load, config.groups, common);
  check_single(root, common, "diameter");
  return config;
}

// Numbers that count up in a group, and are each one ASP's.
struct NumberedGroup {
  std::string name;
  std::uint64_t first, count;
};

std::uint32_t read_first(const ObjectReader& from, std::string_view key, const GroupConfig& group,
                         std::uint32_t max, std::vector<NumberedGroup>& taken) {
  const auto first = from.required_number<std::uint32_t>(key, {.min = 0, .max = max});
  if (first + group.count - 1 > max) {
    from.refuse(key, fmt::format("at most {}: {} ASPs count up from it", max - group.count + 1,
                                 group.count));
  }
  for (const NumberedGroup& other : taken) {
    if (from.has(key) && first < other.first + other.count && other.first < first + group.count) {
      from.refuse(key,
                  fmt::format("free: group \"{}\" counts up from {}", other.name, other.first));
    }
  }
  taken.push_back({group.name, first, group.count});
  return first;
}

struct TakenNumbers {
  std::set<std::string> names;
  std::vector<NumberedGroup> identifiers, contexts, point_codes;
};

M3uaGroupConfig read_m3ua_group(const ObjectReader& from, std::size_t first, TakenNumbers& taken) {
  constexpr std::uint32_t kMax = 0xffff'ffff, kPointCodeMax = 0xff'ffff;
  M3uaGroupConfig config;
  config.group = read_group(from, "asp", "messages_per_second", first, taken.names);
  config.asp_identifier_first =
      read_first(from, "asp_identifier_first", config.group, kMax, taken.identifiers);
  config.routing_context_first =
      read_first(from, "routing_context_first", config.group, kMax, taken.contexts);
  config.point_code_first =
      read_first(from, "point_code_first", config.group, kPointCodeMax, taken.point_codes);
  read_field(from, "payload_bytes_min", config.payload_bytes_min,
             {kPayloadBytesMin, kPayloadBytesMax});
  config.payload_bytes_max = std::max(config.payload_bytes_max, config.payload_bytes_min);
  read_field(from, "payload_bytes_max", config.payload_bytes_max,
             {config.payload_bytes_min, kPayloadBytesMax});
  config.within_group = from.boolean("within_group", false);
  if (config.within_group && config.group.count < 2) {
    from.refuse("within_group", "false, or a group of two ASPs or more: they send to each other");
  }
  return config;
}

void add_asps(const M3uaGroupConfig& group, std::optional<std::uint32_t> network_appearance,
              M3uaLoadConfig& config) {
  const std::size_t first = config.traffic.point_codes.size();
  for (std::uint32_t n = 0; n < group.group.members.size(); ++n) {
    m3ua::AspClientConfig asp;
    asp.name = group.group.members[n];
    asp.asp_identifier = group.asp_identifier_first + n;
    asp.routing_contexts = {group.routing_context_first + n};
    asp.network_appearance = network_appearance;
    config.asps.asps.push_back(std::move(asp));
    config.traffic.point_codes.push_back(group.point_code_first + n);
    config.traffic.circles.push_back(group.within_group
                                         ? M3uaTrafficConfig::Circle{first, group.group.count}
                                         : M3uaTrafficConfig::Circle{});
  }
}

M3uaLoadConfig read_m3ua(const ObjectReader& root) {
  M3uaLoadConfig config;
  LoadConfig& common = config.load;
  common.node = read_node(root, "m3ua");
  const ObjectReader load = root.object("load");
  read_common(load, common);
  runtime::read_peer(load.object("target"), "m3ua", kM3uaPort, common.node);
  M3uaTrafficConfig& traffic = config.traffic;
  read_field(load, "service_indicator", traffic.service_indicator, {0, 15});
  read_field(load, "network_indicator", traffic.network_indicator, {0, 3});
  read_field(load, "sls_count", traffic.sls_count, {1, 256});
  const auto appearance = load.optional_number<std::uint32_t>("network_appearance");
  TakenNumbers taken;
  std::size_t first = 1;
  for (const ObjectReader& from : load.objects("groups", {1, 64})) {
    M3uaGroupConfig group = read_m3ua_group(from, first, taken);
    first += group.group.count;
    add_asps(group, appearance, config);
    config.groups.push_back(std::move(group));
  }
  const std::size_t senders = traffic.point_codes.size();
  if (senders < 2) load.complain("groups", "has fewer than two ASPs: each sends to the others");
  if (M3uaTraffic::flows_of(senders, traffic.sls_count) > kFlowMax) {
    load.complain("sls_count", fmt::format("makes too many flows with {} ASPs", senders));
  }
  check_members(root, load, config.groups, common);
  check_single(root, common, "load");
  return config;
}

template <class Config>
Result<Config> load_file(const std::string& file, const Overrides& overrides,
                         Config (*read)(const ObjectReader&)) {
  const auto document = runtime::load_config_document(file);
  if (!document) return failure(document.error().what);
  ConfigReader reader(*document);
  Config config = read(reader.root());
  if (auto good = reader.finish(); !good) return failure(good.error().what);
  if (auto good = apply(overrides, config.load); !good) return failure(good.error().what);
  show(overrides, config.load, reader.root());
  config.load.node.effective = reader.effective();
  if (auto good = runtime::load_credentials(config.load.node); !good) {
    return failure(fmt::format("{}: {}", file, good.error().what));
  }
  return config;
}

}  // namespace

EndpointConfig LoadConfig::endpoint_of(std::size_t number, std::string_view peer) const {
  EndpointConfig made = endpoint();
  made.name = peer.substr(0, peer.find('.'));
  if (made.port != 0) made.port = static_cast<std::uint16_t>(made.port + number);
  return made;
}

Result<S6aLoadConfig> load_s6a_config(const std::string& file, const Overrides& overrides) {
  auto config = load_file<S6aLoadConfig>(file, overrides, read_s6a);
  if (!config) return config;
  if (auto good = diameter::check(config->diameter); !good) {
    return failure(fmt::format("{}: {}", file, good.error().what));
  }
  return config;
}

Result<M3uaLoadConfig> load_m3ua_config(const std::string& file, const Overrides& overrides) {
  auto config = load_file<M3uaLoadConfig>(file, overrides, read_m3ua);
  if (!config) return config;
  if (auto good = m3ua::check(config->asps); !good) {
    return failure(fmt::format("{}: {}", file, good.error().what));
  }
  return config;
}

std::optional<std::string> numbered(std::string_view pattern, std::uint64_t number) {
  const auto at = pattern.find('%');
  if (at == pattern.npos) return std::string(pattern);
  std::size_t next = at + 1;
  auto peek = [&] { return next < pattern.size() ? pattern[next] : '\0'; };
  const bool zeros = peek() == '0';
  if (zeros) ++next;
  std::size_t width = 0;
  if (peek() >= '1' && peek() <= '9') width = static_cast<std::size_t>(pattern[next++] - '0');
  if (peek() != 'u' || zeros != (width > 0) || pattern.find('%', next) != pattern.npos) {
    return std::nullopt;
  }
  std::string digits = std::to_string(number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return fmt::format("{}{}{}", pattern.substr(0, at), digits, pattern.substr(next + 1));
}

}  // namespace siglane::load
