#pragma once
#include <functional>
#include <memory>

#include "apps/runtime/admin_frame.h"

namespace siglane::runtime {

class Node;

// Fills in the peers there are, how they fare and why, and hands `response` to `reply`. On the
// node's thread, and so is the reply.
void answer_peers(Node& node, std::shared_ptr<admin::Response> response,
                  std::function<void(admin::Response)> reply);

}  // namespace siglane::runtime
