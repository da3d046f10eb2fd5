#include "transport/send_queue.h"

#include <string>

#include <gtest/gtest.h>

namespace siglane::transport {
namespace {

Message message_of(std::size_t size) {
  Message message;
  message.payload = Buffer::copy_of(as_bytes(std::string(size, 'x')));
  return message;
}

Message numbered(unsigned number) {
  Message message;
  message.payload = Buffer::copy_of(as_bytes(std::to_string(number)));
  return message;
}

TEST(SendQueue, gives_back_in_order_whatever_mix_of_pushes_and_pops) {
  SendQueue queue({.send_queue_bytes_max = 1 << 20, .send_queue_messages_max = 5000});
  unsigned in = 0, out = 0;
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 7; ++i) ASSERT_TRUE(queue.push(numbered(in++)));
    for (int i = 0; i < (round < 150 ? 3 : 11) && !queue.empty(); ++i) {
      ASSERT_EQ(as_text(queue.pop().payload.bytes()), std::to_string(out++));
    }
    ASSERT_EQ(queue.messages(), in - out);
  }
  while (!queue.empty()) ASSERT_EQ(as_text(queue.pop().payload.bytes()), std::to_string(out++));
  EXPECT_EQ(in, out);
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(SendQueue, takes_new_limits_at_once_and_keeps_what_waits) {
  SendQueue queue({.send_queue_bytes_max = 1000, .send_queue_messages_max = 4});
  for (unsigned number : {1u, 2u}) ASSERT_TRUE(queue.push(numbered(number)));
  EXPECT_EQ(queue.congestion_change(), true);
  queue.limit({.send_queue_bytes_max = 1000, .send_queue_messages_max = 2});
  EXPECT_FALSE(queue.push(numbered(3)));
  queue.limit({.send_queue_bytes_max = 1000, .send_queue_messages_max = 100});
  EXPECT_EQ(queue.congestion_change(), false);
  EXPECT_TRUE(queue.push(numbered(3)));
  queue.limit({.send_queue_bytes_max = 2, .send_queue_messages_max = 100});
  EXPECT_EQ(queue.congestion_change(), true);
  EXPECT_FALSE(queue.push(numbered(4)));
  for (const char* text : {"1", "2", "3"}) EXPECT_EQ(as_text(queue.pop().payload.bytes()), text);
}

TEST(SendQueue, releases_memory_and_nothing_that_waits) {
  SendQueue queue({.send_queue_bytes_max = 1000, .send_queue_messages_max = 10});
  for (unsigned number : {1u, 2u, 3u}) ASSERT_TRUE(queue.push(numbered(number)));
  (void)queue.pop();
  queue.release_memory();
  EXPECT_EQ(as_text(queue.pop().payload.bytes()), "2");
  EXPECT_EQ(as_text(queue.pop().payload.bytes()), "3");
  queue.release_memory();
  EXPECT_TRUE(queue.empty());
  ASSERT_TRUE(queue.push(numbered(4)));
  EXPECT_EQ(as_text(queue.pop().payload.bytes()), "4");
}

TEST(SendQueue, refuses_at_either_limit_and_leaves_the_message_alone) {
  SendQueue by_bytes({.send_queue_bytes_max = 100, .send_queue_messages_max = 10});
  ASSERT_TRUE(by_bytes.push(message_of(60)));
  Message big = message_of(41);
  EXPECT_FALSE(by_bytes.push(std::move(big)));
  EXPECT_EQ(big.payload.size(), 41u);
  EXPECT_TRUE(by_bytes.push(message_of(40)));

  SendQueue by_count({.send_queue_bytes_max = 100, .send_queue_messages_max = 2});
  ASSERT_TRUE(by_count.push(message_of(1)));
  ASSERT_TRUE(by_count.push(message_of(1)));
  EXPECT_FALSE(by_count.push(message_of(1)));
}

TEST(SendQueue, takes_one_message_of_any_size_when_empty) {
  SendQueue queue({.send_queue_bytes_max = 10, .send_queue_messages_max = 1});
  EXPECT_TRUE(queue.push(message_of(50)));
  EXPECT_FALSE(queue.push(message_of(0)));
}

TEST(SendQueue, is_congested_from_half_full_until_an_eighth) {
  SendQueue queue({.send_queue_bytes_max = 800, .send_queue_messages_max = 1000});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(queue.push(message_of(100)));
  EXPECT_EQ(queue.congestion_change(), std::nullopt);
  ASSERT_TRUE(queue.push(message_of(100)));
  EXPECT_EQ(queue.congestion_change(), true);
  EXPECT_EQ(queue.congestion_change(), std::nullopt);
  for (int i = 0; i < 2; ++i) (void)queue.pop();
  EXPECT_EQ(queue.congestion_change(), std::nullopt);
  EXPECT_TRUE(queue.congested());
  (void)queue.pop();
  EXPECT_EQ(queue.congestion_change(), false);
}

}  // namespace
}  // namespace siglane::transport
