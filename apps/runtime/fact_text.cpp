#include "apps/runtime/fact_text.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "apps/runtime/printable.h"

namespace siglane::runtime {

namespace {

bool plain(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
}

}  // namespace

std::string one_line(const std::vector<FactField>& fields) {
  std::string line;
  for (const FactField& field : fields) {
    line += fmt::format("{}{}={}", line.empty() ? "" : " ", field.key,
                        plain(field.value) ? field.value : in_quotes(field.value));
  }
  return line;
}

}  // namespace siglane::runtime
