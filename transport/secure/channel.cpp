#include "transport/secure/channel.h"

#include <algorithm>
#include <cstring>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/certificate_names.h"
#include "transport/secure/dtls_own_record.h"

namespace siglane::transport {
namespace {

constexpr std::size_t kKeptBytes = 4096;  // an idle channel keeps no more for input, or output
// One lost packet makes everything wait that comes behind it on other streams: as much as the
// peer's send buffer holds. Who has not shown yet who he is may make us hold less.
constexpr std::size_t kHeldBytesMax = std::size_t{8} << 20;
constexpr std::size_t kEarlyBytesMax = std::size_t{256} << 10;
// Above it OpenSSL splits a large flight in the middle of a record, and the handshake hangs.
constexpr long kHandshakeMtu = 4096;

template <class T>
void drop_used(std::vector<T>& all, std::size_t& used) {
  if (used < all.size()) return;
  used = 0;
  all.clear();
  if (all.capacity() * sizeof(T) > kKeptBytes) all.shrink_to_fit();
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all.empty() ? "nobody" : all;
}

// What an alert means to who runs this node.
std::string_view meaning_of(int alert) {
  switch (alert) {
    case SSL_AD_UNKNOWN_CA:
      return "it does not trust who issued our certificate";
    case SSL_AD_CERTIFICATE_EXPIRED:
      return "our certificate has expired";
    case SSL_AD_CERTIFICATE_REVOKED:
      return "our certificate is revoked";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return "it does not accept our certificate";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "it wants a certificate of ours";
    case SSL_AD_ACCESS_DENIED:
      return "our certificate is good, but we may not connect";
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
      return "no cipher or certificate suits both sides";
    case SSL_AD_PROTOCOL_VERSION:
      return "no TLS version suits both sides";
    default:
      return {};
  }
}

}  // namespace

// What OpenSSL calls. A channel is found through its SSL, or its BIO.
struct SecureChannel::Callbacks {
  static SecureChannel& of(const SSL* ssl) {
    return *static_cast<SecureChannel*>(SSL_get_app_data(ssl));
  }
  static SecureChannel& of(BIO* bio) { return *static_cast<SecureChannel*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int size) {
    SecureChannel& channel = of(bio);
    BIO_clear_retry_flags(bio);
    const Bytes there = Bytes(channel.in_).subspan(channel.in_used_);
    if (there.empty() || size <= 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    std::size_t take = std::min(there.size(), static_cast<std::size_t>(size));
    if (channel.messages()) {
      // OpenSSL drops what its buffer does not hold, so it gets one record at a time. A larger one
      // than any there may be is cut, and refused over there.
      const DtlsRecord record = *dtls_record_at(there);
      take = std::min(record.bytes, static_cast<std::size_t>(size));
      std::memcpy(into, there.data(), take);
      channel.in_used_ += record.bytes;
      channel.tag_ = channel.in_tags_[channel.in_tags_used_++];
      if (record.epoch > 0 && record.type == DtlsRecord::kApplicationData) {
        ++channel.messages_given_;
      }
      return static_cast<int>(take);
    }
    std::memcpy(into, there.data(), take);
    channel.in_used_ += take;
    return static_cast<int>(take);
  }

  static int write(BIO* bio, const char* data, int size) {
    SecureChannel& channel = of(bio);
    BIO_clear_retry_flags(bio);
    const Bytes bytes = std::as_bytes(std::span(data, static_cast<std::size_t>(size)));
    if (bytes.size() > kOutputBytesMax - (channel.out_.size() - channel.out_used_)) {
      channel.overflow_ = true;
      return -1;
    }
    channel.out_.insert(channel.out_.end(), bytes.begin(), bytes.end());
    return size;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* method() {
    static BIO_METHOD* const all = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "siglane");
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      BIO_meth_set_create(made, [](BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
      });
      return made;
    }();
    return all;
  }

