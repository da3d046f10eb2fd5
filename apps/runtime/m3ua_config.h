#pragma once
#include <set>
#include <string>

#include "apps/runtime/config.h"
#include "protocols/m3ua/config.h"

namespace siglane::runtime {

// Reads "m3ua", the signalling gateway side, and appends its ASPs to node.peers.
m3ua::M3uaConfig read_m3ua_config(const ObjectReader& root, NodeConfig& node);

// A reload: the ASPs that have another ASP Identifier in `next`.
std::set<std::string> asps_to_reconnect(const m3ua::M3uaConfig& now, const m3ua::M3uaConfig& next);

}  // namespace siglane::runtime
