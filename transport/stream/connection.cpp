#include "transport/stream/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "transport/counters.h"

namespace siglane::transport {
namespace {

constexpr std::size_t kVectorsMax = 64;        // messages in one write
constexpr std::size_t kKeptInputBytes = 4096;  // an idle connection keeps no more
constexpr int kDrainReadsMax = 64;             // after an error

std::string error_text(int error) {
  return std::strerror(error);
}

int socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

SocketAddress own_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return SocketAddress::from(storage);
}

void set_options(int fd, const StreamOptions& options) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto patience = static_cast<unsigned>(
      std::chrono::duration_cast<std::chrono::milliseconds>(options.unacknowledged_timeout)
          .count());
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
}

}  // namespace

DownCause cause_of_errno(int error, bool connecting) {
  switch (error) {
    case ECONNREFUSED:
      return DownCause::refused;
    case ECONNRESET:
      return connecting ? DownCause::refused : DownCause::peer_abort;
    case EPIPE:
      return DownCause::peer_abort;
    case ETIMEDOUT:
      return connecting ? DownCause::unreachable : DownCause::lost;
    default:
      return connecting ? DownCause::unreachable : DownCause::lost;
  }
}

StreamConnection::StreamConnection(StreamHost& host, StreamListener& listener, StreamState state)
    : host_(host),
      listener_(listener),
      id_(state.id),
      pool_(state.endpoint->config.pool),
      state_(std::move(state)) {}

void StreamConnection::follow(std::shared_ptr<const StreamEndpoint> endpoint) {
  state_.endpoint = std::move(endpoint);
  state_.queue.limit(state_.endpoint->config.limits);
  if (state_.queue.congestion_changed()) host_.attend_soon(*this);
}

// --- Beginning ------------------------------------------------------------------------------

void StreamConnection::connect(const PeerConfig& peer) {
  peer_ = peer.name;
  identity_ = peer.identity();
  initiator_ = true;
  for (const std::string& text : peer.addresses) {
    if (auto address = SocketAddress::parse(text, peer.port)) {
      targets_.push_back(*address);
    } else {
      attempts_ += address.error().what + "; ";
    }
  }
  if (targets_.empty() && attempts_.empty()) attempts_ = "no address to connect to; ";
  timer_.emplace(host_.loop().timer([this] { attempt_failed(ETIMEDOUT); }));
  try_next_address();
}

void StreamConnection::try_next_address() {
  while (next_target_ < targets_.size()) {
    const SocketAddress& target = targets_[next_target_];
    std::string problem = start_attempt(target);
    if (problem.empty()) return;
    attempts_ += target.text_with_port() + ": " + problem + "; ";
    ++next_target_;
  }
  if (attempts_.size() >= 2) attempts_.resize(attempts_.size() - 2);  // the last "; "
  end(attempt_cause_, attempts_);
}

