#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include <uv.h>

#include "core/result.h"
#include "core/time.h"

namespace siglane::transport {

// libuv handles as values. Each handle lives in a box that deletes itself in its close callback, so
// a wrapper may be destroyed at any moment, inside its own callback too; after that the callback is
// never called again. Everything here belongs to the loop's thread, Async::send() excepted. Every
// cast from and to void* stands in uv_handles.cpp.
namespace detail {

template <class Handle, class... Arguments>
struct Box {
  Handle handle{};
  std::function<void(Arguments...)> callback;
  std::function<void()> then;  // after the handle is closed
};

template <class BoxType>
void close_box(BoxType* box);

template <class BoxType>
struct CloseBox {
  void operator()(BoxType* box) const { close_box(box); }
};

template <class BoxType>
using BoxPtr = std::unique_ptr<BoxType, CloseBox<BoxType>>;

}  // namespace detail

// What a watched descriptor is ready for. `error` is 0 or a negative errno: libuv reports POLLERR
// as UV_EBADF and has stopped the handle already. The descriptor itself is sound: read SO_ERROR,
// drain it, then close.
struct PollEvents {
  bool readable = false;
  bool writable = false;
  int error = 0;
};

// Watches one descriptor, level-triggered. Never two at once on one descriptor in the process.
class Poll {
 public:
  using Callback = std::function<void(PollEvents)>;

  // Sets O_NONBLOCK on `fd`. An error: the descriptor cannot be watched.
  static Result<Poll> create(uv_loop_t* loop, int fd, Callback callback);

  // Idempotent; watching nothing is stop().
  void watch(bool readable, bool writable);
  void stop() { watch(false, false); }
  // Stops at once, for good: another loop may watch `fd` as soon as this returns. `then` runs in
  // the close callback, which is where the descriptor may be closed.
  void close(std::function<void()> then = {});

 private:
  using Box = detail::Box<uv_poll_t, PollEvents>;
  explicit Poll(detail::BoxPtr<Box> box) : box_(std::move(box)) {}

  detail::BoxPtr<Box> box_;
  int watched_ = 0;
};

// One shot, in milliseconds: libuv's resolution.
class Timer {
 public:
  Timer(uv_loop_t* loop, std::function<void()> callback);

  void start_after(Duration delay);
  // Fires at the first turn whose clock has reached `at`, rounded up to a millisecond.
  void start_at(Instant at);
  void stop();
  bool active() const;

 private:
  using Box = detail::Box<uv_timer_t>;
  void start(std::uint64_t milliseconds);

  detail::BoxPtr<Box> box_;
};

// Wakes the loop from any thread. Sends coalesce: the callback must handle all that waits.
class Async {
 public:
  Async(uv_loop_t* loop, std::function<void()> callback);

  // Any thread, as long as the Async lives.
  void send();

 private:
  using Box = detail::Box<uv_async_t>;
  detail::BoxPtr<Box> box_;
};

// Runs at the end of every turn, right before the loop blocks: where output is flushed and timers
// are armed. In no particular order among several.
class Prepare {
 public:
  Prepare(uv_loop_t* loop, std::function<void()> callback);

  // The loop may end although this one is still there.
  void unref();

 private:
  using Box = detail::Box<uv_prepare_t>;
  detail::BoxPtr<Box> box_;
};

// Runs right after the loop has polled, before timers.
class Check {
 public:
  Check(uv_loop_t* loop, std::function<void()> callback);

  // The loop may end although this one is still there.
  void unref();

 private:
  using Box = detail::Box<uv_check_t>;
  detail::BoxPtr<Box> box_;
};

// Runs once, soon: in this turn or the next, before the loop blocks again and before the Prepares.
// How a call that must not call back reports what it found.
class Soon {
 public:
  Soon(uv_loop_t* loop, std::function<void()> callback);

  // Idempotent until it runs; may be called again from the callback.
  void schedule();
  void cancel();

 private:
  using Box = detail::Box<uv_idle_t>;
  detail::BoxPtr<Box> box_;
};

}  // namespace siglane::transport
