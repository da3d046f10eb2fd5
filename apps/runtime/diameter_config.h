#pragma once
#include "apps/runtime/config.h"
#include "protocols/diameter/config.h"

namespace siglane::runtime {

// Reads "diameter" and appends its peers to node.peers. Which applications the node has is not in
// the file: the daemon fills in `applications`. origin_state_id is the second of this call.
diameter::DiameterConfig read_diameter_config(const ObjectReader& root, NodeConfig& node);

}  // namespace siglane::runtime
