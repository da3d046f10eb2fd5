#include "transport/sctp/reassembly.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/payload_protocols.h"

namespace siglane::transport {
namespace {

using Outcome = Reassembly::Outcome;

struct ReassemblyTest : ::testing::Test {
  BufferPool pool;
  Reassembly reassembly{100};
  Message out;

  Outcome add(int stream, std::string_view text, bool ends, bool unordered = false) {
    return reassembly.add({StreamId{static_cast<std::uint16_t>(stream)}, test::kM3ua, unordered,
                           ends, as_bytes(text)},
                          pool, out);
  }
  std::string text() const { return std::string(as_text(out.payload.bytes())); }
};

TEST_F(ReassemblyTest, ANewLimitHoldsFromTheNextPieceOn) {
  EXPECT_EQ(add(1, std::string(60, 'a'), false), Outcome::partial);
  reassembly.limit(200);
  EXPECT_EQ(add(1, std::string(60, 'b'), false), Outcome::partial);
  reassembly.limit(50);
  EXPECT_EQ(add(2, std::string(50, 'c'), true), Outcome::whole);
  EXPECT_EQ(add(1, "d", true), Outcome::oversized);
  EXPECT_EQ(reassembly.bytes(), 0u);
}

TEST_F(ReassemblyTest, PiecesBecomeTheWholeMessageWithItsStreamAndProtocol) {
  EXPECT_EQ(add(3, "ab", false), Outcome::partial);
  EXPECT_EQ(add(3, "cd", false), Outcome::partial);
  EXPECT_EQ(reassembly.bytes(), 4u);
  EXPECT_EQ(add(3, "e", true), Outcome::whole);
  EXPECT_EQ(text(), "abcde");
  EXPECT_EQ(out.stream, StreamId{3});
  EXPECT_EQ(out.protocol, test::kM3ua);
  EXPECT_TRUE(reassembly.empty());
}

TEST_F(ReassemblyTest, StreamsAreKeptApart) {
  add(1, "a", false);
  add(2, "x", false);
  add(1, "b", false);
  EXPECT_EQ(add(2, "y", true), Outcome::whole);
  EXPECT_EQ(text(), "xy");
  EXPECT_EQ(add(1, "c", true), Outcome::whole);
  EXPECT_EQ(text(), "abc");
}

TEST_F(ReassemblyTest, UnorderedAndOrderedMessagesOfAStreamAreKeptApart) {
  add(1, "a", false);
  EXPECT_EQ(add(1, "u", true, true), Outcome::whole);
  EXPECT_EQ(text(), "u");
  EXPECT_TRUE(out.unordered);
  EXPECT_EQ(add(1, "b", true), Outcome::whole);
  EXPECT_EQ(text(), "ab");
}

TEST_F(ReassemblyTest, AMessageMayFillTheLimitAndNotAByteMore) {
  EXPECT_EQ(add(1, std::string(60, 'a'), false), Outcome::partial);
  EXPECT_EQ(add(1, std::string(40, 'b'), true), Outcome::whole);
  EXPECT_EQ(out.payload.size(), 100u);
  EXPECT_EQ(add(1, std::string(60, 'a'), false), Outcome::partial);
  EXPECT_EQ(add(1, std::string(41, 'b'), true), Outcome::oversized);
  EXPECT_TRUE(reassembly.empty());
}

TEST_F(ReassemblyTest, AnAbortedDeliveryLeavesNothingBehind) {
  add(1, "a", false);
  EXPECT_FALSE(reassembly.abort(StreamId{2}, false));
  EXPECT_FALSE(reassembly.abort(StreamId{1}, true));
  EXPECT_TRUE(reassembly.abort(StreamId{1}, false));
  EXPECT_EQ(add(1, "new", true), Outcome::whole);
  EXPECT_EQ(text(), "new");
}

TEST_F(ReassemblyTest, WhatIsHeldMovesToAnotherThreadsPool) {
  add(1, "a", false);
  BufferPool other;
  reassembly.move_to(other);
  const auto before = pool.heap_allocations();
  EXPECT_EQ(reassembly.add({StreamId{1}, {}, false, true, as_bytes("b")}, other, out),
            Outcome::whole);
  EXPECT_EQ(text(), "ab");
  EXPECT_EQ(pool.heap_allocations(), before);
}

}  // namespace
}  // namespace siglane::transport
