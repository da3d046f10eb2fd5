// What becomes of an association by its peel, and on its own socket after it.
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sctp_node.h"
#include "transport/counters.h"

namespace siglane::sctp_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

EndpointConfig impatient(std::string address, std::uint16_t port, bool listening) {
  EndpointConfig config = Node::config(std::move(address), port, listening);
  config.sctp.rto_initial = config.sctp.rto_min = 50ms;
  config.sctp.rto_max = 100ms;
  config.sctp.heartbeat_interval = 100ms;
  config.sctp.association_retransmissions_max = 3;
  config.sctp.path_retransmissions_max = 2;
  return config;
}

struct Peeled : ::testing::Test {
  World world;
  Node server{world}, client{world};
  AssociationId ours{}, theirs{};

  // Joins, and peels the server's end.
  void join_and_peel(EndpointConfig listening = impatient("127.0.0.1", 0, true)) {
    server.open(listening);
    std::tie(ours, theirs) = client.join(client.endpoint(), server);
    ASSERT_TRUE(server.peel(theirs));
    ASSERT_TRUE(server.is_peeled(theirs));
  }
  bool received(Node& node, AssociationId id, std::size_t count) {
    return world.run_until([&] { return node.of(id).received.size() >= count; });
  }
  void expect_echo() {
    ASSERT_TRUE(client.send(ours, "there"));
    ASSERT_TRUE(received(server, theirs, 1));
    ASSERT_TRUE(server.send(theirs, "and back"));
    ASSERT_TRUE(received(client, ours, 1));
  }
  // The server reads nothing, and the client sends until that has come back to it.
  std::size_t send_until_congested() {
    server.transport->pause_input(theirs);
    const std::string filler(1000, 'x');
    std::size_t sent = 0;
    EXPECT_TRUE(world.run_until([&] {
      for (int i = 0; i < 50 && client.of(ours).congestion.empty(); ++i) {
        if (client.send(ours, filler + std::to_string(sent))) ++sent;
      }
      return !client.of(ours).congestion.empty();
    }));
    EXPECT_TRUE(server.of(theirs).received.empty());
    return sent;
  }
  bool both_down() {
    return world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); });
  }
};

TEST_F(Peeled, NobodyAboveNoticesThePeel) {
  join_and_peel();
  expect_echo();
  EXPECT_EQ(server.opened, std::vector{theirs});
  EXPECT_EQ(client.opened, std::vector{ours});
}

TEST_F(Peeled, DataRightBehindCommUpIsDeliveredOnceWhenThePeelComesFirst) {
  // Peeled from within Up: all that follows it is still unread on the shared socket.
  server.on_up = [&](AssociationId id) { EXPECT_TRUE(server.peel(id)); };
  server.listen();
  const EndpointId from = client.endpoint();
  client.on_up = [&](AssociationId id) {
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(client.send(id, std::to_string(i)));
  };
  ours = client.connect(from, server);
  ASSERT_TRUE(world.run_until(
      [&] { return !server.opened.empty() && server.of(server.newest()).received.size() == 40; }));
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(server.of(server.newest()).received[i], std::to_string(i));
  }
}

