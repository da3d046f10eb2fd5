#include <algorithm>
#include <array>
#include <csignal>
#include <map>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include "core/random.h"
#include "tests/support/certificates.h"
#include "tests/support/seeds.h"
#include "transport/usrsctp_transport.h"

// SCTP in this process against bad luck: peels under full load, lossy networks, peers that vanish
// or start anew, all of it in clear and under DTLS. SIGLANE_SEEDS says how many runs.
namespace siglane::transport {
namespace {

constexpr int kStreams = 4;
constexpr std::size_t kHeaderBytes = 8;
constexpr std::uint16_t kServerPort = 5000, kServerUdp = 29111;
constexpr std::uint16_t kClientPort = 5001, kClientUdp = 29112;
constexpr std::uint16_t kRelayUdp = 29113;

class NoFraming final : public Framing {
 public:
  Result<std::optional<std::size_t>> frame_length(Bytes) const override {
    return failure("not a stream");
  }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
};

// A node's own options: bears with a machine that is busy.
SctpOptions patient() {
  SctpOptions options;
  options.streams_out = kStreams;
  options.sack_delay = 20ms;
  return options;
}

// Gives a peer up after a second or so.
SctpOptions quick() {
  SctpOptions options = patient();
  options.rto_initial = 100ms;
  options.rto_min = 50ms;
  options.rto_max = 300ms;
  options.init_timeout_max = 300ms;
  options.heartbeat_interval = 200ms;
  options.association_retransmissions_max = 4;
  options.path_retransmissions_max = 4;
  return options;
}

// Of both ends.
class Certificates {
 public:
  siglane::testing::TemporaryDirectory directory;

 private:
  siglane::testing::Authority authority_;

 public:
  TlsConfig server = authority_.issue_files_for("server.example", directory, "server");
  TlsConfig client = authority_.issue_files_for("client.example", directory, "client");
};

// 8 to 20000 bytes, most of them small. Both ends know it of every message.
std::size_t size_of(std::uint64_t seed, std::uint32_t stream, std::uint32_t number) {
  Random random(seed * 1000003 + stream * 7919 + number);
  const auto kind = random.below(20);
  if (kind == 0) return 20000;
  if (kind < 4) return kHeaderBytes + random.below(20000 - kHeaderBytes);
  return kHeaderBytes + random.below(3000);
}

std::byte filler(std::uint32_t number, std::size_t at) {
  return static_cast<std::byte>(static_cast<std::uint8_t>(number + at));
}

// One direction of one association: what was sent on each stream, what must come next.
struct Flow {
  std::uint32_t seed = 0;
  std::uint32_t each = 0;  // messages on each stream
  std::size_t size_max = 20000;
  std::array<std::uint32_t, kStreams> sent{}, received{};
  std::uint32_t violations = 0;

  std::uint32_t total(const std::array<std::uint32_t, kStreams>& counts) const {
    std::uint32_t sum = 0;
    for (const auto n : counts) sum += n;
    return sum;
  }
  bool all_sent() const { return total(sent) == each * kStreams; }
  bool all_received() const { return total(received) == each * kStreams; }

  Message next(std::uint32_t stream, BufferPool& pool) const {
    const std::uint32_t number = sent[stream];
    const std::size_t size = std::min(size_of(seed, stream, number), size_max);
    BufferBuilder builder(pool, size);
    builder.u32(seed);
    builder.u32(number);
    std::byte* rest = builder.extend(size - kHeaderBytes);
    for (std::size_t i = kHeaderBytes; i < size; ++i) rest[i - kHeaderBytes] = filler(number, i);
    Message message;
    message.stream = StreamId{static_cast<std::uint16_t>(stream)};
    message.payload = std::move(builder).finish();
    return message;
  }

