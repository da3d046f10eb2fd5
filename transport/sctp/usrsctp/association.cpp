#include "transport/sctp/usrsctp/association.h"

#include <utility>

namespace siglane::transport {
namespace {

// How long a graceful close may take before it becomes an abort.
constexpr Duration kCloseTimeout = 5s;

}  // namespace

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

void UsrsctpAssociation::came_up(const notification::AssociationChanged& up,
                                 const SocketAddress& local, const SocketAddress& remote,
                                 UsrsctpAddress from) {
  local_ = local.with_port(socket().port());
  path = from.path;
  peer_port = from.port;
  const SocketAddress primary = remote.with_port(from.port);
  SctpAssociationBase::came_up(up, {&primary, 1}, host_.now());
}

void UsrsctpAssociation::secure(bool connects, bool restarted) {
  // This stack goes on with the random numbers of before (RFC 4895 §6.1), and so takes no chunk of
  // the peer's for authentic, nor the peer one of ours.
  if (restarted && peer_has_auth()) {
    return fail(DownCause::tls_failed,
                "DTLS: the peer began anew in an association that was authenticated, and has to "
                "connect once more");
  }
  SctpAssociationBase::secure(connects, restarted);
}

void UsrsctpAssociation::abort() {
  (void)socket().abort(stack_id());
  host_.read_soon(*this);
}

// Its own timers would let a close take for ever.
void UsrsctpAssociation::entered(Phase phase) {
  switch (phase) {
    case Phase::securing:
      close_by_ = host_.now() + endpoint().config.sctp.handshake_timeout;
      return;
    case Phase::up:
      return close_by_.reset();
    case Phase::draining:
    case Phase::shutting_down:
      if (!close_by_) close_by_ = host_.now() + kCloseTimeout;
      return;
    case Phase::aborting:
      close_by_ = host_.now();  // the notification should be there already
      return;
    case Phase::connecting:
    case Phase::peer_closing:
    case Phase::over:
      return;
  }
}

// --- What is said of it ---------------------------------------------------------------------

AssociationUp UsrsctpAssociation::up_event() {
  return SctpAssociationBase::up_event({local_.text()}, {remote().text()});
}

AssociationStatus UsrsctpAssociation::status() const {
  AssociationStatus status = status_wherever_it_sits();
  if (local_.valid()) status.local = local_.text_with_port();
  status.transport = TransportKind::usrsctp;
  status.peeled = peeled();
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
