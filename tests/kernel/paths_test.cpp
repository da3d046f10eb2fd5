// Several paths to a peer: what becomes of traffic when one of them fails.
#include <array>
#include <charconv>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernel/harness.h"
#include "tests/kernel/two_hosts.h"

namespace siglane::kernel_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr int kStreams = 4;
constexpr std::uint32_t kUnderWay = 64;  // in each direction

// One direction: numbered messages on four streams, and whether they come once and in order.
class Flow {
 public:
  Flow(Node& from, AssociationId sender, Node& to, AssociationId receiver)
      : from_(from), sender_(sender), receiver_(receiver), to_(to) {}

  void keep_going() {
    while (sending && sent - received < kUnderWay) {
      const int stream = static_cast<int>(sent % kStreams);
      // Some of them are longer than a packet.
      const std::size_t size = sent % 7 == 0 ? 3000 : 20 + sent % 200;
      std::string text = std::to_string(next_[static_cast<std::size_t>(stream)]++) + " ";
      if (text.size() < size) text.resize(size, '.');
      ASSERT_TRUE(from_.send(sender_, text, stream));
      ++sent;
    }
  }
  void take(AssociationId id, const Message& message) {
    EXPECT_EQ(id, receiver_);
    const std::string_view text = as_text(message.payload.bytes());
    std::uint32_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    EXPECT_EQ(number, expected_[static_cast<std::size_t>(message.stream)]++);
    ++received;
  }
  bool all_there() const { return received == sent; }
  Node& receiver() { return to_; }

  bool sending = true;
  std::uint32_t sent = 0, received = 0;

 private:
  Node& from_;
  AssociationId sender_, receiver_;
  Node& to_;
  std::array<std::uint32_t, kStreams> next_{}, expected_{};
};

// Fails over quickly, and yet bears with an emulated machine.
SctpOptions quick() {
  SctpOptions options;
  options.rto_initial = options.rto_min = 150ms;
  options.rto_max = 600ms;
  options.heartbeat_interval = 300ms;
  options.path_retransmissions_max = 3;
  options.association_retransmissions_max = 6;
  options.sack_delay = 20ms;
  return options;
}

const std::vector<Link> kIpv4{{"192.0.2.1/30", "192.0.2.2/30"},
                              {"198.51.100.1/30", "198.51.100.2/30"}};
const std::vector<Link> kIpv6{{"2001:db8:1::1/64", "2001:db8:1::2/64"},
                              {"2001:db8:2::1/64", "2001:db8:2::2/64"}};
const std::vector<Link> kIpv4First{kIpv4[0], kIpv6[1]};
const std::vector<Link> kIpv6First{kIpv6[0], kIpv4[1]};

// The client is on the left, and connects to all of the server's addresses.
struct Association {
  explicit Association(const std::vector<Link>& links, PeerConfig of_server = {},
                       std::optional<std::size_t> dead = {}, SctpOptions sctp = quick())
      : hosts(links), options(sctp) {
    if (dead) hosts.cut(*dead);
    peer = std::move(of_server);
    peer.name = "server";
    peer.addresses = hosts.addresses(Side::right);
    open(server, Side::right, true);
    peer.port = server.port;
    const EndpointId from = open(client, Side::left, false);
    ours = client.connect(from, peer);
    EXPECT_TRUE(world.run_until([&] { return client.is_up(ours) && !server.opened.empty(); }));
    if (!server.opened.empty()) theirs = server.newest();
  }

  EndpointId open(Node& node, Side side, bool listening) {
    EndpointConfig config = Node::config("", 0, listening);
    config.addresses = hosts.addresses(side);
    config.sctp = options;
    const auto here = hosts.inside(side);
    return node.open(config);
  }

  // Both ends. (A peel is made in the socket's own network namespace.)
  void peel() {
    const auto peel_at = [this](Side side, Node& node, AssociationId id) {
      const auto here = hosts.inside(side);
      ASSERT_TRUE(node.peel(id));
    };
    peel_at(Side::left, client, ours);
    peel_at(Side::right, server, theirs);
  }