  void check(const Message& message) {
    const auto stream = static_cast<std::uint32_t>(message.stream);
    if (stream >= kStreams) {
      ++violations;
      return;
    }
    const std::uint32_t expected = received[stream]++;
    const Bytes bytes = message.payload.bytes();
    bool right = bytes.size() == std::min(size_of(seed, stream, expected), size_max) &&
                 load_u32(bytes.data()) == seed && load_u32(bytes.data() + 4) == expected;
    for (std::size_t i = kHeaderBytes; right && i < bytes.size(); ++i) {
      right = bytes[i] == filler(expected, i);
    }
    violations += right ? 0 : 1;
  }
};

// A transport, both of whose ends are here, and all that it told.
class World final : public TransportSink {
 public:
  explicit World(SctpOptions options = patient(), const Certificates* certificates = nullptr)
      : World(options, certificates == nullptr ? std::nullopt : std::optional(certificates->server),
              certificates == nullptr ? std::nullopt : std::optional(certificates->client)) {}
  World(SctpOptions options, std::optional<TlsConfig> server, std::optional<TlsConfig> client)
      : options_(options), tls_{std::move(client), std::move(server)} {
    transport_->set_sink(*this);
  }

  EndpointId open(std::uint16_t port, std::uint16_t udp_port, bool listening) {
    EndpointConfig config;
    config.name = listening ? "server" : "client";
    config.addresses = {"127.0.0.1"};
    config.port = port;
    config.listening = listening;
    config.udp_encapsulation_port = udp_port;
    config.sctp = options_;
    config.limits.send_queue_bytes_max = 400'000;
    config.tls = tls_[listening];
    auto id = transport_->open(config, framing_);
    EXPECT_TRUE(id.has_value()) << (id ? "" : id.error().what);
    return id.value_or(EndpointId{});
  }
  AssociationId connect(EndpointId from, std::uint16_t port, std::uint16_t udp_port) {
    PeerConfig peer;
    peer.name = "peer";
    peer.addresses = {"127.0.0.1"};
    peer.port = port;
    peer.remote_udp_port = udp_port;
    peer.tls_identity = "server.example";
    return transport_->connect(from, peer);
  }
  // Our association and the server's.
  std::pair<AssociationId, AssociationId> join(EndpointId from, std::uint16_t udp_port) {
    const std::size_t before = accepted.size();
    const AssociationId ours = connect(from, kServerPort, udp_port);
    EXPECT_TRUE(until([&] { return up.contains(ours) && accepted.size() > before; }));
    return {ours, accepted.empty() ? AssociationId::none : accepted.back()};
  }
  bool peel(AssociationId id) {
    auto outcome = transport_->detach(id);
    auto* peeled = std::get_if<Peeled>(&outcome);
    if (peeled == nullptr) return false;
    transport_->adopt(std::move(peeled->cargo));
    return true;
  }
  // Full speed: as much as is taken.
  void pump() {
    for (auto& [id, flow] : out) {
      Association* association = transport_->find(id);
      if (association == nullptr || flow->all_sent()) continue;
      for (bool taken = true; taken && !flow->all_sent();) {
        taken = false;
        for (std::uint32_t stream = 0; stream < kStreams; ++stream) {
          if (flow->sent[stream] == flow->each) continue;
          if (association->send(flow->next(stream, pool_)) == SendOutcome::accepted) {
            ++flow->sent[stream];
            taken = true;
          }
        }
      }
    }
  }
  template <class Done>
  [[nodiscard]] bool until(Done done, Duration limit = 15s) {
    bool late = false;
    Timer deadline = loop_->timer([&] { late = true; });
    deadline.start_after(limit);
    while (!done() && !late) loop_->run_once();
    return done();
  }

  void on_event(AssociationId id, AssociationEvent event, Instant) override {
    EXPECT_FALSE(down.contains(id)) << "an event after Down";
    if (auto* opened = std::get_if<AssociationUp>(&event)) {
      EXPECT_TRUE(up.emplace(id, *opened).second);
      if (!opened->initiator) accepted.push_back(id);
    } else if (auto* received = std::get_if<AssociationReceived>(&event)) {
      ++messages[id];
      if (auto flow = in.find(id); flow != in.end()) flow->second->check(received->message);
      auto peeled = peel_inside.find(id);
      if (peeled != peel_inside.end() && --peeled->second == 0) {
        EXPECT_TRUE(peel(id)) << "from within a batch of the shared socket";
      }
    } else if (auto* returned = std::get_if<AssociationUnsent>(&event)) {
      unsent[id].push_back(std::move(returned->message));
    } else if (auto* ended = std::get_if<AssociationDown>(&event)) {
      down.emplace(id, *ended);
    }
  }
  void on_fact(AssociationId, Fact fact, Instant) override {
    if (auto* one = std::get_if<fact::PeerRefused>(&fact)) refused.push_back(one->why);
  }

