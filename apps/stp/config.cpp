#include "apps/stp/config.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "apps/runtime/m3ua_config.h"

namespace siglane::stp {
namespace {

using m3ua::ApplicationServerConfig;
using m3ua::M3uaConfig;
using m3ua::RouteConfig;
using runtime::ObjectReader;

void check_asps(const std::vector<ObjectReader>& list, const M3uaConfig& config) {
  std::set<std::string> serving;
  for (const ApplicationServerConfig& as : config.application_servers) {
    serving.insert(as.asps.begin(), as.asps.end());
  }
  for (std::size_t i = 0; i < list.size() && i < config.asps.size(); ++i) {
    const std::string& name = config.asps[i].name;
    if (!name.empty() && !serving.contains(name)) {
      list[i].complain("name", "serves no application server");
    }
  }
}

void check_servers(const std::vector<ObjectReader>& list, const M3uaConfig& config) {
  for (std::size_t i = 0; i < list.size() && i < config.application_servers.size(); ++i) {
    const std::string& name = config.application_servers[i].name;
    const bool reached = std::ranges::any_of(
        config.routes, [&](const RouteConfig& route) { return route.application_server == name; });
    if (!name.empty() && !reached) list[i].complain("name", "has no route to it");
  }
}

void check_routes(const std::vector<ObjectReader>& list, const M3uaConfig& config) {
  using Key = std::tuple<std::uint32_t, std::optional<std::uint32_t>, std::set<std::uint8_t>,
                         std::set<std::uint32_t>>;
  std::map<Key, std::size_t> seen;
  for (std::size_t i = 0; i < list.size() && i < config.routes.size(); ++i) {
    const RouteConfig& route = config.routes[i];
    const Key key{route.destination_point_code,
                  route.network_appearance,
                  {route.service_indicators.begin(), route.service_indicators.end()},
                  {route.originating_point_codes.begin(), route.originating_point_codes.end()}};
    const auto [first, is_new] = seen.emplace(key, i);
    if (is_new) continue;
    list[i].complain("dpc", "says the same as routes/" + std::to_string(first->second) +
                                ", which is the one that counts: this route has no effect");
  }
}

}  // namespace

M3uaConfig read_stp_config(const ObjectReader& root, runtime::NodeConfig& node) {
  M3uaConfig config = runtime::read_m3ua_config(root, node);
  const ObjectReader from = root.object("m3ua");
  if (root.has("m3ua") && from.array_size("asps") == 0) {
    from.complain("asps", "missing; expected one ASP or more: nobody else is served");
  }
  if (!root.has("m3ua")) root.complain("m3ua", "is missing: whom it serves, and its routes");
  check_asps(from.objects("asps"), config);
  check_servers(from.objects("application_servers"), config);
  check_routes(from.objects("routes", {0, 1'000'000}), config);
  return config;
}

}  // namespace siglane::stp
