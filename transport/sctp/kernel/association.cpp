#include "transport/sctp/kernel/association.h"

#include <utility>

namespace siglane::transport {

// --- Sending --------------------------------------------------------------------------------

// What a message costs of SO_SNDBUF: the kernel counts its own structures for every chunk too
// (measured on Linux 6.1: a chunk of 1000 bytes costs some 1870).
std::uint64_t SctpAssociation::stack_cost(std::size_t size) {
  constexpr std::size_t kChunkBytes = 1400, kOverheadBytes = 870;
  return size + kOverheadBytes * (1 + size / kChunkBytes);
}

void SctpAssociation::send_queued() {
  const Instant now = Loop::fresh_now();
  while (!queue.empty() && !at_cap()) {
    const Message& next = queue.front();
    const std::uint64_t cost = stack_cost(next.payload.size());
    const bool last = reaches_cap(cost);
    // The last one before the cap must not be corked, and is worth an answer at once: until the
    // stack is dry, nothing more goes.
    const SendFlags flags{queue.messages() > 1 && !last, last};
    if (stopped_by(send_message(fd(), stack_id(), next, flags))) break;
    held_bytes_ += cost;
    account_for(queue.pop(), now);
  }
  watch_for_dry();
}

int SctpAssociation::send_record(const SendInfo& info, Bytes record, bool more) {
  const std::uint64_t cost = stack_cost(record.size());
  const bool last = reaches_cap(cost);
  // An answer at once: the handshake, or a cap, waits for it.
  const bool urgent = last || phase() == Phase::securing;
  const int error = send_bytes(fd(), stack_id(), info, record, {more && !last, urgent});
  if (error == 0) held_bytes_ += cost;
  return error;
}

bool SctpAssociation::established_in_stack() const {
  const auto status = stack_status(fd(), stack_id());
  return status && status->established;
}

// A quiet association never comes near the cap, and need not be told each time that it is dry.
void SctpAssociation::watch_for_dry() {
  const bool asked_for = security() != nullptr && security()->waits_for_dry();
  if (dry_subscribed_ || !((!peeled() && near_cap()) || asked_for)) return;
  dry_subscribed_ = subscribe_dry(fd(), stack_id(), true) == 0;
}

void SctpAssociation::dry() {
  held_bytes_ = 0;
  // Also one that the association had before the peer began it anew: the stack goes on telling.
  dry_subscribed_ = false;
  (void)subscribe_dry(fd(), stack_id(), false);
  if (security() != nullptr) security()->dry();
  if (!queue.empty() || security() != nullptr) flush_soon();
}

// --- Where it sits --------------------------------------------------------------------------

SctpAssociation::~SctpAssociation() {
  if (loose_) close_aborting(fd_);
}

void SctpAssociation::sit_on(WatchedSocket own) {
  loose_ = false;
  own_.emplace(std::move(own));
  own_->pause(false);
}

void SctpAssociation::abort() {
  (void)abort_association(fd(), stack_id());
  if (own_) own_->pause(false);
}

bool SctpAssociation::paths_due(Instant now) {
  if (paths_seen_to_ || phase() != Phase::up || now - up_since() < paths_patience) return false;
  paths_seen_to_ = true;
  return has_several_paths();
}

// --- What is said of it ---------------------------------------------------------------------

AssociationStatus SctpAssociation::status() const {
  AssociationStatus status = SctpAssociationBase::status();
  const auto local = local_addresses(fd(), stack_id());
  if (!local.empty()) status.local = local.front().with_port(local_port(fd())).text_with_port();
  return status;
}

PeeloffSample SctpAssociation::sample(Instant now, bool receive_memory_full, bool sends_refused) {
  PeeloffSample sample = sample_of_traffic(now);
  sample.bytes_held = held_bytes_;
  std::uint32_t unacknowledged = 0;
  if (near_cap() || (sends_refused && held_bytes_ > 0)) {
    if (auto status = stack_status(fd(), stack_id())) unacknowledged = status->unacknowledged;
    // Nor was it dry in between, or it would not be subscribed any more.
    sample.held_is_stuck =
        dry_subscribed_ && unacknowledged != 0 && unacknowledged == last_unacknowledged_;
    // Nothing is on its way, so it should have been told dry: the kernel tells it again, if so.
    if (unacknowledged == 0 && std::exchange(dry_subscribed_, false)) {
      (void)subscribe_dry(fd(), stack_id(), false);
    }
    // Below the cap nobody has asked yet, and what is held counts what has long been acknowledged.
    if (!dry_subscribed_) dry_subscribed_ = subscribe_dry(fd(), stack_id(), true) == 0;
  }
  last_unacknowledged_ = unacknowledged;
  if (receive_memory_full) {
    const std::size_t left = offered_window(fd(), stack_id()).value_or(window_);
    sample.bytes_undelivered = window_ > left ? window_ - left : 0;
  }
  return sample;
}

// --- SctpSecurity::Stack ----------------------------------------------------------------------

bool SctpAssociation::peer_has_auth() {
  return transport::peer_has_auth(fd(), stack_id());
}
int SctpAssociation::set_auth_key(std::uint16_t number, Bytes key) {
  return transport::set_auth_key(fd(), stack_id(), number, key);
}
int SctpAssociation::use_auth_key(std::uint16_t number) {
  return transport::use_auth_key(fd(), stack_id(), number);
}
int SctpAssociation::delete_auth_key(std::uint16_t number) {
  return transport::delete_auth_key(fd(), stack_id(), number);
}

}  // namespace siglane::transport
