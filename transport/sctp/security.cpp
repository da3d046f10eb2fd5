#include "transport/sctp/security.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace siglane::transport {
namespace {

// RFC 6083 §4.8: the key until the handshake is done, and the one after it. There is no other
// handshake.
constexpr std::uint16_t kFirstKey = 0, kNewKey = 1;

constexpr PayloadProtocol kDiameter{46}, kDiameterDtls{47};

// What a record came with, and its message has.
std::uint64_t tag_of(const Message& message) {
  return std::uint64_t{static_cast<std::uint16_t>(message.stream)} << 33 |
         std::uint64_t{message.unordered} << 32 | static_cast<std::uint32_t>(message.protocol);
}

void apply_tag(std::uint64_t tag, Message& message) {
  message.stream = StreamId{static_cast<std::uint16_t>(tag >> 33)};
  message.unordered = (tag >> 32 & 1) != 0;
  message.protocol = clear_protocol(PayloadProtocol{static_cast<std::uint32_t>(tag)});
}

}  // namespace

PayloadProtocol sealed_protocol(PayloadProtocol clear) {
  return clear == kDiameter ? kDiameterDtls : clear;
}

PayloadProtocol clear_protocol(PayloadProtocol sealed) {
  return sealed == kDiameterDtls ? kDiameter : sealed;
}

Result<void> SctpEndpoint::set_up(const Framing& framing) {
  protocol = framing.stream_protocol();
  send_buffer_bytes = config.sctp.send_buffer_bytes;
  if (config.tls) {
    auto loaded = TlsContext::load(*config.tls, TlsMode::messages);
    if (!loaded) return tl::unexpected(loaded.error());
    tls = std::move(*loaded);
  }
  derive_limits();
  return {};
}

std::shared_ptr<SctpEndpoint> SctpEndpoint::with(
    EndpointConfig other, std::shared_ptr<const TlsContext> certificates) const {
  auto next = std::make_shared<SctpEndpoint>(*this);
  if (other.sctp.send_buffer_bytes != config.sctp.send_buffer_bytes) {
    next->send_buffer_bytes = other.sctp.send_buffer_bytes;
  }
  next->config = std::move(other);
  next->tls = std::move(certificates);
  next->derive_limits();
  return next;
}

void SctpEndpoint::limit_send_buffer(std::size_t bytes) {
  send_buffer_bytes = std::min(send_buffer_bytes, bytes);
  derive_limits();
}

void SctpEndpoint::derive_limits() {
  sent_bytes_max = send_buffer_bytes;
  received_bytes_max = config.limits.message_bytes_max;
  if (tls == nullptr) return;
  sent_bytes_max = std::min(sent_bytes_max, SctpSecurity::kMessageBytesMax);
  received_bytes_max = SctpSecurity::kRecordBytesMax;
}

std::unique_ptr<SctpSecurity> SctpEndpoint::new_security(SctpSecurity::Stack& stack,
                                                         bool connecting, std::string expected_peer,
                                                         bool restarted) const {
  using Role = SecureChannel::Role;
  return std::make_unique<SctpSecurity>(stack, tls, connecting ? Role::connecting : Role::accepting,
                                        std::move(expected_peer),
                                        SctpSecurity::Options{protocol, needs_auth(), restarted});
}

SctpSecurity::SctpSecurity(Stack& stack, std::shared_ptr<const TlsContext> context,
                           SecureChannel::Role role, std::string expected_peer,
                           const Options& options)
    : stack_(stack),
      context_(std::move(context)),
      expected_peer_(std::move(expected_peer)),
      protocol_(sealed_protocol(options.protocol)) {
  channel_.emplace(context_, role, expected_peer_);
  const Bytes first = channel_->output();
  first_flight_.assign(first.begin(), first.end());
  begin_keys(options);
}

// --- SCTP-AUTH ----------------------------------------------------------------------------------

void SctpSecurity::begin_keys(const Options& options) {
  if (!stack_.peer_has_auth()) {
    // RFC 6083 §4.5 wants DATA chunks authenticated; but no stack refuses who knows nothing of
    // that.
    if (options.need_auth)
      problem_ = "the peer does not authenticate its chunks (SCTP-AUTH, RFC 4895)";
    return;
  }
  keys_ = Keys::first;
  if (!options.restarted) return;
  key_done(stack_.set_auth_key(kFirstKey, {}));
  key_done(stack_.use_auth_key(kFirstKey));
}

void SctpSecurity::key_done(int error) {
  if (error == 0 || failed()) return;
  problem_ = std::string("a key for SCTP-AUTH could not be changed: ") + std::strerror(error);
}

// As soon as both ends can know it: the peer may use it at once.
void SctpSecurity::set_new_key() {
  std::array<std::byte, kSctpAuthKeyBytes> key;
  if (keys_ != Keys::first || !channel_->export_key(kDtlsOverSctpLabel, key)) return;
  keys_ = Keys::both;
  key_done(stack_.set_auth_key(kNewKey, key));
}

// RFC 6083 §4.8: "Once the corresponding Finished message from the peer has been received, the old
// SCTP-AUTH key SHOULD be removed." It is empty: everybody knows it.
void SctpSecurity::drop_first_key() {
  if (keys_ != Keys::changed || handshaking()) return;
  keys_ = Keys::done;
  key_done(stack_.delete_auth_key(kFirstKey));
}

