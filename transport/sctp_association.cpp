#include "transport/sctp_association.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace siglane::transport {
namespace {

// Flush early after so many messages: a long turn must not hold back what is ready.
constexpr std::size_t kFlushMessages = 16;

}  // namespace

SctpAssociation::SctpAssociation(AssociationId id, SctpId stack_id,
                                 std::shared_ptr<const SctpEndpoint> endpoint, SctpHost& host,
                                 Instant now)
    : queue(endpoint->config.limits),
      reassembly(endpoint->received_bytes_max),
      meter(now),
      connecting_since(now),
      id_(id),
      stack_id_(stack_id),
      endpoint_(std::move(endpoint)),
      host_(&host) {}

// --- Sending --------------------------------------------------------------------------------

// What a message costs of SO_SNDBUF: the kernel counts its own structures for every chunk too
// (measured on Linux 6.1: a chunk of 1000 bytes costs some 1870).
std::uint64_t SctpAssociation::stack_cost(std::size_t size) {
  constexpr std::size_t kChunkBytes = 1400, kOverheadBytes = 870;
  return size + kOverheadBytes * (1 + size / kChunkBytes);
}

SendOutcome SctpAssociation::send(Message&& message) {
  const std::size_t size = message.payload.size();
  if (phase_ != Phase::up || static_cast<std::uint16_t>(message.stream) >= streams_out_ ||
      size == 0 || size > endpoint_->sent_bytes_max || !queue.push(std::move(message))) {
    return refuse(size);
  }
  if (!blocked && !at_cap()) {
    if (queue.messages() >= kFlushMessages) {
      flush();
    } else if (!dirty) {
      host_->flush_at_end_of_turn(*this);
    }
  }
  tell_congestion();
  return SendOutcome::accepted;
}

SendOutcome SctpAssociation::refuse(std::size_t size) {
  // DTLS has no way to cut a message in two (RFC 6083 §3.3).
  if (security_ != nullptr && size > endpoint_->sent_bytes_max) {
    host_->counters().add(Counter::tls_messages_too_long);
  }
  return SendOutcome::refused;
}

bool SctpAssociation::flush() {
  if (phase_ != Phase::up && phase_ != Phase::draining && phase_ != Phase::securing) return true;
  const std::size_t before = queue.messages();
  blocked = false;
  security_ != nullptr ? send_sealed() : send_queued();
  if (queue.empty() && phase_ == Phase::draining && said_goodbye()) {
    phase_ = Phase::shutting_down;
    // An error: it has ended by itself, and its notification waits to be read.
    (void)shut_down_association(fd(), stack_id_);
  }
  tell_congestion();
  return queue.empty() || queue.messages() < before;
}

void SctpAssociation::send_queued() {
  if (queue.empty()) return;
  const Instant now = Loop::fresh_now();
  while (!queue.empty() && !at_cap()) {
    const Message& next = queue.front();
    const bool last = reaches_cap(stack_cost(next.payload.size()));
    // The last one before the cap must not be corked, and is worth an answer at once: until the
    // stack is dry, nothing more goes.
    const int error = send_message(fd(), stack_id_, next, {queue.messages() > 1 && !last, last});
    // Otherwise it has ended, and its notification waits to be read. The queue becomes Unsent.
    if (try_later(error) || error != 0) break;
    account_for(queue.pop(), now);
  }
  watch_for_dry();
}

bool SctpAssociation::try_later(int error) {
  if (error != EAGAIN && error != ENOBUFS && error != ENOMEM) return false;
  blocked = true;
  host_->counters().add(Counter::send_blocked);
  if (own_) {
    own_->want_writable(true);
  } else {
    host_->wait_until_writable(*this);
  }
  return true;
}

void SctpAssociation::account_for(const Message& message, Instant now) {
  held_bytes_ += stack_cost(message.payload.size());
  meter.count_out(message.payload.size());
  if (message.caused_at != Instant{} && now > message.caused_at) {
    residence.record(static_cast<std::uint64_t>((now - message.caused_at).count()));
  }
}

