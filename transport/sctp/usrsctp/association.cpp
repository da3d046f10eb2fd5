#include "transport/sctp/usrsctp/association.h"

#include <utility>

namespace siglane::transport {

// --- Sending --------------------------------------------------------------------------------

// All but the last wait for company, so that small messages share packets.
void UsrsctpAssociation::send_queued() {
  const Instant now = Loop::fresh_now();
  if (!queue.empty()) host_.about_to_send();
  while (!queue.empty()) {
    hold_small(queue.messages() > 1);
    if (stopped_by(socket().send(stack_id(), queue.front()))) break;
    account_for(queue.pop(), now);
  }
  hold_small(false);
}

int UsrsctpAssociation::send_record(const SendInfo& info, Bytes record, bool more) {
  host_.about_to_send();
  hold_small(more);
  return socket().send(stack_id(), info, record);
}

void UsrsctpAssociation::hold_small(bool on) {
  if (std::exchange(holding_small_, on) != on) socket().hold_small(on);
}

void UsrsctpAssociation::records_sent() {
  hold_small(false);
  if (!security()->waits_for_dry() || dry_subscribed_) return;
  dry_subscribed_ = socket().subscribe_dry(stack_id(), true) == 0;
  // This stack may tell only when it becomes so, not that it is.
  if (socket().is_dry(stack_id())) dry();
}

void UsrsctpAssociation::dry() {
  if (security() == nullptr) return;
  if (std::exchange(dry_subscribed_, false)) (void)socket().subscribe_dry(stack_id(), false);
  security()->dry();
  flush_soon();
}

// --- Beginning and end ----------------------------------------------------------------------

// This stack goes on with the random numbers of before (RFC 4895 §6.1), and so takes no chunk of
// the peer's for authentic, nor the peer one of ours.
std::string UsrsctpAssociation::cannot_secure_again() {
  if (!peer_has_auth()) return {};
  return "DTLS: the peer began anew in an association that was authenticated, and has to connect "
         "once more";
}

void UsrsctpAssociation::abort() {
  (void)socket().abort(stack_id());
  paused_ = false;
  host_.read_soon(*this);
}

void UsrsctpAssociation::pause_input(bool paused) {
  if (std::exchange(paused_, paused) && !paused) host_.read_soon(*this);
}

AssociationStatus UsrsctpAssociation::status() const {
  AssociationStatus status = SctpAssociationBase::status();
  if (local.valid()) status.local = local.text_with_port();
  return status;
}

// --- SctpSecurity::Stack ----------------------------------------------------------------------

bool UsrsctpAssociation::peer_has_auth() {
  return socket().peer_has_auth(stack_id());
}
int UsrsctpAssociation::set_auth_key(std::uint16_t number, Bytes key) {
  return socket().set_auth_key(stack_id(), number, key);
}
int UsrsctpAssociation::use_auth_key(std::uint16_t number) {
  return socket().use_auth_key(stack_id(), number);
}
int UsrsctpAssociation::delete_auth_key(std::uint16_t number) {
  return socket().delete_auth_key(stack_id(), number);
}

}  // namespace siglane::transport
