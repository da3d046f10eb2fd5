#include <cerrno>
#include <utility>

#include "transport/counters.h"
#include "transport/sctp/usrsctp/transport.h"

// UsrsctpTransport: what the sockets say.
namespace siglane::transport {

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
    if (peeled && find_association(source.peeled)->paused()) continue;  // until it is resumed
    if (read_batch(source, peeled ? options_.peeled_batch_max : options_.shared_batch_max)) {
      continue;
    }
    // Not level-triggered: what was left has to be remembered.
    socket = socket_of(source);
    if (socket != nullptr && !std::exchange(socket->noted, true)) readable_.push_back(source);
  }
  readable_.erase(readable_.begin(), readable_.begin() + static_cast<std::ptrdiff_t>(count));
  if (!readable_.empty()) attend_soon();
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
  if (peeled_count() == 0) return;
  for (auto& [id, association] : associations_) {
    if (association->peeled()) note(ours(*association).socket(), {association->endpoint().id, id});
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
  if (association == nullptr || !association->takes_data()) return;
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
  const auto* changed = std::get_if<notification::AssociationChanged>(&*parsed);
  UsrsctpAssociation* association = association_of(source, subject_of(*parsed));
  if (association == nullptr && source.peeled == AssociationId::none && changed != nullptr &&
      changed->change == notification::Change::comm_up) {
    return take_stranger(source, *changed);
  }
  SctpTransportBase::take_notification(association, *parsed);
}

void UsrsctpTransport::take_stranger(const Source& source,
                                     const notification::AssociationChanged& up) {
  Endpoint& endpoint = endpoints_.at(source.endpoint);
  std::vector<SocketAddress> remote;
  for (const UsrsctpAddress& peer : endpoint.socket->peers(up.id)) {
    const SocketAddress address = stack_->remote_of(peer.path);
    if (address.valid()) remote.push_back(address);
  }
  if (!lets_in(*endpoint_of(source.endpoint), remote)) {
    (void)endpoint.socket->abort(up.id);
    return;
  }
  begin_in_stack(add(next_association_id(), up.id, endpoint), up, false);
}

void UsrsctpTransport::begin_in_stack(SctpAssociationBase& of,
                                      const notification::AssociationChanged& up, bool restarted) {
  UsrsctpAssociation& association = ours(of);
  const auto peers = association.socket().peers(up.id);
  if (!peers.empty()) {
    if (peers.front().path != association.path) {
      stack_->drop(association.path);
      stack_->hold(peers.front().path);
    }
    association.path = peers.front().path;
    association.peer_port = peers.front().port;
  }
  association.local = stack_->local_of(association.path).with_port(association.socket().port());
  const SocketAddress remote = stack_->remote_of(association.path);
  if (!remote.valid()) {  // no path: nothing can be sent there
    return association.fail(DownCause::lost, "its cookie came back from another UDP address");
  }
  const SocketAddress primary = remote.with_port(association.peer_port);
  begin(association, up, {&primary, 1}, restarted);
}

// What was not sent, then Down, then nothing.
void UsrsctpTransport::finish(AssociationId id) {
  std::unique_ptr<SctpAssociationBase> owned = remove(id);
  UsrsctpAssociation& association = ours(*owned);
  if (association.peeled()) {
    take_back_socket();
    closing_.push_back(association.take_socket());
  }
  stack_->drop(association.path);
  tell_unsent(association);
  graves_.push_back(std::move(owned));
  tell_down(association);
}

}  // namespace siglane::transport
