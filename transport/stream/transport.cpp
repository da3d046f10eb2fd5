#include "transport/stream/transport.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>

#include "transport/counters.h"
#include "transport/endpoint_config.h"
#include "transport/endpoint_pool.h"
#include "transport/port_holder.h"
#include "transport/transport_facts.h"

namespace siglane::transport {
namespace {

constexpr std::size_t kReadBytes = 65536;
constexpr int kAcceptsPerWake = 64;
constexpr int kBacklog = 1024;
constexpr Duration kAcceptPause = 100ms;
// After so much work in one turn, what was answered leaves before the turn is over.
constexpr unsigned kFlushAfterMessages = 16;
constexpr Duration kFlushAfterWork = 200us;

struct StreamCargo final : DetachedAssociation {
  explicit StreamCargo(StreamState s) : state(std::move(s)) {}
  ~StreamCargo() override {
    if (!state.fd.valid()) return;
    const linger abort{1, 0};
    setsockopt(state.fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  }
  AssociationId id() const override { return state.id; }

  StreamState state;
};

FileDescriptor open_reserve() {
  return FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TransportKind kind_of(const StreamEndpoint& endpoint) {
  return endpoint.tls != nullptr ? TransportKind::tls : TransportKind::tcp;
}

std::string hint_for(int error, const SocketAddress& address) {
  switch (error) {
    case EADDRINUSE:
      return in_use_by(PortProtocol::tcp, address);
    case EADDRNOTAVAIL:
      return " (no interface has this address)";
    case EACCES:
      return " (ports below 1024 need CAP_NET_BIND_SERVICE)";
    default:
      return {};
  }
}

}  // namespace

StreamTransport::StreamTransport(Loop& loop, BufferPool& buffers, Counters& counters)
    : loop_(loop),
      buffers_(buffers),
      counters_(counters),
      read_space_(kReadBytes),
      reserve_(open_reserve()),
      resume_accepting_(loop.timer([this] {
        for (auto& [id, endpoint] : endpoints_) {
          for (auto& listening : endpoint.listening) listening->poll->watch(true, false);
        }
      })),
      soon_(loop.soon([this] { attend_all(); })),
      end_of_turn_(loop.at_end_of_turn([this] {
        flush_dirty();
        graves_.clear();
      })) {}

StreamTransport::~StreamTransport() {
  for (auto& [id, connection] : connections_) connection->close(CloseMode::abort);
}

// --- Endpoints ------------------------------------------------------------------------------

Result<EndpointId> StreamTransport::open(const EndpointConfig& config, const Framing& framing) {
  auto shared = std::make_shared<StreamEndpoint>();
  shared->config = config;
  EndpointPool& pool = join_pool(shared->config);
  const bool first = !std::exchange(pool.opened, true);  // speaks for all
  shared->id = pool.id;
  shared->framing = &framing;
  if (config.transport == TransportKind::tls) {
    if (!config.tls) return failure("endpoint " + config.name + ": transport tls needs \"tls\"");
    auto loaded = TlsContext::load(*config.tls);
    if (!loaded) return failure("endpoint " + config.name + ": " + loaded.error().what);
    shared->tls = std::move(*loaded);
    if (first) tell_of(*shared, shared->tls->notices("TLS with the "));
  }
  for (const std::string& text : config.addresses) {
    auto address = SocketAddress::parse(text, pool.port);
    if (!address) return failure("endpoint " + config.name + ": " + address.error().what);
    shared->addresses.push_back(*address);
  }
  Endpoint endpoint;
  if (config.listening) {
    auto listening = listen_all(*shared, first);
    if (!listening) return tl::unexpected(listening.error());
    endpoint.listening = std::move(*listening);
    for (auto& one : endpoint.listening) {
      auto poll = loop_.poll(one->fd.get(), [this, id = shared->id, at = one.get()](PollEvents) {
        accept_some(id, *at);
      });
      if (!poll) return tl::unexpected(poll.error());
      poll->watch(true, false);
      one->poll = std::move(*poll);
      pool.port = one->address.port();
      if (!first) continue;
      tell(endpoint_opened(config.name, one->address.text(), pool.port, kind_of(*shared)));
    }
  }
  const EndpointId id = shared->id;
  endpoint.shared = std::move(shared);
  endpoint.speaks = first;
  endpoints_.emplace(id, std::move(endpoint));
  return id;
}

Result<std::vector<std::unique_ptr<StreamTransport::Listening>>> StreamTransport::listen_all(
    const StreamEndpoint& endpoint, bool first) {
  std::vector<std::unique_ptr<Listening>> all;
  std::vector<SocketAddress> addresses = endpoint.addresses;
  const bool any = addresses.empty();
  if (any) addresses.push_back(SocketAddress::any(endpoint.config.port));
  for (SocketAddress address : addresses) {
    // Port 0: the first address chooses, the others follow.
    if (address.port() == 0 && !all.empty()) {
      address = address.with_port(all.front()->address.port());
    }
    auto one = listen(endpoint.config, address, any, first);
    if (!one) return tl::unexpected(one.error());
    all.push_back(std::move(*one));
  }
  return all;
}

Result<std::unique_ptr<StreamTransport::Listening>> StreamTransport::listen(
    const EndpointConfig& config, SocketAddress address, bool both_families, bool first) {
  auto fail = [&](int error) {
    return failure("endpoint " + config.name + ": cannot listen on " + address.text_with_port() +
                   " (tcp): " + std::strerror(error) + hint_for(error, address));
  };
  auto listening = std::make_unique<Listening>();
  listening->fd = FileDescriptor(
      ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  const int fd = listening->fd.get();
  if (fd < 0) return fail(errno);
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool pooled = reuses_port(config);
  if (pooled && !first) (void)let_pool_in(fd);
  if (address.family() == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof on);
  }
  if (::bind(fd, address.raw(), address.size()) != 0 || ::listen(fd, kBacklog) != 0) {
    return fail(errno);
  }
  if (pooled && first) (void)let_pool_in(fd);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return fail(errno);
  listening->address = SocketAddress::from(bound);
  return listening;
}

void StreamTransport::tell_of(const StreamEndpoint& endpoint,
                              const std::vector<std::string>& notices, Severity severity) {
  for (const std::string& text : notices) {
    tell(notice("endpoint " + endpoint.config.name + ": " + text, severity));
  }
}

void StreamTransport::reconfigure(EndpointId id, const EndpointConfig& config,
                                  std::shared_ptr<const TlsContext> loaded) {
  const auto found = endpoints_.find(id);
  if (found == endpoints_.end()) return;
  Endpoint& endpoint = found->second;
  const StreamEndpoint& open = *endpoint.shared;
  ReconfiguredEndpoint wanted = reconfigured(open.config, open.tls, config, std::move(loaded));
  auto next = std::make_shared<StreamEndpoint>(open);
  next->config = std::move(wanted.config);
  next->tls = std::move(wanted.tls);
  if (!wanted.problem.empty()) {
    tell_of(*next, {wanted.problem}, Severity::warning);
  } else if (endpoint.speaks) {
    tell_of(*next, wanted.news);
  }
  endpoint.shared = std::move(next);
  for (auto& [of, connection] : connections_) {
    if (connection->state().endpoint->id == id) connection->follow(endpoint.shared);
  }
}

void StreamTransport::accept_some(EndpointId id, Listening& listening) {
  for (int i = 0; i < kAcceptsPerWake; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    FileDescriptor fd(::accept4(listening.fd.get(), reinterpret_cast<sockaddr*>(&from), &size,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      const Instant next = accept_one(endpoints_.at(id), std::move(fd), SocketAddress::from(from));
      if (next > loop_.now()) return pause_accepting(next - loop_.now());
      continue;
    }
    switch (errno) {
      case EAGAIN:
        return;
      case EMFILE:
      case ENFILE:
        if (!shed_one(listening)) return;
        break;
      case ENOBUFS:
      case ENOMEM:
        return pause_accepting(kAcceptPause);
      default:  // that one connection's trouble: accept(2) passes on its network errors
        break;
    }
  }
}

// When to accept the next one.
Instant StreamTransport::accept_one(Endpoint& endpoint, FileDescriptor fd,
                                    const SocketAddress& remote) {
  starved_ = false;
  const EndpointConfig& config = endpoint.shared->config;
  const AssociationId id = next_association_id();
  Welcome welcome{false, loop_.now()};
  if (config.pool->associations >= config.associations_max) {
    counters_.add(siglane::counter::associations_refused_limit);
    sink_->on_stranger(remote.text(),
                       "endpoint " + config.name + " has its associations_max connections",
                       loop_.now());
  } else {
    welcome = sink_->on_newcomer(id, {remote.text()}, loop_.now());
  }
  if (!welcome.admitted) {
    const linger abort{1, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    return welcome.next;
  }
  StreamState state(id, endpoint.shared);
  state.fd = std::move(fd);
  state.remote = remote;
  add(std::move(state)).accepted();
  return welcome.next;
}

// No descriptor is left for it: without this, the connection would stay first in line and wake the
// loop for ever. false: enough for this turn.
bool StreamTransport::shed_one(Listening& listening) {
  reserve_.reset();
  FileDescriptor refused(::accept4(listening.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int error = refused.valid() ? 0 : errno;
  refused.reset();
  reserve_ = open_reserve();
  // accept(2) looks for a descriptor first, and only then whether anybody waits.
  if (error == EAGAIN) return false;
  counters_.add(counter::accepts_failed);
  if (!std::exchange(starved_, true)) {
    sink_->on_fact(AssociationId::none,
                   notice("out of file descriptors: connections are turned away; raise the limit "
                          "(LimitNOFILE=, ulimit -n)"),
                   loop_.now());
  }
  if (error == 0 && reserve_.valid()) return true;
  pause_accepting(kAcceptPause);
  return false;
}

void StreamTransport::pause_accepting(Duration pause) {
  for (auto& [id, endpoint] : endpoints_) {
    for (auto& listening : endpoint.listening) listening->poll->stop();
  }
  if (!reserve_.valid()) reserve_ = open_reserve();
  resume_accepting_.start_after(pause);
}

// --- Associations ---------------------------------------------------------------------------

StreamConnection* StreamTransport::find_connection(AssociationId id) const {
  auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : it->second.get();
}

StreamConnection& StreamTransport::add(StreamState state) {
  const AssociationId id = state.id;
  ++state.endpoint->config.pool->associations;
  StreamHost& host = *this;
  StreamListener& listener = *this;
  auto connection = std::make_unique<StreamConnection>(host, listener, std::move(state));
  return *connections_.insert_or_assign(id, std::move(connection)).first->second;
}

void StreamTransport::bury(AssociationId id) {
  auto it = connections_.find(id);
  --it->second->pool().associations;
  graves_.push_back(std::move(it->second));
  connections_.erase(it);
}

AssociationId StreamTransport::connect(EndpointId local, const PeerConfig& peer) {
  const AssociationId id = next_association_id();
  add(StreamState(id, endpoints_.at(local).shared)).connect(peer);
  return id;
}

DetachOutcome StreamTransport::detach(AssociationId id) {
  StreamConnection* connection = find_connection(id);
  if (connection == nullptr || !connection->movable()) return Gone{};
  auto cargo = std::make_unique<StreamCargo>(connection->detach());
  bury(id);
  return Peeled{std::move(cargo)};
}

bool StreamTransport::made(const DetachedAssociation& cargo) {
  return dynamic_cast<const StreamCargo*>(&cargo) != nullptr;
}

void StreamTransport::adopt(std::unique_ptr<DetachedAssociation> cargo) {
  StreamConnection& connection = add(std::move(static_cast<StreamCargo&>(*cargo).state));
  // Its endpoint may have been reconfigured here, and not yet where it comes from.
  const auto endpoint = endpoints_.find(connection.state().endpoint->id);
  if (endpoint != endpoints_.end()) connection.follow(endpoint->second.shared);
  connection.adopted();
}

Seat StreamTransport::seat(AssociationId id) const {
  const StreamConnection* connection = find_connection(id);
  return connection != nullptr && connection->movable() ? Seat::own : Seat::bound;
}

void StreamTransport::pause_input(AssociationId id) {
  if (StreamConnection* connection = find_connection(id)) connection->pause(true);
}

void StreamTransport::resume_input(AssociationId id) {
  if (StreamConnection* connection = find_connection(id)) connection->pause(false);
}

std::optional<AssociationStatus> StreamTransport::status(AssociationId id) const {
  const StreamConnection* connection = find_connection(id);
  if (connection == nullptr) return std::nullopt;
  const StreamState& state = connection->state();
  const Instant now = Loop::fresh_now();
  AssociationStatus status;
  status.endpoint = state.endpoint->config.name;
  status.local = state.local.valid() ? state.local.text_with_port() : std::string();
  status.remote = state.remote.valid() ? state.remote.text_with_port() : std::string();
  status.transport = kind_of(*state.endpoint);
  status.congested = state.queue.congested();
  status.queued_messages = state.queue.messages();
  status.queued_bytes = state.queue.bytes();
  status.messages_in_per_second = state.in.per_second(now);
  status.messages_out_per_second = state.out.per_second(now);
  return status;
}

const Histogram* StreamTransport::residence(AssociationId id) const {
  const StreamConnection* connection = find_connection(id);
  if (connection == nullptr || connection->state().residence.count() == 0) return nullptr;
  return &connection->state().residence;
}

// --- Turns ----------------------------------------------------------------------------------

void StreamTransport::flush_at_end_of_turn(StreamConnection& connection) {
  dirty_.push_back(&connection);
}

void StreamTransport::attend_soon(StreamConnection& connection) {
  attention_.push_back(connection.id());
  soon_.schedule();
}

void StreamTransport::tell(Fact fact) {
  facts_.push_back(std::move(fact));
  soon_.schedule();
}

void StreamTransport::on_event(StreamConnection& connection, AssociationEvent event) {
  const bool message = std::holds_alternative<AssociationReceived>(event);
  if (message && worked_ == 0) work_began_ = Loop::fresh_now();
  sink_->on_event(connection.id(), std::move(event), loop_.now());
  if (message) flush_if_worked_enough();
}

void StreamTransport::flush_if_worked_enough() {
  if (++worked_ < kFlushAfterMessages && Loop::fresh_now() - work_began_ < kFlushAfterWork) return;
  flush_dirty();
}

void StreamTransport::flush_dirty() {
  worked_ = 0;
  for (StreamConnection* connection : dirty_) connection->flush();
  dirty_.clear();
}

void StreamTransport::attend_all() {
  for (Fact& fact : std::exchange(facts_, {})) {
    sink_->on_fact(AssociationId::none, std::move(fact), loop_.now());
  }
  for (AssociationId id : std::exchange(attention_, {})) {
    StreamConnection* connection = find_connection(id);
    if (connection == nullptr) continue;
    connection->attend();
    if (find_connection(id) != connection || !connection->ended()) continue;
    AssociationDown down = connection->take_end();
    bury(id);
    sink_->on_event(id, std::move(down), loop_.now());
  }
}

}  // namespace siglane::transport
