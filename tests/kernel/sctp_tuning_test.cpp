// What a config has of its own for a peer, and what the kernel must be asked for.
#include <fstream>
#include <set>
#include <sstream>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/kernel/harness.h"
#include "transport/counters.h"
#include "transport/sctp/kernel/socket.h"
#include "transport/socket_option.h"
#include "transport/transport_set.h"

namespace siglane::kernel_test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ResultOf;

auto Text(const ::testing::Matcher<std::string>& matches) {
  return ResultOf([](const Fact& fact) { return field(fact, "text"); }, matches);
}

struct SctpTuning : ::testing::Test {
  World world;
  Node server{world}, client{world};

  AssociationId connect(EndpointId from, const PeerConfig& peer) {
    const AssociationId id = client.connect(from, peer);
    EXPECT_TRUE(world.run_until([&] { return client.is_up(id) || client.is_down(id); }));
    return id;
  }
  PeerConfig peer(std::string name = "peer") const {
    PeerConfig config;
    config.name = std::move(name);
    config.addresses = {server.address};
    config.port = server.port;
    return config;
  }
  // Gives up after two losses.
  static PeerConfig impatient(PeerConfig peer) {
    SctpPeerOptions& own = peer.sctp.emplace();
    own.rto_initial = own.rto_min = 50ms;
    own.rto_max = 100ms;
    own.sack_delay = 20ms;
    own.association_retransmissions_max = own.path_retransmissions_max = 2;
    return peer;
  }
};

// As long as it lives, this process may not exceed what the sysctls allow.
class WithoutNetAdmin {
 public:
  WithoutNetAdmin() {
    EXPECT_EQ(syscall(SYS_capget, &header_, before_), 0);
    __user_cap_data_struct fewer[2] = {before_[0], before_[1]};
    fewer[0].effective &= ~(1u << CAP_NET_ADMIN);
    EXPECT_EQ(syscall(SYS_capset, &header_, fewer), 0);
  }
  ~WithoutNetAdmin() { EXPECT_EQ(syscall(SYS_capset, &header_, before_), 0); }
  WithoutNetAdmin(const WithoutNetAdmin&) = delete;
  WithoutNetAdmin& operator=(const WithoutNetAdmin&) = delete;

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2] = {};
};

TEST_F(SctpTuning, APeersStreamsAreAskedOfItAndOfNobodyElse) {
  server.listen();
  const EndpointId from = client.endpoint();
  PeerConfig own = peer();
  own.sctp.emplace().streams_out = 5;
  const AssociationId first = connect(from, own);
  EXPECT_EQ(client.of(first).up->streams_out, 5);
  client.close(first, CloseMode::graceful);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(first); }));
  const AssociationId second = connect(from, peer());
  EXPECT_EQ(client.of(second).up->streams_out, 16);
}

TEST_F(SctpTuning, APeersOwnLimitsHoldWhereWeConnect) {
  server.listen();
  const AssociationId own = connect(client.endpoint("127.0.0.2"), impatient(peer()));
  const AssociationId other = connect(client.endpoint("127.0.0.3"), peer());
  DeadNetwork dead;
  ASSERT_TRUE(client.send(own, "lost"));
  ASSERT_TRUE(client.send(other, "not yet"));
  ASSERT_TRUE(world.run_until([&] { return client.is_down(own); }));
  EXPECT_EQ(client.down_cause(own), DownCause::lost);
  EXPECT_TRUE(client.is_up(other));
}

TEST_F(SctpTuning, APeersOwnLimitsHoldFromWhenItIsKnownAndAfterAPeel) {
  server.listen();
  AssociationId ours{}, own{}, other{};
  std::tie(ours, own) = client.join(client.endpoint("127.0.0.2"), server);
  std::tie(ours, other) = client.join(client.endpoint("127.0.0.3"), server);
  server.transport->bind(own, impatient(peer("own")));
  server.transport->bind(other, peer("other"));
  ASSERT_TRUE(server.peel(own));
  DeadNetwork dead;
  ASSERT_TRUE(server.send(own, "lost"));
  ASSERT_TRUE(server.send(other, "not yet"));
  ASSERT_TRUE(world.run_until([&] { return server.is_down(own); }));
  EXPECT_EQ(server.down_cause(own), DownCause::lost);
  EXPECT_TRUE(server.is_up(other));
  EXPECT_THAT(server.facts_of(kNotice), IsEmpty());
}

