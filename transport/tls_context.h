#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"
#include "core/result.h"

struct ssl_ctx_st;
struct x509_st;

namespace siglane::transport {

// Whose bytes a channel carries: a stream's (TLS), or whole messages (DTLS).
enum class TlsMode { stream, messages };

// Certificate, key and policy, loaded once and never changed: what a handshake begins with. Any
// number of channels on any threads share one; a reload makes another.
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

  ssl_ctx_st* raw() const { return context_; }

 private:
  TlsContext(ssl_ctx_st* context, TlsMode mode) : context_(context), mode_(mode) {}
  void describe(const std::string& file);

  ssl_ctx_st* context_;
  TlsMode mode_;
  std::string summary_;
  std::vector<std::string> warnings_;
};

// What the handshakes of an endpoint begin with. Any thread.
class TlsSource {
 public:
  static Result<std::shared_ptr<TlsSource>> open(const TlsConfig& config,
                                                 TlsMode mode = TlsMode::stream);

  std::shared_ptr<const TlsContext> current() const { return std::atomic_load(&current_); }
  // Reads the files again: the result is current from now on. After an error the old one stays.
  Result<std::shared_ptr<const TlsContext>> reload();

  // For the operator: whom the endpoint is with its certificate, and what is wrong with that.
  std::vector<std::string> notices(const std::string& what) const;
  std::vector<std::string> reload_notices();

 private:
  TlsSource(TlsConfig config, std::shared_ptr<const TlsContext> first)
      : config_(std::move(config)), current_(std::move(first)) {}

  const TlsConfig config_;
  std::shared_ptr<const TlsContext> current_;
};

// The host names in a certificate: the DNS names of its subjectAltName, else, if it has none, its
// common name. `certificate` is an X509*.
std::vector<std::string> host_names_of(const x509_st* certificate);

// What OpenSSL said last on this thread, in a few words; its queue is empty afterwards.
std::string take_openssl_error();

}  // namespace siglane::transport
