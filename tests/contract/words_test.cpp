// The same event has the same words on either SCTP stack: causes, details, paths, who is turned
// away.
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sctp_node.h"

namespace siglane::sctp_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

EndpointConfig impatient(bool listening) {
  EndpointConfig config = Node::config("127.0.0.1", 0, listening);
  config.sctp.rto_initial = config.sctp.rto_min = 50ms;
  config.sctp.rto_max = config.sctp.init_timeout_max = 100ms;
  config.sctp.heartbeat_interval = 100ms;
  config.sctp.init_attempts_max = 2;
  config.sctp.path_retransmissions_max = 2;
  config.sctp.association_retransmissions_max = 3;
  return config;
}

struct TheWordsOfAConnect : ::testing::Test {
  // Cause and detail, as a session gets them.
  std::string end_of(Node& node, AssociationId id) {
    EXPECT_TRUE(world.run_until([&] { return node.is_down(id); }));
    const auto& down = node.of(id).down;
    if (!down) return "no end";
    return std::string(name_of(down->cause)) + (down->detail.empty() ? "" : " | " + down->detail);
  }
  std::string end_of_connect(const PeerConfig& peer) {
    return end_of(client, client.connect(from, peer));
  }

  World world;
  Node server{world}, client{world};
  EndpointId from{};
  AssociationId ours{}, theirs{};
};

// On a shared socket, or with one of its own.
struct TheWords : TheWordsOfAConnect, ::testing::WithParamInterface<bool> {
  void join(const EndpointConfig& listening = impatient(true),
            const EndpointConfig& connecting = impatient(false)) {
    server.open(listening);
    from = client.open(connecting);
    std::tie(ours, theirs) = client.join(from, server);
    ASSERT_NE(theirs, AssociationId::none);
    if (GetParam()) {
      ASSERT_TRUE(server.peel(theirs));
    }
  }
};

TEST_P(TheWords, OfAPeerThatCloses) {
  join();
  client.close(ours, CloseMode::graceful);
  EXPECT_EQ(end_of(server, theirs), "peer_shutdown");
  EXPECT_TRUE(server.of(theirs).ending);
  EXPECT_EQ(end_of(client, ours), "local_close");
  EXPECT_FALSE(client.of(ours).ending);
}

TEST_P(TheWords, OfAPeerThatAborts) {
  join();
  client.close(ours, CloseMode::abort);
  EXPECT_EQ(end_of(server, theirs),
            "peer_abort | the peer aborted: User-Initiated Abort (cause 12)");
  EXPECT_FALSE(server.of(theirs).ending);
  EXPECT_EQ(end_of(client, ours), "local_close | aborted");
}

TEST_P(TheWords, OfAPeerThatIsLostWithItsPathAndOfWhatCouldNotBeSent) {
  join();
  {
    DeadNetwork dead;
    ASSERT_TRUE(server.send(theirs, "into the void"));
    EXPECT_EQ(end_of(server, theirs), "lost | the peer does not answer");
  }
  EXPECT_THAT(server.of(theirs).paths, ElementsAre(Pair("127.0.0.1", PathState::unreachable)));
  EXPECT_THAT(server.of(theirs).unsent, ElementsAre("into the void"));
}

TEST_P(TheWords, OfAPathThatFailsAndIsThereAgain) {
  const auto patient = [](EndpointConfig config) {
    config.sctp.association_retransmissions_max = 1000;
    return config;
  };
  join(patient(impatient(true)), patient(impatient(false)));
  {
    DeadNetwork dead;
    ASSERT_TRUE(world.run_until([&] { return !server.of(theirs).paths.empty(); }));
  }
  ASSERT_TRUE(world.run_until([&] { return server.of(theirs).paths.size() >= 2; }));
  EXPECT_THAT(server.of(theirs).paths, ElementsAre(Pair("127.0.0.1", PathState::unreachable),
                                                   Pair("127.0.0.1", PathState::reachable)));
}

