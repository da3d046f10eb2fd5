#pragma once
#include <algorithm>
#include <optional>
#include <vector>

#include "core/time.h"

namespace siglane {

// A lazy heap of wake-ups: arming later than what is armed touches nothing, and a wake-up that
// turns out too early just asks again. So a session whose deadline moves with every message costs
// nothing for it. `Slot` lives in the session's entry.
template <class Key>
class Deadlines {
 public:
  using Slot = std::optional<Instant>;  // the earliest entry in the heap for this key

  void want(const Key& key, Slot& slot, std::optional<Instant> at) {
    if (!at || (slot && *slot <= *at)) return;
    slot = at;
    heap_.push_back({*at, key});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  std::optional<Instant> earliest() const {
    return heap_.empty() ? std::nullopt : std::optional(heap_.front().at);
  }

  // Removes one entry that is due and returns its key and instant: stale unless the key's slot
  // still says that instant (then the caller resets the slot, and asks the session again).
  struct Due {
    Instant at;
    Key key;
  };
  std::optional<Due> pop_due(Instant now) {
    if (heap_.empty() || heap_.front().at > now) return std::nullopt;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Due due = heap_.back();
    heap_.pop_back();
    return due;
  }

  std::size_t size() const { return heap_.size(); }

 private:
  static bool later(const Due& a, const Due& b) { return a.at > b.at; }

  std::vector<Due> heap_;
};

}  // namespace siglane
