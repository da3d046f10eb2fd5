#include "transport/usrsctp_association.h"

#include <cerrno>
#include <utility>

namespace siglane::transport {
namespace {

// Flush early after so many messages: a long turn must not hold back what is ready.
constexpr std::size_t kFlushMessages = 16;
// How long a graceful close may take before it becomes an abort.
constexpr Duration kCloseTimeout = 5s;

}  // namespace

UsrsctpAssociation::UsrsctpAssociation(AssociationId id, SctpId stack_id,
                                       std::shared_ptr<const UsrsctpEndpoint> endpoint,
                                       UsrsctpSocket& shared, UsrsctpHost& host)
    : queue(endpoint->config.limits),
      reassembly(endpoint->received_bytes_max),
      meter(host.now()),
      id_(id),
      stack_id_(stack_id),
      endpoint_(std::move(endpoint)),
      shared_(&shared),
      host_(host) {}

// --- Sending --------------------------------------------------------------------------------

SendOutcome UsrsctpAssociation::send(Message&& message) {
  const std::size_t size = message.payload.size();
  if (phase_ != Phase::up || static_cast<std::uint16_t>(message.stream) >= streams_out_ ||
      size == 0 || size > endpoint_->sent_bytes_max || !queue.push(std::move(message))) {
    return refuse(size);
  }
  if (!blocked && queue.messages() >= kFlushMessages) {
    flush();
  } else if (!dirty) {
    host_.flush_at_end_of_turn(*this);
  }
  return SendOutcome::accepted;
}

SendOutcome UsrsctpAssociation::refuse(std::size_t size) {
  // DTLS has no way to cut a message in two (RFC 6083 §3.3).
  if (security_ != nullptr && size > endpoint_->sent_bytes_max) {
    host_.counters().add(Counter::tls_messages_too_long);
  }
  return SendOutcome::refused;
}

void UsrsctpAssociation::flush() {
  if (phase_ != Phase::up && phase_ != Phase::draining && phase_ != Phase::securing) return;
  security_ != nullptr ? send_sealed() : send_queued();
  if (queue.empty() && phase_ == Phase::draining && said_goodbye()) begin_shutdown();
  if (queue.congestion_changed()) host_.congestion_changed(*this);
}

// All but the last wait for company, so that small messages share packets.
void UsrsctpAssociation::send_queued() {
  if (queue.empty() || blocked) return;
  const bool several = queue.messages() > 1;
  if (several) socket().hold_small(true);
  bool holding = several;
  const Instant now = Loop::fresh_now();
  while (!queue.empty()) {
    if (holding && queue.messages() == 1) {
      socket().hold_small(false);
      holding = false;
    }
    const int error = socket().send(stack_id_, queue.front());
    // Otherwise it has ended, and its notification waits to be read. The queue becomes Unsent.
    if (try_later(error) || error != 0) break;
    account_for(queue.pop(), now);
  }
  if (holding) socket().hold_small(false);
}

bool UsrsctpAssociation::try_later(int error) {
  if (error != EAGAIN && error != ENOBUFS && error != ENOMEM) return false;
  blocked = true;
  host_.counters().add(Counter::send_blocked);
  host_.wait_for_room(*this);
  return true;
}

void UsrsctpAssociation::account_for(const Message& message, Instant now) {
  meter.count_out(message.payload.size());
  if (message.caused_at != Instant{} && now > message.caused_at) {
    residence.record(static_cast<std::uint64_t>((now - message.caused_at).count()));
  }
}

std::optional<AssociationUnsent> UsrsctpAssociation::returned(
    const notification::SendFailed& failed) {
  AssociationUnsent unsent;
  unsent.message.stream = failed.stream;
  unsent.message.protocol = failed.protocol;
  unsent.message.unordered = failed.unordered;
  unsent.sent_unacknowledged = failed.sent;
  if (failed.begins && failed.ends) {
    unsent.message.payload = Buffer::copy_of(failed.payload);
    if (security_ != nullptr && !security_->unseal(unsent.message)) return std::nullopt;
    return unsent;
  }
  if (failed.begins) {
    returning_.clear();
    returning_begun_ = true;
    returning_sent_ = false;
  }
  if (!returning_begun_) return std::nullopt;  // its beginning was acknowledged
  returning_.insert(returning_.end(), failed.payload.begin(), failed.payload.end());
  returning_sent_ = returning_sent_ || failed.sent;
  if (!failed.ends) return std::nullopt;
  unsent.message.payload = Buffer::copy_of(returning_);
  unsent.sent_unacknowledged = returning_sent_;
  returning_begun_ = false;
  returning_ = {};
  if (security_ != nullptr && !security_->unseal(unsent.message)) return std::nullopt;
  return unsent;
}

// --- Beginning and end ----------------------------------------------------------------------

void UsrsctpAssociation::close(CloseMode mode) {
  switch (phase_) {
    case Phase::over:
    case Phase::aborting:
      return;
    case Phase::connecting:
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
  close_by_ = host_.now() + kCloseTimeout;
  if (!dirty) host_.flush_at_end_of_turn(*this);
}

void UsrsctpAssociation::begin_shutdown() {
  phase_ = Phase::shutting_down;
  if (!close_by_) close_by_ = host_.now() + kCloseTimeout;
  // An error: it has ended by itself, and its notification waits to be read.
  (void)socket().shut_down(stack_id_);
}

void UsrsctpAssociation::fail(DownCause cause, std::string detail) {
  phase_ = Phase::aborting;
  down_cause_ = cause;
  down_detail_ = std::move(detail);
  close_by_ = host_.now();  // the notification should be there already
  (void)socket().abort(stack_id_);
  host_.read_soon(*this);
}

void UsrsctpAssociation::came_up(const notification::AssociationChanged& up,
                                 const SocketAddress& local, const SocketAddress& remote,
                                 UsrsctpAddress from) {
  phase_ = Phase::up;
  up_since_ = host_.now();
  streams_in_ = up.streams_in;
  streams_out_ = up.streams_out;
  local_ = local.with_port(socket().port());
  remote_ = remote.with_port(from.port);
  path = from.path;
  peer_port = from.port;
}

void UsrsctpAssociation::peer_shut_down() {
  if (phase_ == Phase::up || phase_ == Phase::draining) phase_ = Phase::peer_closing;
}

void UsrsctpAssociation::ended(DownCause cause, std::string detail) {
  if (security_ != nullptr) security_->judge_end(cause, detail);
  const bool ours = phase_ == Phase::draining || phase_ == Phase::shutting_down ||
                    phase_ == Phase::aborting || phase_ == Phase::over;
  phase_ = Phase::over;
  if (ours) return;
  down_cause_ = cause;
  down_detail_ = std::move(detail);
}

// --- What is said of it ---------------------------------------------------------------------

AssociationUp UsrsctpAssociation::up_event() {
  AssociationUp up;
  up.local = endpoint_->id;
  up.local_addresses = {local_.text()};
  up.remote_addresses = {remote_.text()};
  up.remote_port = remote_.port();
  up.streams_in = streams_in_;
  up.streams_out = streams_out_;
  if (initiator) up.peer = peer;
  up.initiator = initiator;
  if (security_ != nullptr) up.certificate_names = security_->peer_names();
  was_up_ = true;
  return up;
}

AssociationStatus UsrsctpAssociation::status() const {
  AssociationStatus status;
  status.endpoint = endpoint_->config.name;
  if (local_.valid()) status.local = local_.text_with_port();
  if (remote_.valid()) status.remote = remote_.text_with_port();
  status.transport = TransportKind::usrsctp;
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

PeeloffSample UsrsctpAssociation::sample(Instant now) const {
  PeeloffSample sample;
  sample.id = id_;
  sample.pin = placement;
  sample.age = now - up_since_;
  sample.rates = meter.rates();
  sample.above_threshold = meter.above_threshold();
  return sample;
}

}  // namespace siglane::transport
