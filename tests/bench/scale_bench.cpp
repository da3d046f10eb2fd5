// What idle associations cost a node on kernel SCTP, in memory and in each echo. Run in a guest
// that counts instructions (scripts/with-kernel-sctp -i). See docs/benchmarks.md.
//
//   scale_bench tuned|default ASSOCIATIONS MESSAGES
//
// tuned: net.sctp.sndbuf_policy=1 and one shared socket; default: as many as the node then takes.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/resource.h>

#include "tests/bench/echo_server.h"

namespace {

using namespace siglane;
using namespace siglane::test;

constexpr std::size_t kFew = 100;

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
                              .sockets = static_cast<std::uint16_t>(tuned ? 1 : 0)},
                             [](std::uint16_t port) { shared->port = port; });
      },
      [&](const EchoServer& server) {
        std::vector<std::unique_ptr<RawPeer>> peers;
        const auto connect = [&](std::size_t count) {
          while (peers.size() < count) peers.push_back(std::make_unique<RawPeer>(server.port()));
          echo(peers, 1, 2 * count);  // every one of them has been used
        };
        // Idle is who has said nothing for longer than the node's windows are.
        const auto bytes_at_rest = [&] {
          std::this_thread::sleep_for(3s);
          return server.bytes_in_use();
        };
        connect(kFew);
        const EchoCost few = server.cost_of(messages, [&] { echo(peers, 1, messages); });
        const std::uint64_t before = bytes_at_rest();
        connect(many);
        const std::uint64_t after = bytes_at_rest();
        const EchoCost much = server.cost_of(messages, [&] { echo(peers, 1, messages); });
        std::printf(
            "{\"few\": %zu, \"many\": %zu, \"few_cpu_ns_per_message\": %.1f, "
            "\"many_cpu_ns_per_message\": %.1f, \"idle_association_bytes\": %.1f}\n",
            kFew, many, few.cpu_ns, much.cpu_ns,
            static_cast<double>(after - before) / static_cast<double>(many - kFew));
      });
}
