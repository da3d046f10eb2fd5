#include "protocols/m3ua/counters.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/m3ua/gateway_world.h"

namespace siglane::m3ua {
namespace {

TEST(M3uaCounters, NameMessagesAsTheStandardDoes) {
  EXPECT_EQ(class_label(3), "ASPSM");
  EXPECT_EQ(type_label(0x0304), "ASPUP ACK");
  EXPECT_EQ(class_label(7), "7");
}

TEST(M3uaCounters, CountMessagesByClassAndTypeBothWays) {
  sim::SimWorld world{1};
  SimGateway gateway(world, gateway_config(TrafficMode::loadshare, {1, 1}));
  Asp a(world, 1, client_config(1, {101}));
  Asp b(world, 2, client_config(2, {102}));
  ASSERT_TRUE(world.run_until([&] { return a.active() && b.active(); }));
  for (std::uint8_t sls = 0; sls < 3; ++sls) a.send({1001, 1002, 3, 2, 0, sls}, "hello");
  ASSERT_TRUE(world.run_until([&] { return b.log.data.size() == 3; }));

  std::map<std::string, std::uint64_t> rows;
  gateway.node.counters.labelled().visit(
      [&](const CounterInfo& counter, std::span<const std::uint32_t> values, std::uint64_t count) {
        rows[counter.name + " " + class_label(values[0]) + " " + type_label(values[1])] += count;
      });
  EXPECT_EQ(rows["m3ua.messages.received ASPSM ASPUP"], 2u);
  EXPECT_EQ(rows["m3ua.messages.sent ASPSM ASPUP ACK"], 2u);
  EXPECT_EQ(rows["m3ua.messages.received ASPTM ASPAC"], 2u);
  EXPECT_EQ(rows["m3ua.messages.received Transfer DATA"], 3u);
  EXPECT_EQ(rows["m3ua.messages.sent Transfer DATA"], 3u);
  std::uint64_t sent = 0;
  for (const auto& [name, count] : rows)
    sent += name.starts_with("m3ua.messages.sent ") ? count : 0;
  EXPECT_EQ(sent, gateway.node.counters.get(siglane::counter::messages_sent));
  EXPECT_EQ(sent, gateway.count(counter::messages_sent.total()));

  const SparseCounts* const b_counts = gateway.node.shard.peer_counts().find(asp_name(2));
  ASSERT_NE(b_counts, nullptr);
  EXPECT_EQ(b_counts->get(counter::data_sent.index()), 3u);
  EXPECT_EQ(b_counts->get(counter::data_received.index()), 0u);
}

}  // namespace
}  // namespace siglane::m3ua