  Loop& loop() { return *loop_; }
  UsrsctpTransport& transport() { return *transport_; }

  std::map<AssociationId, AssociationUp> up;
  std::map<AssociationId, AssociationDown> down;
  std::map<AssociationId, std::size_t> messages;
  std::map<AssociationId, std::vector<Message>> unsent;
  std::vector<AssociationId> accepted;
  std::vector<std::string> refused;
  std::map<AssociationId, Flow*> out, in;
  std::map<AssociationId, std::uint32_t> peel_inside;  // at that message, inside the callback

 private:
  SctpOptions options_;
  std::optional<TlsConfig> tls_[2];  // of who connects, of who listens
  NoFraming framing_;
  BufferPool pool_;
  Counters counters_;
  std::unique_ptr<Loop> loop_ = Loop::create().value();
  std::unique_ptr<UsrsctpTransport> transport_ =
      std::make_unique<UsrsctpTransport>(*loop_, pool_, counters_);
};

void prove_the_peel(std::uint64_t seed, const Certificates* certificates) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr std::uint16_t kPeers = 6;
  constexpr std::uint32_t kEach = 100;
  Random random(seed);
  World world(patient(), certificates);
  world.open(kServerPort, kServerUdp, true);
  std::vector<std::unique_ptr<Flow>> flows;
  const auto flow = [&] {
    flows.push_back(std::make_unique<Flow>());
    flows.back()->seed = static_cast<std::uint32_t>(seed * 100 + flows.size());
    flows.back()->each = kEach;
    if (certificates != nullptr) flows.back()->size_max = SctpSecurity::kMessageBytesMax;
    return flows.back().get();
  };
  std::vector<std::pair<AssociationId, AssociationId>> pairs;
  std::map<AssociationId, std::uint32_t> plan;  // peel between two turns, after so many messages
  for (std::uint16_t i = 0; i < kPeers; ++i) {
    const EndpointId local =
        world.open(static_cast<std::uint16_t>(kClientPort + i), kClientUdp, false);
    pairs.push_back(world.join(local, kServerUdp));
    const auto [ours, theirs] = pairs.back();
    world.out[ours] = world.in[theirs] = flow();
    world.out[theirs] = world.in[ours] = flow();
    for (const AssociationId id : {ours, theirs}) {
      if (id == ours && random.below(2) == 0) continue;  // the server's always
      const auto after = static_cast<std::uint32_t>(1 + random.below(kStreams * kEach * 3 / 4));
      (random.below(2) == 0 ? world.peel_inside : plan)[id] = after;
    }
  }
  const bool done = world.until(
      [&] {
        world.pump();
        std::erase_if(plan, [&](const auto& planned) {
          if (world.messages[planned.first] < planned.second) return false;
          EXPECT_TRUE(world.peel(planned.first));
          return true;
        });
        return std::all_of(flows.begin(), flows.end(),
                           [](const auto& f) { return f->all_received(); });
      },
      60s);
  EXPECT_TRUE(done);
  for (const auto& [id, ended] : world.down) {
    ADD_FAILURE() << "association " << static_cast<std::uint64_t>(id)
                  << " went down: " << name_of(ended.cause) << " " << ended.detail;
  }
  if (::testing::Test::HasFailure()) {
    for (const auto& f : flows) {
      ADD_FAILURE() << "sent " << f->total(f->sent) << " received " << f->total(f->received);
    }
    return;
  }
  for (const auto& [ours, theirs] : pairs) {
    EXPECT_TRUE(world.transport().status(theirs)->peeled);
    world.transport().find(ours)->close(CloseMode::graceful);
  }
  // Whatever is still to come would be a message too many.
  EXPECT_TRUE(world.until([&] { return world.down.size() == 2 * pairs.size(); }));
  for (const auto& f : flows) {
    EXPECT_EQ(f->total(f->received), kEach * kStreams);
    EXPECT_EQ(f->violations, 0u);
  }
}

TEST(UsrsctpPeelProof, six_peers_peeled_in_mid_stream_lose_double_and_reorder_nothing) {
  for (std::uint64_t seed = 1; seed <= test::seeds(3) && !::testing::Test::HasFailure(); ++seed) {
    prove_the_peel(seed, nullptr);
  }
}

TEST(UsrsctpPeelProof, nor_do_they_under_dtls) {
  const Certificates certificates;
  for (std::uint64_t seed = 1; seed <= test::seeds(3) && !::testing::Test::HasFailure(); ++seed) {
    prove_the_peel(seed, &certificates);
  }
}

// UDP between client and server that passes on, drops, doubles and holds back.
class Relay {
 public:
  explicit Relay(World& world, std::uint64_t seed)
      : world_(world), random_(seed), to_client_(bound(kRelayUdp)), to_server_(bound(0)) {
    watch(to_client_.get(), [this](std::string packet) { pass(to_server_, kServerUdp, packet); });
    watch(to_server_.get(), [this](std::string packet) { pass(to_client_, kClientUdp, packet); });
  }
  unsigned lost_percent = 0, doubled_percent = 0, late_percent = 0;

