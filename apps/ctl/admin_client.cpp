#include "apps/ctl/admin_client.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "apps/runtime/printable.h"

namespace siglane::ctl {

namespace {

constexpr std::size_t kAnswerBytesMax = std::size_t{64} << 20;

using SteadyClock = std::chrono::steady_clock;

// false: the time is over.
bool wait_for(int fd, short events, SteadyClock::time_point until) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - SteadyClock::now()).count();
    if (left <= 0) return false;
    pollfd polled{fd, events, 0};
    const int ready = poll(&polled, 1, static_cast<int>(std::min<long long>(left, 60'000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace

AdminClient::AdminClient(std::string path, int fd)
    : path_(std::move(path)), fd_(fd), frames_(kAnswerBytesMax) {}

AdminClient::AdminClient(AdminClient&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      frames_(std::move(other.frames_)) {}

AdminClient& AdminClient::operator=(AdminClient&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(frames_, other.frames_);
  return *this;
}

AdminClient::~AdminClient() {
  if (fd_ >= 0) close(fd_);
}

Error AdminClient::complaint(std::string_view what) const {
  return Error{fmt::format("{}: {}", path_, what)};
}

Result<AdminClient> AdminClient::connect(const std::string& path, Duration timeout) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return failure(
        fmt::format("\"{}\" is not a path of 1 to {} bytes", path, sizeof address.sun_path - 1));
  }
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failure(fmt::format("no socket: {}", strerror(errno)));
  AdminClient client(path, fd);
  // A node that does not accept has room for some; then connect() waits.
  const auto wait = std::max(timeout, Duration(1us));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(wait);
  const timeval longest{seconds.count(),
                        std::chrono::floor<std::chrono::microseconds>(wait - seconds).count()};
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    if (error == EAGAIN) {
      return tl::unexpected(client.complaint(
          "the node accepts no connection now: too many clients wait at its admin socket"));
    }
    const bool nobody = error == ENOENT || error == ECONNREFUSED;
    return tl::unexpected(client.complaint(fmt::format(
        "no node answers here: {}{}", strerror(error),
        nobody ? "; is it running, with \"admin\": {\"socket\": ...} of this path?" : "")));
  }
  return client;
}

Result<admin::Response> AdminClient::ask(const admin::Request& request, Duration timeout) {
  const auto until = SteadyClock::now() + timeout;
  const std::string frame = runtime::admin_frame(request);
  for (std::size_t sent = 0; sent < frame.size();) {
    if (!wait_for(fd_, POLLOUT, until)) {
      return tl::unexpected(complaint("the node reads no request"));
    }
    const ssize_t n =
        send(fd_, frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) break;  // what it said before stands below
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
  std::string message;
  for (;;) {
    const auto next = frames_.next(message);
    if (next == runtime::AdminFrames::Next::message) break;
    if (next == runtime::AdminFrames::Next::too_large) {
      return tl::unexpected(complaint("the answer is too large, or not of this API"));
    }
    if (!wait_for(fd_, POLLIN, until)) return tl::unexpected(complaint("no answer in time"));
    std::byte space[16384];
    const ssize_t n = recv(fd_, space, sizeof space, MSG_DONTWAIT);
    if (n == 0) return tl::unexpected(complaint("the node has closed the connection"));
    if (n > 0) {
      frames_.append({space, static_cast<std::size_t>(n)});
    } else if (errno != EAGAIN && errno != EINTR) {
      return tl::unexpected(complaint(strerror(errno)));
    }
  }
  admin::Response response;
  if (!response.ParseFromString(message)) {
    return tl::unexpected(complaint("the answer is not of this API"));
  }
  if (response.has_error())
    return tl::unexpected(complaint(runtime::printable(response.error().text(), "")));
  return response;
}

}  // namespace siglane::ctl
