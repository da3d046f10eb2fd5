#include "protocols/diameter/text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace siglane::diameter {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080u;
constexpr std::uint64_t kLowBits = 0x0101010101010101u;
constexpr std::size_t kIdentityBytesMax = 255;
constexpr std::size_t kExcerptBytesMax = 255;

std::uint64_t eight(const std::byte* p) {
  std::uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

unsigned at(Bytes text, std::size_t i) {
  return std::to_integer<unsigned>(text[i]);
}

bool continues(Bytes text, std::size_t i) {
  return i < text.size() && (at(text, i) & 0xc0) == 0x80;
}

// Bytes of the character that begins at `i`, whose first byte is not ASCII; 0: none does.
std::size_t character_bytes(Bytes text, std::size_t i) {
  const unsigned lead = at(text, i);
  if (!continues(text, i + 1)) return 0;
  const unsigned second = at(text, i + 1);
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (!continues(text, i + 2)) return 0;
  if (lead == 0xe0) return second >= 0xa0 ? 3 : 0;
  if (lead == 0xed) return second <= 0x9f ? 3 : 0;  // surrogates
  if (lead >= 0xe1 && lead <= 0xef) return 3;
  if (!continues(text, i + 3)) return 0;
  if (lead == 0xf0) return second >= 0x90 ? 4 : 0;
  if (lead >= 0xf1 && lead <= 0xf3) return 4;
  if (lead == 0xf4) return second <= 0x8f ? 4 : 0;
  return 0;
}

// ASCII without spaces and controls.
bool is_printable(Bytes text) {
  std::size_t i = 0;
  for (; text.size() - i >= 8; i += 8) {
    const std::uint64_t word = eight(text.data() + i);
    // A byte's top bit is set in `small` if it is below 0x21, in `large` if it is 0x7f (given that
    // it is ASCII, so that no sum carries into the next byte).
    if ((word & kHighBits) != 0) return false;
    const std::uint64_t not_small = word + kLowBits * (0x80 - 0x21);
    const std::uint64_t large = word + kLowBits;
    if ((not_small & kHighBits) != kHighBits || (large & kHighBits) != 0) return false;
  }
  for (; i < text.size(); ++i) {
    if (at(text, i) < 0x21 || at(text, i) > 0x7e) return false;
  }
  return true;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// All of `text` as a number of at most `digits_max` digits.
std::optional<unsigned> number(std::string_view text, int base, std::size_t digits_max,
                               unsigned max) {
  unsigned value = 0;
  if (text.empty() || text.size() > digits_max) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

std::string_view cut(std::string_view& text, char at) {
  const std::size_t end = text.find(at);
  const std::string_view part = text.substr(0, end);
  text = end == text.npos ? std::string_view() : text.substr(end + 1);
  return part;
}

bool read_ipv4(std::string_view text, std::byte* out) {
  if (std::count(text.begin(), text.end(), '.') != 3) return false;
  for (int i = 0; i < 4; ++i) {
    const auto octet = number(cut(text, '.'), 10, 3, 255);
    if (!octet) return false;
    out[i] = static_cast<std::byte>(*octet);
  }
  return true;
}

// Groups of 16 bits between colons, the last two perhaps as an IPv4 address; how many bytes, or
// nothing where it is something else.
std::optional<std::size_t> read_groups(std::string_view text, std::span<std::byte, 16> out) {
  std::size_t bytes = 0;
  if (text.empty()) return bytes;
  if (text.back() == ':') return std::nullopt;
  while (!text.empty()) {
    const std::string_view group = cut(text, ':');
    if (group.find('.') != group.npos) {
      if (!text.empty() || bytes > 12 || !read_ipv4(group, &out[bytes])) return std::nullopt;
      return bytes + 4;
    }
    const auto value = number(group, 16, 4, 0xffff);
    if (!value || bytes == 16) return std::nullopt;
    store_u16(&out[bytes], static_cast<std::uint16_t>(*value));
    bytes += 2;
  }
  return bytes;
}

std::optional<IpAddress> parse_ipv6(std::string_view text) {
  IpAddress address;
  address.family = 2;
  const std::size_t gap = text.find("::");
  // An IPv4 address may stand at the very end only.
  if (text.find('.') < gap && gap != text.npos) return std::nullopt;
  std::array<std::byte, 16> tail{};
  const auto head_bytes = read_groups(text.substr(0, gap), address.storage);
  if (!head_bytes) return std::nullopt;
  if (gap == text.npos) return *head_bytes == 16 ? std::optional(address) : std::nullopt;
  const auto tail_bytes = read_groups(text.substr(gap + 2), tail);
  if (!tail_bytes || *head_bytes + *tail_bytes > 14) return std::nullopt;
  std::copy_n(tail.begin(), *tail_bytes,
              address.storage.end() - static_cast<std::ptrdiff_t>(*tail_bytes));
  return address;
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.find(':') != text.npos) return parse_ipv6(text);
  IpAddress address;
  address.family = 1;
  return read_ipv4(text, address.storage.data()) ? std::optional(address) : std::nullopt;
}

bool is_utf8(Bytes text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (text.size() - i >= 8 && (eight(text.data() + i) & kHighBits) == 0) {
      i += 8;
    } else if (at(text, i) < 0x80) {
      ++i;
    } else {
      const std::size_t bytes = character_bytes(text, i);
      if (bytes == 0) return false;
      i += bytes;
    }
  }
  return true;
}

bool is_identity(Bytes text) {
  return !text.empty() && text.size() <= kIdentityBytesMax && is_printable(text);
}

bool is_uri(std::string_view text) {
  for (const std::string_view scheme : {"aaa://", "aaas://"}) {
    if (text.starts_with(scheme) && text.size() > scheme.size()) {
      return is_printable(as_bytes(text));
    }
  }
  return false;
}

bool same_identity(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

bool identity_less(std::string_view a, std::string_view b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [](char x, char y) { return lower(x) < lower(y); });
}

bool is_within(std::string_view host, std::string_view domain) {
  if (domain.empty() || host.size() < domain.size()) return false;
  const std::size_t at = host.size() - domain.size();
  return same_identity(host.substr(at), domain) && (at == 0 || host[at - 1] == '.');
}

std::string excerpt(std::string_view text) {
  std::string line(text.substr(0, kExcerptBytesMax));
  for (char& c : line) {
    if (c < ' ' || c > '~') c = '?';
  }
  return line;
}

}  // namespace siglane::diameter