  // Called from the root of the chain to the leaf, which is at depth 0.
  static int verify(int good, X509_STORE_CTX* store) {
    const auto* ssl = static_cast<const SSL*>(
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    SecureChannel& channel = of(ssl);
    const X509* certificate = X509_STORE_CTX_get_current_cert(store);
    const std::vector<std::string> names =
        certificate != nullptr ? host_names_of(certificate) : std::vector<std::string>();
    if (good == 0) {
      channel.refused_certificate_ =
          "the peer's certificate (of " + joined(names) +
          ") is refused: " + X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
      return 0;
    }
    if (X509_STORE_CTX_get_error_depth(store) != 0 || channel.expected_peer_.empty() ||
        names_host(names, channel.expected_peer_)) {
      return 1;
    }
    channel.refused_certificate_ =
        "the peer's certificate is that of " + joined(names) + ", not of " + channel.expected_peer_;
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
  }

  static void info(const SSL* ssl, int where, int value) {
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL) {
      of(ssl).alert_ = value & 0xff;
    }
  }

  // SCTP retransmits; a second copy from here would only be a replay.
  static unsigned never(SSL*, unsigned) { return 0x7fff'ffff; }
};

SecureChannel::SecureChannel(std::shared_ptr<const TlsContext> context, Role role,
                             std::string expected_peer)
    : context_(std::move(context)), expected_peer_(std::move(expected_peer)) {
  ERR_clear_error();
  ssl_ = SSL_new(context_->raw());
  BIO* bio = ssl_ != nullptr ? BIO_new(Callbacks::method()) : nullptr;
  if (bio == nullptr) {
    fail("no memory for a secure channel");
    return;
  }
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_app_data(ssl_, this);
  SSL_set_info_callback(ssl_, Callbacks::info);
  // Who is expected has to show who he is, also where others need not, and also as the client,
  // which he becomes by connecting at the same time.
  const int expecting = expected_peer_.empty() ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_set_verify(ssl_, SSL_get_verify_mode(ssl_) | expecting, Callbacks::verify);
  if (messages()) {
    order_ = std::make_unique<DtlsOrder>(kEarlyBytesMax, kHeldBytesMax);
    SSL_set_mtu(ssl_, kHandshakeMtu);
    DTLS_set_timer_cb(ssl_, Callbacks::never);
  }
  if (role == Role::accepting) {
    SSL_set_accept_state(ssl_);
    return;
  }
  SSL_set_connect_state(ssl_);
  if (!expected_peer_.empty()) SSL_set_tlsext_host_name(ssl_, expected_peer_.c_str());
  handshake();
}

SecureChannel::~SecureChannel() {
  SSL_free(ssl_);
}

// --- In ---------------------------------------------------------------------------------------

void SecureChannel::receive(Bytes bytes, std::uint64_t tag) {
  if (state_ == State::failed || state_ == State::closed || bytes.empty()) return;
  if (in_used_ > 0) {
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(in_used_));
    in_used_ = 0;
    in_tags_.erase(in_tags_.begin(), in_tags_.begin() + static_cast<std::ptrdiff_t>(in_tags_used_));
    in_tags_used_ = 0;
  }
  if (bytes.size() > kInputBytesMax - std::min(in_.size(), kInputBytesMax)) {
    return fail("the peer sends faster than is read");
  }
  if (messages()) {
    add_messages(bytes, tag);
  } else {
    in_.insert(in_.end(), bytes.begin(), bytes.end());
  }
  if (state_ == State::handshaking) handshake();
}

void SecureChannel::add_messages(Bytes bytes, std::uint64_t tag) {
  while (!bytes.empty()) {
    auto record = dtls_record_at(bytes);
    if (!record) return fail("a message that is not a DTLS record (does the peer speak DTLS?)");
    record->tag = tag;
    if (!order_->add(*record, bytes.first(record->bytes))) {
      return fail("DTLS records wait for one that does not come");
    }
    bytes = bytes.subspan(record->bytes);
  }
  order_->take_ready(in_, in_tags_);
}

void SecureChannel::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) {
    const int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_WANT_READ && !overflow_) return drop_used_input();
    return fail(reason_of_failure());
  }
  state_ = State::open;
  if (const X509* certificate = SSL_get0_peer_certificate(ssl_)) {
    peer_names_ = host_names_of(certificate);
  }
  if (order_ != nullptr) {
    order_->handshake_done();
    order_->take_ready(in_, in_tags_);
  }
}

std::size_t SecureChannel::read(std::span<std::byte> into) {
  if (state_ != State::open || into.empty()) return 0;
  ERR_clear_error();
  const auto most = static_cast<int>(std::min<std::size_t>(into.size(), 1 << 30));
  const int got = SSL_read(ssl_, into.data(), most);
  if (got <= 0) {
    read_failed(got);
    return 0;
  }
  ++messages_read_;
  return static_cast<std::size_t>(got);
}

