#include "core/shard.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/shard_facts.h"
#include "tests/unit/core/shard_world.h"

namespace siglane {
namespace {

using sim::SimNode;
using sim::SimTransport;
using testing::ElementsAre;
using testing::IsEmpty;

// A protocol of text lines. Whoever connects says "iam NAME", if it has one; "to N text" is routed
// to the session with id N, or to the echo application for 0; everything else is kept.
struct TextParcel final : Parcel {
  Carriage carriage() const override { return ordered ? Carriage::ordered : Carriage::unordered; }
  std::string describe() const override { return text; }
  bool ordered = false;
  AssociationId to{};
  AssociationId origin{};
  std::string text;
};

class TextSession final : public PlainSession {
 public:
  TextSession(AssociationId id, const AssociationUp& up, std::vector<std::string>& log)
      : id_(id), initiator_(up.initiator), peer_(up.peer), log_(log) {}

  void step(SessionInput input, Instant now, Outbox& out) override {
    if (std::holds_alternative<AssociationUp>(input)) {
      if (initiator_ && !own_name.empty()) {
        say(out, "iam " + own_name);
        out.identify(peer_);
      }
    } else if (auto* received = std::get_if<AssociationReceived>(&input)) {
      const std::string text = text_of(received->message);
      if (text.starts_with("iam ")) {
        peer_ = text.substr(4);
        out.identify(peer_);
      } else if (text.starts_with("to ")) {
        auto parcel = std::make_unique<TextParcel>();
        std::size_t end = 0;
        parcel->to = AssociationId{std::stoull(text.substr(3), &end)};
        parcel->text = text.substr(3 + end + 1);
        parcel->origin = id_;
        parcel->ordered = text.ends_with("in order");
        out.accept(std::move(parcel));
      } else if (text.starts_with("bye ")) {  // and no connect for so many milliseconds
        out.peer_closed("said bye", std::chrono::milliseconds(std::stoi(text.substr(4))));
      } else if (text == "leave") {
        leaving_ = true;
      } else if (text == "owe") {
        owes_ = true;
      } else if (text == "paid") {
        log_.push_back(text);
        out.close(CloseMode::graceful);
      } else if (text == "pause") {
        out.pause_input();
      } else if (text == "read on") {
        out.resume_input();
      } else if (text.starts_with("wake ")) {
        wake_at_ = now + std::chrono::milliseconds(std::stoi(text.substr(5)));
      } else {
        log_.push_back(text);
      }
    } else if (auto* submitted = std::get_if<Submitted>(&input)) {
      say(out, static_cast<TextParcel&>(*submitted->parcel).text);
    } else if (std::holds_alternative<Identified>(input)) {
      log_.push_back("identified " + peer_);
      if (hangs_up) out.close(CloseMode::graceful);
    } else if (auto* refused = std::get_if<IdentityRefused>(&input)) {
      log_.push_back("refused " + refused->why);
      say(out, "no");
      out.close(CloseMode::graceful);
    } else if (std::holds_alternative<Woken>(input)) {
      if (wake_at_ && *wake_at_ <= now) {
        wake_at_.reset();
        log_.push_back("woken");
      }
    } else if (auto* unsent = std::get_if<AssociationUnsent>(&input)) {
      log_.push_back("unsent " + text_of(unsent->message));
    } else if (std::holds_alternative<AssociationEnding>(input)) {
      log_.push_back("ending");
      if (owes_) out.linger();
    } else if (std::holds_alternative<Superseded>(input)) {
      if (leaving_) out.close(CloseMode::abort);
      if (owes_) out.linger();
    } else if (std::holds_alternative<Stopping>(input)) {
      out.close(CloseMode::graceful);
    } else if (auto* down = std::get_if<AssociationDown>(&input)) {
      log_.push_back("down " + std::string(name_of(down->cause)));
    }
  }
  std::optional<Instant> deadline() const override { return wake_at_; }
  SessionStatus status() const override { return {peer_, "text", "open", 0, {}}; }

  static void say(Outbox& out, const std::string& text) { out.transmit(message(text)); }

  std::string own_name = "alice";
  bool hangs_up = false;

 private:
  AssociationId id_;
  bool initiator_;
  bool leaving_ = false, owes_ = false;
  std::string peer_;
  std::vector<std::string>& log_;
  std::optional<Instant> wake_at_;
};

struct TextModule final : PlainModule {
  TextModule() { own_name = "alice"; }
  std::unique_ptr<Session> session_of(AssociationId id, const AssociationUp& up) const override {
    auto session = std::make_unique<TextSession>(id, up, log);
    session->own_name = own_name;
    session->hangs_up = hangs_up;
    return session;
  }
  void route(ShardId, AssociationId, ParcelPtr parcel, Instant, Outbox& out) const override {
    auto& text = static_cast<TextParcel&>(*parcel);
    if (drops) return out.drop({"text.dropped", "is dropped"}, text.text);
    out.forward(text.to == AssociationId::none ? application : text.to, std::move(parcel));
  }
  void undelivered(ShardId, AssociationId from, ParcelPtr parcel, Why why, Instant,
                   Outbox& out) const override {
    auto& text = static_cast<TextParcel&>(*parcel);
    failures.push_back(std::string(name_of(why)) + " " + text.text);
    if (retry && why != Why::exhausted) out.forward(text.to, std::move(parcel));
    (void)from;
  }

