// What happens to nodes from outside: a dead network, a peer that is killed.
#include <array>
#include <cstdlib>
#include <sstream>

#include <dirent.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/sctp_node.h"

namespace siglane::sctp_test {
namespace {

constexpr const char* kPeerVariable = "SIGLANE_TEST_PEER";

// What a peer's process is told: its environment's one word.
struct Orders {
  Stack stack{};
  std::string address;
  std::uint16_t port = 0, udp_port = 0, from = 0, from_udp = 0;
  std::uint16_t streams_in = 0;
  std::string certificates;
};

std::string text_of(const Orders& orders) {
  std::ostringstream text;
  text << (orders.stack == Stack::kernel ? "kernel" : "usrsctp") << ' ' << orders.address << ' '
       << orders.port << ' ' << orders.udp_port << ' ' << orders.from << ' ' << orders.from_udp
       << ' ' << orders.streams_in << ' ' << orders.certificates;
  return text.str();
}

Orders orders_from(const std::string& words) {
  std::istringstream text(words);
  Orders orders;
  std::string stack;
  text >> stack >> orders.address >> orders.port >> orders.udp_port >> orders.from >>
      orders.from_udp >> orders.streams_in >> orders.certificates;
  orders.stack = stack == "kernel" ? Stack::kernel : Stack::usrsctp;
  return orders;
}

}  // namespace

void for_each_socket(int protocol, const std::function<void(int fd)>& call) {
  DIR* directory = ::opendir("/proc/self/fd");
  ASSERT_NE(directory, nullptr);
  while (const dirent* entry = ::readdir(directory)) {
    const int fd = std::atoi(entry->d_name);
    int its = 0;
    socklen_t size = sizeof its;
    if (entry->d_name[0] != '.' && ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &its, &size) == 0 &&
        its == protocol) {
      call(fd);
    }
  }
  ::closedir(directory);
}

DeadNetwork::DeadNetwork() {
  if (default_stack == Stack::kernel) {
    EXPECT_EQ(std::system("tc qdisc add dev lo root netem loss 100%"), 0);
    return;
  }
  for_each_socket(IPPROTO_UDP, [](int fd) {
    sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    const sock_fprog program{1, nothing};
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
  });
}
DeadNetwork::~DeadNetwork() {
  if (default_stack == Stack::kernel) {
    EXPECT_EQ(std::system("tc qdisc del dev lo root"), 0);
    return;
  }
  for_each_socket(IPPROTO_UDP, [](int fd) {
    const int ignored = 0;
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored), 0);
  });
}

// --- A peer in a process of its own -------------------------------------------------------------

bool PeerProcess::is_this_one() {
  return std::getenv(kPeerVariable) != nullptr;
}

PeerProcess::PeerProcess(const Node& to, std::uint16_t from, const std::string& certificates,
                         std::uint16_t streams_in) {
  // One UDP port for all lives of a peer; those that follow to.udp_port are other nodes'.
  const Orders orders{
      default_stack, to.address,
      to.port,       to.udp_port,
      from,          static_cast<std::uint16_t>(to.udp_port == 0 ? 0 : to.udp_port + 10),
      streams_in,    certificates};
  int pipe[2] = {-1, -1};
  EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  lifeline_ = pipe[1];
  std::string self = "/proc/self/exe", filter = "--gtest_filter=PeerProcess.*",
              disabled = "--gtest_also_run_disabled_tests";
  std::array<char*, 4> arguments{self.data(), filter.data(), disabled.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[0], 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::setenv(kPeerVariable, text_of(orders).c_str(), 1);
  EXPECT_EQ(posix_spawn(&pid_, self.c_str(), &actions, nullptr, arguments.data(), environ), 0);
  ::unsetenv(kPeerVariable);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[0]);
}

PeerProcess::~PeerProcess() {
  vanish();
}

void PeerProcess::vanish() {
  if (pid_ < 0) return;
  const DeadNetwork dead;
  ::close(lifeline_);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

// Not a test: what the process runs.
TEST(PeerProcess, DISABLED_ConnectsAndSaysHello) {
  if (!PeerProcess::is_this_one()) GTEST_SKIP() << "only with orders";
  const Orders orders = orders_from(std::getenv(kPeerVariable));
  World world;
  auto node = std::make_unique<Node>(world, Node::never_peeling(), orders.stack);
  node->udp_port = orders.from_udp;
  if (!orders.certificates.empty()) {
    const std::string client = orders.certificates + "/client.";
    node->tls.emplace();
    node->tls->certificate = client + "crt";
    node->tls->key = client + "key";
    node->tls->ca = client + "ca";
  }
  bool ended = false;
  auto lifeline = world.loop().poll(0, [&](transport::PollEvents) { ended = true; });
  ASSERT_TRUE(lifeline);
  lifeline->watch(true, false);
  PeerConfig peer;
  peer.name = "peer";
  peer.addresses = {orders.address};
  peer.port = orders.port;
  peer.remote_udp_port = orders.udp_port;
  peer.tls_identity = "server.example";
  node->on_up = [&](AssociationId id) { EXPECT_TRUE(node->send(id, "hello")); };
  EndpointConfig config = Node::config("127.0.0.20", orders.from, false);
  if (orders.streams_in != 0) config.sctp.streams_in_max = orders.streams_in;
  (void)node->connect(node->open(config), peer);
  (void)world.run_until([&] { return ended; }, 60s);
  node.reset();
  world.loop().run_once(false);
}

}  // namespace siglane::sctp_test
