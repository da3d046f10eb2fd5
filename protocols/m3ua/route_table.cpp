#include "protocols/m3ua/route_table.h"

#include <algorithm>

namespace siglane::m3ua {

bool RoutingRules::Rule::any_si() const {
  return std::ranges::all_of(service_indicators, [](auto word) { return word == 0; });
}

bool RoutingRules::Rule::matches(Network from, const MtpLabel& label) const {
  if (!is_in(from)) return false;
  if (!any_si() && (service_indicators[label.si / 64] >> label.si % 64 & 1) == 0) return false;
  return opcs.empty() || std::ranges::binary_search(opcs, label.opc);
}

int RoutingRules::Rule::specificity() const {
  return (network ? 4 : 0) + (any_si() ? 0 : 2) + (opcs.empty() ? 0 : 1);
}

RoutingRules::RoutingRules(const M3uaConfig& config) : by_as_(config.application_servers.size()) {
  const auto sort = [](std::vector<std::uint32_t>& codes) {
    std::ranges::sort(codes);
    codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  };
  for (const RouteConfig& route : config.routes) {
    Rule rule;
    rule.network = route.network_appearance;
    for (const std::uint8_t si : route.service_indicators) {
      rule.service_indicators[si / 64] |= std::uint64_t{1} << si % 64;
    }
    rule.opcs = route.originating_point_codes;
    std::ranges::sort(rule.opcs);
    const auto as = std::ranges::find(config.application_servers, route.application_server,
                                      &ApplicationServerConfig::name);
    rule.as = static_cast<std::size_t>(as - config.application_servers.begin());
    by_as_[rule.as].push_back(route.destination_point_code);
    destinations_[rule.network].push_back(route.destination_point_code);
    by_dpc_[route.destination_point_code].push_back(std::move(rule));
  }
  for (auto& [dpc, rules] : by_dpc_) {
    std::ranges::stable_sort(rules, std::ranges::greater{}, &Rule::specificity);
  }
  for (auto& [network, codes] : destinations_) sort(codes);
  for (auto& codes : by_as_) sort(codes);
}

std::optional<std::size_t> RoutingRules::find(Network network, const MtpLabel& label) const {
  const auto at = by_dpc_.find(label.dpc);
  if (at == by_dpc_.end()) return std::nullopt;
  for (const Rule& rule : at->second) {
    if (rule.matches(network, label)) return rule.as;
  }
  return std::nullopt;
}

std::vector<std::size_t> RoutingRules::serving(Network network, std::uint32_t dpc) const {
  std::vector<std::size_t> servers;
  const auto at = by_dpc_.find(dpc);
  if (at == by_dpc_.end()) return servers;
  for (const Rule& rule : at->second) {
    if (!rule.is_in(network)) continue;
    if (std::ranges::find(servers, rule.as) == servers.end()) servers.push_back(rule.as);
    if (rule.any_si() && rule.opcs.empty()) break;  // nothing gets past it
  }
  return servers;
}

// A range is one stretch of an ascending list: found, not searched for, because whoever audits may
// name thousands.
std::vector<std::uint32_t> RoutingRules::destinations_in(Network network,
                                                         AffectedPointCode range) const {
  const unsigned wild_bits = std::min<unsigned>(range.mask, kPointCodeBitsMax);
  const std::uint32_t first = range.point_code >> wild_bits << wild_bits;
  const std::uint32_t last = first + ((std::uint32_t{1} << wild_bits) - 1);
  std::vector<std::uint32_t> found;
  const auto take = [&](Network of_routes) {
    const auto at = destinations_.find(of_routes);
    if (at == destinations_.end()) return;
    const auto from = std::ranges::lower_bound(at->second, first);
    const auto to = std::upper_bound(from, at->second.end(), last);
    const auto middle = static_cast<std::ptrdiff_t>(found.size());
    found.insert(found.end(), from, to);
    std::inplace_merge(found.begin(), found.begin() + middle, found.end());
  };
  take(std::nullopt);
  if (network) take(network);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::size_t RoutingRules::destinations_max(Network network) const {
  std::size_t count = 0;
  for (const auto& [of_routes, codes] : destinations_) {
    if (!of_routes || of_routes == network) count += codes.size();
  }
  return count;
}

bool RouteTable::available(const RoutingRules& rules, Network network, std::uint32_t dpc) const {
  return std::ranges::any_of(rules.serving(network, dpc), [&](std::size_t as) {
    const AsState state = servers[as]->state;
    return state == AsState::active || state == AsState::pending;
  });
}

}  // namespace siglane::m3ua
