// usrsctp over a UDP network that we have in hand: packets lost, doubled, reordered or made up.
// (For the kernel's SCTP, netem does that: tests/kernel/paths_test.cpp.) And what its peers must do
// that begin anew under DTLS.
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "core/random.h"
#include "tests/support/certificates.h"
#include "tests/support/sctp_flow.h"
#include "tests/support/seeds.h"
#include "transport/file_descriptor.h"
#include "transport/sctp/security.h"

namespace siglane::sctp_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;
using transport::FileDescriptor;
using transport::SocketAddress;

SocketAddress at_port(std::uint16_t port) {
  return SocketAddress::parse("127.0.0.1", port).value();
}

// UDP between one client and one server that passes on, drops, doubles and holds back.
class Relay {
 public:
  Relay(World& world, std::uint64_t seed, const Node& client, const Node& server)
      : world_(world),
        random_(seed),
        client_port_(client.udp_port),
        server_port_(server.udp_port),
        to_client_(bound()),
        to_server_(bound()) {
    watch(to_client_.get(), [this](std::string packet) { pass(to_server_, server_port_, packet); });
    watch(to_server_.get(), [this](std::string packet) { pass(to_client_, client_port_, packet); });
  }
  // Where the client has to send to.
  std::uint16_t port() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    EXPECT_EQ(::getsockname(to_client_.get(), reinterpret_cast<sockaddr*>(&storage), &size), 0);
    return SocketAddress::from(storage).port();
  }
  unsigned lost_percent = 0, doubled_percent = 0, late_percent = 0;
  bool client_is_deaf = false;

 private:
  static FileDescriptor bound() {
    FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto address = at_port(0);
    EXPECT_EQ(::bind(fd.get(), address.raw(), address.size()), 0);
    return fd;
  }
  void watch(int fd, std::function<void(std::string)> got) {
    auto poll = world_.loop().poll(fd, [fd, got = std::move(got)](transport::PollEvents) {
      std::string packet(65536, '\0');
      for (ssize_t size; (size = ::recv(fd, packet.data(), packet.size(), MSG_DONTWAIT)) > 0;) {
        got(packet.substr(0, static_cast<std::size_t>(size)));
      }
    });
    polls_.push_back(std::move(*poll));
    polls_.back().watch(true, false);
  }
  void pass(const FileDescriptor& from, std::uint16_t port, const std::string& packet) {
    if (random_.below(100) < lost_percent || (client_is_deaf && port == client_port_)) return;
    const auto to = at_port(port);
    const auto send = [&](const std::string& one) {
      (void)::sendto(from.get(), one.data(), one.size(), MSG_DONTWAIT, to.raw(), to.size());
    };
    if (random_.below(100) < late_percent) {
      held_.emplace(port, packet);
      return;
    }
    send(packet);
    if (random_.below(100) < doubled_percent) send(packet);
    // What was held back goes behind it.
    for (auto [it, end] = held_.equal_range(port); it != end; it = held_.erase(it)) {
      send(it->second);
    }
  }

  World& world_;
  Random random_;
  std::uint16_t client_port_, server_port_;
  FileDescriptor to_client_, to_server_;
  std::multimap<std::uint16_t, std::string> held_;
  std::vector<transport::Poll> polls_;
};

struct UsrsctpNetwork : ::testing::Test {
  World world;
  FlowEnd server{world}, client{world};
  AssociationId ours{}, theirs{};
  siglane::testing::TemporaryDirectory directory;
  siglane::testing::Authority authority;

  void secure_both() {
    server.node.tls = authority.issue_files_for("server.example", directory, "server");
    client.node.tls = authority.issue_files_for("client.example", directory, "client");
  }
  void join(const Relay& relay, const EndpointConfig& from) {
    server.node.listen();
    PeerConfig peer = server.node.peer();
    peer.remote_udp_port = relay.port();
    ours = client.node.connect(client.node.open(from), peer);
    ASSERT_TRUE(
        world.run_until([&] { return client.node.is_up(ours) && !server.node.opened.empty(); }));
    theirs = server.node.newest();
  }
  void cross_a_bad_network(std::uint64_t seed, std::size_t size_max) {
    Relay relay(world, seed, client.node, server.node);
    join(relay, Node::config("127.0.0.1", 0, false));
    Flow up{static_cast<std::uint32_t>(seed * 10 + 1), 50, size_max};
    Flow down{static_cast<std::uint32_t>(seed * 10 + 2), 50, size_max};
    client.out[ours] = server.in[theirs] = &up;
    server.out[theirs] = client.in[ours] = &down;
    server.peel_inside[theirs] = 60;
    relay.lost_percent = 2;
    relay.doubled_percent = 5;
    relay.late_percent = 10;
    EXPECT_TRUE(world.run_until(
        [&] {
          client.pump();
          server.pump();
          return up.all_received() && down.all_received();
        },
        60s));
    EXPECT_EQ(up.violations + down.violations, 0u);
    EXPECT_TRUE(server.node.is_peeled(theirs));
    EXPECT_TRUE(server.node.is_up(theirs) && client.node.is_up(ours));
  }
};

TEST_F(UsrsctpNetwork, NothingIsLostWherePacketsAreLostDoubledAndReordered) {
  cross_a_bad_network(1, 20000);
}

TEST_F(UsrsctpNetwork, NorIsItUnderDtls) {
  secure_both();
  cross_a_bad_network(2, transport::SctpSecurity::kMessageBytesMax);
}

