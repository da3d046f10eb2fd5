// What only usrsctp has: UDP ports of its own, one stack in the process, its SCTP ports, options
// that peers cannot have. What it has in common with the kernel's SCTP is in tests/contract.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <usrsctp.h>

#include "tests/support/crc32c.h"
#include "tests/support/sctp_node.h"
#include "transport/counters.h"
#include "transport/file_descriptor.h"
#include "transport/sctp/usrsctp/transport.h"

namespace siglane::sctp_test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::ResultOf;

// How many UDP sockets with this port, on IPv4, are connected to a peer.
std::size_t connected_sockets(std::uint16_t port) {
  std::ifstream table("/proc/self/net/udp");
  std::string line;
  std::getline(table, line);  // what the columns are
  std::size_t found = 0;
  while (std::getline(table, line)) {
    unsigned local_port = 0, remote = 0;
    const int fields = std::sscanf(line.c_str(), " %*u: %*8x:%4x %8x:", &local_port, &remote);
    if (fields == 2 && local_port == port && remote != 0) ++found;
  }
  return found;
}

struct Usrsctp : ::testing::Test {
  World world;
  Node server{world}, client{world};

  AssociationDown failed(AssociationId id) {
    EXPECT_TRUE(world.run_until([&] { return client.is_down(id); }));
    return client.of(id).down.value_or(AssociationDown{});
  }
};

TEST_F(Usrsctp, ANodeIsToldThatItIsForTrustedNetworksOnly) {
  server.listen();
  EXPECT_THAT(server.facts_of(kNotice),
              Contains(ResultOf([](const Fact& fact) { return field(fact, "text"); },
                                HasSubstr("for trusted networks only"))));
}

TEST_F(Usrsctp, WhatIsMissingToReachAPeerIsSaid) {
  server.listen();
  PeerConfig peer = server.peer();
  peer.remote_udp_port = 0;
  EXPECT_THAT(failed(client.connect(client.endpoint(), peer)).detail, HasSubstr("remote_udp_port"));
}

TEST_F(Usrsctp, APeerBehindAUdpPortThatNobodyHasIsUnreachable) {
  server.listen();
  EndpointConfig quick = Node::config("127.0.0.1", 0, false);
  quick.sctp.init_attempts_max = 2;
  quick.sctp.rto_initial = quick.sctp.rto_min = quick.sctp.rto_max = 50ms;
  quick.sctp.init_timeout_max = 50ms;
  PeerConfig peer = server.peer();
  peer.remote_udp_port = 1;
  EXPECT_EQ(failed(client.connect(client.open(quick), peer)).cause, DownCause::unreachable);
}

TEST_F(Usrsctp, ThatPeersHaveNoOptionsOfTheirOwnIsSaidOnce) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  const std::size_t before = server.facts_of(kNotice).size();
  PeerConfig own = client.peer();
  server.transport->bind(theirs, own);
  own.sctp.emplace().rto_max = 1s;
  server.transport->bind(theirs, own);
  server.transport->bind(ours, own);
  ASSERT_TRUE(world.run_until([&] { return server.facts_of(kNotice).size() > before; }));
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); }));
  EXPECT_EQ(server.facts_of(kNotice).size(), before + 1);
}