  bool hangs_up = false;  // as soon as a peer is identified
  AssociationId application{};
  bool retry = false;
  bool drops = false;
  mutable std::vector<std::string> log;
  mutable std::vector<std::string> failures;
};

// Answers each parcel to its origin; asks the store first when told to.
class EchoApplication final : public PlainSession {
 public:
  void step(SessionInput input, Instant, Outbox& out) override {
    if (auto* submitted = std::get_if<Submitted>(&input)) {
      if (static_cast<TextParcel&>(*submitted->parcel).text == "store") {
        return out.ask(std::move(submitted->parcel));
      }
      echo(std::move(submitted->parcel), "echo ", out);
    } else if (auto* completed = std::get_if<Completed>(&input)) {
      echo(std::move(completed->parcel), completed->ran ? "done " : "not run ", out);
    }
  }
  static void echo(ParcelPtr parcel, const std::string& how, Outbox& out) {
    auto& text = static_cast<TextParcel&>(*parcel);
    text.text = how + text.text;
    const AssociationId to = text.origin;
    out.forward(to, std::move(parcel));
  }
};

class ShardTest : public ShardFixture<TextModule> {
 protected:
  ShardTest() : ShardFixture({peer("alice", "10.0.0.2"), peer("bob", "10.0.0.3")}) {
    client_endpoint = client.shard.open(endpoint("10.0.0.2", false), client_module).value();
    module.application =
        server.shard.add_coordinator(std::make_unique<EchoApplication>(), module, world.now());
  }

  void connect() { client.shard.keep_connected(client_endpoint, peer("server", "10.0.0.1")); }
  void connect_and_wait() {
    connect();
    ASSERT_TRUE(world.run_until([&] { return !module.log.empty(); }));
  }
  void client_says(const std::string& text) {
    ASSERT_EQ(client.transport.find(client_module.opened.back())->send(message(text)),
              SendOutcome::accepted);
  }

  TextModule client_module;
  SimNode client{world, PeerTable({peer("server", "10.0.0.1")})};
  EndpointId client_endpoint{};
};

TEST_F(ShardTest, IdentifiesAPeerAndTellsItsSession) {
  connect_and_wait();
  EXPECT_THAT(module.log, ElementsAre("identified alice"));
  EXPECT_THAT(client_module.log, ElementsAre("identified server"));
  EXPECT_EQ(server.facts.count(kAssociationOpened), 1u);
}

TEST_F(ShardTest, RoutesARequestToTheApplicationAndItsAnswerBack) {
  connect_and_wait();
  client_says("to 0 hello");
  ASSERT_TRUE(world.run_until([&] { return client_module.log.size() == 2; }));
  EXPECT_EQ(client_module.log.back(), "echo hello");
  EXPECT_EQ(server.counters.get(counter::messages_received), 2u);
  EXPECT_EQ(server.counters.get(counter::messages_sent), 1u);
}

TEST_F(ShardTest, AParcelForNobodyComesBackToItsModule) {
  connect_and_wait();
  client_says("to 999999 lost");
  ASSERT_TRUE(world.run_until([&] { return !module.failures.empty(); }));
  EXPECT_THAT(module.failures, ElementsAre("no_such_association lost"));
}

TEST_F(ShardTest, AParcelThatIsRetriedForEverIsExhaustedAfterFourTries) {
  module.retry = true;
  connect_and_wait();
  client_says("to 999999 lost");
  ASSERT_TRUE(world.run_until(
      [&] { return !module.failures.empty() && module.failures.back().starts_with("exhausted"); }));
  EXPECT_EQ(module.failures.size(), 5u);
  EXPECT_EQ(server.counters.get(counter::parcels_exhausted), 1u);
}

TEST_F(ShardTest, WithoutAStoreEveryAskComesBackToTheAsker) {
  connect_and_wait();
  client_says("to 0 store");
  ASSERT_TRUE(world.run_until([&] { return client_module.log.size() == 2; }));
  EXPECT_EQ(client_module.log.back(), "not run store");
}

TEST_F(ShardTest, WhatAStoreHasDoneComesBackToTheAsker) {
  connect_and_wait();
  auto parcel = std::make_unique<TextParcel>();
  parcel->text = "store";
  parcel->origin = module.opened.at(0);
  server.shard.mailbox().post_control(Completion{module.application, std::move(parcel)});
  server.shard.run_mailbox(world.now());
  ASSERT_TRUE(world.run_until([&] { return client_module.log.size() == 2; }));
  EXPECT_EQ(client_module.log.back(), "done store");
}

TEST_F(ShardTest, RefusesAnAddressThatNoPeerHas) {
  SimNode stranger(world, PeerTable({peer("server", "10.0.0.1")}));
  auto local = stranger.shard.open(endpoint("10.9.9.9", false), client_module).value();
  stranger.shard.keep_connected(local, peer("server", "10.0.0.1"));
  ASSERT_TRUE(world.run_until(
      [&] { return server.counters.get(counter::associations_refused_address) == 1; }));
  EXPECT_TRUE(module.opened.empty());
  ASSERT_TRUE(world.run_until([&] { return !client_module.log.empty(); }));
}

TEST_F(ShardTest, RefusesAnIdentityThatIsNotConfiguredAndLetsTheSessionSaySo) {
  client_module.own_name = "mallory";
  connect();
  ASSERT_TRUE(world.run_until([&] {
    return std::find(client_module.log.begin(), client_module.log.end(), "no") !=
           client_module.log.end();
  }));
  EXPECT_EQ(module.log.front(), "refused not a configured peer");
  EXPECT_EQ(server.counters.get(counter::associations_refused_identity), 1u);
}

TEST_F(ShardTest, RefusesAPeerThatCallsFromAnothersAddress) {
  client_module.own_name = "bob";
  connect_and_wait();
  EXPECT_EQ(module.log.front(), "refused comes from an address that is not configured for it");
}

TEST_F(ShardTest, AcceptsAPeerThatItsCertificateNames) {
  client.transport.show_certificate({"alice"});
  connect_and_wait();
  EXPECT_THAT(module.log, ElementsAre("identified alice"));
}

// Everybody whom the authority vouches for can open a secure channel; that does not make it every
// peer.
TEST_F(ShardTest, RefusesAPeerWhoseCertificateNamesAnother) {
  client.transport.show_certificate({"bob"});
  connect_and_wait();
  EXPECT_EQ(module.log.front(), "refused its certificate does not name alice");
  EXPECT_EQ(server.counters.get(counter::associations_refused_identity), 1u);
}

TEST_F(ShardTest, RefusesACertificateThatNamesNobodyConfiguredBeforeThereIsASession) {
  client.transport.show_certificate({"mallory", "*.carol.example"});
  connect();
  ASSERT_TRUE(world.run_until(
      [&] { return server.counters.get(counter::associations_refused_identity) == 1; }));
  EXPECT_TRUE(module.opened.empty());
}

TEST_F(ShardTest, ChecksTheCertificateAgainstTheIdentityThatIsConfigured) {
  PeerConfig alice = peer("alice", "10.0.0.2");
  alice.tls_identity = "mme01.epc.example";
  SimNode strict(world, PeerTable({alice}));
  ASSERT_TRUE(strict.shard.open(endpoint("10.0.0.4", true), module));
  client.transport.show_certificate({"*.epc.example"});
  client.shard.keep_connected(client_endpoint, peer("server", "10.0.0.4"));
  ASSERT_TRUE(world.run_until([&] { return !module.log.empty(); }));
  EXPECT_EQ(module.log.front(), "identified alice");
}

TEST_F(ShardTest, RefusesASecondAssociationOfOnePeer) {
  connect_and_wait();
  SimNode twin(world, PeerTable({peer("server", "10.0.0.1")}));
  TextModule twin_module;
  auto local = twin.shard.open(endpoint("10.0.0.2", false), twin_module).value();
  twin.shard.keep_connected(local, peer("server", "10.0.0.1"));
  ASSERT_TRUE(world.run_until([&] { return module.log.size() >= 2; }));
  EXPECT_EQ(module.log[1], "refused has an association already");
}

// --- A peer that may have two associations -------------------------------------------------------

class SeveralTest : public ShardTest {
 protected:
  SeveralTest() {
    several_endpoint = several.shard.open(endpoint("10.0.0.4", true), module).value();
  }
  static PeerConfig twice(std::string name, std::string address) {
    PeerConfig config = peer(std::move(name), std::move(address));
    config.connections_max = 2;
    return config;
  }
  // So many instances of alice, each with a connection.
  void come(int instances) {
    for (int i = 0; i < instances; ++i) {
      alice.push_back(std::make_unique<SimNode>(world, PeerTable({peer("server", "10.0.0.4")})));
      SimNode& node = *alice.back();
      const auto local = node.shard.open(endpoint("10.0.0.2", false), client_module).value();
      node.shard.keep_connected(local, peer("server", "10.0.0.4"));
    }
  }
  std::size_t associations() { return several.directory.associations_of(&module, "alice").size(); }
  bool said(const std::string& what) {
    return std::ranges::find(module.log, what) != module.log.end();
  }

