// Who is peeled off without being asked for, why, and who is not.
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/kernel/harness.h"

namespace siglane::kernel_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A peer is loud from 50 messages a second on, for half a second.
transport::SctpTransportOptions eager() {
  transport::SctpTransportOptions options;
  options.sample_interval = 250ms;
  options.peeloff.messages_per_second_min = 50;
  options.peeloff.bytes_per_second_min = 0;
  options.peeloff.sustained_min = 500ms;
  options.peeloff.age_min = 100ms;
  return options;
}

struct PeelPolicy : ::testing::Test {
  World world;
  Node server{world, eager()}, client{world};

  // Keeps `loud` talking until `done`.
  bool talk_until(AssociationId loud, const std::function<bool()>& done, Duration limit = 20s) {
    return world.run_until(
        [&] {
          if (client.is_up(loud) && client.transport->status(loud)->queued_messages == 0) {
            for (int i = 0; i < 10; ++i) client.send(loud, "chatter");
          }
          return done();
        },
        limit);
  }
  bool was_peeled(AssociationId id, PeeloffReason reason) const {
    for (const auto& [about, fact] : server.facts) {
      const auto* peeled = std::get_if<fact::AssociationPeeled>(&fact);
      if (about == id && peeled != nullptr) return peeled->reason == reason;
    }
    return false;
  }
};

// Lowers RLIMIT_NOFILE as long as it lives.
class LoweredLimit {
 public:
  explicit LoweredLimit(rlim_t descriptors) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{descriptors, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~LoweredLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(PeelPolicy, ALoudPeerIsPeeledOffAndQuietOnesAreLeft) {
  server.on_message = [](AssociationId, const Message&) {};
  server.listen();
  AssociationId loud{}, at_loud{};
  std::tie(loud, at_loud) = client.join(client.endpoint(), server);
  std::vector<AssociationId> quiet;
  for (int i = 0; i < 5; ++i) quiet.push_back(client.join(client.endpoint(), server).second);
  ASSERT_TRUE(talk_until(loud, [&] { return server.is_peeled(at_loud); }));
  EXPECT_TRUE(was_peeled(at_loud, PeeloffReason::message_rate));
  const auto fact = server.facts_of<fact::AssociationPeeled>().at(0);
  EXPECT_GE(fact.messages_per_second, 50);
  EXPECT_EQ(fact.peeled_now, 1u);
  const auto status = server.transport->status(at_loud);
  EXPECT_EQ(status->reason, PeeloffReason::message_rate);
  EXPECT_GE(status->peeled_at_messages_per_second, 50);
  EXPECT_NE(status->peeled_at, Instant{});
  EXPECT_EQ(server.counters.get(Counter::peels), 1u);
  for (AssociationId id : quiet) EXPECT_FALSE(server.is_peeled(id));
}

TEST_F(PeelPolicy, APinAlwaysIsPeeledAsSoonAsItIsKnown) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  EXPECT_FALSE(server.is_peeled(theirs));
  PeerConfig pinned;
  pinned.placement = Placement::always_peeled;
  server.transport->bind(theirs, pinned);
  EXPECT_FALSE(server.is_peeled(theirs)) << "peeled before bind() returned";
  ASSERT_TRUE(world.run_until([&] { return server.is_peeled(theirs); }));
  EXPECT_TRUE(was_peeled(theirs, PeeloffReason::pinned));
}

TEST_F(PeelPolicy, APeerThatWeConnectToAndPinAlwaysIsPeeledRightAfterUp) {
  client.listen();
  const AssociationId id = server.connect(server.endpoint(), client, Placement::always_peeled);
  ASSERT_TRUE(world.run_until([&] { return server.is_peeled(id); }));
  ASSERT_TRUE(server.send(id, "hello"));
  ASSERT_TRUE(world.run_until(
      [&] { return !client.opened.empty() && !client.of(client.newest()).received.empty(); }));
}

TEST_F(PeelPolicy, APinNeverStaysHoweverLoudItIs) {
  server.on_message = [](AssociationId, const Message&) {};
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  AssociationId other{}, at_other{};
  std::tie(other, at_other) = client.join(client.endpoint(), server);
  PeerConfig pinned;
  pinned.placement = Placement::never_peeled;
  server.transport->bind(theirs, pinned);
  // Both are loud; when the other one is peeled, this one had its chance.
  ASSERT_TRUE(talk_until(ours, [&] {
    if (client.transport->status(other)->queued_messages == 0) {
      for (int i = 0; i < 5; ++i) client.send(other, "chatter");
    }
    return server.is_peeled(at_other);
  }));
  EXPECT_FALSE(server.is_peeled(theirs));
}

TEST_F(PeelPolicy, NearTheLimitOfDescriptorsNothingIsPeeledAndNoAssociationIsLost) {
  server.on_message = [](AssociationId, const Message&) {};
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  {
    LoweredLimit limit(24);  // under the 32 that are kept free
    ASSERT_TRUE(talk_until(ours, [&] { return !server.facts_of<fact::PeeloffStarved>().empty(); }));
    EXPECT_THAT(server.facts_of<fact::PeeloffStarved>().at(0).why, HasSubstr("RLIMIT_NOFILE"));
    EXPECT_FALSE(server.is_peeled(theirs));
    EXPECT_TRUE(server.is_up(theirs));
    EXPECT_GE(server.counters.get(Counter::peels_starved), 1u);
    EXPECT_TRUE(std::holds_alternative<Starved>(server.transport->detach(theirs)));
    ASSERT_TRUE(server.send(theirs, "still here"));
    ASSERT_TRUE(talk_until(ours, [&] { return !client.of(ours).received.empty(); }));
  }
  // Said once, however often it was tried; and once there is room, it goes.
  EXPECT_EQ(server.facts_of<fact::PeeloffStarved>().size(), 1u);
  ASSERT_TRUE(talk_until(ours, [&] { return server.is_peeled(theirs); }));
}

TEST_F(PeelPolicy, TheCapOnPeeledSocketsHolds) {
  auto options = eager();
  options.peeloff.peeled_max = 1;
  Node capped(world, options);
  capped.listen();
  AssociationId first{}, at_first{};
  std::tie(first, at_first) = client.join(client.endpoint(), capped);
  AssociationId second{}, at_second{};
  std::tie(second, at_second) = client.join(client.endpoint(), capped);
  PeerConfig pinned;
  pinned.placement = Placement::always_peeled;
  capped.transport->bind(at_first, pinned);
  capped.transport->bind(at_second, pinned);
  ASSERT_TRUE(world.run_until([&] { return !capped.facts_of<fact::PeeloffStarved>().empty(); }));
  EXPECT_TRUE(capped.is_peeled(at_first));
  EXPECT_FALSE(capped.is_peeled(at_second));
  EXPECT_TRUE(capped.is_up(at_second));
  // Its socket comes free when the first one goes.
  client.close(first, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return capped.is_peeled(at_second); }));
}