TEST_F(Usrsctp, AUdpPortThatIsTakenIsNamedInTheError) {
  transport::FileDescriptor taken(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto address = transport::SocketAddress::parse("127.0.0.1", server.udp_port).value();
  ASSERT_EQ(::bind(taken.get(), address.raw(), address.size()), 0);
  EXPECT_THAT(server.open_in_vain(Node::config("127.0.0.1", 0, true)),
              AllOf(HasSubstr("endpoint test: UDP port " + address.text_with_port()),
                    HasSubstr("Address already in use"), HasSubstr("of this node has it")));
}

TEST_F(Usrsctp, EndpointsMayShareAUdpPortAndNeedSctpPortsOfTheirOwn) {
  server.listen("127.0.0.1", 5000);
  const PeerConfig one = server.peer();
  server.listen("127.0.0.1", 5002);
  EXPECT_THAT(client.open_in_vain(Node::config("127.0.0.1", 5000, true)),
              HasSubstr("SCTP port 5000"));
  const EndpointId from = client.endpoint();
  const AssociationId first = client.connect(from, one);
  const AssociationId second = client.connect(from, server);
  ASSERT_TRUE(world.run_until([&] { return client.is_up(first) && client.is_up(second); }));
}

TEST_F(Usrsctp, EndpointsThatWantAnyPortGetDifferentOnes) {
  client.endpoint();
  const std::uint16_t first = client.port;
  client.endpoint();
  EXPECT_NE(first, client.port);
}

TEST_F(Usrsctp, TheStackHasNoThreadOfItsOwn) {
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  const auto before = threads();
  server.listen();
  ASSERT_NE(client.join(client.endpoint(), server).second, AssociationId::none);
  EXPECT_EQ(threads(), before);
}

// Neither ECN, because the stack does not see those bits of the UDP packets around, nor partial
// reliability, nor anything else that we have no use for.
TEST_F(Usrsctp, AnInitOffersNoExtension) {
  transport::FileDescriptor peer(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto address = transport::SocketAddress::parse("127.0.0.1", server.udp_port).value();
  ASSERT_EQ(::bind(peer.get(), address.raw(), address.size()), 0);
  PeerConfig silent;
  silent.addresses = {"127.0.0.1"};
  silent.port = 5000;
  silent.remote_udp_port = server.udp_port;
  client.connect(client.endpoint(), silent);
  std::array<std::byte, 2048> packet;
  ssize_t size = -1;
  ASSERT_TRUE(world.run_until([&] {
    size = ::recv(peer.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    return size > 0;
  }));
  // RFC 9260 §3.3.2: behind the common header the chunk's type, flags and length; parameters come
  // after its fixed part.
  constexpr std::size_t kChunk = 12;
  constexpr std::uint16_t kFixedPart = 20;
  constexpr std::byte kInit{1};
  ASSERT_EQ(static_cast<std::size_t>(size), kChunk + kFixedPart);
  EXPECT_EQ(packet[kChunk], kInit);
  EXPECT_EQ(load_u16(&packet[kChunk + 2]), kFixedPart);
}

TEST_F(Usrsctp, APeeledAssociationHasAUdpSocketOfItsOwnAsLongAsItLives) {
  server.listen();
  constexpr std::size_t kMessages = 100;
  struct Peer {
    explicit Peer(World& world) : node(world) {}
    Node node;
    AssociationId ours{}, theirs{};
  };
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 3; ++i) {
    Peer& peer = *peers.emplace_back(std::make_unique<Peer>(world));
    std::tie(peer.ours, peer.theirs) = peer.node.join(peer.node.endpoint(), server);
  }
  EXPECT_EQ(connected_sockets(server.udp_port), 0u);
  for (const std::size_t peeled : {1u, 2u}) {  // and the third stays
    ASSERT_TRUE(server.peel(peers[peeled]->theirs));
    EXPECT_EQ(connected_sockets(server.udp_port), peeled);
  }

  for (const auto& peer : peers) {
    for (std::size_t i = 0; i < kMessages; ++i) {
      ASSERT_TRUE(peer->node.send(peer->ours, "to the server"));
      ASSERT_TRUE(server.send(peer->theirs, "from the server"));
    }
  }
  EXPECT_TRUE(world.run_until([&] {
    return std::ranges::all_of(peers, [&](const auto& peer) {
      return server.of(peer->theirs).received.size() == kMessages &&
             peer->node.of(peer->ours).received.size() == kMessages;
    });
  }));

  // The port is as taken as before, also for who would share it.
  transport::FileDescriptor another(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ASSERT_EQ(::setsockopt(another.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  const auto address = transport::SocketAddress::parse("127.0.0.1", server.udp_port).value();
  EXPECT_EQ(::bind(another.get(), address.raw(), address.size()), -1);
  EXPECT_EQ(errno, EADDRINUSE);

  Peer& first = *peers[1];
  first.node.close(first.ours, CloseMode::graceful);
  ASSERT_TRUE(world.run_until(
      [&] { return server.is_down(first.theirs) && first.node.is_down(first.ours); }));
  EXPECT_TRUE(world.run_until([&] { return connected_sockets(server.udp_port) == 1; }));
  std::tie(first.ours, first.theirs) = first.node.join(first.node.endpoint(), server);
  ASSERT_NE(first.theirs, AssociationId::none);
  ASSERT_TRUE(server.peel(first.theirs));
  EXPECT_EQ(connected_sockets(server.udp_port), 2u);
}

TEST_F(Usrsctp, WithoutADescriptorAPeelStaysOnTheSharedUdpSocketUntilThereIsOne) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{32, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  EXPECT_TRUE(server.peel(theirs));
  EXPECT_EQ(connected_sockets(server.udp_port), 0u);
  ASSERT_TRUE(client.send(ours, "hello"));
  EXPECT_TRUE(world.run_until([&] { return server.of(theirs).received.size() == 1; }));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(world.run_until([&] { return connected_sockets(server.udp_port) == 1; }));
}

// Retransmission timers that have ended, of all associations of this process.
std::uint32_t timeouts() {
  sctpstat counts{};
  usrsctp_get_stat(&counts);
  return counts.sctps_timodata;
}

// What leaves within a long turn was not under way before it.
TEST_F(Usrsctp, ALateLoopIsNoReasonToSendAgain) {
  EndpointConfig there = Node::config("127.0.0.1", 0, true);
  there.sctp.rto_initial = there.sctp.rto_min = 100ms;
  there.sctp.sack_delay = 20ms;
  EndpointConfig here = there;
  here.listening = false;
  server.open(there);
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.open(here), server);
  std::size_t questions = 0;
  server.on_message = [&](AssociationId id, const Message&) {
    if (++questions % 2 != 0) return;
    for (const Instant end = transport::Loop::fresh_now() + 400ms;
         transport::Loop::fresh_now() < end;) {
    }
    EXPECT_TRUE(server.send(id, "answer"));
  };
  const std::uint32_t before = timeouts();
  for (std::size_t answers = 1; answers <= 3; ++answers) {
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(client.send(ours, "question"));
    ASSERT_TRUE(world.run_until([&] { return client.of(ours).received.size() == answers; }));
  }
  EXPECT_EQ(timeouts(), before);
}

// The stack never says that a socket of many associations may be written to again.
TEST_F(Usrsctp, AFullSendBufferIsTriedAgainUntilAllIsOut) {
  server.listen();
  EndpointConfig small = Node::config("127.0.0.1", 0, false);
  small.sctp.send_buffer_bytes = 50'000;
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.open(small), server);
  std::size_t sent = 0;
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "peeled" : "shared");
    if (peeled) {
      ASSERT_TRUE(client.peel(ours));
    }
    const auto blocked_before = client.counters.get(transport::counter::send_blocked);
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(client.send(ours, std::string(1000, 'x')));
    sent += 500;
    ASSERT_TRUE(world.run_until([&] { return server.of(theirs).received.size() == sent; }));
    EXPECT_GT(client.counters.get(transport::counter::send_blocked), blocked_before);
  }
}

TEST_F(Usrsctp, PacketsMayPassTheKernelTogether) {
  EndpointConfig there = Node::config("127.0.0.1", 0, true);
  EndpointConfig here = Node::config("127.0.0.1", 0, false);
  there.udp_segmentation_offload = here.udp_segmentation_offload = true;
  server.open(there);
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.open(here), server);
  std::vector<std::string> sent;
  for (int i = 0; i < 500; ++i) {
    sent.push_back(std::to_string(i) + std::string(1000, 'x'));
    ASSERT_TRUE(client.send(ours, sent.back()));
  }
  ASSERT_TRUE(world.run_until([&] { return server.of(theirs).received.size() == sent.size(); }));
  EXPECT_EQ(server.of(theirs).received, sent);
}

