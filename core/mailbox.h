#pragma once
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

#include "core/protocol.h"

namespace siglane {

// A parcel for a session of this shard: from another shard's session, or a completion. If `to` is
// not there, `module` answers for it; without a module it is counted.
struct Delivery {
  AssociationId from{}, to{};
  ParcelPtr parcel;
  ProtocolModule* module = nullptr;
};
// A call to make on the shard's thread: administration, start and stop.
struct Call {
  std::function<void()> run;
};
using Letter = std::variant<Delivery, Call>;

// The one FIFO into a shard, from any thread. Two budgets: data is bounded and may be refused;
// control (completions, calls) has reserved room and is never refused, because what asks for it
// is itself bounded.
class Mailbox {
 public:
  // `wake` is called, on the posting thread, when the box stops being empty.
  explicit Mailbox(std::size_t data_max = 65536) : data_max_(data_max) {}
  void on_wake(std::function<void()> wake) { wake_ = std::move(wake); }  // before any post

  // false: the data budget is used up and `delivery` untouched.
  [[nodiscard]] bool post_data(Delivery& delivery) {
    return post([&] { return data_waiting_ < data_max_; },
                [&] {
                  ++data_waiting_;
                  waiting_.emplace_back(std::move(delivery));
                });
  }
  void post_control(Letter letter) {
    (void)post([] { return true; }, [&] { waiting_.emplace_back(std::move(letter)); });
  }

  // All that waits, in order, swapped into `out` (cleared first). The shard's thread.
  void drain(std::vector<Letter>& out) {
    out.clear();
    std::lock_guard lock(mutex_);
    waiting_.swap(out);
    data_waiting_ = 0;
  }

 private:
  template <class Room, class Put>
  bool post(Room room, Put put) {
    bool was_empty = false;
    {
      std::lock_guard lock(mutex_);
      if (!room()) return false;
      was_empty = waiting_.empty();
      put();
    }
    if (was_empty && wake_) wake_();
    return true;
  }

  std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<Letter> waiting_;
  std::size_t data_waiting_ = 0;
  std::size_t data_max_;
};

}  // namespace siglane
