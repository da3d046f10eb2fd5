#pragma once
#include <cstdint>
#include <optional>

#include <tl/expected.hpp>

#include "apps/runtime/admin/access.h"
#include "apps/runtime/admin/http_server.h"
#include "apps/runtime/admin/messages.h"
#include "apps/runtime/admin/problem.h"

// What HTTP requests mean, and how answers look. Pure.
namespace siglane::runtime {

struct ApiCall {
  enum class Kind : std::uint8_t {
    question,  // `request`, for the node
    index,     // which resources there are
    events,    // facts behind number `after`, and those to come
    live,
    ready,
  };
  Kind kind = Kind::question;
  Right needs = Right::read;
  admin::Request request = {};
  std::optional<std::uint64_t> after = {};  // none: only those to come
};

// By method, path and parameters. An unknown path or parameter, a wrong method, and a value that
// cannot be are problems.
tl::expected<ApiCall, Problem> api_call(const HttpRequest& request);

// The other way round, for clients.
struct ApiTarget {
  std::string method, target;
};
ApiTarget api_target(const admin::Request& request);

// JSON; or, if that is what the client accepts, protobuf. An Error is a problem.
HttpAnswer api_answer(const HttpRequest& request, const admin::Response& response);
bool wants_protobuf(const HttpRequest& request);
// The resources, one to a line, for a person with curl.
HttpAnswer api_index();

}  // namespace siglane::runtime
