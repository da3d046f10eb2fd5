#pragma once
#include "apps/runtime/config.h"
#include "protocols/m3ua/config.h"

namespace siglane::runtime {

// Reads "m3ua", the signalling gateway side, and appends its ASPs to node.peers.
m3ua::M3uaConfig read_m3ua_config(const ObjectReader& root, NodeConfig& node);

}  // namespace siglane::runtime
