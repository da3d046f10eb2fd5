#include "core/backpressure.h"

#include <utility>

namespace siglane {

bool Backpressure::pause(AssociationId id, PauseReason reason) {
  return !std::exchange(paused_[id].of(reason), true);
}

bool Backpressure::resume(AssociationId id, PauseReason reason) {
  auto it = paused_.find(id);
  if (it == paused_.end() || !std::exchange(it->second.of(reason), false)) return false;
  if (it->second.any()) return false;
  paused_.erase(it);
  return true;
}

bool Backpressure::wait_for_room(AssociationId id, ShardId target) {
  auto& no_room_to = paused_[id].no_room_to;
  if (no_room_to) return false;
  no_room_to = target;
  return true;
}

bool Backpressure::is_paused(AssociationId id, PauseReason reason) const {
  auto it = paused_.find(id);
  if (it == paused_.end()) return false;
  Reasons reasons = it->second;
  return reasons.of(reason);
}

}  // namespace siglane
