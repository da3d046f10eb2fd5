// What only the kernel's SCTP has: several sockets for an endpoint, several addresses for an
// association, a send buffer that associations share, and moves to another transport. What it has
// in common with usrsctp is in tests/contract.
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/kernel/harness.h"
#include "transport/counters.h"

namespace siglane::kernel_test {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct KernelTransport : ::testing::Test {
  World world;
  Node server{world}, client{world};
};

TEST_F(KernelTransport, ASlowPeerIsHeldAtItsCapAndOthersAreNot) {
  // The slow one never reads: its window fills, then our share of the send buffer.
  EndpointConfig slow = Node::config("127.0.0.7", 0, true);
  slow.sctp.receive_buffer_bytes = 32 * 1024;
  World elsewhere;  // a loop that nobody turns
  Node sleeper(elsewhere);
  sleeper.open(slow);
  server.listen();
  const EndpointId from = client.endpoint("127.0.0.8");
  const AssociationId to_slow = client.connect(from, sleeper);
  ASSERT_TRUE(elsewhere.run_until([&] { return sleeper.opened.size() == 1; }));
  ASSERT_TRUE(world.run_until([&] { return client.is_up(to_slow); }));
  AssociationId to_fast{}, fast{};
  std::tie(to_fast, fast) = client.join(from, server);
  server.on_message = [](AssociationId, const Message&) {};

  const std::string text(1000, 's');
  std::size_t accepted = 0;
  while (client.send(to_slow, text)) {
    if (++accepted % 100 == 0) world.loop().run_once(false);
  }
  EXPECT_LT(accepted, 5000u) << "the queue's limit is 1 MiB, and the cap half of that";
  EXPECT_THAT(client.of(to_slow).congestion, ElementsAre(true));
  server.on_message = nullptr;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.send(to_fast, text));
  ASSERT_TRUE(world.run_until([&] { return server.of(fast).received.size() == 100; }));
  EXPECT_EQ(client.counters.get(transport::counter::send_blocked), 0u);

  // And when it reads again, all of it arrives.
  std::size_t got = 0;
  sleeper.on_message = [&](AssociationId, const Message&) { ++got; };
  ASSERT_TRUE(world.run_until(
      [&] {
        elsewhere.loop().run_once(false);
        world.loop().run_once(false);
        return got == accepted;
      },
      60s))
      << got << " of " << accepted;
  EXPECT_THAT(client.of(to_slow).congestion, ElementsAre(true, false));
}

TEST_F(KernelTransport, SeveralSharedSocketsServeOneEndpoint) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sockets = 4;
  server.open(config);
  std::vector<AssociationId> ours;
  for (int i = 0; i < 20; ++i) ours.push_back(client.join(client.endpoint(), server).first);
  for (AssociationId id : ours) ASSERT_TRUE(client.send(id, "hello"));
  ASSERT_TRUE(world.run_until([&] {
    std::size_t got = 0;
    for (AssociationId id : server.opened) got += server.of(id).received.size();
    return got == ours.size();
  }));
}

TEST_F(KernelTransport, SeveralSharedSocketsServeAllAddressesOfOneEndpoint) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.addresses = {"127.0.0.1", "127.0.0.9"};
  config.sockets = 3;
  server.open(config);
  for (int i = 0; i < 12; ++i) {
    AssociationId ours{}, theirs{};
    std::tie(ours, theirs) = client.join(client.endpoint(), server);
    EXPECT_THAT(client.of(ours).up->remote_addresses, ElementsAre("127.0.0.1", "127.0.0.9"));
    ASSERT_TRUE(client.send(ours, "hello"));
    ASSERT_TRUE(world.run_until([&] { return server.of(theirs).received.size() == 1; }));
  }
}

TEST_F(KernelTransport, SeveralAddressesMakeAMultihomedAssociation) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.addresses = {"127.0.0.1", "127.0.0.9"};
  server.open(config);
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint("127.0.0.10"), server);
  EXPECT_THAT(client.of(ours).up->remote_addresses, ElementsAre("127.0.0.1", "127.0.0.9"));
  EXPECT_EQ(server.of(theirs).up->local_addresses.size(), 2u);
}