  SimNode several{world, PeerTable({twice("alice", "10.0.0.2")})};
  EndpointId several_endpoint{};
  std::vector<std::unique_ptr<SimNode>> alice;
};

TEST_F(SeveralTest, LetsInAsManyAsItMayHaveAndRefusesOneMore) {
  come(3);
  const std::string why = "has 2 associations already, and may have no more (connections_max)";
  ASSERT_TRUE(world.run_until([&] { return said("refused " + why); }));
  EXPECT_EQ(associations(), 2u);
  EXPECT_EQ(several.facts.last(kPeerRefused, "why"), why);
  EXPECT_EQ(std::ranges::count(module.log, "identified alice"), 2);
}

TEST_F(SeveralTest, HasASlotFreeAgainWhenOneEnds) {
  come(2);
  ASSERT_TRUE(world.run_until([&] { return associations() == 2; }));
  const auto before = several.directory.associations_of(&module, "alice");
  several.transport.cut(before.front());
  ASSERT_TRUE(world.run_until([&] { return associations() == 1; }));
  EXPECT_EQ(several.directory.association_of(&module, "alice"), before.back());
  ASSERT_TRUE(world.run_until([&] { return associations() == 2; })) << "its instance comes back";
  EXPECT_EQ(several.directory.association_of(&module, "alice"), before.back());
}

// One that comes while all are there asks each of them, and takes the place of the first that goes.
TEST_F(SeveralTest, TakesThePlaceOfAnyThatHasEnded) {
  come(2);
  ASSERT_TRUE(world.run_until([&] { return associations() == 2; }));
  const auto before = several.directory.associations_of(&module, "alice");
  for (const AssociationId gone : {before.back(), before.front()}) {
    const AssociationId again = next_association_id();
    comes_up(several.shard, again, several_endpoint, "10.0.0.2", world.now());
    reads(several.shard, again, "iam alice", world.now());
    several.shard.run_mailbox(world.now());
    EXPECT_NE(several.directory.associations_of(&module, "alice").back(), again);
    is_lost(several.shard, gone, world.now());
    // Fewer turns than those that are left have for their answer.
    for (int turn = 0; turn < 8; ++turn) several.shard.run_mailbox(world.now());
    EXPECT_EQ(several.directory.associations_of(&module, "alice").back(), again);
    EXPECT_EQ(associations(), 2u);
  }
  EXPECT_EQ(several.counters.get(counter::associations_refused_identity), 0u);
}

// We connect three times, and the peer may have two.
TEST_F(SeveralTest, ConnectsOnAsManyLinksAsThePeerMayHaveAndRestsWithTheOthers) {
  SimNode node(world, PeerTable({twice("server", "10.0.0.4")}));
  const auto local = node.shard.open(endpoint("10.0.0.2", false), client_module).value();
  const auto there = [&] { return node.directory.associations_of(&client_module, "server"); };
  for (int i = 0; i < 3; ++i) node.shard.keep_connected(local, twice("server", "10.0.0.4"));
  ASSERT_TRUE(world.run_until([&] { return associations() == 2; }));
  world.run_for(10s);
  const auto before = there();
  ASSERT_EQ(before.size(), 2u);
  EXPECT_EQ(node.transport.association_count(), 2u) << "the third link rests";
  const auto opened = node.counters.get(counter::associations_opened);

  node.transport.cut(before.front());
  ASSERT_TRUE(world.run_until([&] { return associations() == 1; }));
  ASSERT_TRUE(world.run_until([&] { return there().size() == 2 && associations() == 2; }));
  world.run_for(10s);
  EXPECT_EQ(there().front(), before.back()) << "the other one has noticed nothing";
  EXPECT_EQ(node.transport.association_count(), 2u);
  EXPECT_GT(node.counters.get(counter::associations_opened), opened);
}

class TwoShardTest : public ShardTest {
 protected:
  static ShardConfig little_outbound() {
    ShardConfig config;
    config.outbound.parcels_max = 4;
    return config;
  }
  // Alice connects to the second shard.
  void comes(AssociationId id) {
    comes_up(second, id, second_endpoint, "10.0.0.2", world.now());
    sends(id, "iam alice");
  }
  void sends(AssociationId id, const std::string& text) { reads(second, id, text, world.now()); }
  void ends(AssociationId id) { is_lost(second, id, world.now()); }
  // A loop's turn of the first shard, without what its transport has for it, and of the second.
  void turn() { there.turns(1); }
  void many_turns() { there.turns(); }

