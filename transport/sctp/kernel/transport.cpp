#include "transport/sctp/kernel/transport.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/endpoint_pool.h"
#include "transport/port_holder.h"
#include "transport/sctp/kernel/options.h"
#include "transport/transport_facts.h"

namespace siglane::transport {
namespace {

// A turn that lasts longer flushes what it has: the first answer must not wait for the last.
constexpr Duration kFlushAfter = 200us;
// Beyond so many on one socket, net.sctp.sndbuf_policy=0 makes every message dear.
constexpr std::size_t kCrowd = 500;

std::string in_use_by_any(std::span<const SocketAddress> addresses) {
  const auto taken = std::ranges::find_if(addresses, [](const SocketAddress& address) {
    return port_holder(PortProtocol::sctp, address).has_value();
  });
  return in_use_by(PortProtocol::sctp, taken == addresses.end() ? addresses.front() : *taken);
}

}  // namespace

SctpTransport::SctpTransport(Loop& loop, BufferPool& buffers, Counters& counters,
                             SctpTransportOptions options)
    : SctpTransportBase(loop, buffers, counters, TransportKind::kernel_sctp, std::move(options)),
      reader_(buffers),
      reserve_(options_.descriptors_kept_free) {}

SctpTransport::~SctpTransport() {
  const auto aborting = [](int fd) {
    close_aborting(fd);
    return 0;
  };
  for (auto& [id, association] : associations_) {
    if (auto* own = ours(*association).own_socket()) own->close({}, aborting);
  }
  for (auto& [fd, shared] : shared_by_fd_) shared->socket.close({}, aborting);
}

// --- Endpoints ------------------------------------------------------------------------------

Result<EndpointId> SctpTransport::open(const EndpointConfig& config, const Framing& framing) {
  const std::string who = "endpoint " + config.name + ": ";
  auto parsed = parse_all(config.addresses, config.port);
  if (!parsed) return failure(who + parsed.error().what);
  auto shared = std::make_shared<SctpEndpoint>();
  shared->config = config;
  EndpointPool& pool = join_pool(shared->config);
  shared->id = pool.id;
  if (auto good = shared->set_up(framing); !good) return failure(who + good.error().what);
  const std::size_t count = std::max<std::size_t>(1, config.sockets);

  std::vector<std::unique_ptr<Shared>> sockets;
  std::vector<SocketAddress> addresses = std::move(*parsed);
  for (SocketAddress& address : addresses) address = address.with_port(pool.port);
  if (addresses.empty()) addresses = {SocketAddress::any(pool.port)};
  for (std::size_t i = 0; i < count; ++i) {
    auto one = open_shared(shared, addresses, !pool.opened && i == 0);
    if (!one) return failure(who + one.error().what);
    const std::uint16_t port = local_port((*one)->socket.fd());
    for (SocketAddress& address : addresses) address = address.with_port(port);
    sockets.push_back(std::move(*one));
  }

  for (auto& one : sockets) shared_by_fd_[one->socket.fd()] = one.get();
  pool.port = addresses.front().port();
  const EndpointId id = shared->id;
  endpoints_.emplace(id, std::move(sockets));
  const bool first = !std::exchange(pool.opened, true);
  if (first) tell_encapsulation(config);
  keep(shared, first);
  if (first) {
    tell(AssociationId::none,
         endpoint_opened(config.name, joined(addresses), pool.port, TransportKind::kernel_sctp));
  }
  return id;
}

Result<std::unique_ptr<SctpTransport::Shared>> SctpTransport::open_shared(
    const std::shared_ptr<SctpEndpoint>& endpoint, std::span<const SocketAddress> addresses,
    bool first) {
  const EndpointConfig& config = endpoint->config;
  const bool pooled = reuses_port(config);
  OpenedSocket opened = open_one_to_many(addresses, config.sctp, pooled && !first);
  if (opened.error == 0 && endpoint->tls != nullptr) {
    if (const int error = enable_auth(opened.fd); error != 0) {
      const std::string problem = std::string("SCTP-AUTH (RFC 4895) cannot be had: ") +
                                  std::strerror(error) + ": sysctl -w net.sctp.auth_enable=1";
      if (endpoint->needs_auth()) {
        ::close(opened.fd);
        return failure(problem + ", or tls.require_sctp_auth false");
      }
      if (!config.pool->opened) {
        tell(AssociationId::none, notice("endpoint " + config.name + ": " + problem));
      }
    }
  }
  if (opened.error == 0 && config.listening) {
    opened.step = "listen";
    opened.error = listen_on(opened.fd);
    if (opened.error != 0) ::close(opened.fd);
  }
  if (opened.error == 0 && pooled && first) {
    opened.step = "share the port";
    opened.error = let_pool_in(opened.fd);
    if (opened.error != 0) ::close(opened.fd);
  }
  if (opened.error == ESOCKTNOSUPPORT || opened.error == EPROTONOSUPPORT) {
    return failure("this kernel has no SCTP (modprobe sctp)");
  }
  if (opened.error != 0) {
    return failure("cannot " + opened.step + " on " + joined(addresses) + " port " +
                   std::to_string(addresses.front().port()) +
                   " (sctp): " + std::strerror(opened.error) +
                   (opened.error == EADDRINUSE ? in_use_by_any(addresses) : std::string()));
  }
  for (const ClippedBuffer& clipped : opened.clipped) {
    if (!config.pool->opened) tell_clipped(*endpoint, clipped);  // said of all of them
  }
  auto socket = WatchedSocket::create(loop_, opened.fd, [this, fd = opened.fd](PollEvents events) {
    on_shared(*shared_by_fd_.at(fd), events);
  });
  if (!socket) {
    ::close(opened.fd);
    return tl::unexpected(socket.error());
  }
  auto shared = std::make_unique<Shared>(std::move(*socket));
  shared->endpoint = endpoint->id;
  shared->options.options = config.sctp;
  shared->window = opened.receive_buffer_bytes;
  shared->send_buffer_bytes = opened.send_buffer_bytes;
  endpoint->limit_send_buffer(opened.send_buffer_bytes);
  return shared;
}

// --- Associations ---------------------------------------------------------------------------

SctpTransport::Connected SctpTransport::connect_from(EndpointId local, AssociationId id,
                                                     const PeerConfig& peer,
                                                     std::vector<SocketAddress> addresses) {
  // The first address is the primary path, and the first to be asked.
  std::stable_partition(addresses.begin(), addresses.end(),
                        [&](const auto& a) { return a.text() == peer.primary_address; });
  Shared& shared = **std::ranges::min_element(endpoints_.at(local), {},
                                              [](const auto& one) { return one->associations; });
  const int fd = shared.socket.fd();
  const SctpOptions& of_all = endpoint_of(local)->config.sctp;
  const auto options = peer.sctp.value_or(SctpPeerOptions{}).over(of_all);
  // Some can be set only for all associations to come, so they are, and put back. One that a peer
  // begins in between gets them too, and neither suffers.
  if (peer.sctp) (void)set_init_options(fd, options);
  const ConnectResult result = connect_association(fd, addresses, peer.remote_udp_port);
  if (peer.sctp) (void)set_init_options(fd, of_all);
  // There is one already, on a socket of its own.
  if (result.error == EADDRNOTAVAIL) return {.error = EISCONN};
  if (result.error != 0) return {.error = result.error};
  return {.association = &add(id, result.id, shared), .patience = connect_patience(options)};
}

SctpAssociation* SctpTransport::find_by_stack(SctpId id) const {
  auto it = by_stack_id_.find(id);
  return it == by_stack_id_.end() ? nullptr : it->second;
}

SctpTransport::Shared* SctpTransport::shared_of(const SctpAssociation& association) const {
  if (association.peeled()) return nullptr;
  auto it = shared_by_fd_.find(association.fd());
  return it == shared_by_fd_.end() ? nullptr : it->second;
}

SctpAssociation& SctpTransport::add(AssociationId id, SctpId stack_id, Shared& shared) {
  auto owned =
      std::make_unique<SctpAssociation>(id, stack_id, endpoint_of(shared.endpoint), host());
  SctpAssociation& association = *owned;
  association.sit_on_shared(shared.socket.fd(), shared.window);
  ++shared.associations;
  by_stack_id_[stack_id] = &association;
  keep(std::move(owned));
  if (shared.associations > kCrowd && !shared.crowd_told) tell_crowd(shared);
  return association;
}

SctpAssociationBase& SctpTransport::succeed(SctpAssociationBase& of) {
  SctpAssociation& old = ours(of);
  auto owned = std::make_unique<SctpAssociation>(next_association_id(), old.stack_id(),
                                                 old.shared_endpoint(), host());
  SctpAssociation& fresh = *owned;
  if (Shared* shared = shared_of(old)) {
    ++shared->associations;
    fresh.sit_on_shared(shared->socket.fd(), old.window());
  } else {
    peeled_[old.fd()] = &fresh;
    fresh.sit_on(std::move(*old.own_socket()));
    fresh.peel_record = std::move(old.peel_record);
  }
  fresh.own_options = std::move(old.own_options);  // the stack keeps them
  by_stack_id_[fresh.stack_id()] = &fresh;
  return keep(std::move(owned));
}

void SctpTransport::forget(SctpAssociationBase& of) {
  SctpAssociation& association = ours(of);
  by_stack_id_.erase(association.stack_id());
  if (Shared* shared = shared_of(association)) --shared->associations;
}

void SctpTransport::tell_crowd(Shared& shared) {
  shared.crowd_told = true;
  if (sndbuf_policy() != 0) return;
  tell(AssociationId::none,
       notice("endpoint " + endpoint_of(shared.endpoint)->config.name + ": more than " +
                  std::to_string(kCrowd) +
                  " associations on one socket cost much with net.sctp.sndbuf_policy=0: sysctl "
                  "-w net.sctp.sndbuf_policy=1 and restart, or a larger `sockets`",
              Severity::warning));
}

// --- The turn of the loop -------------------------------------------------------------------

void SctpTransport::flush_at_end_of_turn(SctpAssociationBase& association) {
  if (!has_dirty()) work_began_ = std::max(work_began_, loop_.now());
  add_dirty(association);
  attend_soon();
}

void SctpTransport::flush_if_worked_enough() {
  if (!has_dirty()) return;
  const Instant now = Loop::fresh_now();
  if (now - work_began_ < kFlushAfter) return;
  flush_dirty();
  work_began_ = now;
}

void SctpTransport::wait_for_room(SctpAssociationBase& of) {
  SctpAssociation& association = ours(of);
  if (WatchedSocket* own = association.own_socket()) return own->want_writable(true);
  Shared* shared = shared_of(association);
  if (shared == nullptr) return;
  shared->blocked.push_back(association.id());
  shared->socket.want_writable(true);
  pressed_ = true;
}

void SctpTransport::retry_blocked(Shared& shared) {
  std::vector<AssociationId> waiting;
  waiting.swap(shared.blocked);
  bool progress = false;
  for (const AssociationId id : waiting) {
    if (!shared.blocked.empty()) {  // EAGAIN is for all
      shared.blocked.push_back(id);
      continue;
    }
    SctpAssociation* association = find_association(id);
    if (association == nullptr || shared_of(*association) != &shared) continue;
    progress |= association->flush();
  }
  // Writable, and yet nothing went: the tick tries again, so that nothing spins.
  shared.socket.want_writable(!shared.blocked.empty() && progress);
}

}  // namespace siglane::transport
