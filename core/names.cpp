#include <atomic>

#include "core/association.h"
#include "core/facts.h"
#include "core/move_refusal.h"
#include "core/parcel.h"
#include "core/revision.h"
#include "core/transport.h"

namespace siglane {

AssociationId next_association_id() {
  static std::atomic<std::uint64_t> last{0};
  return AssociationId{last.fetch_add(1, std::memory_order_relaxed) + 1};
}

EndpointId next_endpoint_id() {
  static std::atomic<std::uint32_t> last{0};
  return EndpointId{last.fetch_add(1, std::memory_order_relaxed) + 1};
}

std::string_view name_of(PeerOrder order) {
  switch (order) {
    case PeerOrder::disconnect:
      return "disconnect";
    case PeerOrder::connect:
      return "connect";
    case PeerOrder::block:
      return "block";
    case PeerOrder::unblock:
      return "unblock";
    case PeerOrder::peel:
      return "peel";
  }
  return "unknown";
}

std::string_view name_of(TransportKind kind) {
  switch (kind) {
    case TransportKind::sctp:
      return "sctp";
    case TransportKind::kernel_sctp:
      return "kernel-sctp";
    case TransportKind::usrsctp:
      return "usrsctp";
    case TransportKind::tcp:
      return "tcp";
    case TransportKind::tls:
      return "tls";
    case TransportKind::simulated:
      return "simulated";
  }
  return "unknown";
}

std::string_view name_of(Placement placement) {
  switch (placement) {
    case Placement::automatic:
      return "auto";
    case Placement::always_peeled:
      return "always";
    case Placement::never_peeled:
      return "never";
  }
  return "unknown";
}

std::string_view name_of(PathState state) {
  switch (state) {
    case PathState::reachable:
      return "reachable";
    case PathState::potentially_failed:
      return "potentially_failed";
    case PathState::unreachable:
      return "unreachable";
  }
  return "unknown";
}

std::string_view name_of(DownCause cause) {
  switch (cause) {
    case DownCause::refused:
      return "refused";
    case DownCause::unreachable:
      return "unreachable";
    case DownCause::lost:
      return "lost";
    case DownCause::peer_shutdown:
      return "peer_shutdown";
    case DownCause::peer_abort:
      return "peer_abort";
    case DownCause::local_close:
      return "local_close";
    case DownCause::restarted:
      return "restarted";
    case DownCause::already_connected:
      return "already_connected";
    case DownCause::protocol_error:
      return "protocol_error";
    case DownCause::tls_failed:
      return "tls_failed";
  }
  return "unknown";
}

std::string_view name_of(PeeloffReason reason) {
  switch (reason) {
    case PeeloffReason::pinned:
      return "pinned";
    case PeeloffReason::message_rate:
      return "message_rate";
    case PeeloffReason::byte_rate:
      return "byte_rate";
    case PeeloffReason::clogged:
      return "clogged";
    case PeeloffReason::receive_wedge:
      return "receive_wedge";
  }
  return "unknown";
}

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return "debug";
    case Severity::info:
      return "info";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return "unknown";
}

std::string_view name_of(Why why) {
  switch (why) {
    case Why::no_such_association:
      return "no_such_association";
    case Why::refused:
      return "refused";
    case Why::not_open:
      return "not_open";
    case Why::congested:
      return "congested";
    case Why::timed_out:
      return "timed_out";
    case Why::exhausted:
      return "exhausted";
  }
  return "unknown";
}

std::string_view name_of(MoveRefusal reason) {
  switch (reason) {
    case MoveRefusal::gone:
      return "gone";
    case MoveRefusal::coordinator:
      return "coordinator";
    case MoveRefusal::closing:
      return "closing";
    case MoveRefusal::not_identified:
      return "not_identified";
    case MoveRefusal::claimed:
      return "claimed";
    case MoveRefusal::same_shard:
      return "same_shard";
    case MoveRefusal::no_such_shard:
      return "no_such_shard";
    case MoveRefusal::stopping:
      return "stopping";
    case MoveRefusal::bound:
      return "bound";
    case MoveRefusal::diverting:
      return "diverting";
    case MoveRefusal::waits_for_room:
      return "waits_for_room";
    case MoveRefusal::target_full:
      return "target_full";
    case MoveRefusal::no_descriptor:
      return "no_descriptor";
    case MoveRefusal::lost:
      return "lost";
  }
  return "unknown";
}

}  // namespace siglane
