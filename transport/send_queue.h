#pragma once
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "core/association.h"
#include "core/config.h"

namespace siglane::transport {

// What an association accepted and its stack has not taken yet: a FIFO under hard limits, which
// tells congestion with hysteresis (from half of either limit, until both are below an eighth).
// Costs no allocation in steady state, and next to nothing while empty.
class SendQueue {
 public:
  explicit SendQueue(const AssociationLimits& limits)
      : bytes_max_(limits.send_queue_bytes_max), messages_max_(limits.send_queue_messages_max) {}

  // From now on. What waits already stays.
  void limit(const AssociationLimits& limits) {
    bytes_max_ = limits.send_queue_bytes_max;
    messages_max_ = limits.send_queue_messages_max;
  }

  // false: `message` would pass a limit and is untouched. An empty queue takes any message.
  [[nodiscard]] bool push(Message&& message) {
    const std::size_t size = message.payload.size();
    if (!empty() && (messages() >= messages_max_ || bytes_ + size > bytes_max_)) return false;
    bytes_ += size;
    waiting_.push_back(std::move(message));
    return true;
  }

  bool empty() const { return first_ == waiting_.size(); }
  std::size_t messages() const { return waiting_.size() - first_; }
  std::size_t bytes() const { return bytes_; }

  // The n-th from the front. Precondition: n < messages().
  const Message& at(std::size_t n) const { return waiting_[first_ + n]; }
  const Message& front() const { return at(0); }

  // Takes the front out. Precondition: not empty.
  Message pop() {
    Message message = std::move(waiting_[first_++]);
    bytes_ -= message.payload.size();
    if (empty()) {
      waiting_.clear();
      first_ = 0;
      if (waiting_.capacity() > kKeptCapacity) waiting_.shrink_to_fit();
    } else if (first_ >= kKeptCapacity && first_ * 2 >= waiting_.size()) {
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
    return message;
  }

  // What an idle association need not keep. Nothing, while something waits.
  void release_memory() {
    if (empty()) waiting_.shrink_to_fit();
  }

  bool congestion_changed() const { return is_congested() != congested_; }
  // The new state, if it differs from what was told last.
  std::optional<bool> congestion_change() {
    if (!congestion_changed()) return std::nullopt;
    congested_ = !congested_;
    return congested_;
  }
  bool congested() const { return congested_; }

 private:
  static constexpr std::size_t kKeptCapacity = 64;

  bool is_congested() const {
    if (empty()) return false;
    return congested_ ? bytes_ > bytes_max_ / 8 || messages() > messages_max_ / 8
                      : bytes_ >= bytes_max_ / 2 || messages() >= messages_max_ / 2;
  }

  std::vector<Message> waiting_;
  std::size_t first_ = 0;  // those before it are gone
  std::size_t bytes_ = 0;
  std::size_t bytes_max_, messages_max_;
  bool congested_ = false;
};

}  // namespace siglane::transport
