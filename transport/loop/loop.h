#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "core/result.h"
#include "core/time.h"
#include "transport/loop/uv_handles.h"

namespace siglane::transport {

// One thread's uv loop and the place where real time enters: Instants are CLOCK_MONOTONIC. A turn
// is: timers, Soon, the end of the turn (Prepare: flush, arm timers), block and poll, closed
// handles. Handles must be gone before their Loop is. On one thread; Async::send() from any.
class Loop {
 public:
  static Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The time of this wake-up: read when first asked, the same until the loop blocks again.
  Instant now() {
    if (!now_) {
      now_ = fresh_now();
      end_idle(*now_);
    }
    return *now_;
  }
  // The time right now, for what measures work inside a turn.
  static Instant fresh_now() { return Instant(Duration(static_cast<Duration::rep>(uv_hrtime()))); }

  // From now on idle_time() counts, for one more look at the clock in each turn.
  void measure_idle_time() { measures_idle_ = true; }
  // How long it has blocked, waiting for something to happen; what a turn does before it first asks
  // for now() counts as well.
  Duration idle_time() const { return idle_; }

  // Turns until stop(); also returns when nothing is left that could ever wake it.
  void run();
  // One turn: blocks until something happens; with `wait` false, only looks.
  void run_once(bool wait = true);
  // Ends run() after the turn at hand. The loop's thread.
  void stop();

  Result<Poll> poll(int fd, Poll::Callback callback) {
    return Poll::create(&loop_, fd, std::move(callback));
  }
  Timer timer(std::function<void()> callback) { return Timer(&loop_, std::move(callback)); }
  Async async(std::function<void()> callback) { return Async(&loop_, std::move(callback)); }
  Soon soon(std::function<void()> callback) { return Soon(&loop_, std::move(callback)); }
  // Keeps run() going as long as it lives.
  Prepare at_end_of_turn(std::function<void()> callback) {
    return Prepare(&loop_, std::move(callback));
  }

  // For what brings its own libuv handles (pipes, signals).
  uv_loop_t* raw() { return &loop_; }

 private:
  Loop() = default;
  void end_idle(Instant now) {
    if (idle_since_) idle_ += now - *std::exchange(idle_since_, std::nullopt);
  }

  uv_loop_t loop_{};
  std::optional<Instant> now_;
  bool measures_idle_ = false;
  std::optional<Instant> idle_since_;  // blocking, or nobody has asked for the time since
  Duration idle_{};
  std::optional<Prepare> before_poll_;
  std::optional<Check> after_poll_;
};

}  // namespace siglane::transport