TEST_F(KernelTransport, APeerIsWhereItConnectsFromAndNotWhereItsInitSays) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sctp.rto_initial = config.sctp.rto_max =
      10s;  // the first probe is answered after the test
  server.open(config);
  EndpointConfig two = Node::config("127.0.0.10", 0, false);
  two.addresses = {"127.0.0.10", "127.0.0.11"};
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.open(two), server);
  EXPECT_EQ(client.of(ours).up->local_addresses.size(), 2u);
  const auto& from = server.of(theirs).up->remote_addresses;
  EXPECT_THAT(from, ElementsAre(AnyOf("127.0.0.10", "127.0.0.11")));
}

TEST_F(KernelTransport, APeerOfVeryManyAddressesIsRefused) {
  server.listen();
  EndpointConfig many = Node::config("127.0.0.30", 0, false);
  for (int i = 31; i < 30 + 33; ++i) many.addresses.push_back("127.0.0." + std::to_string(i));
  const AssociationId ours = client.connect(client.open(many), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_THAT(server.strangers, ElementsAre("announces 33 addresses, more than 32"));
}

TEST_F(KernelTransport, WhatTheStackWillNeverTakeEndsTheAssociation) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  for_each_socket(IPPROTO_SCTP, [](int fd) {
    const int little = 4096;
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);
  });
  ASSERT_TRUE(client.send(ours, std::string(60'000, 'x')));
  ASSERT_TRUE(client.send(ours, "after it"));
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_EQ(client.down_cause(ours), DownCause::lost);
  EXPECT_THAT(client.of(ours).down->detail, HasSubstr("cannot send"));
  EXPECT_EQ(client.of(ours).unsent.size(), 2u);
}

TEST_F(KernelTransport, AnAddressInUseIsNamedInTheError) {
  server.listen("127.0.0.12", 6306);
  const std::string why = client.open_in_vain(Node::config("192.0.2.1", 6306, true));
  EXPECT_THAT(why, HasSubstr("192.0.2.1"));
  EXPECT_THAT(why, HasSubstr("endpoint test"));
}

TEST_F(KernelTransport, AnotherTransportAdoptsAndGoesOn) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  ASSERT_TRUE(server.peel(theirs));
  Node other(world);
  ASSERT_TRUE(client.send(ours, "in flight"));
  DetachOutcome outcome = server.transport->detach(theirs);
  ASSERT_TRUE(std::holds_alternative<Peeled>(outcome));
  EXPECT_EQ(server.transport->find(theirs), nullptr);
  other.on_message = [&](AssociationId id, const Message& message) {
    EXPECT_EQ(id, theirs);
    EXPECT_EQ(as_text(message.payload.bytes()), "in flight");
    Message answer;
    answer.payload = Buffer::copy_of(as_bytes("from elsewhere"));
    EXPECT_EQ(other.send(id, std::move(answer)), SendOutcome::accepted);
  };
  // It told Up to the transport that it came from.
  other.on_event(theirs, AssociationUp{}, Instant{});
  other.transport->adopt(std::move(std::get<Peeled>(outcome).cargo));
  ASSERT_TRUE(world.run_until([&] { return !client.of(ours).received.empty(); }));
  other.close(theirs, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return other.is_down(theirs) && client.is_down(ours); }));
}

// usrsctp reads all that came before anybody can ask it for a peel.
TEST_F(KernelTransport, APeerThatAbortedBeforeThePeelIsGoneAndItsDownIsOnItsWay) {
  World elsewhere;  // so that the server's loop does not turn while the peer goes
  Node leaver(elsewhere);
  server.listen();
  const AssociationId ours = leaver.connect(leaver.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] {
    elsewhere.loop().run_once(false);
    return leaver.is_up(ours) && !server.opened.empty();
  }));
  const AssociationId theirs = server.newest();
  ASSERT_TRUE(leaver.send(ours, "last word"));
  elsewhere.loop().run_once(false);
  leaver.close(ours, CloseMode::abort);
  ASSERT_TRUE(elsewhere.run_until([&] { return leaver.is_down(ours); }));
  EXPECT_TRUE(std::holds_alternative<Gone>(server.transport->detach(theirs)));
  EXPECT_FALSE(server.is_down(theirs));
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs); }));
  EXPECT_EQ(server.down_cause(theirs), DownCause::peer_abort);
}

}  // namespace
}  // namespace siglane::kernel_test
