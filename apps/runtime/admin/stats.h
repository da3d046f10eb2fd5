#pragma once
#include <functional>
#include <memory>

#include "apps/runtime/admin/messages.h"

namespace siglane::runtime {

class Node;

// Fills in what is counted, sums of all shards, and hands `response` to `reply`. On the node's
// thread, and so is the reply.
void answer_stats(Node& node, const admin::StatsRequest& request,
                  std::shared_ptr<admin::Response> response,
                  std::function<void(admin::Response)> reply);

}  // namespace siglane::runtime
