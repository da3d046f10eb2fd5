// What idle associations cost a node on kernel SCTP, in memory and in each echo, and what it costs
// that they come and go, one right after the other. Run in a guest that counts instructions
// (scripts/with-kernel-sctp -i). See docs/benchmarks.md.
//
//   scale_bench tuned|default ASSOCIATIONS MESSAGES
//
// tuned: net.sctp.sndbuf_policy=1 and one shared socket; default: as many as the node then takes.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/resource.h>

#include "tests/bench/echo_server.h"

namespace {

using namespace siglane;
using namespace siglane::test;

constexpr std::size_t kFew = 100;

// Many associations come, or go: how long that takes, and the node's time for each.
struct Storm {
  double seconds = 0, cpu_ns_each = 0;
};

template <class Work>
Storm storm(const EchoServer& server, std::size_t associations, Work work) {
  const auto began = std::chrono::steady_clock::now();
  const EchoCost cost = server.cost_of(associations, std::move(work));
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(),
          cost.cpu_ns};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: scale_bench tuned|default ASSOCIATIONS MESSAGES\n");
    return 2;
  }
  const bool tuned = std::string_view(argv[1]) == "tuned";
  const std::size_t many = std::stoul(argv[2]), messages = std::stoul(argv[3]);
  const rlimit descriptors{many + 100, many + 100};
  if (::setrlimit(RLIMIT_NOFILE, &descriptors) != 0) return 1;
  return run_with_server(
      [&] {
        BusyNode::serve_here({.peels = false,
                              .tune_kernel = tuned,
                              .sockets = static_cast<std::uint16_t>(tuned ? 1 : 0),
                              .sessions = &shared->sessions},
                             [](std::uint16_t port) { shared->port = port; });
      },
      [&](const EchoServer& server) {
        std::vector<std::unique_ptr<RawPeer>> peers;
        const auto connect = [&](std::size_t count) {
          while (peers.size() < count) peers.push_back(std::make_unique<RawPeer>(server.port()));
          echo(peers, 1, 1);  // behind all that the node was told on its socket
        };
        const auto use = [&] { echo(peers, 1, 2 * peers.size()); };
        // Idle is who has said nothing for longer than the node's windows are.
        const auto bytes_at_rest = [&] {
          std::this_thread::sleep_for(3s);
          return server.bytes_in_use();
        };
        connect(kFew);
        use();
        const EchoCost few = server.cost_of(messages, [&] { echo(peers, 1, messages); });
        const std::uint64_t before = bytes_at_rest();
        const Storm coming = storm(server, many - kFew, [&] { connect(many); });
        use();
        const std::uint64_t after = bytes_at_rest();
        const EchoCost much = server.cost_of(messages, [&] { echo(peers, 1, messages); });
        const double bytes_each =
            static_cast<double>(after - before) / static_cast<double>(many - kFew);
        const Storm going = storm(server, many - kFew, [&] {
          peers.resize(kFew);
          for (int waits = 0; shared->sessions > kFew; ++waits) {
            if (waits == 60'000) throw std::runtime_error("the node did not forget who left");
            std::this_thread::sleep_for(1ms);
          }
        });
        std::printf(
            "{\"few\": %zu, \"many\": %zu, \"few_cpu_ns_per_message\": %.1f, "
            "\"many_cpu_ns_per_message\": %.1f, \"idle_association_bytes\": %.1f, "
            "\"coming_s\": %.2f, \"coming_cpu_ns_each\": %.0f, \"going_s\": %.2f, "
            "\"going_cpu_ns_each\": %.0f}\n",
            kFew, many, few.cpu_ns, much.cpu_ns, bytes_each, coming.seconds, coming.cpu_ns_each,
            going.seconds, going.cpu_ns_each);
      });
}
