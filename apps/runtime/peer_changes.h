#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "apps/runtime/config.h"
#include "core/revision.h"

namespace siglane::runtime {

// What a new config makes of the peers of a node.
struct PeerChanges {
  // By name. Those that were there; and where strangers are let in, new ones too, as one of the
  // strangers may be called so.
  std::map<std::string, PeerChange> changed;
  // To whom there are new links.
  struct ToConnect {
    const NodePeer* peer = nullptr;  // of `after`
    std::size_t links_before = 0;    // that it keeps
  };
  std::vector<ToConnect> to_connect;

  // By name; those that `after` still has.
  std::set<std::string> reconnected() const;
};

// `reconnected`: peers of `after` whose associations are to be made anew, for what their protocol
// knows of them. Pointers into `after`.
PeerChanges compare_peers(const NodeConfig& before, const NodeConfig& after,
                          const std::set<std::string>& reconnected);

// Peers of `next` that are to be connected from an endpoint that is not open, and will be after a
// restart: until then they are connected as before, and new ones are waited for. Returns the names
// of those that were there.
std::set<std::string> keep_connecting(std::vector<NodePeer>& next,
                                      const std::vector<NodePeer>& before,
                                      const std::function<bool(const std::string&)>& is_open);

}  // namespace siglane::runtime
