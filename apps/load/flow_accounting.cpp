#include "apps/load/flow_accounting.h"

namespace siglane::load {

Arrival FlowReceiver::receive(std::uint64_t sequence) {
  if (sequence == next_) {
    ++next_;
    return Arrival::in_order;
  }
  if (sequence > next_) {
    missing_ += sequence - next_;
    add_gap(next_, sequence);
    next_ = sequence + 1;
    return Arrival::in_order;
  }
  auto gap = gaps_.upper_bound(sequence);
  if (gap == gaps_.begin()) return Arrival::duplicate;
  --gap;
  const auto [first, last] = *gap;
  if (sequence >= last) return Arrival::duplicate;
  gaps_.erase(gap);
  --missing_;
  add_gap(first, sequence);
  add_gap(sequence + 1, last);
  return Arrival::out_of_order;
}

void FlowReceiver::add_gap(std::uint64_t first, std::uint64_t last) {
  if (first == last) return;
  gaps_.emplace(first, last);
  if (gaps_.size() <= gaps_max_) return;
  const auto oldest = gaps_.begin();
  const std::uint64_t count = oldest->second - oldest->first;
  missing_ -= count;
  written_off_ += count;
  gaps_.erase(oldest);
}

}  // namespace siglane::load