  // Both directions at once.
  void start_talking() {
    up.emplace(client, ours, server, theirs);
    down.emplace(server, theirs, client, ours);
    server.on_message = [this](AssociationId id, const Message& m) { up->take(id, m); };
    client.on_message = [this](AssociationId id, const Message& m) { down->take(id, m); };
  }
  bool talk_until(const std::function<bool()>& done, Duration limit = 30s) {
    return world.run_until(
        [&] {
          up->keep_going();
          down->keep_going();
          return done();
        },
        limit);
  }
  // `count` more messages arrive in each direction.
  bool talk_on(std::uint32_t count) {
    const std::uint32_t up_goal = up->received + count, down_goal = down->received + count;
    return talk_until([&] { return up->received >= up_goal && down->received >= down_goal; });
  }
  bool finish_talking() {
    up->sending = down->sending = false;
    return world.run_until([&] { return up->all_there() && down->all_there(); });
  }

  bool told(Node& node, AssociationId id, const std::string& address, PathState state) {
    const auto& paths = node.of(id).paths;
    return std::find(paths.begin(), paths.end(), std::pair(address, state)) != paths.end();
  }
  // Both ends have said it of link `n`.
  bool both_told(std::size_t n, PathState state) {
    return told(client, ours, hosts.addresses(Side::right)[n], state) &&
           told(server, theirs, hosts.addresses(Side::left)[n], state);
  }

  TwoHosts hosts;
  SctpOptions options;
  World world;
  Node server{world}, client{world};
  PeerConfig peer;
  AssociationId ours{}, theirs{};
  std::optional<Flow> up, down;
};

