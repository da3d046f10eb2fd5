// What a node may change of its endpoints, its policy and its peers while it runs.
#include <algorithm>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/peel_policy.h"
#include "transport/transport_facts.h"

namespace siglane::sctp_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// --- The policy -------------------------------------------------------------------------------

struct ReconfiguredPolicy : EagerServerTest {
  ReconfiguredPolicy() : EagerServerTest(eager()) {
    server.listen();
    std::tie(ours, theirs) = join();
  }
  std::pair<AssociationId, AssociationId> join() {
    return client.join(client.endpoint(), server, Placement::never_peeled);
  }
  static transport::PeeloffLimits limits(double messages_per_second_min, std::size_t peeled_max) {
    transport::PeeloffLimits limits = eager().peeloff;
    limits.messages_per_second_min = messages_per_second_min;
    limits.peeled_max = peeled_max;
    return limits;
  }
  bool is_peeled_when_loud() {
    server.on_message = [](AssociationId, const Message&) {};
    return talk_until(ours, [&] { return server.is_peeled(theirs); });
  }
  // Much longer than it takes with limits that choose it.
  bool is_never_peeled_when_loud() {
    server.on_message = [](AssociationId, const Message&) {};
    return !talk_until(
        ours, [&] { return server.is_peeled(theirs); }, 1500ms);
  }
  std::vector<std::string> starved() const {
    std::vector<std::string> why;
    for (const Fact& fact : server.facts_of(transport::kPeeloffStarved)) {
      why.push_back(std::string(field(fact, "why")));
    }
    return why;
  }

  AssociationId ours{}, theirs{};
};

TEST_F(ReconfiguredPolicy, ThatIsOffPeelsNobodyUntilItIsOnAgain) {
  server.reconfigure(limits(50, 0));
  EXPECT_TRUE(is_never_peeled_when_loud());
  server.reconfigure(limits(50, 8));
  EXPECT_TRUE(is_peeled_when_loud());
}

TEST_F(ReconfiguredPolicy, ThatIsSwitchedOffLeavesWhatIsPeeled) {
  ASSERT_TRUE(is_peeled_when_loud());
  server.on_message = nullptr;
  server.reconfigure(limits(50, 0));
  ASSERT_TRUE(client.send(ours, "last"));
  ASSERT_TRUE(world.run_until([&] {
    return !server.of(theirs).received.empty() && server.of(theirs).received.back() == "last";
  }));
  EXPECT_TRUE(server.is_peeled(theirs));
}

TEST_F(ReconfiguredPolicy, TakesAnotherRateForLoud) {
  server.reconfigure(limits(1e6, 8));
  EXPECT_TRUE(is_never_peeled_when_loud());
  server.reconfigure(limits(50, 8));
  EXPECT_TRUE(is_peeled_when_loud());
}

TEST_F(ReconfiguredPolicy, HasRoomForAPinAgainWhenPeeledMaxIsRaised) {
  server.reconfigure(limits(50, 0));
  server.bind(theirs, Placement::always_peeled);
  ASSERT_TRUE(world.run_until([&] { return !starved().empty(); }));
  EXPECT_THAT(starved(), ElementsAre(HasSubstr("peeled_max (0) is reached")));
  server.reconfigure(limits(50, 1));
  ASSERT_TRUE(world.run_until([&] { return server.is_peeled(theirs); }));
}

TEST_F(ReconfiguredPolicy, TellsAgainWhoIsStarvedByTheNewLimits) {
  const AssociationId other = join().second;
  server.reconfigure(limits(50, 0));
  server.bind(theirs, Placement::always_peeled);
  server.bind(other, Placement::always_peeled);
  ASSERT_TRUE(world.run_until([&] { return !starved().empty(); }));
  server.reconfigure(limits(50, 1));
  ASSERT_TRUE(world.run_until([&] { return starved().size() == 2; }));
  EXPECT_THAT(starved().back(), HasSubstr("peeled_max (1) is reached"));
  EXPECT_EQ(server.peeled_count(), 1u);
}

// --- A peer -----------------------------------------------------------------------------------

TEST_F(ReconfiguredPolicy, APinThatChangesPeelsAndNeverPutsBack) {
  server.bind(theirs, Placement::automatic);
  server.bind(theirs, Placement::always_peeled);
  EXPECT_FALSE(server.is_peeled(theirs)) << "peeled before bind() returned";
  ASSERT_TRUE(world.run_until([&] { return server.is_peeled(theirs); }, 5s));
  for (const Placement other :
       {Placement::automatic, Placement::never_peeled, Placement::always_peeled}) {
    server.bind(theirs, other);
    ASSERT_TRUE(client.send(ours, "still there"));
    server.on_message = nullptr;
    const std::size_t before = server.of(theirs).received.size();
    ASSERT_TRUE(world.run_until([&] { return server.of(theirs).received.size() > before; }));
    EXPECT_TRUE(server.is_peeled(theirs));
  }
  EXPECT_EQ(server.facts_of(transport::kAssociationPeeled).size(), 1u);
}

