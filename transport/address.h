#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include "core/bytes.h"
#include "core/result.h"

namespace siglane::transport {

// Does this kernel have IPv6?
bool has_ipv6();

// An IPv4 or IPv6 address and port. An IPv4-mapped IPv6 address is the IPv4 address: a peer has one
// name, whichever kind of socket heard it.
class SocketAddress {
 public:
  SocketAddress() = default;  // family AF_UNSPEC

  // `text` is what inet_pton takes; no names, no zone ids. The error quotes it.
  static Result<SocketAddress> parse(std::string_view text, std::uint16_t port);
  // 0.0.0.0 or ::
  static SocketAddress any(sa_family_t family, std::uint16_t port);
  // What a socket for all addresses is bound to: ::, by which IPv4 comes in too; 0.0.0.0 on a
  // machine without IPv6.
  static SocketAddress any(std::uint16_t port);
  // AF_UNSPEC if it is neither AF_INET nor AF_INET6.
  static SocketAddress from(const sockaddr* address);
  static SocketAddress from(const sockaddr_storage& address) {
    return from(reinterpret_cast<const sockaddr*>(&address));
  }

  sa_family_t family() const { return storage_.sa.sa_family; }
  bool valid() const { return family() != AF_UNSPEC; }
  std::uint16_t port() const;
  SocketAddress with_port(std::uint16_t port) const;

  // Canonical: inet_ntop's text, without the port.
  std::string text() const;
  // "127.0.0.1:3868", "[::1]:3868"
  std::string text_with_port() const;

  // Of the address alone, 4 or 16 of them, in network order; valid while this is.
  Bytes bytes() const;
  // Of a link-local IPv6 address: on which link. 0: no matter.
  std::uint32_t scope() const { return family() == AF_INET6 ? storage_.v6.sin6_scope_id : 0; }

  const sockaddr* raw() const { return &storage_.sa; }
  socklen_t size() const {
    return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  }

  // 127.0.0.0/8 or ::1: of this machine alone.
  bool is_loopback() const;

  bool operator==(const SocketAddress& other) const;
  std::size_t hash() const;

 private:
  union {
    sockaddr_in6 v6;  // first, so that all of it starts as zero
    sockaddr_in v4;
    sockaddr sa;
  } storage_{};
};

// All with this port. The error is that of the first text that is none.
Result<std::vector<SocketAddress>> parse_all(std::span<const std::string> texts,
                                             std::uint16_t port);
std::vector<std::string> texts_of(std::span<const SocketAddress> addresses);
// "192.0.2.1, 192.0.2.2"
std::string joined(std::span<const SocketAddress> addresses);

}  // namespace siglane::transport

template <>
struct std::hash<siglane::transport::SocketAddress> {
  std::size_t operator()(const siglane::transport::SocketAddress& address) const {
    return address.hash();
  }
};
