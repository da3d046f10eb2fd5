#pragma once
#include <optional>

#include "core/shard.h"
#include "core/time.h"
#include "transport/loop/loop.h"

namespace siglane::transport {

// Drives a Shard by a Loop: its deadlines, its mailbox, and the end. On the loop's thread. Must
// outlive whoever posts to the shard's mailbox, and be gone before the shard and the loop.
class ShardLoop {
 public:
  ShardLoop(Loop& loop, Shard& shard);
  ~ShardLoop();
  ShardLoop(const ShardLoop&) = delete;
  ShardLoop& operator=(const ShardLoop&) = delete;

  // From now on the shard hears every second how busy it was (Shard::balance).
  void keep_balanced();
  // Turns until stop() is through. May be called from nowhere but the thread that owns the loop.
  void run() { loop_.run(); }
  // Says goodbye on every association; run() returns once all of them are down, or when `grace` is
  // over, and then the rest was abandoned. From another thread: post it as a Call. Idempotent.
  void stop(Duration grace);
  bool stopping() const { return stopping_; }
  // stop() had to abandon what did not close within its grace.
  bool abandoned() const { return abandoned_; }

 private:
  void at_end_of_turn();
  void give_up();
  void measure();

  Loop& loop_;
  Shard& shard_;
  Timer due_;
  std::optional<Instant> armed_for_;
  Timer grace_over_;
  Timer measure_;
  Timer release_;
  Instant measured_at_{};
  Duration idle_until_then_{};
  Async mail_;
  Prepare end_of_turn_;
  bool stopping_ = false;
  bool abandoned_ = false;
};

}  // namespace siglane::transport
