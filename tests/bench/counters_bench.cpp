// What one count costs: in an array that is as long as an enum (what the counters were at first),
// in a shard's open counters, for its peer too, and by labels.
#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/counters.h"
#include "core/sparse_counts.h"

namespace siglane {
namespace {

constexpr std::size_t kCounters = 80;

std::vector<Counter> define_counters() {
  std::vector<Counter> counters;
  for (std::size_t i = 0; i < kCounters; ++i) {
    counters.emplace_back("bench.counter" + std::to_string(i), "one of many");
  }
  return counters;
}
const std::vector<Counter> kMany = define_counters();
// What a message counts.
const Counter received{"bench.received", "messages"}, bytes{"bench.bytes", "bytes"},
    sent{"bench.sent", "messages"};
const LabelledCounter answers{
    "bench.answers", "answers", {{"application"}, {"command"}, {"result"}}};

enum class Closed : std::size_t { received = 3, bytes = 40, sent = 77 };
class ClosedCounters {
 public:
  void add(Closed counter, std::uint64_t n = 1) {
    auto& value = values_[static_cast<std::size_t>(counter)];
    value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::uint64_t>, kCounters> values_{};
};

void closed_enum(benchmark::State& state) {
  ClosedCounters counters;
  for (auto _ : state) {
    counters.add(Closed::received);
    counters.add(Closed::bytes, 200);
    counters.add(Closed::sent);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(closed_enum);

void open_counters(benchmark::State& state) {
  Counters counters;
  for (auto _ : state) {
    counters.add(received);
    counters.add(bytes, 200);
    counters.add(sent);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(open_counters);

// The peer has counted eleven more.
void for_a_peer_too(benchmark::State& state) {
  Counters counters;
  SparseCounts peer;
  for (std::size_t i = 0; i < kCounters; i += 8) peer.add(kMany[i].index(), 1);
  const auto count = [&](Counter counter, std::uint64_t n) {
    counters.add(counter, n);
    peer.add(counter.index(), n);
  };
  for (auto _ : state) {
    count(received, 1);
    count(bytes, 200);
    count(sent, 1);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(for_a_peer_too);

// Three counts each, of 60 combinations in turn.
void by_labels(benchmark::State& state) {
  Counters counters;
  std::uint32_t turn = 0;
  for (auto _ : state) {
    for (int i = 0; i < 3; ++i) {
      turn = turn == 59 ? 0 : turn + 1;
      counters.add(answers, {16777251, 316 + turn % 10, 2001 + turn / 10});
    }
    benchmark::ClobberMemory();
  }
}
BENCHMARK(by_labels);

}  // namespace
}  // namespace siglane

BENCHMARK_MAIN();
