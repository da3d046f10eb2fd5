// What a shard counts for its peers.
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/core/shard_world.h"

namespace siglane {
namespace {

using sim::SimTransport;

const Counter words{"test.words", "words that a session was sent"};
const Counter routed{"test.routed", "words that were routed"};
const LabelledCounter lengths{"test.lengths", "words by their length", {{"length"}}};
constexpr DropReason kBadWord{"test.bad_word", "a bad word"};

// "iam NAME" says who it is; "route" is accepted, and its module routes it; "bad" is dropped, and
// "bad NAME" is a message of that peer.
class WordSession final : public PlainSession {
 public:
  void step(SessionInput input, Instant, Outbox& out) override {
    const auto* received = std::get_if<AssociationReceived>(&input);
    if (received == nullptr) return;
    const std::string text = text_of(received->message);
    out.count(words);
    out.count(lengths, {static_cast<std::uint32_t>(text.size())});
    if (text.starts_with("iam ")) {
      out.identify(text.substr(4));
    } else if (text == "route") {
      out.accept(std::make_unique<Parcel>());
    } else if (text.starts_with("bad")) {
      out.drop(kBadWord, text, text.size() > 4 ? text.substr(4) : "");
    } else {
      out.transmit(message(text));
    }
  }
};

struct WordModule final : PlainModule {
  std::unique_ptr<Session> session_of(AssociationId, const AssociationUp&) const override {
    return std::make_unique<WordSession>();
  }
  void route(ShardId, AssociationId, ParcelPtr parcel, Instant, Outbox& out) const override {
    out.count(routed);
    out.forward(AssociationId{1'000'000'000}, std::move(parcel));  // there is none
  }
  void undelivered(ShardId, AssociationId, ParcelPtr, Why, Instant, Outbox& out) const override {
    out.count(routed);
  }
};

AdmissionConfig anybody() {
  AdmissionConfig admission;
  admission.accept_unknown_peers = true;
  return admission;
}

class ShardCountsTest : public ShardFixture<WordModule>, private TransportSink {
 protected:
  ShardCountsTest() : ShardFixture({peer("alice"), peer("bob")}, anybody()) {
    client.set_sink(*this);
    other.open(endpoint("10.0.0.1", false), module).value();
    client_endpoint = client.open(endpoint("10.0.0.2", false), module).value();
  }
  void connect() {
    up = AssociationId::none;
    client.connect(client_endpoint, peer("server", "10.0.0.1"));
    ASSERT_TRUE(world.run_until([&] { return up != AssociationId::none; }));
  }
  void say(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      ASSERT_EQ(client.find(up)->send(message(text)), SendOutcome::accepted);
    }
    world.run_for(1s);
  }
  static std::uint64_t count(const Shard& shard, const std::string& peer, Counter counter) {
    for (TableWalk walk; shard.add_up_traffic(walk);) {
    }
    const SparseCounts* counts = shard.peer_counts().find(peer);
    return counts != nullptr ? counts->get(counter.index()) : 0;
  }
  std::uint64_t count(const std::string& peer, Counter counter) const {
    return count(server.shard, peer, counter);
  }

  Counters other_counters;
  SecondShard there{world, server, {}, other_counters};
  Shard& other = there.shard;
  SimTransport client{world};
  EndpointId client_endpoint{};
  AssociationId up{};

 private:
  void on_event(AssociationId id, AssociationEvent event, Instant) override {
    if (std::holds_alternative<AssociationUp>(event)) up = id;
  }
  void on_stranger(const std::string&, std::string, Instant) override {}
  void on_fact(AssociationId, Fact, Instant) override {}
};

TEST_F(ShardCountsTest, CountsForAPeerFromItsIdentificationOn) {
  connect();
  say({"hi", "iam alice", "hello"});
  EXPECT_EQ(server.counters.get(words), 3u);
  EXPECT_EQ(server.counters.get(counter::messages_received), 3u);
  EXPECT_EQ(server.counters.get(counter::messages_sent), 2u);
  EXPECT_EQ(count("alice", words), 1u);
  EXPECT_EQ(count("alice", lengths.total()), 1u);
  EXPECT_EQ(count("alice", counter::associations_opened), 1u);
  EXPECT_EQ(count("alice", counter::messages_received), 1u);
  EXPECT_EQ(count("alice", counter::bytes_received), 5u);
  EXPECT_EQ(count("alice", counter::messages_sent), 1u);
  EXPECT_EQ(count("alice", counter::bytes_sent), 5u);
}

TEST_F(ShardCountsTest, CountsForAPeerWhatRoutingCountsForIt) {
  connect();
  say({"iam alice", "route"});
  EXPECT_EQ(server.counters.get(routed), 2u);
  EXPECT_EQ(count("alice", routed), 2u) << "routed, and come back undelivered";
  EXPECT_EQ(count("alice", counter::parcels_undelivered), 1u);
}

TEST_F(ShardCountsTest, CountsADropForThePeerWhoseMessageItWas) {
  connect();
  say({"bad", "iam alice", "bad", "bad bob"});
  EXPECT_EQ(server.counters.get(counter::messages_dropped), 3u);
  EXPECT_EQ(count("alice", counter::messages_dropped), 1u);
  EXPECT_EQ(count("bob", counter::messages_dropped), 1u);
}

TEST_F(ShardCountsTest, APeersCountsStayWhenItReconnects) {
  connect();
  say({"iam alice", "one"});
  client.cut(up);
  world.run_for(1s);
  EXPECT_EQ(count("alice", counter::associations_closed), 1u);
  connect();
  say({"iam alice", "two"});
  EXPECT_EQ(count("alice", words), 2u);
  EXPECT_EQ(count("alice", counter::associations_opened), 2u);
}

TEST_F(ShardCountsTest, UnknownPeersAreBounded) {
  for (std::size_t i = 0; i <= PeerCounts::kUnknownPeersMax; ++i) {
    connect();
    say({"iam stranger" + std::to_string(i), "x"});
    client.find(up)->close(CloseMode::abort);
  }
  connect();
  say({"iam bob", "x"});
  EXPECT_EQ(count("stranger0", words), 1u);
  EXPECT_EQ(count("stranger" + std::to_string(PeerCounts::kUnknownPeersMax), words), 0u);
  EXPECT_EQ(count(std::string(PeerCounts::kOtherPeers), words), 1u);
  EXPECT_EQ(count("bob", words), 1u);
}

TEST_F(ShardCountsTest, AnAssociationThatMovesCountsOnItsNewShard) {
  connect();
  say({"iam alice", "one"});
  const AssociationId id = module.opened.back();
  ASSERT_TRUE(server.shard.move(id, ShardId{1}, world.now()));
  there.turns();
  say({"two", "three"});
  EXPECT_EQ(count("alice", words), 1u);
  EXPECT_EQ(count("alice", counter::moves), 1u);
  EXPECT_EQ(count(other, "alice", words), 2u);
  EXPECT_EQ(other_counters.get(words), 2u);
}

}  // namespace
}  // namespace siglane
