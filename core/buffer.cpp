#include "core/buffer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <new>
#include <thread>

namespace siglane {
namespace detail {
namespace {

// The powers of two from 256 bytes to 256 KiB.
constexpr std::size_t kSmallestShift = 8, kClasses = 11;

constexpr std::size_t bytes_of_class(std::size_t index) {
  return std::size_t{1} << (kSmallestShift + index);
}
// kClasses, or more: of none.
constexpr std::size_t class_of(std::size_t bytes) {
  const auto shift = static_cast<std::size_t>(std::bit_width(bytes == 0 ? 0 : bytes - 1));
  return shift <= kSmallestShift ? 0 : shift - kSmallestShift;
}
static_assert(class_of(0) == 0 && class_of(256) == 0 && class_of(257) == 1 && class_of(512) == 1);
static_assert(class_of(262144) == kClasses - 1 && class_of(262145) == kClasses);

// Marks a return stack whose pool is gone.
Block* const kClosed = reinterpret_cast<Block*>(std::uintptr_t{1});

void free_block(Block* block) {
  block->~Block();
  ::operator delete(block);
}

}  // namespace

// Blocks of one size, kept for reuse.
struct FreeList {
  Block* first = nullptr;
  std::size_t blocks = 0;
  std::size_t unused = 0;  // were there all the time since the last release_unused()

  void push(Block* block) {
    block->next = first;
    first = block;
    ++blocks;
  }
  // Precondition: not empty.
  Block* pop() {
    Block* block = std::exchange(first, first->next);
    unused = std::min(unused, --blocks);
    return block;
  }
};

struct PoolState {
  std::array<FreeList, kClasses> free{};  // owner's thread only
  std::size_t cached_bytes = 0;
  std::size_t cached_bytes_max = 0;
  std::uint64_t heap_allocations = 0;
  std::uint64_t heap_frees = 0;  // by the owner
  std::thread::id owner;
  bool orphaned = false;
  std::atomic<Block*> returned{nullptr};  // freed on other threads, newest first
  std::atomic<std::uint64_t> orphans{0};  // after the pool is gone: blocks still out

  void keep(Block* block) {
    if (cached_bytes + block->capacity > cached_bytes_max) return give_back(block);
    free[class_of(block->capacity)].push(block);
    cached_bytes += block->capacity;
  }
  void give_back(Block* block) {
    free_block(block);
    ++heap_frees;
  }

  void take_returned() {
    Block* block = returned.exchange(nullptr, std::memory_order_acquire);
    while (block != nullptr) keep(std::exchange(block, block->next));
  }

  void forget_orphans(std::uint64_t count) {
    if (count != 0 && orphans.fetch_sub(count, std::memory_order_acq_rel) == count) delete this;
  }
};

Block* allocate_block(PoolState* home, std::size_t capacity) {
  const std::size_t index = class_of(capacity);
  if (home == nullptr || index >= kClasses) {
    void* raw = ::operator new(sizeof(Block) + capacity);
    return new (raw) Block{1, static_cast<std::uint32_t>(capacity), nullptr, nullptr};
  }
  assert(home->owner == std::this_thread::get_id());
  if (home->free[index].first == nullptr) home->take_returned();
  if (home->free[index].first != nullptr) {
    Block* block = home->free[index].pop();
    home->cached_bytes -= block->capacity;
    block->holders.store(1, std::memory_order_relaxed);
    return block;
  }
  const std::size_t bytes = bytes_of_class(index);
  void* raw = ::operator new(sizeof(Block) + bytes);
  ++home->heap_allocations;
  return new (raw) Block{1, static_cast<std::uint32_t>(bytes), home, nullptr};
}

void release_block(Block* block) {
  if (block->holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  PoolState* home = block->home;
  if (home == nullptr) {
    free_block(block);
    return;
  }
  if (home->owner == std::this_thread::get_id() && !home->orphaned) {
    home->keep(block);
    return;
  }
  Block* head = home->returned.load(std::memory_order_acquire);
  while (head != kClosed) {
    block->next = head;
    if (home->returned.compare_exchange_weak(head, block, std::memory_order_release,
                                             std::memory_order_acquire)) {
      return;
    }
  }
  free_block(block);
  home->forget_orphans(1);
}

}  // namespace detail

Buffer Buffer::copy_of(Bytes bytes) {
  detail::Block* block = detail::allocate_block(nullptr, bytes.size());
  std::copy(bytes.begin(), bytes.end(), block->data());
  return {block, bytes.size()};
}

Buffer Buffer::slice(std::size_t offset, std::size_t size) const {
  assert(offset + size <= size_);
  Buffer part = *this;
  part.offset_ += static_cast<std::uint32_t>(offset);
  part.size_ = static_cast<std::uint32_t>(size);
  return part;
}

std::span<std::byte> Buffer::exclusive_bytes() {
  if (block_ == nullptr || block_->holders.load(std::memory_order_acquire) != 1) return {};
  return {block_->data() + offset_, size_};
}

BufferPool::BufferPool(std::size_t cached_bytes_max) : state_(new detail::PoolState) {
  state_->cached_bytes_max = cached_bytes_max;
  bind_to_this_thread();
}

BufferPool::~BufferPool() {
  state_->orphaned = true;
  state_->cached_bytes_max = 0;  // keep() now frees
  for (auto& list : state_->free) {
    while (list.first != nullptr) state_->give_back(list.pop());
  }
  // One more than are out, so that the state lives until this function is done with it.
  state_->orphans.store(state_->heap_allocations - state_->heap_frees + 1,
                        std::memory_order_release);
  detail::Block* block = state_->returned.exchange(detail::kClosed, std::memory_order_acq_rel);
  std::uint64_t gone = 1;
  while (block != nullptr) {
    detail::free_block(std::exchange(block, block->next));
    ++gone;
  }
  state_->forget_orphans(gone);
}

void BufferPool::bind_to_this_thread() {
  state_->owner = std::this_thread::get_id();
}

void BufferPool::release_unused() {
  state_->take_returned();
  std::size_t released = 0;
  for (detail::FreeList& list : state_->free) {
    for (std::size_t n = (list.unused + 1) / 2; n > 0; --n) {
      detail::Block* block = list.pop();
      released += block->capacity;
      state_->give_back(block);
    }
    list.unused = list.blocks;
  }
  state_->cached_bytes -= released;
}

std::uint64_t BufferPool::heap_allocations() const {
  return state_->heap_allocations;
}
std::size_t BufferPool::cached_bytes() const {
  return state_->cached_bytes;
}

BufferBuilder::BufferBuilder(BufferPool& pool, std::size_t expected_size)
    : pool_(&pool), block_(detail::allocate_block(pool.state_, expected_size)) {}

void BufferBuilder::append(Bytes bytes) {
  if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
}

void BufferBuilder::zeros(std::size_t count) {
  if (count != 0) std::memset(extend(count), 0, count);
}

void BufferBuilder::grow(std::size_t count) {
  const std::size_t wanted =
      std::max<std::size_t>(size_ + count, std::size_t{2} * block_->capacity);
  detail::Block* larger = detail::allocate_block(pool_->state_, wanted);
  std::memcpy(larger->data(), block_->data(), size_);
  detail::release_block(std::exchange(block_, larger));
}

}  // namespace siglane
