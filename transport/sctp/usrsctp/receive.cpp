#include <cerrno>
#include <utility>

#include "transport/counters.h"
#include "transport/sctp/usrsctp/transport.h"

// UsrsctpTransport: what the sockets say.
namespace siglane::transport {

using Phase = UsrsctpAssociation::Phase;

void UsrsctpTransport::read_all() {
  // What becomes readable meanwhile, or was not read to its end, is for the next time. The vector
  // is not taken away, so that it keeps its memory.
  const std::size_t count = readable_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Source source = readable_[i];
    UsrsctpSocket* socket = socket_of(source);
    if (socket == nullptr) continue;
    socket->noted = false;
    const bool peeled = source.peeled != AssociationId::none;
    if (peeled && find_association(source.peeled)->paused) continue;  // until it is resumed
    if (read_batch(source, peeled ? options_.peeled_batch_max : options_.shared_batch_max)) {
      continue;
    }
    // Not level-triggered: what was left has to be remembered.
    socket = socket_of(source);
    if (socket != nullptr && !std::exchange(socket->noted, true)) readable_.push_back(source);
  }
  readable_.erase(readable_.begin(), readable_.begin() + static_cast<std::ptrdiff_t>(count));
  if (!readable_.empty()) soon_.schedule();
}

// Not everything that the stack appends to a socket comes with an upcall: what its own timers end,
// and what we abort, does not. So its clock is also ours.
void UsrsctpTransport::note_readable() {
  const auto note = [this](UsrsctpSocket& socket, Source source) {
    if (!socket.noted && socket.readable()) {
      socket.noted = true;
      readable_.push_back(source);
    }
  };
  for (auto& [id, endpoint] : endpoints_) note(*endpoint.socket, {id, AssociationId::none});
  if (peeled_ == 0) return;
  for (auto& [id, association] : associations_) {
    if (association->peeled()) note(association->socket(), {association->endpoint().id, id});
  }
}

UsrsctpSocket* UsrsctpTransport::socket_of(const Source& source) const {
  if (source.peeled != AssociationId::none) {
    UsrsctpAssociation* association = find_association(source.peeled);
    return association != nullptr && association->peeled() ? &association->socket() : nullptr;
  }
  auto endpoint = endpoints_.find(source.endpoint);
  return endpoint == endpoints_.end() ? nullptr : endpoint->second.socket.get();
}

// On a peeled socket there is only one, whatever the id.
UsrsctpAssociation* UsrsctpTransport::association_of(const Source& source, SctpId stack_id) const {
  if (source.peeled != AssociationId::none) return find_association(source.peeled);
  const Endpoint& endpoint = endpoints_.at(source.endpoint);
  auto it = endpoint.by_stack_id.find(stack_id);
  return it == endpoint.by_stack_id.end() ? nullptr : it->second;
}

// true: until nothing waited, or the socket is gone.
bool UsrsctpTransport::read_batch(const Source& source, unsigned messages_max) {
  for (unsigned read = 0; read < messages_max; ++read) {
    UsrsctpSocket* socket = socket_of(source);
    if (socket == nullptr) return true;
    const UsrsctpSocket::Piece piece = socket->receive(scratch_);
    if (piece.error == ECONNRESET) continue;  // told once; COMM_LOST says it better
    if (piece.error != 0 || piece.end_of_file) return true;
    const Bytes bytes = Bytes(scratch_).first(piece.size);
    if (piece.is_notification && !piece.ends) {
      take_long_notification(*socket, source, bytes);
    } else if (piece.is_notification) {
      take_notification(source, bytes);
    } else {
      take_data(source, piece, bytes);
      after_message();
    }
  }
  return false;
}