 private:
  static FileDescriptor bound(std::uint16_t port) {
    FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto address = SocketAddress::parse("127.0.0.1", port).value();
    EXPECT_EQ(::bind(fd.get(), address.raw(), address.size()), 0);
    return fd;
  }
  void watch(int fd, std::function<void(std::string)> got) {
    auto poll = world_.loop().poll(fd, [fd, got = std::move(got)](PollEvents) {
      std::string packet(65536, '\0');
      for (ssize_t size; (size = ::recv(fd, packet.data(), packet.size(), MSG_DONTWAIT)) > 0;) {
        got(packet.substr(0, static_cast<std::size_t>(size)));
      }
    });
    polls_.push_back(std::move(*poll));
    polls_.back().watch(true, false);
  }
  void pass(const FileDescriptor& from, std::uint16_t port, const std::string& packet) {
    if (random_.below(100) < lost_percent) return;
    const auto to = SocketAddress::parse("127.0.0.1", port).value();
    const auto send = [&](const std::string& one) {
      (void)::sendto(from.get(), one.data(), one.size(), MSG_DONTWAIT, to.raw(), to.size());
    };
    if (random_.below(100) < late_percent) {
      held_.emplace(port, packet);
      return;
    }
    send(packet);
    if (random_.below(100) < doubled_percent) send(packet);
    // What was held back goes behind it.
    for (auto [it, end] = held_.equal_range(port); it != end; it = held_.erase(it)) {
      send(it->second);
    }
  }

