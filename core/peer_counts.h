#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/sparse_counts.h"

namespace siglane {

// What one shard counted for each peer, since its start: a peer's counts stay when its association
// ends, so that a reconnect does not hide what was before. By the peer's name, as in PeerTable and
// Drops: one name is one peer. On the shard's thread.
class PeerCounts {
 public:
  // Peers that are not configured have so many rows; the others of them share one (kOtherPeers).
  static constexpr std::size_t kUnknownPeersMax = 4096;
  static constexpr std::string_view kOtherPeers = "(others)";

  // The row of that peer, as long as this lives. `configured`: it has a row in any case.
  SparseCounts& of(std::string_view peer, bool configured);

  // nullptr: nothing was counted for it.
  const SparseCounts* find(std::string_view peer) const;
  // Visits the peers in the order of their names.
  void visit(
      const std::function<void(const std::string& peer, const SparseCounts& counts)>& visit) const;
  // The same, one at a time: the one that follows `previous` by now; nullptr: the first one, and
  // behind the last one. A row stays where it is as long as this lives.
  using Row = std::pair<const std::string, SparseCounts>;
  const Row* next(const Row* previous) const;

 private:
  std::map<std::string, SparseCounts, std::less<>> rows_;
  std::size_t unknown_ = 0;
};

}  // namespace siglane
