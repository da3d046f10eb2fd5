#pragma once
#include <cstddef>
#include <cstdint>
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
  // `budget`: of what may wait for each of the others.
  Outbound(Mailbox& own, Directory& directory, Counters& counters, DataBudget budget)
      : own_(own), directory_(directory), counters_(counters), budget_(budget) {}

  enum class Outcome {
    sent,
    // It keeps its order, here or among too many of its kind over there. Control is never refused.
    waits,
    lost,     // data that would wait, but no more may: counted, and `delivery` is untouched
    refused,  // `delivery` is untouched: it need not keep its order and may go elsewhere
  };
  // If not sent: RoomAgain follows, and the sender should not be read until then.
  [[nodiscard]] Outcome post(ShardId to, Delivery& delivery);
  void post_control(ShardId to, Letter letter);
  // After RoomAgain: sends what waits, as far as there is room.
  void send_waiting();

  bool empty() const { return waiting_count_ == 0; }
  // What waits for `shard` takes no more than an eighth of the budget.
  bool has_ample_room(ShardId shard) const;
  // How many letters have ever waited for each of the others; and whether those are all out.
  using Posted = std::vector<std::uint64_t>;
  Posted posted() const;
  bool is_out(const Posted& posted) const;
  bool anything_from(AssociationId id) const;

 private:
  struct Waiting {
    std::deque<Letter> letters;
    std::uint64_t left = 0;  // letters that do not wait any more
    DataWaiting data;
  };

  Waiting& waiting_for(ShardId shard);

  Mailbox& own_;
  Directory& directory_;
  Counters& counters_;
  DataBudget budget_;
  std::deque<Waiting> waiting_;  // by shard
  std::size_t waiting_count_ = 0;
};

}  // namespace siglane
