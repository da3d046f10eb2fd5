#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/sctp/kernel/options.h"
#include "transport/sctp/kernel/transport.h"

// SctpTransport: what the config asks of the kernel beyond an endpoint's own options.
namespace siglane::transport {

namespace {

// How long `count` waits take that begin with rto_initial and double.
Duration waits(const SctpAssociationOptions& options, int count, Duration longest) {
  Duration all{}, wait = options.rto_initial;
  for (int i = 0; i < count; ++i) {
    all += std::min(wait, longest);
    wait *= 2;
  }
  return all;
}

}  // namespace

// --- An endpoint that is open -----------------------------------------------------------------

void SctpTransport::set_socket_options(SctpEndpoint& next) {
  next.send_buffer_bytes = next.config.sctp.send_buffer_bytes;
  for (auto& shared : endpoints_.at(next.id)) {
    tell_unset(next, set_options(*shared, next));
    next.limit_send_buffer(shared->send_buffer_bytes);
  }
}

// What has not changed is left alone: the receive buffer may have been doubled meanwhile.
OptionOutcome SctpTransport::set_options(Shared& shared, const SctpEndpoint& next) {
  const SctpOptions has = shared.options.options, &now = next.config.sctp;
  if (now == has && !shared.options.in_doubt) return {};
  const int fd = shared.socket.fd();
  OptionOutcome failed = set_endpoint_options(fd, now);
  shared.options = {now, failed.error != 0};
  const auto took = [&](const BufferOutcome& buffer, std::string_view which) {
    if (buffer.error != 0) failed = {buffer.error, which};
    if (buffer.clipped && speaks(next.id)) tell_clipped(next, *buffer.clipped);
    return buffer.error == 0;
  };
  if (now.receive_buffer_bytes != has.receive_buffer_bytes) {
    const BufferOutcome buffer = set_receive_buffer(fd, now.receive_buffer_bytes);
    if (took(buffer, "SO_RCVBUF")) {
      shared.window = buffer.bytes;
    } else {
      shared.options.options.receive_buffer_bytes = has.receive_buffer_bytes;
    }
  }
  if (now.send_buffer_bytes != has.send_buffer_bytes) {
    const BufferOutcome buffer = set_send_buffer(fd, now.send_buffer_bytes);
    if (took(buffer, "SO_SNDBUF")) {
      shared.send_buffer_bytes = buffer.bytes;
    } else {
      shared.options.options.send_buffer_bytes = has.send_buffer_bytes;
    }
  }
  return failed;
}

void SctpTransport::tell_clipped(const SctpEndpoint& endpoint, const ClippedBuffer& clipped) {
  tell_of(endpoint,
          "wanted a buffer of " + std::to_string(clipped.wanted) + " bytes and got " +
              std::to_string(clipped.got) + ": sysctl -w " + std::string(clipped.sysctl) + "=" +
              std::to_string(clipped.wanted),
          Severity::warning);
}

// --- Peers ------------------------------------------------------------------------------------

// RFC 9260 §5.1: silence lasts as long as all retransmissions of INIT.
Duration SctpTransport::connect_patience(const SctpAssociationOptions& options) {
  return waits(options, options.init_attempts_max, options.init_timeout_max);
}

// A path that works has been confirmed by then: a probe may be lost so many times.
Duration SctpTransport::paths_patience(const SctpAssociationOptions& options) {
  return waits(options, options.path_retransmissions_max + 1, options.rto_max);
}

// A path that never worked: Linux tells only of those that were confirmed once, so we ask.
void SctpTransport::tell_unconfirmed_paths(Instant now) {
  std::vector<std::pair<AssociationId, std::string>> unconfirmed;
  for (auto& [id, of] : associations_) {
    SctpAssociation& association = ours(*of);
    if (!association.paths_due(now)) continue;
    const int fd = association.fd();
    for (const SocketAddress& path : peer_addresses(fd, association.stack_id())) {
      if (path_unconfirmed(fd, association.stack_id(), path)) {
        unconfirmed.emplace_back(id, path.text());
      }
    }
  }
  for (const auto& [id, address] : unconfirmed) {
    SctpAssociation* association = find_association(id);
    if (association != nullptr) tell_path(*association, address, PathState::unreachable);
  }
}

void SctpTransport::follow_peer(SctpAssociationBase& of, const PeerConfig& peer, bool identified) {
  SctpAssociation& association = ours(of);
  apply_options(association, peer);
  if (identified) choose_primary(association, peer);
}

// What the peer has otherwise than its endpoint. It stays with the association, also when that is
// peeled off, until the peer has it otherwise, or nothing of its own any more.
void SctpTransport::apply_options(SctpAssociation& association, const PeerConfig& peer) {
  const auto& own = association.own_options;
  if (!peer.sctp && own == nullptr) return;
  const SctpAssociationOptions options =
      peer.sctp.value_or(SctpPeerOptions{}).over(association.endpoint().config.sctp);
  if (own != nullptr && *own == options) return;
  association.own_options =
      peer.sctp ? std::make_unique<const SctpAssociationOptions>(options) : nullptr;
  association.paths_patience = paths_patience(options);
  const int fd = association.fd();
  const SctpId id = association.stack_id();
  const OptionOutcome set = set_association_options(fd, id, options);
  if (set.error == 0 || !stack_status(fd, id)) return;  // done, or it has ended
  tell(association.id(),
       notice("peer " + peer.name + ": not all of its own SCTP options could be set: " +
                  std::string(set.which) + ": " + std::strerror(set.error),
              Severity::warning));
}

// RFC 9260 §6.4: "By default, an endpoint SHOULD always transmit to the primary path".
void SctpTransport::choose_primary(const SctpAssociation& association, const PeerConfig& peer) {
  if (peer.primary_address.empty()) return;
  const auto paths = peer_addresses(association.fd(), association.stack_id());
  if (paths.empty()) return;  // it has ended
  const auto path = std::find_if(paths.begin(), paths.end(), [&](const SocketAddress& one) {
    return one.text() == peer.primary_address;
  });
  if (path != paths.end() &&
      set_primary_path(association.fd(), association.stack_id(), *path) == 0) {
    return;
  }
  tell(association.id(), notice("peer " + peer.name + ": its primary_address " +
                                    peer.primary_address + " is none of its paths",
                                Severity::warning));
}

// The kernel has one UDP port for all SCTP of a network namespace, which is the operator's to set.
void SctpTransport::tell_encapsulation(const EndpointConfig& config) {
  const int wanted = config.udp_encapsulation_port;
  const int has = udp_encapsulation_port().value_or(0);
  if (wanted == 0 || wanted == has || std::exchange(encapsulation_told_, true)) return;
  const std::string now = has == 0 ? "0, so SCTP goes over IP as it is" : std::to_string(has);
  tell(AssociationId::none,
       notice("endpoint " + config.name + ": udp_encapsulation asks for port " +
                  std::to_string(wanted) + ", and net.sctp.udp_port is " + now +
                  ": sysctl -w net.sctp.udp_port=" + std::to_string(wanted) + " and restart",
              config.transport == TransportKind::kernel_sctp ? Severity::warning : Severity::info));
}

}  // namespace siglane::transport
