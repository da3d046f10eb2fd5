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
constexpr Duration kTick = 250ms;
// Every socket has so many turns after a batch of packets: as many as a link takes that sends
// bundles of 200-byte messages, or what is left of them gets cold.
constexpr int kPassesPerInput = 8;
// After so much work in one turn, what was answered leaves before the turn is over.
constexpr unsigned kFlushAfterMessages = 16;
constexpr Duration kFlushAfterWork = 200us;

}  // namespace

UsrsctpTransport::UsrsctpTransport(Loop& loop, BufferPool& buffers, Counters& counters,
                                   UsrsctpTransportOptions options)
    : SctpTransportBase(loop, buffers, counters, options.peeloff),
      options_(options),
      scratch_(kScratchBytes),
      soon_(loop.soon([this] { attend(); })),
      tick_(loop.timer([this] { tick(); })),
      end_of_turn_(loop.at_end_of_turn([this] { end_of_turn(); })) {}

UsrsctpTransport::~UsrsctpTransport() = default;

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
    tell(notice(
        "usrsctp parses SCTP in this process and is for trusted networks only; prefer the kernel's "
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
  endpoint.shared = shared;
  endpoint.udp = std::move(*udp);
  endpoint.socket = std::move(opened.socket);
  watch(*endpoint.socket, {shared->id, AssociationId::none});
  for (const auto port : endpoint.udp) {
    tell(endpoint_opened(config.name, stack_->udp_address(port).text(), endpoint.socket->port(),
                         TransportKind::usrsctp));
    if (auto clipped = stack_->clipped_buffer(port)) {
      tell(notice(where + "the UDP receive buffer is only " + std::to_string(*clipped) +
                      " bytes; raise net.core.rmem_max",
                  Severity::warning));
    }
  }
  if (shared->tls != nullptr) tell_of(*shared, shared->tls->notices("DTLS over SCTP with the "));
  endpoints_.emplace(shared->id, std::move(endpoint));
  return shared->id;
}

void UsrsctpTransport::reconfigure(EndpointId id, const EndpointConfig& config,
                                   std::shared_ptr<const TlsContext> loaded) {
  const auto found = endpoints_.find(id);
  if (found == endpoints_.end()) return;
  Endpoint& endpoint = found->second;
  const auto next = renewed(*endpoint.shared, config, std::move(loaded), true);
  if (next->config.sctp != endpoint.shared->config.sctp) {
    tell_unset(*next, endpoint.socket->set_options(next->config.sctp));
  }
  endpoint.shared = next;
  for (auto& [of, association] : associations_) {
    if (association->endpoint().id == id) association->follow(next, association->peeled());
  }
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
      tell(notice("endpoint " + config.name + ": usrsctp has one path, so " + text +
                  " is not used"));
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

UsrsctpAssociation* UsrsctpTransport::find_association(AssociationId id) const {
  auto it = associations_.find(id);
  return it == associations_.end() ? nullptr : it->second.get();
}

UsrsctpAssociation& UsrsctpTransport::add(AssociationId id, SctpId stack_id, Endpoint& endpoint) {
  UsrsctpHost& host = *this;
  auto owned =
      std::make_unique<UsrsctpAssociation>(id, stack_id, endpoint.shared, *endpoint.socket, host);
  UsrsctpAssociation& association = *owned;
  associations_[id] = std::move(owned);
  if (stack_id != 0) endpoint.by_stack_id[stack_id] = &association;
  ++endpoint.associations;
  if (!tick_.active()) tick_.start_after(kTick);
  return association;
}

// Out of all tables; where it sits does not change.
std::unique_ptr<UsrsctpAssociation> UsrsctpTransport::remove(AssociationId id) {
  auto it = associations_.find(id);
  std::unique_ptr<UsrsctpAssociation> owned = std::move(it->second);
  associations_.erase(it);
  Endpoint& endpoint = endpoints_.at(owned->endpoint().id);
  --endpoint.associations;
  auto by_id = endpoint.by_stack_id.find(owned->stack_id());
  if (by_id != endpoint.by_stack_id.end() && by_id->second == owned.get()) {
    endpoint.by_stack_id.erase(by_id);
  }
  if (owned->peeled()) --peeled_;
  return owned;
}

AssociationId UsrsctpTransport::connect(EndpointId local, const PeerConfig& peer) {
  Endpoint& endpoint = endpoints_.at(local);
  const AssociationId id = next_association_id();
  std::string why;
  DownCause cause = DownCause::unreachable;
  UsrsctpSocket::Connected connected;
  const auto path = path_to(endpoint, peer, why);
  if (path && has_peeled(endpoint, {*path, peer.port})) {
    connected.error = EISCONN;
    cause = DownCause::already_connected;
    why = std::strerror(EISCONN);
  } else if (path) {
    connected = endpoint.socket->connect({*path, peer.port});
    if (connected.error == EISCONN || connected.error == EALREADY) {
      cause = DownCause::already_connected;
    }
    if (connected.error != 0) why = std::strerror(connected.error);
  }
  // An association of the same two endpoints that somebody here has already.
  if (connected.id != 0 && endpoint.by_stack_id.contains(connected.id)) {
    connected = {0, EISCONN};
    cause = DownCause::already_connected;
    why = std::strerror(EISCONN);
  }
  UsrsctpAssociation& association = add(id, connected.id, endpoint);
  association.connecting = std::make_unique<UsrsctpAssociation::Connecting>(
      UsrsctpAssociation::Connecting{peer.name, peer.identity()});
  association.placement = peer.placement;
  association.initiator = true;
  if (connected.id == 0) {
    association.ended(cause, peer.name + ": " + why);
    over_.push_back(id);
    soon_.schedule();
    return id;
  }
  association.path = *path;
  stack_->hold(*path);
  return id;
}

// The stack would begin a second association under the numbers of the first, and the peer would
// take that for a restart.
bool UsrsctpTransport::has_peeled(const Endpoint& endpoint, UsrsctpAddress peer) const {
  if (peeled_ == 0) return false;
  return std::any_of(associations_.begin(), associations_.end(), [&](const auto& one) {
    const UsrsctpAssociation& association = *one.second;
    return association.peeled() && association.endpoint().id == endpoint.shared->id &&
           association.path == peer.path && association.peer_port == peer.port;
  });
}

std::optional<PathId> UsrsctpTransport::path_to(const Endpoint& endpoint, const PeerConfig& peer,
                                                std::string& why) {
  if (peer.remote_udp_port == 0) {
    why = "usrsctp needs the peer's remote_udp_port (RFC 6951)";
    return std::nullopt;
  }
  why = "no address to connect to";
  for (const std::string& text : peer.addresses) {
    auto address = SocketAddress::parse(text, peer.remote_udp_port);
    if (!address) {
      why = address.error().what;
      continue;
    }
    for (const auto port : endpoint.udp) {
      if (stack_->udp_address(port).family() != address->family()) continue;
      return stack_->path_to(port, *address);
    }
    why = "the endpoint has no address of the family of " + text;
  }
  return std::nullopt;
}

void UsrsctpTransport::bind(AssociationId id, const PeerConfig& peer) {
  if (UsrsctpAssociation* association = find_association(id)) {
    association->placement = peer.placement;
    pin(*association);
  }
  if (peer.sctp && !std::exchange(options_told_, true)) {
    tell(notice("usrsctp gives every peer the SCTP options of its endpoint, also " + peer.name +
                    ", which has some of its own",
                Severity::warning));
  }
}

std::optional<AssociationStatus> UsrsctpTransport::status(AssociationId id) const {
  const UsrsctpAssociation* association = find_association(id);
  if (association == nullptr) return std::nullopt;
  return association->status();
}

// --- Turns ----------------------------------------------------------------------------------

void UsrsctpTransport::flush_at_end_of_turn(SctpAssociationBase& association) {
  association.dirty = true;
  dirty_.push_back(association.id());
}

void UsrsctpTransport::congestion_changed(SctpAssociationBase& association) {
  congestion_.push_back(association.id());
  soon_.schedule();
}

void UsrsctpTransport::wait_for_room(SctpAssociationBase& association) {
  blocked_.push_back(association.id());
}

void UsrsctpTransport::read_soon(UsrsctpAssociation& association) {
  UsrsctpSocket& socket = association.socket();
  if (std::exchange(socket.noted, true)) return;
  readable_.push_back(
      {association.endpoint().id, association.peeled() ? association.id() : AssociationId::none});
  soon_.schedule();
}

void UsrsctpTransport::retry_blocked() {
  for (AssociationId id : std::exchange(blocked_, {})) {
    UsrsctpAssociation* association = find_association(id);
    if (association != nullptr) association->flush();
  }
}

void UsrsctpTransport::after_message() {
  if (dirty_.empty()) return;  // it was not answered
  if (worked_++ == 0) work_began_ = Loop::fresh_now();
  if (worked_ >= kFlushAfterMessages || Loop::fresh_now() - work_began_ >= kFlushAfterWork) {
    flush_dirty();
  }
}

void UsrsctpTransport::flush_dirty() {
  worked_ = 0;
  // flush() may make its association dirty once more (DTLS): that is for the next time. The vector
  // is not taken away, so that it keeps its memory.
  const std::size_t count = dirty_.size();
  for (std::size_t i = 0; i < count; ++i) {
    UsrsctpAssociation* association = find_association(dirty_[i]);
    if (association == nullptr) continue;
    association->dirty = false;
    if (!association->blocked) association->flush();
  }
  dirty_.erase(dirty_.begin(), dirty_.begin() + static_cast<std::ptrdiff_t>(count));
  if (stack_) stack_->send_packets();
}

void UsrsctpTransport::end_of_turn() {
  flush_dirty();
  graves_.clear();
  closing_.clear();
  if (stack_) stack_->send_packets();  // what those have said at their end
  if (!readable_.empty()) soon_.schedule();
}

void UsrsctpTransport::tell(AssociationId about, Fact fact) {
  facts_.emplace_back(about, std::move(fact));
  soon_.schedule();
}

void UsrsctpTransport::attend() {
  for (auto& [about, fact] : std::exchange(facts_, {})) {
    sink_->on_fact(about, std::move(fact), loop_.now());
  }
  for (AssociationId id : std::exchange(over_, {})) {
    if (find_association(id) != nullptr) finish(id);
  }
  for (AssociationId id : std::exchange(adopted_, {})) read_sealed(id);
  for (AssociationId id : std::exchange(congestion_, {})) {
    UsrsctpAssociation* association = find_association(id);
    if (association == nullptr) continue;
    if (auto congested = association->queue.congestion_change()) {
      sink_->on_event(id, AssociationCongestion{*congested}, loop_.now());
    }
  }
  peel_pinned();
  read_all();
}

}  // namespace siglane::transport
