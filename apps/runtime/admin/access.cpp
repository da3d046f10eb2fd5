#include "apps/runtime/admin/access.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <openssl/crypto.h>

#include "apps/runtime/printable.h"
#include "transport/address.h"

namespace siglane::runtime {
namespace {

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// "node.example:8080", "[::1]:8080" without the port.
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

bool is_loopback(std::string_view name) {
  if (equal_without_case(name, "localhost")) return true;
  const auto address = transport::SocketAddress::parse(name, 0);
  return address && address->is_loopback();
}

std::optional<Problem> wrong_host(const AccessRules& rules, const HttpRequest& request) {
  const auto hosts = std::ranges::count(request.headers, "host", &HttpHeaders::value_type::first);
  if (hosts != 1) return Problem{400, "one Host header is expected (RFC 9112)"};
  const std::string_view name = without_port(*request.header("host"));
  if (is_loopback(name)) return std::nullopt;
  const auto address = transport::SocketAddress::parse(name, 0);
  const std::string canonical = address ? address->text() : std::string(name);
  for (const std::string& ours : rules.host_names) {
    if (equal_without_case(canonical, ours)) return std::nullopt;
  }
  return Problem{421, fmt::format("Host {} is not a name of this node; add it to "
                                  "admin.http.host_names of its config",
                                  in_quotes(name))};
}

// A browser says so of what a page of another site asks for.
bool is_cross_site(const HttpRequest& request) {
  const std::string* site = request.header("sec-fetch-site");
  return site != nullptr && *site != "same-origin" && *site != "none";
}

bool is_token(std::string_view given, std::string_view ours) {
  return !ours.empty() && given.size() == ours.size() &&
         CRYPTO_memcmp(given.data(), ours.data(), ours.size()) == 0;
}

}  // namespace

tl::expected<Right, Problem> right_of(const AccessRules& rules, const HttpRequest& request) {
  if (!request.client.is_local) {
    if (auto wrong = wrong_host(rules, request)) return tl::unexpected(std::move(*wrong));
    if (is_cross_site(request)) {
      return tl::unexpected(Problem{403, "a page of another site may not read this API"});
    }
  }
  Right right = rules.without_token;
  const bool is_owner = rules.owner && request.client.is_local &&
                        (request.client.uid == *rules.owner || request.client.uid == 0);
  if (is_owner) right = Right::change;
  const std::string* authorization = request.header("authorization");
  if (authorization == nullptr) return right;
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view given = *authorization;
  const std::string_view token = equal_without_case(given.substr(0, kScheme.size()), kScheme)
                                     ? given.substr(kScheme.size())
                                     : std::string_view();
  if (is_token(token, rules.change_token)) return Right::change;
  if (is_token(token, rules.read_token)) return std::max(right, Right::read);
  return tl::unexpected(Problem{401,
                                "unknown token; expected that of admin.http.read_token_file or "
                                "admin.http.change_token_file",
                                {{"WWW-Authenticate", "Bearer error=\"invalid_token\""}}});
}

Problem not_allowed(Right right, Right needed) {
  if (needed == Right::change) {
    return {
        right == Right::nothing ? 401u : 403u,
        "changes need the node's user or root at its admin socket, or \"Authorization: Bearer\" "
        "and the token of admin.http.change_token_file",
        {{"WWW-Authenticate", "Bearer"}}};
  }
  return {401,
          "reading needs \"Authorization: Bearer\" and the token of admin.http.read_token_file",
          {{"WWW-Authenticate", "Bearer"}}};
}

}  // namespace siglane::runtime
