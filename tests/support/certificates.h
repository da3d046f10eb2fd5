#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/time.h"
#include "tests/support/temporary_directory.h"

namespace siglane::testing {

struct CertificateOptions {
  std::vector<std::string> dns_names = {};  // none: no subjectAltName
  std::string common_name = "unnamed";      // of the subject
  Duration from = -1h, until = 24h;         // its validity, counted from now
  unsigned padding_names = 0;               // so many more DNS names, for a large certificate
};

// Certificate and private key, as PEM.
struct Credentials {
  std::string certificate, key;
};

// A certification authority, made anew for each test: nothing in the tree can expire.
class Authority {
 public:
  explicit Authority(const std::string& name = "a test authority");
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  const std::string& certificate() const;  // PEM
  Credentials issue(const CertificateOptions& options) const;
  // Files <name>.crt, <name>.key and <name>.ca in `directory`.
  TlsConfig issue_files(const TemporaryDirectory& directory, const std::string& name,
                        const CertificateOptions& options) const;
  TlsConfig issue_files_for(const std::string& host, const TemporaryDirectory& directory,
                            const std::string& name) const {
    return issue_files(directory, name, CertificateOptions{.dns_names = {host}});
  }

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
};

// A private key as PEM, encrypted with `passphrase`.
std::string encrypted_key(const std::string& passphrase);

}  // namespace siglane::testing
