#include "apps/runtime/peer_changes.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace siglane::runtime {
namespace {

// What an association took over when it was made. More endpoints to connect from are for more
// links.
bool connects_alike(const NodePeer& a, const NodePeer& b) {
  const bool more = b.also_from.size() >= a.also_from.size() &&
                    std::equal(a.also_from.begin(), a.also_from.end(), b.also_from.begin());
  return a.module == b.module && a.connect_from == b.connect_from && more &&
         a.peer.addresses == b.peer.addresses && a.peer.port == b.peer.port &&
         a.peer.remote_udp_port == b.peer.remote_udp_port &&
         a.peer.tls_identity == b.peer.tls_identity;
}

// Nobody could say which of its links, on several shards, are the ones to go.
bool has_too_many_links(const NodePeer& before, const NodePeer& after) {
  return !after.connect_from.empty() && after.peer.connections_max < before.peer.connections_max;
}

}  // namespace

std::set<std::string> PeerChanges::reconnected() const {
  std::set<std::string> names;
  for (const auto& [name, change] : changed) {
    if (change == PeerChange::reconnected) names.insert(name);
  }
  return names;
}

PeerChanges compare_peers(const std::vector<NodePeer>& before, const std::vector<NodePeer>& after,
                          const std::set<std::string>& reconnected) {
  PeerChanges changes;
  std::unordered_map<std::string_view, const NodePeer*> known;
  for (const NodePeer& peer : before) known.emplace(peer.peer.name, &peer);
  for (const NodePeer& peer : after) {
    const std::string& name = peer.peer.name;
    const auto was = known.find(name);
    bool connect = was == known.end();
    std::size_t connections_before = 0;
    if (was != known.end()) {
      const NodePeer& old = *was->second;
      known.erase(was);
      if (old.module != peer.module) {
        changes.changed[name] = PeerChange::removed;  // of the other module
        connect = true;
      } else if (reconnected.contains(name) || !connects_alike(old, peer) ||
                 has_too_many_links(old, peer)) {
        changes.changed[name] = PeerChange::reconnected;
        connect = true;
      } else if (old.peer != peer.peer) {
        changes.changed[name] = PeerChange::rebound;
        connections_before = old.peer.connections_max;
        connect = peer.peer.connections_max > connections_before;
      }
    }
    if (connect && !peer.connect_from.empty()) {
      changes.to_connect.push_back({&peer, connections_before});
    }
  }
  for (const auto& [name, peer] : known) changes.changed[std::string(name)] = PeerChange::removed;
  return changes;
}

}  // namespace siglane::runtime