TEST_F(PeelPolicy, AmongPeersThatClogTheSendBufferTheOneThatHoldsMostIsPeeledOff) {
  // Peers that stop reading; each may hold an eighth of the server's buffer, and eight do.
  World elsewhere;
  Node sleepers(elsewhere);
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sctp.send_buffer_bytes = 128 * 1024;
  server.open(config);
  EndpointConfig small = Node::config("127.0.0.1", 0, false);
  small.sctp.receive_buffer_bytes = 16 * 1024;
  for (std::size_t i = 1; i <= 8; ++i) {
    sleepers.connect(sleepers.open(small), server);
    ASSERT_TRUE(world.run_until([&] {
      elsewhere.loop().run_once(false);
      return server.opened.size() == i && sleepers.opened.size() == i;
    }));
  }
  for (AssociationId id : server.opened) {
    while (server.transport->status(id)->queued_messages < 100) {
      ASSERT_TRUE(server.send(id, std::string(1000, 'c')));
    }
  }
  ASSERT_TRUE(world.run_until([&] { return server.transport->peeled_count() > 0; }));
  EXPECT_EQ(server.facts_of<fact::AssociationPeeled>().at(0).reason, PeeloffReason::clogged);
  EXPECT_GT(server.facts_of<fact::AssociationPeeled>().at(0).bytes_held, 0u);
}

TEST_F(PeelPolicy, AnOvercommittedReceiveBufferDeliversEverythingAllTheSame) {
  // Six senders of large messages, and a receiver whose buffer takes half a window of two of them,
  // asleep until it is full: the pieces that would complete a message are dropped.
  World elsewhere;
  Node senders(elsewhere);
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sctp.receive_buffer_bytes = 100 * 1024;
  server.open(config);
  std::size_t got = 0;
  server.on_message = [&](AssociationId, const Message&) { ++got; };
  std::vector<AssociationId> ids;
  for (std::size_t i = 1; i <= 6; ++i) {
    ids.push_back(senders.connect(senders.endpoint(), server));
    ASSERT_TRUE(world.run_until([&] {
      elsewhere.loop().run_once(false);
      return server.opened.size() == i && senders.is_up(ids.back());
    }));
  }
  constexpr std::size_t kEach = 40;
  for (AssociationId id : ids) {
    for (std::size_t i = 0; i < kEach; ++i) ASSERT_TRUE(senders.send(id, std::string(20000, 'w')));
  }
  elsewhere.run_for(300ms);  // the buffer fills
  ASSERT_TRUE(world.run_until(
      [&] {
        elsewhere.loop().run_once(false);
        return got == ids.size() * kEach;
      },
      60s))
      << got << " of " << ids.size() * kEach << ", stalls "
      << server.counters.get(Counter::receive_stalls);
  for (AssociationId id : server.opened) EXPECT_TRUE(server.is_up(id));
}

TEST_F(PeelPolicy, APeeledPeerThatComesBackBeginsOnTheSharedSocketAgain) {
  server.on_message = [](AssociationId, const Message&) {};
  server.listen();
  const EndpointId from = client.endpoint();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(from, server);
  ASSERT_TRUE(talk_until(ours, [&] { return server.is_peeled(theirs); }));
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours) && server.is_down(theirs); }));
  AssociationId again{}, renewed{};
  std::tie(again, renewed) = client.join(from, server);
  EXPECT_FALSE(server.is_peeled(renewed));
}

}  // namespace
}  // namespace siglane::kernel_test
