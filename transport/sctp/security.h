#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/association.h"
#include "core/framing.h"
#include "core/result.h"
#include "transport/sctp/notification.h"
#include "transport/secure/channel.h"
#include "transport/send_queue.h"

namespace siglane::transport {

// The payload protocol that says that it is inside DTLS, and the other way round. RFC 6733 §11.5
// has a number for Diameter; M3UA has none, and goes by its own.
PayloadProtocol sealed_protocol(PayloadProtocol clear);
PayloadProtocol clear_protocol(PayloadProtocol sealed);

// DTLS over SCTP (RFC 6083) of one association, whichever stack carries it: what the records say
// that came, what goes out next, on which stream and when, and what the stack's own authentication
// (SCTP-AUTH, RFC 4895) is keyed with. Its owner has the clock, and bounds the time of the
// handshake.
//
//   security.receive(message);                        // from the stack
//   while (security.next(...) is a message) tell(it);
//   while (auto record = security.outgoing(queue)) {  // and whenever there is something to send
//     if (security.send(*record, more) != 0) break;
//     if (record->of_queue) queue.pop();
//   }
//   if (security.waits_for_dry()) ...;                // then dry(), and all that again
class SctpSecurity {
 public:
  // The stack, as far as this one association goes. Errno values; 0: done.
  class Stack {
   public:
    // Does the peer authenticate what we asked it to?
    virtual bool peer_has_auth() = 0;
    // No bytes: the empty key, which everybody knows.
    virtual int set_auth_key(std::uint16_t number, Bytes key) = 0;
    virtual int use_auth_key(std::uint16_t number) = 0;
    virtual int delete_auth_key(std::uint16_t number) = 0;
    virtual int send_record(const SendInfo& info, Bytes record, bool more) = 0;

   protected:
    ~Stack() = default;
  };
  struct Options {
    PayloadProtocol protocol{};  // of user messages in clear
    bool need_auth = false;
    bool restarted = false;  // an association of before may have left its keys
  };

  // `stack` must outlive it.
  SctpSecurity(Stack& stack, std::shared_ptr<const TlsContext> context, SecureChannel::Role role,
               std::string expected_peer, const Options& options);

  // Bytes of a message in clear that fit. RFC 6083 §3.3: "2^14 (16384)".
  static constexpr std::size_t kMessageBytesMax = SecureChannel::kMessageBytesMax;
  // RFC 6083 §4.1: an SCTP message is one record, of at most so many bytes.
  static constexpr std::size_t kRecordBytesMax = 16384 + 2048 + DtlsRecord::kHeaderBytes;

  // --- In
  void receive(const Message& record);
  // opened: the handshake is done, once. ended: the peer has said close_notify, once.
  // failed: see problem(); there may be an alert, see say_last_words().
  enum class Event { nothing, opened, message, ended, failed };
  // `into` is the message, as it was before it was sealed.
  Event next(BufferPool& pool, Message& into);

  // --- Out
  struct Record {
    SendInfo info;
    Bytes bytes;
    bool of_queue = false;    // sealed from the queue's front
    bool begins_key = false;  // it and all that follows is authenticated by the new key
  };
  // One of the channel's own, else the queue's front, sealed: the same until it is sent, whatever
  // comes into the queue behind its front.
  std::optional<Record> outgoing(const SendQueue& queue);
  [[nodiscard]] int send(const Record& record, bool more);
  bool has_own_record() const { return !sealed_ && !channel_->output().empty(); }
  // Something waits until the stack has nothing unsent or unacknowledged.
  bool waits_for_dry() const { return waits_for_dry_; }
  void dry();
  // We end it, and the queue is empty: says close_notify. true: and the stack has it, or there is
  // nobody to say it to. Otherwise there is something outgoing(), or it waits_for_dry().
  bool say_goodbye();
  // close_notify, or the alert that tells why it failed: at once, if the stack takes it at once.
  void say_last_words();

  // What an end means that the stack tells of.
  void judge_end(DownCause& cause, std::string& detail) const;
  // A record that the stack gave back, as the message that it was. false: it was none.
  bool unseal(Message& returned) const;

  bool failed() const { return !problem().empty(); }
  const std::string& problem() const { return problem_.empty() ? channel_->problem() : problem_; }
  bool peer_said_goodbye() const { return channel_->state() == SecureChannel::State::closed; }
  const std::optional<std::vector<std::string>>& peer_names() const {
    return channel_->peer_names();
  }

 private:
  bool wins_against(Bytes record);
  bool handshaking() const { return channel_->state() == SecureChannel::State::handshaking; }
  void begin_keys(const Options& options);
  void key_done(int error);
  void set_new_key();
  void drop_first_key();

  Stack& stack_;
  std::shared_ptr<const TlsContext> context_;
  std::string expected_peer_;
  std::optional<SecureChannel> channel_;  // always there
  std::vector<std::byte> first_flight_;   // if we connect, until something comes
  PayloadProtocol protocol_;              // sealed
  std::string problem_;                   // other than the channel's
  bool told_open_ = false, told_end_ = false;
  bool sealed_ = false;  // the channel's output begins with the queue's front
  bool dry_ = true, waits_for_dry_ = false;
  bool said_goodbye_ = false;
  // SCTP-AUTH: not there; the first key; the new one is known, is used; the first one is dropped.
  enum class Keys { none, first, both, changed, done } keys_ = Keys::none;
};

// What associations of either stack need to know of their endpoint. Immutable once it is set up,
// and shared between loops; reconfiguring the endpoint makes another one.
struct SctpEndpoint {
  EndpointId id{};
  EndpointConfig config;
  std::shared_ptr<const TlsContext> tls;  // null: in clear
  PayloadProtocol protocol{};             // of its module
  std::size_t send_buffer_bytes = 0;      // of its shared sockets, as the stack gave it
  std::size_t sent_bytes_max = 0;         // of a message; more is refused
  std::size_t received_bytes_max = 0;     // of a message or a DTLS record; more closes it

  // The rest, once the first two are there. The error, without the endpoint's name, is that of its
  // certificates.
  Result<void> set_up(const Framing& framing);
  // The same endpoint with another config, and with the certificates that go with it.
  std::shared_ptr<SctpEndpoint> with(EndpointConfig config,
                                     std::shared_ptr<const TlsContext> tls) const;
  // The stack gave a socket that much, which is less than the config asks for.
  void limit_send_buffer(std::size_t bytes);
  bool needs_auth() const { return tls != nullptr && config.tls->require_sctp_auth; }
  std::unique_ptr<SctpSecurity> new_security(SctpSecurity::Stack& stack, bool connecting,
                                             std::string expected_peer, bool restarted) const;

 private:
  void derive_limits();
};

}  // namespace siglane::transport