// A quiet association never comes near the cap, and need not be told each time that it is dry.
void SctpAssociation::watch_for_dry() {
  const bool asked_for = security_ != nullptr && security_->waits_for_dry();
  const bool near_cap = !peeled() && held_bytes_ * 2 >= endpoint_->held_bytes_max();
  if (dry_subscribed_ || !(near_cap || asked_for)) return;
  dry_subscribed_ = subscribe_dry(fd(), stack_id_, true) == 0;
}

void SctpAssociation::dry() {
  held_bytes_ = 0;
  if (dry_subscribed_) {
    (void)subscribe_dry(fd(), stack_id_, false);
    dry_subscribed_ = false;
  }
  if (security_ != nullptr) security_->dry();
  if (!queue.empty() || security_ != nullptr) flush_soon();
}

void SctpAssociation::tell_congestion() {
  if (auto change = queue.congestion_change()) host_->tell_congestion_soon(*this, *change);
}

std::optional<AssociationPathChange> SctpAssociation::path_changed(const std::string& address,
                                                                   PathState state) {
  // Where there is no other path, no traffic leaves this one.
  if (state == PathState::potentially_failed && remote_addresses_.size() < 2) return std::nullopt;
  auto known = std::find_if(failed_paths_.begin(), failed_paths_.end(),
                            [&](const auto& path) { return path.first == address; });
  const bool failed = known != failed_paths_.end();
  if (state == (failed ? known->second : PathState::reachable)) return std::nullopt;
  if (failed) failed_paths_.erase(known);
  if (state != PathState::reachable) failed_paths_.emplace_back(address, state);
  return AssociationPathChange{address, state};
}

bool SctpAssociation::paths_due(Instant now, Duration patience) {
  if (paths_seen_to_ || phase_ != Phase::up || now - up_since_ < patience) return false;
  paths_seen_to_ = true;
  return remote_addresses_.size() > 1;
}

std::optional<AssociationUnsent> SctpAssociation::returned(const notification::SendFailed& failed) {
  if (failed.begins) {
    returning_.emplace();
    returning_sent_ = false;
  }
  if (!returning_) return std::nullopt;  // its beginning never came
  returning_->insert(returning_->end(), failed.payload.begin(), failed.payload.end());
  returning_sent_ = returning_sent_ || failed.sent;
  if (!failed.ends) return std::nullopt;

  AssociationUnsent unsent;
  unsent.message.stream = failed.stream;
  unsent.message.protocol = failed.protocol;
  unsent.message.unordered = failed.unordered;
  unsent.message.payload = Buffer::copy_of(*returning_);
  unsent.sent_unacknowledged = returning_sent_;
  returning_.reset();
  if (security_ != nullptr && !security_->unseal(unsent.message)) return std::nullopt;
  return unsent;
}

// --- Beginning and end ----------------------------------------------------------------------

void SctpAssociation::close(CloseMode mode) {
  switch (phase_) {
    case Phase::over:
    case Phase::aborting:
      return;
    case Phase::connecting:
      // Linux drops a handshake that is closed gracefully without a word.
    case Phase::securing:
      mode = CloseMode::abort;
      break;
    case Phase::up:
      break;
    case Phase::draining:
    case Phase::shutting_down:
    case Phase::peer_closing:
      if (mode == CloseMode::graceful) return;
      break;
  }
  if (mode == CloseMode::abort) return fail(DownCause::local_close, "aborted");
  phase_ = Phase::draining;
  down_cause_ = DownCause::local_close;
  if (!dirty) host_->flush_at_end_of_turn(*this);
}

void SctpAssociation::fail(DownCause cause, std::string detail) {
  phase_ = Phase::aborting;
  down_cause_ = cause;
  down_detail_ = std::move(detail);
  // An error: it has ended by itself, and its notification waits to be read.
  (void)abort_association(fd(), stack_id_);
}

