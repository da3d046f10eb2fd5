#pragma once
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "core/association.h"
#include "core/mailbox.h"

namespace siglane {

// Which shard a session lives on. A shard looks at its own sessions first, so this is asked only
// for what lives elsewhere. Any thread.
class Directory {
 public:
  void add_shard(ShardId shard, Mailbox& mailbox) {
    std::unique_lock lock(mutex_);
    const auto index = static_cast<std::size_t>(shard);
    if (mailboxes_.size() <= index) mailboxes_.resize(index + 1);
    mailboxes_[index] = &mailbox;
  }
  void settle(AssociationId id, ShardId shard) {
    std::unique_lock lock(mutex_);
    homes_[id] = shard;
  }
  void forget(AssociationId id) {
    std::unique_lock lock(mutex_);
    homes_.erase(id);
  }
  std::optional<ShardId> home_of(AssociationId id) const {
    std::shared_lock lock(mutex_);
    auto it = homes_.find(id);
    return it == homes_.end() ? std::nullopt : std::optional(it->second);
  }
  Mailbox* mailbox_of(ShardId shard) const {
    std::shared_lock lock(mutex_);
    const auto index = static_cast<std::size_t>(shard);
    return index < mailboxes_.size() ? mailboxes_[index] : nullptr;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<AssociationId, ShardId> homes_;
  std::vector<Mailbox*> mailboxes_;
};

}  // namespace siglane
