#pragma once
#include <functional>
#include <memory>

#include "apps/runtime/admin/messages.h"

namespace siglane::runtime {

class Node;

// What an operator tells the node to do. Each fills in what the response is about, on the node's
// thread; those that take time reply later.
void answer_reload(Node& node, const admin::ReloadRequest& request,
                   std::shared_ptr<admin::Response> response,
                   std::function<void(admin::Response)> reply);
void answer_order(Node& node, const admin::OrderRequest& request,
                  std::shared_ptr<admin::Response> response,
                  std::function<void(admin::Response)> reply);
void answer_log_level(Node& node, const admin::LogLevelRequest& request, admin::Response& response);

}  // namespace siglane::runtime
