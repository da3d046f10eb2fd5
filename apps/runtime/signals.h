#pragma once
#include <functional>
#include <memory>

#include <uv.h>

#include "core/result.h"

namespace siglane::runtime {

// Whoever started the process wants it to bear this signal.
bool is_ignored(int signal);

// Tells the loop that a signal came. On the loop's thread; the loop may end although this one is
// still there.
class SignalWatch {
 public:
  static Result<SignalWatch> create(uv_loop_t* loop, int signal, std::function<void()> callback);

 private:
  struct Box {
    uv_signal_t handle{};
    std::function<void()> callback;
  };
  struct Close {
    void operator()(Box* box) const;
  };
  explicit SignalWatch(std::unique_ptr<Box, Close> box) : box_(std::move(box)) {}

  std::unique_ptr<Box, Close> box_;
};

}  // namespace siglane::runtime