TEST_F(SctpTuning, APeersOwnLimitsFollowItsConfig) {
  server.listen();
  AssociationId ours{}, gets{}, loses{};
  std::tie(ours, gets) = client.join(client.endpoint("127.0.0.2"), server);
  std::tie(ours, loses) = client.join(client.endpoint("127.0.0.3"), server);
  const AssociationId connected = connect(client.endpoint("127.0.0.4"), impatient(peer()));
  server.transport->bind(gets, peer("gets"));
  server.transport->bind(loses, impatient(peer("loses")));
  client.transport->bind(connected, impatient(peer()));
  ASSERT_TRUE(server.peel(gets));

  server.transport->bind(gets, impatient(peer("gets")));
  server.transport->bind(loses, peer("loses"));
  client.transport->bind(connected, peer());
  DeadNetwork dead;
  ASSERT_TRUE(server.send(gets, "lost"));
  ASSERT_TRUE(server.send(loses, "not yet"));
  ASSERT_TRUE(client.send(connected, "not yet"));
  ASSERT_TRUE(world.run_until([&] { return server.is_down(gets); }));
  EXPECT_EQ(server.down_cause(gets), DownCause::lost);
  EXPECT_TRUE(server.is_up(loses));
  EXPECT_TRUE(client.is_up(connected));
  EXPECT_THAT(server.facts_of(kNotice), IsEmpty());
}

TEST_F(SctpTuning, APeersOwnAttemptsDecideWhenAConnectIsGivenUp) {
  server.listen();
  const EndpointId from = client.endpoint();
  PeerConfig own = impatient(peer());
  own.sctp->init_attempts_max = 1;
  DeadNetwork dead;
  const AssociationId id = client.connect(from, own);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(id); }));
  EXPECT_EQ(client.down_cause(id), DownCause::unreachable);
}

TEST_F(SctpTuning, OptionsThatDoNotFitThePathsOfThePeerAreAWarning) {
  EndpointConfig config = Node::config("127.0.0.1", 0, false);
  config.addresses = {"127.0.0.1", "127.0.0.9"};
  const EndpointId from = client.open(config);
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(from, server);
  PeerConfig twofold = peer("twofold");
  twofold.sctp.emplace().association_retransmissions_max = 9;  // and 4 for each of its two paths
  server.transport->bind(theirs, twofold);
  ASSERT_TRUE(world.run_until([&] { return !server.facts_of(kNotice).empty(); }));
  EXPECT_THAT(server.facts_of(kNotice),
              ElementsAre(AllOf(Text(HasSubstr("twofold")), Text(HasSubstr("SCTP_ASSOCINFO")),
                                Field(&Fact::severity, Severity::warning))));
}

TEST_F(SctpTuning, AClippedBufferIsAWarningThatNamesTheSysctl) {
  const WithoutNetAdmin plain;
  server.listen();
  EXPECT_THAT(server.facts_of(kNotice),
              ElementsAre(AllOf(Text(HasSubstr("sysctl -w net.core.rmem_max=4194304")),
                                Field(&Fact::severity, Severity::warning)),
                          AllOf(Text(HasSubstr("sysctl -w net.core.wmem_max=2097152")),
                                Field(&Fact::severity, Severity::warning))));
}

