#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/association.h"
#include "core/config.h"
#include "core/time.h"
#include "core/transport.h"
#include "transport/peeling/traffic_meter.h"

namespace siglane::transport {

// One association on a shared socket, as the last window saw it.
struct PeeloffSample {
  AssociationId id{};
  Placement pin = Placement::automatic;
  Duration age{};  // since Up
  TrafficRates rates;
  Duration above_threshold{};    // without a break
  std::uint64_t bytes_held = 0;  // accepted since the stack was last dry: an upper bound
  bool held_is_stuck = false;    // unacknowledged count unchanged, not zero, over two samples
  std::uint64_t bytes_undelivered = 0;  // received, acknowledged, and not yet read by us
};

// What the shared socket suffers from.
struct SharedPressure {
  double receive_memory_share = 0;  // allocated / SO_RCVBUF
  double send_memory_share = 0;     // queued / SO_SNDBUF
  bool send_blocked = false;        // the last send gave EAGAIN
  Duration since_progress{};        // nothing read although receive memory is full
};

// When an association earns a socket of its own. Peeling is one-way, so that sockets are spent
// slowly: what must hold for how long is said here.
struct PeeloffLimits {
  double messages_per_second_min = 1000;  // both directions together; 0: not by this measure
  double bytes_per_second_min = 2e6;      // the same
  Duration sustained_min = 3s;
  Duration age_min = 2s;
  // Sockets at a time, of all shards; 0: peeling is off, and only a pin is starved by that.
  std::size_t peeled_max = 256;

  TrafficThreshold threshold() const { return {messages_per_second_min, bytes_per_second_min}; }
};

// From here on, a shared socket's trouble is the policy's business.
inline constexpr double kReceiveMemoryFull = 0.9;
inline constexpr Duration kWedgedAfter = 250ms;
inline constexpr double kSendMemoryTight = 0.5;

inline bool is_send_tight(const SharedPressure& pressure) {
  return pressure.send_blocked || pressure.send_memory_share >= kSendMemoryTight;
}

struct PeeloffDecision {
  AssociationId id{};
  PeeloffReason reason{};
};

struct PeeloffChoice {
  std::vector<PeeloffDecision> chosen;  // most urgent first
  std::size_t starved = 0;              // earned one too, but peeled_max is reached
};

// Which associations of one shared socket earn a socket of their own now. In this order:
//   pinned         the peer's configuration says `always`;
//   receive_wedge  receive memory is full and nothing moves: those with the largest backlog, until
//                  half of all backlog is gone;
//   clogged        send memory is tight: the stuck one that holds most; while it refuses messages,
//                  those that hold most, until half of what the stuck ones hold is gone;
//   rates          sustained traffic of an association old enough, busiest first.
// A pin `never` is never chosen. Pure, but for the order of `samples`, which are used up: most
// ticks choose nobody, and then nothing is allocated.
PeeloffChoice choose_peeloffs(std::span<PeeloffSample> samples, const SharedPressure& pressure,
                              const PeeloffLimits& limits, std::size_t peeled_now);

}  // namespace siglane::transport
