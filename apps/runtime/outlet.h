#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <string_view>

#include "core/time.h"
#include "transport/file_descriptor.h"

namespace siglane::runtime {

// Where lines for humans go: standard error, which may be a pipe that nobody reads, or a terminal
// that somebody has stopped. It waits for its reader, but not at the end of the process. Whoever
// shares the pipe or terminal notices nothing: its O_NONBLOCK is left alone.
class Outlet {
 public:
  explicit Outlet(int fd);

  // false: not all of it was taken, and the rest is dropped. One thread at a time.
  bool write(std::string_view text);
  // All waits from now on last no longer than this, together. Any thread.
  void hurry(Duration wait_max);

 private:
  using Steady = std::chrono::steady_clock;

  bool wait_until_writable() const;
  int milliseconds_left() const;
  std::ptrdiff_t write_some(std::string_view text) const;

  transport::FileDescriptor fd_;
  transport::FileDescriptor hurry_;  // an eventfd, readable from hurry() on
  bool is_socket_ = false;
  std::atomic<Steady::time_point> until_ = Steady::time_point::max();
};

}  // namespace siglane::runtime
