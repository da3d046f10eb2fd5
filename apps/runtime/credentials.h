#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apps/runtime/admin/secrets.h"
#include "apps/runtime/config.h"
#include "core/result.h"
#include "transport/secure/tls_context.h"

namespace siglane::runtime {

// What was made of the certificates, keys and authorities of a node's endpoints, and what the files
// of its admin API hold.
struct Credentials {
  std::map<std::string, std::shared_ptr<const transport::TlsContext>> by_endpoint;
  AdminSecrets admin;
  // What will not hinder the node but its peers, such as a certificate that has expired.
  std::vector<std::string> warnings;
};

// Reads the files, of these endpoints only (null: of all), and of the admin API. An error names the
// endpoint, the file, and what is wrong. Any thread; disks may be slow.
Result<Credentials> load_credentials(const NodeConfig& config,
                                     const std::set<std::string>* only = nullptr);
// The names of the endpoints that have "tls".
std::set<std::string> secured_endpoints(const NodeConfig& config);

}  // namespace siglane::runtime
