#include "tests/support/counting_new.h"

#include <cstdlib>
#include <new>

#include <malloc.h>

constinit thread_local Allocations* allocations_counted_in = nullptr;

void* operator new(std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  if (allocations_counted_in != nullptr) {
    ++allocations_counted_in->count;
    allocations_counted_in->bytes_in_use += malloc_usable_size(memory);
  }
  return memory;
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr && allocations_counted_in != nullptr) {
    allocations_counted_in->bytes_in_use -= malloc_usable_size(memory);
  }
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}
