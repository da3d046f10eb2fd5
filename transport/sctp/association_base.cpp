#include "transport/sctp/association_base.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "transport/counters.h"
#include "transport/loop/loop.h"

namespace siglane::transport {
namespace {

// Flush early after so many messages: a long turn must not hold back what is ready.
constexpr std::size_t kFlushMessages = 16;

}  // namespace

SctpAssociationBase::SctpAssociationBase(AssociationId id, SctpId stack_id,
                                         std::shared_ptr<const SctpEndpoint> endpoint,
                                         SctpHost& host)
    : queue(endpoint->config.limits),
      reassembly(endpoint->received_bytes_max),
      meter(host.now()),
      id_(id),
      stack_id_(stack_id),
      endpoint_(std::move(endpoint)),
      sent_bytes_max_(endpoint_->sent_bytes_max),
      host_(&host) {}

void SctpAssociationBase::follow(std::shared_ptr<const SctpEndpoint> endpoint) {
  endpoint_ = std::move(endpoint);
  if (!peeled()) sent_bytes_max_ = endpoint_->sent_bytes_max;
  queue.limit(endpoint_->config.limits);
  reassembly.limit(endpoint_->received_bytes_max);
  note_congestion();
}

void SctpAssociationBase::move_to(SctpHost& host, BufferPool& buffers) {
  host_ = &host;
  reassembly.move_to(buffers);
  dirty = blocked = false;
  note_congestion();  // what the old host had no time to tell
}

// --- Sending --------------------------------------------------------------------------------

SendOutcome SctpAssociationBase::send(Message&& message) {
  const std::size_t size = message.payload.size();
  if (!takes_messages() || static_cast<std::uint16_t>(message.stream) >= streams_out_ ||
      size == 0 || size > sent_bytes_max_ || !queue.push(std::move(message))) {
    return refuse(size);
  }
  if (sends() && !blocked) {
    if (queue.messages() >= kFlushMessages) {
      flush();
    } else if (!dirty) {
      host_->flush_at_end_of_turn(*this);
    }
  }
  note_congestion();
  return SendOutcome::accepted;
}

SendOutcome SctpAssociationBase::refuse(std::size_t size) {
  // DTLS has no way to cut a message in two (RFC 6083 §3.3).
  if (security_ != nullptr && size > sent_bytes_max_) {
    host_->counters().add(counter::tls_messages_too_long);
  }
  return SendOutcome::refused;
}

bool SctpAssociationBase::flush() {
  if (!sends()) return true;
  const std::size_t before = queue.messages();
  blocked = false;
  if (security_ != nullptr) {
    send_sealed();
  } else if (!queue.empty()) {
    send_queued();
  }
  if (queue.empty() && phase_ == Phase::draining && said_goodbye()) {
    enter(Phase::shutting_down);
    shut_down();
  }
  note_congestion();
  return queue.empty() || queue.messages() < before;
}

void SctpAssociationBase::send_sealed() {
  const Instant now = Loop::fresh_now();
  while (has_room()) {
    const auto record = security_->outgoing(queue);
    if (!record) break;
    if (stopped_by(security_->send(*record, record->of_queue && queue.messages() > 1))) break;
    if (record->of_queue) account_for(queue.pop(), now);
  }
  if (phase_ == Phase::aborting) return;
  records_sent();
  if (security_->failed()) security_failed();
}

bool SctpAssociationBase::stopped_by(int error) {
  if (error == 0) return false;
  if (error == EAGAIN || error == ENOBUFS || error == ENOMEM) {
    host_->counters().add(counter::send_blocked);
    if (!std::exchange(blocked, true)) host_->wait_for_room(*this);
  } else if (established_in_stack()) {
    // Nobody would tell of it, and what waits would wait for ever.
    fail(DownCause::lost, std::string("cannot send: ") + std::strerror(error));
  }
  // Otherwise it has ended, and its notification waits to be read. The queue becomes Unsent.
  return true;
}

void SctpAssociationBase::account_for(const Message& message, Instant now) {
  meter.count_out(message.payload.size());
  if (message.caused_at != Instant{} && now > message.caused_at) {
    residence.record(static_cast<std::uint64_t>((now - message.caused_at).count()));
  }
}

void SctpAssociationBase::note_congestion() {
  if (queue.congestion_changed()) host_->congestion_changed(*this);
}

// usrsctp gives back what it has cut, of all streams, and then what it has not, stream by stream:
// so there may be a message of each that is still to be completed.
std::optional<AssociationUnsent> SctpAssociationBase::returned(
    const notification::SendFailed& failed) {
  auto part = std::ranges::find(returning_, failed.stream, &Returning::stream);
  if (failed.begins) {
    if (part == returning_.end()) part = returning_.emplace(part);
    *part = {failed.stream, failed.protocol, failed.unordered, failed.sent, {}};
  } else if (part == returning_.end()) {
    return std::nullopt;  // its beginning never came, or was acknowledged
  }
  part->bytes.insert(part->bytes.end(), failed.payload.begin(), failed.payload.end());
  part->sent = part->sent || failed.sent;
  if (!failed.ends) return std::nullopt;

  const Returning whole = std::move(*part);
  returning_.erase(part);
  AssociationUnsent unsent;
  unsent.message.stream = whole.stream;
  unsent.message.protocol = whole.protocol;
  unsent.message.unordered = whole.unordered;
  unsent.message.payload = Buffer::copy_of(whole.bytes);
  unsent.sent_unacknowledged = whole.sent;
  if (security_ != nullptr && !security_->unseal(unsent.message)) return std::nullopt;
  return unsent;
}

// --- Beginning and end ----------------------------------------------------------------------

void SctpAssociationBase::came_up(const notification::AssociationChanged& up,
                                  std::span<const SocketAddress> remote) {
  up_since_ = host_->now();
  streams_in_ = up.streams_in;
  streams_out_ = up.streams_out;
  if (!remote.empty()) remote_ = remote.front();
  several_paths_ = remote.size() > 1;
  enter(Phase::up);
}

void SctpAssociationBase::close(CloseMode mode) {
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
    case Phase::peer_closing:
      if (mode == CloseMode::graceful) return enter(Phase::both_closing);
      break;
    case Phase::draining:
    case Phase::shutting_down:
    case Phase::both_closing:
      if (mode == CloseMode::graceful) return;
      break;
  }
  if (mode == CloseMode::abort) return fail(DownCause::local_close, "aborted");
  end_ = std::make_unique<AssociationDown>(AssociationDown{DownCause::local_close, {}});
  enter(Phase::draining);
  if (!dirty) host_->flush_at_end_of_turn(*this);
}

