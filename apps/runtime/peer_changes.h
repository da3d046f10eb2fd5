#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "apps/runtime/config.h"
#include "core/revision.h"

namespace siglane::runtime {

// What a new config makes of the peers of a node.
struct PeerChanges {
  std::map<std::string, PeerChange> changed;  // by name; of those that were there
  std::vector<const NodePeer*> to_connect;    // new links, in `after`

  // By name; those that `after` still has.
  std::set<std::string> reconnected() const;
};

// `reconnected`: peers of `after` whose associations are to be made anew, for what their protocol
// knows of them. Pointers into `after`.
PeerChanges compare_peers(const std::vector<NodePeer>& before, const std::vector<NodePeer>& after,
                          const std::set<std::string>& reconnected);

}  // namespace siglane::runtime
