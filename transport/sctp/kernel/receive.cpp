#include <cstring>
#include <utility>

#include "transport/counters.h"
#include "transport/sctp/kernel/options.h"
#include "transport/sctp/kernel/transport.h"

// SctpTransport: what its sockets say.
namespace siglane::transport {

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
  if (association == nullptr || !association->takes_data()) return;

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
  const auto* changed = std::get_if<notification::AssociationChanged>(&*parsed);
  SctpAssociation* association = association_of(source, subject_of(*parsed));
  if (association == nullptr && source.shared != nullptr && changed != nullptr &&
      changed->change == notification::Change::comm_up) {
    return take_stranger(*source.shared, *changed);
  }
  SctpTransportBase::take_notification(association, *parsed);
}

void SctpTransport::take_stranger(Shared& shared, const notification::AssociationChanged& up) {
  const int fd = shared.socket.fd();
  if (!lets_in(*endpoint_of(shared.endpoint), peer_addresses(fd, up.id))) {
    (void)abort_association(fd, up.id);
    return;
  }
  begin_in_stack(add(next_association_id(), up.id, shared), up, false);
}

void SctpTransport::begin_in_stack(SctpAssociationBase& of,
                                   const notification::AssociationChanged& up, bool restarted) {
  SctpAssociation& association = ours(of);
  if (association.paths_patience == Duration{}) {
    association.paths_patience = paths_patience(association.endpoint().config.sctp);
  }
  begin(association, up, remote_addresses(association), restarted);
}

std::vector<SocketAddress> SctpTransport::local_addresses(const SctpAssociationBase& association) {
  return transport::local_addresses(ours(association).fd(), association.stack_id());
}

std::vector<SocketAddress> SctpTransport::remote_addresses(const SctpAssociationBase& association) {
  return peer_addresses(ours(association).fd(), association.stack_id());
}

bool SctpTransport::unproven(const SctpAssociationBase& association, const SocketAddress& path) {
  return path_unconfirmed(ours(association).fd(), association.stack_id(), path);
}

// --- Ends -----------------------------------------------------------------------------------

void SctpTransport::finish_when_read(SctpAssociationBase& ended) {
  if (Shared* shared = shared_of(ours(ended))) shared->over.push_back(ended.id());
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
