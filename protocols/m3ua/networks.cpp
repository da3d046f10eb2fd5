#include "protocols/m3ua/networks.h"

#include <algorithm>

namespace siglane::m3ua {

Networks::Networks(const M3uaConfig& config) {
  for (const NetworkConfig& network : config.networks) {
    if (network.network_appearance) {
      bits_[*network.network_appearance] = network.point_code_bits;
    } else {
      default_bits_ = network.point_code_bits;
    }
  }
  for (const ApplicationServerConfig& as : config.application_servers) {
    if (as.network_appearance) bits_.try_emplace(*as.network_appearance, kPointCodeBitsMax);
  }
  for (const RouteConfig& route : config.routes) {
    if (route.network_appearance) bits_.try_emplace(*route.network_appearance, kPointCodeBitsMax);
  }
  widest_bits_ = widest_of_senders(config);
}

// An ASP may send from the network of its AS, or where that has none, from every one.
unsigned Networks::widest_of_senders(const M3uaConfig& config) const {
  unsigned widest = 0;
  bool any = config.application_servers.empty();
  for (const ApplicationServerConfig& as : config.application_servers) {
    widest = std::max(widest, point_code_bits(as.network_appearance));
    any = any || !as.network_appearance;
  }
  if (!any) return widest;
  for (const auto& [appearance, bits] : bits_) widest = std::max(widest, bits);
  return std::max(widest, default_bits_);
}

tl::expected<Network, ErrorCode> Networks::of(Network of_as, Network said) const {
  const bool valid = !said || (of_as ? said == of_as : bits_.empty() || bits_.contains(*said));
  if (!valid) return tl::unexpected(ErrorCode::invalid_network_appearance);
  return said ? said : of_as;
}

unsigned Networks::point_code_bits(Network network) const {
  if (!network) return default_bits_;
  const auto at = bits_.find(*network);
  return at == bits_.end() ? default_bits_ : at->second;
}

unsigned Networks::point_code_bits(const RouteConfig& route) const {
  return route.network_appearance ? point_code_bits(route.network_appearance) : widest_bits_;
}

}  // namespace siglane::m3ua
