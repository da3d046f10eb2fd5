// Any request line on the admin API: a method, a blank, a target. What is understood as a question
// is understood in the same way again when a client of ours says it, and what is not gets a problem
// with words.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <google/protobuf/util/message_differencer.h>

#include "apps/runtime/admin/api.h"

using namespace siglane::runtime;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return 0;
  HttpRequest request;
  request.method = line.substr(0, blank);
  request.target = line.substr(blank + 1);
  const auto call = api_call(request);
  if (!call) {
    const HttpAnswer answer = problem_answer(call.error());
    if (answer.status < 400 || call.error().detail.empty()) std::abort();
    return 0;
  }
  if (call->kind != ApiCall::Kind::question) return 0;
  const auto [method, target] = api_target(call->request);
  request.method = method;
  request.target = target;
  const auto again = api_call(request);
  if (!again ||
      !google::protobuf::util::MessageDifferencer::Equals(again->request, call->request)) {
    std::abort();
  }
  return 0;
}
