#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>
#include <tl/expected.hpp>

#include "apps/runtime/admin/http_server.h"
#include "apps/runtime/admin/problem.h"

// Who may do what. Pure.
namespace siglane::runtime {

// Each includes those before it.
enum class Right : std::uint8_t { nothing, read, change };

// Of one listening socket.
struct AccessRules {
  Right without_token = Right::nothing;  // for whoever can connect
  std::optional<uid_t> owner = {};       // this user and root may do all; of a Unix socket
  std::string read_token = {}, change_token = {};  // empty: there is none
  // What a Host header may say, without its port, besides loopback addresses and "localhost"; any,
  // on a Unix socket. A page that a browser got elsewhere has another one (DNS rebinding).
  std::vector<std::string> host_names = {};
};

// What the client may do. The problem: a Host that is not ours, a page from elsewhere, or a token
// that is none of ours. Tokens come as "Authorization: Bearer TOKEN".
tl::expected<Right, Problem> right_of(const AccessRules& rules, const HttpRequest& request);
// Who has `right` lacks what `needed` takes.
Problem not_allowed(Right right, Right needed);

}  // namespace siglane::runtime