  World& world_;
  Random random_;
  FileDescriptor to_client_, to_server_;
  std::multimap<std::uint16_t, std::string> held_;
  std::vector<Poll> polls_;
};

void cross_a_bad_network(const Certificates* certificates) {
  for (std::uint64_t seed = 1; seed <= test::seeds(2); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(patient(), certificates);
    Relay relay(world, seed);
    world.open(kServerPort, kServerUdp, true);
    const EndpointId client = world.open(kClientPort, kClientUdp, false);
    const auto [ours, theirs] = world.join(client, kRelayUdp);
    const std::size_t most = certificates == nullptr ? 20000 : SctpSecurity::kMessageBytesMax;
    Flow up{static_cast<std::uint32_t>(seed * 10 + 1), 50, most};
    Flow down{static_cast<std::uint32_t>(seed * 10 + 2), 50, most};
    world.out[ours] = world.in[theirs] = &up;
    world.out[theirs] = world.in[ours] = &down;
    world.peel_inside[theirs] = 60;
    relay.lost_percent = 2;
    relay.doubled_percent = 5;
    relay.late_percent = 10;
    EXPECT_TRUE(world.until(
        [&] {
          world.pump();
          return up.all_received() && down.all_received();
        },
        60s));
    EXPECT_EQ(up.violations + down.violations, 0u);
    EXPECT_TRUE(world.transport().status(theirs)->peeled);
    EXPECT_TRUE(world.down.empty());
  }
}

TEST(UsrsctpNetwork, loses_nothing_where_packets_are_lost_doubled_and_reordered) {
  cross_a_bad_network(nullptr);
}

TEST(UsrsctpNetwork, loses_nothing_under_dtls_either) {
  const Certificates certificates;
  cross_a_bad_network(&certificates);
}

TEST(UsrsctpNetwork, returns_in_clear_what_a_peer_that_vanished_under_dtls_did_not_get) {
  const Certificates certificates;
  World world(quick(), &certificates);
  Relay relay(world, 1);
  world.open(kServerPort, kServerUdp, true);
  const EndpointId client = world.open(kClientPort, kClientUdp, false);
  const auto [ours, theirs] = world.join(client, kRelayUdp);
  relay.lost_percent = 100;
  Flow flow{1, 3, SctpSecurity::kMessageBytesMax};
  world.out[theirs] = &flow;
  world.pump();
  const AssociationId server_side = theirs;
  ASSERT_TRUE(world.until([&] { return world.down.contains(server_side); }));
  EXPECT_EQ(world.down.at(theirs).cause, DownCause::lost);
  ASSERT_EQ(world.unsent[theirs].size(), 3u * kStreams);
  for (const Message& message : world.unsent[theirs]) flow.check(message);
  EXPECT_EQ(flow.violations, 0u);
}

TEST(UsrsctpNetwork, notices_on_a_peeled_socket_that_the_peer_has_vanished) {
  World world(quick());
  Relay relay(world, 1);
  world.open(kServerPort, kServerUdp, true);
  const EndpointId client = world.open(kClientPort, kClientUdp, false);
  const auto [ours, theirs] = world.join(client, kRelayUdp);
  ASSERT_TRUE(world.peel(theirs));
  relay.lost_percent = 100;
  Flow flow{1, 1};
  world.out[theirs] = &flow;
  world.pump();
  const AssociationId server_side = theirs;
  ASSERT_TRUE(world.until([&] { return world.down.contains(server_side); }));
  EXPECT_EQ(world.down.at(theirs).cause, DownCause::lost);
  EXPECT_EQ(world.transport().peeled_count(), 0u);
}

TEST(UsrsctpNetwork, survives_garbage_from_anywhere) {
  World world;
  world.open(kServerPort, kServerUdp, true);
  const EndpointId client = world.open(kClientPort, kClientUdp, false);
  const auto [ours, theirs] = world.join(client, kServerUdp);
  FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto server = SocketAddress::parse("127.0.0.1", kServerUdp).value();
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 20; ++i) {
      std::string packet(random.below(200), '\0');
      for (char& c : packet) c = static_cast<char>(random.below(256));
      // Often the right ports, and one of the chunk types.
      if (packet.size() > 12 && random.below(2) == 0) {
        packet[0] = static_cast<char>(kClientPort >> 8);
        packet[1] = static_cast<char>(kClientPort & 255);
        packet[2] = static_cast<char>(kServerPort >> 8);
        packet[3] = static_cast<char>(kServerPort & 255);
        packet[12] = static_cast<char>(random.below(16));
      }
      (void)::sendto(fd.get(), packet.data(), packet.size(), 0, server.raw(), server.size());
    }
    world.loop().run_once(false);
  }
  Flow flow{3, 5};
  world.out[ours] = world.in[theirs] = &flow;
  EXPECT_TRUE(world.until([&] {
    world.pump();
    return flow.all_received();
  }));
  EXPECT_TRUE(world.down.empty());
  EXPECT_EQ(world.up.size(), 2u);
}

// --- A peer in a process of its own -------------------------------------------------------------

