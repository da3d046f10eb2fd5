#pragma once
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"

namespace siglane::hss {

// An MME on a plain TCP socket, blocking: for tests that kill the HSS under it.
class TcpMme {
 public:
  TcpMme(std::string host, std::string realm) : host_(std::move(host)), realm_(std::move(realm)) {}
  ~TcpMme() { close(); }
  TcpMme(const TcpMme&) = delete;
  TcpMme& operator=(const TcpMme&) = delete;

  const std::string& host() const { return host_; }
  BufferPool& buffers() { return buffers_; }
  std::uint32_t last_id() const { return last_id_; }

  // Connects and exchanges capabilities. false: nobody is there yet.
  bool connect(std::uint16_t port) {
    close();
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return false;
    if (!send(capabilities())) return false;
    const auto answer = receive(5000);
    return answer && diameter::MessageView::parse(answer->bytes())->result_code() ==
                         diameter::result::success;
  }
  // Ends its half of the connection: it sends nothing more, and reads on.
  void end_output() { ::shutdown(fd_, SHUT_WR); }
  // Whether the other end has ended its half, once all was received.
  bool at_end(int timeout_ms) {
    pollfd waiting{fd_, POLLIN, 0};
    std::byte one{};
    return ::poll(&waiting, 1, timeout_ms) > 0 && ::recv(fd_, &one, 1, 0) == 0;
  }
  // Ends the connection with a reset: what was on its way is lost.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    in_.clear();
  }

  // What Session-Ids end with, for requests that are long.
  void lengthen(std::size_t bytes) { session_end_ = std::string(bytes, 'x'); }
  diameter::MessageBuilder request(const diameter::CommandDef& command) {
    namespace avp = diameter::avp;
    const std::uint32_t id = ++last_id_;
    auto out = diameter::MessageBuilder::request(buffers_, command, id, id);
    out.add(avp::session_id, host_ + ";1;" + std::to_string(id) + session_end_)
        .add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained)
        .add(avp::origin_host, host_)
        .add(avp::origin_realm, realm_)
        .add(avp::destination_realm, realm_);
    return out;
  }
  // false: the connection is gone.
  bool send(const Buffer& message) {
    Bytes rest = message.bytes();
    while (!rest.empty()) {
      const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      rest = rest.subspan(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // The next message; nullopt: the connection is gone, or silent for so long.
  std::optional<Buffer> receive(int timeout_ms) {
    std::array<std::byte, 65536> chunk;
    while (true) {
      if (in_.size() >= 4) {
        const std::size_t length = load_u24(in_.data() + 1);
        if (length < diameter::Header::kBytes) return std::nullopt;
        if (in_.size() >= length) {
          Buffer message = Buffer::copy_of(Bytes(in_).first(length));
          in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(length));
          return message;
        }
      }
      pollfd waiting{fd_, POLLIN, 0};
      if (::poll(&waiting, 1, timeout_ms) <= 0) return std::nullopt;
      const ssize_t count = ::recv(fd_, chunk.data(), chunk.size(), 0);
      if (count <= 0) return std::nullopt;
      in_.insert(in_.end(), chunk.begin(), chunk.begin() + count);
    }
  }

 private:
  Buffer capabilities() {
    namespace avp = diameter::avp;
    static constexpr std::array kLoopback = {std::byte{127}, std::byte{0}, std::byte{0},
                                             std::byte{1}};
    auto out =
        diameter::MessageBuilder::request(buffers_, diameter::command::capabilities_exchange, 1, 1);
    out.add(avp::origin_host, host_)
        .add(avp::origin_realm, realm_)
        .add(avp::host_ip_address, diameter::Address{diameter::Address::kIpv4, kLoopback})
        .add(avp::vendor_id, 0u)
        .add(avp::product_name, "tcp-mme");
    out.group(avp::vendor_specific_application_id, [&] {
      out.add(avp::vendor_id, diameter::vendor::tgpp)
          .add(avp::auth_application_id, static_cast<std::uint32_t>(diameter::application::s6a));
    });
    return std::move(out).finish();
  }

  const std::string host_, realm_;
  std::string session_end_;
  BufferPool buffers_;
  int fd_ = -1;
  std::uint32_t last_id_ = 1000;
  std::vector<std::byte> in_;
};

}  // namespace siglane::hss
