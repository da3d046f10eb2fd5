#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/counters.h"
#include "transport/sctp/kernel/options.h"
#include "transport/sctp/kernel/transport.h"

// SctpTransport: what its sockets say.
namespace siglane::transport {
namespace {

// What a peer may have, as in a config: each of them costs a question now and then.
constexpr std::size_t kPeerAddressesMax = 32;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

std::vector<std::string> texts_of(std::span<const SocketAddress> addresses) {
  std::vector<std::string> texts;
  for (const SocketAddress& address : addresses) texts.push_back(address.text());
  return texts;
}

}  // namespace

// --- Reading --------------------------------------------------------------------------------

void SctpTransport::on_shared(Shared& shared, PollEvents events) {
  if (events.error != 0) {
    // Linux raises no error here; should it, the notifications tell what happened.
    (void)take_socket_error(shared.socket.fd());
    shared.socket.want_writable(!shared.blocked.empty());
    events.readable = true;
  }
  if (events.readable) read_batch({&shared, -1}, options_.shared_batch_max);
  if (events.writable) retry_blocked(shared);
}

void SctpTransport::on_peeled(int fd, PollEvents events) {
  const Source source{nullptr, fd};
  if (!still_there(source)) return;
  if (events.error != 0) {
    // POLLERR: an ABORT, or too many retransmissions. All that came before is still to be read.
    const int error = take_socket_error(fd);
    while (!read_batch(source, options_.peeled_batch_max)) {
    }
    if (still_there(source)) peeled_failed(fd, error);
    return;
  }
  if (events.readable) read_batch(source, options_.peeled_batch_max);
  if (events.writable && still_there(source)) {
    SctpAssociation& association = *peeled_.at(fd);
    const bool progress = association.flush();
    association.own_socket()->want_writable(association.blocked && progress);
  }
}

bool SctpTransport::still_there(const Source& source) const {
  return source.shared != nullptr || peeled_.contains(source.peeled_fd);
}

bool SctpTransport::read_batch(Source source, unsigned messages_max) {
  const int fd = source.shared != nullptr ? source.shared->socket.fd() : source.peeled_fd;
  // What the stack returns follows the end of its association directly: read that in one go.
  for (unsigned count = 0; count < messages_max || has_over(source); ++count) {
    const ReceivedPiece piece = reader_.read(fd);
    if (piece.error != 0) {
      finish_over(source);
      if (piece.error != EAGAIN && source.shared == nullptr && still_there(source)) {
        peeled_failed(fd, piece.error);
      }
      return true;
    }
    if (piece.is_notification) {
      take_notification(source, piece);
    } else {
      if (source.shared != nullptr) source.shared->data_since_tick = true;
      take_data(source, piece);
    }
    if (!still_there(source)) return true;
    flush_if_worked_enough();
  }
  return false;
}

// An error that no notification explained.
void SctpTransport::peeled_failed(int fd, int error) {
  SctpAssociation& association = *peeled_.at(fd);
  if (stack_status(fd, association.stack_id())) {
    association.own_socket()->want_writable(association.blocked);  // it lives: go on
    return;
  }
  association.ended(DownCause::lost, std::strerror(error));
  finish(association.id());
}

SctpAssociation* SctpTransport::association_of(const Source& source, SctpId stack_id) const {
  if (source.shared != nullptr) return find_by_stack(stack_id);
  auto it = peeled_.find(source.peeled_fd);
  return it == peeled_.end() ? nullptr : it->second;
}

void SctpTransport::take_data(Source source, const ReceivedPiece& piece) {
  if (has_over(source)) finish_over(source);
  SctpAssociation* association = association_of(source, piece.id);
  if (association == nullptr) return;  // refused, or closed by us
  switch (association->phase()) {
    case SctpAssociation::Phase::connecting:
    case SctpAssociation::Phase::aborting:
    case SctpAssociation::Phase::over:
      return;
    case SctpAssociation::Phase::securing:
    case SctpAssociation::Phase::up:
    case SctpAssociation::Phase::draining:
    case SctpAssociation::Phase::shutting_down:
    case SctpAssociation::Phase::peer_closing:
      break;
  }

  Message message;
  if (piece.ends && association->reassembly.empty()) {
    if (piece.size > association->endpoint().received_bytes_max) {
      return refuse_oversized(*association);
    }
    message.stream = piece.stream;
    message.protocol = piece.protocol;
    message.unordered = piece.unordered;
    message.payload = reader_.take_whole();
  } else {
    if (!piece.ends) counters_.add(counter::partial_deliveries);
    switch (reader_.add_to(association->reassembly, piece, message)) {
      case Reassembly::Outcome::partial:
        return;
      case Reassembly::Outcome::oversized:
        return refuse_oversized(*association);
      case Reassembly::Outcome::whole:
        break;
    }
  }
  take_whole(*association, std::move(message));
}

// --- Notifications --------------------------------------------------------------------------

void SctpTransport::take_notification(Source source, const ReceivedPiece& piece) {
  auto parsed = piece.ends ? parse_notification(reader_.in_one_run()) : std::nullopt;
  if (!parsed) {
    counters_.add(counter::notifications_malformed);
    return;
  }
  if (has_over(source) && !std::holds_alternative<notification::SendFailed>(*parsed)) {
    finish_over(source);
    if (!still_there(source)) return;
  }
  const auto of = [&](SctpId id) { return association_of(source, id); };
  std::visit(
      Overloaded{
          [&](const notification::AssociationChanged& changed) { on_change(source, changed); },
          [&](const notification::SendFailed& failed) {
            SctpAssociation* association = of(failed.id);
            if (association == nullptr) return;
            if (auto unsent = association->returned(failed)) {
              emit(association->id(), std::move(*unsent));
            }
          },
          [&](const notification::PathChanged& path) { on_path(source, path); },
          [&](const notification::PeerShutdown& shutdown) {
            if (auto* association = of(shutdown.id)) association->peer_shut_down();
          },
          [&](const notification::PartialDeliveryAborted& aborted) {
            SctpAssociation* association = of(aborted.id);
            if (association == nullptr) return;
            // Without interleaving (RFC 8260) Linux names stream 0 and means the only one.
            if (!association->reassembly.abort(aborted.stream, aborted.unordered)) {
              association->reassembly.clear();
            }
          },
          [&](const notification::SenderDry& dry) {
            if (auto* association = of(dry.id)) association->dry();
          },
          [](const notification::Authentication&) {},
          [](const notification::RemoteError&) {},
          [](const notification::Unknown&) {},
      },
      *parsed);
}

void SctpTransport::on_path(Source source, const notification::PathChanged& path) {
  SctpAssociation* association = association_of(source, path.id);
  if (association == nullptr || association->phase() == SctpAssociation::Phase::over ||
      association->phase() == SctpAssociation::Phase::securing) {
    return;
  }
  switch (path.state) {
    case notification::PathState::available:
    case notification::PathState::added:
    case notification::PathState::confirmed:
      return tell_path(*association, path.address, PathState::reachable);
    case notification::PathState::potentially_failed:
      return tell_path(*association, path.address, PathState::potentially_failed);
    case notification::PathState::unreachable:
    case notification::PathState::removed:
      return tell_path(*association, path.address, PathState::unreachable);
    case notification::PathState::made_primary:
    case notification::PathState::other:
      return;
  }
}

void SctpTransport::tell_path(SctpAssociation& association, const std::string& address,
                              PathState state) {
  if (auto change = association.path_changed(address, state)) {
    emit(association.id(), std::move(*change));
  }
}

void SctpTransport::on_change(Source source, const notification::AssociationChanged& changed) {
  if (changed.change == notification::Change::comm_up) return on_up(source, changed);
  SctpAssociation* association = association_of(source, changed.id);
  if (association == nullptr) return;  // one that we refused
  switch (changed.change) {
    case notification::Change::comm_up:
      return;
    case notification::Change::restart:
      return on_restart(*association, changed);
    case notification::Change::comm_lost:
      return on_end(source, *association,
                    changed.by_abort ? DownCause::peer_abort : DownCause::lost,
                    changed.error != 0 ? "cause " + std::to_string(changed.error) : "");
    case notification::Change::shutdown_complete:
      return on_end(source, *association, DownCause::peer_shutdown, "");
    case notification::Change::cannot_start:
      return on_end(source, *association, why_not_started(*association), "");
  }
}

// Linux does not tell an ABORT from silence here. Silence takes as long as all retransmissions of
// INIT do (RFC 9260 §5.1).
DownCause SctpTransport::why_not_started(const SctpAssociation& association) const {
  const auto* connecting = association.connecting.get();
  return connecting != nullptr && loop_.now() - connecting->since < connecting->patience
             ? DownCause::refused
             : DownCause::unreachable;
}

void SctpTransport::on_up(Source source, const notification::AssociationChanged& up) {
  if (SctpAssociation* ours = association_of(source, up.id)) {
    if (ours->phase() == SctpAssociation::Phase::connecting) begin(*ours, up);
    return;
  }
  if (source.shared == nullptr) return;
  Shared& shared = *source.shared;
  const EndpointConfig& config = shared.endpoint->config;
  const auto remote = peer_addresses(shared.socket.fd(), up.id);
  std::string objection;
  if (config.pool->associations >= config.associations_max) {
    objection = "endpoint " + config.name + " has associations_max";
  } else if (remote.size() > kPeerAddressesMax) {
    objection = "announces " + std::to_string(remote.size()) + " addresses, more than " +
                std::to_string(kPeerAddressesMax);
  }
  if (objection.empty()) return begin(add(next_association_id(), up.id, shared), up);
  counters_.add(siglane::counter::associations_refused_limit);
  (void)abort_association(shared.socket.fd(), up.id);
  sink_->on_stranger(remote.empty() ? "unknown" : remote.front().text(), std::move(objection),
                     loop_.now());
}

void SctpTransport::begin(SctpAssociation& association, const notification::AssociationChanged& up,
                          bool restarted) {
  const auto remote = peer_addresses(association.fd(), up.id);
  association.came_up(up, remote, loop_.now());
  if (association.paths_patience == Duration{}) {
    association.paths_patience = paths_patience(association.endpoint().config.sctp);
  }
  if (!association.initiator &&
      !sink_->on_newcomer(association.id(), texts_of(remote), loop_.now()).admitted) {
    return association.fail(DownCause::local_close, "turned away");
  }
  if (association.endpoint().tls == nullptr) return tell_up(association, remote);
  association.secure(association.initiator, restarted);
  handshakes_.emplace_back(association.id(),
                           loop_.now() + association.endpoint().config.sctp.handshake_timeout);
}

void SctpTransport::tell_secured(SctpAssociationBase& of) {
  SctpAssociation& association = *find_association(of.id());
  tell_up(association, peer_addresses(association.fd(), association.stack_id()));
}

void SctpTransport::tell_up(SctpAssociation& association, std::vector<SocketAddress> remote) {
  pin(association);
  // Anybody can write any address into an INIT (RFC 9260 §5.4). Where we connected, we have chosen
  // whom to ask.
  if (!association.initiator && remote.size() > 1) {
    std::erase_if(remote, [&](const SocketAddress& path) {
      return path_unconfirmed(association.fd(), association.stack_id(), path);
    });
  }
  const auto local = local_addresses(association.fd(), association.stack_id());
  emit(association.id(), association.up_event(texts_of(local), texts_of(remote)));
}

// RFC 9260 §5.2.4: the peer began anew, under the same addresses, ports and stack id, on the same
// socket. To us that is another association.
void SctpTransport::on_restart(SctpAssociation& old, const notification::AssociationChanged& up) {
  const AssociationId old_id = old.id();
  tell_unsent(old);

  Shared* shared = shared_of(old);
  std::unique_ptr<SctpAssociation> ended = remove(old_id);
  SctpHost& host = *this;
  auto fresh = std::make_unique<SctpAssociation>(next_association_id(), up.id,
                                                 ended->shared_endpoint(), host, loop_.now());
  SctpAssociation& begun = *fresh;
  if (shared != nullptr) {
    ++shared->associations;
    begun.sit_on_shared(shared->socket.fd(), ended->window());
  } else {
    peeled_[ended->fd()] = &begun;
    begun.sit_on(std::move(*ended->own_socket()));
    begun.peel_record = std::move(ended->peel_record);
  }
  begun.own_options = std::move(ended->own_options);  // the stack keeps them
  by_stack_id_[up.id] = &begun;
  ++begun.endpoint().config.pool->associations;
  associations_.emplace(begun.id(), std::move(fresh));

  emit(old_id, AssociationDown{DownCause::restarted, ""});
  if (find_association(begun.id()) != nullptr) this->begin(begun, up, true);
}

// --- Ends -----------------------------------------------------------------------------------

void SctpTransport::on_end(Source source, SctpAssociation& association, DownCause cause,
                           std::string detail) {
  association.ended(cause, std::move(detail));
  if (source.shared != nullptr) source.shared->over.push_back(association.id());
}

bool SctpTransport::has_over(const Source& source) const {
  if (source.shared != nullptr) return !source.shared->over.empty();
  const SctpAssociation* association = association_of(source, 0);
  return association != nullptr && association->phase() == SctpAssociation::Phase::over;
}

void SctpTransport::finish_over(Source source) {
  if (!has_over(source)) return;
  if (source.shared == nullptr) return finish(peeled_.at(source.peeled_fd)->id());
  std::vector<AssociationId> over;
  over.swap(source.shared->over);
  for (const AssociationId id : over) finish(id);
}

void SctpTransport::finish(AssociationId id) {
  SctpAssociation* association = find_association(id);
  if (association == nullptr) return;
  tell_unsent(*association);
  WatchedSocket* own = association->own_socket();
  if (own == nullptr) {
    const auto ended = remove(id);
    return tell_down(*ended);
  }
  // Down only when the descriptor is closed: before that, the kernel refuses to connect anew.
  leave_own(own->fd());
  own->close([this, id, alive = std::weak_ptr<int>(alive_)] {
    if (alive.expired()) return;
    const auto ended = remove(id);
    tell_down(*ended);
  });
}

}  // namespace siglane::transport
