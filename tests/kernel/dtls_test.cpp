// DTLS over the kernel's SCTP, where usrsctp is otherwise: chunks are authenticated also after a
// restart, and a channel moves to another transport; and what all that looks like on the wire. The
// rest is in tests/contract.
#include <array>
#include <map>
#include <set>
#include <span>
#include <tuple>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <sys/socket.h>

#include "tests/kernel/harness.h"
#include "tests/support/certificates.h"
#include "transport/file_descriptor.h"

namespace siglane::kernel_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

struct KernelDtls : ::testing::Test {
  siglane::testing::TemporaryDirectory directory;
  siglane::testing::Authority authority;
  World world;
  Node server{world}, client{world};
  AssociationId ours{}, theirs{};

  KernelDtls() {
    server.tls = authority.issue_files_for("server.example", directory, "server");
    client.tls = authority.issue_files_for("client.example", directory, "client");
  }
  void join() {
    server.listen();
    std::tie(ours, theirs) = client.join(client.endpoint(), server);
    ASSERT_NE(theirs, AssociationId::none);
  }
  bool received(Node& node, AssociationId id, std::size_t count) {
    return world.run_until([&] { return node.of(id).received.size() >= count; });
  }
};

// Every SCTP packet on the loopback of our network namespace.
class Wire {
 public:
  Wire() : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_IP))) {
    EXPECT_TRUE(fd_.valid());
    const int bytes = 8 << 20;
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  }
  // What went over it since the last look.
  void look() {
    std::array<unsigned char, 65536> packet;
    ssize_t size;
    while ((size = recv(fd_.get(), packet.data(), packet.size(), 0)) > 0) {
      take(std::span(packet).first(static_cast<std::size_t>(size)));
    }
  }
  std::size_t unauthenticated = 0;       // DATA chunks
  std::map<int, std::size_t> under_key;  // DATA chunks, by the key's number
  std::set<std::uint32_t> protocols;
  std::string bytes;  // of all DATA

 private:
  void take(std::span<const unsigned char> packet) {
    constexpr std::size_t kEthernet = 14, kSctpHeader = 12;
    constexpr int kData = 0, kAuth = 15;
    if (packet.size() < kEthernet + 20 || packet[kEthernet + 9] != IPPROTO_SCTP) return;
    std::size_t at = kEthernet + (packet[kEthernet] & 15u) * 4 + kSctpHeader;
    int key = -1;
    while (at + 4 <= packet.size()) {
      const std::size_t length = static_cast<std::size_t>(packet[at + 2]) << 8 | packet[at + 3];
      if (length < 4 || at + length > packet.size()) break;
      if (packet[at] == kAuth) key = packet[at + 4] << 8 | packet[at + 5];
      if (packet[at] == kData) {
        key < 0 ? ++unauthenticated : ++under_key[key];
        protocols.insert(packet[at + 14] << 8 | packet[at + 15]);
        bytes.append(reinterpret_cast<const char*>(packet.data()) + at + 16, length - 16);
      }
      at += (length + 3) & ~std::size_t{3};
    }
  }

  transport::FileDescriptor fd_;
};

TEST_F(KernelDtls, EveryDataChunkIsAuthenticatedAndNoneIsInClear) {
  Wire wire;
  join();
  wire.look();
  EXPECT_EQ(wire.unauthenticated, 0u);
  EXPECT_GT(wire.under_key[0], 0u) << "the handshake up to ChangeCipherSpec";
  EXPECT_GE(wire.under_key[1], 4u) << "ChangeCipherSpec and Finished of both";
  EXPECT_THAT(wire.bytes, HasSubstr("a test authority")) << "certificates are in clear";

  wire.under_key.clear();
  wire.bytes.clear();
  wire.protocols.clear();
  for (const bool peeled : {false, true}) {
    if (peeled) {
      ASSERT_TRUE(server.peel(theirs));
    }
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(client.send(ours, "a secret " + std::string(3000, 's')));
      ASSERT_TRUE(server.send(theirs, "another one", 2));
    }
    ASSERT_TRUE(received(server, theirs, peeled ? 40 : 20));
    ASSERT_TRUE(received(client, ours, peeled ? 40 : 20));
  }
  wire.look();
  EXPECT_EQ(wire.unauthenticated, 0u);
  EXPECT_EQ(wire.under_key.count(0), 0u) << "the first key is the empty one";
  EXPECT_GE(wire.under_key[1], 80u);
  EXPECT_THAT(wire.protocols, ElementsAre(47)) << "RFC 6733 §11.5";
  EXPECT_THAT(wire.bytes, ::testing::Not(HasSubstr("secret")));
  EXPECT_THAT(wire.bytes, ::testing::Not(HasSubstr("another")));
}

