#include "core/peer_counts.h"

namespace siglane {

SparseCounts& PeerCounts::of(std::string_view peer, bool configured) {
  const auto known = rows_.find(peer);
  if (known != rows_.end()) return known->second;
  if (!configured) {
    if (unknown_ == kUnknownPeersMax) {
      peer = kOtherPeers;
    } else {
      ++unknown_;
    }
  }
  return rows_.try_emplace(std::string(peer)).first->second;
}

const SparseCounts* PeerCounts::find(std::string_view peer) const {
  const auto known = rows_.find(peer);
  return known != rows_.end() ? &known->second : nullptr;
}

void PeerCounts::visit(
    const std::function<void(const std::string& peer, const SparseCounts& counts)>& visit) const {
  for (const auto& [peer, counts] : rows_) visit(peer, counts);
}

const PeerCounts::Row* PeerCounts::next(const Row* previous) const {
  const auto it = previous == nullptr ? rows_.begin() : rows_.upper_bound(previous->first);
  return it == rows_.end() ? nullptr : &*it;
}

}  // namespace siglane
