#pragma once
#include <cstdint>
#include <cstdlib>

namespace siglane::test {

// How many seeds a seeded test runs: SIGLANE_SEEDS, else its own default.
inline std::uint64_t seeds(std::uint64_t by_default) {
  const char* text = std::getenv("SIGLANE_SEEDS");
  const std::uint64_t asked = text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
  return asked > by_default ? asked : by_default;
}

// scripts/test --long: as many as it takes.
inline bool long_run() {
  return std::getenv("SIGLANE_LONG") != nullptr;
}

}  // namespace siglane::test
