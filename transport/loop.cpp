#include "transport/loop.h"

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
  uv_loop_configure(&loop->loop_, UV_METRICS_IDLE_TIME);
  // The clock is read anew after blocking, and once more when timers begin: a timer must never see
  // a time before its own.
  auto forget = [self = loop.get()] { self->now_.reset(); };
  loop->forget_before_poll_.emplace(&loop->loop_, forget);
  loop->forget_after_poll_.emplace(&loop->loop_, forget);
  loop->forget_before_poll_->unref();
  loop->forget_after_poll_->unref();
  return loop;
}

Loop::~Loop() {
  if (loop_.data == nullptr) return;
  forget_before_poll_.reset();
  forget_after_poll_.reset();
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
