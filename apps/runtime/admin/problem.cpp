#include "apps/runtime/admin/problem.h"

#include <string_view>

#include <fmt/format.h>

#include "apps/runtime/printable.h"

namespace siglane::runtime {
namespace {

std::string_view title_of(unsigned status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 501:
      return "Not Implemented";
    default:
      return "Service Unavailable";
  }
}

}  // namespace

HttpAnswer problem_answer(const Problem& problem) {
  HttpAnswer answer{.status = problem.status,
                    .content_type = "application/problem+json",
                    .headers = problem.headers};
  answer.body =
      fmt::format("{{\"title\":{},\"status\":{},\"detail\":{}}}\n",
                  in_quotes(title_of(problem.status)), problem.status, in_quotes(problem.detail));
  answer.headers.emplace_back("Cache-Control", "no-store");
  return answer;
}

}  // namespace siglane::runtime