// Of the only SCTP socket of this process: Linux doubles what a buffer was set to.
struct SocketSettings {
  int receive_buffer = 0, send_buffer = 0, nodelay = -1;
};
SocketSettings settings_of_the_socket() {
  SocketSettings settings;
  int sockets = 0;
  for_each_socket(IPPROTO_SCTP, [&](int fd) {
    ++sockets;
    EXPECT_EQ(transport::get_option(fd, SOL_SOCKET, SO_RCVBUF, settings.receive_buffer), 0);
    EXPECT_EQ(transport::get_option(fd, SOL_SOCKET, SO_SNDBUF, settings.send_buffer), 0);
    EXPECT_EQ(transport::get_option(fd, IPPROTO_SCTP, SCTP_NODELAY, settings.nodelay), 0);
  });
  EXPECT_EQ(sockets, 1);
  return settings;
}

TEST_F(SctpTuning, AnOpenSocketTakesWhatChangesAndKeepsTheRest) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sctp.receive_buffer_bytes = config.sctp.send_buffer_bytes = 100'000;
  const EndpointId id = server.open(config);
  // As if it had been wedged.
  for_each_socket(IPPROTO_SCTP,
                  [](int fd) { EXPECT_EQ(transport::force_receive_buffer(fd, 200'000), 0); });
  config.sctp.send_buffer_bytes = 300'000;
  config.sctp.nodelay = false;
  server.reconfigure(id, config);
  EXPECT_EQ(settings_of_the_socket().receive_buffer, 400'000);
  EXPECT_EQ(settings_of_the_socket().send_buffer, 600'000);
  EXPECT_EQ(settings_of_the_socket().nodelay, 0);
  config.sctp.receive_buffer_bytes = 150'000;
  config.sctp.nodelay = true;
  server.reconfigure(id, config);
  EXPECT_EQ(settings_of_the_socket().receive_buffer, 300'000);
  EXPECT_EQ(settings_of_the_socket().send_buffer, 600'000);
  EXPECT_EQ(settings_of_the_socket().nodelay, 1);
}

TEST_F(SctpTuning, AClippedBufferOfAnOpenSocketIsAWarningOnce) {
  const WithoutNetAdmin plain;
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sctp.receive_buffer_bytes = config.sctp.send_buffer_bytes = 50'000;
  const EndpointId id = server.open(config);
  ASSERT_THAT(server.facts_of(kNotice), IsEmpty());
  config.sctp.receive_buffer_bytes = 4 * 1024 * 1024;
  server.reconfigure(id, config);
  ASSERT_TRUE(world.run_until([&] { return !server.facts_of(kNotice).empty(); }));
  config.sctp.heartbeat_interval = 5s;
  server.reconfigure(id, config);
  config.sctp.send_buffer_bytes = 2 * 1024 * 1024;
  server.reconfigure(id, config);
  ASSERT_TRUE(world.run_until([&] { return server.facts_of(kNotice).size() > 1; }));
  EXPECT_THAT(server.facts_of(kNotice),
              ElementsAre(Text(HasSubstr("sysctl -w net.core.rmem_max=4194304")),
                          Text(HasSubstr("sysctl -w net.core.wmem_max=2097152"))));
}

// What counts is what the kernel gave.
TEST_F(SctpTuning, AClippedSendBufferBoundsWhatOnePeerMayHoldOfIt) {
  const WithoutNetAdmin plain;
  World elsewhere;  // a loop that nobody turns
  Node sleeper(elsewhere);
  EndpointConfig slow = Node::config("127.0.0.7", 0, true);
  slow.sctp.receive_buffer_bytes = 32 * 1024;
  sleeper.open(slow);
  EndpointConfig config = Node::config("127.0.0.8", 0, false);
  config.limits.message_bytes_max = config.limits.send_queue_bytes_max = 512 * 1024;
  const EndpointId from = client.open(config);
  const AssociationId to_slow = client.connect(from, sleeper);
  ASSERT_TRUE(elsewhere.run_until([&] { return sleeper.opened.size() == 1; }));
  ASSERT_TRUE(world.run_until([&] { return client.is_up(to_slow); }));
  while (client.send(to_slow, std::string(1000, 's'))) world.loop().run_once(false);
  EXPECT_EQ(client.counters.get(transport::counter::send_blocked), 0u);

  config.addresses = {"127.0.0.9"};
  config.listening = true;
  server.open(config);
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(from, server);
  EXPECT_FALSE(client.send(ours, std::string(500'000, 'l'))) << "it could never leave";
  EXPECT_TRUE(client.send(ours, std::string(200'000, 'l')));
  ASSERT_TRUE(world.run_until([&] { return !server.of(theirs).received.empty(); }));
}

TEST_F(SctpTuning, WhoMayExceedTheSysctlsGetsTheBuffersAskedFor) {
  server.listen();
  EXPECT_THAT(server.facts_of(kNotice), IsEmpty());
}

// The sockets of the associations in our network namespace.
std::set<std::string> sockets_of_associations() {
  std::ifstream table("/proc/net/sctp/assocs");
  std::string line, association, socket;
  std::getline(table, line);  // what the columns are
  std::set<std::string> sockets;
  while (std::getline(table, line)) {
    if (std::istringstream(line) >> association >> socket) sockets.insert(socket);
  }
  return sockets;
}

TEST_F(SctpTuning, ConnectedPeersAreSpreadOverAnEndpointsSockets) {
  server.listen();
  Node other(world);
  other.listen("127.0.0.4");
  Node third(world);
  third.listen("127.0.0.5");
  EndpointConfig config = Node::config("127.0.0.6", 0, false);
  config.sockets = 3;
  const EndpointId from = client.open(config);
  for (Node* node : {&server, &other, &third}) client.join(from, *node);
  EXPECT_EQ(sockets_of_associations().size(), 6u);
}

TEST(SndbufPolicy, ACrowdGetsMoreSocketsUnlessTheKernelIsTuned) {
  ASSERT_EQ(transport::set_sndbuf_policy(0), 0);
  EXPECT_EQ(transport::sockets_wanted(1), 1u);
  EXPECT_EQ(transport::sockets_wanted(250), 1u);
  EXPECT_EQ(transport::sockets_wanted(251), 2u);
  EXPECT_EQ(transport::sockets_wanted(1'000'000), 24u);
  EXPECT_THAT(transport::tune_kernel(), HasSubstr("is 1 from now on"));
  EXPECT_EQ(transport::sockets_wanted(1'000'000), 1u);
  EXPECT_THAT(transport::tune_kernel(), IsEmpty());
  ASSERT_EQ(transport::set_sndbuf_policy(0), 0);
}

TEST_F(SctpTuning, AUdpPortThatTheKernelDoesNotHaveIsToldOnceWithItsSysctl) {
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.udp_encapsulation_port = 9899;
  server.open(config);
  server.open(config);
  EXPECT_THAT(server.facts_of(kNotice),
              ElementsAre(AllOf(Text(HasSubstr("sysctl -w net.sctp.udp_port=9899")),
                                Field(&Fact::severity, Severity::warning))));
  std::ofstream("/proc/sys/net/sctp/udp_port") << 9899 << std::flush;
  client.open(config);
  EXPECT_THAT(client.facts_of(kNotice), IsEmpty());
  std::ofstream("/proc/sys/net/sctp/udp_port") << 0 << std::flush;
}

TEST_F(SctpTuning, AListenerOpensAgainWhileAPeeledAssociationOfTheOldOneLives) {
  auto old = std::make_unique<Node>(world);
  old->listen("127.0.0.1", 6501);
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), *old);
  DetachOutcome outcome = old->transport->detach(theirs);
  ASSERT_TRUE(std::holds_alternative<Peeled>(outcome));
  old.reset();
  world.loop().run_once(false);                         // closes its sockets
  server.on_event(theirs, AssociationUp{}, Instant{});  // told to the one that it came from
  server.transport->adopt(std::move(std::get<Peeled>(outcome).cargo));

  server.listen("127.0.0.1", 6501);
  ASSERT_TRUE(client.send(ours, "to the old one"));
  client.join(client.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] { return server.of(theirs).received.size() == 1; }));
}

}  // namespace
}  // namespace siglane::kernel_test
