#include "apps/ctl/admin_client.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/runtime/admin/api.h"
#include "apps/runtime/printable.h"

namespace siglane::ctl {
namespace {

constexpr std::size_t kAnswerBytesMax = std::size_t{256} << 20;

struct CurlLibrary {
  CurlLibrary() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  ~CurlLibrary() { curl_global_cleanup(); }
};

struct FreeHeaders {
  void operator()(curl_slist* headers) const { curl_slist_free_all(headers); }
};
struct EndTransfer {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
using Headers = std::unique_ptr<curl_slist, FreeHeaders>;

void add(Headers& headers, const std::string& header) {
  headers.reset(curl_slist_append(headers.release(), header.c_str()));
}

std::size_t take(char* bytes, std::size_t, std::size_t size, void* into) {
  auto& body = *static_cast<std::string*>(into);
  if (body.size() + size > kAnswerBytesMax) return 0;  // which ends the transfer
  body.append(bytes, size);
  return size;
}

// What a problem (RFC 9457) says.
std::string detail_of(const std::string& body) {
  const auto problem = nlohmann::json::parse(body, nullptr, false);
  if (!problem.is_object() || !problem.contains("detail") || !problem["detail"].is_string()) {
    return {};
  }
  return problem["detail"].get<std::string>();
}

// What the system said, and what to do.
std::string why_not_connected(CURL* curl, const NodeAddress& address) {
  long error = 0;
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
  if (error == EACCES) {
    return "Permission denied; expected the node's user, root, or a member of admin.group";
  }
  if (error == EAGAIN) {
    return "the node accepts no connection now: too many clients wait at its admin socket";
  }
  return fmt::format("no node answers here{}{}; is it running, with {} in its config?",
                     error != 0 ? ": " : "",
                     error != 0 ? std::strerror(static_cast<int>(error)) : "",
                     address.url.empty() ? "\"admin\": {\"socket\": ...} of this path"
                                         : "admin.http at this address");
}

}  // namespace

struct AdminClient::Transfer {
  Transfer() {
    static const CurlLibrary library;
    curl.reset(curl_easy_init());
  }
  std::unique_ptr<CURL, EndTransfer> curl;
  std::string body;
};

AdminClient::AdminClient(NodeAddress address)
    : address_(std::move(address)), transfer_(std::make_unique<Transfer>()) {}
AdminClient::AdminClient(AdminClient&& other) noexcept = default;
AdminClient& AdminClient::operator=(AdminClient&& other) noexcept = default;
AdminClient::~AdminClient() = default;

// Either a response, or what is wrong.
struct AdminClient::Answer {
  admin::Response response = {};
  long status = 200;
  std::string problem = {};  // that the status stands for
};

Result<admin::Response> AdminClient::ask(const admin::Request& request, Duration timeout) {
  auto answer = exchange(request, timeout);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->status != 200) return failure(answer->problem);
  return std::move(answer->response);
}

Result<std::optional<admin::Response>> AdminClient::find(const admin::Request& request,
                                                         Duration timeout) {
  auto answer = exchange(request, timeout);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->status == 404) return std::nullopt;
  if (answer->status != 200) return failure(answer->problem);
  return std::move(answer->response);
}

Result<AdminClient::Answer> AdminClient::exchange(const admin::Request& request, Duration timeout) {
  CURL* curl = transfer_->curl.get();
  const auto complain = [this](std::string_view what) {
    return failure(fmt::format("{}: {}", address_.name(), what));
  };
  if (curl == nullptr) return complain("libcurl gives no handle");
  const auto [method, target] = runtime::api_target(request);
  Headers headers;
  add(headers, "Accept: application/x-protobuf");
  if (!address_.token.empty()) add(headers, "Authorization: Bearer " + address_.token);
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  transfer_->body.clear();

  curl_easy_reset(curl);  // the connection stays
  const std::string url = (address_.url.empty() ? "http://localhost" : address_.url) + target;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  if (!address_.socket.empty()) {
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, address_.socket.c_str());
  }
  if (!address_.authorities.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, address_.authorities.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<long>(milliseconds, 1)));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer_->body);
  if (method == "POST") {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
  }
  const CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_COULDNT_CONNECT) return complain(why_not_connected(curl, address_));
  if (code == CURLE_OPERATION_TIMEDOUT) return complain("no answer in time");
  if (code == CURLE_WRITE_ERROR) return complain("the answer is too large");
  if (code != CURLE_OK) return complain(curl_easy_strerror(code));

  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) {
    const std::string detail = detail_of(transfer_->body);
    return Answer{.status = status,
                  .problem = fmt::format("{}: {}", address_.name(),
                                         detail.empty() ? fmt::format("HTTP status {}", status)
                                                        : runtime::printable_lines(detail))};
  }
  Answer answer;
  if (!answer.response.ParseFromString(transfer_->body)) {
    return complain("the answer is not of this API: is a Siglane node there?");
  }
  return answer;
}

}  // namespace siglane::ctl
