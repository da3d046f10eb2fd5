// Who is peeled off without being asked for, why, and who is not.
#include "tests/support/peel_policy.h"

#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "transport/counters.h"
#include "transport/transport_facts.h"

namespace siglane::sctp_test {
namespace {

struct PeelPolicy : EagerServerTest {
  PeelPolicy() : EagerServerTest(eager()) {}

  // The client's ends stay where they are.
  std::pair<AssociationId, AssociationId> join() { return join(client.endpoint(), server); }
  std::pair<AssociationId, AssociationId> join(EndpointId from, Node& to) {
    return client.join(from, to, Placement::never_peeled);
  }

  bool was_peeled(AssociationId id, PeeloffReason reason) const {
    for (const auto& [about, fact] : server.facts) {
      if (about == id && is(fact, transport::kAssociationPeeled)) {
        return field(fact, "reason") == name_of(reason);
      }
    }
    return false;
  }
};

TEST_F(PeelPolicy, ALoudPeerIsPeeledOffAndQuietOnesAreLeft) {
  server.on_message = [](AssociationId, const Message&) {};
  server.listen();
  AssociationId loud{}, at_loud{};
  std::tie(loud, at_loud) = join();
  std::vector<AssociationId> quiet;
  for (int i = 0; i < 5; ++i) quiet.push_back(join().second);
  ASSERT_TRUE(talk_until(loud, [&] { return server.is_peeled(at_loud); }));
  EXPECT_TRUE(was_peeled(at_loud, PeeloffReason::message_rate));
  const Fact fact = server.facts_of(transport::kAssociationPeeled).at(0);
  EXPECT_GE(std::stoi(field(fact, "messages_per_second")), 50);
  EXPECT_EQ(field(fact, "peeled_now"), "1");
  const auto status = server.transport->status(at_loud);
  EXPECT_EQ(status->reason, PeeloffReason::message_rate);
  EXPECT_GE(status->peeled_at_messages_per_second, 50);
  EXPECT_NE(status->peeled_at, Instant{});
  EXPECT_EQ(server.counters.get(transport::counter::peels), 1u);
  for (AssociationId id : quiet) EXPECT_FALSE(server.is_peeled(id));
}

TEST_F(PeelPolicy, APinAlwaysIsPeeledAsSoonAsItIsKnown) {
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = join();
  EXPECT_FALSE(server.is_peeled(theirs));
  server.bind(theirs, Placement::always_peeled);
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
  std::tie(ours, theirs) = join();
  AssociationId other{}, at_other{};
  std::tie(other, at_other) = join();
  server.bind(theirs, Placement::never_peeled);
  // Both are loud; when the other one is peeled, this one had its chance.
  ASSERT_TRUE(talk_until(ours, [&] {
    if (client.transport->status(other)->queued_messages == 0) {
      for (int i = 0; i < 5; ++i) client.send(other, "chatter");
    }
    return server.is_peeled(at_other);
  }));
  EXPECT_FALSE(server.is_peeled(theirs));
}

TEST_F(PeelPolicy, TheCapOnPeeledSocketsHolds) {
  auto options = eager();
  options.peeloff.peeled_max = 1;
  World small;
  Node capped(small, options), peers(small, options);
  capped.listen();
  const auto [first, at_first] = peers.join(peers.endpoint(), capped, Placement::never_peeled);
  const AssociationId at_second =
      peers.join(peers.endpoint(), capped, Placement::never_peeled).second;
  capped.bind(at_first, Placement::always_peeled);
  capped.bind(at_second, Placement::always_peeled);
  ASSERT_TRUE(
      small.run_until([&] { return !capped.facts_of(transport::kPeeloffStarved).empty(); }));
  EXPECT_EQ(field(capped.facts_of(transport::kPeeloffStarved).at(0), "why"),
            "peeled_max (1) is reached, and 1 more association qualifies for a socket of its own: "
            "raise peeled_max");
  EXPECT_TRUE(capped.is_peeled(at_first));
  EXPECT_FALSE(capped.is_peeled(at_second));
  EXPECT_TRUE(capped.is_up(at_second));
  // Its socket comes free when the first one goes.
  peers.close(first, CloseMode::graceful);
  ASSERT_TRUE(small.run_until([&, peeled = at_second] { return capped.is_peeled(peeled); }));
}

TEST_F(PeelPolicy, APeeledPeerThatComesBackBeginsOnTheSharedSocketAgain) {
  server.on_message = [](AssociationId, const Message&) {};
  server.listen();
  const EndpointId from = client.endpoint();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = join(from, server);
  ASSERT_TRUE(talk_until(ours, [&] { return server.is_peeled(theirs); }));
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours) && server.is_down(theirs); }));
  AssociationId again{}, renewed{};
  std::tie(again, renewed) = join(from, server);
  EXPECT_FALSE(server.is_peeled(renewed));
}

TEST(PeeledMax, CountsTheSocketsThatOtherTransportsHaveGiven) {
  transport::SctpTransportOptions options = eager();
  *options.peeled = options.peeloff.peeled_max;
  World world;
  Node server(world, options), client(world);
  server.listen();
  const AssociationId theirs = client.join(client.endpoint(), server).second;
  server.bind(theirs, Placement::always_peeled);
  ASSERT_TRUE(
      world.run_until([&] { return !server.facts_of(transport::kPeeloffStarved).empty(); }));
  EXPECT_FALSE(server.is_peeled(theirs));
  *options.peeled = 0;
  EXPECT_TRUE(world.run_until([&] { return server.is_peeled(theirs); }));
  EXPECT_EQ(*options.peeled, 1u);
}

}  // namespace
}  // namespace siglane::sctp_test
