#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "core/bytes.h"

namespace siglane {

class BufferPool;

namespace detail {

struct PoolState;

// One allocation: this header, then `capacity` bytes. Counted by its holders; the last one sends
// it home: to its pool's free list on the pool's own thread, to the pool's return stack on another.
struct Block {
  std::atomic<std::uint32_t> holders;
  std::uint32_t capacity;
  PoolState* home;  // nullptr: straight from the heap, and straight back
  Block* next;

  std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
};

Block* allocate_block(PoolState* home, std::size_t capacity);
void release_block(Block* block);

}  // namespace detail

// A shared slice of bytes, immutable once filled. Copying shares, slicing shares, and the last
// holder may be on any thread. Copying costs one atomic increment, never an allocation.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer& other) : block_(other.block_), offset_(other.offset_), size_(other.size_) {
    if (block_ != nullptr) block_->holders.fetch_add(1, std::memory_order_relaxed);
  }
  Buffer(Buffer&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        offset_(std::exchange(other.offset_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(block_, other.block_);
    std::swap(offset_, other.offset_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (block_ != nullptr) detail::release_block(block_);
  }

  // A copy on the heap, outside any pool: for tests and for what happens rarely.
  static Buffer copy_of(Bytes bytes);

  Bytes bytes() const {
    return block_ == nullptr ? Bytes{} : Bytes{block_->data() + offset_, size_};
  }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Precondition: offset + size <= this->size().
  Buffer slice(std::size_t offset, std::size_t size) const;

  // Bytes that may be changed in place, because nobody else holds them; empty when shared. For the
  // few fields that a relay rewrites (hop-by-hop id, routing context): copy only if this is empty.
  std::span<std::byte> exclusive_bytes();

 private:
  friend class BufferBuilder;
  Buffer(detail::Block* block, std::size_t size)
      : block_(block), size_(static_cast<std::uint32_t>(size)) {}

  detail::Block* block_ = nullptr;
  std::uint32_t offset_ = 0;
  std::uint32_t size_ = 0;
};

// Blocks of a few sizes, kept for reuse by one thread (its shard). Buffers may outlive their pool.
class BufferPool {
 public:
  // `cached_bytes_max`: free blocks kept beyond it go back to the heap.
  explicit BufferPool(std::size_t cached_bytes_max = std::size_t{4} << 20);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // The thread that allocates from now on. Constructed: the constructing thread.
  void bind_to_this_thread();

  // Now and then, on the pool's own thread: gives half of what nobody has needed since the
  // last call back to the heap, so that a peak, or traffic that moved elsewhere, is forgotten.
  void release_unused();

  // For tests and statistics: blocks taken from the heap so far, free bytes held.
  std::uint64_t heap_allocations() const;
  std::size_t cached_bytes() const;

 private:
  friend class BufferBuilder;
  detail::PoolState* state_;
};

// Builds one Buffer from big-endian fields; grows as needed. Single use: finish() ends it.
class BufferBuilder {
 public:
  explicit BufferBuilder(BufferPool& pool, std::size_t expected_size = 256);
  BufferBuilder(BufferBuilder&& other) noexcept
      : pool_(other.pool_), block_(std::exchange(other.block_, nullptr)), size_(other.size_) {}
  BufferBuilder& operator=(BufferBuilder&&) = delete;
  ~BufferBuilder() {
    if (block_ != nullptr) detail::release_block(block_);
  }

  std::size_t size() const { return size_; }
  Bytes bytes() const { return {block_->data(), size_}; }

  void u8(std::uint8_t v) { *extend(1) = static_cast<std::byte>(v); }
  void u16(std::uint16_t v) { store_u16(extend(2), v); }
  void u24(std::uint32_t v) { store_u24(extend(3), v); }
  void u32(std::uint32_t v) { store_u32(extend(4), v); }
  void u64(std::uint64_t v) { store_u64(extend(8), v); }
  void append(Bytes bytes);
  void zeros(std::size_t count);
  // Pads with zeros to the next multiple of `alignment` of size().
  void pad_to(std::size_t alignment) { zeros((alignment - size_ % alignment) % alignment); }

  // Room for `count` more bytes, uninitialised; valid until the next call.
  std::byte* extend(std::size_t count) {
    if (block_->capacity - size_ < count) grow(count);
    std::byte* at = block_->data() + size_;
    size_ += count;
    return at;
  }
  // Takes the last bytes back (what extend() gave and a read did not fill).
  void shrink_to(std::size_t size) { size_ = size < size_ ? size : size_; }

  // Overwrites a field written before. Precondition: it lies within size().
  void patch_u16(std::size_t offset, std::uint16_t v) { store_u16(block_->data() + offset, v); }
  void patch_u24(std::size_t offset, std::uint32_t v) { store_u24(block_->data() + offset, v); }
  void patch_u32(std::size_t offset, std::uint32_t v) { store_u32(block_->data() + offset, v); }

  Buffer finish() && { return Buffer(std::exchange(block_, nullptr), size_); }

 private:
  void grow(std::size_t count);

  BufferPool* pool_;
  detail::Block* block_;
  std::size_t size_ = 0;
};

}  // namespace siglane