TEST_P(TheWords, OfAPeerThatRestarts) {
  const std::uint16_t port = GetParam() ? 6501 : 6502;
  server.listen();
  PeerProcess first(server, port);
  ASSERT_TRUE(world.run_until([&] { return server.opened.size() == 1; }));
  theirs = server.newest();
  if (GetParam()) {
    ASSERT_TRUE(server.peel(theirs));
  }
  first.vanish();
  PeerProcess second(server, port);
  ASSERT_TRUE(world.run_until([&] { return server.opened.size() == 2; }));
  EXPECT_EQ(end_of(server, theirs), "restarted | the peer restarted");
  EXPECT_EQ(server.is_peeled(server.newest()), GetParam());
}

TEST_P(TheWords, OfASecondConnect) {
  join();
  if (GetParam()) {
    ASSERT_TRUE(client.peel(ours));
  }
  EXPECT_EQ(end_of_connect(server.peer()),
            "already_connected | 127.0.0.1: Transport endpoint is already connected");
}

TEST_P(TheWords, OfAMessageThatIsTooLong) {
  EndpointConfig config = impatient(true);
  config.limits.message_bytes_max = 1000;
  join(config);
  ASSERT_TRUE(client.send(ours, std::string(1001, 'x')));
  EXPECT_EQ(end_of(server, theirs),
            "protocol_error | a message longer than message_bytes_max (1000)");
  EXPECT_EQ(end_of(client, ours), "peer_abort | the peer aborted: User-Initiated Abort (cause 12)");
}

// A peer that does not read holds the close up: on either stack, and as long on both.
TEST_P(TheWords, OfACloseThatThePeerHoldsUp) {
  join();
  if (!GetParam()) {
    ASSERT_TRUE(server.peel(theirs));  // or its input cannot be paused
  } else {
    ASSERT_TRUE(client.peel(ours));
  }
  server.transport->pause_input(theirs);
  const std::string filler(1000, 'x');
  ASSERT_TRUE(world.run_until([&] {
    for (int i = 0; i < 50 && client.of(ours).congestion.empty(); ++i) client.send(ours, filler);
    return !client.of(ours).congestion.empty();
  }));
  const Instant began = transport::Loop::fresh_now();
  client.close(ours, CloseMode::graceful);
  EXPECT_EQ(end_of(client, ours), "local_close | the peer did not take the rest in time");
  EXPECT_GE(transport::Loop::fresh_now() - began, 5s);
}

INSTANTIATE_TEST_SUITE_P(Seats, TheWords, ::testing::Bool(),
                         [](const auto& seat) { return seat.param ? "Peeled" : "Shared"; });

TEST_F(TheWordsOfAConnect, ThatIsRefused) {
  from = client.endpoint();  // an impatient one would not wait for the answer
  server.endpoint();         // bound, and not listening
  EXPECT_EQ(end_of_connect(server.peer()), "refused | the peer refused the association");
}

TEST_F(TheWordsOfAConnect, ThatNobodyAnswers) {
  from = client.open(impatient(false));
  server.listen();
  DeadNetwork dead;
  EXPECT_EQ(end_of_connect(server.peer()), "unreachable | no answer");
}

TEST_F(TheWordsOfAConnect, ThatCannotBegin) {
  from = client.endpoint();
  server.listen();
  PeerConfig peer = server.peer();
  peer.addresses = {};
  EXPECT_EQ(end_of_connect(peer), "unreachable | no address to connect to");
  peer.addresses = {"somewhere"};
  EXPECT_EQ(end_of_connect(peer), "unreachable | \"somewhere\" is not an IP address");
  from = next_endpoint_id();
  EXPECT_EQ(end_of_connect(server.peer()), "unreachable | no such endpoint");
}

TEST_F(TheWordsOfAConnect, ThatIsAborted) {
  from = client.endpoint();
  server.listen();
  const AssociationId id = client.connect(from, server);
  client.close(id, CloseMode::graceful);
  EXPECT_EQ(end_of(client, id), "local_close | aborted");
}

TEST_F(TheWordsOfAConnect, ThatTheOtherEndHasNoRoomFor) {
  EndpointConfig full = impatient(true);
  full.associations_max = 0;
  server.open(full);
  from = client.open(impatient(false));
  const AssociationId id = client.connect(from, server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(id); }));
  EXPECT_THAT(server.strangers, ElementsAre("endpoint test has its associations_max"));
  EXPECT_THAT(server.opened, IsEmpty());
}

}  // namespace
}  // namespace siglane::sctp_test