void SecureChannel::read_failed(int result) {
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_ZERO_RETURN) {
    state_ = State::closed;
  } else if (error != SSL_ERROR_WANT_READ || overflow_) {
    return fail(reason_of_failure());
  } else if (messages() && messages_read_ != messages_given_) {
    // SCTP loses nothing, so this was no accident of the network.
    return fail("a DTLS record came twice, or was forged");
  }
  drop_used_input();
}

void SecureChannel::drop_used_input() {
  drop_used(in_, in_used_);
  drop_used(in_tags_, in_tags_used_);
}

// --- Out --------------------------------------------------------------------------------------

bool SecureChannel::may_write_after_close() const {
  return state_ == State::closed && !close_sent_ && SSL_version(ssl_) == TLS1_3_VERSION;
}

bool SecureChannel::write(Bytes bytes) {
  if ((state_ != State::open && !may_write_after_close()) || close_sent_) return false;
  if (messages() && bytes.size() > kMessageBytesMax) return false;
  if (bytes.empty()) return true;
  ERR_clear_error();
  std::size_t written = 0;
  if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) == 1) return true;
  fail(reason_of_failure());
  return false;
}

void SecureChannel::close() {
  if ((state_ != State::open && state_ != State::closed) || std::exchange(close_sent_, true)) {
    return;
  }
  ERR_clear_error();
  SSL_shutdown(ssl_);
}

Bytes SecureChannel::output() const {
  const Bytes all = Bytes(out_).subspan(out_used_);
  if (!messages() || all.empty()) return all;
  const auto record = dtls_record_at(all);
  return record ? all.first(record->bytes) : all;
}

void SecureChannel::sent(std::size_t bytes) {
  out_used_ += bytes;
  drop_used(out_, out_used_);
}

// --- What it was ------------------------------------------------------------------------------

void SecureChannel::fail(std::string problem) {
  state_ = State::failed;
  problem_ = std::move(problem);
}

std::string SecureChannel::reason_of_failure() {
  const unsigned long code = ERR_peek_error();
  const char* text = code != 0 ? ERR_reason_error_string(code) : nullptr;
  const std::string reason = text != nullptr ? text : "unknown reason";
  const bool ssl_reason = ERR_GET_LIB(code) == ERR_LIB_SSL;
  ERR_clear_error();
  if (overflow_) return "the peer does not read what it makes us send";
  if (!refused_certificate_.empty()) return refused_certificate_;
  if (alert_) {
    std::string said = std::string("the peer refused: ") + SSL_alert_desc_string_long(*alert_);
    if (const std::string_view meaning = meaning_of(*alert_); !meaning.empty()) {
      said += " (" + std::string(meaning) + ")";
    }
    return said;
  }
  if (ssl_reason) {
    switch (ERR_GET_REASON(code)) {
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_HTTP_REQUEST:
      case SSL_R_UNEXPECTED_MESSAGE:
        return reason + " (does the peer speak TLS?)";
      case SSL_R_NO_SHARED_CIPHER:
        return reason + " (the peer has none that ours allow)";
      default:
        break;
    }
  }
  return reason;
}

std::size_t SecureChannel::kept_bytes() const {
  return in_.capacity() + out_.capacity() + in_tags_.capacity() * sizeof in_tags_[0];
}

std::string SecureChannel::description() const {
  if (state_ == State::handshaking || ssl_ == nullptr) return {};
  return std::string(SSL_get_version(ssl_)) + " " + SSL_get_cipher_name(ssl_);
}

bool SecureChannel::export_key(std::string_view label, std::span<std::byte> into) const {
  const bool early = messages() && state_ == State::handshaking &&
                     SSL_get_session(ssl_) != nullptr &&
                     SSL_SESSION_get_master_key(SSL_get_session(ssl_), nullptr, 0) > 0;
  ERR_clear_error();
  return (state_ == State::open || early) &&
         SSL_export_keying_material(ssl_, reinterpret_cast<unsigned char*>(into.data()),
                                    into.size(), label.data(), label.size(), nullptr, 0, 0) == 1;
}

std::optional<std::vector<std::byte>> SecureChannel::unseal(Bytes record) const {
  if (!messages() || state_ == State::handshaking || ssl_ == nullptr) return std::nullopt;
  return open_own_record(ssl_, record);
}

}  // namespace siglane::transport
