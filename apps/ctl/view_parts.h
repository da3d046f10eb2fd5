#pragma once
#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "apps/ctl/table.h"
#include "apps/runtime/printable.h"

// What the views have in common.
namespace siglane::ctl {

// "17:05:09"
inline std::string utc_seconds(std::int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  return fmt::format("{:%H:%M:%S}", fmt::gmtime(seconds));
}

// The column NODE is for several of them.
inline std::string finish(Table table, std::size_t nodes, std::size_t width_max) {
  if (nodes < 2) table.drop("NODE");
  return table.text(width_max);
}

// A node's strings are printable already, and stay as they are; whatever else may sit at the socket
// gets nothing past this.
inline std::string shown(std::string_view text) {
  return runtime::printable(text, "");
}

inline std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

// "a,b,c"; nothing: "-"
template <class Values>
std::string list_text(const Values& values) {
  return values.empty() ? "-" : fmt::format("{}", fmt::join(values, ","));
}

}  // namespace siglane::ctl
