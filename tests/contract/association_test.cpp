// Associations on a shared socket, of either SCTP stack: how they begin, talk and end.
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/payload_protocols.h"
#include "tests/support/sctp_node.h"
#include "transport/counters.h"

namespace siglane::sctp_test {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct AnAssociation : ::testing::Test {
  World world;
  Node server{world}, client{world};
};

TEST_F(AnAssociation, BothEndsComeUpAndTellWhoTheyTalkTo) {
  const EndpointId listening = server.listen("127.0.0.2");
  const EndpointId from = client.endpoint("127.0.0.3");
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(from, server);
  const AssociationUp& up = *client.of(ours).up;
  EXPECT_EQ(up.local, from);
  EXPECT_THAT(up.local_addresses, ElementsAre("127.0.0.3"));
  EXPECT_THAT(up.remote_addresses, ElementsAre("127.0.0.2"));
  EXPECT_EQ(up.remote_port, server.port);
  EXPECT_EQ(up.streams_out, 16);
  EXPECT_EQ(up.peer, "peer");
  EXPECT_TRUE(up.initiator);
  const AssociationUp& accepted = *server.of(theirs).up;
  EXPECT_EQ(accepted.local, listening);
  EXPECT_THAT(accepted.remote_addresses, ElementsAre("127.0.0.3"));
  EXPECT_EQ(accepted.remote_port, client.port);
  EXPECT_FALSE(accepted.initiator);
  const auto status = server.transport->status(theirs);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->local, "127.0.0.2:" + std::to_string(server.port));
  EXPECT_EQ(status->remote, "127.0.0.3:" + std::to_string(client.port));
  EXPECT_FALSE(status->peeled);
}

TEST_F(AnAssociation, MessagesKeepTheirOrderStreamAndProtocol) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  std::vector<Message> got;
  server.on_message = [&](AssociationId, const Message& message) { got.push_back(message); };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.send(ours, "message", i % 4));
  ASSERT_TRUE(world.run_until([&] { return got.size() == 100; }));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(got[static_cast<std::size_t>(i)].stream, StreamId(static_cast<std::uint16_t>(i % 4)));
    EXPECT_EQ(got[static_cast<std::size_t>(i)].protocol, test::kDiameter);
    EXPECT_NE(got[static_cast<std::size_t>(i)].caused_at, Instant{});
  }
  server.on_message = nullptr;
  ASSERT_TRUE(server.send(theirs, "back"));
  ASSERT_TRUE(world.run_until([&] { return client.of(ours).received.size() == 1; }));
}

TEST_F(AnAssociation, MessagesOfEverySizeArriveWhole) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.limits.message_bytes_max = 300'000;
  server.open(config);
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  std::vector<std::string> sent;
  for (std::size_t size : {1, 1023, 1024, 1025, 1500, 65536, 69631, 69632, 69633, 70656, 300000}) {
    std::string text(size, 'x');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 % 251);
    ASSERT_TRUE(client.send(ours, text)) << size;
    sent.push_back(text);
  }
  ASSERT_TRUE(world.run_until([&] { return server.of(theirs).received.size() == sent.size(); }));
  EXPECT_EQ(server.of(theirs).received, sent);
}

TEST_F(AnAssociation, AMessageBeyondTheLimitEndsItsAssociation) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.limits.message_bytes_max = 10'000;
  server.open(config);
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  ASSERT_TRUE(client.send(ours, std::string(10'000, 'a')));
  ASSERT_TRUE(client.send(ours, std::string(10'001, 'b')));
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); }));
  EXPECT_EQ(server.of(theirs).received.size(), 1u);
  EXPECT_EQ(server.down_cause(theirs), DownCause::protocol_error);
  EXPECT_EQ(client.down_cause(ours), DownCause::peer_abort);
  EXPECT_EQ(server.counters.get(transport::counter::messages_oversized), 1u);
}

TEST_F(AnAssociation, AGracefulCloseDeliversWhatWasSentBefore) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(client.send(ours, "last words"));
  client.close(ours, CloseMode::graceful);
  EXPECT_FALSE(client.send(ours, "too late"));
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); }));
  EXPECT_EQ(server.of(theirs).received.size(), 50u);
  EXPECT_EQ(client.down_cause(ours), DownCause::local_close);
  EXPECT_EQ(server.down_cause(theirs), DownCause::peer_shutdown);
  EXPECT_EQ(client.transport->find(ours), nullptr);
}