TEST_F(Peeled, AHalfReceivedMessageIsMadeWholeOnTheOtherSocket) {
  auto options = Node::never_peeling();
  options.shared_batch_max = 1;  // so that the loop turns between two pieces
  World apart;
  Node reader(apart, options), writer(apart, options);
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.limits.message_bytes_max = 400'000;
  reader.open(config);
  std::tie(ours, theirs) = writer.join(writer.endpoint(), reader);
  std::string text(300'000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 % 251);
  ASSERT_TRUE(writer.send(ours, text));
  ASSERT_TRUE(writer.send(ours, "next"));
  ASSERT_TRUE(apart.run_until([&] { return reader.partial_bytes(theirs) > 0; }));
  ASSERT_TRUE(reader.of(theirs).received.empty());
  ASSERT_TRUE(reader.peel(theirs));
  EXPECT_GT(reader.partial_bytes(theirs), 0u);
  ASSERT_TRUE(apart.run_until([&] { return reader.of(theirs).received.size() == 2; }));
  EXPECT_THAT(reader.of(theirs).received, ElementsAre(text, "next"));
}

TEST_F(Peeled, WhatWaitedToBeSentLeavesByTheOtherSocket) {
  server.listen();
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(server.send(theirs, std::to_string(i)));
  EXPECT_EQ(server.transport->status(theirs)->queued_messages, 10u);
  ASSERT_TRUE(server.peel(theirs));
  EXPECT_EQ(server.transport->status(theirs)->queued_messages, 10u);
  ASSERT_TRUE(server.send(theirs, "10"));
  ASSERT_TRUE(received(client, ours, 11));
  for (std::size_t i = 0; i < 11; ++i) EXPECT_EQ(client.of(ours).received[i], std::to_string(i));
}

TEST_F(Peeled, ADroppedCargoAbortsItsAssociationAndIsCounted) {
  join_and_peel();
  server.transport->detach(theirs);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_EQ(client.down_cause(ours), DownCause::peer_abort);
  EXPECT_EQ(server.counters.get(transport::counter::cargoes_dropped), 1u);
  EXPECT_FALSE(server.is_down(theirs)) << "who has the cargo has the association";
}

TEST_F(Peeled, APeerThatGoesAwayDuringThePeelIsDownOnceAndNothingOfItIsLost) {
  server.listen();
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client.send(ours, std::to_string(i)));
  // From here on the server does not read, so that everything waits in the kernel.
  int peels = 0;
  server.on_message = nullptr;
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] {
    if (!server.is_down(theirs) && !server.is_peeled(theirs)) peels += server.peel(theirs) ? 1 : 0;
    return client.is_down(ours) && server.is_down(theirs);
  }));
  EXPECT_EQ(peels, 1);
  EXPECT_EQ(server.of(theirs).received.size(), 20u);
  EXPECT_EQ(server.down_cause(theirs), DownCause::peer_shutdown);
}

TEST_F(Peeled, APeersAbortIsDownAfterAllThatItHadSent) {
  join_and_peel();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client.send(ours, std::to_string(i)));
  ASSERT_TRUE(received(server, theirs, 1));
  client.close(ours, CloseMode::abort);
  ASSERT_TRUE(both_down());
  EXPECT_EQ(server.down_cause(theirs), DownCause::peer_abort);
  EXPECT_EQ(server.peeled_count(), 0u);
  AssociationId again{}, renewed{};
  std::tie(again, renewed) = client.join(client.endpoint(), server);
  EXPECT_FALSE(server.is_peeled(renewed)) << "a new association begins on the shared socket";
}

TEST_F(Peeled, AVanishedPeerIsLostAndEveryUnsentMessageIsReturnedBeforeDown) {
  join_and_peel();
  expect_echo();
  DeadNetwork dead;
  std::vector<std::string> sent;
  for (int i = 0; i < 20; ++i) {
    sent.push_back(std::string(i % 4 == 0 ? 6000 : 30, 'v') + std::to_string(i));
    ASSERT_TRUE(server.send(theirs, sent.back()));
  }
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs); }));
  EXPECT_EQ(server.down_cause(theirs), DownCause::lost);
  EXPECT_EQ(server.of(theirs).unsent, sent);
  EXPECT_THAT(server.of(theirs).paths,
              ElementsAre(std::pair(std::string("127.0.0.1"), PathState::unreachable)));
}

TEST_F(Peeled, AVanishedPeerIsNoticedByHeartbeatsAlone) {
  join_and_peel();
  expect_echo();
  DeadNetwork dead;
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs); }));
  EXPECT_EQ(server.down_cause(theirs), DownCause::lost);
}

TEST_F(Peeled, APeerThatBeginsAnewStaysOnTheSameSocketUnderANewId) {
  server.listen();
  PeerProcess first(server, 6401);
  ASSERT_TRUE(world.run_until([&] { return server.opened.size() == 1; }));
  theirs = server.newest();
  ASSERT_TRUE(server.peel(theirs));
  ASSERT_TRUE(received(server, theirs, 1));
  first.vanish();
  PeerProcess second(server, 6401);
  ASSERT_TRUE(world.run_until([&] { return server.opened.size() == 2; }));
  EXPECT_EQ(server.down_cause(theirs), DownCause::restarted);
  const AssociationId renewed = server.newest();
  EXPECT_NE(renewed, theirs);
  EXPECT_TRUE(server.is_peeled(renewed));
  EXPECT_EQ(server.peeled_count(), 1u);
  ASSERT_TRUE(received(server, renewed, 1));
}

