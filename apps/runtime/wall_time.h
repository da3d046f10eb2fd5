#pragma once
#include <chrono>
#include <cstdint>

#include "core/time.h"

namespace siglane::runtime {

// Milliseconds since 1970, for logs and operators. Wall time may jump; nothing is ever timed by it.
inline std::int64_t unix_ms_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// When instants were, or will be, in wall time; seen from `now`, which is about the present.
class WallClock {
 public:
  explicit WallClock(Instant now) : now_(now) {}

  std::int64_t unix_ms() const { return unix_ms_; }  // of `now`
  std::int64_t unix_ms(Instant at) const {
    return unix_ms_ - std::chrono::duration_cast<std::chrono::milliseconds>(now_ - at).count();
  }

 private:
  Instant now_;
  std::int64_t unix_ms_ = unix_ms_now();
};

}  // namespace siglane::runtime