TEST_F(AnAssociation, AnAbortIsToldToThePeerAsOne) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  client.close(ours, CloseMode::abort);
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); }));
  EXPECT_EQ(client.down_cause(ours), DownCause::local_close);
  EXPECT_EQ(server.down_cause(theirs), DownCause::peer_abort);
}

TEST_F(AnAssociation, AConnectThatIsRefusedIsALoneDown) {
  const EndpointId from = client.endpoint();
  server.endpoint();  // bound, and not listening
  const AssociationId id = client.connect(from, server);
  EXPECT_FALSE(client.is_down(id)) << "told before connect() returned";
  ASSERT_TRUE(world.run_until([&] { return client.is_down(id); }));
  EXPECT_EQ(client.down_cause(id), DownCause::refused);
  EXPECT_FALSE(client.of(id).up);
}

TEST_F(AnAssociation, AConnectThatNobodyAnswersIsUnreachable) {
  EndpointConfig config = Node::config("127.0.0.1", 0, false);
  config.sctp.rto_initial = 50ms;
  config.sctp.rto_min = 50ms;
  config.sctp.rto_max = 100ms;
  config.sctp.init_timeout_max = 100ms;
  config.sctp.init_attempts_max = 2;
  const EndpointId from = client.open(config);
  server.listen();
  DeadNetwork dead;
  const AssociationId id = client.connect(from, server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(id); }));
  EXPECT_EQ(client.down_cause(id), DownCause::unreachable);
}

TEST_F(AnAssociation, AConnectThatIsAbortedIsALoneDown) {
  server.listen();
  const AssociationId id = client.connect(client.endpoint(), server);
  client.close(id, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(id); }));
  EXPECT_FALSE(client.of(id).up);
  EXPECT_EQ(client.down_cause(id), DownCause::local_close);
}

TEST_F(AnAssociation, ASecondConnectToTheSamePeerIsAlreadyConnected) {
  server.listen();
  const EndpointId from = client.endpoint();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(from, server);
  const AssociationId second = client.connect(from, server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(second); }));
  EXPECT_EQ(client.down_cause(second), DownCause::already_connected);
  EXPECT_TRUE(client.is_up(ours));
}

TEST_F(AnAssociation, BeyondAssociationsMaxNewOnesAreRefused) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.associations_max = 1;
  server.open(config);
  AssociationId first{}, theirs{};
  std::tie(first, theirs) = client.join(client.endpoint("127.0.0.4"), server);
  const AssociationId second = client.connect(client.endpoint("127.0.0.5"), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(second); }));
  EXPECT_EQ(server.opened.size(), 1u);
  EXPECT_EQ(server.counters.get(counter::associations_refused_limit), 1u);
  EXPECT_TRUE(client.is_up(first));
}

TEST_F(AnAssociation, AnAbortReturnsWhatWasQueuedBeforeDown) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  ASSERT_TRUE(client.send(ours, "never leaves"));
  client.close(ours, CloseMode::abort);
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); }));
  EXPECT_THAT(client.of(ours).unsent, ElementsAre("never leaves"));
  EXPECT_THAT(server.of(theirs).received, IsEmpty());
}