TEST_F(ReconfiguredPolicy, APinThatIsTakenBackInTheSameTurnPeelsNobody) {
  server.bind(theirs, Placement::always_peeled);
  server.bind(theirs, Placement::never_peeled);
  EXPECT_TRUE(is_never_peeled_when_loud());
}

TEST_F(ReconfiguredPolicy, AnAssociationIsPeeledWhenItsPeerMayBeAgain) {
  server.bind(theirs, Placement::never_peeled);
  EXPECT_TRUE(is_never_peeled_when_loud());
  server.bind(theirs, Placement::automatic);
  EXPECT_TRUE(is_peeled_when_loud());
}

// --- An endpoint ------------------------------------------------------------------------------

struct ReconfiguredEndpoint : ::testing::Test {
  ReconfiguredEndpoint() {
    listening = server.open(of_server);
    from = client.open(of_client);
  }
  void join() {
    std::tie(ours, theirs) = client.join(from, server);
    ASSERT_NE(theirs, AssociationId::none);
  }
  void reconfigure_server() { server.reconfigure(listening, of_server); }
  void reconfigure_client() { client.reconfigure(from, of_client); }
  bool received(AssociationId id, std::size_t count) {
    return world.run_until([&] { return server.of(id).received.size() >= count; });
  }

  World world;
  Node server{world}, client{world};
  EndpointConfig of_server = Node::config("127.0.0.1", 0, true);
  EndpointConfig of_client = Node::config("127.0.0.1", 0, false);
  EndpointId listening{}, from{};
  AssociationId ours{}, theirs{};
};

TEST_F(ReconfiguredEndpoint, LetsInAsManyAsItsAssociationsMaxIsNow) {
  join();
  of_server.associations_max = 1;
  reconfigure_server();
  const AssociationId refused = client.connect(client.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] { return !server.strangers.empty(); }));
  EXPECT_THAT(server.strangers.back(), HasSubstr("associations_max"));
  ASSERT_TRUE(world.run_until([&] { return client.is_down(refused); }));
  of_server.associations_max = 2;
  reconfigure_server();
  const auto [again, let_in] = client.join(client.endpoint(), server);
  of_server.associations_max = 0;
  reconfigure_server();
  ASSERT_TRUE(client.send(ours, "here"));
  ASSERT_TRUE(client.send(again, "too"));
  EXPECT_TRUE(received(theirs, 1));
  EXPECT_TRUE(received(let_in, 1));
}

TEST_F(ReconfiguredEndpoint, LimitsTheMessagesOfAssociationsThatExist) {
  of_server.limits.message_bytes_max = 1000;
  reconfigure_server();
  join();
  of_server.limits.message_bytes_max = 200'000;
  reconfigure_server();
  ASSERT_TRUE(client.send(ours, std::string(150'000, 'x')));
  ASSERT_TRUE(received(theirs, 1));
  of_server.limits.message_bytes_max = 2000;
  reconfigure_server();
  ASSERT_TRUE(client.send(ours, std::string(5000, 'x')));
  ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); }));
  EXPECT_EQ(server.down_cause(theirs), DownCause::protocol_error);
  EXPECT_THAT(server.of(theirs).down->detail, HasSubstr("message_bytes_max (2000)"));
}

TEST_F(ReconfiguredEndpoint, LimitsTheQueuesOfAssociationsThatExist) {
  join();
  ASSERT_TRUE(client.peel(ours));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.send(ours, std::to_string(i)));
  of_client.limits.send_queue_messages_max = 3;
  reconfigure_client();
  EXPECT_FALSE(client.send(ours, "one too many"));
  ASSERT_TRUE(received(theirs, 3));
  EXPECT_THAT(server.of(theirs).received, ElementsAre("0", "1", "2"));
  EXPECT_TRUE(client.send(ours, "fits again"));
  EXPECT_TRUE(received(theirs, 4));
}

TEST_F(ReconfiguredEndpoint, AgreesOnOtherStreamsWithThoseToCome) {
  join();
  of_client.sctp.streams_out = 5;
  of_client.sctp.streams_in_max = 6;
  reconfigure_client();
  Node other(world);
  other.listen();
  const auto [connected, accepted] = client.join(from, other);
  EXPECT_EQ(client.of(connected).up->streams_out, 5);
  EXPECT_EQ(other.of(accepted).up->streams_out, 6);
  of_server.sctp.streams_in_max = 3;
  reconfigure_server();
  const AssociationId late = client.join(client.endpoint(), server).first;
  EXPECT_EQ(client.of(late).up->streams_out, 3) << "who connects to it gets them, too";
  EXPECT_TRUE(client.send(ours, "on its last stream", 15)) << "they were agreed on before";
  EXPECT_TRUE(received(theirs, 1));
}

