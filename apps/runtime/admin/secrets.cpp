#include "apps/runtime/admin/secrets.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/key_files.h"
#include "transport/regular_file.h"
#include "transport/secure/tls_context.h"

namespace siglane::runtime {
namespace {

Result<std::string> read_file(const std::string& path) {
  constexpr std::size_t kBytesMax = std::size_t{1} << 20;
  auto text = transport::read_regular_file(path, kBytesMax);
  if (!text) return failure(fmt::format("{}: {}", path, text.error().what));
  return text;
}

// libmicrohttpd would not say what is wrong with the files. No client is asked for a certificate:
// the authority is there because a context has one.
Result<std::vector<std::string>> check(const AdminHttpConfig::Tls& files) {
  TlsConfig config;
  config.certificate = config.ca = files.certificate;
  config.key = files.key;
  auto context = transport::TlsContext::load(config, transport::TlsMode::stream);
  if (!context) return failure("admin.http: " + context.error().what);
  std::vector<std::string> warnings;
  for (const std::string& warning : (*context)->warnings()) {
    warnings.push_back("admin.http: " + warning);
  }
  return warnings;
}

}  // namespace

Result<std::string> load_token(const std::string& file) {
  constexpr std::size_t kShortest = 16, kLongest = 512;
  if (file.empty()) return std::string();
  auto text = read_file(file);
  if (!text) return text;
  while (!text->empty() && std::isspace(static_cast<unsigned char>(text->back())) != 0) {
    text->pop_back();
  }
  const bool printable =
      std::ranges::all_of(*text, [](unsigned char c) { return c > ' ' && c < 0x7f; });
  if (text->size() < kShortest || text->size() > kLongest || !printable) {
    return failure(
        fmt::format("{}: expected a token of {} to {} characters without blanks; "
                    "`openssl rand -hex 24` makes one",
                    file, kShortest, kLongest));
  }
  return text;
}

Result<AdminSecrets> load_admin_secrets(const AdminConfig& config) {
  AdminSecrets secrets;
  if (!config.http) return secrets;
  auto read = load_token(config.http->read_token_file);
  if (!read) return tl::unexpected(read.error());
  auto change = load_token(config.http->change_token_file);
  if (!change) return tl::unexpected(change.error());
  if (!read->empty() && *read == *change) {
    return failure(fmt::format("{} and {} hold the same token: who may read might change too",
                               config.http->read_token_file, config.http->change_token_file));
  }
  secrets.read_token = std::move(*read);
  secrets.change_token = std::move(*change);
  if (!config.http->tls) return secrets;
  auto warnings = check(*config.http->tls);
  if (!warnings) return tl::unexpected(warnings.error());
  auto chain = read_file(config.http->tls->certificate);
  if (!chain) return tl::unexpected(chain.error());
  auto key = read_file(config.http->tls->key);
  if (!key) return tl::unexpected(key.error());
  secrets.warnings = std::move(*warnings);
  secrets.tls = HttpTls{std::move(*chain), std::move(*key)};
  return secrets;
}

std::vector<std::string> admin_secret_warnings(const AdminConfig& config) {
  std::vector<std::string> warnings;
  if (!config.http) return warnings;
  const auto look = [&warnings](std::string_view what, const std::string& file) {
    if (file.empty()) return;
    if (auto warning = exposed_key_file(what, file)) warnings.push_back("admin.http: " + *warning);
  };
  look("token file", config.http->read_token_file);
  look("token file", config.http->change_token_file);
  if (config.http->tls) look("key file", config.http->tls->key);
  return warnings;
}

}  // namespace siglane::runtime
