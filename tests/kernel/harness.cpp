#include "tests/kernel/harness.h"

#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace siglane::kernel_test {
namespace {

class KernelEnvironment final : public ::testing::Environment {
  void SetUp() override {
    ASSERT_TRUE(transport::kernel_has_sctp())
        << "this kernel has no SCTP: run it under scripts/with-kernel-sctp";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0)
        << "needs root, for a network namespace of its own: " << std::strerror(errno);
    bring_loopback_up();
  }

  static void bring_loopback_up() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    ASSERT_EQ(ioctl(fd, SIOCGIFFLAGS, &request), 0) << std::strerror(errno);
    request.ifr_flags |= IFF_UP;
    ASSERT_EQ(ioctl(fd, SIOCSIFFLAGS, &request), 0) << std::strerror(errno);
    close(fd);
  }
};

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

std::string text_of(const Message& message) {
  return std::string(as_text(message.payload.bytes()));
}

}  // namespace

void need_kernel_sctp() {
  ::testing::AddGlobalTestEnvironment(new KernelEnvironment);
}

World::World() : loop_(std::move(*transport::Loop::create())) {}

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

Node::Node(World& world_, transport::SctpTransportOptions options) : world(world_) {
  transport =
      std::make_unique<transport::SctpTransport>(world.loop(), world.buffers, counters, options);
  transport->set_sink(*this);
}

transport::SctpTransportOptions Node::never_peeling() {
  transport::SctpTransportOptions options;
  options.peeloff.messages_per_second_min = 0;
  options.peeloff.bytes_per_second_min = 0;
  return options;
}

EndpointConfig Node::config(std::string address, std::uint16_t port, bool listening) {
  EndpointConfig config;
  config.name = "test";
  config.transport = TransportKind::kernel_sctp;
  config.addresses = {std::move(address)};
  config.port = port;
  config.listening = listening;
  return config;
}

EndpointId Node::open(EndpointConfig config) {
  if (!config.addresses.empty()) address = config.addresses.front();
  if (tls) config.tls = tls;
  const std::size_t before = facts_of<fact::EndpointOpened>().size();
  auto id = transport->open(config, framing_);
  if (!id) {
    ADD_FAILURE() << id.error().what;
    std::abort();
  }
  EXPECT_TRUE(world.run_until([&] { return facts_of<fact::EndpointOpened>().size() > before; }));
  port = facts_of<fact::EndpointOpened>().back().port;
  return *id;
}
EndpointId Node::listen(std::string at, std::uint16_t on) {
  return open(config(std::move(at), on, true));
}
EndpointId Node::endpoint(std::string at, std::uint16_t on) {
  return open(config(std::move(at), on, false));
}

AssociationId Node::connect(EndpointId from, const Node& to, Placement placement) {
  PeerConfig peer;
  peer.name = "peer";
  peer.addresses = {to.address};
  peer.port = to.port;
  peer.placement = placement;
  peer.tls_identity = "server.example";
  return transport->connect(from, peer);
}

std::pair<AssociationId, AssociationId> Node::join(EndpointId from, Node& to) {
  const std::size_t before = to.opened.size();
  const AssociationId ours = connect(from, to);
  EXPECT_TRUE(world.run_until([&] { return is_up(ours) && to.opened.size() > before; }));
  return {ours, to.opened.size() > before ? to.newest() : AssociationId::none};
}

bool Node::send(AssociationId id, std::string_view text, int stream) {
  Association* association = transport->find(id);
  if (association == nullptr) return false;
  Message message;
  message.stream = StreamId{static_cast<std::uint16_t>(stream)};
  message.protocol = PayloadProtocol::diameter;
  message.payload = Buffer::copy_of(as_bytes(text));
  return association->send(std::move(message)) == SendOutcome::accepted;
}

bool Node::peel(AssociationId id) {
  DetachOutcome outcome = transport->detach(id);
  auto* peeled = std::get_if<Peeled>(&outcome);
  if (peeled == nullptr) return false;
  transport->adopt(std::move(peeled->cargo));
  return true;
}

bool Node::is_peeled(AssociationId id) const {
  const auto status = transport->status(id);
  return status && status->peeled;
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

void Node::on_fact(AssociationId about, Fact fact, Instant) {
  facts.emplace_back(about, std::move(fact));
}

SlowNetwork::SlowNetwork() {
  EXPECT_EQ(std::system("tc qdisc add dev lo root netem delay 30ms"), 0);
}
SlowNetwork::~SlowNetwork() {
  EXPECT_EQ(std::system("tc qdisc del dev lo root"), 0);
}

DeadNetwork::DeadNetwork() {
  EXPECT_EQ(std::system("tc qdisc add dev lo root netem loss 100%"), 0);
}
DeadNetwork::~DeadNetwork() {
  EXPECT_EQ(std::system("tc qdisc del dev lo root"), 0);
}

}  // namespace siglane::kernel_test
