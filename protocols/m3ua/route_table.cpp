#include "protocols/m3ua/route_table.h"

#include <algorithm>
#include <string_view>

namespace siglane::m3ua {

RoutingRules::Rule::Rule(const RouteConfig& route, std::size_t as, std::size_t index)
    : network_(route.network_appearance),
      opcs_(route.originating_point_codes),
      as_(as),
      route_(index) {
  for (const std::uint8_t si : route.service_indicators) {
    service_indicators_[si / 64] |= std::uint64_t{1} << si % 64;
  }
  std::ranges::sort(opcs_);
}

RoutingRules::Rule::Match RoutingRules::Rule::match(Network from, const MtpLabel& label) const {
  if (!is_in(from)) return Match::other_network;
  if (!any_si() && (service_indicators_[label.si / 64] >> label.si % 64 & 1) == 0) {
    return Match::other_service_indicator;
  }
  const bool matches = any_opc() || std::ranges::binary_search(opcs_, label.opc);
  return matches ? Match::all : Match::other_originating_point_code;
}

int RoutingRules::Rule::specificity() const {
  return (network_ ? 4 : 0) + (any_si() ? 0 : 2) + (any_opc() ? 0 : 1);
}

RoutingRules::RoutingRules(const M3uaConfig& config)
    : RoutingRules(config, {}, config.application_servers.size()) {}

RoutingRules::RoutingRules(const M3uaConfig& config, std::span<const std::size_t> places,
                           std::size_t places_end)
    : by_as_(places_end) {
  const auto sort = [](std::vector<std::uint32_t>& codes) {
    std::ranges::sort(codes);
    codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  };
  std::unordered_map<std::string_view, std::size_t> place_of;
  for (std::size_t i = 0; i < config.application_servers.size(); ++i) {
    place_of[config.application_servers[i].name] = places.empty() ? i : places[i];
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const RouteConfig& route = config.routes[i];
    const std::size_t as = place_of.at(route.application_server);
    by_as_[as].push_back(route.destination_point_code);
    destinations_[route.network_appearance].push_back(route.destination_point_code);
    by_dpc_[route.destination_point_code].emplace_back(route, as, i);
  }
  for (auto& [dpc, rules] : by_dpc_) {
    std::ranges::stable_sort(rules, std::ranges::greater{}, &Rule::specificity);
  }
  for (auto& [network, codes] : destinations_) sort(codes);
  for (auto& codes : by_as_) sort(codes);
}

std::optional<std::size_t> RoutingRules::find(Network network, const MtpLabel& label) const {
  for (const Rule& rule : rules_to(label.dpc)) {
    if (rule.match(network, label) == Rule::Match::all) return rule.as();
  }
  return std::nullopt;
}

std::span<const RoutingRules::Rule> RoutingRules::rules_to(std::uint32_t dpc) const {
  const auto at = by_dpc_.find(dpc);
  return at == by_dpc_.end() ? std::span<const Rule>() : at->second;
}

std::vector<std::uint32_t> RoutingRules::changed_since(const RoutingRules& before) const {
  std::vector<std::uint32_t> changed;
  for (const auto& [dpc, rules] : by_dpc_) {
    if (!std::ranges::equal(rules, before.rules_to(dpc))) changed.push_back(dpc);
  }
  for (const auto& [dpc, rules] : before.by_dpc_) {
    if (!by_dpc_.contains(dpc)) changed.push_back(dpc);
  }
  std::ranges::sort(changed);
  return changed;
}

std::vector<std::size_t> RoutingRules::serving(Network network, std::uint32_t dpc) const {
  std::vector<std::size_t> servers;
  for (const Rule& rule : rules_to(dpc)) {
    if (!rule.is_in(network)) continue;
    if (std::ranges::find(servers, rule.as()) == servers.end()) servers.push_back(rule.as());
    if (rule.any_si() && rule.any_opc()) break;  // nothing gets past it
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
