// An STP of several shards, letter by letter: real modules, ASs and ASP sessions on shards that
// take turns in one thread, while ASPs ask for this and that as fast as they like, are lost, come
// back and move. Whatever the interleaving, no flow of DATA is reordered, doubled, or short of a
// message that was not counted; every ASP gets its way in the end; and nothing stays paused or
// held.
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "tests/sim/m3ua_shards.h"
#include "tests/support/seeds.h"

namespace siglane::m3ua {
namespace {

constexpr std::size_t kSources = 2, kSinks = 3;
constexpr std::uint32_t kSinkContext = 101, kSinkPointCode = 1001;

M3uaConfig config_of(TrafficMode mode, std::size_t active_min) {
  M3uaConfig config;
  ApplicationServerConfig sinks;
  sinks.name = "sinks";
  sinks.routing_context = kSinkContext;
  sinks.traffic_mode = mode;
  sinks.active_asps_min = active_min;
  sinks.recovery_timeout = 20ms;
  sinks.pending_messages_max = 1'000'000;
  for (std::uint32_t n = 1; n <= kSinks; ++n) {
    config.asps.push_back({"sink" + std::to_string(n), n});
    sinks.asps.push_back(config.asps.back().name);
  }
  config.application_servers.push_back(sinks);
  config.routes.push_back({kSinkPointCode, {}, {}, {}, "sinks"});
  ApplicationServerConfig sources;
  sources.name = "sources";
  sources.routing_context = kSinkContext + 1;
  sources.traffic_mode = TrafficMode::loadshare;
  for (std::uint32_t n = 1; n <= kSources; ++n) {
    config.asps.push_back({"source" + std::to_string(n), kSinks + n});
    sources.asps.push_back(config.asps.back().name);
  }
  config.application_servers.push_back(sources);
  config.routes.push_back({kSinkPointCode + 1, {}, {}, {}, "sources"});
  config.drain_messages_per_ms_max = 3;
  return config;
}

class Schedule : public M3uaShards {
 public:
  explicit Schedule(std::uint64_t seed)
      : M3uaShards(seed, kSinks + kSources),
        mode_(random_.below(2) == 0 ? TrafficMode::loadshare : TrafficMode::override_mode) {
    const std::size_t shards = 1 + random_.below(3);
    const M3uaConfig config =
        config_of(mode_, mode_ == TrafficMode::loadshare ? 1 + random_.below(2) : 1);
    open(shards, config, AdmissionConfig{true, 1h, 1000}, draw_mailbox(2));
    for (std::uint32_t n = 1; n <= asps(); ++n) connect(n);
    settle();
  }

  void play(unsigned events) {
    for (unsigned i = 0; i < events && ledger_.trouble.empty(); ++i) {
      now_ += 100us;
      const auto what = random_.below(100);
      if (what < 40) {
        const std::uint32_t source = any_source();
        if (may_speak(source)) send(source, kSinkContext + 1, kSinkPointCode);
      } else if (what < 80) {
        any().shard->run_mailbox(now_, 1 + random_.below(3));
      } else if (what < 88) {
        for (auto n = 1 + random_.below(8); n > 0; --n) ask_anything(any_sink(), 1);
      } else if (what < 90) {
        const std::uint32_t sink = any_sink();
        ask_anything(sink, random_.below(60));
      } else if (what < 94) {
        move_anywhere(ends_[random_.below(2) == 0 ? any_sink() : any_source()]);
      } else if (what < 95) {
        replace(any_sink());
      } else {
        run_due();
      }
    }
  }

  // Every ASP comes up and active, as far as it may, and all that is under way arrives.
  void settle() {
    come_to_rest([&] { return settled(); },
                 [&] {
                   for (std::uint32_t n = 1; n <= asps(); ++n) tend(n);
                 });
  }

  void check() {
    ASSERT_EQ(ledger_.trouble, "");
    ASSERT_FALSE(directory_.diverting()) << "a diversion that never ended";
    ASSERT_EQ(unaccounted(), 0);
    ASSERT_TRUE(all_have_their_way()) << states();
    ASSERT_FALSE(anything_paused());
  }

 private:
  std::uint32_t any_sink() { return any_asp(1, kSinks); }
  std::uint32_t any_source() { return any_asp(kSinks + 1, kSources); }
  void on_sent(AssociationId, const MessageView& message) override {
    if (message.type() == MessageType::data) ledger_.arrive(message);
  }
  void tend(std::uint32_t asp) {
    if (was_closed(asp)) return replace(asp);
    const std::string status = status_of(asp);
    if (status.starts_with("ASP-DOWN")) say(asp, MessageType::aspup);
    if (status.starts_with("ASP-INACTIVE") && (asp > kSinks || !one_is_enough())) {
      say(asp, MessageType::aspac);
    }
  }
  std::size_t active_sinks() {
    std::size_t n = 0;
    for (std::uint32_t sink = 1; sink <= kSinks; ++sink) n += is_active(sink) ? 1 : 0;
    return n;
  }
  bool one_is_enough() { return mode_ == TrafficMode::override_mode && active_sinks() > 0; }
  bool all_have_their_way() {
    for (std::uint32_t n = kSinks + 1; n <= asps(); ++n) {
      if (!is_active(n)) return false;
    }
    return active_sinks() == (mode_ == TrafficMode::loadshare ? kSinks : 1);
  }
  std::string states() {
    std::string all;
    for (std::uint32_t n = 1; n <= asps(); ++n) all += status_of(n) + "\n";
    return all;
  }
  bool settled() {
    return unaccounted() == 0 && !directory_.diverting() && all_have_their_way() &&
           !anything_paused();
  }

  TrafficMode mode_;
};

TEST(M3uaShards, KeepEveryFlowInOrderAndServeEveryAspWhateverItAsksFor) {
  const std::uint64_t schedules = test::long_run() ? 200'000 : 5'000;
  std::uint64_t moves = 0, pauses = 0, sent = 0, arrived = 0;
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    Schedule run(seed);
    run.play(400);
    run.settle();
    run.check();
    if (HasFatalFailure()) FAIL() << "seed " << seed;
    moves += run.count(siglane::counter::moves);
    pauses += run.count(siglane::counter::inputs_paused);
    sent += run.ledger().sent;
    arrived += run.ledger().arrived;
  }
  // The schedules do what they are for.
  EXPECT_GT(moves, schedules / 4);
  EXPECT_GT(pauses, schedules);
  EXPECT_GT(arrived, sent / 2);
}

}  // namespace
}  // namespace siglane::m3ua
