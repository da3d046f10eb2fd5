#pragma once
#include <atomic>
#include <cstdint>

struct Allocations {
  std::atomic<std::uint64_t> count, bytes_in_use;
};

// Where a program that links siglane_counting_new counts what operator new gives on this thread;
// null: nowhere.
extern constinit thread_local Allocations* allocations_counted_in;
