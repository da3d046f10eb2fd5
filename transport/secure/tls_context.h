#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/result.h"

struct ssl_ctx_st;
struct x509_st;

namespace siglane::transport {

// Whose bytes a channel carries: a stream's (TLS), or whole messages (DTLS).
enum class TlsMode { stream, messages };

// Certificate, key and policy, loaded once and never changed: what a handshake begins with. Any
// number of channels on any threads share one; an endpoint that is reconfigured makes another.
class TlsContext {
 public:
  // The error names the file and what is wrong with it.
  static Result<std::shared_ptr<const TlsContext>> load(const TlsConfig& config,
                                                        TlsMode mode = TlsMode::stream);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  TlsMode mode() const { return mode_; }
  // Whom it makes us, until when: for the operator.
  const std::string& summary() const { return summary_; }
  // What will be wrong, or is wrong in the eyes of peers, but no reason not to start.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // Both, one sentence each; `what` goes before the first.
  std::vector<std::string> notices(const std::string& what) const;

  ssl_ctx_st* raw() const { return context_; }

 private:
  TlsContext(ssl_ctx_st* context, TlsMode mode) : context_(context), mode_(mode) {}
  void describe(const std::string& file);

  ssl_ctx_st* context_;
  TlsMode mode_;
  std::string summary_;
  std::vector<std::string> warnings_;
};

// The host names in a certificate: the DNS names of its subjectAltName, else, if it has none, its
// common name. `certificate` is an X509*.
std::vector<std::string> host_names_of(const x509_st* certificate);

// What OpenSSL said last on this thread, in a few words; its queue is empty afterwards.
std::string take_openssl_error();

}  // namespace siglane::transport