  SecondShard there{world, server, little_outbound()};
  SimTransport& transport = there.transport;
  Shard& second = there.shard;
  const EndpointId second_endpoint = second.open(endpoint("10.0.0.9", true), module).value();
};

TEST_F(TwoShardTest, ReadsNoMoreOfAnAssociationWhoseSessionHasToWaitAlsoAfterAMove) {
  connect_and_wait();
  const AssociationId id = module.opened.back();
  client_says("pause");
  ASSERT_TRUE(world.run_until([&] { return server.transport.is_paused(id); }));
  ASSERT_TRUE(server.shard.move(id, ShardId{1}, world.now()));
  many_turns();
  EXPECT_TRUE(transport.is_paused(id));
  sends(id, "read on");
  EXPECT_FALSE(transport.is_paused(id));
}

// Its parcels have found no room on their way to the other shard, and its session has to wait.
TEST_F(TwoShardTest, ReadsOnWhenNoReasonForAPauseIsLeft) {
  connect_and_wait();
  const std::string to_first =
      "to " + std::to_string(static_cast<std::uint64_t>(module.opened.back())) + " hello";
  const AssociationId id = next_association_id();
  comes_up(second, id, second_endpoint, "10.0.0.3", world.now());
  sends(id, "iam bob");
  const auto flood = [&] {
    for (std::size_t i = 0; i <= DataBudget{}.parcels_max; ++i) sends(id, to_first);
  };
  flood();
  EXPECT_TRUE(transport.is_paused(id));
  sends(id, "pause");
  turn();
  EXPECT_TRUE(transport.is_paused(id)) << "there is room, but its session waits";
  sends(id, "read on");
  EXPECT_FALSE(transport.is_paused(id));

  sends(id, "pause");
  flood();
  sends(id, "read on");
  EXPECT_TRUE(transport.is_paused(id)) << "its session takes more, but there is no room";
  turn();
  EXPECT_FALSE(transport.is_paused(id));
}

// Alice comes back to the second shard, restarted, while the first has still to read that her
// association has ended.
class ReturnTest : public TwoShardTest {
 protected:
  ReturnTest() {
    connect_and_wait();
    first_association = module.opened.back();
    module.log.clear();
    comes(again);
  }

  void says(const std::string& text) { sends(again, text); }
  void the_first_reads(const std::string& text) {
    reads(server.shard, first_association, text, world.now());
  }
  void the_first_reads_the_end() { is_lost(server.shard, first_association, world.now()); }

