#include "apps/runtime/credentials.h"

#include <utility>

#include <fmt/format.h>

namespace siglane::runtime {

Result<Credentials> load_credentials(const NodeConfig& config) {
  Credentials credentials;
  for (const auto& [endpoint, module] : config.endpoints) {
    if (!endpoint.tls) continue;
    auto context = transport::TlsContext::load(*endpoint.tls, is_sctp(endpoint.transport)
                                                                  ? transport::TlsMode::messages
                                                                  : transport::TlsMode::stream);
    if (!context) {
      return failure(fmt::format("endpoint \"{}\": {}", endpoint.name, context.error().what));
    }
    for (const std::string& warning : (*context)->warnings()) {
      credentials.warnings.push_back(fmt::format("endpoint \"{}\": {}", endpoint.name, warning));
    }
    credentials.by_endpoint.emplace(endpoint.name, std::move(*context));
  }
  return credentials;
}

}  // namespace siglane::runtime
