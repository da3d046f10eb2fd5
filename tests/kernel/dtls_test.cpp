// DTLS over the kernel's SCTP (RFC 6083), with its chunks authenticated (RFC 4895).
#include <map>
#include <set>
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

constexpr const char* kServer = "server.example";
constexpr const char* kClient = "client.example";

struct DtlsTest : ::testing::Test {
  siglane::testing::TemporaryDirectory directory;
  siglane::testing::Authority authority;
  World world;
  Node server{world}, client{world};
  AssociationId ours{}, theirs{};

  DtlsTest() {
    server.tls = authority.issue_files_for(kServer, directory, "server");
    client.tls = authority.issue_files_for(kClient, directory, "client");
  }
  static EndpointConfig impatient(bool listening) {
    EndpointConfig config = Node::config("127.0.0.1", 0, listening);
    config.sctp.rto_initial = config.sctp.rto_min = 50ms;
    config.sctp.rto_max = 100ms;
    config.sctp.association_retransmissions_max = 3;
    config.sctp.path_retransmissions_max = 2;
    return config;
  }
  void join() {
    server.open(impatient(true));
    std::tie(ours, theirs) = client.join(client.open(impatient(false)), server);
    ASSERT_NE(theirs, AssociationId::none);
  }
  bool received(Node& node, AssociationId id, std::size_t count) {
    return world.run_until([&] { return node.of(id).received.size() >= count; });
  }
  void expect_echo() {
    ASSERT_TRUE(client.send(ours, "there", 3));
    ASSERT_TRUE(received(server, theirs, 1));
    ASSERT_TRUE(server.send(theirs, "and back"));
    ASSERT_TRUE(received(client, ours, 1));
  }
  bool both_down() {
    return world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); });
  }
  // Why the server has turned away somebody of whom nobody else has heard.
  std::string refusal() {
    EXPECT_TRUE(world.run_until([&] { return !server.facts_of<fact::PeerRefused>().empty(); }));
    EXPECT_TRUE(server.opened.empty());
    return server.facts_of<fact::PeerRefused>().back().why;
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

TEST_F(DtlsTest, BothEndsAreUpWhenTheyHaveShownWhoTheyAre) {
  join();
  EXPECT_THAT(client.of(ours).up->certificate_names, Optional(ElementsAre(kServer)));
  EXPECT_THAT(server.of(theirs).up->certificate_names, Optional(ElementsAre(kClient)));
  expect_echo();
}

TEST_F(DtlsTest, EveryDataChunkIsAuthenticatedAndNoneIsInClear) {
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

TEST_F(DtlsTest, WhatDoesNotFitARecordIsRefusedAndTheAssociationGoesOn) {
  join();
  EXPECT_FALSE(client.send(ours, std::string(16385, 'x')));
  EXPECT_EQ(client.counters.get(Counter::tls_messages_too_long), 1u);
  ASSERT_TRUE(client.send(ours, std::string(16384, 'x')));
  ASSERT_TRUE(received(server, theirs, 1));
  EXPECT_EQ(server.of(theirs).received.front().size(), 16384u);
}

TEST_F(DtlsTest, NobodyTalksToSomebodyElse) {
  server.tls = authority.issue_files_for("other.example", directory, "other");
  server.listen();
  ours = client.connect(client.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_FALSE(client.of(ours).up);
  EXPECT_EQ(client.down_cause(ours), DownCause::tls_failed);
  EXPECT_EQ(client.of(ours).down->detail,
            "DTLS: the peer's certificate is that of other.example, not of server.example");
  EXPECT_THAT(refusal(), HasSubstr("DTLS: the peer refused"));
  EXPECT_EQ(server.counters.get(Counter::tls_handshakes_failed), 1u);
}

TEST_F(DtlsTest, APeerThatSpeaksInClearIsRefused) {
  server.tls->require_sctp_auth = false;
  server.listen();
  client.tls.reset();
  ours = client.connect(client.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_up(ours); }));
  ASSERT_TRUE(client.send(ours, "a capabilities exchange in clear"));
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_THAT(refusal(), HasSubstr("does the peer speak DTLS?"));
}

TEST_F(DtlsTest, APeerWhoseChunksAreNotAuthenticatedIsRefused) {
  server.listen();
  client.tls.reset();
  ours = client.connect(client.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_EQ(client.down_cause(ours), DownCause::peer_abort);
  EXPECT_THAT(refusal(), HasSubstr("SCTP-AUTH, RFC 4895"));
}

TEST_F(DtlsTest, APeerThatHasNoDtlsIsNotTalkedToInClear) {
  server.tls.reset();
  server.listen();
  client.tls->require_sctp_auth = false;
  EndpointConfig config = Node::config("127.0.0.1", 0, false);
  config.sctp.handshake_timeout = 300ms;
  ours = client.connect(client.open(config), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_FALSE(client.of(ours).up);
  EXPECT_EQ(client.of(ours).down->detail, "DTLS: no handshake within handshake_timeout_ms");
}

TEST_F(DtlsTest, AGracefulCloseDeliversEverythingAndSaysGoodbye) {
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "peeled" : "shared");
    join();
    if (peeled) {
      ASSERT_TRUE(server.peel(theirs));
    }
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(server.send(theirs, "last words", i % 4));
    server.close(theirs, CloseMode::graceful);
    ASSERT_TRUE(both_down());
    EXPECT_EQ(client.of(ours).received.size(), 50u);
    EXPECT_EQ(server.down_cause(theirs), DownCause::local_close);
    EXPECT_EQ(client.down_cause(ours), DownCause::peer_shutdown) << client.of(ours).down->detail;
  }
}

TEST_F(DtlsTest, WhatAVanishedPeerDidNotGetIsReturnedInClear) {
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "peeled" : "shared");
    join();
    if (peeled) {
      ASSERT_TRUE(server.peel(theirs));
    }
    DeadNetwork dead;
    std::vector<std::string> sent;
    for (int i = 0; i < 20; ++i) {
      sent.push_back(std::string(i % 4 == 0 ? 6000 : 30, 'v') + std::to_string(i));
      ASSERT_TRUE(server.send(theirs, sent.back()));
    }
    ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs); }));
    EXPECT_EQ(server.down_cause(theirs), DownCause::lost);
    EXPECT_EQ(server.of(theirs).unsent, sent);
  }
}

