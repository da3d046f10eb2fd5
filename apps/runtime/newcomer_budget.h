#pragma once
#include <cstddef>
#include <optional>
#include <string>

#include "apps/runtime/config.h"
#include "core/newcomers.h"

namespace siglane::runtime {

struct NewcomerBudget {
  std::size_t places = 0;  // for newcomers from any address
  std::string complaint;   // for the operator; empty: as many as were wanted
};

// At most as many as `wanted` says, and so many that peers always find room: of the descriptors
// that are left (`descriptors_left`, if there is a limit), of which each connection over TCP takes
// one, and of the `associations_max` of each endpoint.
NewcomerBudget budget_newcomers(std::optional<std::size_t> descriptors_left,
                                const NodeConfig& config, const Newcomers::Places& wanted);

}  // namespace siglane::runtime