void SctpAssociationBase::fail(DownCause cause, std::string detail) {
  end_ = std::make_unique<AssociationDown>(AssociationDown{cause, std::move(detail)});
  enter(Phase::aborting);
  abort();
}

bool SctpAssociationBase::peer_shut_down() {
  if (phase_ == Phase::draining) enter(Phase::both_closing);
  if (phase_ != Phase::up) return false;
  enter(Phase::peer_closing);
  return true;
}

void SctpAssociationBase::ended(DownCause cause, std::string detail) {
  if (security_ != nullptr) security_->judge_end(cause, detail);
  const bool ours = phase_ == Phase::draining || phase_ == Phase::shutting_down ||
                    phase_ == Phase::aborting || phase_ == Phase::over;
  enter(Phase::over);
  if (!ours) end_ = std::make_unique<AssociationDown>(AssociationDown{cause, std::move(detail)});
}

std::optional<AssociationPathChange> SctpAssociationBase::path_changed(const std::string& address,
                                                                       PathState state) {
  if (phase_ == Phase::connecting || phase_ == Phase::securing || phase_ == Phase::over) {
    return std::nullopt;
  }
  // Where there is no other path, no traffic leaves this one.
  if (state == PathState::potentially_failed && !several_paths_) return std::nullopt;
  auto known = std::find_if(failed_paths_.begin(), failed_paths_.end(),
                            [&](const auto& path) { return path.first == address; });
  const bool failed = known != failed_paths_.end();
  if (state == (failed ? known->second : PathState::reachable)) return std::nullopt;
  if (failed) failed_paths_.erase(known);
  if (state != PathState::reachable) failed_paths_.emplace_back(address, state);
  return AssociationPathChange{address, state};
}

