#pragma once
#include <string>
#include <vector>

#include "core/facts.h"

namespace siglane::runtime {

// `key=value key="value with blanks"`: one line of printable ASCII, whatever a peer has put into a
// value.
std::string one_line(const std::vector<FactField>& fields);

}  // namespace siglane::runtime
