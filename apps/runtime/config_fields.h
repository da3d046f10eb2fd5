#pragma once
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "apps/runtime/config_reader.h"

namespace siglane::runtime {

// Reads `key` over the value that stands in the struct, so that defaults are said once.
template <class T>
void read_field(const ObjectReader& from, std::string_view key, T& into,
                Range<std::type_identity_t<T>> range = {}) {
  if constexpr (std::same_as<T, Duration>) {
    into = from.milliseconds(key, into, range);
  } else if constexpr (std::same_as<T, bool>) {
    into = from.boolean(key, into);
  } else if constexpr (std::same_as<T, double>) {
    into = from.decimal(key, into, range);
  } else if constexpr (std::same_as<T, std::string>) {
    into = from.string(key, into);
  } else {
    into = from.number<T>(key, into, range);
  }
}

// The same for one that need not stand there.
template <class T>
void read_field(const ObjectReader& from, std::string_view key, std::optional<T>& into,
                Range<std::type_identity_t<T>> range = {}) {
  if (!from.has(key)) return;
  T value = range.min;
  read_field(from, key, value, range);
  into = value;
}

// A name as it stands in logs, tables and other places of the file, and on the wire.
inline constexpr std::string_view kName =
    "a name: 1 to 128 printable ASCII characters without blanks";
std::optional<std::string> as_name(std::string_view text);
std::string required_name(const ObjectReader& from, std::string_view key = "name");

// A DiameterIdentity, a realm, who a certificate names (core/host_name.h).
inline constexpr std::string_view kHostName =
    "a fully qualified domain name (labels of letters, digits and hyphens, with dots between)";
std::optional<std::string> as_host_name(std::string_view text);
std::string required_host_name(const ObjectReader& from, std::string_view key);

}  // namespace siglane::runtime
