#pragma once
#include <string>
#include <string_view>

#include "core/facts.h"

namespace siglane {

inline bool is(const Fact& fact, const FactKind& kind) {
  return fact.kind.name == kind.name;
}

// Empty: it has no such field.
inline std::string field(const Fact& fact, std::string_view key) {
  for (const FactField& one : fact.fields) {
    if (one.key == key) return one.value;
  }
  return {};
}

}  // namespace siglane
