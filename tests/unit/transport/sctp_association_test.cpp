#include <vector>

#include <gtest/gtest.h>

#include "tests/support/no_framing.h"
#include "tests/support/payload_protocols.h"
#include "transport/sctp/kernel/association.h"

namespace siglane::transport {
namespace {

struct NoHost final : SctpHost {
  Instant now() override { return Instant(1s); }
  void entered(SctpAssociationBase& association) override { phases.push_back(association.phase()); }
  void flush_at_end_of_turn(SctpAssociationBase&) override {}
  void congestion_changed(SctpAssociationBase&) override { congestion_changed_seen = true; }
  void wait_for_room(SctpAssociationBase&) override { ++waits; }
  Counters& counters() override { return counted; }
  Counters counted;
  std::vector<SctpAssociationBase::Phase> phases;
  bool congestion_changed_seen = false;
  unsigned waits = 0;
};

// Of a peer with these addresses.
struct Association {
  explicit Association(std::initializer_list<std::string_view> addresses) {
    std::vector<SocketAddress> remote;
    for (std::string_view text : addresses) remote.push_back(*SocketAddress::parse(text, 7));
    association.came_up({}, remote);
  }
  std::string told(const std::string& address, PathState state) {
    const auto change = association.path_changed(address, state);
    return change ? change->address + " " + std::string(name_of(change->new_state)) : "nothing";
  }

  NoHost host;
  SctpAssociation association{AssociationId{1}, 1, std::make_shared<SctpEndpoint>(), host};
};

TEST(SctpAssociation, TellsOfAPathOnlyWhatIsNews) {
  Association two({"192.0.2.1", "192.0.2.2"});
  EXPECT_EQ(two.told("192.0.2.1", PathState::reachable), "nothing");
  EXPECT_EQ(two.told("192.0.2.1", PathState::potentially_failed), "192.0.2.1 potentially_failed");
  EXPECT_EQ(two.told("192.0.2.1", PathState::potentially_failed), "nothing");
  EXPECT_EQ(two.told("192.0.2.2", PathState::potentially_failed), "192.0.2.2 potentially_failed");
  EXPECT_EQ(two.told("192.0.2.1", PathState::unreachable), "192.0.2.1 unreachable");
  EXPECT_EQ(two.told("192.0.2.1", PathState::reachable), "192.0.2.1 reachable");
  EXPECT_EQ(two.told("192.0.2.1", PathState::reachable), "nothing");
  EXPECT_EQ(two.told("192.0.2.2", PathState::reachable), "192.0.2.2 reachable");
}

TEST(SctpAssociation, CongestionThatItsOldLoopHadNoTimeToTellIsToldByTheNewOne) {
  Association one({"192.0.2.1"});
  SctpAssociation& association = one.association;
  BufferPool pool;
  NoHost next, last;
  for (std::size_t n = 0; n < AssociationLimits{}.send_queue_messages_max / 2; ++n) {
    EXPECT_FALSE(one.host.congestion_changed_seen);
    ASSERT_TRUE(association.queue.push({{}, {}, false, {}, Buffer::copy_of({})}));
    (void)association.flush();  // there is no socket, so all of it stays
  }
  EXPECT_TRUE(one.host.congestion_changed_seen);
  association.move_to(next, pool);
  EXPECT_TRUE(next.congestion_changed_seen);
  EXPECT_EQ(association.queue.congestion_change(), true);
  association.move_to(last, pool);
  EXPECT_FALSE(last.congestion_changed_seen) << "it was told";
}

TEST(SctpAssociation, ItsPathsAreSeenToOnceWhenTheyMustHaveBeenConfirmed) {
  Association two({"192.0.2.1", "192.0.2.2"});  // up at 1 s
  two.association.paths_patience = 2s;
  EXPECT_FALSE(two.association.paths_due(Instant(2999ms)));
  EXPECT_TRUE(two.association.paths_due(Instant(3s)));
  EXPECT_FALSE(two.association.paths_due(Instant(4s)));
  Association one({"192.0.2.1"});
  one.association.paths_patience = 2s;
  EXPECT_FALSE(one.association.paths_due(Instant(3s))) << "it is up, so its only path works";
}

notification::SendFailed piece(std::uint16_t stream, std::string_view text, bool begins,
                               bool ends) {
  return {1, StreamId{stream}, test::kM3ua, false, begins, begins, ends, as_bytes(text)};
}

TEST(SctpAssociation, PutsEachStreamsReturnedMessageTogetherWhateverComesBetween) {
  Association one({"192.0.2.1"});
  const auto returned = [&](std::uint16_t stream, std::string_view text, bool begins, bool ends) {
    const auto unsent = one.association.returned(piece(stream, text, begins, ends));
    return unsent ? std::string(as_text(unsent->message.payload.bytes())) +
                        (unsent->sent_unacknowledged ? " sent" : "")
                  : "";
  };
  EXPECT_EQ(returned(2, "half a ", true, false), "");
  EXPECT_EQ(returned(1, "whole", true, true), "whole sent");
  EXPECT_EQ(returned(3, "without an end ", true, false), "");
  EXPECT_EQ(returned(2, "message", false, true), "half a message sent");
  EXPECT_EQ(returned(2, "without a beginning", false, true), "");
  EXPECT_EQ(returned(3, "another", true, true), "another sent");
}

// Nothing can be sent, for that reason, and it is tried twice in one flush, as a close under DTLS
// does.
class Unable final : public SctpAssociationBase {
 public:
  using SctpAssociationBase::SctpAssociationBase;
  TransportKind kind() const override { return TransportKind::simulated; }
  bool peeled() const override { return own_socket; }
  void pause_input(bool) override {}
  void dry() override {}

