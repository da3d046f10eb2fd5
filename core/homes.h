#pragma once
#include <cstddef>
#include <optional>
#include <unordered_map>

#include "core/directory.h"

namespace siglane {

// Where sessions of other shards live, as one shard has learned: the Directory is asked once for
// each, and its lock is not on the way of the messages that follow. What is remembered of a session
// that has ended leads to where it ended, which is where the Directory would lead too. On the
// shard's thread.
class Homes {
 public:
  static constexpr std::size_t kKnownMax = std::size_t{1} << 16;

  explicit Homes(const Directory& directory) : directory_(directory) {}

  std::optional<ShardId> of(AssociationId id) {
    if (const auto known = known_.find(id); known != known_.end()) return known->second;
    const auto home = directory_.home_of(id);
    if (home) {
      if (known_.size() == kKnownMax) known_.clear();  // most of them have ended long ago
      known_.emplace(id, *home);
    }
    return home;
  }
  // It begins to move, or has moved: ask again.
  void forget(AssociationId id) { known_.erase(id); }
  std::size_t known() const { return known_.size(); }

 private:
  const Directory& directory_;
  std::unordered_map<AssociationId, ShardId> known_;
};

}  // namespace siglane
