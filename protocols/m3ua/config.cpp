#include "protocols/m3ua/config.h"

#include <algorithm>
#include <set>

#include "protocols/m3ua/networks.h"

namespace siglane::m3ua {
namespace {

std::string quoted(const std::string& name) {
  return "\"" + name + "\"";
}

Result<void> check_asps(const M3uaConfig& config, std::set<std::string>& names) {
  std::set<std::uint32_t> identifiers;
  for (const AspConfig& asp : config.asps) {
    if (asp.name.empty()) return failure("an ASP has no name");
    if (!names.insert(asp.name).second) return failure("ASP " + quoted(asp.name) + " twice");
    if (asp.asp_identifier && !identifiers.insert(*asp.asp_identifier).second) {
      return failure("ASP " + quoted(asp.name) + ": ASP identifier " +
                     std::to_string(*asp.asp_identifier) + " is another ASP's already");
    }
  }
  return {};
}

Result<void> check_servers(const M3uaConfig& config, const std::set<std::string>& asps,
                           std::set<std::string>& names) {
  std::set<std::uint32_t> contexts;
  for (const ApplicationServerConfig& as : config.application_servers) {
    const std::string who = "application server " + quoted(as.name);
    if (as.name.empty()) return failure("an application server has no name");
    if (!names.insert(as.name).second) return failure(who + " twice");
    if (!contexts.insert(as.routing_context).second) {
      return failure(who + ": routing context " + std::to_string(as.routing_context) +
                     " is another AS's already");
    }
    std::set<std::string> members;
    for (const std::string& asp : as.asps) {
      if (!asps.contains(asp)) return failure(who + ": there is no ASP " + quoted(asp));
      if (!members.insert(asp).second) return failure(who + ": ASP " + quoted(asp) + " twice");
    }
    if (members.empty()) return failure(who + " has no ASP");
    if (as.active_asps_min < 1 || as.active_asps_min > members.size()) {
      return failure(who + ": active_asps_min must be 1 to the number of its ASPs");
    }
    if (as.traffic_mode == TrafficMode::override_mode && as.active_asps_min != 1) {
      return failure(who + ": override needs active_asps_min 1");
    }
  }
  return {};
}

std::string name_of(const Network& network) {
  return network ? "network appearance " + std::to_string(*network) : "the default network";
}

Result<void> check_networks(const M3uaConfig& config) {
  std::set<Network> seen;
  for (const NetworkConfig& network : config.networks) {
    if (!seen.insert(network.network_appearance).second) {
      return failure(name_of(network.network_appearance) + " twice");
    }
    const unsigned bits = network.point_code_bits;
    if (bits != 14 && bits != 16 && bits != 24) {
      return failure(name_of(network.network_appearance) +
                     ": point_code_bits must be 14, 16 or 24");
    }
  }
  return {};
}

Result<void> check_route(const Networks& networks, const RouteConfig& route) {
  const std::string who = "route to " + std::to_string(route.destination_point_code);
  const unsigned bits = networks.point_code_bits(route);
  if (route.destination_point_code >> bits != 0) {
    return failure(who + ": more than " + std::to_string(bits) + " bits");
  }
  for (const std::uint32_t opc : route.originating_point_codes) {
    if (opc >> bits == 0) continue;
    return failure(who + ": originating point code " + std::to_string(opc) + " has more than " +
                   std::to_string(bits) + " bits");
  }
  return {};
}

}  // namespace

Result<void> check(const M3uaConfig& config) {
  if (auto good = check_networks(config); !good) return good;
  std::set<std::string> asps, servers;
  if (auto good = check_asps(config, asps); !good) return good;
  if (auto good = check_servers(config, asps, servers); !good) return good;
  const Networks networks(config);
  for (const RouteConfig& route : config.routes) {
    const std::string who = "route to " + std::to_string(route.destination_point_code);
    if (!servers.contains(route.application_server)) {
      return failure(who + ": there is no application server " + quoted(route.application_server));
    }
    if (auto good = check_route(networks, route); !good) return good;
  }
  return {};
}

Result<void> check(const AspClientsConfig& config) {
  std::set<std::string> names;
  for (const AspClientConfig& asp : config.asps) {
    if (asp.name.empty()) return failure("an ASP has no name");
    if (!names.insert(asp.name).second) return failure("ASP " + quoted(asp.name) + " twice");
    std::set<std::uint32_t> contexts(asp.routing_contexts.begin(), asp.routing_contexts.end());
    if (contexts.size() != asp.routing_contexts.size()) {
      return failure("ASP " + quoted(asp.name) + ": a routing context twice");
    }
  }
  if (config.acknowledgement_timeout <= Duration{}) return failure("T(ack) must be more than 0");
  return {};
}

}  // namespace siglane::m3ua
