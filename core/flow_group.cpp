#include "core/flow_group.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace siglane {

// --- Members and path ---------------------------------------------------------------------------

void FlowGroup::join(const std::string& name, AssociationId id) {
  if (std::ranges::find(members_, id) != members_.end()) return;
  members_.push_back(id);
  table_.add(name, id);
}

void FlowGroup::leave(AssociationId id) {
  std::erase(members_, id);
  table_.remove(id);
}

void FlowGroup::enter(State state) {
  state_ = state;
  if (state != State::open) drain_at_.reset();
}

bool FlowGroup::through_coordinator() const {
  return state_ != State::open || !held_.empty() || spread_ == Spread::to_all;
}

bool FlowGroup::may_go_straight() const {
  return state_ == State::open && held_.empty() && spread_ != Spread::to_all;
}

bool FlowGroup::straight_before_and(State then) const {
  return spread_ == Spread::by_selector && state_ == State::open && then == State::open;
}

// All that is not closed goes through the coordinator, where it is to_all.
bool FlowGroup::changes_by_state(State then) const {
  if (spread_ == Spread::by_selector) return state_ != then;
  return (state_ == State::closed) != (then == State::closed);
}

bool FlowGroup::changes_if_joined(const std::string& name, AssociationId id, State then) const {
  if (!straight_before_and(then)) return changes_by_state(then);
  SelectorTable with = table_;
  with.add(name, id);
  return with.carriers() != table_.carriers();
}

bool FlowGroup::changes_if_left(AssociationId id, State then) const {
  if (!straight_before_and(then)) return changes_by_state(then);
  return table_.share_of(id) > 0;
}

bool FlowGroup::reroute() {
  drain_at_.reset();
  return !std::exchange(rerouting_, true);
}

void FlowGroup::rerouted() {
  rerouting_ = false;
  held_.insert(held_.begin(), std::make_move_iterator(returned_.begin()),
               std::make_move_iterator(returned_.end()));
  returned_.clear();
}

// --- Messages -----------------------------------------------------------------------------------

// The bookkeeping of a held parcel counts besides the bytes it came in.
std::size_t FlowGroup::cost_of(const Parcel& message) {
  constexpr std::size_t kOverhead = 128;
  return message.bytes_held() + kOverhead;
}

FlowGroup::Taken FlowGroup::take(ParcelPtr& message) {
  if (!rerouting_) {
    if (state_ == State::closed) return Taken::refused_closed;
    if (state_ == State::open && held_.empty()) return Taken::to_send;
  }
  const std::size_t cost = cost_of(*message);
  if (held() >= limits_.held_messages_max || bytes_ + cost > limits_.held_bytes_max) {
    return Taken::refused_full;
  }
  bytes_ += cost;
  const bool returned = rerouting_ && !message->tried().empty();
  (returned ? returned_ : held_).push_back(std::move(message));
  return Taken::held;
}

std::vector<ParcelPtr> FlowGroup::drain(Instant now) {
  std::vector<ParcelPtr> now_sent;
  if (state_ != State::open || rerouting_ || (drain_at_ && now < *drain_at_)) return now_sent;
  drain_at_.reset();
  while (!held_.empty() && now_sent.size() < limits_.drained_per_ms_max) {
    bytes_ -= cost_of(*held_.front());
    now_sent.push_back(std::move(held_.front()));
    held_.pop_front();
  }
  if (!held_.empty()) drain_at_ = now + 1ms;
  return now_sent;
}

std::optional<Instant> FlowGroup::deadline() const {
  return rerouting_ ? std::nullopt : drain_at_;
}

std::deque<ParcelPtr> FlowGroup::give_up() {
  for (const ParcelPtr& message : held_) bytes_ -= cost_of(*message);
  drain_at_.reset();
  return std::exchange(held_, {});
}

}  // namespace siglane
