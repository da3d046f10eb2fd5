// What it costs a node's loop to tell an operator of many associations: the longest turn of the
// loop where its shard answers in one piece, and where it answers in slices (Node::walk), in one
// run.
//
//   admin_bench ASSOCIATIONS
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "apps/runtime/admin_service.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "tests/component/echo_module.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// The loop's own work, whatever else the machine does.
double thread_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

std::unique_ptr<Node> listening_node() {
  NodeConfig config;
  config.name = "node";
  config.admission.accept_unknown_peers = true;
  NodeEndpoint endpoint;
  endpoint.module = "echo";
  endpoint.endpoint.name = "main";
  endpoint.endpoint.transport = TransportKind::tcp;
  endpoint.endpoint.addresses = {"127.0.0.1"};
  endpoint.endpoint.listening = true;
  endpoint.endpoint.associations_max = 100'000;
  config.endpoints = {endpoint};
  NodeBuilder builder(config);
  builder.embed();
  builder.add_module(std::make_unique<siglane::testing::EchoModule>("node"));
  auto node = std::move(builder).build();
  if (!node) {
    std::fprintf(stderr, "%s\n", node.error().what.c_str());
    std::exit(1);
  }
  return std::move(*node);
}

std::uint16_t port_of(Node& node) {
  for (;; node.turn(false)) {
    for (const KeptFact& kept : node.facts().after(0, 100)) {
      for (const FactField& field : kept.fact.fields) {
        if (field.key == "port") return static_cast<std::uint16_t>(std::stoi(field.value));
      }
    }
  }
}

// Connects and says who it is.
int connect_peer(std::uint16_t port, std::size_t number) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    fail("connect");
  }
  const std::string text = "I am peer" + std::to_string(number);
  const std::string message = static_cast<char>(text.size()) + text;
  if (::send(fd, message.data(), message.size(), MSG_NOSIGNAL) < 0) fail("send");
  return fd;
}

// The longest turn of the loop until `done`, in milliseconds.
double longest_turn(Node& node, const bool& done) {
  double longest = 0;
  while (!done) {
    const double began = thread_ms();
    node.turn(false);
    longest = std::max(longest, thread_ms() - began);
  }
  return longest;
}

double in_slices(Node& node, const admin::Request& request) {
  bool done = false;
  answer_admin(node, request, [&done](const admin::Response&) { done = true; });
  return longest_turn(node, done);
}

// All of a shard in one turn, and the answer encoded there too.
double in_one_piece(Node& node) {
  bool done = false;
  node.call([&] {
    const WallClock time(transport::Loop::fresh_now());
    admin::Response response;
    node.on_each_shard(
        [&](const Shard& shard, const Transport& transport) {
          shard.visit_sessions([&](const SessionView& view) {
            *response.mutable_associations()->add_association() =
                admin_association(view, shard.id(), transport, time);
          });
        },
        [&] { done = !admin_frame(response).empty(); });
  });
  return longest_turn(node, done);
}

int run(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: admin_bench ASSOCIATIONS\n");
    return 2;
  }
  const std::size_t many = std::stoul(argv[1]);
  const rlimit descriptors{2 * many + 100, 2 * many + 100};
  if (::setrlimit(RLIMIT_NOFILE, &descriptors) != 0) fail("setrlimit");
  const auto node = listening_node();
  const std::uint16_t port = port_of(*node);
  std::vector<int> peers;
  while (peers.size() < many) {
    for (std::size_t i = 0; i < 64 && peers.size() < many; ++i) {
      peers.push_back(connect_peer(port, peers.size()));
    }
    while (node->count(counter::associations_opened) < peers.size() ||
           node->count(counter::messages_sent) < peers.size()) {
      node->turn(false);
    }
  }
  admin::Request associations, by_name, by_peer;
  associations.mutable_associations();
  by_name.mutable_peers();
  by_peer.mutable_stats()->set_by_peer(true);
  const double whole = in_one_piece(*node);
  const double sliced = in_slices(*node, associations);
  std::printf(
      "{\"associations\": %zu, \"one_piece_ms\": %.2f, \"associations_ms\": %.2f, "
      "\"peers_ms\": %.2f, \"by_peer_ms\": %.2f, \"ratio\": %.1f}\n",
      many, whole, sliced, in_slices(*node, by_name), in_slices(*node, by_peer), whole / sliced);
  for (const int fd : peers) ::close(fd);
  return 0;
}

}  // namespace
}  // namespace siglane::runtime

int main(int argc, char** argv) {
  return siglane::runtime::run(argc, argv);
}
