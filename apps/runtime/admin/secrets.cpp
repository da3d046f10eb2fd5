#include "apps/runtime/admin/secrets.h"

#include <algorithm>
#include <cctype>
#include <memory>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "apps/runtime/key_files.h"
#include "transport/regular_file.h"

namespace siglane::runtime {
namespace {

Result<std::string> read_file(const std::string& path) {
  constexpr std::size_t kBytesMax = std::size_t{1} << 20;
  auto text = transport::read_regular_file(path, kBytesMax);
  if (!text) return failure(fmt::format("{}: {}", path, text.error().what));
  return text;
}

template <auto free>
struct Free {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

Bio reading(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// What the server would refuse, and would not say why.
Result<void> check(const HttpTls& tls, const AdminHttpConfig::Tls& files) {
  const Certificate certificate(
      PEM_read_bio_X509(reading(tls.certificate_chain).get(), nullptr, nullptr, nullptr));
  const auto no_password = [](char*, int, int, void*) { return 0; };
  const Key key(
      PEM_read_bio_PrivateKey(reading(tls.private_key).get(), nullptr, no_password, nullptr));
  const bool fits = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!certificate) return failure(files.certificate + ": expected a certificate in PEM");
  if (!key) return failure(files.key + ": expected a private key in PEM, not encrypted");
  if (!fits) return failure(files.key + ": is not the key of the certificate " + files.certificate);
  return {};
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
  auto chain = read_file(config.http->tls->certificate);
  if (!chain) return tl::unexpected(chain.error());
  auto key = read_file(config.http->tls->key);
  if (!key) return tl::unexpected(key.error());
  secrets.tls = HttpTls{std::move(*chain), std::move(*key)};
  if (auto good = check(*secrets.tls, *config.http->tls); !good) {
    return tl::unexpected(good.error());
  }
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