TEST_F(ReconfiguredEndpoint, GivesNewPatienceToThoseThatItAcceptsFromThenOn) {
  join();
  of_server.sctp.rto_initial = of_server.sctp.rto_min = 50ms;
  of_server.sctp.rto_max = 100ms;
  of_server.sctp.association_retransmissions_max = of_server.sctp.path_retransmissions_max = 2;
  reconfigure_server();
  const AssociationId late = client.join(client.endpoint(), server).second;
  DeadNetwork dead;
  ASSERT_TRUE(server.send(theirs, "not yet"));
  ASSERT_TRUE(server.send(late, "lost"));
  ASSERT_TRUE(world.run_until([&] { return server.is_down(late); }));
  EXPECT_EQ(server.down_cause(late), DownCause::lost);
  EXPECT_TRUE(server.is_up(theirs));
}

TEST_F(ReconfiguredEndpoint, TellsWhichOptionItsStackDoesNotTake) {
  of_server.sctp.rto_min = 3s;
  of_server.sctp.rto_max = 1s;
  reconfigure_server();
  std::vector<std::string> warnings;
  ASSERT_TRUE(world.run_until([&] {
    for (const Fact& fact : server.facts_of(kNotice)) {
      if (fact.severity == Severity::warning) warnings.emplace_back(field(fact, "text"));
    }
    return !warnings.empty();
  }));
  EXPECT_THAT(warnings, ElementsAre("endpoint test: not all of its new SCTP options could be set: "
                                    "SCTP_RTOINFO: Invalid argument"));
  join();
}

TEST_F(ReconfiguredEndpoint, TriesWhatCouldNotBeSetAgainEachTime) {
  const SctpOptions before = of_server.sctp;
  const auto warnings = [&] {
    const auto told = server.facts_of(kNotice);
    return std::ranges::count_if(
        told, [](const Fact& fact) { return fact.severity == Severity::warning; });
  };
  of_server.sctp.rto_min = 3s;
  of_server.sctp.rto_max = 1s;
  of_server.sctp.streams_in_max = 3;
  for (int reloads = 1; reloads <= 3; ++reloads) {
    reconfigure_server();
    ASSERT_TRUE(world.run_until([&] { return warnings() >= reloads; })) << reloads;
  }
  // What could be set is not left as it is, either.
  of_server.sctp = before;
  reconfigure_server();
  join();
  EXPECT_EQ(client.of(ours).up->streams_out, 16);
  reconfigure_server();
  world.run_for(50ms);
  EXPECT_EQ(warnings(), 3);
}

TEST_F(ReconfiguredEndpoint, SendsNoMessageThatItsNewBufferCannotHold) {
  of_server.limits.message_bytes_max = 1'000'000;
  reconfigure_server();
  join();
  const std::string large(300'000, 'l');
  of_client.sctp.send_buffer_bytes = 100'000;
  reconfigure_client();
  EXPECT_FALSE(client.send(ours, large)) << "it could never leave";
  of_client.sctp.send_buffer_bytes = 1'000'000;
  of_client.limits.send_queue_bytes_max = 2'000'000;
  reconfigure_client();
  ASSERT_TRUE(client.send(ours, large));
  ASSERT_TRUE(client.send(ours, "and more"));
  ASSERT_TRUE(received(theirs, 2));
  EXPECT_EQ(server.of(theirs).received.front(), large);
}

TEST_F(ReconfiguredEndpoint, LeavesTheBuffersOfWhatIsPeeled) {
  of_server.limits.message_bytes_max = 1'000'000;
  reconfigure_server();
  join();
  ASSERT_TRUE(client.peel(ours));
  of_client.sctp.send_buffer_bytes = 100'000;
  reconfigure_client();
  ASSERT_TRUE(client.send(ours, std::string(300'000, 'l')));
  ASSERT_TRUE(received(theirs, 1));
}

TEST_F(ReconfiguredEndpoint, KnowsWhomItHasConnectedAfterwardsToo) {
  join();
  ASSERT_TRUE(client.peel(ours));
  of_client.limits.message_bytes_max = 1000;
  reconfigure_client();
  const AssociationId twice = client.connect(from, server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(twice); }));
  EXPECT_EQ(client.down_cause(twice), DownCause::already_connected);
  EXPECT_TRUE(client.is_up(ours));
}

TEST_F(ReconfiguredEndpoint, IsLeftAloneIfItIsNotOpenHere) {
  of_server.associations_max = 0;
  server.reconfigure(next_endpoint_id(), of_server);
  join();
  EXPECT_THAT(server.strangers, IsEmpty());
}

}  // namespace
}  // namespace siglane::sctp_test
