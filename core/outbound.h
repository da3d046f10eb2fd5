#pragma once
#include <cstddef>
#include <deque>
#include <vector>

#include "core/counters.h"
#include "core/directory.h"
#include "core/mailbox.h"

namespace siglane {

// What one shard sends to the others: one FIFO to each. Where the other's mailbox has no room for
// data, what must keep its order waits here, and all that follows it to that shard waits behind it;
// what need not is refused. On the shard's thread.
//
// The letters of a diversion other than Mark do not come this way: they must reach everybody in the
// order in which they were posted, whoever posts them.
class Outbound {
 public:
  Outbound(Mailbox& own, Directory& directory, Counters& counters)
      : own_(own), directory_(directory), counters_(counters) {}

  // false: no room, and `delivery` is untouched: it need not keep its order and may go elsewhere.
  // Ordered data beyond the limit of what may wait is counted as lost.
  [[nodiscard]] bool post(ShardId to, Delivery& delivery);
  void post_control(ShardId to, Letter letter);
  // After RoomAgain: sends what waits, as far as there is room.
  void send_waiting();

  bool empty() const { return waiting_count_ == 0; }
  bool anything_from(AssociationId id) const;

 private:
  static constexpr std::size_t kWaitingMax = 65536;  // letters to one shard

  std::deque<Letter>& waiting_for(ShardId shard);

  Mailbox& own_;
  Directory& directory_;
  Counters& counters_;
  std::vector<std::deque<Letter>> waiting_;  // by shard
  std::size_t waiting_count_ = 0;
};

}  // namespace siglane
