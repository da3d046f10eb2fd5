#pragma once
#include <functional>
#include <memory>

#include "apps/runtime/admin/messages.h"

namespace siglane::runtime {

class Node;

// Fills in the peers there are, how they fare and why, and hands `response` to `reply`. On the
// node's thread, and so is the reply.
void answer_peers(Node& node, const admin::PeersRequest& request,
                  std::shared_ptr<admin::Response> response,
                  std::function<void(admin::Response)> reply);

}  // namespace siglane::runtime
