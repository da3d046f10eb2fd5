#pragma once
#include <functional>
#include <memory>

#include "apps/runtime/admin/messages.h"

namespace siglane::runtime {

class Node;

// Fills in which way such a message would go, and why not another, and hands `response` to `reply`.
// On the node's thread, and so is the reply.
void answer_route_lookup(Node& node, const admin::RouteLookupRequest& request,
                         std::shared_ptr<admin::Response> response,
                         std::function<void(admin::Response)> reply);

}  // namespace siglane::runtime