// Empty: it is under way.
std::string StreamConnection::start_attempt(const SocketAddress& remote) {
  const auto& own = state_.endpoint->addresses;
  const auto from = std::find_if(own.begin(), own.end(), [&](const SocketAddress& address) {
    return address.family() == remote.family();
  });
  if (!own.empty() && from == own.end()) return "the endpoint has no address of that family";
  state_.fd = FileDescriptor(
      socket(remote.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!state_.fd.valid()) return error_text(errno);
  const int fd = state_.fd.get();
  set_options(fd, state_.endpoint->config.stream);
  if (from != own.end()) {
    const int on = 1;  // the port is chosen at connect, by four-tuple
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const SocketAddress local = from->with_port(0);
    if (bind(fd, local.raw(), local.size()) != 0) {
      return "from " + local.text() + ": " + error_text(errno);
    }
  }
  if (::connect(fd, remote.raw(), remote.size()) != 0 && errno != EINPROGRESS) {
    attempt_cause_ = cause_of_errno(errno, true);
    return error_text(errno);
  }
  state_.remote = remote;
  if (!start_polling()) return "the descriptor cannot be watched";
  poll_->watch(false, true);
  timer_->start_after(state_.endpoint->config.stream.connect_timeout);
  return {};
}

void StreamConnection::attempt_failed(int error) {
  attempt_cause_ = cause_of_errno(error, true);
  attempts_ += state_.remote.text_with_port() + ": " + error_text(error) + "; ";
  poll_->close([fd = state_.fd.release()] { ::close(fd); });
  poll_.reset();
  timer_->stop();
  ++next_target_;
  try_next_address();
}

void StreamConnection::finish_connect() {
  if (const int error = socket_error(state_.fd.get()); error != 0) return attempt_failed(error);
  // A connect to a local port that nobody listens on may meet itself.
  if (own_address(state_.fd.get()) == state_.remote) return attempt_failed(ECONNREFUSED);
  timer_.reset();
  established();
}

void StreamConnection::established() {
  if (state_.endpoint->tls != nullptr) return begin_handshake();
  report_up();
}

void StreamConnection::accepted() {
  set_options(state_.fd.get(), state_.endpoint->config.stream);
  if (!start_polling()) return end(DownCause::lost, "the descriptor cannot be watched", true);
  established();
}

void StreamConnection::report_up() {
  phase_ = Phase::open;
  state_.local = own_address(state_.fd.get());
  watch();
  AssociationUp up;
  up.local = state_.endpoint->id;
  up.local_addresses = {state_.local.text()};
  up.remote_addresses = {state_.remote.text()};
  up.remote_port = state_.remote.port();
  up.peer = peer_;
  up.initiator = initiator_;
  if (state_.channel != nullptr) up.certificate_names = state_.channel->peer_names();
  listener_.on_event(*this, std::move(up));
}

void StreamConnection::adopted() {
  phase_ = Phase::open;
  if (!start_polling()) return end(DownCause::lost, "the descriptor cannot be watched", true);
  // What came before comes first: the socket is read when the loop has shown us that.
  input_left_ = true;
  host_.attend_soon(*this);
  if (!state_.queue.empty() || state_.channel != nullptr) ask_for_flush();
}

StreamState StreamConnection::detach() {
  if (in_consume_) state_.input = std::vector<std::byte>(unread_.begin(), unread_.end());
  poll_->close();
  poll_.reset();
  phase_ = Phase::moved;
  return std::move(state_);
}

// --- Watching -------------------------------------------------------------------------------

bool StreamConnection::start_polling() {
  auto poll = host_.loop().poll(state_.fd.get(), [this](PollEvents events) { on_poll(events); });
  if (!poll) return false;
  poll_ = std::move(*poll);
  return true;
}

void StreamConnection::watch() {
  if (!poll_ || broken_ != 0 || phase_ == Phase::connecting) return;
  poll_->watch(receiving() && !input_left_ && !paused_, blocked_);
}

void StreamConnection::pause(bool paused) {
  if (std::exchange(paused_, paused) != paused) watch();
}

void StreamConnection::on_poll(PollEvents events) {
  if (phase_ == Phase::connecting) return finish_connect();
  if (events.error != 0) {
    if (const int error = socket_error(state_.fd.get()); broken_ == 0) {
      broken_ = error != 0 ? error : ECONNRESET;
    }
    return drain_broken();
  }
  if (events.writable && blocked_) {
    blocked_ = false;
    flush();
  }
  if (events.readable && receiving() && broken_ == 0) read_once();
}

// --- Input ----------------------------------------------------------------------------------

// false: nothing to read, or the end of it.
bool StreamConnection::read_once() {
  const std::span<std::byte> space = host_.read_space();
  const ssize_t got = ::recv(state_.fd.get(), space.data(), space.size(), MSG_DONTWAIT);
  if (got > 0) {
    const Bytes fresh = space.first(static_cast<std::size_t>(got));
    if (state_.channel == nullptr) {
      consume(fresh);
    } else {
      state_.channel->receive(fresh);  // which copies it: the space is free again
      read_plain();
    }
    return true;
  }
  // When broken, the reason is known, and reading it has cleared it from the socket.
  if (broken_ != 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return false;
  read_ended(got < 0 ? errno : 0);
  return false;
}

// By an error, or, without one, by the peer.
void StreamConnection::read_ended(int error) {
  if (phase_ == Phase::awaiting_end) {
    end(DownCause::local_close, error != 0 ? error_text(error) : "");
  } else if (phase_ == Phase::securing) {
    secure_failed("the connection ended during the handshake" +
                  (error != 0 ? ": " + error_text(error) : std::string()));
  } else if (error != 0) {
    end(cause_of_errno(error, false), error_text(error));
  } else if (state_.channel != nullptr) {
    // Anybody on the way can end a TCP stream; only the peer can say close_notify.
    end(DownCause::peer_abort, "TLS: the stream was cut off, without close_notify");
  } else {
    peer_ended();
  }
}

// The other half of the stream is still open: what is owed to the peer can be sent. The session has
// to close it.
void StreamConnection::peer_ended() {
  if (!state_.input.empty()) {
    return end(DownCause::peer_shutdown, "the stream ended in the middle of a message");
  }
  peer_ended_ = true;
  watch();
  if (phase_ == Phase::open) listener_.on_event(*this, AssociationEnding{true});
}

void StreamConnection::consume(Bytes fresh) {
  const bool continues = !state_.input.empty();
  if (continues) {
    state_.input.insert(state_.input.end(), fresh.begin(), fresh.end());
    fresh = state_.input;
  }
  unread_ = fresh;
  in_consume_ = true;
  while (receiving()) {
    const auto size = whole_message();
    if (!size) break;
    deliver(*size);
  }
  in_consume_ = false;
  if (phase_ == Phase::moved) return;
  if (continues) {
    state_.input.erase(state_.input.begin(),
                       state_.input.end() - static_cast<std::ptrdiff_t>(unread_.size()));
  } else {
    state_.input.assign(unread_.begin(), unread_.end());
  }
  unread_ = {};
  if (state_.input.empty() && state_.input.capacity() > kKeptInputBytes) {
    state_.input.shrink_to_fit();
  }
}

// The size of the message at the front of what is unread, once all of it is there.
std::optional<std::size_t> StreamConnection::whole_message() {
  if (unread_.empty()) return std::nullopt;
  const std::size_t most = state_.endpoint->config.limits.message_bytes_max;
  const auto length = state_.endpoint->framing->frame_length(unread_);
  if (!length) {
    end(DownCause::protocol_error, length.error().what, true);
  } else if (!*length) {
    if (unread_.size() > most) {
      end(DownCause::protocol_error, "no message boundary within message_bytes_max", true);
    }
  } else if (**length > most) {
    host_.counters().add(counter::messages_oversized);
    end(DownCause::protocol_error,
        "a message of " + std::to_string(**length) + " bytes exceeds message_bytes_max " +
            std::to_string(most),
        true);
  } else if (**length == 0) {
    end(DownCause::protocol_error, "a message of 0 bytes", true);
  } else if (**length <= unread_.size()) {
    return **length;
  }
  return std::nullopt;
}

void StreamConnection::deliver(std::size_t size) {
  // A copy of its own: a slice of what was read would hold on to all of it.
  BufferBuilder payload(host_.buffers(), size);
  payload.append(unread_.first(size));
  unread_ = unread_.subspan(size);
  const Instant now = host_.loop().now();
  state_.in.count(now);
  AssociationReceived received;
  received.message.protocol = state_.endpoint->framing->stream_protocol();
  received.message.caused_at = now;
  received.message.payload = std::move(payload).finish();
  listener_.on_event(*this, std::move(received));
}

// The socket has failed, but what the peer sent before is still there to be read.
void StreamConnection::drain_broken() {
  for (int reads = 0; reads < kDrainReadsMax && receiving(); ++reads) {
    if (!read_once()) break;
  }
  if (alive()) read_ended(broken_);
}

// --- Output ---------------------------------------------------------------------------------

SendOutcome StreamConnection::send(Message&& message) {
  if (phase_ != Phase::open || broken_ != 0 || !state_.queue.push(std::move(message))) {
    return SendOutcome::refused;
  }
  state_.out.count(host_.loop().now());
  ask_for_flush();
  return SendOutcome::accepted;
}

void StreamConnection::ask_for_flush() {
  if (!std::exchange(flush_asked_, true)) host_.flush_at_end_of_turn(*this);
}

void StreamConnection::flush() {
  flush_asked_ = false;
  if (!sending() || broken_ != 0) return;
  const bool secure = state_.channel != nullptr;
  if (!blocked_) secure ? write_sealed() : write_some();
  const bool done = phase_ == Phase::flushing && state_.queue.empty() && close_announced();
  if (broken_ != 0) {
    host_.attend_soon(*this);
    return;
  }
  if (done && peer_ended_) return end(DownCause::peer_shutdown, {});
  if (done) {
    phase_ = Phase::awaiting_end;
    ::shutdown(state_.fd.get(), SHUT_WR);
  }
  watch();
  if (state_.queue.congestion_changed()) host_.attend_soon(*this);
}

void StreamConnection::write_some() {
  while (!state_.queue.empty()) {
    std::array<iovec, kVectorsMax> parts;
    const std::size_t count = std::min(parts.size(), state_.queue.messages());
    std::size_t total = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Bytes bytes =
          state_.queue.at(i).payload.bytes().subspan(i == 0 ? state_.front_sent : 0);
      parts[i] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
      total += bytes.size();
    }
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = count;
    const ssize_t written = ::sendmsg(state_.fd.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno != EAGAIN) {
      broken_ = errno;
      return;
    }
    if (written > 0 || total == 0) {
      note_written(written > 0 ? static_cast<std::size_t>(written) : 0);
    }
    if (written < static_cast<ssize_t>(total)) {
      blocked_ = true;
      host_.counters().add(counter::send_blocked);
      return;
    }
  }
}

void StreamConnection::note_written(std::size_t bytes) {
  const Instant now = Loop::fresh_now();
  state_.front_sent += bytes;
  while (!state_.queue.empty() && state_.front_sent >= state_.queue.front().payload.size()) {
    state_.front_sent -= state_.queue.front().payload.size();
    front_is_out(now);
  }
}

// The stack has taken all of the message at the front of the queue.
void StreamConnection::front_is_out(Instant now) {
  const Message sent = state_.queue.pop();
  if (sent.caused_at != Instant{} && now >= sent.caused_at) {
    state_.residence.record(static_cast<std::uint64_t>((now - sent.caused_at).count()));
  }
}

// --- The end --------------------------------------------------------------------------------

void StreamConnection::close(CloseMode mode) {
  if (phase_ == Phase::ended || phase_ == Phase::moved) return;
  if (mode == CloseMode::abort || phase_ == Phase::connecting || phase_ == Phase::securing ||
      broken_ != 0) {
    return end(DownCause::local_close, {}, true);
  }
  if (phase_ != Phase::open) return;
  phase_ = Phase::flushing;
  timer_.emplace(host_.loop().timer([this] {
    end(DownCause::local_close,
        peer_ended_ ? "the peer did not read in time" : "the peer did not end the stream in time",
        true);
  }));
  timer_->start_after(state_.endpoint->config.stream.close_timeout);
  ask_for_flush();
}

void StreamConnection::end(DownCause cause, std::string detail, bool reset) {
  phase_ = Phase::ended;
  end_ = {cause, std::move(detail)};
  timer_.reset();
  if (state_.fd.valid()) {
    if (reset) {
      const linger abort{1, 0};
      setsockopt(state_.fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    }
    if (poll_) {
      poll_->close([fd = state_.fd.release()] { ::close(fd); });
      poll_.reset();
    } else {
      state_.fd.reset();
    }
  }
  host_.attend_soon(*this);
}

void StreamConnection::attend() {
  if (std::exchange(input_left_, false) && receiving()) {
    consume({});
    if (receiving() && state_.channel != nullptr) read_plain();
    watch();
  }
  if (broken_ != 0 && alive()) drain_broken();
  if (phase_ == Phase::ended) {
    while (!state_.queue.empty()) {
      const bool begun = state_.sealed > 0 || std::exchange(state_.front_sent, 0) > 0;
      if (state_.sealed > 0) --state_.sealed;
      listener_.on_event(*this, AssociationUnsent{state_.queue.pop(), begun});
    }
    return;
  }
  if (alive()) {
    if (auto congested = state_.queue.congestion_change()) {
      listener_.on_event(*this, AssociationCongestion{*congested});
    }
  }
}

}  // namespace siglane::transport
