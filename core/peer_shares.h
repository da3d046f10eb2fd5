#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/mailbox.h"

namespace siglane {

// What waits in one place of each peer's (Parcel::asked_by), over all its connections: so that who
// resets and comes back finds there what it left. Peers of which nothing waits are forgotten where
// there are many: else each request that waits alone would cost an allocation.
class PeerShares {
 public:
  struct Share {
    std::string_view peer;
    DataWaiting waiting;
  };

  // null: nothing of that peer's waits, or has for a while.
  Share* find(std::string_view peer) {
    const auto at = shares_.find(peer);
    return at == shares_.end() ? nullptr : &at->second;
  }
  // To be given back with remove(); null: `peer` is empty, and has no share.
  Share* add(std::string_view peer, std::size_t bytes) {
    if (peer.empty()) return nullptr;
    auto at = shares_.find(peer);
    if (at == shares_.end()) {
      at = shares_.try_emplace(std::string(peer)).first;
      at->second.peer = at->first;
    }
    at->second.waiting.add(bytes);
    return &at->second;
  }
  void remove(Share* share, std::size_t bytes) {
    if (share == nullptr) return;
    share->waiting.remove(bytes);
    if (share->waiting.parcels == 0 && shares_.size() > kKept)
      shares_.erase(shares_.find(share->peer));
  }

 private:
  static constexpr std::size_t kKept = 4096;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, Share, Hash, std::equal_to<>> shares_;
};

}  // namespace siglane
