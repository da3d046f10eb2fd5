#pragma once
#include <chrono>
#include <functional>
#include <optional>

#include <gtest/gtest.h>

#include "tests/support/raw_http.h"
#include "transport/loop/loop.h"

// A loop that a test turns until something has happened.
namespace siglane::testing {

// false: it did not, in 20 seconds.
inline bool turn_until(transport::Loop& loop, const std::function<bool()>& condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    loop.run_once(false);
  }
  return true;
}

// The next answer that a server on that loop gives the client; an empty one: it hung up.
inline RawHttp::Answer answer(transport::Loop& loop, RawHttp& client) {
  std::optional<RawHttp::Answer> found;
  EXPECT_TRUE(turn_until(loop, [&] {
    const bool closed = client.hear();
    found = client.answer();
    return found || closed;
  }));
  return found.value_or(RawHttp::Answer());
}

}  // namespace siglane::testing
