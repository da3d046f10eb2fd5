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

}  // namespace

std::set<std::string> PeerChanges::reconnected() const {
  std::set<std::string> names;
  for (const auto& [name, change] : changed) {
    if (change == PeerChange::reconnected) names.insert(name);
  }
  return names;
}

PeerChanges compare_peers(const NodeConfig& before, const NodeConfig& after,
                          const std::set<std::string>& reconnected) {
  PeerChanges changes;
  std::unordered_map<std::string_view, const NodePeer*> known;
  for (const NodePeer& peer : before.peers) known.emplace(peer.peer.name, &peer);
  for (const NodePeer& peer : after.peers) {
    const std::string& name = peer.peer.name;
    const std::size_t links = after.links_to(peer).size();
    std::size_t links_before = 0;
    if (const auto was = known.find(name); was != known.end()) {
      const NodePeer& old = *was->second;
      known.erase(was);
      links_before = before.links_to(old).size();
      if (old.module != peer.module) {
        changes.changed[name] = PeerChange::removed;  // of the other module
        links_before = 0;
      } else if (reconnected.contains(name) || !connects_alike(old, peer) ||
                 links < links_before) {  // which of them, on several shards, are to go?
        changes.changed[name] = PeerChange::reconnected;
        links_before = 0;
      } else if (old.peer != peer.peer) {
        changes.changed[name] = PeerChange::rebound;
      }
    } else if (before.admission.accept_unknown_peers) {
      // It was let in without all that stands here: addresses, certificate, options.
      changes.changed[name] = PeerChange::reconnected;
    }
    if (links > links_before) changes.to_connect.push_back({&peer, links_before});
  }
  for (const auto& [name, peer] : known) changes.changed[std::string(name)] = PeerChange::removed;
  return changes;
}

std::set<std::string> keep_connecting(std::vector<NodePeer>& next,
                                      const std::vector<NodePeer>& before,
                                      const std::function<bool(const std::string&)>& is_open) {
  std::set<std::string> kept;
  std::unordered_map<std::string_view, const NodePeer*> known;
  for (const NodePeer& peer : before) known.emplace(peer.peer.name, &peer);
  for (NodePeer& peer : next) {
    if (peer.connect_from.empty()) continue;
    if (is_open(peer.connect_from) && std::ranges::all_of(peer.also_from, is_open)) continue;
    const auto was = known.find(peer.peer.name);
    const bool there = was != known.end() && was->second->module == peer.module;
    peer.connect_from = there ? was->second->connect_from : std::string();
    peer.also_from = there ? was->second->also_from : std::vector<std::string>();
    if (there) kept.insert(peer.peer.name);
  }
  return kept;
}

}  // namespace siglane::runtime
