#include "transport/secure/dtls_own_record.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include "transport/secure/dtls_records.h"

namespace siglane::transport {
namespace {

constexpr std::size_t kRandomBytes = 32, kTagBytes = 16, kExplicitNonceBytes = 8;
constexpr std::size_t kNonceBytes = 12;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

unsigned char* raw(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}
const unsigned char* raw(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}

// RFC 5246 §6.3: "key_block = PRF(SecurityParameters.master_secret, "key expansion",
// SecurityParameters.server_random + SecurityParameters.client_random);"
bool derive(const SSL* ssl, std::vector<unsigned char>& key_block) {
  std::array<unsigned char, SSL_MAX_MASTER_KEY_LENGTH> secret;
  const std::size_t secret_size =
      SSL_SESSION_get_master_key(SSL_get_session(ssl), secret.data(), secret.size());
  static constexpr char kLabel[] = "key expansion";
  constexpr std::size_t kLabelBytes = sizeof kLabel - 1;
  std::array<unsigned char, kLabelBytes + 2 * kRandomBytes> seed;
  std::memcpy(seed.data(), kLabel, kLabelBytes);
  SSL_get_server_random(ssl, seed.data() + kLabelBytes, kRandomBytes);
  SSL_get_client_random(ssl, seed.data() + kLabelBytes + kRandomBytes, kRandomBytes);

  const EVP_MD* digest = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));
  const std::unique_ptr<EVP_KDF, Freed<EVP_KDF_free>> kdf(
      EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, Freed<EVP_KDF_CTX_free>> context(
      kdf != nullptr ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  if (context == nullptr || digest == nullptr || secret_size == 0) return false;
  const std::array parameters = {
      OSSL_PARAM_construct_utf8_string("digest", const_cast<char*>(EVP_MD_get0_name(digest)), 0),
      OSSL_PARAM_construct_octet_string("secret", secret.data(), secret_size),
      OSSL_PARAM_construct_octet_string("seed", seed.data(), seed.size()),
      OSSL_PARAM_construct_end()};
  const int done =
      EVP_KDF_derive(context.get(), key_block.data(), key_block.size(), parameters.data());
  OPENSSL_cleanse(secret.data(), secret.size());
  return done == 1;
}

bool decrypt(const EVP_CIPHER* cipher, const unsigned char* key, const unsigned char* nonce,
             Bytes header, Bytes sealed, std::vector<std::byte>& plain) {
  // RFC 5246 §6.2.3.3: "additional_data = seq_num + TLSCompressed.type + TLSCompressed.version +
  // TLSCompressed.length;", and in DTLS seq_num is the epoch and the sequence number.
  std::array<std::byte, DtlsRecord::kHeaderBytes> additional;
  std::copy_n(header.begin() + 3, 8, additional.begin());
  std::copy_n(header.begin(), 3, additional.begin() + 8);
  store_u16(additional.data() + 11, static_cast<std::uint16_t>(plain.size()));

  const std::unique_ptr<EVP_CIPHER_CTX, Freed<EVP_CIPHER_CTX_free>> context(EVP_CIPHER_CTX_new());
  std::array<std::byte, kTagBytes> tag;
  std::copy_n(sealed.end() - kTagBytes, kTagBytes, tag.begin());
  int size = 0;
  return context != nullptr &&
         EVP_DecryptInit_ex(context.get(), cipher, nullptr, key, nonce) == 1 &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
         EVP_DecryptUpdate(context.get(), nullptr, &size, raw(additional.data()),
                           static_cast<int>(additional.size())) == 1 &&
         EVP_DecryptUpdate(context.get(), raw(plain.data()), &size, raw(sealed.data()),
                           static_cast<int>(plain.size())) == 1 &&
         EVP_DecryptFinal_ex(context.get(), raw(plain.data()) + size, &size) == 1;
}

}  // namespace

std::optional<std::vector<std::byte>> open_own_record(const ssl_st* ssl, Bytes bytes) {
  const auto record = dtls_record_at(bytes);
  const SSL_CIPHER* suite = SSL_get_current_cipher(ssl);
  if (!record || record->bytes != bytes.size() || suite == nullptr || record->epoch == 0 ||
      record->type != DtlsRecord::kApplicationData) {
    return std::nullopt;
  }
  const EVP_CIPHER* cipher = EVP_get_cipherbynid(SSL_CIPHER_get_cipher_nid(suite));
  if (cipher == nullptr) return std::nullopt;
  const bool gcm = EVP_CIPHER_get_mode(cipher) == EVP_CIPH_GCM_MODE;
  const auto key_bytes = static_cast<std::size_t>(EVP_CIPHER_get_key_length(cipher));
  const std::size_t iv_bytes = gcm ? kNonceBytes - kExplicitNonceBytes : kNonceBytes;
  const std::size_t before = gcm ? kExplicitNonceBytes : 0;
  Bytes sealed = bytes.subspan(DtlsRecord::kHeaderBytes);
  if (sealed.size() < before + kTagBytes) return std::nullopt;

  ERR_clear_error();
  // The client's key, the server's, the client's IV, the server's.
  std::vector<unsigned char> keys(2 * key_bytes + 2 * iv_bytes);
  if (!derive(ssl, keys)) return std::nullopt;
  const std::size_t ours = SSL_is_server(ssl) != 0 ? 1 : 0;
  const unsigned char* iv = keys.data() + 2 * key_bytes + ours * iv_bytes;
  std::array<unsigned char, kNonceBytes> nonce{};
  std::copy_n(iv, iv_bytes, nonce.begin());
  if (gcm) {  // RFC 5288 §3: the implicit part, then the explicit one
    std::copy_n(raw(sealed.data()), kExplicitNonceBytes, nonce.begin() + iv_bytes);
  } else {  // RFC 7905 §2: the IV, with epoch and sequence number XORed into its end
    for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] ^= raw(bytes.data())[3 + i];
  }
  sealed = sealed.subspan(before);
  std::vector<std::byte> plain(sealed.size() - kTagBytes);
  const bool good =
      decrypt(cipher, keys.data() + ours * key_bytes, nonce.data(), bytes, sealed, plain);
  OPENSSL_cleanse(keys.data(), keys.size());
  ERR_clear_error();
  return good ? std::optional(std::move(plain)) : std::nullopt;
}

}  // namespace siglane::transport
