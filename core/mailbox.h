#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/diversion.h"
#include "core/module.h"
#include "core/newcomers.h"

namespace siglane {

// A parcel for a session of this shard, from another shard's session. If `to` is not there,
// `module` answers for it; without a module it is counted.
struct Delivery {
  AssociationId from{}, to{};
  ParcelPtr parcel;
  ProtocolModule* module = nullptr;
};
// What a session of this shard asked the store, and has been done (AskSink).
struct Completion {
  AssociationId to{};
  ParcelPtr parcel;
};
// A call to make on the shard's thread: administration, start and stop.
struct Call {
  std::function<void()> run;
};
// An association and its session on their way to this shard. Dropping them aborts the association.
class MovingUnit {
 public:
  MovingUnit() = default;
  MovingUnit(const MovingUnit&) = delete;
  MovingUnit& operator=(const MovingUnit&) = delete;
  virtual ~MovingUnit() = default;
};
struct Arrival {
  Diversion diversion;
  std::unique_ptr<MovingUnit> unit;
};
// A mailbox that was full for us has been emptied.
struct RoomAgain {};
// `claimant` says that it is a peer of which `holder`, which lives here, is an association: is that
// still there, once this shard has read what waits for it? If its session is about to end, the
// answer waits for its end. The answer says only that the claimant may look again.
struct Inquiry {
  AssociationId holder{}, claimant{};
  ShardId asker{};
  unsigned turns = 0;  // of this shard's loop, until the answer
};
struct Inquired {
  AssociationId claimant{};
};
// The peer has a free slot again: who keeps it connected, and rests, connects again.
struct PeerFree {
  const ProtocolModule* module = nullptr;
  std::string peer;
};
// It has lost its place to a newcomer on another shard (newcomers.h).
struct GiveWay {
  Newcomers::Newcomer who;
};

using Letter = std::variant<Delivery, Completion, Call, Arrival, Diverted, Mark, Passed, Gathered,
                            Settled, RoomAgain, Inquiry, Inquired, PeerFree, GiveWay>;

// How much data may wait in one place, on its way between two shards. Not much: what waits longer
// than a shard takes for a few turns of its loop only makes everything later, control too.
struct DataBudget {
  std::size_t parcels_max = 2048;
  std::size_t bytes_max = std::size_t{1} << 20;
};
// What does wait. A parcel of any size may wait alone.
struct DataWaiting {
  std::size_t parcels = 0, bytes = 0;

  bool has_room(const DataBudget& budget, std::size_t more) const {
    return parcels == 0 || (parcels < budget.parcels_max && bytes + more <= budget.bytes_max);
  }
  void add(std::size_t more) {
    ++parcels;
    bytes += more;
  }
  void remove(std::size_t less) {
    --parcels;
    bytes -= less;
  }
};

// The one FIFO into a shard, from any thread. Data is bounded and may be refused. Control is never
// refused. Calls, completions and the steps of diversions are bounded by what asks for them; a
// session's control parcels are not, so their sender hears when many wait, and is not read until
// they have been dealt with.
class Mailbox {
 public:
  explicit Mailbox(DataBudget budget = {}) : budget_(budget) {}
  // `wake` is called, on the posting thread, when the box stops being empty. Before any post.
  void on_wake(std::function<void()> wake) { wake_ = std::move(wake); }

  // false: the data budget is used up and `delivery` untouched; `waiter`, if any, gets RoomAgain
  // once this box was emptied.
  [[nodiscard]] bool post_data(Delivery& delivery, Mailbox* waiter = nullptr) {
    const std::size_t bytes = delivery.parcel->bytes_held();
    bool was_empty = false;
    {
      std::lock_guard lock(mutex_);
      if (!data_.has_room(budget_, bytes)) {
        add_waiter(waiter);
        return false;
      }
      data_.add(bytes);
      was_empty = waiting_.empty();
      waiting_.emplace_back(std::move(delivery));
    }
    wake_if(was_empty);
    return true;
  }
  // A session's control parcel: taken in any case. false: as many of them wait as there is room for
  // data, so `waiter` gets RoomAgain once this box was emptied.
  [[nodiscard]] bool post_control(Delivery& delivery, Mailbox* waiter) {
    bool was_empty = false, few = false;
    {
      std::lock_guard lock(mutex_);
      few = ++control_parcels_ < budget_.parcels_max;
      if (!few) add_waiter(waiter);
      was_empty = waiting_.empty();
      waiting_.emplace_back(std::move(delivery));
    }
    wake_if(was_empty);
    return few;
  }
  void post_control(Letter letter) {
    bool was_empty = false;
    {
      std::lock_guard lock(mutex_);
      was_empty = waiting_.empty();
      waiting_.emplace_back(std::move(letter));
    }
    wake_if(was_empty);
  }
  bool empty() const {
    std::lock_guard lock(mutex_);
    return waiting_.empty();
  }
  bool full() const {
    std::lock_guard lock(mutex_);
    return !data_.has_room(budget_, 0);
  }

  // All that waits, in order, swapped into `out` (cleared first). The shard's thread.
  void drain(std::vector<Letter>& out) {
    out.clear();
    std::vector<Mailbox*> waiters;
    {
      std::lock_guard lock(mutex_);
      waiting_.swap(out);
      most_ = std::max(most_, out.size());
      data_ = {};
      control_parcels_ = 0;
      waiters.swap(waiters_);
    }
    for (Mailbox* waiter : waiters) waiter->post_control(RoomAgain{});
  }

  // Now and then: the memory that neither this box nor `spare`, which it is drained into, has
  // needed since the last call. The shard's thread.
  void release_unused(std::vector<Letter>& spare) {
    constexpr std::size_t kNotWorthIt = 256;
    std::lock_guard lock(mutex_);
    const std::size_t enough = std::max(kNotWorthIt, 2 * std::exchange(most_, 0));
    for (std::vector<Letter>* letters : {&waiting_, &spare}) {
      if (letters->empty() && letters->capacity() > enough) std::vector<Letter>().swap(*letters);
    }
  }

 private:
  void wake_if(bool was_empty) {
    if (was_empty && wake_) wake_();
  }
  void add_waiter(Mailbox* waiter) {
    if (waiter != nullptr && std::ranges::find(waiters_, waiter) == waiters_.end()) {
      waiters_.push_back(waiter);
    }
  }

  std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::vector<Letter> waiting_;
  std::size_t most_ = 0;  // that waited at once, since the last release_unused()
  std::vector<Mailbox*> waiters_;
  DataWaiting data_;
  std::size_t control_parcels_ = 0;
  DataBudget budget_;
};

}  // namespace siglane
