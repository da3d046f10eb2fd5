#pragma once
#include <map>
#include <optional>
#include <vector>

#include "core/association.h"

namespace siglane {

// Why the input of an association is paused: it is read no more, so that its peer has to wait.
enum class PauseReason {
  session,  // its session asked for that
  claim,    // it waits to hear whether it may be the peer that it says it is
};

// Whose input is paused on one shard, and why. One pause for all reasons: input is resumed once
// none is left. On the shard's thread.
//
// A pause is to be passed to the transport each time, whatever it returns: where an association
// shares its socket nothing can be held back, and it may have got a socket of its own since the
// last time.
class Backpressure {
 public:
  // true: it was not paused for this reason before.
  bool pause(AssociationId id, PauseReason reason);
  // true: that was the last reason, so resume its input. false also if there was no such reason.
  [[nodiscard]] bool resume(AssociationId id, PauseReason reason);

  // Its parcels find no room on their way to `target`. true: none of them waited for room before.
  // One that waits for room to several shards goes on once there is room to the first one; if the
  // others are still full, its next parcel pauses it again.
  bool wait_for_room(AssociationId id, ShardId target);
  // There may be room again: `has_room(ShardId)` says to which shards. Returns whose input to
  // resume.
  template <class HasRoom>
  [[nodiscard]] std::vector<AssociationId> let_go(HasRoom&& has_room) {
    std::vector<AssociationId> resumed;
    for (auto it = paused_.begin(); it != paused_.end();) {
      const auto at = it++;
      Reasons& reasons = at->second;
      if (!reasons.no_room_to || !has_room(*reasons.no_room_to)) continue;
      reasons.no_room_to.reset();
      if (reasons.any()) continue;
      resumed.push_back(at->first);
      paused_.erase(at);
    }
    return resumed;
  }

  bool is_paused(AssociationId id) const { return paused_.contains(id); }
  bool is_paused(AssociationId id, PauseReason reason) const;
  // It has ended, or leaves this shard.
  void forget(AssociationId id) { paused_.erase(id); }

 private:
  struct Reasons {
    bool session = false, claim = false;
    std::optional<ShardId> no_room_to = std::nullopt;

    bool& of(PauseReason reason) { return reason == PauseReason::session ? session : claim; }
    bool any() const { return session || claim || no_room_to; }
  };

  std::map<AssociationId, Reasons> paused_;  // each for some reason
};

}  // namespace siglane
