#include "protocols/m3ua/control.h"

#include <algorithm>
#include <unordered_set>

namespace siglane::m3ua {
namespace {

// May one be the other after a change of the config?
bool is_same(const ApplicationServerConfig& a, const ApplicationServerConfig& b) {
  return a.name == b.name && a.routing_context == b.routing_context &&
         a.network_appearance == b.network_appearance && a.traffic_mode == b.traffic_mode;
}

}  // namespace

Gateway::Gateway(M3uaConfig c, const Gateway* before) : config(std::move(c)), networks(config) {
  const auto places = take_places(before);
  rules = RoutingRules(config, places, servers.size());
  if (before == nullptr) return;
  number = before->number + 1;
  changed_destinations = rules.changed_since(before->rules);
}

// Gives every AS and ASP of the config its place. The places of its ASs, in their order.
std::vector<std::size_t> Gateway::take_places(const Gateway* before) {
  std::unordered_map<std::string_view, std::size_t> old_place_of;
  if (before != nullptr) {
    servers = before->servers;
    asp_names = before->asp_names;
    for (std::size_t i = 0; i < servers.size(); ++i) {
      if (!servers[i].removed) old_place_of[before->servers[i].config.name] = i;
      servers[i].removed = true;
      servers[i].config.asps.clear();
    }
  }
  std::vector<std::size_t> places;
  for (const ApplicationServerConfig& as : config.application_servers) {
    const auto old = old_place_of.find(as.name);
    if (old != old_place_of.end() && is_same(servers[old->second].config, as)) {
      places.push_back(old->second);
      servers[old->second].config = as;
      servers[old->second].removed = false;
    } else {
      places.push_back(servers.size());
      servers.push_back({as, next_association_id(), false});
    }
  }
  for (std::size_t i = 0; i < servers.size(); ++i) {
    for (const std::string& asp : servers[i].config.asps) servers_of_[asp].push_back(i);
  }
  for (std::size_t i = 0; i < asp_names.size(); ++i) {
    asp_place_.emplace(asp_names[i], static_cast<std::uint32_t>(i));
  }
  for (std::size_t i = 0; i < config.asps.size(); ++i) {
    const std::string& name = config.asps[i].name;
    asp_at_.emplace(name, i);
    const auto place = static_cast<std::uint32_t>(asp_names.size());
    if (asp_place_.emplace(name, place).second) asp_names.push_back(name);
  }
  return places;
}

const AspConfig* Gateway::find_asp(std::string_view name) const {
  const auto at = asp_at_.find(std::string(name));
  return at == asp_at_.end() ? nullptr : &config.asps[at->second];
}

const AspConfig* Gateway::find_asp(std::uint32_t identifier) const {
  const auto at =
      std::ranges::find(config.asps, std::optional(identifier), &AspConfig::asp_identifier);
  return at == config.asps.end() ? nullptr : &*at;
}

std::uint32_t Gateway::place_of_asp(std::string_view name) const {
  const std::string wanted(name);
  return asp_at_.contains(wanted) ? asp_place_.at(wanted) : DataParcel::kNobody;
}

std::string Gateway::sender_of(const DataParcel& data) const {
  return data.sender < asp_names.size() ? asp_names[data.sender] : std::string();
}

bool Gateway::is_in(const std::string& asp, std::size_t server) const {
  return std::ranges::binary_search(servers_of(asp), server);
}

const std::vector<std::size_t>& Gateway::servers_of(const std::string& asp) const {
  static const std::vector<std::size_t> none;
  const auto at = servers_of_.find(asp);
  return at == servers_of_.end() ? none : at->second;
}

std::optional<std::size_t> Gateway::place_of(AssociationId coordinator) const {
  const auto at = std::ranges::find(servers, coordinator, &Server::coordinator);
  if (at == servers.end()) return std::nullopt;
  return static_cast<std::size_t>(at - servers.begin());
}

}  // namespace siglane::m3ua
