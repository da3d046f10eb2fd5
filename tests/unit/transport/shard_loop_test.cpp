#include "transport/loop/shard_loop.h"

#include <thread>

#include <gtest/gtest.h>

#include "tests/support/facts.h"
#include "transport/stream/transport.h"
#include "transport/transport_facts.h"

namespace siglane::transport {
namespace {

// One byte is a message. What a session is told, it keeps; what `stubborn` is asked, it ignores.
class Module final : public ProtocolModule {
 public:
  class Conversation final : public Session {
   public:
    explicit Conversation(Module& module) : module_(module) {}
    void step(SessionInput input, Instant now, Outbox& out) override {
      if (const auto* up = std::get_if<AssociationUp>(&input)) {
        out.identify(up->initiator ? "server" : "client");  // both ends are on one shard
        wake_at_ = now + 5ms;
        out.publish(nullptr);
      } else if (std::holds_alternative<Woken>(input)) {
        EXPECT_GE(now, *wake_at_);
        wake_at_.reset();
        module_.woken = true;
      } else if (std::holds_alternative<Stopping>(input) && !module_.stubborn) {
        out.close(CloseMode::graceful);
      }
    }
    std::optional<Instant> deadline() const override { return wake_at_; }
    SessionStatus status() const override { return {"peer", "test", "open", 0, {}}; }

   private:
    Module& module_;
    std::optional<Instant> wake_at_;
  };

  std::string_view name() const override { return "test"; }
  std::span<const PayloadProtocol> payload_protocols() const override { return {}; }
  std::unique_ptr<Session> open_session(AssociationId, const AssociationUp&, const PeerTable&,
                                        std::uint64_t) const override {
    return std::make_unique<Conversation>(const_cast<Module&>(*this));
  }
  void route(ShardId, AssociationId, ParcelPtr, Instant, Outbox&) const override {}
  void undelivered(ShardId, AssociationId, ParcelPtr, Why, Instant, Outbox&) const override {}
  void publish(ShardId, AssociationId, ParcelPtr) override { ++opened; }
  Result<std::optional<std::size_t>> frame_length(Bytes) const override {
    return std::optional<std::size_t>{1};
  }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }

  bool stubborn = false;
  bool woken = false;
  int opened = 0;
};

class NoFacts final : public FactSink {
 public:
  void on_fact(const FactSource&, const Fact& fact, Instant) override {
    if (is(fact, kEndpointOpened))
      port = static_cast<std::uint16_t>(std::stoi(field(fact, "port")));
  }
  std::uint16_t port = 0;
};

class ShardLoopTest : public ::testing::Test {
 protected:
  ShardLoopTest() { transport_.set_sink(shard_); }

  // Turns until `done`, five seconds at most.
  template <class Done>
  void turn_until(Done done) {
    bool late = false;
    Timer deadline = loop_->timer([&] { late = true; });
    deadline.start_after(5s);
    while (!done() && !late) loop_->run_once();
    ASSERT_TRUE(done());
  }
  void connect() {
    EndpointConfig config;
    config.transport = TransportKind::tcp;
    config.addresses = {"127.0.0.1"};
    config.listening = true;
    config.name = "server";
    ASSERT_TRUE(shard_.open(config, module_).has_value());
    turn_until([&] { return facts_.port != 0; });
    config.listening = false;
    config.name = "client";
    const EndpointId client = shard_.open(config, module_).value();
    shard_.keep_connected(
        client, PeerConfig{.name = "server", .addresses = {"127.0.0.1"}, .port = facts_.port});
    turn_until([&] { return module_.opened == 2; });
  }

  std::unique_ptr<Loop> loop_ = Loop::create().value();
  BufferPool buffers_;
  Counters counters_;
  PeerTable peers_{{}, AdmissionConfig{.accept_unknown_peers = true}};
  Directory directory_;
  NoFacts facts_;
  Module module_;
  StreamTransport transport_{*loop_, buffers_, counters_};
  Shard shard_{{}, transport_, peers_, directory_, facts_, nullptr, buffers_, counters_};
  ShardLoop driver_{*loop_, shard_};
};

TEST_F(ShardLoopTest, wakes_sessions_at_their_deadlines) {
  connect();
  turn_until([&] { return module_.woken; });
}

TEST_F(ShardLoopTest, sees_what_is_posted_while_it_reads_more_letters_than_fit_one_turn) {
  bool seen = false;
  shard_.mailbox().post_control(Call{[&] {
    // Wakes the loop; which is awake, and has the rest of the others to read first.
    shard_.mailbox().post_control(Call{[&] { seen = true; }});
  }});
  for (int n = 0; n < 5000; ++n) shard_.mailbox().post_control(Call{[] {}});
  turn_until([&] { return seen; });
}

TEST_F(ShardLoopTest, runs_calls_that_another_thread_posts) {
  const auto here = std::this_thread::get_id();
  std::thread::id ran_on;
  std::thread other([&] {
    shard_.mailbox().post_control(Call{[&] {
      ran_on = std::this_thread::get_id();
      driver_.stop(5s);
    }});
  });
  driver_.run();
  other.join();
  EXPECT_EQ(ran_on, here);
  EXPECT_FALSE(driver_.abandoned());
}

TEST_F(ShardLoopTest, stops_as_soon_as_every_association_said_goodbye) {
  connect();
  driver_.stop(5s);
  const Instant began = Loop::fresh_now();
  driver_.run();
  EXPECT_LT(Loop::fresh_now() - began, 4s);
  EXPECT_TRUE(shard_.idle());
  EXPECT_FALSE(driver_.abandoned());
}

TEST_F(ShardLoopTest, abandons_what_does_not_close_within_the_grace) {
  module_.stubborn = true;
  connect();
  driver_.stop(20ms);
  driver_.run();
  EXPECT_TRUE(driver_.abandoned());
}

}  // namespace
}  // namespace siglane::transport
