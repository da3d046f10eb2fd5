#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace siglane {

namespace detail {

inline char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

inline bool same_host(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return ascii_lower(x) == ascii_lower(y); });
}

}  // namespace detail

// May the holder of a certificate with these names call itself `identity`? Host names compare
// without regard to case; "*" stands for one whole label, the leftmost, below at least two others
// (RFC 6125 §6.4.3).
inline bool names_host(std::span<const std::string> names, std::string_view identity) {
  if (identity.empty()) return false;
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    if (detail::same_host(name, identity)) return true;
    if (!name.starts_with("*.") || name.find('.', 2) == name.npos) return false;
    const std::size_t label = identity.find('.');
    return label != identity.npos && label > 0 &&
           detail::same_host(name.substr(1), identity.substr(label));
  });
}

}  // namespace siglane
