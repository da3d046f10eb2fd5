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
constexpr Duration kTick = 250ms;
// Beyond so many on one socket, net.sctp.sndbuf_policy=0 makes every message dear.
constexpr std::size_t kCrowd = 500;

std::string joined(std::span<const SocketAddress> addresses) {
  std::string text;
  for (const SocketAddress& address : addresses) {
    if (!text.empty()) text += ", ";
    text += address.text();
  }
  return text;
}

Result<std::vector<SocketAddress>> parse_all(const std::vector<std::string>& texts,
                                             std::uint16_t port) {
  std::vector<SocketAddress> addresses;
  for (const std::string& text : texts) {
    auto address = SocketAddress::parse(text, port);
    if (!address) return tl::unexpected(address.error());
    addresses.push_back(*address);
  }
  return addresses;
}

std::string in_use_by_any(std::span<const SocketAddress> addresses) {
  const auto taken = std::ranges::find_if(addresses, [](const SocketAddress& address) {
    return port_holder(PortProtocol::sctp, address).has_value();
  });
  return in_use_by(PortProtocol::sctp, taken == addresses.end() ? addresses.front() : *taken);
}

DownCause cause_of_connect_error(int error) {
  switch (error) {
    case EISCONN:
    case EALREADY:
    case EADDRNOTAVAIL:  // there is one already, on a socket of its own
      return DownCause::already_connected;
    case ECONNREFUSED:
      return DownCause::refused;
    default:
      return DownCause::unreachable;
  }
}

}  // namespace

SctpTransport::SctpTransport(Loop& loop, BufferPool& buffers, Counters& counters,
                             SctpTransportOptions options)
    : SctpTransportBase(loop, buffers, counters, options.peeloff),
      options_(options),
      reader_(buffers),
      reserve_(options.descriptors_kept_free),
      soon_(loop.soon([this] { end_of_turn(); })),
      tick_(loop.timer([this] {
        tick();
        if (!associations_.empty()) tick_.start_after(kTick);
      })) {}

