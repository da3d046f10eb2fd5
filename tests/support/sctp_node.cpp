#include "tests/support/sctp_node.h"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/payload_protocols.h"
#include "transport/sctp/usrsctp/transport.h"
#include "transport/transport_facts.h"

namespace siglane::sctp_test {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

std::string text_of(const Message& message) {
  return std::string(as_text(message.payload.bytes()));
}

// Tests run side by side.
constexpr unsigned kUdpPortsOfAProcess = 20;
std::uint16_t first_udp_port() {
  return static_cast<std::uint16_t>(20000 +
                                    static_cast<unsigned>(::getpid()) % 600 * kUdpPortsOfAProcess);
}

}  // namespace

// The transport of all usrsctp nodes of a world, which tells each what is its own.
class OneUsrsctp final : public TransportSink {
 public:
  OneUsrsctp(World& world, transport::Loop& loop, const transport::SctpTransportOptions& options)
      : transport(loop, world.buffers, counters, options) {
    transport.set_sink(*this);
  }

  void on_event(AssociationId id, AssociationEvent event, Instant now) override {
    if (const auto* up = std::get_if<AssociationUp>(&event)) {
      owners.try_emplace(id, endpoints.at(up->local));
    }
    auto owner = owners.find(id);
    if (owner != owners.end() && lives(owner->second)) {
      owner->second->on_event(id, std::move(event), now);
    } else if (const auto* down = std::get_if<AssociationDown>(&event)) {
      for (Node* node : std::vector(nodes)) node->on_event(id, *down, now);
    }
  }
  void on_stranger(const std::string& address, std::string why, Instant now) override {
    for (Node* node : std::vector(nodes)) node->on_stranger(address, why, now);
  }
  void on_fact(AssociationId about, Fact fact, Instant now) override {
    const auto owner = owners.find(about);
    const bool opened = is(fact, transport::kEndpointOpened);
    for (Node* node : std::vector(nodes)) {
      if (opened ? node == opening : owner == owners.end() || owner->second == node) {
        node->on_fact(about, fact, now);
      }
    }
  }
  bool lives(const Node* node) const {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
  }

  Counters counters;
  transport::UsrsctpTransport transport;
  std::vector<Node*> nodes;
  std::map<EndpointId, Node*> endpoints;
  std::map<AssociationId, Node*> owners;
  Node* opening = nullptr;
  std::uint16_t next_udp_port = first_udp_port();
};

World::World() : loop_(std::move(*transport::Loop::create())) {}
World::~World() = default;

bool World::run_until(const std::function<bool()>& done, Duration limit) {
  bool late = false;
  transport::Timer deadline = loop_->timer([&] { late = true; });
  deadline.start_after(limit);
  while (!done()) {
    if (late) return false;
    loop_->run_once();
  }
  return true;
}

Node::Node(World& world_, transport::SctpTransportOptions options, Stack stack)
    : own_counters_(std::make_unique<Counters>()), world(world_), counters([&]() -> Counters& {
        if (stack == Stack::kernel) return *own_counters_;
        auto& one = world.usrsctp_;
        if (!one) one = std::make_unique<OneUsrsctp>(world, world.loop(), options);
        return one->counters;
      }()) {
  if (stack == Stack::kernel) {
    kernel_ =
        std::make_unique<transport::SctpTransport>(world.loop(), world.buffers, counters, options);
    kernel_->set_sink(*this);
    transport = carrier_ = kernel_.get();
    return;
  }
  transport = carrier_ = &world.usrsctp_->transport;
  world.usrsctp_->nodes.push_back(this);
  udp_port = world.usrsctp_->next_udp_port++;
}

Node::~Node() {
  if (!kernel_) std::erase(world.usrsctp_->nodes, this);
}

transport::SctpTransportOptions Node::never_peeling() {
  transport::SctpTransportOptions options;
  options.peeloff.messages_per_second_min = 0;
  options.peeloff.bytes_per_second_min = 0;
  return options;
}

template <class Call>
auto Node::quietly(Call call) {
  const bool before = std::exchange(world.in_call_, true);
  auto result = call();
  world.in_call_ = before;
  return result;
}

EndpointConfig Node::config(std::string address, std::uint16_t port, bool listening) {
  EndpointConfig config;
  config.name = "test";
  config.addresses = {std::move(address)};
  config.port = port;
  config.listening = listening;
  return config;
}

std::string Node::open_in_vain(EndpointConfig config) {
  if (tls) config.tls = tls;
  config.transport = kernel_ ? TransportKind::kernel_sctp : TransportKind::usrsctp;
  config.udp_encapsulation_port = udp_port;
  const auto id = quietly([&] { return transport->open(config, framing_); });
  EXPECT_FALSE(id);
  return id ? "" : id.error().what;
}

EndpointId Node::open(EndpointConfig config) {
  if (!config.addresses.empty()) address = config.addresses.front();
  if (tls) config.tls = tls;
  config.transport = kernel_ ? TransportKind::kernel_sctp : TransportKind::usrsctp;
  if (!kernel_) config.udp_encapsulation_port = udp_port;
  const std::size_t before = facts_of(transport::kEndpointOpened).size();
  auto id = quietly([&] { return transport->open(config, framing_); });
  if (!id) {
    ADD_FAILURE() << id.error().what;
    std::abort();
  }
  if (!kernel_) {
    world.usrsctp_->endpoints[*id] = this;
    world.usrsctp_->opening = this;
  }
  EXPECT_TRUE(
      world.run_until([&] { return facts_of(transport::kEndpointOpened).size() > before; }));
  port = static_cast<std::uint16_t>(
      std::stoi(field(facts_of(transport::kEndpointOpened).back(), "port")));
  return *id;
}
EndpointId Node::listen(std::string at, std::uint16_t on) {
  return open(config(std::move(at), on, true));
}
EndpointId Node::endpoint(std::string at, std::uint16_t on) {
  return open(config(std::move(at), on, false));
}

