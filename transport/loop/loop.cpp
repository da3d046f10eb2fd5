#include "transport/loop/loop.h"

#include <cassert>
#include <string>

namespace siglane::transport {

Result<std::unique_ptr<Loop>> Loop::create() {
  std::unique_ptr<Loop> loop(new Loop);
  if (const int error = uv_loop_init(&loop->loop_); error != 0) {
    // Nothing was initialised: the destructor must not close it.
    loop->loop_.data = nullptr;
    return failure(std::string("no event loop: ") + uv_strerror(error));
  }
  loop->loop_.data = loop.get();
  // The clock is read anew after blocking, and once more when timers begin: a timer must never see
  // a time before its own. Idle time is taken here because UV_METRICS_IDLE_TIME costs a second
  // epoll_wait for each turn.
  loop->before_poll_.emplace(&loop->loop_, [self = loop.get()] {
    self->now_.reset();
    if (self->measures_idle_) self->idle_since_ = fresh_now();
  });
  loop->after_poll_.emplace(&loop->loop_, [self = loop.get()] {
    if (self->idle_since_) self->end_idle(fresh_now());
    self->now_.reset();
  });
  loop->before_poll_->unref();
  loop->after_poll_->unref();
  return loop;
}

Loop::~Loop() {
  if (loop_.data == nullptr) return;
  before_poll_.reset();
  after_poll_.reset();
  // What was closed runs its close callback here; an open handle would be a bug of its owner.
  // Twice, because a stop() that nobody saw costs the first run.
  for (int run = 0; run < 2 && uv_loop_alive(&loop_) != 0; ++run) uv_run(&loop_, UV_RUN_NOWAIT);
  [[maybe_unused]] const int busy = uv_loop_close(&loop_);
  assert(busy == 0 && "a handle outlives its loop");
}

void Loop::run() {
  uv_run(&loop_, UV_RUN_DEFAULT);
}

void Loop::run_once(bool wait) {
  uv_run(&loop_, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void Loop::stop() {
  uv_stop(&loop_);
}

}  // namespace siglane::transport
