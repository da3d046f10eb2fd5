// The part of a stream connection that exists with TLS only.
#include <algorithm>
#include <array>
#include <cerrno>

#include <sys/socket.h>

#include "transport/counters.h"
#include "transport/stream/connection.h"

namespace siglane::transport {
namespace {

// Encrypted ahead of the socket. Far below what the channel may hold: the rest is for what the peer
// makes it send.
constexpr std::size_t kSealedBytesMax = 65536;

}  // namespace

// TCP is connected; nobody is told before the peer has shown who it is.
void StreamConnection::begin_handshake() {
  using Role = SecureChannel::Role;
  phase_ = Phase::securing;
  const StreamEndpoint& endpoint = *state_.endpoint;
  state_.channel = std::make_unique<SecureChannel>(
      endpoint.tls, initiator_ ? Role::connecting : Role::accepting, identity_);
  timer_.emplace(
      host_.loop().timer([this] { secure_failed("no handshake within handshake_timeout_ms"); }));
  timer_->start_after(endpoint.config.stream.handshake_timeout);
  ask_for_flush();
}

// Everything that the channel can give now.
void StreamConnection::read_plain() {
  if (phase_ == Phase::securing && state_.channel->state() == SecureChannel::State::open) {
    timer_.reset();
    report_up();
  }
  while (receiving() && phase_ != Phase::securing) {
    const std::span<std::byte> space = host_.read_space();
    const std::size_t got = state_.channel->read(space);
    if (got == 0) break;
    consume(space.first(got));
  }
  if (!receiving()) return;  // over, or moved away in the middle
  switch (state_.channel->state()) {
    case SecureChannel::State::handshaking:
    case SecureChannel::State::open:
      if (!state_.channel->output().empty()) ask_for_flush();
      return;
    case SecureChannel::State::closed:
      return secure_ended();
    case SecureChannel::State::failed:
      return secure_failed(state_.channel->problem());
  }
}

void StreamConnection::write_sealed() {
  SecureChannel& channel = *state_.channel;
  for (;;) {
    while (!channel.output().empty()) {
      const Bytes bytes = channel.output();
      const ssize_t written =
          ::send(state_.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && errno != EAGAIN) {
        broken_ = errno;
        return;
      }
      if (written > 0) channel.sent(static_cast<std::size_t>(written));
      if (written < static_cast<ssize_t>(bytes.size())) {
        blocked_ = true;
        host_.counters().add(counter::send_blocked);
        return;
      }
    }
    const Instant now = Loop::fresh_now();
    for (; state_.sealed > 0; --state_.sealed) front_is_out(now);
    if (phase_ == Phase::securing || phase_ == Phase::ended || state_.queue.empty()) return;
    seal_some();
    if (phase_ == Phase::ended) return;
  }
}

// Encrypts from the front of the queue, several small messages into one record. A large message
// goes in parts, each when the socket has taken the one before: it may be more than is ever held.
void StreamConnection::seal_some() {
  std::array<std::byte, SecureChannel::kMessageBytesMax> record;
  std::size_t filled = 0, total = 0;
  bool good = true;
  while (good && state_.sealed < state_.queue.messages() && total < kSealedBytesMax) {
    const Bytes rest = state_.queue.at(state_.sealed).payload.bytes().subspan(state_.front_sent);
    const Bytes part = rest.first(std::min(rest.size(), record.size() - filled));
    std::copy(part.begin(), part.end(), record.begin() + static_cast<std::ptrdiff_t>(filled));
    filled += part.size();
    total += part.size();
    state_.front_sent += part.size();
    if (part.size() == rest.size()) {
      ++state_.sealed;
      state_.front_sent = 0;
    }
    if (filled < record.size()) continue;
    good = state_.channel->write(record);
    filled = 0;
  }
  if (good) good = state_.channel->write(Bytes(record).first(filled));
  if (!good) secure_failed(state_.channel->problem());
}

// Everything is written. Does the peer know that this was all?
bool StreamConnection::close_announced() {
  if (state_.channel == nullptr) return true;
  state_.channel->close();
  if (!blocked_) write_sealed();
  return state_.channel->output().empty();
}

// The peer has said close_notify. With TLS 1.3 that ends its half of the stream alone (RFC 8446
// §6.1: "This does not have any effect on its read side of the connection"). With TLS 1.2, the
// other party MUST "close down the connection immediately, discarding any pending writes" (RFC 5246
// §7.2.1).
void StreamConnection::secure_ended() {
  if (state_.channel->may_write_after_close()) return peer_ended();
  state_.channel->close();
  say_last_words();
  if (phase_ == Phase::awaiting_end) return end(DownCause::local_close, {});
  end(DownCause::peer_shutdown,
      state_.input.empty() ? "" : "the stream ended in the middle of a message");
}

// An alert, if there is one, is for the peer's operator. Whether it gets through changes nothing.
void StreamConnection::say_last_words() {
  const Bytes last = state_.channel->output();
  if (last.empty() || blocked_ || broken_ != 0) return;
  (void)!::send(state_.fd.get(), last.data(), last.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void StreamConnection::secure_failed(const std::string& problem) {
  if (phase_ == Phase::securing) host_.counters().add(counter::tls_handshakes_failed);
  say_last_words();
  if (phase_ == Phase::awaiting_end) return end(DownCause::local_close, "TLS: " + problem);
  end(DownCause::tls_failed, "TLS: " + problem);
}

}  // namespace siglane::transport