// --- In -----------------------------------------------------------------------------------------

// If both connect at once, one association comes of it (RFC 9260 §5.2.1), and both begin it as DTLS
// clients. RFC 6083 knows no way out of that. Ours: whose random is the lesser, becomes the server.
// true: not we, and the peer's first flight is not looked at.
bool SctpSecurity::wins_against(Bytes record) {
  const auto ours = client_random_of(first_flight_);
  const auto theirs = client_random_of(record);
  if (!ours || !theirs) return false;
  if (std::lexicographical_compare(theirs->begin(), theirs->end(), ours->begin(), ours->end())) {
    return true;
  }
  channel_.emplace(context_, SecureChannel::Role::accepting, expected_peer_);
  return false;
}

void SctpSecurity::receive(const Message& record) {
  if (!first_flight_.empty()) {
    const bool wins = wins_against(record.payload.bytes());
    first_flight_ = {};
    if (wins) return;
  }
  channel_->receive(record.payload.bytes(), tag_of(record));
  set_new_key();
  drop_first_key();
}

SctpSecurity::Event SctpSecurity::next(BufferPool& pool, Message& into) {
  using State = SecureChannel::State;
  if (failed()) return Event::failed;
  if (channel_->state() == State::open && !std::exchange(told_open_, true)) return Event::opened;
  std::array<std::byte, kMessageBytesMax> space;
  if (const std::size_t size = channel_->read(space)) {
    BufferBuilder payload(pool, size);
    payload.append(Bytes(space).first(size));
    into.payload = std::move(payload).finish();
    apply_tag(channel_->tag(), into);
    return Event::message;
  }
  if (failed()) return Event::failed;
  if (peer_said_goodbye() && !std::exchange(told_end_, true)) return Event::ended;
  return Event::nothing;
}

// --- Out ----------------------------------------------------------------------------------------

std::optional<SctpSecurity::Record> SctpSecurity::outgoing(const SendQueue& queue) {
  if (!problem_.empty()) return std::nullopt;
  if (channel_->output().empty()) {
    if (queue.empty() || !channel_->write(queue.front().payload.bytes())) return std::nullopt;
    sealed_ = true;
  }
  Record record;
  record.bytes = channel_->output();
  if (sealed_) {
    const Message& front = queue.front();
    record.info = {front.stream, sealed_protocol(front.protocol), front.unordered};
    record.of_queue = true;
    return record;
  }
  // RFC 6083 §4.4: all but application data goes on stream 0, in order.
  record.info = {StreamId{0}, protocol_, false};
  if (std::to_integer<std::uint8_t>(record.bytes.front()) == DtlsRecord::kChangeCipherSpec) {
    // RFC 6083 §4.7: "Before sending a ChangeCipherSpec message, all outstanding SCTP user messages
    // MUST have been acknowledged by the SCTP peer".
    if (!dry_) {
      waits_for_dry_ = true;
      return std::nullopt;
    }
    // RFC 6083 §4.8: "Before sending the DTLS Finished message, the active SCTP-AUTH key MUST be
    // switched to the new one." One record earlier, nothing is under way any more that was sent
    // with the old one, which the peer removes when it has read Finished.
    record.begins_key = true;
  }
  return record;
}

int SctpSecurity::send(const Record& record, bool more) {
  if (record.begins_key && keys_ == Keys::both) {
    keys_ = Keys::changed;
    key_done(stack_.use_auth_key(kNewKey));
    if (failed()) return ECANCELED;
  }
  if (const int error = stack_.send_record(record.info, record.bytes, more)) return error;
  channel_->sent(record.bytes.size());
  sealed_ = false;
  dry_ = false;
  drop_first_key();
  return 0;
}

void SctpSecurity::dry() {
  dry_ = true;
  waits_for_dry_ = false;
}

bool SctpSecurity::say_goodbye() {
  if (failed() || handshaking()) return true;
  // RFC 6083 §4.9: "a CloseNotify message MUST only be sent after all outstanding SCTP user
  // messages have been acknowledged by the SCTP peer".
  if (!said_goodbye_ && !dry_) {
    waits_for_dry_ = true;
    return false;
  }
  if (!std::exchange(said_goodbye_, true)) channel_->close();
  return channel_->output().empty();
}

void SctpSecurity::say_last_words() {
  channel_->close();
  const SendQueue nothing{AssociationLimits{}};
  while (has_own_record()) {
    const auto record = outgoing(nothing);
    if (!record || record->begins_key || send(*record, false) != 0) return;
  }
}

void SctpSecurity::judge_end(DownCause& cause, std::string& detail) const {
  if (!told_open_) {
    cause = DownCause::tls_failed;
    detail = "DTLS: the association ended during the handshake" +
             (detail.empty() ? std::string() : ": " + detail);
  } else if (cause == DownCause::peer_shutdown && !peer_said_goodbye()) {
    // SHUTDOWN chunks are not authenticated.
    cause = DownCause::peer_abort;
    detail = "DTLS: the association was cut off, without close_notify";
  }
}

bool SctpSecurity::unseal(Message& returned) const {
  auto plain = channel_->unseal(returned.payload.bytes());
  if (!plain) return false;
  returned.payload = Buffer::copy_of(*plain);
  returned.protocol = clear_protocol(returned.protocol);
  return true;
}

}  // namespace siglane::transport