void UsrsctpTransport::take_data(const Source& source, const UsrsctpSocket::Piece& piece,
                                 Bytes bytes) {
  UsrsctpAssociation* association = association_of(source, piece.id);
  if (association == nullptr || association->phase() == Phase::connecting ||
      association->phase() == Phase::aborting || association->phase() == Phase::over) {
    return;
  }
  Message message;
  const MessagePiece part{piece.stream, piece.protocol, piece.unordered, piece.ends, bytes};
  switch (association->reassembly.add(part, buffers_, message)) {
    case Reassembly::Outcome::partial:
      counters_.add(counter::partial_deliveries);
      return;
    case Reassembly::Outcome::oversized:
      return refuse_oversized(*association);
    case Reassembly::Outcome::whole:
      break;
  }
  take_whole(*association, std::move(message));
}

// With a message in it that came back whole, and does not fit our space. The rest is there already,
// and must not be taken for a notification of its own: its bytes are somebody else's.
void UsrsctpTransport::take_long_notification(UsrsctpSocket& socket, const Source& source,
                                              Bytes begin) {
  std::vector<std::byte> whole(begin.begin(), begin.end());
  for (bool ends = false; !ends;) {
    const UsrsctpSocket::Piece piece = socket.receive(scratch_);
    if (piece.error != 0 || piece.end_of_file || !piece.is_notification) break;
    whole.insert(whole.end(), scratch_.begin(),
                 scratch_.begin() + static_cast<std::ptrdiff_t>(piece.size));
    ends = piece.ends;
  }
  take_notification(source, whole);
}

void UsrsctpTransport::take_notification(const Source& source, Bytes bytes) {
  const auto parsed = parse_usrsctp_notification(
      bytes, [this](PathId path) { return stack_->remote_of(path).text(); });
  if (!parsed) {
    counters_.add(counter::notifications_malformed);
    return;
  }
  if (const auto* changed = std::get_if<notification::AssociationChanged>(&*parsed)) {
    on_change(source, *changed);
  } else if (const auto* path = std::get_if<notification::PathChanged>(&*parsed)) {
    UsrsctpAssociation* association = association_of(source, path->id);
    if (association == nullptr || association->phase() == Phase::connecting ||
        association->phase() == Phase::securing) {
      return;
    }
    const bool reachable = path->state == notification::PathState::available;
    if (!reachable && path->state != notification::PathState::unreachable) return;
    if (auto change = association->path_changed(
            path->address, reachable ? PathState::reachable : PathState::unreachable)) {
      emit(association->id(), std::move(*change));
    }
  } else if (const auto* failed = std::get_if<notification::SendFailed>(&*parsed)) {
    UsrsctpAssociation* association = association_of(source, failed->id);
    if (association == nullptr) return;
    if (auto unsent = association->returned(*failed)) {
      emit(association->id(), std::move(*unsent));
    }
  } else if (const auto* shutdown = std::get_if<notification::PeerShutdown>(&*parsed)) {
    if (UsrsctpAssociation* association = association_of(source, shutdown->id)) {
      association->peer_shut_down();
    }
  } else if (const auto* dry = std::get_if<notification::SenderDry>(&*parsed)) {
    if (UsrsctpAssociation* association = association_of(source, dry->id)) association->dry();
  } else if (const auto* partial = std::get_if<notification::PartialDeliveryAborted>(&*parsed)) {
    if (UsrsctpAssociation* association = association_of(source, partial->id)) {
      association->reassembly.abort(partial->stream, partial->unordered);
    }
  }
}

void UsrsctpTransport::on_change(const Source& source,
                                 const notification::AssociationChanged& changed) {
  using notification::Change;
  if (changed.change == Change::comm_up) return on_up(source, changed);
  UsrsctpAssociation* association = association_of(source, changed.id);
  if (association == nullptr) return;
  switch (changed.change) {
    case Change::comm_up:
      return;
    case Change::restart:
      return on_restart(*association, changed);
    case Change::shutdown_complete:
      association->ended(DownCause::peer_shutdown, {});
      break;
    case Change::cannot_start:
      association->ended(changed.by_abort ? DownCause::refused : DownCause::unreachable,
                         changed.by_abort ? "the peer refused the association" : "no answer");
      break;
    case Change::comm_lost:
      if (association->phase() == Phase::connecting) {
        association->ended(changed.by_abort ? DownCause::refused : DownCause::unreachable,
                           "did not come up");
      } else {
        association->ended(changed.by_abort ? DownCause::peer_abort : DownCause::lost,
                           changed.by_abort ? "the peer aborted" : "the peer does not answer");
      }
      break;
  }
  finish(association->id());
}

