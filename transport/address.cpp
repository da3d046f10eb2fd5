#include "transport/address.h"

#include <array>
#include <cstring>

#include <arpa/inet.h>

#include "transport/file_descriptor.h"

namespace siglane::transport {

bool has_ipv6() {
  return FileDescriptor(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)).valid();
}

Result<SocketAddress> SocketAddress::parse(std::string_view text, std::uint16_t port) {
  const std::string terminated(text);
  sockaddr_in v4{};
  if (inet_pton(AF_INET, terminated.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return from(reinterpret_cast<const sockaddr*>(&v4));
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, terminated.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return from(reinterpret_cast<const sockaddr*>(&v6));
  }
  return failure("\"" + terminated + "\" is not an IP address");
}

SocketAddress SocketAddress::any(sa_family_t family, std::uint16_t port) {
  SocketAddress address;
  address.storage_.sa.sa_family = family;
  return address.with_port(port);
}

SocketAddress SocketAddress::any(std::uint16_t port) {
  return any(has_ipv6() ? AF_INET6 : AF_INET, port);
}

SocketAddress SocketAddress::from(const sockaddr* address) {
  SocketAddress result;
  if (address->sa_family == AF_INET) {
    std::memcpy(&result.storage_.v4, address, sizeof result.storage_.v4);
  } else if (address->sa_family == AF_INET6) {
    std::memcpy(&result.storage_.v6, address, sizeof result.storage_.v6);
    if (IN6_IS_ADDR_V4MAPPED(&result.storage_.v6.sin6_addr)) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = result.storage_.v6.sin6_port;
      std::memcpy(&v4.sin_addr, result.storage_.v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
      result = SocketAddress{};
      result.storage_.v4 = v4;
    }
  }
  return result;
}

std::uint16_t SocketAddress::port() const {
  return ntohs(family() == AF_INET6 ? storage_.v6.sin6_port : storage_.v4.sin_port);
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const {
  SocketAddress result = *this;
  (family() == AF_INET6 ? result.storage_.v6.sin6_port : result.storage_.v4.sin_port) = htons(port);
  return result;
}

std::string SocketAddress::text() const {
  if (!valid()) return "unspecified";
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = family() == AF_INET6 ? static_cast<const void*>(&storage_.v6.sin6_addr)
                                           : static_cast<const void*>(&storage_.v4.sin_addr);
  inet_ntop(family(), bytes, text.data(), text.size());
  return text.data();
}

Bytes SocketAddress::bytes() const {
  if (family() == AF_INET6) return std::as_bytes(std::span(storage_.v6.sin6_addr.s6_addr));
  return std::as_bytes(std::span(&storage_.v4.sin_addr, 1));
}

bool SocketAddress::is_loopback() const {
  if (family() == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&storage_.v6.sin6_addr) != 0;
  return family() == AF_INET && bytes()[0] == std::byte{IN_LOOPBACKNET};
}

std::string SocketAddress::text_with_port() const {
  const std::string address = family() == AF_INET6 ? "[" + text() + "]" : text();
  return address + ":" + std::to_string(port());
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  if (family() != other.family()) return false;
  if (family() == AF_INET6) {
    return storage_.v6.sin6_port == other.storage_.v6.sin6_port &&
           storage_.v6.sin6_scope_id == other.storage_.v6.sin6_scope_id &&
           std::memcmp(&storage_.v6.sin6_addr, &other.storage_.v6.sin6_addr,
                       sizeof storage_.v6.sin6_addr) == 0;
  }
  return storage_.v4.sin_port == other.storage_.v4.sin_port &&
         storage_.v4.sin_addr.s_addr == other.storage_.v4.sin_addr.s_addr;
}

std::size_t SocketAddress::hash() const {
  if (family() != AF_INET6) {
    return std::hash<std::uint64_t>{}(std::uint64_t{storage_.v4.sin_addr.s_addr} << 16 |
                                      storage_.v4.sin_port);
  }
  return std::hash<std::string_view>{}(
             {reinterpret_cast<const char*>(&storage_.v6.sin6_addr), 16}) ^
         storage_.v6.sin6_port;
}

Result<std::vector<SocketAddress>> parse_all(std::span<const std::string> texts,
                                             std::uint16_t port) {
  std::vector<SocketAddress> addresses;
  for (const std::string& text : texts) {
    auto address = SocketAddress::parse(text, port);
    if (!address) return tl::unexpected(address.error());
    addresses.push_back(*address);
  }
  return addresses;
}

std::vector<std::string> texts_of(std::span<const SocketAddress> addresses) {
  std::vector<std::string> texts;
  for (const SocketAddress& address : addresses) texts.push_back(address.text());
  return texts;
}

std::string joined(std::span<const SocketAddress> addresses) {
  std::string text;
  for (const SocketAddress& address : addresses) {
    if (!text.empty()) text += ", ";
    text += address.text();
  }
  return text;
}

}  // namespace siglane::transport
