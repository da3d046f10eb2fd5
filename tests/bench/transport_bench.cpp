// What peeling does against the three diseases of the shared socket, on the kernel's SCTP: one JSON
// object a line. See docs/benchmarks.md.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "tests/support/diseases.h"

namespace {

using namespace siglane;
using namespace siglane::test;

constexpr Duration kMeasured = 10s;

void flood() {
  const PingTimes shared = ping_beside_a_flood(false, kMeasured);
  const PingTimes peeled = ping_beside_a_flood(true, kMeasured);
  std::printf(
      "{\"disease\": \"loud\", \"shared_p50_ms\": %.3f, \"shared_p99_ms\": %.3f, "
      "\"shared_pings\": %zu, \"shared_unanswered\": %zu, \"peeled_p50_ms\": %.3f, "
      "\"peeled_p99_ms\": %.3f, \"peeled_pings\": %zu, \"peeled_unanswered\": %zu, "
      "\"peeled\": %s, \"moved\": %s}\n",
      1e3 * seconds(shared.p50), 1e3 * seconds(shared.p99), shared.pings, shared.unanswered,
      1e3 * seconds(peeled.p50), 1e3 * seconds(peeled.p99), peeled.pings, peeled.unanswered,
      peeled.peeled ? "true" : "false", peeled.moved ? "true" : "false");
}

// How the sporadic peers fare as the flood grows: its offered load is what part of one shard's time
// its work takes.
void curve() {
  constexpr double kWorkSeconds = 100e-6;
  std::printf("{\"disease\": \"loud\", \"curve\": [");
  const char* separator = "";
  for (const double load : {0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.3}) {
    const double rate = load / kWorkSeconds;
    const PingTimes shared = ping_beside_a_flood(false, kMeasured / 2, rate);
    const PingTimes peeled = ping_beside_a_flood(true, kMeasured / 2, rate);
    std::printf("%s{\"load\": %.2f, \"shared_p99_ms\": %.3f, \"peeled_p99_ms\": %.3f}", separator,
                load, 1e3 * seconds(shared.p99), 1e3 * seconds(peeled.p99));
    separator = ", ";
  }
  std::printf("]}\n");
}

void clogged() {
  constexpr Duration kMeasured = 3s;  // where instructions count, that is enough
  const ExchangeRates bare = exchange_beside_a_stopped_peer(Server::bare, kMeasured);
  const ExchangeRates shared =
      exchange_beside_a_stopped_peer(Server::node_without_peeling, kMeasured);
  const ExchangeRates ours = exchange_beside_a_stopped_peer(Server::node, kMeasured);
  std::printf(
      "{\"disease\": \"clogged\", \"bare_per_second\": %.0f, \"bare_kept\": %.3f, "
      "\"shared_per_second\": %.0f, \"shared_kept\": %.3f, \"per_second\": %.0f, "
      "\"kept\": %.3f}\n",
      bare.undisturbed, bare.kept(), shared.undisturbed, shared.kept(), ours.undisturbed,
      ours.kept());
}

void print_care(const char* arm, const WedgeCare& care) {
  std::printf(", \"%s_stalls\": %llu, \"%s_peeled\": %s, \"%s_enlarged\": %s", arm,
              static_cast<unsigned long long>(care.stalls), arm, care.peeled ? "true" : "false",
              arm, care.enlarged ? "true" : "false");
}

// One object, to which `print` adds what it has to say of each server.
template <class Print>
void print_wedge(Print print) {
  std::printf("{\"disease\": \"wedge\"");
  print("bare", Server::bare);
  print("shared", Server::node_without_peeling);
  print("node", Server::node);
  std::printf("}\n");
}

void wedge() {
  print_wedge([](const char* arm, Server server) {
    constexpr std::size_t kMessagesEach = 6000;
    const TwoWayRun run = exchange_with_little_receive_buffer(server, kMessagesEach, 15s);
    std::printf(
        ", \"%s_sent\": %zu, \"%s_arrived\": %zu, \"%s_wrong\": %zu, "
        "\"%s_longest_silence_s\": %.3f, \"%s_ends_wedged\": %s",
        arm, run.sent, arm, run.arrived, arm, run.wrong, arm, seconds(run.longest_silence), arm,
        run.ends_wedged ? "true" : "false");
    print_care(arm, run.care);
  });
}

void gaps() {
  static constexpr Duration kMeasured = 8s;
  print_wedge([](const char* arm, Server server) {
    const WedgedRun run = exchange_beside_gaps(server, kMeasured);
    std::printf(", \"%s_answers\": %zu, \"%s_longest_silence_s\": %.3f, \"%s_gaps_filled\": %s",
                arm, run.answers, arm, seconds(run.longest_silence), arm,
                run.gaps_filled ? "true" : "false");
    print_care(arm, run.care);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: transport_bench loud|curve|clogged|wedge|gaps\n");
    return 2;
  }
  const std::string_view what = argv[1];
  try {
    if (what == "loud") flood();
    if (what == "curve") curve();
    if (what == "clogged") clogged();
    if (what == "wedge") wedge();
    if (what == "gaps") gaps();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "transport_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
