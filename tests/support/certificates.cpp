#include "tests/support/certificates.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace siglane::testing {
namespace {

[[noreturn]] void give_up(const char* what) {
  throw std::runtime_error(what);
}

EVP_PKEY* new_key() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  if (key == nullptr) give_up("no key could be made");
  return key;
}

template <class Write>
std::string pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  if (bio == nullptr || write(bio) != 1) give_up("no PEM could be written");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

std::string pem_of(X509* certificate) {
  return pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::string pem_of(EVP_PKEY* key) {
  return pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

long seconds(Duration d) {
  return static_cast<long>(std::chrono::duration_cast<std::chrono::seconds>(d).count());
}

void extend(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  if (extension == nullptr) give_up("no such extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509* new_certificate(const CertificateOptions& options, EVP_PKEY* key) {
  static std::atomic<long> serial{1};
  X509* certificate = X509_new();
  if (certificate == nullptr) give_up("no memory");
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), seconds(options.from));
  X509_gmtime_adj(X509_getm_notAfter(certificate), seconds(options.until));
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(options.common_name.c_str()),
                             -1, -1, 0);
  return certificate;
}

}  // namespace

struct Authority::Keys {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  std::string pem;
};

Authority::Authority(const std::string& name) : keys_(std::make_unique<Keys>()) {
  keys_->key = new_key();
  keys_->certificate = new_certificate({.dns_names = {}, .common_name = name}, keys_->key);
  X509_set_issuer_name(keys_->certificate, X509_get_subject_name(keys_->certificate));
  extend(keys_->certificate, NID_basic_constraints, "critical,CA:TRUE");
  extend(keys_->certificate, NID_key_usage, "critical,keyCertSign");
  X509_sign(keys_->certificate, keys_->key, EVP_sha256());
  keys_->pem = pem_of(keys_->certificate);
}

Authority::~Authority() {
  X509_free(keys_->certificate);
  EVP_PKEY_free(keys_->key);
}

const std::string& Authority::certificate() const {
  return keys_->pem;
}

Credentials Authority::issue(const CertificateOptions& options) const {
  EVP_PKEY* key = new_key();
  X509* certificate = new_certificate(options, key);
  X509_set_issuer_name(certificate, X509_get_subject_name(keys_->certificate));
  std::string names;
  for (const std::string& name : options.dns_names) {
    names += (names.empty() ? "DNS:" : ",DNS:") + name;
  }
  for (unsigned i = 0; i < options.padding_names; ++i) {
    names += (names.empty() ? "DNS:" : ",DNS:") + std::string("host") + std::to_string(1000 + i) +
             ".a.rather.long.name.below.a.test.example";
  }
  if (!names.empty()) extend(certificate, NID_subject_alt_name, names);
  X509_sign(certificate, keys_->key, EVP_sha256());
  Credentials credentials{pem_of(certificate), pem_of(key)};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return credentials;
}

TlsConfig Authority::issue_files(const TemporaryDirectory& directory, const std::string& name,
                                 const CertificateOptions& options) const {
  const Credentials credentials = issue(options);
  TlsConfig config;
  config.certificate = directory.write(name + ".crt", credentials.certificate);
  config.key = directory.write(name + ".key", credentials.key);
  config.ca = directory.write(name + ".ca", certificate());
  return config;
}

std::string encrypted_key(const std::string& passphrase) {
  EVP_PKEY* key = new_key();
  std::string text = pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, EVP_aes_128_cbc(),
                                    reinterpret_cast<const unsigned char*>(passphrase.data()),
                                    static_cast<int>(passphrase.size()), nullptr, nullptr);
  });
  EVP_PKEY_free(key);
  return text;
}

}  // namespace siglane::testing
