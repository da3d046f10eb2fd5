// What a node on kernel SCTP takes from the heap for a message once it has run for a while:
// nothing. Its peers are on another thread, whose allocations do not count.
#include <array>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "apps/runtime/node.h"
#include "core/module.h"
#include "tests/support/counting_new.h"
#include "tests/support/raw_peer.h"
#include "transport/counters.h"
#include "transport/loop/loop.h"

namespace siglane::test {
namespace {

constexpr std::size_t kMessages = 3000, kMessageBytes = 200;
// More than are ever under way later, and more than a histogram counts one by one.
constexpr std::size_t kHeld = 128;
// What a message begins with.
constexpr std::byte kEcho{0}, kHold{1};

// Counts what operator new gives while a loop turns. Not what timers take: the transport looks at
// all its associations four times a second, and no message passes there.
class CountedTurns {
 public:
  explicit CountedTurns(transport::Loop& loop)
      : begins_(loop.soon([this] { allocations_counted_in = &allocations_; })),
        ends_(loop.raw(), [] { allocations_counted_in = nullptr; }) {}

  // The next turn, which must not wait. Its timers come first; of all that is to run soon, what was
  // scheduled last does; and a loop may have timers once more after it has polled.
  void count_next() { begins_.schedule(); }
  std::uint64_t taken() const { return allocations_.count; }

 private:
  Allocations allocations_{};
  transport::Soon begins_;
  transport::Check ends_;
};

// Sends a message back: at once, or together with the next one that is not to be held.
class EchoModule final : public ProtocolModule {
 public:
  std::string_view name() const override { return "echo"; }
  std::span<const PayloadProtocol> payload_protocols() const override { return kProtocols; }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
  Result<std::optional<std::size_t>> frame_length(Bytes) const override { return std::nullopt; }
  std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp&, const PeerTable&,
                                        std::uint64_t) const override {
    return std::make_unique<Echo>(id);
  }
  void route(ShardId, AssociationId, ParcelPtr, Instant, Outbox&) const override {}
  void undelivered(ShardId, AssociationId, ParcelPtr, Why, Instant, Outbox&) const override {}
  void publish(ShardId, AssociationId, ParcelPtr) override {}

 private:
  static constexpr std::array kProtocols{PayloadProtocol::none};

  class Echo final : public Session {
   public:
    explicit Echo(AssociationId id)
        : name_("peer" + std::to_string(static_cast<std::uint64_t>(id))) {}

    void step(SessionInput input, Instant, Outbox& out) override {
      if (std::holds_alternative<AssociationUp>(input)) return out.identify(name_);
      auto* received = std::get_if<AssociationReceived>(&input);
      if (received == nullptr) return;
      held_.push_back(std::move(received->message));
      if (held_.back().payload.bytes()[0] == kHold) return;
      for (Message& message : held_) out.transmit(std::move(message));
      held_.clear();
    }
    std::optional<Instant> deadline() const override { return std::nullopt; }
    SessionStatus status() const override { return {name_, "echo", "open", held_.size(), {}}; }

