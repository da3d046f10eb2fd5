#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "transport/secure/dtls_records.h"
#include "transport/secure/tls_context.h"

struct ssl_st;

namespace siglane::transport {

// One end of a TLS connection, or of a DTLS association over SCTP (RFC 6083): bytes in, bytes out.
// No socket, no timer; the only clock is OpenSSL's, for the validity of certificates. Whoever owns
// it moves the bytes, bounds the time of the handshake, and asks state() after each call. On one
// thread at a time; may move to another in between.
//
//   channel.receive(what came);                       // moves the handshake on
//   while (auto n = channel.read(space)) use(space.first(n));
//   channel.write(what is to be said);
//   channel.sent(write(fd, channel.output()));        // after each of the above
//
// In messages mode a record comes with a tag, which its message has when it is read: who moves the
// records knows again where each came from, whatever had to wait meanwhile.
//
// Holds at most one input of unread bytes and one decrypted record, whatever the peer does, and
// refuses renegotiation. A stream that ends before state() is `closed` was cut off.
class SecureChannel {
 public:
  enum class Role { connecting, accepting };
  // closed: the peer has said close_notify; nothing comes after it. failed: see problem(); there
  // may be output, an alert that tells the peer.
  enum class State { handshaking, open, closed, failed };

  static constexpr std::size_t kMessageBytesMax = 16384;       // of plaintext in one record
  static constexpr std::size_t kOutputBytesMax = 1024 * 1024;  // a peer that reads nothing
  static constexpr std::size_t kInputBytesMax = 1024 * 1024;   // an owner that reads nothing

  // The certificate of the peer must name `expected_peer`; empty: who it is will be found out
  // later, see peer_names(). A connecting channel has output at once.
  SecureChannel(std::shared_ptr<const TlsContext> context, Role role,
                std::string expected_peer = {});
  ~SecureChannel();
  SecureChannel(const SecureChannel&) = delete;
  SecureChannel& operator=(const SecureChannel&) = delete;

  State state() const { return state_; }
  // Why it failed, for the operator.
  const std::string& problem() const { return problem_; }

  // What came from the peer: any part of the stream, or one whole message.
  void receive(Bytes bytes, std::uint64_t tag = 0);
  // The next plaintext, of one record at most; in messages mode exactly one message, for which
  // `into` must have kMessageBytesMax bytes. 0: nothing more for now.
  std::size_t read(std::span<std::byte> into);
  // Of the message that was read last.
  std::uint64_t tag() const { return tag_; }

  // Once it is closed: can the peer still be sent something? Not before TLS 1.3.
  bool may_write_after_close() const;
  // Encrypts all of `bytes`; in messages mode as one record. false: not open, a message of more
  // than kMessageBytesMax bytes, or more output than kOutputBytesMax, which fails the channel.
  // Nothing is sent for no bytes.
  [[nodiscard]] bool write(Bytes bytes);
  // Says close_notify, once.
  void close();

  // What is to be sent: all of it; in messages mode the next message, which is one record.
  Bytes output() const;
  void sent(std::size_t bytes);

  // The memory that input and output take, also while there are none.
  std::size_t kept_bytes() const;

  // From open on: what the verified certificate calls its holder. Nothing: it showed none.
  const std::optional<std::vector<std::string>>& peer_names() const { return peer_names_; }
  // "TLSv1.3 TLS_AES_256_GCM_SHA384"
  std::string description() const;
  // Key material that both ends can derive and nobody else (RFC 5705). false: not yet. In messages
  // mode it is there before the handshake is over: with the first record that is encrypted.
  [[nodiscard]] bool export_key(std::string_view label, std::span<std::byte> into) const;
  // The message in a record of our own that the stack gave back unsent. Nothing: it has none.
  std::optional<std::vector<std::byte>> unseal(Bytes record) const;

 private:
  struct Callbacks;  // OpenSSL's

  bool messages() const { return context_->mode() == TlsMode::messages; }
  void handshake();
  void add_messages(Bytes bytes, std::uint64_t tag);
  void read_failed(int result);
  void drop_used_input();
  void fail(std::string problem);
  std::string reason_of_failure();

  std::shared_ptr<const TlsContext> context_;
  std::string expected_peer_;
  ssl_st* ssl_ = nullptr;
  State state_ = State::handshaking;
  std::string problem_;
  std::optional<std::vector<std::string>> peer_names_;
  std::string refused_certificate_;  // why, if it was our decision
  std::optional<int> alert_;         // the fatal one that the peer sent
  bool close_sent_ = false;
  bool overflow_ = false;

  std::vector<std::byte> in_;
  std::size_t in_used_ = 0;
  std::vector<std::byte> out_;
  std::size_t out_used_ = 0;
  std::unique_ptr<DtlsOrder> order_;    // messages mode, like all that follows
  std::vector<std::uint64_t> in_tags_;  // of the records in in_
  std::size_t in_tags_used_ = 0;
  std::uint64_t tag_ = 0;
  std::uint64_t messages_given_ = 0, messages_read_ = 0;
};

// RFC 6083 §4.8 and §5: what SCTP-AUTH is keyed with is exported under this label, 64 bytes of it.
inline constexpr std::string_view kDtlsOverSctpLabel = "EXPORTER_DTLS_OVER_SCTP";
inline constexpr std::size_t kSctpAuthKeyBytes = 64;

}  // namespace siglane::transport
