#pragma once
#include <atomic>
#include <cstdint>

struct Allocations {
  std::atomic<std::uint64_t> count, bytes_in_use;
};

// Where a program that links counting_new.cpp counts what operator new gives; null: nowhere.
extern Allocations* allocations_counted_in;
