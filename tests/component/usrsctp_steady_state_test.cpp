// What both ends of an association on usrsctp take from the heap for a message once it has been up
// for a while: nothing. The stack itself has malloc(), which is not counted.
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/counting_new.h"
#include "tests/support/sctp_node.h"
#include "transport/loop/loop.h"

namespace siglane::sctp_test {
namespace {

using transport::Loop;

constexpr std::size_t kMessages = 5000;
// More than are ever under way later, and more than a histogram counts one by one.
constexpr std::size_t kHeld = 128;

Message message_of(std::size_t bytes) {
  Message message;
  message.payload = Buffer::copy_of(std::vector<std::byte>(bytes));
  return message;
}

// The policy never looks: it would make a list of all associations.
transport::SctpTransportOptions unwatched() {
  transport::SctpTransportOptions options = Node::never_peeling();
  options.sample_interval = Duration::max();
  return options;
}

struct UsrsctpSteadyState : ::testing::Test {
  World world;
  Node server{world, unwatched()}, client{world, unwatched()};
  std::vector<AssociationId> ours, theirs;
  Message question = message_of(200);
  std::size_t to_ask = 0, to_come = 0;
  bool holding = false;
  std::vector<std::pair<AssociationId, Message>> held;

  void SetUp() override {
    server.on_message = [this](AssociationId id, const Message& message) {
      if (holding) {
        held.emplace_back(id, message);
      } else {
        server.send(id, Message(message));
      }
    };
    client.on_message = [this](AssociationId id, const Message&) {
      --to_come;
      ask(id);
    };
    server.listen();
  }

  void join(std::size_t associations, Placement placement = Placement::automatic) {
    while (ours.size() < associations) {
      const auto [mine, its] = client.join(client.endpoint(), server);
      client.bind(mine, placement);
      server.bind(its, placement);
      ours.push_back(mine);
      theirs.push_back(its);
    }
    const std::size_t peeled = placement == Placement::always_peeled ? 2 * associations : 0;
    ASSERT_TRUE(world.run_until([&] { return server.peeled_count() == peeled; }));
    warm_up();
  }

  void ask(AssociationId id) {
    if (to_ask == 0) return;
    --to_ask;
    client.send(id, Message(question));
  }

  // So many messages go to and fro, `burst` at a time on each association. `due`: come as well.
  bool echo(std::size_t messages, std::size_t burst, std::size_t due = 0) {
    to_ask = messages;
    to_come = messages + due;
    for (const AssociationId id : ours) {
      for (std::size_t i = 0; i < burst; ++i) ask(id);
    }
    const Instant give_up = Loop::fresh_now() + 60s;
    while (to_come > 0) {
      if (Loop::fresh_now() > give_up) return false;
      world.loop().run_once();
    }
    return true;
  }

  // So much comes together that nothing needs to grow later on: pools, lists, packets that wait,
  // and of each association the queue and, as its messages have waited for so many different times,
  // the histogram of that.
  void warm_up() {
    holding = true;
    for (std::size_t i = 0; i < kHeld; ++i) {
      for (const AssociationId id : ours) client.send(id, Message(question));
      const Instant next = Loop::fresh_now() + 50us;
      do {
        world.loop().run_once(false);
      } while (Loop::fresh_now() < next);
    }
    const std::size_t all = kHeld * ours.size();
    ASSERT_TRUE(world.run_until([&] { return held.size() == all; }));
    holding = false;
    for (auto& [id, message] : held) server.send(id, std::move(message));
    held.clear();
    ASSERT_TRUE(echo(all, kHeld, all));
    // The network lets more and more of it pass at once.
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(echo(all, kHeld));
  }

  void expect_nothing_is_taken(std::initializer_list<std::size_t> bursts) {
    for (const std::size_t burst : bursts) {
      ASSERT_TRUE(echo(kMessages, burst));
      EXPECT_EQ(taken_for(kMessages, burst), 0u) << "with " << burst << " at a time";
    }
  }
  std::uint64_t taken_for(std::size_t messages, std::size_t burst) {
    Allocations taken{};
    allocations_counted_in = &taken;
    const bool all_came = echo(messages, burst);
    allocations_counted_in = nullptr;
    EXPECT_TRUE(all_came);
    return taken.count;
  }
};

TEST_F(UsrsctpSteadyState, TakesNothingForOneAssociation) {
  join(1);
  expect_nothing_is_taken({1, 32});
}

TEST_F(UsrsctpSteadyState, TakesNothingForTwentyAssociations) {
  join(20);
  expect_nothing_is_taken({1, 8});
}

TEST_F(UsrsctpSteadyState, TakesNothingForPeeledAssociations) {
  join(2, Placement::always_peeled);
  expect_nothing_is_taken({1, 32});
}

// Else the rest would show nothing.
TEST_F(UsrsctpSteadyState, IsSeenToEndWithTheFirstMessageOfAnotherSize) {
  join(1);
  question = message_of(5000);
  EXPECT_GT(taken_for(1, 1), 0u);
}

}  // namespace
}  // namespace siglane::sctp_test
