#pragma once
#include <chrono>
#include <cstdint>

namespace siglane {

// The clock every core is told about and none can read: it has no now().
// Only the loop (real time, CLOCK_MONOTONIC) and the simulator (virtual time) mint Instants.
struct Clock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::duration<rep, period>;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;
};

using Duration = Clock::duration;
using Instant = Clock::time_point;

using namespace std::chrono_literals;  // 250ms, 30s: the only spelling of a duration we use

inline double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}
inline std::int64_t whole_milliseconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

}  // namespace siglane