TEST_F(Peeled, APauseMakesThePeerWaitAndLosesNothing) {
  join_and_peel();
  const std::size_t sent = send_until_congested();
  server.transport->resume_input(theirs);
  ASSERT_TRUE(received(server, theirs, sent));
  ASSERT_EQ(server.of(theirs).received.size(), sent);
  for (std::size_t i = 0; i < sent; ++i) {
    ASSERT_EQ(server.of(theirs).received[i], std::string(1000, 'x') + std::to_string(i));
  }
  EXPECT_THAT(client.of(ours).congestion, ElementsAre(true, false));
}

TEST_F(Peeled, AGracefulCloseDoesNotWaitForEverForAPeerThatDoesNotRead) {
  join_and_peel();
  (void)send_until_congested();
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_EQ(client.down_cause(ours), DownCause::local_close);
  EXPECT_FALSE(client.of(ours).unsent.empty());
}

TEST_F(Peeled, AGracefulCloseByUsDeliversWhatWasSentBefore) {
  join_and_peel();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(server.send(theirs, "last words"));
  server.close(theirs, CloseMode::graceful);
  ASSERT_TRUE(both_down());
  EXPECT_EQ(client.of(ours).received.size(), 50u);
  EXPECT_EQ(server.down_cause(theirs), DownCause::local_close);
  EXPECT_EQ(client.down_cause(ours), DownCause::peer_shutdown);
}

TEST_F(Peeled, AGracefulCloseByThePeerDeliversWhatItHadSent) {
  join_and_peel();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(client.send(ours, "last words"));
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(both_down());
  EXPECT_EQ(server.of(theirs).received.size(), 50u);
  EXPECT_EQ(server.down_cause(theirs), DownCause::peer_shutdown);
  EXPECT_EQ(client.down_cause(ours), DownCause::local_close);
}

TEST_F(Peeled, AnAbortByUsIsDownOnBothEnds) {
  join_and_peel();
  server.close(theirs, CloseMode::abort);
  ASSERT_TRUE(both_down());
  EXPECT_EQ(server.down_cause(theirs), DownCause::local_close);
  EXPECT_EQ(client.down_cause(ours), DownCause::peer_abort);
}

TEST_F(Peeled, AnAbortByUsIsDownAlthoughItsInputIsPaused) {
  join_and_peel();
  (void)send_until_congested();
  const Instant began = transport::Loop::fresh_now();
  server.close(theirs, CloseMode::abort);
  ASSERT_TRUE(both_down());
  EXPECT_LT(transport::Loop::fresh_now() - began, 5s) << "only because it was overdue";
  EXPECT_THAT(server.of(theirs).received, IsEmpty());
  EXPECT_EQ(server.down_cause(theirs), DownCause::local_close);
  EXPECT_EQ(client.down_cause(ours), DownCause::peer_abort);
}

TEST_F(Peeled, WhenDownIsToldTheSamePeerCanBeConnectedAgain) {
  server.listen();
  const EndpointId from = client.endpoint();
  std::tie(ours, theirs) = client.join(from, server);
  ASSERT_TRUE(client.peel(ours));
  const AssociationId meanwhile = client.connect(from, server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(meanwhile); }));
  EXPECT_EQ(client.down_cause(meanwhile), DownCause::already_connected);
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  const AssociationId again = client.connect(from, server);
  ASSERT_TRUE(world.run_until([&] { return client.is_up(again) || client.is_down(again); }));
  EXPECT_TRUE(client.is_up(again));
  EXPECT_FALSE(client.is_peeled(again));
}

TEST_F(Peeled, ItIsPeeledOnceAndMovesAsOftenAsOneLikes) {
  join_and_peel();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(server.peel(theirs));
  EXPECT_EQ(server.peeled_count(), 1u);
  expect_echo();
}

}  // namespace
}  // namespace siglane::sctp_test