TEST_F(AnAssociation, TwoThatConnectAtOnceHaveOneAssociation) {
  const EndpointId here = client.listen("127.0.0.14");
  const EndpointId there = server.listen("127.0.0.15");
  AssociationId ours{}, theirs{};
  {
    DeadNetwork dead;  // so that neither is there before the other has begun
    ours = client.connect(here, server);
    theirs = server.connect(there, client);
  }
  ASSERT_TRUE(world.run_until([&] { return client.is_up(ours) && server.is_up(theirs); }));
  EXPECT_TRUE(client.of(ours).up->initiator);
  EXPECT_TRUE(server.of(theirs).up->initiator);
  ASSERT_TRUE(client.send(ours, "hello"));
  ASSERT_TRUE(server.send(theirs, "hello"));
  ASSERT_TRUE(world.run_until(
      [&] { return !server.of(theirs).received.empty() && !client.of(ours).received.empty(); }));
  EXPECT_EQ(client.opened.size() + server.opened.size(), 2u);
}

TEST_F(AnAssociation, APeerThatVanishesIsLostAndEveryUnsentMessageIsReturnedBeforeDown) {
  EndpointConfig config = Node::config("127.0.0.1", 0, false);
  config.sctp.rto_initial = config.sctp.rto_min = 50ms;
  config.sctp.rto_max = 100ms;
  config.sctp.association_retransmissions_max = 3;
  config.sctp.path_retransmissions_max = 2;
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.open(config), server);
  DeadNetwork dead;
  std::vector<std::string> sent;
  for (int i = 0; i < 40; ++i) {
    sent.push_back(std::string(i % 4 == 0 ? 5000 : 20, 'a') + std::to_string(i));
    ASSERT_TRUE(client.send(ours, sent.back()));
  }
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_EQ(client.down_cause(ours), DownCause::lost);
  EXPECT_EQ(client.of(ours).unsent, sent);
  EXPECT_THAT(client.of(ours).paths,
              Contains(std::pair(std::string("127.0.0.1"), PathState::unreachable)));
}

// Of each stream one may be under way in part. And one that is not may be longer than anything that
// the stack says in one piece.
TEST_F(AnAssociation, EveryUnsentMessageIsReturnedWhateverItsStreamAndLength) {
  constexpr std::size_t kLong = 300'000;
  const auto with_room = [](EndpointConfig config) {
    config.limits.message_bytes_max = config.limits.send_queue_bytes_max = 4 << 20;
    config.sctp.send_buffer_bytes = 4 << 20;
    return config;
  };
  server.open(with_room(Node::config("127.0.0.1", 0, true)));
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) =
      client.join(client.open(with_room(Node::config("127.0.0.1", 0, false))), server);
  std::vector<std::string> sent;
  {
    DeadNetwork dead;
    for (int i = 0; i < 12; ++i) {
      const int stream = 4 - i % 5;
      sent.push_back(std::string(i % 5 == 0 ? kLong : 20, 'a') + std::to_string(i));
      ASSERT_TRUE(client.send(ours, sent.back(), stream));
    }
    world.run_for(100ms);  // what the window allows is under way
    client.close(ours, CloseMode::abort);
    ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  }
  EXPECT_THAT(client.of(ours).unsent, ::testing::UnorderedElementsAreArray(sent));
}

TEST_F(AnAssociation, AnEndpointWithoutAddressesTakesAnyOfBothFamilies) {
  EndpointConfig config = Node::config("", 0, true);
  config.addresses.clear();
  server.open(config);
  server.address = "127.0.0.1";
  AssociationId v4{}, at_v4{};
  std::tie(v4, at_v4) = client.join(client.endpoint("127.0.0.11"), server);
  EXPECT_THAT(server.of(at_v4).up->remote_addresses, ElementsAre("127.0.0.11"));
  server.address = "::1";
  AssociationId v6{}, at_v6{};
  std::tie(v6, at_v6) = client.join(client.endpoint("::1"), server);
  EXPECT_THAT(server.of(at_v6).up->remote_addresses, ElementsAre("::1"));
}

