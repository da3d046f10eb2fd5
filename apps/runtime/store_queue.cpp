#include "apps/runtime/store_queue.h"

namespace siglane::runtime {

StoreQueue::Outcome StoreQueue::push(ShardId shard, AssociationId from, ParcelPtr& request) {
  const std::size_t bytes = request->bytes_held();
  if (!outstanding_.has_room(limits_.all, bytes)) return Outcome::full;
  const std::string_view peer = request->asked_by();
  const auto* share = shares_.find(peer);
  if (share != nullptr && !share->waiting.has_room(limits_.of_one_peer, bytes)) {
    return Outcome::share_full;
  }
  outstanding_.add(bytes);
  const Asker asker{shard, from, bytes, shares_.add(peer, bytes)};
  waiting_.add(std::move(request), asker);
  return Outcome::taken;
}

void StoreQueue::pop(std::size_t group_max, Group& group, Group& abandoned) {
  auto& [requests, askers] = waiting_;
  for (; first_ < requests.size() && group.requests.size() < group_max; ++first_) {
    Group& to = requests[first_]->wanted() ? group : abandoned;
    to.add(std::move(requests[first_]), askers[first_]);
  }
  // The places go when half of them are empty: so each request is moved along once at most.
  if (2 * first_ < requests.size()) return;
  requests.erase(requests.begin(), requests.begin() + static_cast<std::ptrdiff_t>(first_));
  askers.erase(askers.begin(), askers.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
}

void StoreQueue::release(const Group& group) {
  for (const Asker& asker : group.askers) {
    outstanding_.remove(asker.bytes);
    shares_.remove(asker.share, asker.bytes);
  }
}

}  // namespace siglane::runtime