TEST_F(DtlsTest, APeerThatBeginsAnewShowsAnewWhoItIs) {
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "peeled" : "shared");
    if (server.port == 0) server.listen();
    const auto port = static_cast<std::uint16_t>(peeled ? 6402 : 6401);
    auto first = std::make_unique<Node>(world);
    first->tls = client.tls;
    std::tie(ours, theirs) = first->join(first->endpoint("127.0.0.21", port), server);
    if (peeled) {
      ASSERT_TRUE(server.peel(theirs));
    }
    {
      DeadNetwork dead;  // nobody hears that it goes
      first.reset();
      world.loop().run_once(false);
    }
    Node second(world);
    second.tls = client.tls;
    AssociationId again{}, renewed{};
    std::tie(again, renewed) = second.join(second.endpoint("127.0.0.21", port), server);
    EXPECT_EQ(server.down_cause(theirs), DownCause::restarted);
    EXPECT_EQ(server.is_peeled(renewed), peeled);
    EXPECT_THAT(server.of(renewed).up->certificate_names, Optional(ElementsAre(kClient)));
    ASSERT_TRUE(second.send(again, "new"));
    ASSERT_TRUE(received(server, renewed, 1));
    ASSERT_TRUE(server.send(renewed, "answer"));
    ASSERT_TRUE(received(second, again, 1));
  }
}

TEST_F(DtlsTest, AnotherTransportAdoptsTheChannelToo) {
  join();
  Node other(world);
  ASSERT_TRUE(client.send(ours, "in flight"));
  DetachOutcome outcome = server.transport->detach(theirs);
  ASSERT_TRUE(std::holds_alternative<siglane::Peeled>(outcome));
  other.on_event(theirs, AssociationUp{}, Instant{});  // told to the transport that it came from
  other.transport->adopt(std::move(std::get<siglane::Peeled>(outcome).cargo));
  ASSERT_TRUE(received(other, theirs, 1));
  ASSERT_TRUE(other.send(theirs, "from elsewhere"));
  ASSERT_TRUE(received(client, ours, 1));
  EXPECT_THAT(client.of(ours).received, ElementsAre("from elsewhere"));
}

}  // namespace
}  // namespace siglane::kernel_test