// --- DTLS -----------------------------------------------------------------------------------

void SctpAssociationBase::secure(bool restarted) {
  if (restarted) {
    std::string why = cannot_secure_again();
    if (!why.empty()) return fail(DownCause::tls_failed, std::move(why));
  }
  enter(Phase::securing);
  security_ =
      endpoint_->new_security(*this, initiator, connecting ? connecting->identity : "", restarted);
  if (security_->failed()) return security_failed();
  flush_soon();
}

// Everything else is with the stack. true: close_notify too, where there is one.
bool SctpAssociationBase::said_goodbye() {
  if (security_ == nullptr || security_->say_goodbye()) return true;
  if (blocked) return false;
  send_sealed();
  return phase_ == Phase::draining && security_->say_goodbye();
}

// RFC 5246 §7.2.1: "The other party MUST respond with a close_notify alert of its own and close
// down the connection immediately, discarding any pending writes."
void SctpAssociationBase::peer_said_goodbye() {
  if (phase_ != Phase::up && phase_ != Phase::draining) return;
  if (phase_ == Phase::up) {
    end_ = std::make_unique<AssociationDown>(AssociationDown{DownCause::peer_shutdown, {}});
  }
  security_->say_last_words();
  enter(Phase::shutting_down);
  shut_down();
}

void SctpAssociationBase::security_failed(const std::string& other_problem) {
  security_->say_last_words();
  fail(DownCause::tls_failed,
       "DTLS: " + (other_problem.empty() ? security_->problem() : other_problem));
}

// --- What is said of it ---------------------------------------------------------------------

AssociationUp SctpAssociationBase::up_event(std::vector<std::string> local,
                                            std::vector<std::string> remote) {
  AssociationUp up;
  up.local = endpoint_->id;
  up.local_addresses = std::move(local);
  up.remote_addresses = std::move(remote);
  up.remote_port = remote_.port();
  up.streams_in = streams_in_;
  up.streams_out = streams_out_;
  up.initiator = initiator;
  if (connecting) up.peer = connecting->peer;
  if (security_ != nullptr) up.certificate_names = security_->peer_names();
  was_up_ = true;
  connecting.reset();
  return up;
}

AssociationDown SctpAssociationBase::down_event() const {
  return end_ ? *end_ : AssociationDown{DownCause::lost, {}};
}

AssociationStatus SctpAssociationBase::status() const {
  AssociationStatus status;
  status.transport = kind();
  status.peeled = peeled();
  status.endpoint = endpoint_->config.name;
  status.remote = remote_text();
  if (peel_record) {
    status.reason = peel_record->reason;
    status.peeled_at = peel_record->at;
    status.peeled_at_messages_per_second = peel_record->messages_per_second;
  }
  status.congested = queue.congested();
  status.queued_messages = queue.messages();
  status.queued_bytes = queue.bytes();
  status.messages_in_per_second = meter.rates().messages_in;
  status.messages_out_per_second = meter.rates().messages_out;
  return status;
}

PeeloffSample SctpAssociationBase::sample_of_traffic(Instant now) const {
  PeeloffSample sample;
  sample.id = id_;
  sample.pin = placement;
  sample.age = now - up_since_;
  sample.rates = meter.rates();
  sample.above_threshold = meter.above_threshold();
  return sample;
}

}  // namespace siglane::transport
