// The part of a usrsctp association that exists with DTLS only.
#include "transport/usrsctp_association.h"

namespace siglane::transport {

void UsrsctpAssociation::secure(bool connecting, bool restarted) {
  // This stack goes on with the random numbers of before (RFC 4895 §6.1), and so takes no chunk of
  // the peer's for authentic, nor the peer one of ours.
  if (restarted && peer_has_auth()) {
    return fail(DownCause::tls_failed,
                "DTLS: the peer began anew in an association that was authenticated, and has to "
                "connect once more");
  }
  phase_ = Phase::securing;
  close_by_ = host_.now() + endpoint_->config.sctp.handshake_timeout;
  security_ = endpoint_->new_security(*this, connecting, identity, restarted);
  if (security_->failed()) return security_failed();
  flush_soon();
}

void UsrsctpAssociation::secured() {
  phase_ = Phase::up;
  close_by_.reset();
}

void UsrsctpAssociation::send_sealed() {
  if (blocked) return;
  const bool several = queue.messages() > 1;
  if (several) socket().hold_small(true);
  const Instant now = Loop::fresh_now();
  while (const auto record = security_->outgoing(queue)) {
    if (several && queue.messages() == 1) socket().hold_small(false);
    const int error = security_->send(*record, false);
    // Otherwise it has ended, and its notification waits to be read. The queue becomes Unsent.
    if (try_later(error) || error != 0) break;
    if (record->of_queue) account_for(queue.pop(), now);
  }
  if (several) socket().hold_small(false);
  if (security_->failed()) return security_failed();
  watch_for_dry();
}

void UsrsctpAssociation::watch_for_dry() {
  if (!security_->waits_for_dry() || dry_subscribed_) return;
  dry_subscribed_ = socket().subscribe_dry(stack_id_, true) == 0;
  // This stack tells when it becomes so, not that it is.
  if (socket().is_dry(stack_id_)) dry();
}

void UsrsctpAssociation::dry() {
  if (security_ == nullptr) return;
  if (std::exchange(dry_subscribed_, false)) (void)socket().subscribe_dry(stack_id_, false);
  security_->dry();
  flush_soon();
}

// Everything else is with the stack. true: close_notify too, where there is one.
bool UsrsctpAssociation::said_goodbye() {
  if (security_ == nullptr || security_->say_goodbye()) return true;
  send_sealed();
  return phase_ == Phase::draining && security_->say_goodbye();
}

// RFC 5246 §7.2.1: "The other party MUST respond with a close_notify alert of its own and close
// down the connection immediately, discarding any pending writes."
void UsrsctpAssociation::peer_said_goodbye() {
  if (phase_ != Phase::up && phase_ != Phase::draining) return;
  if (phase_ == Phase::up) down_cause_ = DownCause::peer_shutdown;
  security_->say_last_words();
  begin_shutdown();
}

void UsrsctpAssociation::security_failed(const std::string& other_problem) {
  security_->say_last_words();
  fail(DownCause::tls_failed,
       "DTLS: " + (other_problem.empty() ? security_->problem() : other_problem));
}

// --- SctpSecurity::Stack ----------------------------------------------------------------------

bool UsrsctpAssociation::peer_has_auth() {
  return socket().peer_has_auth(stack_id_);
}
int UsrsctpAssociation::set_auth_key(std::uint16_t number, Bytes key) {
  return socket().set_auth_key(stack_id_, number, key);
}
int UsrsctpAssociation::use_auth_key(std::uint16_t number) {
  return socket().use_auth_key(stack_id_, number);
}
int UsrsctpAssociation::delete_auth_key(std::uint16_t number) {
  return socket().delete_auth_key(stack_id_, number);
}
int UsrsctpAssociation::send_record(const SendInfo& info, Bytes record, bool) {
  return socket().send(stack_id_, info, record);
}

}  // namespace siglane::transport