void UsrsctpTransport::on_up(const Source& source, const notification::AssociationChanged& up) {
  UsrsctpAssociation* association = association_of(source, up.id);
  if (association == nullptr) {
    Endpoint& endpoint = endpoints_.at(source.endpoint);
    const EndpointConfig& config = endpoint.shared->config;
    if (endpoint.associations >= config.associations_max) {
      counters_.add(siglane::counter::associations_refused_limit);
      (void)endpoint.socket->abort(up.id);
      return sink_->on_stranger("unknown", "endpoint " + config.name + " has its associations_max",
                                loop_.now());
    }
    association = &add(next_association_id(), up.id, endpoint);
  } else if (association->phase() != Phase::connecting) {
    return;
  }
  begin(*association, up);
}

void UsrsctpTransport::begin(UsrsctpAssociation& association,
                             const notification::AssociationChanged& up, bool restarted) {
  const auto peers = association.socket().peers(up.id);
  UsrsctpAddress peer{association.path, association.peer_port};
  if (!peers.empty()) peer = peers.front();
  if (peer.path != association.path) {
    stack_->drop(association.path);
    stack_->hold(peer.path);
  }
  association.came_up(up, stack_->local_of(peer.path), stack_->remote_of(peer.path), peer);
  if (!association.remote().valid()) {  // no path: nothing can be sent there
    return association.fail(DownCause::lost, "its cookie came back from another UDP address");
  }
  if (!association.initiator &&
      !sink_->on_newcomer(association.id(), {association.remote().text()}, loop_.now()).admitted) {
    return association.fail(DownCause::local_close, "turned away");
  }
  if (association.endpoint().tls != nullptr) {
    return association.secure(association.initiator, restarted);
  }
  tell_up(association);
}

void UsrsctpTransport::tell_secured(SctpAssociationBase& association) {
  tell_up(*find_association(association.id()));
}

void UsrsctpTransport::tell_up(UsrsctpAssociation& association) {
  pin(association);
  emit(association.id(), association.up_event());
}

// RFC 9260 §5.2.4.1: the peer lost its state and began anew. Ours is worth nothing either.
void UsrsctpTransport::on_restart(UsrsctpAssociation& old,
                                  const notification::AssociationChanged& up) {
  if (old.phase() == Phase::connecting) {
    begin(old, up);  // was never up for anyone above
    return;
  }
  Endpoint& endpoint = endpoints_.at(old.endpoint().id);
  std::unique_ptr<UsrsctpSocket> own;
  if (old.peeled()) {
    own = old.take_socket();
    --peeled_;
  }
  const AssociationId old_id = old.id();
  UsrsctpAssociation& fresh = add(next_association_id(), old.stack_id(), endpoint);
  fresh.path = old.path;
  fresh.peer_port = old.peer_port;
  stack_->hold(fresh.path);
  if (own) {
    endpoint.by_stack_id.erase(fresh.stack_id());
    fresh.peel_record = std::move(old.peel_record);
    const Source source{endpoint.shared->id, fresh.id()};
    watch(*own, source);
    own->noted = true;
    readable_.push_back(source);
    fresh.sit_on(std::move(own));
    ++peeled_;
  }
  const AssociationId fresh_id = fresh.id();
  old.ended(DownCause::restarted, "the peer restarted");
  finish(old_id);
  begin(*find_association(fresh_id), up, true);
}

// What was not sent, then Down, then nothing.
void UsrsctpTransport::finish(AssociationId id) {
  std::unique_ptr<UsrsctpAssociation> owned = remove(id);
  UsrsctpAssociation& association = *owned;
  if (auto own = association.take_socket()) closing_.push_back(std::move(own));
  stack_->drop(association.path);
  tell_unsent(association);
  graves_.push_back(std::move(owned));
  tell_down(association);
}

}  // namespace siglane::transport