// Packets of whoever sends to us, with a good checksum.
std::string packet_of(std::uint16_t to, std::uint8_t chunk, std::string_view value) {
  std::vector<std::byte> packet(16);
  store_u16(packet.data(), 5000);
  store_u16(packet.data() + 2, to);
  packet[12] = std::byte{chunk};
  store_u16(packet.data() + 14, static_cast<std::uint16_t>(4 + value.size()));
  for (const char c : value) packet.push_back(static_cast<std::byte>(c));
  const std::uint32_t crc = test::crc32c(packet);
  for (unsigned i = 0; i < 4; ++i) packet[8 + i] = static_cast<std::byte>(crc >> (8 * i));
  return std::string(as_text(packet));
}

// Anybody can send from any address; only an answered INIT ACK shows that it is his.
TEST_F(Usrsctp, NothingIsRememberedOfWhoHasNotShownThatHisAddressIsHis) {
  server.listen();
  const auto& transport = static_cast<transport::UsrsctpTransport&>(*server.transport);
  // An Initiate Tag, a window, one stream each way, an initial TSN.
  const std::string init =
      packet_of(server.port, 1, std::string_view("\0\0\0\7\0\1\0\0\0\1\0\1\0\0\0\1", 16));
  const std::string echo = packet_of(server.port, 10, std::string(400, 'c'));
  const std::string data = packet_of(server.port, 0, std::string(24, 'd'));
  const auto to = transport::SocketAddress::parse("127.0.0.1", server.udp_port).value();
  constexpr std::uint16_t kFirst = 20000, kPorts = 17500;
  std::size_t answers = 0;
  for (std::uint16_t i = 0; i < kPorts; ++i) {
    const auto own = transport::SocketAddress::parse("127.0.0.5", kFirst + i).value();
    transport::FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(fd.get(), own.raw(), own.size()), 0);
    for (const std::string& junk : {init, echo, data}) {
      ASSERT_EQ(::sendto(fd.get(), junk.data(), junk.size(), 0, to.raw(), to.size()),
                static_cast<ssize_t>(junk.size()));
    }
    world.loop().run_once(false);
    std::array<char, 2000> answer;
    const ssize_t size = ::recv(fd.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (size > 12 && answer[12] == 2) ++answers;  // INIT ACK
  }
  EXPECT_GT(answers, kPorts / 2u);
  EXPECT_EQ(transport.paths(), 0u);
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  EXPECT_EQ(transport.paths(), 2u) << "one for each end";
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); }));
  EXPECT_TRUE(world.run_until([&] { return transport.paths() == 0; }, 20s));
}

TEST_F(Usrsctp, ThereIsOneInAProcess) {
  server.listen();
  {
    World elsewhere;
    Node other(elsewhere);
    EXPECT_THAT(other.open_in_vain(Node::config("127.0.0.1", 0, true)),
                HasSubstr("one stack only"));
  }
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  EXPECT_TRUE(client.is_up(ours));
}

TEST(UsrsctpStack, GoesToTheNextOwnerWhenTheFirstIsGone) {
  {
    World first;
    Node(first).listen();
  }
  World second;
  Node server(second), client(second);
  server.listen();
  EXPECT_NE(client.join(client.endpoint(), server).second, AssociationId::none);
}

}  // namespace
}  // namespace siglane::sctp_test
