#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/runtime/admin/http_server.h"
#include "apps/runtime/config.h"
#include "core/result.h"

namespace siglane::runtime {

// What stands in the files of admin.http.
struct AdminSecrets {
  std::string read_token, change_token;  // empty: none
  std::optional<HttpTls> tls;
  std::vector<std::string> warnings;  // such as a certificate that has expired
};

// A token out of a file; empty: `file` is. The error names the file and what is wrong with it.
Result<std::string> load_token(const std::string& file);
// The error names the file and what is wrong with it.
Result<AdminSecrets> load_admin_secrets(const AdminConfig& config);
// Files that others may read.
std::vector<std::string> admin_secret_warnings(const AdminConfig& config);

}  // namespace siglane::runtime
