// The peel policy where it has to do with descriptors and with buffers that associations share:
// usrsctp peels without descriptors, and its associations have buffers of their own. The rest is
// in tests/contract.
#include "tests/support/peel_policy.h"

#include <algorithm>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/kernel/harness.h"
#include "transport/counters.h"
#include "transport/transport_facts.h"

namespace siglane::kernel_test {
namespace {

using ::testing::HasSubstr;

using KernelPeelPolicy = EagerServerTest;

// Lowers RLIMIT_NOFILE as long as it lives.
class LoweredLimit {
 public:
  explicit LoweredLimit(rlim_t descriptors) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{descriptors, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~LoweredLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(KernelPeelPolicy, NearTheLimitOfDescriptorsNothingIsPeeledAndNoAssociationIsLost) {
  server.on_message = [](AssociationId, const Message&) {};
  server.listen();
  AssociationId ours{}, theirs{};
  std::tie(ours, theirs) = client.join(client.endpoint(), server);
  {
    LoweredLimit limit(24);  // under the 32 that are kept free
    ASSERT_TRUE(
        talk_until(ours, [&] { return !server.facts_of(transport::kPeeloffStarved).empty(); }));
    EXPECT_THAT(field(server.facts_of(transport::kPeeloffStarved).at(0), "why"),
                HasSubstr("RLIMIT_NOFILE"));
    EXPECT_FALSE(server.is_peeled(theirs));
    EXPECT_TRUE(server.is_up(theirs));
    EXPECT_GE(server.counters.get(transport::counter::peels_starved), 1u);
    EXPECT_TRUE(std::holds_alternative<Starved>(server.transport->detach(theirs)));
    ASSERT_TRUE(server.send(theirs, "still here"));
    ASSERT_TRUE(talk_until(ours, [&] { return !client.of(ours).received.empty(); }));
  }
  // Said once, however often it was tried; and once there is room, it goes.
  EXPECT_EQ(server.facts_of(transport::kPeeloffStarved).size(), 1u);
  ASSERT_TRUE(talk_until(ours, [&] { return server.is_peeled(theirs); }));
}

TEST_F(KernelPeelPolicy, AmongPeersThatClogTheSendBufferTheOneThatHoldsMostIsPeeledOff) {
  // Peers that stop reading; each may hold an eighth of the server's buffer, and eight do.
  Node sender(world);  // to which nobody is loud
  World elsewhere;
  Node sleepers(elsewhere);
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sctp.send_buffer_bytes = 128 * 1024;
  sender.open(config);
  EndpointConfig small = Node::config("127.0.0.1", 0, false);
  small.sctp.receive_buffer_bytes = 16 * 1024;
  for (std::size_t i = 1; i <= 8; ++i) {
    sleepers.connect(sleepers.open(small), sender);
    ASSERT_TRUE(world.run_until([&] {
      elsewhere.loop().run_once(false);
      return sender.opened.size() == i && sleepers.opened.size() == i;
    }));
  }
  for (AssociationId id : sender.opened) {
    while (sender.transport->status(id)->queued_messages < 100) {
      ASSERT_TRUE(sender.send(id, std::string(1000, 'c')));
    }
  }
  ASSERT_TRUE(world.run_until([&] { return sender.peeled_count() > 0; }));
  const Fact peeled = sender.facts_of(transport::kAssociationPeeled).at(0);
  EXPECT_EQ(field(peeled, "reason"), "clogged");
  EXPECT_GT(std::stoi(field(peeled, "bytes_held")), 0);
}

TEST_F(KernelPeelPolicy, PeersThatClogTheSendBufferTogetherArePeeledOffThoughNoneHoldsMuch) {
  Node sender(world);
  World elsewhere;
  Node sleepers(elsewhere), reader(world);
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sctp.send_buffer_bytes = 128 * 1024;
  sender.open(config);
  AssociationId from_reader{}, to_reader{};
  std::tie(from_reader, to_reader) = reader.join(reader.endpoint(), sender);
  EndpointConfig small = Node::config("127.0.0.1", 0, false);
  small.sctp.receive_buffer_bytes = 4096;
  const EndpointId local = sleepers.open(small);
  constexpr std::size_t kSleepers = 60;
  std::vector<AssociationId> asleep;
  for (std::size_t i = 0; i < kSleepers; ++i) {
    sleepers.connect(i == 0 ? local : sleepers.open(small), sender);
    ASSERT_TRUE(world.run_until([&] {
      elsewhere.loop().run_once(false);
      return sender.opened.size() == i + 2 && sleepers.opened.size() == i + 1;
    }));
    asleep.push_back(sender.opened.back());
  }
  // Everybody a little, until the buffer is full, and stays so.
  const auto waits = [&](AssociationId id) {
    return sender.transport->status(id)->queued_messages > 0;
  };
  for (int round = 0; round < 10 && !std::ranges::any_of(asleep, waits); ++round) {
    for (const AssociationId id : asleep) ASSERT_TRUE(sender.send(id, std::string(1000, 'c')));
    world.run_for(200ms);  // what their buffers take is gone then
  }
  ASSERT_TRUE(sender.peeled_count() > 0 || std::ranges::any_of(asleep, waits));
  ASSERT_TRUE(world.run_until([&] { return sender.peeled_count() > 0; }));
  EXPECT_EQ(field(sender.facts_of(transport::kAssociationPeeled).at(0), "reason"), "clogged");
  EXPECT_GE(sender.peeled_count(), kSleepers / 4) << "one by one takes too long";
  ASSERT_TRUE(sender.send(to_reader, "room again"));
  ASSERT_TRUE(world.run_until([&] { return !reader.of(from_reader).received.empty(); }));
  EXPECT_FALSE(sender.is_peeled(to_reader));
}

TEST_F(KernelPeelPolicy, AnOvercommittedReceiveBufferDeliversEverythingAllTheSame) {
  // Six senders of large messages, and a receiver whose buffer takes half a window of two of them,
  // asleep until it is full: the pieces that would complete a message are dropped.
  World elsewhere;
  Node senders(elsewhere);
  EndpointConfig config = Node::config("127.0.0.1", 0, true);
  config.sctp.receive_buffer_bytes = 100 * 1024;
  server.open(config);
  std::size_t got = 0;
  server.on_message = [&](AssociationId, const Message&) { ++got; };
  std::vector<AssociationId> ids;
  for (std::size_t i = 1; i <= 6; ++i) {
    ids.push_back(senders.connect(senders.endpoint(), server));
    ASSERT_TRUE(world.run_until([&] {
      elsewhere.loop().run_once(false);
      return server.opened.size() == i && senders.is_up(ids.back());
    }));
  }
  constexpr std::size_t kEach = 40;
  for (AssociationId id : ids) {
    for (std::size_t i = 0; i < kEach; ++i) ASSERT_TRUE(senders.send(id, std::string(20000, 'w')));
  }
  elsewhere.run_for(300ms);  // the buffer fills
  ASSERT_TRUE(world.run_until(
      [&] {
        elsewhere.loop().run_once(false);
        return got == ids.size() * kEach;
      },
      60s))
      << got << " of " << ids.size() * kEach << ", stalls "
      << server.counters.get(transport::counter::receive_stalls);
  for (AssociationId id : server.opened) EXPECT_TRUE(server.is_up(id));
}

}  // namespace
}  // namespace siglane::kernel_test