TEST_F(KernelDtls, APeerThatBeginsAnewShowsAnewWhoItIs) {
  server.listen();
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "peeled" : "shared");
    const auto port = static_cast<std::uint16_t>(peeled ? 6402 : 6401);
    PeerProcess first(server, port, directory.path(""));
    const std::size_t before = server.opened.size();
    ASSERT_TRUE(world.run_until([&] { return server.opened.size() == before + 1; }));
    theirs = server.newest();
    if (peeled) {
      ASSERT_TRUE(server.peel(theirs));
    }
    ASSERT_TRUE(received(server, theirs, 1));
    first.vanish();
    PeerProcess second(server, port, directory.path(""));
    ASSERT_TRUE(world.run_until([&] { return server.opened.size() == before + 2; }));
    EXPECT_EQ(server.down_cause(theirs), DownCause::restarted);
    const AssociationId renewed = server.newest();
    EXPECT_EQ(server.is_peeled(renewed), peeled);
    EXPECT_THAT(server.of(renewed).up->certificate_names, Optional(ElementsAre("client.example")));
    ASSERT_TRUE(received(server, renewed, 1));
  }
}

// On Linux 6.1 nothing that is authenticated gets through where both INITs arrive: each end has
// then shown two random numbers (RFC 4895 §6.1). Where one comes too late for that, all is well.
TEST_F(KernelDtls, TwoThatConnectAtOnceHaveOneAssociationNowOrWithTheNextTry) {
  const auto listening = [](std::string address) {
    EndpointConfig config = Node::config(std::move(address), 0, true);
    config.sctp.handshake_timeout = 1s;
    return config;
  };
  const EndpointId here = client.open(listening("127.0.0.14"));
  const EndpointId there = server.open(listening("127.0.0.15"));
  PeerConfig back = client.peer();
  back.tls_identity = "client.example";
  {
    DeadNetwork dead;  // so that neither is there before the other has begun
    ours = client.connect(here, server);
    theirs = server.connect(there, back);
  }
  const auto both_up = [&] { return client.is_up(ours) && server.is_up(theirs); };
  ASSERT_TRUE(world.run_until(
      [&] { return both_up() || (client.is_down(ours) && server.is_down(theirs)); }));
  if (both_up()) {
    EXPECT_EQ(client.opened.size() + server.opened.size(), 2u);
    ASSERT_TRUE(client.send(ours, "hello"));
    ASSERT_TRUE(received(server, theirs, 1));
    return;
  }
  EXPECT_TRUE(client.opened.empty() && server.opened.empty());
  EXPECT_EQ(client.down_cause(ours), DownCause::tls_failed) << client.of(ours).down->detail;
  EXPECT_EQ(server.down_cause(theirs), DownCause::tls_failed) << server.of(theirs).down->detail;
  EXPECT_NE(client.join(here, server).second, AssociationId::none);
}

TEST_F(KernelDtls, AnotherTransportAdoptsTheChannelToo) {
  join();
  Node other(world);
  ASSERT_TRUE(client.send(ours, "in flight"));
  DetachOutcome outcome = server.transport->detach(theirs);
  ASSERT_TRUE(std::holds_alternative<Peeled>(outcome));
  other.on_event(theirs, AssociationUp{}, Instant{});  // told to the transport that it came from
  other.transport->adopt(std::move(std::get<Peeled>(outcome).cargo));
  ASSERT_TRUE(received(other, theirs, 1));
  ASSERT_TRUE(other.send(theirs, "from elsewhere"));
  ASSERT_TRUE(received(client, ours, 1));
  EXPECT_THAT(client.of(ours).received, ElementsAre("from elsewhere"));
}

}  // namespace
}  // namespace siglane::kernel_test