// Not a test: what the child process runs. Sends one message on each stream, then waits to be
// killed. With a directory of certificates, under DTLS.
constexpr const char* kCertificates = "SIGLANE_TEST_CERTIFICATES";

TEST(UsrsctpPeerProcess, DISABLED_connects_and_sends) {
  std::optional<TlsConfig> tls;
  if (const char* directory = std::getenv(kCertificates)) {
    const std::string client = directory + std::string("/client.");
    tls.emplace();
    tls->certificate = client + "crt";
    tls->key = client + "key";
    tls->ca = client + "ca";
  }
  World world(patient(), std::nullopt, tls);
  const EndpointId client = world.open(kClientPort, kClientUdp, false);
  const AssociationId id = world.connect(client, kServerPort, kServerUdp);
  Flow flow{9, 1};
  ASSERT_TRUE(world.until([&] { return world.up.contains(id); }));
  world.out[id] = &flow;
  world.pump();
  (void)world.until([] { return false; }, 20s);
}

class PeerProcess {
 public:
  PeerProcess() {
    std::string self = "/proc/self/exe";
    std::string filter = "--gtest_filter=UsrsctpPeerProcess.*";
    std::string disabled = "--gtest_also_run_disabled_tests";
    std::array<char*, 4> arguments{self.data(), filter.data(), disabled.data(), nullptr};
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    EXPECT_EQ(posix_spawn(&pid_, self.c_str(), &quiet, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&quiet);
  }
  ~PeerProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

TEST(UsrsctpNetwork, takes_a_restart_for_an_end_and_a_new_beginning) {
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "on a peeled socket" : "on the shared socket");
    World world;
    world.open(kServerPort, kServerUdp, true);
    auto first_life = std::make_unique<PeerProcess>();
    ASSERT_TRUE(world.until([&] { return world.up.size() == 1; }));
    const AssociationId first = world.accepted.front();
    ASSERT_TRUE(world.until([&] { return world.messages[first] == kStreams; }));
    if (peeled) {
      ASSERT_TRUE(world.peel(first));
    }
    first_life.reset();  // killed: says nothing to anybody
    PeerProcess second_life;
    ASSERT_TRUE(world.until([&] { return world.up.size() == 2; }));
    ASSERT_TRUE(world.down.contains(first));
    EXPECT_EQ(world.down.at(first).cause, DownCause::restarted);
    const AssociationId second = world.accepted.back();
    EXPECT_NE(first, second);
    EXPECT_EQ(world.transport().status(second)->peeled, peeled);
    ASSERT_TRUE(world.until([&] { return world.messages[second] == kStreams; }));
  }
}

// The stack cannot authenticate what begins anew.
TEST(UsrsctpNetwork, lets_a_peer_that_starts_anew_under_dtls_connect_once_more) {
  const Certificates certificates;
  ::setenv(kCertificates, certificates.directory.path("").c_str(), 1);
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "on a peeled socket" : "on the shared socket");
    World world(patient(), &certificates);
    world.open(kServerPort, kServerUdp, true);
    auto life = std::make_unique<PeerProcess>();
    ASSERT_TRUE(world.until([&] { return world.up.size() == 1; }));
    const AssociationId first = world.accepted.front();
    ASSERT_TRUE(world.until([&] { return world.messages[first] == kStreams; }));
    if (peeled) {
      ASSERT_TRUE(world.peel(first));
    }
    life.reset();  // killed: says nothing to anybody
    life = std::make_unique<PeerProcess>();
    ASSERT_TRUE(world.until([&] { return !world.refused.empty(); }));
    ASSERT_TRUE(world.down.contains(first));
    EXPECT_EQ(world.down.at(first).cause, DownCause::restarted);
    EXPECT_NE(world.refused.front().find("has to connect once more"), std::string::npos);
    life.reset();
    life = std::make_unique<PeerProcess>();
    ASSERT_TRUE(world.until([&] { return world.up.size() == 2; }));
    const AssociationId second = world.accepted.back();
    ASSERT_TRUE(world.until([&] { return world.messages[second] == kStreams; }));
  }
  ::unsetenv(kCertificates);
}

}  // namespace
}  // namespace siglane::transport
