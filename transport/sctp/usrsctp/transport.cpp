#include "transport/sctp/usrsctp/transport.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/endpoint_pool.h"
#include "transport/transport_facts.h"

namespace siglane::transport {
namespace {

// Holds a message of the size that signaling has, or a notification with one that came back.
constexpr std::size_t kScratchBytes = 256 * 1024;
// Every socket has so many turns after a batch of packets: as many as a link takes that sends
// bundles of 200-byte messages, or what is left of them gets cold.
constexpr int kPassesPerInput = 8;
// After so much work in one turn, what was answered leaves before the turn is over.
constexpr unsigned kFlushAfterMessages = 16;
constexpr Duration kFlushAfterWork = 200us;

}  // namespace

UsrsctpTransport::UsrsctpTransport(Loop& loop, BufferPool& buffers, Counters& counters,
                                   SctpTransportOptions options)
    : SctpTransportBase(loop, buffers, counters, TransportKind::usrsctp, std::move(options)),
      scratch_(kScratchBytes),
      leave_turn_(loop.at_end_of_turn([this] { leave_turn(); })) {}

UsrsctpTransport::~UsrsctpTransport() {
  associations_.clear();  // before the stack
}

// --- Endpoints ------------------------------------------------------------------------------

Result<EndpointId> UsrsctpTransport::open(const EndpointConfig& config, const Framing& framing) {
  const std::string where = "endpoint " + config.name + ": ";
  if (!stack_) {
    auto stack = UsrsctpStack::claim(loop_);
    if (!stack) return failure(where + stack.error().what);
    stack_ = std::move(*stack);
    stack_->after_input([this] {
      for (int passes = 0; passes < kPassesPerInput; ++passes) {
        read_all();
        if (readable_.empty()) break;
      }
      retry_blocked();
    });
    stack_->after_time([this] {
      note_readable();
      read_all();
      retry_blocked();
    });
    tell(AssociationId::none, notice("usrsctp parses SCTP in this process and is for trusted "
                                     "networks only; prefer the kernel's "
                                     "SCTP (modprobe sctp) where peers are not"));
  }
  auto shared = std::make_shared<SctpEndpoint>();
  shared->config = config;
  shared->id = join_pool(shared->config).id;
  if (auto good = shared->set_up(framing); !good) return failure(where + good.error().what);
  auto udp = open_udp(config);
  if (!udp) return failure(where + udp.error().what);

  auto opened = UsrsctpSocket::open_one_to_many(config.port, config.sctp);
  if (opened.socket && shared->tls != nullptr) {
    opened.error = opened.socket->enable_auth(shared->needs_auth());
    opened.step = "enable SCTP-AUTH";
  }
  if (opened.socket && opened.error == 0 && config.listening) {
    opened.error = opened.socket->listen();
    opened.step = "listen";
  }
  if (!opened.socket || opened.error != 0) {
    return failure(where + "SCTP port " + std::to_string(config.port) + " of this process, " +
                   opened.step + ": " + std::strerror(opened.error) +
                   (opened.error == EADDRINUSE
                        ? " (with usrsctp every endpoint needs an SCTP port of its own)"
                        : ""));
  }
  Endpoint endpoint;
  endpoint.id = shared->id;
  endpoint.options.options = config.sctp;
  endpoint.udp = std::move(*udp);
  endpoint.socket = std::move(opened.socket);
  watch(*endpoint.socket, {shared->id, AssociationId::none});
  for (const auto port : endpoint.udp) {
    tell(AssociationId::none, endpoint_opened(config.name, stack_->udp_address(port).text(),
                                              endpoint.socket->port(), TransportKind::usrsctp));
    if (auto clipped = stack_->clipped_buffer(port)) {
      tell_of(*shared,
              "the UDP receive buffer is only " + std::to_string(*clipped) +
                  " bytes; raise net.core.rmem_max",
              Severity::warning);
    }
  }
  endpoints_.emplace(shared->id, std::move(endpoint));
  keep(shared, true);
  return shared->id;
}

void UsrsctpTransport::set_socket_options(SctpEndpoint& next) {
  Endpoint& endpoint = endpoints_.at(next.id);
  if (next.config.sctp == endpoint.options.options && !endpoint.options.in_doubt) return;
  const OptionOutcome set = endpoint.socket->set_options(next.config.sctp);
  endpoint.options = {next.config.sctp, set.error != 0};
  tell_unset(next, set);
}

Result<std::vector<UsrsctpStack::UdpPort>> UsrsctpTransport::open_udp(
    const EndpointConfig& config) {
  std::vector<SocketAddress> addresses;
  for (const std::string& text : config.addresses) {
    auto address = SocketAddress::parse(text, config.udp_encapsulation_port);
    if (!address) return tl::unexpected(address.error());
    const bool another = std::any_of(
        addresses.begin(), addresses.end(),
        [&](const SocketAddress& earlier) { return earlier.family() == address->family(); });
    if (another) {
      tell(AssociationId::none, notice("endpoint " + config.name + ": usrsctp has one path, so " +
                                       text + " is not used"));
    } else {
      addresses.push_back(*address);
    }
  }
  if (addresses.empty()) {
    addresses = {SocketAddress::any(AF_INET, config.udp_encapsulation_port)};
    if (has_ipv6())
      addresses.push_back(SocketAddress::any(AF_INET6, config.udp_encapsulation_port));
  }
  std::vector<UsrsctpStack::UdpPort> ports;
  for (const SocketAddress& address : addresses) {
    auto port = stack_->open_udp(address, config.udp_segmentation_offload);
    if (!port) return tl::unexpected(port.error());
    ports.push_back(*port);
  }
  return ports;
}

void UsrsctpTransport::watch(UsrsctpSocket& socket, Source source) {
  socket.noted = false;
  socket.on_readable([this, &socket, source] {
    if (!std::exchange(socket.noted, true)) readable_.push_back(source);
  });
}

// --- Associations ---------------------------------------------------------------------------

UsrsctpAssociation& UsrsctpTransport::add(AssociationId id, SctpId stack_id, Endpoint& endpoint) {
  UsrsctpHost& stack_host = *this;
  auto owned = std::make_unique<UsrsctpAssociation>(id, stack_id, endpoint_of(endpoint.id),
                                                    *endpoint.socket, host(), stack_host);
  UsrsctpAssociation& association = *owned;
  endpoint.by_stack_id[stack_id] = &association;
  keep(std::move(owned));
  return association;
}

SctpAssociationBase& UsrsctpTransport::succeed(SctpAssociationBase& of) {
  UsrsctpAssociation& old = ours(of);
  Endpoint& endpoint = endpoints_.at(old.endpoint().id);
  UsrsctpAssociation& fresh = add(next_association_id(), old.stack_id(), endpoint);
  fresh.path = old.path;
  fresh.peer_port = old.peer_port;
  if (old.peeled()) {
    endpoint.by_stack_id.erase(fresh.stack_id());
    fresh.peel_record = std::move(old.peel_record);
    fresh.sit_on(old.take_socket());
    (void)watch(fresh);
  }
  return fresh;
}

void UsrsctpTransport::forget(SctpAssociationBase& of) {
  UsrsctpAssociation& association = ours(of);
  auto& by_stack_id = endpoints_.at(association.endpoint().id).by_stack_id;
  const auto found = by_stack_id.find(association.stack_id());
  if (found != by_stack_id.end() && found->second == &association) by_stack_id.erase(found);
  std::erase(blocked_, association.id());
}

UsrsctpTransport::Connected UsrsctpTransport::connect_from(EndpointId local, AssociationId id,
                                                           const PeerConfig& peer,
                                                           std::vector<SocketAddress> addresses) {
  Endpoint& endpoint = endpoints_.at(local);
  if (peer.remote_udp_port == 0) {
    return {.missing = "usrsctp needs the peer's remote_udp_port (RFC 6951)"};
  }
  for (SocketAddress& address : addresses) address = address.with_port(peer.remote_udp_port);
  const auto path = path_to(endpoint, addresses);
  if (!path) {
    return {.missing = "the endpoint has no address of the family of " + addresses.back().text()};
  }
  if (has_peeled(endpoint, {*path, peer.port})) return {.error = EISCONN};
  const UsrsctpSocket::Connected connected = endpoint.socket->connect({*path, peer.port});
  if (connected.error != 0) return {.error = connected.error};
  // An association of the same two endpoints that somebody here has already.
  if (endpoint.by_stack_id.contains(connected.id)) return {.error = EISCONN};
  UsrsctpAssociation& association = add(id, connected.id, endpoint);
  association.path = *path;
  stack_->hold(*path);
  return {.association = &association};
}

// The stack would begin a second association under the numbers of the first, and the peer would
// take that for a restart.
bool UsrsctpTransport::has_peeled(const Endpoint& endpoint, UsrsctpAddress peer) const {
  if (peeled_count() == 0) return false;
  return std::any_of(associations_.begin(), associations_.end(), [&](const auto& one) {
    const UsrsctpAssociation& association = ours(*one.second);
    return association.peeled() && association.endpoint().id == endpoint.id &&
           association.path == peer.path && association.peer_port == peer.port;
  });
}

std::optional<PathId> UsrsctpTransport::path_to(const Endpoint& endpoint,
                                                std::span<const SocketAddress> addresses) const {
  for (const SocketAddress& address : addresses) {
    for (const auto port : endpoint.udp) {
      if (stack_->udp_address(port).family() == address.family()) {
        return stack_->path_to(port, address);
      }
    }
  }
  return std::nullopt;
}

void UsrsctpTransport::follow_peer(SctpAssociationBase&, const PeerConfig& peer, bool identified) {
  if (!identified || !peer.sctp || std::exchange(options_told_, true)) return;
  tell(AssociationId::none,
       notice("usrsctp gives every peer the SCTP options of its endpoint, also " + peer.name +
                  ", which has some of its own",
              Severity::warning));
}

// --- Turns ----------------------------------------------------------------------------------

void UsrsctpTransport::wait_for_room(SctpAssociationBase& association) {
  blocked_.push_back(association.id());
}

void UsrsctpTransport::read_soon(UsrsctpAssociation& association) {
  UsrsctpSocket& socket = association.socket();
  if (std::exchange(socket.noted, true)) return;
  readable_.push_back(
      {association.endpoint().id, association.peeled() ? association.id() : AssociationId::none});
  attend_soon();
}

void UsrsctpTransport::retry_blocked() {
  for (AssociationId id : std::exchange(blocked_, {})) {
    UsrsctpAssociation* association = find_association(id);
    if (association != nullptr) association->flush();
  }
}

void UsrsctpTransport::after_message() {
  if (!has_dirty()) return;  // it was not answered
  if (worked_++ == 0) work_began_ = Loop::fresh_now();
  if (worked_ >= kFlushAfterMessages || Loop::fresh_now() - work_began_ >= kFlushAfterWork) {
    send_dirty();
  }
}

void UsrsctpTransport::send_dirty() {
  worked_ = 0;
  flush_dirty();
  if (stack_) stack_->send_packets();
}

void UsrsctpTransport::leave_turn() {
  send_dirty();
  graves_.clear();
  closing_.clear();
  if (stack_) stack_->send_packets();  // what those have said at their end
  if (!readable_.empty()) attend_soon();
}

}  // namespace siglane::transport
