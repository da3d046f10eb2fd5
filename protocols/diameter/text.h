#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"

// The text formats of RFC 6733 §4.3.1, as far as a receiver must insist on them. Total and pure.

namespace siglane::diameter {

// RFC 3629: shortest forms only, no surrogates, nothing above U+10FFFF.
bool is_utf8(Bytes text);
// An FQDN or realm: not empty, printable ASCII without spaces, and "255 octets or less" (RFC 1035
// §2.3.4): identities are kept, so that nobody may send a long one.
bool is_identity(Bytes text);
// "aaa://" or "aaas://" and something behind it.
bool is_uri(std::string_view text);
// DiameterIdentities compare without regard to case, as domain names do.
bool same_identity(std::string_view a, std::string_view b);
bool identity_less(std::string_view a, std::string_view b);

// Is the host in that domain, by its name: "mme.a.example" in "a.example"? No domain: no.
bool is_within(std::string_view host, std::string_view domain);

// What a stranger says, for the operator or in an Error-Message: printable ASCII, and no more of it
// than a line holds.
std::string excerpt(std::string_view text);

// An IP address in bytes, as Host-IP-Address carries it.
struct IpAddress {
  std::uint16_t family = 0;  // Address::kIpv4 or kIpv6
  std::array<std::byte, 16> storage{};

  Bytes bytes() const { return Bytes(storage).first(family == 1 ? 4 : 16); }
};
// "192.0.2.1" or "2001:db8::1"; nullopt: neither.
std::optional<IpAddress> parse_ip(std::string_view text);

}  // namespace siglane::diameter
