#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>

#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/support/sctp_node.h"

namespace siglane::sctp_test {

// One direction of one association: `each` numbered messages on each of four ordered streams, of 8
// to 20000 bytes, most of them small. Both ends know size and content of every one, so that what is
// lost, doubled, reordered or altered is a violation.
struct Flow {
  static constexpr std::uint32_t kStreams = 4;

  std::uint32_t seed = 0;
  std::uint32_t each = 0;
  std::size_t size_max = 20000;
  std::array<std::uint32_t, kStreams> sent{}, received{};
  std::uint32_t violations = 0;

  std::uint32_t total_sent() const { return std::accumulate(sent.begin(), sent.end(), 0u); }
  std::uint32_t total_received() const {
    return std::accumulate(received.begin(), received.end(), 0u);
  }
  bool all_sent() const { return total_sent() == each * kStreams; }
  bool all_received() const { return total_received() == each * kStreams; }

  // Full speed: as much as is taken.
  void pump(Node& node, AssociationId id) {
    for (bool taken = true; taken;) {
      taken = false;
      for (std::uint32_t stream = 0; stream < kStreams; ++stream) {
        if (sent[stream] == each ||
            node.send(id, next(stream, node.world.buffers)) != SendOutcome::accepted) {
          continue;
        }
        ++sent[stream];
        taken = true;
      }
    }
  }

  void check(const Message& message) {
    const auto stream = static_cast<std::uint32_t>(message.stream);
    if (stream >= kStreams) {
      ++violations;
      return;
    }
    const std::uint32_t expected = received[stream]++;
    const Bytes bytes = message.payload.bytes();
    bool right = bytes.size() == size_of(stream, expected) && load_u32(bytes.data()) == seed &&
                 load_u32(bytes.data() + 4) == expected;
    for (std::size_t i = kHeaderBytes; right && i < bytes.size(); ++i) {
      right = bytes[i] == filler(expected, i);
    }
    violations += right ? 0 : 1;
  }

 private:
  static constexpr std::size_t kHeaderBytes = 8;

  std::size_t size_of(std::uint32_t stream, std::uint32_t number) const {
    Random random(std::uint64_t{seed} * 1000003 + stream * 7919 + number);
    const auto kind = random.below(20);
    std::size_t size = 20000;
    if (kind > 0) size = kHeaderBytes + random.below(kind < 4 ? 20000 - kHeaderBytes : 3000);
    return std::min(size, size_max);
  }
  static std::byte filler(std::uint32_t number, std::size_t at) {
    return static_cast<std::byte>(static_cast<std::uint8_t>(number + at));
  }
  Message next(std::uint32_t stream, BufferPool& pool) const {
    const std::uint32_t number = sent[stream];
    const std::size_t size = size_of(stream, number);
    BufferBuilder builder(pool, size);
    builder.u32(seed);
    builder.u32(number);
    std::byte* rest = builder.extend(size - kHeaderBytes);
    for (std::size_t i = kHeaderBytes; i < size; ++i) rest[i - kHeaderBytes] = filler(number, i);
    Message message;
    message.stream = StreamId{static_cast<std::uint16_t>(stream)};
    message.payload = std::move(builder).finish();
    return message;
  }
};

// A node, and by association what it sends and what it must receive.
struct FlowEnd {
  explicit FlowEnd(World& world, Stack stack = default_stack)
      : node(world, Node::never_peeling(), stack) {
    node.on_message = [this](AssociationId id, const Message& message) {
      in.at(id)->check(message);
      const auto peel = peel_inside.find(id);
      if (peel == peel_inside.end() || --peel->second > 0) return;
      peel_inside.erase(peel);
      EXPECT_TRUE(node.peel(id)) << "from within a batch of the shared socket";
    };
  }
  void pump() {
    for (auto& [id, flow] : out) flow->pump(node, id);
  }

  Node node;
  std::map<AssociationId, Flow*> out, in;
  std::map<AssociationId, std::uint32_t> peel_inside;  // at that message, within its callback
};

}  // namespace siglane::sctp_test
