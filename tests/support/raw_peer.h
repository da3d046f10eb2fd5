#pragma once
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/bytes.h"

namespace siglane::test {

// In bytes, as the kernel takes them; 0: its default.
struct RawPeerBuffers {
  int receive = 0, send = 0;
};

// A peer that owes nothing to the code under test: a plain one-to-one SCTP socket on loopback,
// non-blocking, with time-outs that suit signaling. Throws what the system says.
class RawPeer {
 public:
  explicit RawPeer(std::uint16_t port, const RawPeerBuffers& buffers = {})
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP)) {
    need(fd_ >= 0, "socket");
    const int on = 1;
    set(IPPROTO_SCTP, SCTP_NODELAY, on);
    sctp_rtoinfo rto{};
    rto.srto_initial = 500;
    rto.srto_max = 2000;
    rto.srto_min = 100;
    set(IPPROTO_SCTP, SCTP_RTOINFO, rto);
    if (buffers.receive > 0) set(SOL_SOCKET, SO_RCVBUF, buffers.receive);
    if (buffers.send > 0) set(SOL_SOCKET, SO_SNDBUF, buffers.send);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    need(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0, "connect");
  }
  ~RawPeer() { ::close(fd_); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  int fd() const { return fd_; }
  // false: there is no room now. With `more`, another follows at once, in the same packet.
  bool send(Bytes message, bool more = false) {
    const ssize_t sent = ::send(fd_, message.data(), message.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (sent < 0 && errno == EAGAIN) return false;
    need(sent == static_cast<ssize_t>(message.size()), "send");
    return true;
  }
  // The next whole message, good until the next call; nothing: none waits. Longer than `space`
  // would be a mistake of the test.
  std::optional<Bytes> receive() {
    while (true) {
      iovec part{space_.data() + filled_, space_.size() - filled_};
      msghdr header{};
      header.msg_iov = &part;
      header.msg_iovlen = 1;
      const ssize_t size = ::recvmsg(fd_, &header, MSG_DONTWAIT);
      if (size < 0 && errno == EAGAIN) return std::nullopt;
      need(size > 0, "receive");
      filled_ += static_cast<std::size_t>(size);
      if ((header.msg_flags & MSG_EOR) == 0) continue;
      return Bytes{space_.data(), std::exchange(filled_, 0)};
    }
  }
  // Waits until it can be read, or written, at most so long.
  void wait(bool writable, int milliseconds) const {
    pollfd one{fd_, static_cast<short>(POLLIN | (writable ? POLLOUT : 0)), 0};
    ::poll(&one, 1, milliseconds);
  }

 private:
  static void need(bool good, const char* what) {
    if (!good) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
  }
  template <class Value>
  void set(int level, int option, const Value& value) {
    need(::setsockopt(fd_, level, option, &value, sizeof value) == 0, "setsockopt");
  }

  int fd_;
  std::array<std::byte, 65536> space_;  // touched as far as it is used
  std::size_t filled_ = 0;
};

}  // namespace siglane::test