   private:
    std::string name_;
    std::vector<Message> held_;
  };
};

void send(RawPeer& peer, Bytes message, bool more = false) {
  if (!peer.send(message, more)) throw std::runtime_error("no room to send");
}

// `burst` messages in one bundle; returns when they are back, and so many that were held before.
void ask(RawPeer& peer, std::size_t burst, std::size_t held = 0,
         std::size_t bytes = kMessageBytes) {
  const std::vector<std::byte> message(bytes, kEcho);
  for (std::size_t i = 0; i < burst; ++i) send(peer, message, i + 1 < burst);
  for (std::size_t due = burst + held; due > 0;) {
    peer.wait(false, 10'000);
    const std::size_t before = due;
    while (due > 0 && peer.receive()) --due;
    if (due == before) throw std::runtime_error("an echo did not come");
  }
}

class SteadyState : public ::testing::Test {
 protected:
  // Who sends and gets so many messages a second earns a socket of its own; 0: nobody does.
  void serve(std::size_t peers, double loud_per_second = 0) {
    static std::uint16_t port = 5000;
    ++port;
    runtime::NodeConfig config;
    config.name = "steady";
    config.log.level = runtime::LogLevel::off;
    config.admission.accept_unknown_peers = true;
    config.peeloff.messages_per_second_min = loud_per_second;
    config.peeloff.bytes_per_second_min = 0;
    config.peeloff.sustained_min = config.peeloff.age_min = Duration{};
    runtime::NodeEndpoint endpoint;
    endpoint.module = "echo";
    endpoint.endpoint.name = "main";
    endpoint.endpoint.transport = TransportKind::kernel_sctp;
    endpoint.endpoint.addresses = {"127.0.0.1"};
    endpoint.endpoint.port = port;
    endpoint.endpoint.listening = true;
    endpoint.endpoint.sockets = 1;
    config.endpoints = {endpoint};
    runtime::NodeBuilder builder(std::move(config));
    builder.embed();
    builder.add_module(std::make_unique<EchoModule>());
    auto node = std::move(builder).build();
    if (!node) throw std::runtime_error(node.error().what);
    node_ = std::move(*node);
    turns_.emplace(node_->loop());
    turn_during([&] {
      while (peers_.size() < peers) peers_.push_back(std::make_unique<RawPeer>(port));
    });
    warm_up();
  }

  // So much comes together that nothing needs to grow later on: pools, lists, and of each
  // association the queue and, as its messages have waited for so many different times, the
  // histogram of that. All at once, because who is idle for a second gives its queue back.
  void warm_up() {
    turn_during([&] {
      const std::array<std::byte, kMessageBytes> message{kHold};
      for (std::size_t i = 0; i < kHeld; ++i) {
        for (const auto& peer : peers_) send(*peer, message);
        ::usleep(100);
      }
      for (const auto& peer : peers_) ask(*peer, 1, kHeld);
    });
  }

  // What the node takes for so many messages, `burst` of them under way at a time, on one
  // association after another.
  std::uint64_t taken_for(std::size_t messages, std::size_t burst) {
    const std::uint64_t before = turns_->taken();
    turn_during([&] {
      for (std::size_t asked = 0, turn = 0; asked < messages; asked += burst, ++turn) {
        ask(*peers_[turn % peers_.size()], burst);
      }
    });
    return turns_->taken() - before;
  }

  void expect_nothing_is_taken() {
    for (const std::size_t burst : {1u, 32u}) {
      taken_for(kMessages, burst);
      // A histogram that saw few different times while it was warmed up may still grow, once.
      std::uint64_t taken = taken_for(kMessages, burst);
      for (std::size_t peer = 0; taken > 0 && peer < peers_.size(); ++peer) {
        taken = taken_for(kMessages, burst);
      }
      EXPECT_EQ(taken, 0u) << "with " << burst << " at a time";
    }
  }

  // The node turns on this thread as long as `work` goes on on another.
  template <class Work>
  void turn_during(Work work) {
    auto done = std::async(std::launch::async, work);
    while (done.wait_for(0s) != std::future_status::ready) {
      turns_->count_next();
      node_->turn(false);
    }
    done.get();
  }

  std::unique_ptr<runtime::Node> node_;
  std::optional<CountedTurns> turns_;
  std::vector<std::unique_ptr<RawPeer>> peers_;
};

TEST_F(SteadyState, TakesNothingForOneAssociation) {
  serve(1);
  expect_nothing_is_taken();
}

TEST_F(SteadyState, TakesNothingForTwentyAssociations) {
  serve(20);
  expect_nothing_is_taken();
  EXPECT_EQ(node_->count(transport::counter::peels), 0u);
}

TEST_F(SteadyState, TakesNothingForPeeledAssociations) {
  serve(2, 1);
  const Instant give_up = transport::Loop::fresh_now() + 60s;
  while (node_->count(transport::counter::peels) < peers_.size()) {
    ASSERT_TRUE(transport::Loop::fresh_now() < give_up) << "nobody was peeled off";
    taken_for(100, 1);
  }
  warm_up();
  expect_nothing_is_taken();
}

// Else the rest would show nothing.
TEST_F(SteadyState, IsSeenToEndWithTheFirstMessageOfAnotherSize) {
  serve(1);
  const std::uint64_t before = turns_->taken();
  EXPECT_GT(before, 0u) << "for an association that came up";
  turn_during([&] { ask(*peers_.front(), 1, 0, 5000); });
  EXPECT_GT(turns_->taken(), before);
}

TEST(CountedTurns, SeeWhatALoopTakesEverywhereButInTimers) {
  const auto loop = transport::Loop::create().value();
  CountedTurns turns(*loop);
  const auto take = [] { ::operator delete(::operator new(1)); };
  bool late = false;
  transport::Timer timer = loop->timer([&] {
    take();
    late = true;
  });
  timer.start_after(1ms);
  while (!late) {
    turns.count_next();
    loop->run_once(false);
  }
  EXPECT_EQ(turns.taken(), 0u);

  transport::Soon soon = loop->soon(take);
  transport::Async polled = loop->async(take);
  transport::Prepare end_of_turn = loop->at_end_of_turn(take);
  soon.schedule();
  polled.send();
  turns.count_next();
  loop->run_once(false);
  EXPECT_EQ(turns.taken(), 3u);
}

}  // namespace
}  // namespace siglane::test
