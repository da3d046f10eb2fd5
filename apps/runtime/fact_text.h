#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apps/runtime/config.h"
#include "core/facts.h"

namespace siglane::runtime {

struct FactField {
  std::string_view key;
  std::string value;
};

// A fact in words: for the log and the admin API alike.
struct FactText {
  std::string_view kind;  // "association_peeled"
  LogLevel level = LogLevel::info;
  std::vector<FactField> fields;
};

FactText text_of(const Fact& fact);

// `key=value key="value with blanks"`: one line of printable ASCII, whatever a peer has put into a
// value.
std::string one_line(const std::vector<FactField>& fields);

}  // namespace siglane::runtime
