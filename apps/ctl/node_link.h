#pragma once
#include <optional>
#include <string>

#include "apps/ctl/admin_client.h"

namespace siglane::ctl {

// One node that is asked again and again: connected when needed, and again when it comes back.
class NodeLink {
 public:
  explicit NodeLink(std::string path) : path_(std::move(path)) {}

  // A question about facts becomes one about those that were not seen yet, of a restarted node too
  // (which counts its facts from 1 again).
  Result<admin::Response> ask(admin::Request request, Duration timeout);

 private:
  Result<admin::Response> ask_once(const admin::Request& request, Duration timeout);

  std::string path_;
  std::optional<AdminClient> client_;
  std::int64_t started_unix_ms_ = 0;  // of the node that answered last
  std::uint64_t last_fact_ = 0;
};

}  // namespace siglane::ctl