  AssociationId first_association{};
  const AssociationId again = next_association_id();
};

TEST_F(ReturnTest, WaitsUntilTheOtherShardHasReadThatThePeerWasGone) {
  says("hello");
  for (int i = 0; i < 50; ++i) turn();
  EXPECT_THAT(module.log, IsEmpty());
  the_first_reads_the_end();
  turn();
  turn();
  EXPECT_THAT(module.log, ElementsAre("down lost", "identified alice", "hello"));
  EXPECT_EQ(server.counters.get(counter::associations_refused_identity), 0u);
  EXPECT_EQ(server.directory.association_of(&module, "alice"), again);
}

TEST_F(ReturnTest, IsRefusedIfThePeerIsStillThereThen) {
  many_turns();
  ASSERT_FALSE(module.log.empty());
  EXPECT_EQ(module.log.front(), "refused has an association already");
  EXPECT_EQ(server.directory.association_of(&module, "alice"), first_association);
}

TEST_F(ReturnTest, TakesThePlaceOfAnAssociationThatOnlyWaitsForItsEnd) {
  the_first_reads("leave");
  many_turns();
  EXPECT_THAT(module.log, IsEmpty()) << "nobody is let in before the other is down";
  world.run_for(5ms);  // before she connects to the first shard again
  many_turns();
  EXPECT_THAT(module.log, ElementsAre("down local_close", "identified alice"));
  EXPECT_EQ(server.directory.association_of(&module, "alice"), again);
  EXPECT_EQ(server.counters.get(counter::associations_refused_identity), 0u);
}

TEST_F(ReturnTest, WaitsForAnAssociationThatIsStillOwedSomething) {
  the_first_reads("owe");
  many_turns();
  many_turns();
  EXPECT_THAT(module.log, IsEmpty());
  EXPECT_FALSE(server.shard.move(first_association, ShardId{1}, world.now()));
  the_first_reads("paid");
  world.run_for(5ms);  // before she connects to the first shard again
  many_turns();
  EXPECT_THAT(module.log, ElementsAre("paid", "down local_close", "identified alice"));
  EXPECT_EQ(server.directory.association_of(&module, "alice"), again);
}

TEST_F(ReturnTest, IsNobodyIfItHasEndedMeanwhile) {
  second.on_event(again, AssociationDown{DownCause::peer_abort, {}}, world.now());
  the_first_reads_the_end();
  many_turns();
  EXPECT_THAT(module.log, ElementsAre("down lost", "refused has gone away", "down peer_abort"));
  EXPECT_FALSE(server.directory.association_of(&module, "alice"));
  EXPECT_EQ(server.directory.associations(), 0u);
}

TEST_F(ReturnTest, IsFoundWhereTheOldOneHasMoved) {
  ASSERT_TRUE(server.shard.move(first_association, ShardId{1}, world.now()));
  many_turns();
  ASSERT_FALSE(module.log.empty());
  EXPECT_EQ(module.log.front(), "refused has an association already");
  EXPECT_EQ(server.directory.association_of(&module, "alice"), first_association);
}

TEST_F(ReturnTest, MayNotSendMuchUntilItIsLetIn) {
  for (int i = 0; i < 1000; ++i) says("hello");
  EXPECT_EQ(server.counters.get(counter::associations_refused_identity), 1u);
  EXPECT_EQ(server.facts.last(kPeerRefused, "why"),
            "sent more before its admission than a newcomer may");
  EXPECT_TRUE(transport.is_paused(again));
  the_first_reads_the_end();
  many_turns();
  EXPECT_FALSE(transport.is_paused(again)) << "nobody reads that it has ended";
  EXPECT_FALSE(server.directory.association_of(&module, "alice"));
}

TEST_F(ShardTest, ClosesAnAssociationThatDoesNotIdentifyItselfInTime) {
  struct Silent final : TransportSink {
    void on_event(AssociationId, AssociationEvent, Instant) override {}
    void on_stranger(const std::string&, std::string, Instant) override {}
    void on_fact(AssociationId, Fact, Instant) override {}
  } silent;
  SimTransport mute(world);
  mute.set_sink(silent);
  auto local = mute.open(endpoint("10.0.0.2", false), client_module).value();
  mute.connect(local, peer("server", "10.0.0.1"));
  world.run_for(9s);
  EXPECT_EQ(server.counters.get(counter::associations_unidentified_timeout), 0u);
  world.run_for(2s);
  EXPECT_EQ(server.counters.get(counter::associations_unidentified_timeout), 1u);
  EXPECT_EQ(server.transport.association_count(), 0u);
}

TEST_F(ShardTest, WakesASessionAtItsDeadline) {
  connect_and_wait();
  client_says("wake 5000");
  const Instant asked = world.now();
  ASSERT_TRUE(world.run_until([&] { return module.log.back() == "woken"; }));
  EXPECT_GE(world.now() - asked, 5s);
  EXPECT_LT(world.now() - asked, 5s + 1ms);
}

TEST_F(ShardTest, TellsASessionWhatItsAssociationRefused) {
  connect_and_wait();
  server.transport.refuse_sends(module.opened.back(), true);
  client_says("to 0 hello");
  ASSERT_TRUE(world.run_until([&] { return module.log.size() == 2; }));
  EXPECT_EQ(module.log.back(), "unsent echo hello");
  EXPECT_EQ(server.counters.get(counter::messages_refused), 1u);
}

TEST_F(ShardTest, ReconnectsWithBackOffUntilThePeerIsThere) {
  SimNode late_client(world, PeerTable({peer("later", "10.0.0.9")}));
  auto local = late_client.shard.open(endpoint("10.0.0.2", false), client_module).value();
  late_client.shard.keep_connected(local, peer("later", "10.0.0.9"));
  world.run_for(20s);
  const auto failed = late_client.counters.get(counter::connects_failed);
  EXPECT_GE(failed, 5u);
  EXPECT_LE(failed, 12u);  // 250 ms, doubled each time: not a storm
  SimNode later(world, PeerTable({peer("alice", "10.0.0.2")}));
  TextModule later_module;
  ASSERT_TRUE(later.shard.open(endpoint("10.0.0.9", true), later_module));
  EXPECT_TRUE(world.run_until([&] { return !later_module.log.empty(); }, 31s));
}

// However a peer ends each connection at once, it is not connected to in a loop.
TEST_F(ShardTest, BacksOffFromAPeerThatAcceptsAndCloses) {
  SimNode stranger(world, PeerTable({peer("server", "10.0.0.1")}));
  auto local = stranger.shard.open(endpoint("10.9.9.9", false), client_module).value();
  stranger.shard.keep_connected(local, peer("server", "10.0.0.1"));
  world.run_for(30s);
  EXPECT_GE(server.counters.get(counter::associations_refused_address), 5u);
  EXPECT_LE(server.counters.get(counter::associations_refused_address), 10u);
}

TEST_F(ShardTest, BacksOffFromAPeerThatIsIdentifiedAndCloses) {
  module.hangs_up = true;
  connect();
  world.run_for(30s);
  EXPECT_EQ(std::count(client_module.log.begin(), client_module.log.end(), "identified server"),
            static_cast<std::ptrdiff_t>(client_module.opened.size()));
  EXPECT_GE(client_module.opened.size(), 5u);
  EXPECT_LE(client_module.opened.size(), 10u);
}

TEST_F(ShardTest, BacksOffFromAPeerThatRefusesWhoWeAre) {
  client_module.own_name = "mallory";
  connect();
  world.run_for(30s);
  EXPECT_GE(server.counters.get(counter::associations_refused_identity), 5u);
  EXPECT_LE(server.counters.get(counter::associations_refused_identity), 10u);
}

TEST_F(ShardTest, ForgetsItsBackOffOnceAConnectionHasLasted) {
  const auto cut_after = [&](Duration open) {
    const std::size_t before = client_module.opened.size();
    world.run_for(open);
    client.transport.cut(client_module.opened.back());
    const Instant cut = world.now();
    EXPECT_TRUE(world.run_until([&] { return client_module.opened.size() > before; }, 60s));
    return world.now() - cut;
  };
  connect_and_wait();
  for (int i = 0; i < 6; ++i) (void)cut_after(1s);
  EXPECT_GT(cut_after(9s), 5s);
  EXPECT_LT(cut_after(11s), BackoffConfig{}.first + 2ms);
}

TEST_F(ShardTest, ReconnectsAfterALoss) {
  connect_and_wait();
  client.transport.cut(client_module.opened.back());
  ASSERT_TRUE(world.run_until([&] { return module.opened.size() == 2; }));
  EXPECT_EQ(module.log[1], "down lost");
  ASSERT_TRUE(world.run_until([&] { return module.log.size() == 3; }));
  EXPECT_EQ(module.log[2], "identified alice");
}

TEST_F(ShardTest, ALinkRestsWhileItsPeerIsConnectedByTheOtherSideAndResumesWhenThatIsDown) {
  connect_and_wait();
  server.shard.keep_connected(local, peer("alice", "10.0.0.2"));
  world.run_for(60s);
  EXPECT_EQ(server.counters.get(counter::connects_failed), 0u);
  EXPECT_EQ(server.counters.get(counter::associations_opened), 1u);
  client.shard.stop(world.now());
  ASSERT_TRUE(world.run_until([&] { return server.shard.idle(); }));
  // Nobody listens there.
  EXPECT_TRUE(
      world.run_until([&] { return server.counters.get(counter::connects_failed) == 1; }, 1s));
}

TEST_F(ShardTest, ALinkIsGivenUpWhenItsPeerIsIdentifiedOnAnotherAssociation) {
  SimNode elsewhere(world, PeerTable({peer("server", "10.0.0.1")}));
  TextModule mute;
  ASSERT_TRUE(elsewhere.shard.open(endpoint("10.0.0.9", true), mute));
  module.own_name.clear();
  server.shard.keep_connected(local, peer("alice", "10.0.0.9"));
  ASSERT_TRUE(world.run_until([&] { return mute.opened.size() == 1; }));
  connect_and_wait();
  EXPECT_EQ(module.log.back(), "identified alice");
  ASSERT_TRUE(world.run_until([&] { return server.transport.association_count() == 1; }, 1s));
  world.run_for(60s);
  EXPECT_EQ(mute.opened.size(), 1u);
  client.shard.stop(world.now());
  EXPECT_TRUE(world.run_until([&] { return mute.opened.size() == 2; }, 1s));
}

// The first shard keeps alice connected, who has come to us by herself, and is on the second.
class RestTest : public TwoShardTest {
 protected:
  void keep_connected() { server.shard.keep_connected(local, peer("alice", "10.0.0.2")); }
  // All fail: nobody listens there.
  std::uint64_t connects() const { return server.counters.get(counter::connects_failed); }
  void expect_rest_for(Duration span) {
    world.run_for(span);
    EXPECT_EQ(connects(), 0u);
    EXPECT_FALSE(server.shard.next_deadline()) << "nor does it look now and then";
  }
  void expect_connect_soon() {
    EXPECT_TRUE(world.run_until([&] { return connects() == 1; }, BackoffConfig{}.first + 1ms));
  }

