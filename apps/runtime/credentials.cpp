#include "apps/runtime/credentials.h"

#include <utility>

#include <fmt/format.h>

namespace siglane::runtime {

std::set<std::string> secured_endpoints(const NodeConfig& config) {
  std::set<std::string> names;
  for (const auto& [endpoint, module] : config.endpoints) {
    if (endpoint.tls) names.insert(endpoint.name);
  }
  return names;
}

Result<Credentials> load_credentials(const NodeConfig& config, const std::set<std::string>* only) {
  Credentials credentials;
  auto admin = load_admin_secrets(config.admin);
  if (!admin) return tl::unexpected(admin.error());
  credentials.warnings = std::exchange(admin->warnings, {});
  credentials.admin = std::move(*admin);
  for (const auto& [endpoint, module] : config.endpoints) {
    if (!endpoint.tls || (only != nullptr && !only->contains(endpoint.name))) continue;
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