  int why = EAGAIN;
  bool established = true, aborted = false, own_socket = false;

 private:
  void send_queued() override {
    EXPECT_TRUE(stopped_by(why));
    EXPECT_TRUE(stopped_by(why));
  }
  bool established_in_stack() const override { return established && !aborted; }
  void records_sent() override {}
  void shut_down() override {}
  void abort() override { aborted = true; }
  bool peer_has_auth() override { return false; }
  int set_auth_key(std::uint16_t, Bytes) override { return 0; }
  int use_auth_key(std::uint16_t) override { return 0; }
  int delete_auth_key(std::uint16_t) override { return 0; }
  int send_record(const SendInfo&, Bytes, bool) override { return EAGAIN; }
};

TEST(SctpAssociation, WaitsForRoomOnceHoweverOftenItTries) {
  NoHost host;
  Unable full{AssociationId{1}, 1, std::make_shared<SctpEndpoint>(), host};
  full.came_up({}, {});
  ASSERT_TRUE(full.queue.push({{}, {}, false, {}, Buffer::copy_of({})}));
  for (unsigned flushes = 1; flushes <= 3; ++flushes) {
    (void)full.flush();
    EXPECT_EQ(host.waits, flushes);
  }
}

TEST(SctpAssociation, EndsIfTheStackWillNeverTakeAMessage) {
  NoHost host;
  const auto endpoint = std::make_shared<SctpEndpoint>();
  Unable alive{AssociationId{1}, 1, endpoint, host}, over{AssociationId{2}, 2, endpoint, host};
  over.established = false;  // what ended it waits to be read
  for (Unable* one : {&alive, &over}) {
    one->came_up({}, {});
    one->why = EINVAL;
    ASSERT_TRUE(one->queue.push({{}, {}, false, {}, Buffer::copy_of({})}));
    (void)one->flush();
    EXPECT_EQ(one->queue.messages(), 1u) << "it becomes Unsent";
  }
  EXPECT_EQ(host.waits, 0u);
  EXPECT_TRUE(alive.aborted);
  EXPECT_EQ(alive.down_event().cause, DownCause::lost);
  EXPECT_EQ(alive.down_event().detail, "cannot send: Invalid argument");
  EXPECT_FALSE(over.aborted);
  EXPECT_EQ(over.phase(), SctpAssociationBase::Phase::up);
}

TEST(SctpAssociation, AfterThePeersShutdownACloseIsBoundedToo) {
  using Phase = SctpAssociationBase::Phase;
  const auto endpoint = std::make_shared<SctpEndpoint>();
  NoHost peer_first, we_first;
  Unable one{AssociationId{1}, 1, endpoint, peer_first},
      other{AssociationId{2}, 2, endpoint, we_first};
  one.came_up({}, {});
  EXPECT_TRUE(one.peer_shut_down());
  EXPECT_FALSE(one.peer_shut_down()) << "it has been told";
  EXPECT_TRUE(one.can_move());
  one.close(CloseMode::graceful);
  one.close(CloseMode::graceful);
  EXPECT_EQ(peer_first.phases, (std::vector{Phase::up, Phase::peer_closing, Phase::both_closing}));
  EXPECT_FALSE(one.can_move()) << "its transport sees to its end";
  other.came_up({}, {});
  other.close(CloseMode::graceful);
  EXPECT_FALSE(other.peer_shut_down()) << "its session closes anyway";
  EXPECT_EQ(we_first.phases, (std::vector{Phase::up, Phase::draining, Phase::both_closing}));
  for (Unable* each : {&one, &other}) {
    each->ended(DownCause::peer_shutdown, "SHUTDOWN");
    EXPECT_EQ(each->down_event().cause, DownCause::peer_shutdown) << "its SHUTDOWN came";
  }
}

// An endpoint that is set up, with a send buffer of 1000 bytes.
SctpEndpoint endpoint_of_1000() {
  static const NoFraming framing;
  SctpEndpoint endpoint;
  endpoint.config.sctp.send_buffer_bytes = 1000;
  EXPECT_TRUE(endpoint.set_up(framing));
  return endpoint;
}

TEST(SctpAssociation, WhatIsSentAfterThePeersShutdownWaitsForTheEndBehindWhatWasSentBefore) {
  NoHost host;
  Unable full{AssociationId{1}, 1, std::make_shared<SctpEndpoint>(endpoint_of_1000()), host};
  notification::AssociationChanged up;
  up.streams_out = 1;
  full.came_up(up, {});
  const auto send = [&full](std::string_view text) {
    return full.send({{}, {}, false, {}, Buffer::copy_of(as_bytes(text))});
  };
  ASSERT_EQ(send("before"), SendOutcome::accepted);
  (void)full.flush();
  EXPECT_TRUE(full.blocked);
  (void)full.peer_shut_down();
  EXPECT_FALSE(full.blocked) << "nobody waits for room any more";
  const unsigned waits = host.waits;
  for (const std::string_view text : {"after", "again"}) {
    EXPECT_EQ(send(text), SendOutcome::accepted);
    EXPECT_TRUE(full.flush());
    full.close(CloseMode::graceful);
  }
  EXPECT_EQ(host.waits, waits) << "nothing goes to the stack";
  for (const std::string_view text : {"before", "after", "again"}) {
    ASSERT_FALSE(full.queue.empty());
    EXPECT_EQ(as_text(full.queue.front().payload.bytes()), text);
    (void)full.queue.pop();
  }
}

TEST(SctpEndpoint, KeepsWhatTheStackGaveUntilItAsksForAnother) {
  SctpEndpoint open = endpoint_of_1000();
  open.limit_send_buffer(600);
  EndpointConfig config = open.config;
  config.limits.message_bytes_max = 50;
  const auto same = open.with(config, nullptr);
  EXPECT_EQ(same->send_buffer_bytes, 600u);
  EXPECT_EQ(same->sent_bytes_max, 600u);
  EXPECT_EQ(same->received_bytes_max, 50u);
  config.sctp.send_buffer_bytes = 800;
  EXPECT_EQ(open.with(config, nullptr)->sent_bytes_max, 800u);
}

TEST(SctpAssociation, FollowsItsEndpointButForTheBufferOfASocketOfItsOwn) {
  const SctpEndpoint open = endpoint_of_1000();
  EndpointConfig config = open.config;
  config.sctp.send_buffer_bytes = 100;
  config.limits.send_queue_messages_max = 2;
  const auto next = open.with(config, nullptr);
  const auto message = [](std::size_t size) {
    return Message{{}, {}, false, {}, Buffer::copy_of(std::vector<std::byte>(size))};
  };
  notification::AssociationChanged up;
  up.streams_out = 1;
  for (const bool own_socket : {false, true}) {
    NoHost host;
    Unable one{AssociationId{1}, 1, std::make_shared<SctpEndpoint>(open), host};
    one.came_up(up, {});
    ASSERT_EQ(one.send(message(500)), SendOutcome::accepted);
    one.own_socket = own_socket;
    one.follow(next);
    EXPECT_TRUE(host.congestion_changed_seen) << "half of the new limit waits";
    EXPECT_EQ(one.send(message(500)), own_socket ? SendOutcome::accepted : SendOutcome::refused);
    (void)one.send(message(50));
    EXPECT_EQ(one.queue.messages(), 2u);
    EXPECT_EQ(one.send(message(50)), SendOutcome::refused);
  }
}

TEST(SctpAssociation, ASinglePathThatMayHaveFailedIsNoNewsForThereIsNoOther) {
  Association one({"192.0.2.1"});
  EXPECT_EQ(one.told("192.0.2.1", PathState::potentially_failed), "nothing");
  EXPECT_EQ(one.told("192.0.2.1", PathState::reachable), "nothing");
  EXPECT_EQ(one.told("192.0.2.1", PathState::unreachable), "192.0.2.1 unreachable");
  EXPECT_EQ(one.told("192.0.2.1", PathState::reachable), "192.0.2.1 reachable");
}

}  // namespace
}  // namespace siglane::transport