// To shut down one association, the stack makes small messages of all others on its socket wait for
// an acknowledgement. Here none can come.
TEST_F(UsrsctpNetwork, SmallMessagesDoNotWaitBecauseAnotherAssociationWasShutDown) {
  Relay relay(world, 1, client.node, server.node);
  EndpointConfig patient = Node::config("127.0.0.1", 0, false);
  patient.sctp.rto_initial = patient.sctp.rto_min = patient.sctp.rto_max = 60s;
  join(relay, patient);
  server.node.on_message = nullptr;
  Node other(world);
  other.listen("127.0.0.2");
  const AssociationId another = client.node.connect(client.node.of(ours).up->local, other);
  ASSERT_TRUE(world.run_until([&] { return client.node.is_up(another); }));
  ASSERT_TRUE(client.node.send(another, "still under way at the shutdown"));
  client.node.close(another, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return client.node.is_down(another); }));

  relay.client_is_deaf = true;
  for (std::size_t count = 1; count <= 3; ++count) {
    ASSERT_TRUE(client.node.send(ours, "small"));
    ASSERT_TRUE(world.run_until([&] { return server.node.of(theirs).received.size() == count; }));
  }
}

TEST_F(UsrsctpNetwork, GarbageFromAnywhereChangesNothing) {
  server.node.listen();
  std::tie(ours, theirs) = client.node.join(client.node.endpoint(), server.node);
  FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto to = at_port(server.node.udp_port);
  const std::uint16_t ports[] = {client.node.port, server.node.port};
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 20; ++i) {
      std::string packet(random.below(200), '\0');
      for (char& c : packet) c = static_cast<char>(random.below(256));
      // Often the right ports, and one of the chunk types.
      if (packet.size() > 12 && random.below(2) == 0) {
        for (std::size_t at = 0; at < 4; ++at) {
          packet[at] = static_cast<char>(ports[at / 2] >> (at % 2 == 0 ? 8 : 0));
        }
        packet[12] = static_cast<char>(random.below(16));
      }
      (void)::sendto(fd.get(), packet.data(), packet.size(), 0, to.raw(), to.size());
    }
    world.loop().run_once(false);
  }
  Flow flow{3, 5};
  client.out[ours] = server.in[theirs] = &flow;
  EXPECT_TRUE(world.run_until([&] {
    client.pump();
    return flow.all_received();
  }));
  EXPECT_EQ(flow.violations, 0u);
  EXPECT_TRUE(server.node.is_up(theirs) && client.node.is_up(ours));
  EXPECT_EQ(server.node.opened.size(), 1u);
}

// On Linux 6.1 it comes to nothing: see docs/transport-security.md.
TEST_F(UsrsctpNetwork, TwoThatConnectAtOnceHaveOneSecureAssociation) {
  secure_both();
  client.node.on_message = server.node.on_message = nullptr;
  const EndpointId here = client.node.listen("127.0.0.14");
  const EndpointId there = server.node.listen("127.0.0.15");
  PeerConfig back = client.node.peer();
  back.tls_identity = "client.example";
  {
    DeadNetwork dead;  // so that neither is there before the other has begun
    ours = client.node.connect(here, server.node);
    theirs = server.node.connect(there, back);
  }
  ASSERT_TRUE(
      world.run_until([&] { return client.node.is_up(ours) && server.node.is_up(theirs); }));
  EXPECT_THAT(client.node.of(ours).up->certificate_names, Optional(ElementsAre("server.example")));
  EXPECT_THAT(server.node.of(theirs).up->certificate_names,
              Optional(ElementsAre("client.example")));
  ASSERT_TRUE(client.node.send(ours, "there"));
  ASSERT_TRUE(world.run_until([&] { return !server.node.of(theirs).received.empty(); }));
}

// The kernel's SCTP takes it at once. This stack cannot authenticate what begins anew.
TEST_F(UsrsctpNetwork, APeerThatBeginsAnewUnderDtlsHasToConnectOnceMore) {
  secure_both();
  server.node.on_message = nullptr;
  server.node.listen();
  const auto next = [&] {
    const std::size_t before = server.node.opened.size();
    EXPECT_TRUE(world.run_until([&] { return server.node.opened.size() > before; }));
    return server.node.newest();
  };
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "on a peeled socket" : "on the shared socket");
    const std::uint16_t port = peeled ? 5002 : 5001;
    const std::size_t refusals = server.node.refused.size();
    PeerProcess first(server.node, port, directory.path(""));
    theirs = next();
    ASSERT_TRUE(world.run_until([&] { return !server.node.of(theirs).received.empty(); }));
    if (peeled) {
      ASSERT_TRUE(server.node.peel(theirs));
    }
    first.vanish();
    PeerProcess second(server.node, port, directory.path(""));
    ASSERT_TRUE(world.run_until([&] { return server.node.refused.size() > refusals; }));
    EXPECT_EQ(server.node.down_cause(theirs), DownCause::restarted);
    EXPECT_THAT(server.node.refused.back().detail, HasSubstr("has to connect once more"));
    second.vanish();
    PeerProcess third(server.node, port, directory.path(""));
    theirs = next();
    ASSERT_TRUE(world.run_until([&] { return !server.node.of(theirs).received.empty(); }));
  }
}

}  // namespace
}  // namespace siglane::sctp_test
