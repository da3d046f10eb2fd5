#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/sctp_options.h"
#include "transport/sctp_transport.h"

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
  for (auto& [id, association] : associations_) {
    if (!association->paths_due(now)) continue;
    const int fd = association->fd();
    for (const SocketAddress& path : peer_addresses(fd, association->stack_id())) {
      if (path_unconfirmed(fd, association->stack_id(), path)) {
        unconfirmed.emplace_back(id, path.text());
      }
    }
  }
  for (const auto& [id, address] : unconfirmed) {
    SctpAssociation* association = find_association(id);
    if (association != nullptr) tell_path(*association, address, PathState::unreachable);
  }
}

// What the peer has otherwise than its endpoint. It stays with the association, also when that is
// peeled off.
void SctpTransport::apply_options(SctpAssociation& association, const PeerConfig& peer) {
  if (!peer.sctp) return;
  const SctpAssociationOptions options = peer.sctp->over(association.endpoint().config.sctp);
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
