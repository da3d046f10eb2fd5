#include "apps/ctl/node_link.h"

#include <utility>

namespace siglane::ctl {

Result<admin::Response> NodeLink::ask(admin::Request request, Duration timeout) {
  if (request.has_facts()) request.mutable_facts()->set_after(last_fact_);
  auto response = client_.ask(request, timeout);
  if (!response) return response;
  const std::int64_t started = response->node_started_unix_ms();
  if (std::exchange(started_unix_ms_, started) != started && request.facts().after() != 0) {
    request.mutable_facts()->set_after(0);
    response = client_.ask(request, timeout);
    if (!response) return response;
  }
  if (const int count = response->facts().fact_size(); count > 0) {
    last_fact_ = response->facts().fact(count - 1).number();
  }
  return response;
}

}  // namespace siglane::ctl
