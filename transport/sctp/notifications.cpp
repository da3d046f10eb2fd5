#include <algorithm>
#include <array>

#include "transport/counters.h"
#include "transport/sctp/transport_base.h"

// SctpTransportBase: what becomes of what a stack says. The same event has the same words on both.
namespace siglane::transport {
namespace {

using Phase = SctpAssociationBase::Phase;
using notification::Change;

// What a peer may have, as in a config: each of them costs a question now and then.
constexpr std::size_t kPeerAddressesMax = 32;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

// RFC 9260 §3.3.10, in words where it has some.
std::string because_of(std::uint16_t cause) {
  static constexpr std::array<const char*, 14> kNames = {
      "",
      "Invalid Stream Identifier",
      "Missing Mandatory Parameter",
      "Stale Cookie",
      "Out of Resource",
      "Unresolvable Address",
      "Unrecognized Chunk Type",
      "Invalid Mandatory Parameter",
      "Unrecognized Parameters",
      "No User Data",
      "Cookie Received While Shutting Down",
      "Restart of an Association with New Addresses",
      "User-Initiated Abort",
      "Protocol Violation"};
  if (cause == 0) return {};
  const std::string number = "cause " + std::to_string(cause);
  return ": " + (cause < kNames.size() ? kNames[cause] + (" (" + number + ")") : number);
}

}  // namespace

void SctpTransportBase::take_notification(SctpAssociationBase* of, const Notification& said) {
  if (of == nullptr) return;  // one that we refused, or closed
  std::visit(Overloaded{
                 [&](const notification::AssociationChanged& changed) { on_change(*of, changed); },
                 [&](const notification::SendFailed& failed) {
                   if (auto unsent = of->returned(failed)) emit(of->id(), std::move(*unsent));
                 },
                 [&](const notification::PathChanged& path) { on_path(*of, path); },
                 [&](const notification::PeerShutdown&) {
                   if (of->peer_shut_down()) emit(of->id(), AssociationEnding{false});
                 },
                 [&](const notification::PartialDeliveryAborted& aborted) {
                   // Without interleaving (RFC 8260) there is one, and a stack may name another
                   // stream.
                   if (!of->reassembly.abort(aborted.stream, aborted.unordered))
                     of->reassembly.clear();
                 },
                 [&](const notification::SenderDry&) { of->dry(); },
                 [](const notification::Authentication&) {},
                 [](const notification::RemoteError&) {},
                 [](const notification::Unknown&) {},
             },
             said);
}

void SctpTransportBase::on_change(SctpAssociationBase& association,
                                  const notification::AssociationChanged& changed) {
  switch (changed.change) {
    case Change::comm_up:
      if (association.phase() == Phase::connecting) begin_in_stack(association, changed, false);
      return;
    case Change::restart:
      return on_restart(association, changed);
    case Change::shutdown_complete:
      return on_end(association, DownCause::peer_shutdown, {});
    case Change::comm_lost:
    case Change::cannot_start:
      return on_lost(association, changed);
  }
}

void SctpTransportBase::on_lost(SctpAssociationBase& association,
                                const notification::AssociationChanged& lost) {
  if (lost.change == Change::cannot_start || association.phase() == Phase::connecting) {
    // Linux does not tell an ABORT from silence here. Silence takes as long as all retransmissions
    // of INIT do (RFC 9260 §5.1).
    const auto* connecting = association.connecting.get();
    const bool refused = lost.by_abort || (connecting != nullptr &&
                                           loop_.now() - connecting->since < connecting->patience);
    return refused ? on_end(association, DownCause::refused, "the peer refused the association")
                   : on_end(association, DownCause::unreachable, "no answer");
  }
  if (lost.by_abort) {
    return on_end(association, DownCause::peer_abort, "the peer aborted" + because_of(lost.error));
  }
  on_end(association, DownCause::lost,
         lost.error == 0 ? "the peer does not answer" : "SCTP gave it up" + because_of(lost.error));
}

void SctpTransportBase::on_path(SctpAssociationBase& association,
                                const notification::PathChanged& path) {
  using notification::PathState;
  switch (path.state) {
    case PathState::available:
    case PathState::added:
    case PathState::confirmed:
      return tell_path(association, path.address, siglane::PathState::reachable);
    case PathState::potentially_failed:
      return tell_path(association, path.address, siglane::PathState::potentially_failed);
    case PathState::unreachable:
    case PathState::removed:
      return tell_path(association, path.address, siglane::PathState::unreachable);
    case PathState::made_primary:
    case PathState::other:
      return;
  }
}

void SctpTransportBase::tell_path(SctpAssociationBase& association, const std::string& address,
                                  PathState state) {
  if (auto change = association.path_changed(address, state)) {
    emit(association.id(), std::move(*change));
  }
}

// --- Beginning --------------------------------------------------------------------------------

bool SctpTransportBase::lets_in(const SctpEndpoint& endpoint,
                                std::span<const SocketAddress> remote) {
  const EndpointConfig& config = endpoint.config;
  std::string objection;
  if (config.pool->associations >= config.associations_max) {
    objection = "endpoint " + config.name + " has its associations_max";
  } else if (remote.size() > kPeerAddressesMax) {
    objection = "announces " + std::to_string(remote.size()) + " addresses, more than " +
                std::to_string(kPeerAddressesMax);
  }
  if (objection.empty()) return true;
  counters_.add(siglane::counter::associations_refused_limit);
  sink_->on_stranger(remote.empty() ? "unknown" : remote.front().text(), std::move(objection),
                     loop_.now());
  return false;
}

void SctpTransportBase::begin(SctpAssociationBase& association,
                              const notification::AssociationChanged& up,
                              std::span<const SocketAddress> remote, bool restarted) {
  association.came_up(up, remote);
  if (!association.initiator &&
      !sink_->on_newcomer(association.id(), texts_of(remote), loop_.now()).admitted) {
    return association.fail(DownCause::local_close, "turned away");
  }
  if (association.endpoint().tls != nullptr) return association.secure(restarted);
  tell_up(association, {remote.begin(), remote.end()});
}

void SctpTransportBase::tell_up(SctpAssociationBase& association,
                                std::vector<SocketAddress> remote) {
  pin(association);
  // Anybody can write any address into an INIT (RFC 9260 §5.4). Where we connected, we have chosen
  // whom to ask.
  if (!association.initiator && remote.size() > 1) {
    std::erase_if(remote, [&](const SocketAddress& path) { return unproven(association, path); });
  }
  emit(association.id(),
       association.up_event(texts_of(local_addresses(association)), texts_of(remote)));
}

// RFC 9260 §5.2.4: the peer began anew, under the same addresses, ports and stack id, on the same
// socket. To us that is another association.
void SctpTransportBase::on_restart(SctpAssociationBase& old,
                                   const notification::AssociationChanged& up) {
  if (old.phase() == Phase::connecting) return begin_in_stack(old, up, false);
  const AssociationId old_id = old.id();
  old.ended(DownCause::restarted, "the peer restarted");
  tell_unsent(old);
  const std::unique_ptr<SctpAssociationBase> ended = remove(old_id);
  const AssociationId begun = succeed(*ended).id();
  tell_down(*ended);
  if (auto* association = find_association(begun)) begin_in_stack(*association, up, true);
}

// --- What was received ------------------------------------------------------------------------

void SctpTransportBase::take_whole(SctpAssociationBase& association, Message&& message) {
  if (association.security() == nullptr) return deliver(association, std::move(message));
  association.security()->receive(message);
  read_sealed(association.id());
}

void SctpTransportBase::deliver(SctpAssociationBase& association, Message&& message) {
  association.meter.count_in(message.payload.size());
  message.caused_at = loop_.now();
  emit(association.id(), AssociationReceived{std::move(message)});
}

void SctpTransportBase::read_sealed(AssociationId id) {
  using Event = SctpSecurity::Event;
  for (;;) {
    SctpAssociationBase* association = find_association(id);
    if (association == nullptr || association->phase() == Phase::aborting ||
        association->phase() == Phase::over) {
      return;
    }
    SctpSecurity& security = *association->security();
    Message message;
    switch (security.next(buffers_, message)) {
      case Event::opened:
        association->secured();
        tell_up(*association, remote_addresses(*association));
        break;
      case Event::message:
        if (message.payload.size() > association->endpoint().config.limits.message_bytes_max) {
          return refuse_oversized(*association);
        }
        deliver(*association, std::move(message));
        break;
      case Event::ended:
        return association->peer_said_goodbye();
      case Event::failed:
        return association->security_failed();
      case Event::nothing:
        if (security.has_own_record()) association->flush_soon();
        return;
    }
  }
}

void SctpTransportBase::refuse_oversized(SctpAssociationBase& association) {
  counters_.add(counter::messages_oversized);
  association.fail(DownCause::protocol_error,
                   "a message longer than message_bytes_max (" +
                       std::to_string(association.endpoint().config.limits.message_bytes_max) +
                       ")");
}

// --- Ends -------------------------------------------------------------------------------------

void SctpTransportBase::on_end(SctpAssociationBase& association, DownCause cause,
                               std::string detail) {
  association.ended(cause, std::move(detail));
  finish_when_read(association);
}

void SctpTransportBase::end_soon(SctpAssociationBase& association, DownCause cause,
                                 std::string detail) {
  association.ended(cause, std::move(detail));
  soon([this, id = association.id()] {
    if (find_association(id) != nullptr) finish(id);
  });
}

void SctpTransportBase::tell_unsent(SctpAssociationBase& ended) {
  while (!ended.queue.empty()) emit(ended.id(), AssociationUnsent{ended.queue.pop(), false});
}

void SctpTransportBase::tell_down(const SctpAssociationBase& ended) {
  AssociationDown down = ended.down_event();
  if (!ended.was_up() && down.cause == DownCause::tls_failed) {
    counters_.add(counter::tls_handshakes_failed);
  }
  emit(ended.id(), std::move(down));
}

}  // namespace siglane::transport
