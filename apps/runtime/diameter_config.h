#pragma once
#include <set>
#include <string>

#include "apps/runtime/config.h"
#include "protocols/diameter/config.h"

namespace siglane::runtime {

// Reads "diameter" and appends its peers to node.peers. Which applications the node has is not in
// the file: the daemon fills in `applications`. origin_state_id is the second of this call.
diameter::DiameterConfig read_diameter_config(const ObjectReader& root, NodeConfig& node);

// A reload: the peers that have another identity in `next`.
std::set<std::string> peers_to_reconnect(const diameter::DiameterConfig& now,
                                         const diameter::DiameterConfig& next);

}  // namespace siglane::runtime