struct Case {
  std::string name;
  std::vector<Link> links;
  bool peeled;
  std::string slow = {};  // netem on what both send by the second link
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

class Paths : public ::testing::TestWithParam<Case> {};

TEST_P(Paths, OneThatIsCutUnderLoadLosesNothingAndIsUsedAgainWhenItIsBack) {
  Association association(GetParam().links);
  ASSERT_NE(association.theirs, AssociationId::none);
  EXPECT_THAT(association.client.of(association.ours).up->remote_addresses,
              ElementsAreArray(association.hosts.addresses(Side::right)));
  if (GetParam().peeled) association.peel();
  if (!GetParam().slow.empty()) {
    association.hosts.disturb(Side::left, 1, GetParam().slow);
    association.hosts.disturb(Side::right, 1, GetParam().slow);
  }
  association.start_talking();
  ASSERT_TRUE(association.talk_on(200));
  EXPECT_THAT(association.client.of(association.ours).paths, ElementsAre());

  association.hosts.cut(0);
  ASSERT_TRUE(association.talk_on(200)) << "traffic goes on by the other path";
  EXPECT_TRUE(association.talk_until(
      [&] { return association.both_told(0, PathState::potentially_failed); }));
  EXPECT_TRUE(
      association.talk_until([&] { return association.both_told(0, PathState::unreachable); }));

  association.hosts.mend(0);
  ASSERT_TRUE(
      association.talk_until([&] { return association.both_told(0, PathState::reachable); }));
  const std::uint64_t before = association.hosts.sent_by(Side::left, 0);
  ASSERT_TRUE(association.talk_on(200));
  EXPECT_GT(association.hosts.sent_by(Side::left, 0), before + 20'000) << "it is the primary path";
  ASSERT_TRUE(association.finish_talking());
  EXPECT_TRUE(association.client.is_up(association.ours));
  EXPECT_TRUE(association.server.is_up(association.theirs));
  EXPECT_EQ(association.client.is_peeled(association.ours), GetParam().peeled);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Paths,
                         ::testing::Values(Case{"Ipv4", kIpv4, false},
                                           Case{"Ipv4Peeled", kIpv4, true},
                                           Case{"Ipv4SlowAlternative", kIpv4, false, "delay 40ms"},
                                           Case{"Ipv6", kIpv6, false},
                                           Case{"Ipv6Peeled", kIpv6, true},
                                           Case{"Ipv4BesideIpv6", kIpv4First, false},
                                           Case{"Ipv6BesideIpv4Peeled", kIpv6First, true}),
                         [](const auto& info) { return info.param.name; });

TEST(TwoPaths, ALinkThatGoesDownUnderLoadLosesNothing) {
  Association association(kIpv4);
  association.start_talking();
  ASSERT_TRUE(association.talk_on(100));
  association.hosts.set_up(0, false);
  ASSERT_TRUE(association.talk_on(200));
  association.hosts.set_up(0, true);
  ASSERT_TRUE(association.talk_on(200));
  ASSERT_TRUE(association.finish_talking());
  EXPECT_TRUE(association.client.is_up(association.ours));
}

TEST(TwoPaths, OneThatIsCutInOneDirectionOnlyIsLeftToo) {
  Association association(kIpv4);
  association.start_talking();
  ASSERT_TRUE(association.talk_on(100));
  association.hosts.disturb(Side::left, 0, "loss 100%");
  ASSERT_TRUE(association.talk_on(200));
  EXPECT_TRUE(association.talk_until([&] {
    return association.told(association.client, association.ours, "192.0.2.2",
                            PathState::unreachable);
  }));
  association.hosts.disturb(Side::left, 0, "");
  EXPECT_TRUE(association.talk_until([&] {
    return association.told(association.client, association.ours, "192.0.2.2",
                            PathState::reachable);
  }));
  ASSERT_TRUE(association.finish_talking());
}

TEST(TwoPaths, ManyLostPacketsOnBothLoseNoMessage) {
  Association association(kIpv4);
  association.start_talking();
  for (const std::size_t n : {0, 1}) {
    for (const Side side : {Side::left, Side::right}) association.hosts.disturb(side, n, "loss 5%");
  }
  ASSERT_TRUE(association.talk_on(300));
  ASSERT_TRUE(association.finish_talking());
}

TEST(TwoPaths, WhenAllAreCutThePeerIsLostAndWhatWasUnderWayIsReturned) {
  Association association(kIpv4);
  association.hosts.cut(0);
  association.hosts.cut(1);
  ASSERT_TRUE(association.client.send(association.ours, "into the dark"));
  ASSERT_TRUE(
      association.world.run_until([&] { return association.client.is_down(association.ours); }));
  EXPECT_EQ(association.client.down_cause(association.ours), DownCause::lost);
  EXPECT_THAT(association.client.of(association.ours).unsent, ElementsAre("into the dark"));
}

// From a cut of the primary path on, until 400 more messages went either way.
Duration stalled(std::uint16_t potentially_failed_retransmissions_max) {
  SctpOptions options;
  options.potentially_failed_retransmissions_max = potentially_failed_retransmissions_max;
  Association association(kIpv4, {}, {}, options);
  association.world.run_for(1500ms);  // the other path is confirmed by a heartbeat, after an RTO
  association.start_talking();
  EXPECT_TRUE(association.talk_on(100));
  association.hosts.cut(0);
  const Instant cut = transport::Loop::fresh_now();
  EXPECT_TRUE(association.talk_on(400));
  const Duration took = transport::Loop::fresh_now() - cut;
  EXPECT_TRUE(association.finish_talking());
  return took;
}

TEST(TwoPaths, ByDefaultTrafficLeavesOneAtTheFirstLossNotWhenItIsUnreachable) {
  EXPECT_LT(2 * stalled(SctpOptions{}.potentially_failed_retransmissions_max), stalled(100));
}

TEST(TwoPaths, AnIdleOneThatFailsIsNoticedByHeartbeats) {
  Association association(kIpv4);
  // Its address is not confirmed before a first heartbeat was answered, and is not missed earlier.
  association.world.run_for(1500ms);
  association.hosts.cut(1);
  EXPECT_TRUE(association.world.run_until(
      [&] { return association.both_told(1, PathState::unreachable); }));
  association.hosts.mend(1);
  EXPECT_TRUE(
      association.world.run_until([&] { return association.both_told(1, PathState::reachable); }));
  EXPECT_THAT(association.client.of(association.ours).paths,
              Contains(std::pair(std::string("198.51.100.2"), PathState::potentially_failed)));
}

TEST(TwoPaths, OneThatNeverWorkedIsToldToo) {
  Association association(kIpv4, {}, 1);
  EXPECT_TRUE(association.world.run_until(
      [&] { return association.both_told(1, PathState::unreachable); }));
  association.hosts.mend(1);
  EXPECT_TRUE(
      association.world.run_until([&] { return association.both_told(1, PathState::reachable); }));
}

TEST(TwoPaths, AConnectWhosePrimaryPathIsDeadGoesByTheOther) {
  Association association(kIpv4, {}, 0);
  ASSERT_NE(association.theirs, AssociationId::none);
  association.start_talking();
  ASSERT_TRUE(association.talk_on(50));
  ASSERT_TRUE(association.finish_talking());
}

// Bytes that each side sends by the links while 200 messages go either way.
struct Spread {
  std::array<std::uint64_t, 2> left, right;
};
Spread spread_of(Association& association) {
  const auto now = [&](Side side) {
    return std::array{association.hosts.sent_by(side, 0), association.hosts.sent_by(side, 1)};
  };
  const Spread before{now(Side::left), now(Side::right)};
  EXPECT_TRUE(association.talk_on(200));
  Spread after{now(Side::left), now(Side::right)};
  for (const std::size_t n : {0, 1}) {
    after.left[n] -= before.left[n];
    after.right[n] -= before.right[n];
  }
  return after;
}

TEST(PrimaryPath, TrafficTakesTheOneOfTheConfigAndStaysThereAfterAPeel) {
  PeerConfig server;
  server.primary_address = "198.51.100.2";
  Association association(kIpv4, server);
  EXPECT_EQ(association.client.of(association.ours).up->remote_addresses.front(), "198.51.100.2");
  // Who accepts chooses for itself, when it knows who it is.
  PeerConfig client;
  client.name = "client";
  client.primary_address = "192.0.2.1";
  association.server.transport->bind(association.theirs, client);
  association.client.transport->bind(association.ours, association.peer);
  association.start_talking();
  // Only a path that was confirmed, by a heartbeat, is used.
  ASSERT_TRUE(
      association.talk_until([&] { return association.hosts.sent_by(Side::right, 0) > 50'000; }));
  for (const bool peeled : {false, true}) {
    if (peeled) association.peel();
    const Spread spread = spread_of(association);
    EXPECT_GT(spread.left[1], 2 * spread.left[0]) << (peeled ? "peeled" : "shared");
    EXPECT_GT(spread.right[0], 2 * spread.right[1]) << (peeled ? "peeled" : "shared");
  }
  ASSERT_TRUE(association.finish_talking());
  for (const Fact& notice : association.server.facts_of(kNotice)) {
    ADD_FAILURE() << field(notice, "text");
  }
}

TEST(PrimaryPath, TrafficFollowsTheConfigWhenThatChanges) {
  PeerConfig server;
  server.primary_address = "198.51.100.2";
  Association association(kIpv4, server);
  association.start_talking();
  for (const bool peeled : {false, true}) {
    if (peeled) association.peel();
    for (const std::size_t link : {0, 1}) {
      const char* primary = link == 0 ? "192.0.2.2" : "198.51.100.2";
      association.peer.primary_address = primary;
      association.client.transport->bind(association.ours, association.peer);
      const std::uint64_t before = association.hosts.sent_by(Side::left, link);
      ASSERT_TRUE(association.talk_until(
          [&] { return association.hosts.sent_by(Side::left, link) > before + 50'000; }));
      const Spread spread = spread_of(association);
      EXPECT_GT(spread.left[link], 2 * spread.left[1 - link]) << primary;
    }
  }
  ASSERT_TRUE(association.finish_talking());
}

TEST(PrimaryPath, OneThatThePeerDoesNotHaveIsAWarning) {
  Association association(kIpv4);
  PeerConfig client;
  client.name = "client";
  client.primary_address = "203.0.113.9";
  association.server.transport->bind(association.theirs, client);
  ASSERT_TRUE(
      association.world.run_until([&] { return !association.server.facts_of(kNotice).empty(); }));
  const Fact notice = association.server.facts_of(kNotice).front();
  EXPECT_THAT(field(notice, "text"), HasSubstr("client"));
  EXPECT_THAT(field(notice, "text"), HasSubstr("203.0.113.9"));
  EXPECT_EQ(notice.severity, Severity::warning);
}

}  // namespace
}  // namespace siglane::kernel_test
