#pragma once
#include <functional>
#include <optional>
#include <utility>

#include <unistd.h>

#include "core/result.h"
#include "transport/loop/loop.h"

namespace siglane::transport {

// A descriptor and its poll, watched for input unless paused, for output on demand. The descriptor
// is closed in the poll's close callback, never before.
class WatchedSocket {
 public:
  // Takes `fd` if it succeeds, and only then.
  static Result<WatchedSocket> create(Loop& loop, int fd, Poll::Callback callback) {
    auto poll = loop.poll(fd, std::move(callback));
    if (!poll) return tl::unexpected(poll.error());
    poll->watch(true, false);
    return WatchedSocket(fd, std::move(*poll));
  }
  WatchedSocket(WatchedSocket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), poll_(std::move(other.poll_)) {}
  WatchedSocket& operator=(WatchedSocket&&) = delete;
  ~WatchedSocket() { close({}); }

  int fd() const { return fd_; }
  void want_writable(bool wanted) {
    writable_wanted_ = wanted;
    poll_.watch(!paused_, wanted);
  }
  void pause(bool paused) {
    paused_ = paused;
    poll_.watch(!paused, writable_wanted_);
  }

  // Stops watching, for good, and gives the descriptor away.
  [[nodiscard]] int release() {
    poll_.close();
    return std::exchange(fd_, -1);
  }
  // `then` runs from the loop, once the descriptor is closed. `closing` does the closing.
  void close(std::function<void()> then, int (*closing)(int) = ::close) {
    if (fd_ < 0) return;
    poll_.close([fd = std::exchange(fd_, -1), closing, then = std::move(then)] {
      closing(fd);
      if (then) then();
    });
  }

 private:
  WatchedSocket(int fd, Poll poll) : fd_(fd), poll_(std::move(poll)) {}

  int fd_;
  Poll poll_;
  bool writable_wanted_ = false, paused_ = false;
};

}  // namespace siglane::transport
