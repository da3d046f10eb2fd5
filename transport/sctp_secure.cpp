// The part of a kernel SCTP association that exists with DTLS only.
#include "transport/sctp_association.h"

namespace siglane::transport {

void SctpAssociation::secure(bool connecting, bool restarted) {
  phase_ = Phase::securing;
  security_ = endpoint_->new_security(*this, connecting, identity, restarted);
  if (security_->failed()) return security_failed();
  flush_soon();
}

void SctpAssociation::send_sealed() {
  const Instant now = Loop::fresh_now();
  while (!at_cap()) {
    const auto record = security_->outgoing(queue);
    if (!record) break;
    const std::uint64_t cost = stack_cost(record->bytes.size());
    const bool more = record->of_queue && queue.messages() > 1 && !reaches_cap(cost);
    const int error = security_->send(*record, more);
    // Otherwise it has ended, and its notification waits to be read. The queue becomes Unsent.
    if (try_later(error) || error != 0) break;
    if (record->of_queue) {
      account_for(queue.pop(), now);
    } else {
      held_bytes_ += cost;
    }
  }
  if (security_->failed()) return security_failed();
  watch_for_dry();
}

// Everything else is with the stack. true: close_notify too, where there is one.
bool SctpAssociation::said_goodbye() {
  if (security_ == nullptr || security_->say_goodbye()) return true;
  send_sealed();
  return phase_ == Phase::draining && security_->say_goodbye();
}

// RFC 5246 §7.2.1: "The other party MUST respond with a close_notify alert of its own and close
// down the connection immediately, discarding any pending writes."
void SctpAssociation::peer_said_goodbye() {
  if (phase_ != Phase::up && phase_ != Phase::draining) return;
  if (phase_ == Phase::up) down_cause_ = DownCause::peer_shutdown;
  security_->say_last_words();
  phase_ = Phase::shutting_down;
  // An error: it has ended by itself, and its notification waits to be read.
  (void)shut_down_association(fd(), stack_id_);
}

void SctpAssociation::security_failed(const std::string& other_problem) {
  security_->say_last_words();
  fail(DownCause::tls_failed,
       "DTLS: " + (other_problem.empty() ? security_->problem() : other_problem));
}

// --- SctpSecurity::Stack ----------------------------------------------------------------------

bool SctpAssociation::peer_has_auth() {
  return transport::peer_has_auth(fd(), stack_id_);
}
int SctpAssociation::set_auth_key(std::uint16_t number, Bytes key) {
  return transport::set_auth_key(fd(), stack_id_, number, key);
}
int SctpAssociation::use_auth_key(std::uint16_t number) {
  return transport::use_auth_key(fd(), stack_id_, number);
}
int SctpAssociation::delete_auth_key(std::uint16_t number) {
  return transport::delete_auth_key(fd(), stack_id_, number);
}
int SctpAssociation::send_record(const SendInfo& info, Bytes record, bool more) {
  // An answer at once: the handshake, or a cap, waits for it.
  const bool urgent = phase_ == Phase::securing || reaches_cap(stack_cost(record.size()));
  return send_bytes(fd(), stack_id_, info, record, {more, urgent});
}

}  // namespace siglane::transport
