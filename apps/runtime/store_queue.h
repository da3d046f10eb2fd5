#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/association.h"
#include "core/mailbox.h"
#include "core/parcel.h"
#include "core/peer_shares.h"

namespace siglane::runtime {

// What a store has been asked and has not completed, in the order of asking. It bounds the requests
// and the bytes of all, and of each peer, so that a peer that floods takes no more than its share,
// however many connections it floods through. One thread at a time.
class StoreQueue {
 public:
  struct Limits {
    DataBudget all;
    DataBudget of_one_peer;
  };
  enum class Outcome : std::uint8_t { taken, full, share_full };

  struct Asker {
    ShardId shard{};
    AssociationId id{};
    std::size_t bytes = 0;
    PeerShares::Share* share = nullptr;
  };
  // Parallel, so that a group is a plain span of parcels.
  struct Group {
    std::vector<ParcelPtr> requests;
    std::vector<Asker> askers;

    void add(ParcelPtr request, const Asker& asker) {
      requests.push_back(std::move(request));
      askers.push_back(asker);
    }
    void clear() {
      requests.clear();
      askers.clear();
    }
  };

  explicit StoreQueue(const Limits& limits) : limits_(limits) {}

  // Unless it is taken, the request is untouched.
  [[nodiscard]] Outcome push(ShardId shard, AssociationId from, ParcelPtr& request);
  // Adds to `group` what has waited longest, until it has `group_max` requests, and to `abandoned`
  // those among them that nobody wants any more (Parcel::wanted). All count until they are
  // released.
  void pop(std::size_t group_max, Group& group, Group& abandoned);
  void release(const Group& group);

  bool empty() const { return first_ == waiting_.requests.size(); }
  // Pushed and not released.
  const DataWaiting& outstanding() const { return outstanding_; }

 private:
  const Limits limits_;
  Group waiting_;
  std::size_t first_ = 0;  // of those that wait; before it are places left by what was popped
  DataWaiting outstanding_;
  PeerShares shares_;
};

}  // namespace siglane::runtime
