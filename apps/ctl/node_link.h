#pragma once
#include <optional>
#include <string>

#include "apps/ctl/admin_client.h"

namespace siglane::ctl {

// One node that is asked again and again, also after it has come back.
class NodeLink {
 public:
  explicit NodeLink(NodeAddress address) : client_(std::move(address)) {}

  // A question about facts becomes one about those that were not seen yet, of a restarted node too
  // (which counts its facts from 1 again).
  Result<admin::Response> ask(admin::Request request, Duration timeout);

  Result<std::optional<admin::Response>> find(const admin::Request& request, Duration timeout) {
    return client_.find(request, timeout);
  }
  const std::string& name() const { return client_.name(); }

 private:
  AdminClient client_;
  std::int64_t started_unix_ms_ = 0;  // of the node that answered last
  std::uint64_t last_fact_ = 0;
};

}  // namespace siglane::ctl
