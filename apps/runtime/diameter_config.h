#pragma once
#include <set>
#include <string>

#include "apps/runtime/config.h"
#include "protocols/diameter/config.h"

namespace siglane::runtime {

// Reads "diameter" and appends its peers to node.peers. Which applications the node has is not in
// the file: the daemon fills in `applications`. origin_state_id is the second of this call. A peer
// without a realm is of `realm_in_force`, which a running node keeps until a restart; if that is
// empty, of the file's origin_realm.
diameter::DiameterConfig read_diameter_config(const ObjectReader& root, NodeConfig& node,
                                              const std::string& realm_in_force = {});

// A reload: the peers that have another identity in `next`.
std::set<std::string> peers_to_reconnect(const diameter::DiameterConfig& now,
                                         const diameter::DiameterConfig& next);

}  // namespace siglane::runtime
