#include "apps/runtime/outlet.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace siglane::runtime {
namespace {

// O_NONBLOCK belongs to the open file, which others may have too: so a pipe or terminal is opened
// once more. Where that cannot be, poll(2) tells whether a write would wait, unless others write at
// that very moment.
transport::FileDescriptor another_opening(int fd) {
  struct stat status {};
  if (fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) return transport::FileDescriptor(own);
  }
  return transport::FileDescriptor(fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

bool is_socket(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

}  // namespace

Outlet::Outlet(int fd)
    : fd_(another_opening(fd)),
      hurry_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      is_socket_(is_socket(fd)) {}

bool Outlet::write(std::string_view text) {
  while (!text.empty()) {
    if (!wait_until_writable()) return false;
    const std::ptrdiff_t written = write_some(text);
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EAGAIN && errno != EINTR) {
      return false;  // nobody is there any more
    }
  }
  return true;
}

void Outlet::hurry(Duration wait_max) {
  until_ = Steady::now() + wait_max;
  (void)eventfd_write(hurry_.get(), 1);
}

// -1: for ever.
int Outlet::milliseconds_left() const {
  const Steady::time_point until = until_;
  if (until == Steady::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Steady::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, INT_MAX));
}

bool Outlet::wait_until_writable() const {
  for (;;) {
    const int longest = milliseconds_left();
    std::array<pollfd, 2> polled{pollfd{fd_.get(), POLLOUT, 0}, pollfd{hurry_.get(), POLLIN, 0}};
    const int ready = poll(polled.data(), longest < 0 ? 2 : 1, longest);
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0 && polled[0].revents != 0) return true;
    if (ready == 0) return false;
  }
}

std::ptrdiff_t Outlet::write_some(std::string_view text) const {
  // What a pipe has room for if it has any (pipe(7)).
  const std::size_t size = std::min<std::size_t>(text.size(), PIPE_BUF);
  return is_socket_ ? send(fd_.get(), text.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                    : ::write(fd_.get(), text.data(), size);
}

}  // namespace siglane::runtime
