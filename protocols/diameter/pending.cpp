#include "protocols/diameter/pending.h"

#include <algorithm>

namespace siglane::diameter {

PendingTable::PendingTable(const Limits& limits, std::uint32_t first_id)
    : limits_(limits), next_id_(first_id), slots_(16) {}

std::optional<std::uint32_t> PendingTable::add(RequestPtr& request, Instant deadline) {
  const std::size_t bytes = request->bytes_held();
  if (!has_room(request->asked_by(), bytes)) return std::nullopt;
  // Half full at most: the next free place is near.
  if (2 * heap_.size() >= slots_.size()) grow();
  while (slot(next_id_).request != nullptr) ++next_id_;
  const std::uint32_t id = next_id_++;
  PeerShares::Share* share = shares_.add(request->asked_by(), bytes);
  bytes_ += bytes;
  slot(id) = {std::move(request), id, 0, bytes, share};
  heap_.emplace_back();
  sift_up(heap_.size() - 1, {deadline, id});
  return id;
}

// A request of any size may wait alone.
bool PendingTable::has_room(std::string_view peer, std::size_t bytes) {
  if (heap_.empty()) return true;
  if (heap_.size() >= limits_.entries_max || bytes_ + bytes > limits_.bytes_max) return false;
  const PeerShares::Share* share = shares_.find(peer);
  if (share == nullptr) return true;
  return share->waiting.parcels < limits_.entries_max - heap_.size() &&
         share->waiting.bytes + bytes <= limits_.bytes_max - bytes_;
}

RequestPtr PendingTable::take(std::uint32_t hop_by_hop) {
  return find(hop_by_hop) == nullptr ? nullptr : remove(slot(hop_by_hop).heap_at);
}

RequestPtr PendingTable::take_expired(Instant now) {
  return heap_.empty() || heap_.front().deadline > now ? nullptr : remove(0);
}

RequestPtr PendingTable::take_any() {
  return heap_.empty() ? nullptr : remove(0);
}

RequestParcel* PendingTable::find(std::uint32_t hop_by_hop) {
  Slot& at = slot(hop_by_hop);
  return at.id == hop_by_hop ? at.request.get() : nullptr;
}

std::optional<Instant> PendingTable::deadline() const {
  return heap_.empty() ? std::nullopt : std::optional(heap_.front().deadline);
}

// Twice the places. What had a place of its own has one still: identifiers that differ in their
// lower bits differ in one more of them.
void PendingTable::grow() {
  std::vector<Slot> larger(2 * slots_.size());
  slots_.swap(larger);
  for (Slot& old : larger) {
    if (old.request != nullptr) slot(old.id) = std::move(old);
  }
}

RequestPtr PendingTable::remove(std::size_t heap_at) {
  Slot& at = slot(heap_[heap_at].id);
  RequestPtr request = std::move(at.request);
  bytes_ -= at.bytes;
  shares_.remove(at.share, at.bytes);
  const Wait last = heap_.back();
  heap_.pop_back();
  if (heap_at < heap_.size()) {
    if (heap_at > 0 && last.deadline < heap_[(heap_at - 1) / 2].deadline) {
      sift_up(heap_at, last);
    } else {
      sift_down(heap_at, last);
    }
  }
  return request;
}

void PendingTable::put(std::size_t heap_at, Wait wait) {
  heap_[heap_at] = wait;
  slot(wait.id).heap_at = static_cast<std::uint32_t>(heap_at);
}

void PendingTable::sift_up(std::size_t heap_at, Wait wait) {
  while (heap_at > 0) {
    const std::size_t parent = (heap_at - 1) / 2;
    if (heap_[parent].deadline <= wait.deadline) break;
    put(heap_at, heap_[parent]);
    heap_at = parent;
  }
  put(heap_at, wait);
}

void PendingTable::sift_down(std::size_t heap_at, Wait wait) {
  for (;;) {
    std::size_t child = 2 * heap_at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].deadline < heap_[child].deadline) ++child;
    if (wait.deadline <= heap_[child].deadline) break;
    put(heap_at, heap_[child]);
    heap_at = child;
  }
  put(heap_at, wait);
}

}  // namespace siglane::diameter
