#pragma once
#include <cstddef>
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
  // To whom there are new links.
  struct ToConnect {
    const NodePeer* peer = nullptr;      // of `after`
    std::size_t connections_before = 0;  // connections_max of the links that it keeps
  };
  std::vector<ToConnect> to_connect;

  // By name; those that `after` still has.
  std::set<std::string> reconnected() const;
};

// `reconnected`: peers of `after` whose associations are to be made anew, for what their protocol
// knows of them. Pointers into `after`.
PeerChanges compare_peers(const std::vector<NodePeer>& before, const std::vector<NodePeer>& after,
                          const std::set<std::string>& reconnected);

}  // namespace siglane::runtime