void SctpAssociation::came_up(const notification::AssociationChanged& up,
                              std::vector<std::string> local, std::vector<SocketAddress> remote,
                              Instant now) {
  phase_ = Phase::up;
  up_since_ = now;
  streams_in_ = up.streams_in;
  streams_out_ = up.streams_out;
  local_addresses_ = std::move(local);
  remote_addresses_.clear();
  for (const SocketAddress& address : remote) remote_addresses_.push_back(address.text());
  if (!remote.empty()) {
    remote_port_ = remote.front().port();
    remote_text_ = remote.front().text_with_port();
  }
  if (!local_addresses_.empty()) {
    if (auto address = SocketAddress::parse(local_addresses_.front(), local_port(fd()))) {
      local_text_ = address->text_with_port();
    }
  }
}

void SctpAssociation::peer_shut_down() {
  if (phase_ == Phase::up || phase_ == Phase::draining) phase_ = Phase::peer_closing;
}

void SctpAssociation::ended(DownCause cause, std::string detail) {
  if (security_ != nullptr) security_->judge_end(cause, detail);
  const bool ours = phase_ == Phase::draining || phase_ == Phase::shutting_down ||
                    phase_ == Phase::aborting || phase_ == Phase::over;
  phase_ = Phase::over;
  if (ours) return;
  down_cause_ = cause;
  down_detail_ = std::move(detail);
}

// --- Where it sits --------------------------------------------------------------------------

void SctpAssociation::sit_on(WatchedSocket own) {
  shared_fd_ = -1;
  own_.emplace(std::move(own));
}

int SctpAssociation::leave_socket() {
  const int fd = own_ ? own_->release() : -1;
  own_.reset();
  shared_fd_ = -1;
  return fd;
}

void SctpAssociation::move_to(SctpHost& host, BufferPool& pool) {
  host_ = &host;
  reassembly.move_to(pool);
  dirty = blocked = false;
}

// --- What is said of it ---------------------------------------------------------------------

AssociationUp SctpAssociation::up_event() {
  AssociationUp up;
  up.local = endpoint_->id;
  up.local_addresses = local_addresses_;
  up.remote_addresses = remote_addresses_;
  up.remote_port = remote_port_;
  up.streams_in = streams_in_;
  up.streams_out = streams_out_;
  if (initiator) up.peer = peer;
  up.initiator = initiator;
  if (security_ != nullptr) up.certificate_names = security_->peer_names();
  was_up_ = true;
  return up;
}

AssociationStatus SctpAssociation::status() const {
  AssociationStatus status;
  status.endpoint = endpoint_->config.name;
  status.local = local_text_;
  status.remote = remote_text_;
  status.transport = TransportKind::kernel_sctp;
  status.peeled = peeled();
  status.reason = peel_reason;
  status.peeled_at = peeled_at;
  status.peeled_at_messages_per_second = peeled_at_messages_per_second;
  status.congested = queue.congested();
  status.queued_messages = queue.messages();
  status.queued_bytes = queue.bytes();
  status.messages_in_per_second = meter.rates().messages_in;
  status.messages_out_per_second = meter.rates().messages_out;
  return status;
}

PeeloffSample SctpAssociation::sample(Instant now, std::optional<std::size_t> window_full) {
  PeeloffSample sample;
  sample.id = id_;
  sample.pin = placement;
  sample.age = now - up_since_;
  sample.rates = meter.rates();
  sample.above_threshold = meter.above_threshold();
  sample.bytes_held = held_bytes_;
  std::uint32_t unacknowledged = 0;
  if (held_bytes_ * 2 >= endpoint_->held_bytes_max()) {
    if (auto status = stack_status(fd(), stack_id_)) unacknowledged = status->unacknowledged;
    sample.held_is_stuck = unacknowledged != 0 && unacknowledged == last_unacknowledged_;
    // Nothing is on its way, so it should have been told dry: the kernel tells it again, if so.
    if (unacknowledged == 0 && std::exchange(dry_subscribed_, false)) {
      (void)subscribe_dry(fd(), stack_id_, false);
      watch_for_dry();
    }
  }
  last_unacknowledged_ = unacknowledged;
  if (window_full) {
    const std::size_t left = offered_window(fd(), stack_id_).value_or(*window_full);
    sample.bytes_undelivered = *window_full > left ? *window_full - left : 0;
  }
  return sample;
}

}  // namespace siglane::transport
