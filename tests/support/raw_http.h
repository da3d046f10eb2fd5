#pragma once
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace siglane::testing {

// A connected HTTP client that says exactly what it is told, and never blocks.
class RawHttp {
 public:
  explicit RawHttp(const std::string& path) : fd_(make(AF_UNIX)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  // To 127.0.0.1; the connection may come up later.
  explicit RawHttp(std::uint16_t port) : fd_(make(AF_INET)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ||
                 errno == EINPROGRESS;
  }
  RawHttp(RawHttp&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        received_(std::move(other.received_)) {}
  ~RawHttp() {
    if (fd_ >= 0) close(fd_);
  }

  bool connected() const { return connected_; }
  // How much of it the socket took.
  std::size_t say(std::string_view bytes) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  void get(std::string_view target) {
    say("GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  void half_close() { shutdown(fd_, SHUT_WR); }
  // What has arrived, so many bytes of it at most, goes to received(); true: the server has closed.
  bool hear(std::size_t bytes_max = std::string::npos) {
    char space[65536];
    ssize_t n = 0;
    while (bytes_max > 0 && (n = recv(fd_, space, std::min(bytes_max, sizeof space), 0)) > 0) {
      received_.append(space, static_cast<std::size_t>(n));
      bytes_max -= static_cast<std::size_t>(n);
    }
    if (bytes_max == 0) return false;
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
  }
  const std::string& received() const { return received_; }
  void forget() { received_.clear(); }

  struct Answer {
    unsigned status = 0;
    std::string head, body;  // the latter by its Content-Length
  };
  // The first one that has arrived as a whole; it is gone from received().
  std::optional<Answer> answer() {
    const std::size_t end = received_.find("\r\n\r\n");
    if (end == std::string::npos) return std::nullopt;
    Answer answer;
    answer.head = received_.substr(0, end + 2);
    const std::size_t blank = answer.head.find(' ');
    answer.status = number(answer.head.substr(blank + 1, 3));
    const std::size_t at = answer.head.find("Content-Length: ");
    const std::size_t size =
        at == std::string::npos
            ? 0
            : number(answer.head.substr(at + 16, answer.head.find("\r\n", at) - at - 16));
    if (received_.size() < end + 4 + size) return std::nullopt;
    answer.body = received_.substr(end + 4, size);
    received_.erase(0, end + 4 + size);
    return answer;
  }

 private:
  static int make(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  }
  static unsigned number(const std::string& text) {
    unsigned value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }

  int fd_;
  bool connected_ = false;
  std::string received_;
};

}  // namespace siglane::testing