PeerConfig Node::peer() const {
  PeerConfig peer;
  peer.name = "peer";
  peer.addresses = {address};
  peer.port = port;
  peer.remote_udp_port = udp_port;
  peer.tls_identity = "server.example";
  return peer;
}

AssociationId Node::connect(EndpointId from, const Node& to, Placement placement) {
  PeerConfig peer = to.peer();
  peer.placement = placement;
  return connect(from, peer);
}

AssociationId Node::connect(EndpointId from, const PeerConfig& peer) {
  const AssociationId id = quietly([&] { return transport->connect(from, peer); });
  connects_.insert(id);
  if (!kernel_) world.usrsctp_->owners[id] = this;
  return id;
}

std::pair<AssociationId, AssociationId> Node::join(EndpointId from, Node& to, Placement placement) {
  const std::size_t before = to.opened.size();
  const AssociationId ours = connect(from, to, placement);
  EXPECT_TRUE(world.run_until([&] { return is_up(ours) && to.opened.size() > before; }));
  return {ours, to.opened.size() > before ? to.newest() : AssociationId::none};
}

bool Node::send(AssociationId id, std::string_view text, int stream) {
  Message message;
  message.stream = StreamId{static_cast<std::uint16_t>(stream)};
  message.protocol = test::kDiameter;
  message.payload = Buffer::copy_of(as_bytes(text));
  return send(id, std::move(message)) == SendOutcome::accepted;
}

SendOutcome Node::send(AssociationId id, Message&& message) {
  Association* association = transport->find(id);
  if (association == nullptr) return SendOutcome::refused;
  return quietly([&] { return association->send(std::move(message)); });
}

void Node::close(AssociationId id, CloseMode mode) {
  quietly([&] {
    transport->find(id)->close(mode);
    return 0;
  });
}

void Node::bind(AssociationId id, Placement placement) {
  PeerConfig peer;
  peer.placement = placement;
  quietly([&] {
    transport->bind(id, peer);
    return 0;
  });
}

bool Node::peel(AssociationId id) {
  return quietly([&] {
    DetachOutcome outcome = transport->detach(id);
    auto* peeled = std::get_if<Peeled>(&outcome);
    if (peeled == nullptr) return false;
    transport->adopt(std::move(peeled->cargo));
    return true;
  });
}

bool Node::is_peeled(AssociationId id) const {
  const auto status = transport->status(id);
  return status && status->peeled;
}
std::size_t Node::peeled_count() const {
  return kernel_ ? kernel_->peeled_count() : world.usrsctp_->transport.peeled_count();
}
std::size_t Node::partial_bytes(AssociationId id) const {
  return kernel_ ? kernel_->partial_bytes(id) : world.usrsctp_->transport.partial_bytes(id);
}
void Node::reconfigure(EndpointId endpoint, EndpointConfig config) {
  if (tls) config.tls = tls;
  quietly([&] {
    carrier_->reconfigure(endpoint, config, nullptr);
    return 0;
  });
}
void Node::reconfigure(const transport::PeeloffLimits& limits) {
  quietly([&] {
    carrier_->reconfigure(limits);
    return 0;
  });
}

bool Node::is_up(AssociationId id) const {
  auto it = told_.find(id);
  return it != told_.end() && it->second.up && !it->second.down;
}

std::optional<DownCause> Node::down_cause(AssociationId id) const {
  auto it = told_.find(id);
  if (it == told_.end() || !it->second.down) return std::nullopt;
  return it->second.down->cause;
}

void Node::on_event(AssociationId id, AssociationEvent event, Instant) {
  EXPECT_FALSE(world.in_call_) << "a call to the transport called its sink";
  const auto* lone = std::get_if<AssociationDown>(&event);
  if (lone != nullptr && !told_.contains(id) && !connects_.contains(id)) {
    if (lone->cause != DownCause::local_close) refused.push_back(*lone);
    return;
  }
  Told& mine = told_[id];
  EXPECT_FALSE(mine.down) << "an event after Down";
  std::visit(Overloaded{
                 [&](AssociationUp& up) {
                   EXPECT_FALSE(mine.up) << "Up twice";
                   mine.up = std::move(up);
                   opened.push_back(id);
                   if (on_up) on_up(id);
                 },
                 [&](AssociationReceived& received) {
                   EXPECT_TRUE(mine.up) << "data before Up";
                   if (on_message) return on_message(id, received.message);
                   mine.received.push_back(text_of(received.message));
                 },
                 [&](AssociationEnding& ending) {
                   EXPECT_FALSE(ending.reads) << "SCTP has no half-closed state";
                   EXPECT_FALSE(std::exchange(mine.ending, true)) << "Ending twice";
                 },
                 [&](AssociationCongestion& congestion) {
                   mine.congestion.push_back(congestion.congested);
                 },
                 [&](AssociationPathChange& path) {
                   mine.paths.emplace_back(path.address, path.new_state);
                 },
                 [&](AssociationUnsent& unsent) { mine.unsent.push_back(text_of(unsent.message)); },
                 [&](AssociationDown& down) { mine.down = std::move(down); },
             },
             event);
}

void Node::on_stranger(const std::string&, std::string why, Instant) {
  EXPECT_FALSE(world.in_call_) << "a call to the transport called its sink";
  strangers.push_back(std::move(why));
}

void Node::on_fact(AssociationId about, Fact fact, Instant) {
  EXPECT_FALSE(world.in_call_) << "a call to the transport called its sink";
  facts.emplace_back(about, std::move(fact));
}

}  // namespace siglane::sctp_test
