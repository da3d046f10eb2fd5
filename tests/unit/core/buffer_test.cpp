#include "core/buffer.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace siglane {
namespace {

Buffer filled(BufferPool& pool, std::size_t size, std::byte value) {
  BufferBuilder builder(pool, 16);
  for (std::size_t i = 0; i < size; ++i) builder.u8(std::to_integer<std::uint8_t>(value));
  return std::move(builder).finish();
}

TEST(Buffer, SlicesShareTheBytesAndKeepThemAlive) {
  BufferPool pool;
  Buffer part;
  {
    Buffer whole = Buffer::copy_of(as_bytes("hello world"));
    part = whole.slice(6, 5);
  }
  EXPECT_EQ(as_text(part.bytes()), "world");
}

TEST(Buffer, IsWritableInPlaceOnlyWhileNobodyElseHoldsIt) {
  Buffer one = Buffer::copy_of(as_bytes("abc"));
  EXPECT_EQ(one.exclusive_bytes().size(), 3u);
  Buffer two = one;
  EXPECT_TRUE(one.exclusive_bytes().empty());
  two = Buffer();
  EXPECT_EQ(one.exclusive_bytes().size(), 3u);
}

TEST(BufferPool, ReusesBlocksInSteadyState) {
  BufferPool pool;
  filled(pool, 100, std::byte{1});
  const auto before = pool.heap_allocations();
  for (int i = 0; i < 1000; ++i) filled(pool, 100, std::byte{2});
  EXPECT_EQ(pool.heap_allocations(), before);
}

TEST(BufferPool, KeepsNoMoreThanItsCap) {
  BufferPool pool(10000);
  std::vector<Buffer> many;
  for (int i = 0; i < 100; ++i) many.push_back(filled(pool, 1000, std::byte{3}));
  many.clear();
  EXPECT_LE(pool.cached_bytes(), 10000u);
}

TEST(BufferPool, ForgetsAPeakAndKeepsWhatIsNeeded) {
  BufferPool pool;
  const auto use = [&](std::size_t blocks) {
    std::vector<Buffer> at_once;
    for (std::size_t i = 0; i < blocks; ++i) at_once.push_back(filled(pool, 200, std::byte{1}));
  };
  use(64);
  pool.release_unused();  // they were needed since it began
  EXPECT_EQ(pool.cached_bytes(), 64u * 256);
  for (int second = 0; second < 20; ++second) {
    use(8);
    pool.release_unused();
  }
  EXPECT_EQ(pool.cached_bytes(), 8u * 256);
  const std::uint64_t before = pool.heap_allocations();
  use(8);
  EXPECT_EQ(pool.heap_allocations(), before);
}

TEST(BufferPool, ForgetsWhatComesBackFromOtherThreadsWhileItsOwnDoesNothing) {
  BufferPool pool;
  {
    std::vector<Buffer> elsewhere;
    for (int i = 0; i < 64; ++i) elsewhere.push_back(filled(pool, 1000, std::byte{1}));
    std::thread([there = std::move(elsewhere)]() mutable { there.clear(); }).join();
  }
  for (int second = 0; second < 10; ++second) pool.release_unused();
  EXPECT_EQ(pool.cached_bytes(), 0u);
}

TEST(BufferPool, TakesBackBlocksThatAnotherThreadFreed) {
  BufferPool pool;
  for (int round = 0; round < 20; ++round) {
    std::vector<Buffer> sent;
    for (int i = 0; i < 50; ++i) sent.push_back(filled(pool, 10, std::byte{4}));
    std::thread([moved = std::move(sent)] {}).join();
  }
  EXPECT_LE(pool.heap_allocations(), 51u);
}

TEST(BufferPool, MayDieBeforeItsBuffers) {
  Buffer here, there;
  {
    BufferPool pool;
    here = filled(pool, 10, std::byte{5});
    there = filled(pool, 10, std::byte{6});
  }
  EXPECT_EQ(here.bytes()[9], std::byte{5});
  std::thread([moved = std::move(there)] {}).join();
}

TEST(BufferPool, MayDieWhileOtherThreadsFreeItsBuffers) {
  for (int round = 0; round < 50; ++round) {
    std::vector<Buffer> sent;
    std::thread other;
    {
      BufferPool pool;
      for (int i = 0; i < 50; ++i) sent.push_back(filled(pool, 10, std::byte{7}));
      other = std::thread([moved = std::move(sent)]() mutable { moved.clear(); });
    }
    other.join();
  }
}

TEST(BufferBuilder, WritesBigEndianFieldsAcrossGrowth) {
  BufferPool pool;
  BufferBuilder builder(pool, 4);
  builder.u8(1);
  builder.u24(0x020304);
  builder.u32(0x05060708);
  builder.u64(0x090a0b0c0d0e0f10u);
  builder.u16(0x1112);
  builder.pad_to(4);
  builder.patch_u16(0, 0xffff);
  builder.zeros(5000);
  Buffer buffer = std::move(builder).finish();
  ASSERT_EQ(buffer.size(), 5020u);
  EXPECT_EQ(load_u16(buffer.bytes().data()), 0xffff);
  EXPECT_EQ(load_u16(buffer.bytes().data() + 2), 0x0304);
  EXPECT_EQ(load_u64(buffer.bytes().data() + 8), 0x090a0b0c0d0e0f10u);
  EXPECT_EQ(load_u32(buffer.bytes().data() + 16), 0x11120000u);
}

TEST(ByteReader, RefusesToReadPastTheEndAndDoesNotMove) {
  const std::byte bytes[] = {std::byte{1}, std::byte{2}, std::byte{3}};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u16(), 0x0102);
  EXPECT_FALSE(reader.u16());
  EXPECT_EQ(reader.offset(), 2u);
  EXPECT_EQ(reader.u8(), 3);
  EXPECT_TRUE(reader.done());
}

}  // namespace
}  // namespace siglane