SctpTransport::~SctpTransport() {
  const auto aborting = [](int fd) {
    close_aborting(fd);
    return 0;
  };
  for (auto& [id, association] : associations_) {
    if (auto* own = association->own_socket()) own->close({}, aborting);
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

  Endpoint endpoint;
  endpoint.shared = shared;
  std::vector<SocketAddress> addresses = std::move(*parsed);
  for (SocketAddress& address : addresses) address = address.with_port(pool.port);
  if (addresses.empty()) addresses = {SocketAddress::any(pool.port)};
  for (std::size_t i = 0; i < count; ++i) {
    auto opened = open_shared(shared, addresses, !pool.opened && i == 0);
    if (!opened) return failure(who + opened.error().what);
    const std::uint16_t port = local_port((*opened)->socket.fd());
    for (SocketAddress& address : addresses) address = address.with_port(port);
    endpoint.sockets.push_back(std::move(*opened));
  }

  for (auto& one : endpoint.sockets) shared_by_fd_[one->socket.fd()] = one.get();
  pool.port = addresses.front().port();
  endpoint.speaks = !std::exchange(pool.opened, true);
  if (endpoint.speaks) {
    tell_encapsulation(config);
    if (shared->tls != nullptr) {
      tell_of(*shared, shared->tls->notices("DTLS over SCTP with the "));
    }
    tell(AssociationId::none,
         endpoint_opened(config.name, joined(addresses), pool.port, TransportKind::kernel_sctp));
  }
  const EndpointId id = shared->id;
  endpoints_.emplace(id, std::move(endpoint));
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
  shared->endpoint = endpoint;
  shared->window = opened.receive_buffer_bytes;
  endpoint->limit_send_buffer(opened.send_buffer_bytes);
  return shared;
}

// --- Associations ---------------------------------------------------------------------------

AssociationId SctpTransport::connect(EndpointId local, const PeerConfig& peer) {
  const AssociationId id = next_association_id();
  const auto fail = [&](DownCause cause, std::string detail) {
    soon([this, id, down = AssociationDown{cause, std::move(detail)}] { emit(id, down); });
    return id;
  };
  auto endpoint = endpoints_.find(local);
  if (endpoint == endpoints_.end()) return fail(DownCause::unreachable, "no such endpoint");
  auto addresses = parse_all(peer.addresses, peer.port);
  if (!addresses) return fail(DownCause::unreachable, addresses.error().what);
  if (addresses->empty()) return fail(DownCause::unreachable, "no address to connect to");

  // The first address is the primary path, and the first to be asked.
  std::stable_partition(addresses->begin(), addresses->end(),
                        [&](const auto& a) { return a.text() == peer.primary_address; });
  Shared& shared = **std::ranges::min_element(endpoint->second.sockets, {},
                                              [](const auto& one) { return one->associations; });
  const int fd = shared.socket.fd();
  const SctpOptions& of_all = shared.endpoint->config.sctp;
  const auto options = peer.sctp.value_or(SctpPeerOptions{}).over(of_all);
  // Some can be set only for all associations to come, so they are, and put back. One that a peer
  // begins in between gets them too, and neither suffers.
  if (peer.sctp) (void)set_init_options(fd, options);
  const ConnectResult result = connect_association(fd, *addresses, peer.remote_udp_port);
  if (peer.sctp) (void)set_init_options(fd, of_all);
  if (result.error != 0) {
    return fail(cause_of_connect_error(result.error),
                joined(*addresses) + ": " + std::strerror(result.error));
  }
  SctpAssociation& association = add(id, result.id, shared);
  association.initiator = true;
  association.connecting =
      std::make_unique<SctpAssociation::Connecting>(SctpAssociation::Connecting{
          peer.name, peer.identity(), loop_.now(), connect_patience(options)});
  association.placement = peer.placement;
  apply_options(association, peer);
  return id;
}

void SctpTransport::bind(AssociationId id, const PeerConfig& peer) {
  SctpAssociation* association = find_association(id);
  if (association == nullptr) return;
  association->placement = peer.placement;
  apply_options(*association, peer);
  choose_primary(*association, peer);
  pin(*association);
}

SctpAssociation* SctpTransport::find_association(AssociationId id) const {
  auto it = associations_.find(id);
  return it == associations_.end() ? nullptr : it->second.get();
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
  SctpHost& host = *this;
  auto owned = std::make_unique<SctpAssociation>(id, stack_id, shared.endpoint, host, loop_.now());
  owned->sit_on_shared(shared.socket.fd(), shared.window);
  ++shared.associations;
  ++shared.endpoint->config.pool->associations;
  by_stack_id_[stack_id] = owned.get();
  keep_ticking();
  if (shared.associations > kCrowd && !shared.crowd_told) tell_crowd(shared);
  return *associations_.emplace(id, std::move(owned)).first->second;
}

void SctpTransport::tell_crowd(Shared& shared) {
  shared.crowd_told = true;
  if (sndbuf_policy() != 0) return;
  tell(AssociationId::none,
       notice("endpoint " + shared.endpoint->config.name + ": more than " + std::to_string(kCrowd) +
                  " associations on one socket cost much with net.sctp.sndbuf_policy=0: sysctl "
                  "-w net.sctp.sndbuf_policy=1 and restart, or a larger `sockets`",
              Severity::warning));
}

void SctpTransport::keep_ticking() {
  if (tick_.active()) return;
  last_sample_ = loop_.now();
  tick_.start_after(kTick);
}

std::unique_ptr<SctpAssociation> SctpTransport::remove(AssociationId id) {
  auto it = associations_.find(id);
  std::unique_ptr<SctpAssociation> owned = std::move(it->second);
  associations_.erase(it);
  by_stack_id_.erase(owned->stack_id());
  closing_.erase(id);
  if (Shared* shared = shared_of(*owned)) --shared->associations;
  --owned->endpoint().config.pool->associations;
  return owned;
}

void SctpTransport::end_soon(SctpAssociation& association, DownCause cause, std::string detail) {
  association.ended(cause, std::move(detail));
  soon([this, id = association.id()] { finish(id); });
}

std::optional<AssociationStatus> SctpTransport::status(AssociationId id) const {
  const SctpAssociation* association = find_association(id);
  if (association == nullptr) return std::nullopt;
  return association->status();
}

// --- The turn of the loop -------------------------------------------------------------------

void SctpTransport::soon(std::function<void()> what) {
  later_.push_back(std::move(what));
  soon_.schedule();
}

void SctpTransport::tell(AssociationId about, Fact fact) {
  soon([this, about, fact = std::move(fact)] { sink_->on_fact(about, fact, loop_.now()); });
}

void SctpTransport::end_of_turn() {
  std::vector<std::function<void()>> now;
  now.swap(later_);
  for (auto& what : now) what();
  peel_pinned();
  flush_dirty();
}

void SctpTransport::flush_at_end_of_turn(SctpAssociationBase& association) {
  association.dirty = true;
  if (dirty_.empty()) work_began_ = std::max(work_began_, loop_.now());
  dirty_.push_back(association.id());
  soon_.schedule();
}

void SctpTransport::congestion_changed(SctpAssociationBase& association) {
  soon([this, id = association.id()] {
    SctpAssociation* changed = find_association(id);
    if (changed == nullptr) return;
    if (auto now = changed->queue.congestion_change()) emit(id, AssociationCongestion{*now});
  });
}

void SctpTransport::flush_dirty() {
  // flush() never makes another one dirty, so the vector keeps its memory.
  for (const AssociationId id : dirty_) {
    SctpAssociation* association = find_association(id);
    if (association == nullptr) continue;
    association->dirty = false;
    if (!association->blocked) association->flush();
  }
  dirty_.clear();
}

void SctpTransport::flush_if_worked_enough() {
  if (dirty_.empty()) return;
  const Instant now = Loop::fresh_now();
  if (now - work_began_ < kFlushAfter) return;
  flush_dirty();
  work_began_ = now;
}

void SctpTransport::wait_for_room(SctpAssociationBase& of) {
  SctpAssociation& association = *find_association(of.id());
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