TEST_F(AnAssociation, APeerThatBeginsAnewIsDownRestartedAndThenUpUnderANewId) {
  server.listen();
  PeerProcess first(server, 6305);
  ASSERT_TRUE(world.run_until([&] { return server.opened.size() == 1; }));
  const AssociationId before = server.newest();
  ASSERT_TRUE(world.run_until([&] { return !server.of(before).received.empty(); }));
  first.vanish();
  PeerProcess second(server, 6305);
  ASSERT_TRUE(world.run_until([&] { return server.opened.size() == 2; }));
  EXPECT_EQ(server.down_cause(before), DownCause::restarted);
  const AssociationId renewed = server.newest();
  EXPECT_NE(renewed, before);
  ASSERT_TRUE(world.run_until([&] { return !server.of(renewed).received.empty(); }));
  EXPECT_TRUE(server.is_up(renewed));
}

TEST_F(AnAssociation, APeerThatBeginsAnewWithMoreStreamsIsSentToOnThoseThatThereAre) {
  server.listen();
  PeerProcess first(server, 6307, {}, 2);
  ASSERT_TRUE(world.run_until([&] { return server.opened.size() == 1; }));
  EXPECT_EQ(server.of(server.newest()).up->streams_out, 2);
  first.vanish();
  PeerProcess second(server, 6307);
  ASSERT_TRUE(world.run_until([&] { return server.opened.size() == 2; }));
  const AssociationId renewed = server.newest();
  const std::uint16_t streams = server.of(renewed).up->streams_out;
  EXPECT_GE(streams, 2);
  for (int i = 0; i < streams; ++i) ASSERT_TRUE(server.send(renewed, "hello", i));
  ASSERT_TRUE(
      world.run_until([&] { return server.transport->status(renewed)->queued_messages == 0; }));
  EXPECT_TRUE(server.is_up(renewed));
}

TEST_F(AnAssociation, CongestionIsToldWhenAQueueFillsAndAgainWhenItHasDrained) {
  EndpointConfig small = Node::config("127.0.0.1", 0, false);
  small.limits.send_queue_bytes_max = 200'000;
  small.sctp.send_buffer_bytes = 100'000;
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.open(small), server);
  const std::string filler(1000, 'x');
  std::vector<std::string> sent;
  // In one turn, so that nothing is acknowledged meanwhile.
  while (client.send(ours, filler + std::to_string(sent.size()))) {
    sent.push_back(filler + std::to_string(sent.size()));
    ASSERT_LT(sent.size(), 1000u);
  }
  EXPECT_GT(sent.size(), 200u) << "what the stack took, and a queue of 200,000 bytes";
  EXPECT_GT(client.transport->status(ours)->queued_bytes, 190'000u);
  ASSERT_TRUE(world.run_until([&] { return server.of(theirs).received.size() == sent.size(); }));
  EXPECT_EQ(server.of(theirs).received, sent);
  ASSERT_TRUE(world.run_until([&] { return client.of(ours).congestion.size() == 2; }));
  EXPECT_THAT(client.of(ours).congestion, ElementsAre(true, false));
}

TEST_F(AnAssociation, AResidenceTimeIsCountedForWhatAnswersAMessage) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  server.on_message = [&](AssociationId id, const Message& message) {
    Message answer;
    answer.payload = message.payload;
    answer.caused_at = message.caused_at;
    EXPECT_EQ(server.send(id, std::move(answer)), SendOutcome::accepted);
  };
  EXPECT_EQ(server.transport->residence(theirs), nullptr);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.send(ours, "ping"));
  ASSERT_TRUE(world.run_until([&] { return client.of(ours).received.size() == 10; }));
  ASSERT_NE(server.transport->residence(theirs), nullptr);
  EXPECT_EQ(server.transport->residence(theirs)->count(), 10u);
}

TEST_F(AnAssociation, WhatCannotBeSentIsRefusedAndLeftWithTheCaller) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  Message message;
  message.stream = StreamId{16};  // of 16
  message.payload = Buffer::copy_of(as_bytes("here"));
  EXPECT_EQ(client.send(ours, std::move(message)), SendOutcome::refused);
  EXPECT_EQ(as_text(message.payload.bytes()), "here");
  EXPECT_FALSE(client.send(ours, ""));
}

}  // namespace
}  // namespace siglane::sctp_test
