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

// When `at` was, seen from `now`, which is about the present.
inline std::int64_t unix_ms_of(Instant at, Instant now) {
  return unix_ms_now() - std::chrono::duration_cast<std::chrono::milliseconds>(now - at).count();
}

}  // namespace siglane::runtime
