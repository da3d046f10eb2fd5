#include "transport/secure/tls_context.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "transport/regular_file.h"

namespace siglane::transport {
namespace {

// Forward secrecy and authenticated encryption only. TLS 1.3 has nothing else.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL";
constexpr int kSecurityLevel = 2;  // 112 bits: RSA from 2048 bits on, no SHA-1

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

struct Closed {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FilePtr = std::unique_ptr<std::FILE, Closed>;

// No terminal is asked for a passphrase.
int no_passphrase(char*, int, int, void* asked) {
  if (asked != nullptr) *static_cast<bool*>(asked) = true;
  return -1;
}

std::string readable(const std::string& what, const std::string& file) {
  if (file.empty()) return "the " + what + " file is not named";
  // OpenSSL would wait at a FIFO, and with it the loop that reads certificates again.
  const auto opened = open_regular_file(file);
  return opened ? std::string() : what + " file " + file + ": " + opened.error().what;
}

std::string use_certificate(SSL_CTX* context, const std::string& file) {
  if (std::string problem = readable("certificate", file); !problem.empty()) return problem;
  if (SSL_CTX_use_certificate_chain_file(context, file.c_str()) == 1) return {};
  return "certificate file " + file + " has no usable PEM certificate: " + take_openssl_error();
}

std::string use_key(SSL_CTX* context, const std::string& file, const std::string& certificate) {
  if (std::string problem = readable("key", file); !problem.empty()) return problem;
  const FilePtr opened(std::fopen(file.c_str(), "re"));
  if (opened == nullptr) return "key file " + file + ": " + std::strerror(errno);
  bool encrypted = false;
  const KeyPtr key(PEM_read_PrivateKey(opened.get(), nullptr, no_passphrase, &encrypted));
  if (encrypted) return "key file " + file + " is encrypted: a node cannot ask for its passphrase";
  if (key == nullptr) {
    return "key file " + file + " has no usable PEM private key: " + take_openssl_error();
  }
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), key.get()) != 1) {
    ERR_clear_error();
    return "key file " + file + " does not belong to the certificate in " + certificate;
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) == 1) return {};
  return "key file " + file + " cannot be used: " + take_openssl_error();
}

std::string use_ca(SSL_CTX* context, const std::string& file) {
  if (std::string problem = readable("CA", file); !problem.empty()) return problem;
  if (SSL_CTX_load_verify_file(context, file.c_str()) != 1) {
    return "CA file " + file + " has no usable PEM certificate: " + take_openssl_error();
  }
  // Tells a client with several certificates which one to show.
  SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(file.c_str()));
  ERR_clear_error();
  return {};
}

// What the stack gives back unsent has to be read again (dtls_own_record.h).
std::string refused_for_messages(const SSL_CTX* context, const TlsConfig& config) {
  const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
    const int kind = SSL_CIPHER_get_cipher_nid(cipher);
    if (kind != NID_aes_128_gcm && kind != NID_aes_256_gcm && kind != NID_chacha20_poly1305) {
      return "ciphers \"" + config.ciphers + "\" has " + SSL_CIPHER_get_name(cipher) +
             ": DTLS over SCTP takes AES-GCM and ChaCha20 only";
    }
  }
  return {};
}

std::string set_policy(SSL_CTX* context, const TlsConfig& config, TlsMode mode) {
  const bool only_13 = config.minimum_version == TlsVersion::tls_1_3;
  if (mode == TlsMode::messages) {
    if (only_13) return "minimum_version 1.3: DTLS over SCTP exists up to 1.2";
    SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION);
  } else {
    SSL_CTX_set_min_proto_version(context, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  }
  SSL_CTX_set_security_level(context, kSecurityLevel);
  const char* ciphers = config.ciphers.empty() ? kCiphers : config.ciphers.c_str();
  if (SSL_CTX_set_cipher_list(context, ciphers) != 1) {
    return "ciphers \"" + config.ciphers +
           "\" names none that this OpenSSL has: " + take_openssl_error();
  }
  if (mode == TlsMode::messages) {
    if (std::string problem = refused_for_messages(context, config); !problem.empty())
      return problem;
  }
  // Every handshake shows its certificates, so a reload is never undone by a session of before.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_QUERY_MTU);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);  // an idle channel holds no record buffers
  SSL_CTX_set_verify(context,
                     config.require_peer_certificate
                         ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                         : SSL_VERIFY_PEER,
                     nullptr);
  return {};
}

std::string time_text(const ASN1_TIME* time) {
  std::unique_ptr<BIO, Freed<BIO_free_all>> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || ASN1_TIME_print(bio.get(), time) != 1) return "an unknown time";
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, string);
  if (size < 0) return {};
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  // A name that hides its end behind a NUL is nobody's name.
  return text.find('\0') == text.npos ? text : std::string();
}

}  // namespace

std::string take_openssl_error() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return reason != nullptr ? reason : "no reason given";
}

std::vector<std::string> host_names_of(const X509* certificate) {
  std::vector<std::string> names;
  auto* alternatives = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives, i);
    if (name->type != GEN_DNS) continue;
    if (std::string text = text_of(name->d.dNSName); !text.empty()) names.push_back(text);
  }
  const bool has_alternatives = alternatives != nullptr;
  GENERAL_NAMES_free(alternatives);
  if (has_alternatives) return names;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) {
    std::string text = text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (!text.empty()) names.push_back(std::move(text));
  }
  return names;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsConfig& config, TlsMode mode) {
  ERR_clear_error();
  ContextPtr raw(SSL_CTX_new(mode == TlsMode::stream ? TLS_method() : DTLS_method()));
  if (raw == nullptr) return failure("OpenSSL cannot be set up: " + take_openssl_error());
  SSL_CTX_set_default_passwd_cb(raw.get(), no_passphrase);
  std::string problem = set_policy(raw.get(), config, mode);
  if (problem.empty()) problem = use_certificate(raw.get(), config.certificate);
  if (problem.empty()) problem = use_key(raw.get(), config.key, config.certificate);
  if (problem.empty()) problem = use_ca(raw.get(), config.ca);
  if (!problem.empty()) return failure(std::move(problem));
  std::shared_ptr<TlsContext> context(new TlsContext(raw.release(), mode));
  context->describe(config.certificate);
  return context;
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

void TlsContext::describe(const std::string& file) {
  const X509* certificate = SSL_CTX_get0_certificate(context_);
  const std::vector<std::string> names = host_names_of(certificate);
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  const std::string until = time_text(X509_get0_notAfter(certificate));
  summary_ = "certificate of " + (all.empty() ? "nobody" : all) + ", good until " + until;
  if (names.empty()) warnings_.push_back("certificate file " + file + " names no host");
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    warnings_.push_back("certificate file " + file + " expired at " + until +
                        ": peers will refuse it");
  }
  const ASN1_TIME* from = X509_get0_notBefore(certificate);
  if (X509_cmp_current_time(from) > 0) {
    warnings_.push_back("certificate file " + file + " is not valid before " + time_text(from) +
                        ": peers will refuse it");
  }
}

std::vector<std::string> TlsContext::notices(const std::string& what) const {
  std::vector<std::string> all{what + summary_};
  all.insert(all.end(), warnings_.begin(), warnings_.end());
  return all;
}

}  // namespace siglane::transport