  const AssociationId hers = next_association_id();
};

TEST_F(RestTest, EndsWhenTheAssociationIsDownOnTheShardThatItMovedTo) {
  connect_and_wait();
  keep_connected();
  ASSERT_TRUE(server.shard.move(module.opened.back(), ShardId{1}, world.now()));
  many_turns();
  ASSERT_EQ(transport.association_count(), 1u);
  expect_rest_for(60s);
  client.shard.stop(world.now());
  ASSERT_TRUE(world.run_until([&] { return server.shard.idle(); }));
  expect_connect_soon();
}

TEST_F(RestTest, EndsSoonHoweverLongTheAssociationWasOnTheOtherShard) {
  comes(hers);
  keep_connected();
  expect_rest_for(5min);
  ends(hers);
  expect_connect_soon();
}

TEST_F(RestTest, BeginsWhenAConnectFailsWhileThePeerIsOnTheOtherShard) {
  keep_connected();
  comes(hers);
  expect_rest_for(5min);
  ends(hers);
  expect_connect_soon();
}

TEST_F(RestTest, GrowsLongerWhileThePeerComesAndGoes) {
  keep_connected();
  for (int i = 0; i < 300; ++i) {  // 30 s
    const AssociationId id = next_association_id();
    comes(id);
    world.run_for(50ms);
    ends(id);
    world.run_for(50ms);
  }
  EXPECT_LE(connects(), 10u);
}

// --- A peer that wants to be left alone ----------------------------------------------------------

TEST_F(RestTest, LastsUntilTheHoldOffIsOverOnWhicheverShardThePeerSaidBye) {
  comes(hers);
  keep_connected();
  sends(hers, "bye 300000");
  ends(hers);
  world.run_for(299s);
  EXPECT_EQ(connects(), 0u);
  EXPECT_TRUE(world.run_until([&] { return connects() == 1; }, 1002ms));
}

TEST_F(RestTest, LastsThroughAHoldOffThatCameWhileTheLinkWasGoingToConnect) {
  keep_connected();
  world.run_for(10ms);
  ASSERT_EQ(connects(), 1u);  // the back-off runs
  comes(hers);
  sends(hers, "bye 300000");
  ends(hers);
  world.run_for(299s);
  EXPECT_EQ(connects(), 1u);
  EXPECT_TRUE(world.run_until([&] { return connects() == 2; }, 1002ms));
}

TEST_F(RestTest, IsOverSoonIfThePeerHasComeByItselfSinceItSaidBye) {
  comes(hers);
  keep_connected();
  sends(hers, "bye 300000");
  ends(hers);
  const AssociationId again = next_association_id();
  comes(again);
  EXPECT_EQ(module.log.back(), "identified alice");
  world.run_for(60s);
  EXPECT_EQ(connects(), 0u);
  ends(again);
  expect_connect_soon();
}

TEST_F(TwoShardTest, AHoldOffIsKeptByTheShardThatALinkHasMovedTo) {
  SimNode elsewhere(world, PeerTable({peer("alice", "10.0.0.1")}));
  TextModule quiet;
  ASSERT_TRUE(elsewhere.shard.open(endpoint("10.0.0.2", true), quiet));
  server.shard.keep_connected(local, peer("alice", "10.0.0.2"));
  ASSERT_TRUE(world.run_until([&] { return !module.log.empty(); }));
  const AssociationId ours = module.opened.back();
  ASSERT_TRUE(server.shard.move(ours, ShardId{1}, world.now()));
  many_turns();
  sends(ours, "bye 300000");
  ends(ours);
  ASSERT_TRUE(second.next_deadline());
  EXPECT_EQ(*second.next_deadline(), world.now() + 300s);
  EXPECT_FALSE(server.shard.next_deadline());
}

TEST_F(ShardTest, RemembersWhyTheLastAssociationOfAPeerHasEnded) {
  connect_and_wait();
  EXPECT_EQ(server.directory.past_of(&module, "alice").why, "");
  client_says("bye 5000");
  world.run_for(1s);
  client.transport.cut(client_module.opened.back());
  world.run_for(5ms);
  PeerPast past = server.directory.past_of(&module, "alice");
  EXPECT_EQ(past.why, "said bye");
  EXPECT_TRUE(past.held_off_until);
  ASSERT_TRUE(world.run_until([&] { return module.opened.size() == 2; }));
  world.run_for(1s);
  past = server.directory.past_of(&module, "alice");
  EXPECT_EQ(past.why, "said bye");
  EXPECT_FALSE(past.held_off_until) << "it is here again";
  client.transport.cut(client_module.opened.back());
  world.run_for(5ms);
  past = server.directory.past_of(&module, "alice");
  EXPECT_EQ(past.why, "lost");
  EXPECT_GT(past.ended_at, world.now() - 10ms);
}

TEST_F(ShardTest, AConnectThatFailsIsThePeersLastTroubleAndItsLinkSaysWhenItIsNext) {
  server.shard.keep_connected(local, peer("alice", "10.0.0.2"));  // nobody listens there
  ASSERT_TRUE(world.run_until([&] { return server.counters.get(counter::connects_failed) == 1; }));
  const PeerPast past = server.directory.past_of(&module, "alice");
  EXPECT_EQ(past.trouble, "connect failed: nobody listens");
  EXPECT_EQ(past.trouble_at, world.now());
  EXPECT_EQ(past.why, "") << "no association has ended";
  std::vector<LinkView> links;
  for (TableWalk walk;
       server.shard.visit_links(walk, [&links](const LinkView& view) { links.push_back(view); });) {
  }
  ASSERT_EQ(links.size(), 1u);
  const auto link = links.begin();
  EXPECT_EQ(link->peer, PeerKey(&module, "alice"));
  EXPECT_EQ(link->local, local);
  EXPECT_EQ(link->state, LinkState::waiting);
  EXPECT_EQ(link->next, server.shard.next_deadline());
}

TEST_F(ShardTest, ARefusalIsTheTroubleOfThePeerWhoseNameWasSaid) {
  client_module.own_name = "bob";
  connect_and_wait();
  EXPECT_EQ(server.directory.past_of(&module, "bob").trouble,
            "refused: comes from an address that is not configured for it");
  EXPECT_EQ(server.directory.past_of(&module, "alice").trouble, "");
}

TEST_F(ShardTest, WhoIsNotConfiguredLeavesNothingBehind) {
  client_module.own_name = "mallory";
  connect_and_wait();
  EXPECT_EQ(server.counters.get(counter::associations_refused_identity), 1u);
  EXPECT_EQ(server.directory.past_of(&module, "mallory").trouble, "");
}

TEST_F(ShardTest, TheEndOfAnAssociationIsTroubleToo) {
  connect_and_wait();
  client.transport.cut(client_module.opened.back());
  world.run_for(5ms);
  EXPECT_EQ(server.directory.past_of(&module, "alice").trouble, "lost");
}

TEST_F(ShardTest, SessionsAreVisitedAFewAtATimeAndByTheirIds) {
  connect_and_wait();
  const AssociationId ours = module.opened.back();
  std::vector<AssociationId> visited;
  for (TableWalk walk; server.shard.visit_sessions(
           walk, [&visited](const SessionView& view) { visited.push_back(view.id); });) {
  }
  EXPECT_THAT(visited, testing::UnorderedElementsAre(module.application, ours));
  const auto view = server.shard.session(ours);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->id, ours);
  EXPECT_TRUE(view->identified);
  EXPECT_FALSE(view->coordinator);
  EXPECT_EQ(view->session->status().peer, "alice");
  EXPECT_EQ(view->messages_received, 1u);
  client.transport.cut(client_module.opened.back());
  world.run_for(5ms);
  EXPECT_FALSE(server.shard.session(ours));
}

// --- A peer that has ended its half of the connection --------------------------------------------

TEST_F(ShardTest, ClosesAnAssociationThatItsPeerHasEnded) {
  connect_and_wait();
  server.shard.on_event(module.opened.back(), AssociationEnding{true}, world.now());
  world.run_for(5ms);
  EXPECT_THAT(module.log, ElementsAre("identified alice", "ending", "down local_close"));
}

TEST_F(ShardTest, LeavesAnAssociationThatItsPeerHasEndedToASessionThatOwesSomething) {
  connect_and_wait();
  client_says("owe");
  world.run_for(5ms);
  server.shard.on_event(module.opened.back(), AssociationEnding{true}, world.now());
  world.run_for(1s);
  EXPECT_EQ(module.log.back(), "ending");
  EXPECT_EQ(server.transport.association_count(), 1u);
  client_says("to 0 something");
  client_says("paid");
  world.run_for(5ms);
  EXPECT_EQ(client_module.log.at(1), "echo something");
  EXPECT_EQ(module.log.back(), "down local_close");
}

TEST_F(RestTest, GoesOnIfThePeerIsBackBeforeItsEndIsHeardOf) {
  comes(hers);
  keep_connected();
  ends(hers);
  const AssociationId again = next_association_id();
  comes(again);
  expect_rest_for(60s);
  ends(again);
  expect_connect_soon();
}

TEST_F(ShardTest, WhatIsDroppedIsCountedForThePeerThatSentItAndToldOnceAMinute) {
  connect_and_wait();
  module.drops = true;
  const Instant begin = world.now();
  client_says("to 0 one");
  client_says("to 0 two");
  ASSERT_TRUE(world.run_until([&] { return server.facts.count(kMessagesDropped) == 2; }, 120s));
  EXPECT_EQ(server.facts.last(kMessagesDropped, "peer"), "alice");
  EXPECT_EQ(server.facts.last(kMessagesDropped, "reason"), "text.dropped");
  EXPECT_EQ(server.facts.last(kMessagesDropped, "example"), "two");
  EXPECT_EQ(server.facts.last(kMessagesDropped, "count"), "1");
  EXPECT_GE(world.now() - begin, 60s);
}

// A shard that does not read its mailbox: in the end nothing more may wait for it.
TEST_F(TwoShardTest, WhatFindsNoRoomOnItsWayToAnotherShardIsToldToo) {
  const AssociationId alice = next_association_id();
  comes(alice);
  std::uint64_t dropped = 0;
  std::string row_text;
  for (int i = 0; dropped < 3 && i < 100'000; ++i) {
    sends(alice, "to 0 " + std::to_string(i) + " in order");
    second.drops().visit(
        [&](std::string_view reason, const std::string& peer, const Drops::Row& row) {
          dropped = row.count;
          row_text = std::string(reason) + " " + peer + " " + row.example;
        });
    if (dropped == 3) {
      EXPECT_EQ(row_text, "shard.no_room alice " + std::to_string(i) + " in order");
    }
  }
  EXPECT_EQ(dropped, 3u);
}

TEST_F(ShardTest, AnnouncesWhatBecomesOfAPath) {
  connect_and_wait();
  const AssociationId id = client_module.opened.back();
  client.shard.on_event(id, AssociationPathChange{"10.0.0.1", PathState::potentially_failed},
                        world.now());
  const auto& entry = client.facts.entries().back();
  EXPECT_EQ(entry.about, id);
  EXPECT_EQ(entry.peer, "server");
  ASSERT_TRUE(is(entry.fact, kPathChanged));
  EXPECT_EQ(entry.fact.severity, Severity::warning);
  EXPECT_EQ(field(entry.fact, "address"), "10.0.0.1");
  EXPECT_EQ(field(entry.fact, "state"), "potentially_failed");
  client.shard.on_event(id, AssociationPathChange{"10.0.0.1", PathState::reachable}, world.now());
  EXPECT_EQ(client.facts.entries().back().fact.severity, Severity::info);
}

TEST_F(ShardTest, TellsFactsWithTheAddressOfAnAssociationUntilItsPeerIsKnown) {
  connect_and_wait();
  client_says("bye 5000");
  ASSERT_TRUE(world.run_until([&] { return server.facts.count(kPeerClosed) == 1; }));
  const auto& ours = client.facts.entries().front();  // told before anybody has said a name
  EXPECT_TRUE(is(ours.fact, kAssociationOpened));
  EXPECT_EQ(ours.peer, field(ours.fact, "remote"));
  const auto& told = server.facts.entries();  // of one that came to us: told once it is known
  EXPECT_TRUE(is(told.front().fact, kAssociationOpened));
  EXPECT_EQ(told.front().peer, "alice");
  EXPECT_EQ(told.back().peer, "alice");
  EXPECT_EQ(server.facts.last(kPeerClosed, "peer"), "alice");
  EXPECT_EQ(server.facts.last(kPeerClosed, "why"), "said bye");
  EXPECT_EQ(server.facts.last(kPeerClosed, "hold_off_ms"), "5000");
}

TEST_F(ShardTest, StopsWhenEverySessionHasSaidGoodbye) {
  connect_and_wait();
  client.shard.stop(world.now());
  EXPECT_FALSE(client.shard.idle());
  ASSERT_TRUE(world.run_until([&] { return client.shard.idle() && server.shard.idle(); }));
  world.run_for(60s);
  EXPECT_EQ(module.opened.size(), 1u) << "a stopping node does not reconnect";
}

TEST_F(ShardTest, ACallPostedFromAnotherThreadRunsWithTheMailbox) {
  bool ran = false;
  server.shard.mailbox().post_control(Call{[&] { ran = true; }});
  server.shard.run_mailbox(world.now());
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace siglane
