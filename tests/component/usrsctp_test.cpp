#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/component/usrsctp_fixture.h"

// SCTP in this process. The stack plays both ends here: two endpoints with UDP ports of their own,
// so that every packet goes through the network.
namespace siglane::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(UsrsctpTest, comes_up_on_both_ends_and_says_who_is_there) {
  start();
  connect_pair();
  const AssociationUp& up = *log(near_).up;
  EXPECT_TRUE(up.initiator);
  EXPECT_EQ(up.peer, "peer");
  EXPECT_EQ(up.local, client_);
  EXPECT_EQ(up.remote_port, 5000);
  EXPECT_EQ(up.streams_out, 16);
  EXPECT_THAT(up.remote_addresses, ElementsAre("127.0.0.1"));
  const AssociationUp& other = *log(far_).up;
  EXPECT_FALSE(other.initiator);
  EXPECT_EQ(other.local, server_);
  EXPECT_EQ(other.remote_port, 5001);
  const auto status = transport_->status(far_).value();
  EXPECT_EQ(status.local, "127.0.0.1:5000");
  EXPECT_EQ(status.remote, "127.0.0.1:5001");
  EXPECT_EQ(status.transport, TransportKind::usrsctp);
  EXPECT_FALSE(status.peeled);
  EXPECT_EQ(sink_.count<fact::EndpointOpened>(), 2u);
  EXPECT_GE(sink_.count<fact::Notice>(), 1u);  // trusted networks only
}

TEST_F(UsrsctpTest, carries_messages_both_ways_with_stream_and_protocol) {
  start();
  connect_pair();
  std::vector<std::pair<std::uint16_t, PayloadProtocol>> seen;
  sink_.on_received = [&](AssociationId id, const Message& message) {
    seen.emplace_back(static_cast<std::uint16_t>(message.stream), message.protocol);
    if (id == far_) {
      Message reply = message;
      EXPECT_EQ(transport_->find(far_)->send(std::move(reply)), SendOutcome::accepted);
    }
  };
  ASSERT_EQ(send(near_, "hello", 3), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return seen.size() == 2; }));
  EXPECT_THAT(seen, ElementsAre(std::pair(std::uint16_t{3}, PayloadProtocol::m3ua),
                                std::pair(std::uint16_t{3}, PayloadProtocol::m3ua)));
  ASSERT_NE(transport_->residence(far_), nullptr);
  EXPECT_EQ(transport_->residence(far_)->count(), 1u);
  EXPECT_EQ(send(near_, "no such stream", 16), SendOutcome::refused);
}

TEST_F(UsrsctpTest, closes_gracefully_only_after_everything_was_delivered) {
  start();
  connect_pair();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(send(near_, std::to_string(i)), SendOutcome::accepted);
  }
  close(near_, CloseMode::graceful);
  EXPECT_EQ(send(near_, "after the end"), SendOutcome::refused);
  ASSERT_TRUE(until([&] { return log(near_).down && log(far_).down; }));
  ASSERT_EQ(log(far_).received.size(), 1000u);
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(log(far_).received[i], std::to_string(i));
  EXPECT_EQ(log(near_).down->cause, DownCause::local_close);
  EXPECT_EQ(log(far_).down->cause, DownCause::peer_shutdown);
  EXPECT_EQ(transport_->find(near_), nullptr);
}

TEST_F(UsrsctpTest, aborts_and_gives_back_what_was_queued) {
  start();
  connect_pair();
  ASSERT_EQ(send(near_, "never leaves"), SendOutcome::accepted);
  close(near_, CloseMode::abort);
  ASSERT_TRUE(until([&] { return log(near_).down && log(far_).down; }));
  EXPECT_THAT(log(near_).unsent, ElementsAre("never leaves"));
  EXPECT_EQ(log(near_).down->cause, DownCause::local_close);
  EXPECT_EQ(log(far_).down->cause, DownCause::peer_abort);
}

TEST_F(UsrsctpTest, reports_a_peer_that_refuses_and_one_that_does_not_answer) {
  start();
  server_ = open(config("server", 5000, 29101, true));
  client_ = open(config("client", 5001, 29102, false));
  const AssociationId refused = connect(client_, peer(5999, 29101));  // nobody has that port
  const AssociationId silent = connect(client_, peer(5000, 29199));   // nobody has that UDP port
  ASSERT_TRUE(until([&] { return log(refused).down && log(silent).down; }));
  EXPECT_FALSE(log(refused).up || log(silent).up);
  EXPECT_EQ(log(refused).down->cause, DownCause::refused);
  EXPECT_EQ(log(silent).down->cause, DownCause::unreachable);
}

TEST_F(UsrsctpTest, allows_one_association_for_each_pair_of_endpoints) {
  start();
  connect_pair();
  const AssociationId again = connect(client_, peer(5000, 29101));
  ASSERT_TRUE(until([&] { return log(again).down.has_value(); }));
  EXPECT_EQ(log(again).down->cause, DownCause::already_connected);
  EXPECT_FALSE(log(near_).down.has_value());
}

TEST_F(UsrsctpTest, says_what_is_missing_to_reach_a_peer) {
  start();
  client_ = open(config("client", 5001, 29102, false));
  const AssociationId id = connect(client_, peer(5000, 0));
  ASSERT_TRUE(until([&] { return log(id).down.has_value(); }));
  EXPECT_THAT(log(id).down->detail, HasSubstr("remote_udp_port"));
}

TEST_F(UsrsctpTest, says_once_that_peers_have_no_sctp_options_of_their_own) {
  start();
  connect_pair();
  const std::size_t before = sink_.count<fact::Notice>();
  PeerConfig own = peer(5001, 29102);
  transport_->bind(far_, own);
  own.sctp.emplace().rto_max = 1s;
  transport_->bind(far_, own);
  transport_->bind(near_, own);
  ASSERT_TRUE(until([&] { return sink_.count<fact::Notice>() > before; }));
  close(near_, CloseMode::graceful);
  ASSERT_TRUE(until([&] { return log(near_).down && log(far_).down; }));
  EXPECT_EQ(sink_.count<fact::Notice>(), before + 1);
}

TEST_F(UsrsctpTest, names_a_udp_port_that_is_taken) {
  FileDescriptor taken(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto address = SocketAddress::parse("127.0.0.1", 29103).value();
  ASSERT_EQ(::bind(taken.get(), address.raw(), address.size()), 0);
  start();
  const auto opened = transport_->open(config("server", 5000, 29103, true), framing_);
  ASSERT_FALSE(opened.has_value());
  EXPECT_THAT(opened.error().what, HasSubstr("endpoint server: UDP port 127.0.0.1:29103"));
  EXPECT_THAT(opened.error().what, HasSubstr("Address already in use"));
}

TEST_F(UsrsctpTest, shares_a_udp_port_between_endpoints_but_not_an_sctp_port) {
  start();
  open(config("one", 5000, 29101, true));
  open(config("two", 5002, 29101, true));
  const auto clash = transport_->open(config("three", 5000, 29101, true), framing_);
  ASSERT_FALSE(clash.has_value());
  EXPECT_THAT(clash.error().what, HasSubstr("SCTP port 5000"));
  client_ = open(config("client", 5001, 29102, false));
  const AssociationId one = connect(client_, peer(5000, 29101));
  const AssociationId two = connect(client_, peer(5002, 29101));
  ASSERT_TRUE(until([&] { return log(one).up && log(two).up; }));
}

TEST_F(UsrsctpTest, finds_a_free_port_for_an_endpoint_that_wants_any) {
  start();
  server_ = open(config("server", 5000, 29101, true));
  std::vector<AssociationId> ours;
  for (int i = 0; i < 2; ++i) {
    ours.push_back(connect(open(config("client", 0, 29102, false)), peer(5000, 29101)));
  }
  ASSERT_TRUE(until([&] { return log(ours[0]).up && log(ours[1]).up; }));
  EXPECT_NE(transport_->status(ours[0])->local, transport_->status(ours[1])->local);
}

TEST_F(UsrsctpTest, is_there_once_in_a_process) {
  start();
  open(config("one", 5000, 29101, true));
  UsrsctpTransport second(*loop_, pool_, counters_);
  second.set_sink(sink_);
  const auto opened = second.open(config("two", 5001, 29102, true), framing_);
  ASSERT_FALSE(opened.has_value());
  EXPECT_THAT(opened.error().what, HasSubstr("one stack only"));
  transport_.reset();
  EXPECT_TRUE(second.open(config("two", 5001, 29102, true), framing_).has_value());
}

TEST_F(UsrsctpTest, refuses_associations_beyond_the_maximum) {
  associations_max_ = 1;
  start();
  connect_pair();
  const EndpointId other = open(config("other", 5003, 29104, false));
  const AssociationId extra = connect(other, peer(5000, 29101));
  ASSERT_TRUE(until([&] { return log(extra).down.has_value(); }));
  EXPECT_EQ(counters_.get(Counter::associations_refused_limit), 1u);
  EXPECT_EQ(log(extra).down->cause, DownCause::peer_abort);
}

TEST_F(UsrsctpTest, closes_on_a_message_over_the_limit) {
  limits_.message_bytes_max = 1000;
  start();
  connect_pair();
  ASSERT_EQ(send(near_, std::string(1000, 'x')), SendOutcome::accepted);
  ASSERT_EQ(send(near_, std::string(1001, 'x')), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return log(far_).down && log(near_).down; }));
  EXPECT_EQ(log(far_).received.size(), 1u);
  EXPECT_EQ(log(far_).down->cause, DownCause::protocol_error);
  EXPECT_EQ(log(near_).down->cause, DownCause::peer_abort);
}

TEST_F(UsrsctpTest, keeps_an_association_as_it_is_when_it_is_peeled_off) {
  start();
  connect_pair();
  ASSERT_EQ(send(near_, "before"), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return log(far_).received.size() == 1; }));
  ASSERT_TRUE(peel(far_));
  EXPECT_TRUE(transport_->status(far_)->peeled);
  EXPECT_EQ(transport_->peeled_count(), 1u);
  ASSERT_EQ(send(near_, "after"), SendOutcome::accepted);
  ASSERT_EQ(send(far_, "and back"), SendOutcome::accepted);
  ASSERT_TRUE(
      until([&] { return log(far_).received.size() == 2 && log(near_).received.size() == 1; }));
  EXPECT_THAT(log(far_).received, ElementsAre("before", "after"));
  close(near_, CloseMode::graceful);
  ASSERT_TRUE(until([&] { return log(near_).down && log(far_).down; }));
  EXPECT_EQ(log(far_).down->cause, DownCause::peer_shutdown);
  EXPECT_EQ(transport_->peeled_count(), 0u);
  // And a new one begins on the shared socket again.
  const AssociationId again = connect(client_, peer(5000, 29101));
  ASSERT_TRUE(until([&] { return log(again).up.has_value(); }));
  const AssociationId far_again = other_than({near_, far_, again});
  EXPECT_FALSE(transport_->status(far_again)->peeled);
}

TEST_F(UsrsctpTest, hears_the_abort_of_a_peer_on_a_peeled_socket) {
  start();
  connect_pair();
  ASSERT_TRUE(peel(far_));
  close(near_, CloseMode::abort);
  ASSERT_TRUE(until([&] { return log(far_).down.has_value(); }));
  EXPECT_EQ(log(far_).down->cause, DownCause::peer_abort);
}

TEST_F(UsrsctpTest, peels_off_a_message_that_is_half_received) {
  sctp_.receive_buffer_bytes = 20'000;  // a message of 60,000 bytes has to come in parts
  start();
  connect_pair();
  const std::string large(60'000, 'l');
  ASSERT_EQ(send(near_, large), SendOutcome::accepted);
  ASSERT_EQ(send(near_, "next"), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return transport_->partial_bytes(far_) > 0; }));
  ASSERT_TRUE(log(far_).received.empty());
  ASSERT_TRUE(peel(far_));
  EXPECT_GT(transport_->partial_bytes(far_), 0u);
  ASSERT_TRUE(until([&] { return log(far_).received.size() == 2; }));
  EXPECT_EQ(log(far_).received[0], large);
  EXPECT_EQ(log(far_).received[1], "next");
}

TEST_F(UsrsctpTest, tells_congestion_when_the_peer_takes_no_more_and_loses_nothing) {
  limits_.send_queue_bytes_max = 200'000;
  sctp_.send_buffer_bytes = 100'000;
  sctp_.receive_buffer_bytes = 50'000;
  start();
  connect_pair();
  const std::string filler(1000, 'x');
  std::size_t accepted = 0;
  // In one turn, so that nothing is acknowledged meanwhile.
  while (send(near_, filler + std::to_string(accepted)) == SendOutcome::accepted) ++accepted;
  EXPECT_GT(accepted, 200u);
  EXPECT_TRUE(transport_->status(near_)->queued_bytes > 190'000);
  ASSERT_TRUE(until([&] { return log(far_).received.size() == accepted; }));
  EXPECT_THAT(log(near_).congestion, ElementsAre(true, false));
  for (std::size_t i = 0; i < accepted; ++i) {
    ASSERT_EQ(log(far_).received[i], filler + std::to_string(i));
  }
}

TEST_F(UsrsctpTest, a_pause_of_a_peeled_one_makes_its_peer_wait_and_loses_nothing) {
  limits_.send_queue_bytes_max = 200'000;
  sctp_.receive_buffer_bytes = 100'000;
  sctp_.send_buffer_bytes = 100'000;
  start();
  connect_pair();
  ASSERT_TRUE(peel(far_));
  transport_->pause_input(far_);
  const std::string filler(1000, 'x');
  std::size_t accepted = 0;
  ASSERT_TRUE(until([&] {
    for (int i = 0; i < 50 && log(near_).congestion.empty(); ++i) {
      if (send(near_, filler + std::to_string(accepted)) == SendOutcome::accepted) ++accepted;
    }
    return !log(near_).congestion.empty();
  }));
  EXPECT_TRUE(log(far_).received.empty());
  transport_->resume_input(far_);
  ASSERT_TRUE(until([&] { return log(far_).received.size() == accepted; }));
  for (std::size_t i = 0; i < accepted; ++i) {
    ASSERT_EQ(log(far_).received[i], filler + std::to_string(i));
  }
  EXPECT_THAT(log(near_).congestion, ElementsAre(true, false));
}

TEST_F(UsrsctpTest, two_connects_at_once_make_one_association) {
  start();
  server_ = open(config("one", 5000, 29101, true));
  client_ = open(config("other", 5001, 29102, true));
  near_ = connect(client_, peer(5000, 29101));
  far_ = connect(server_, peer(5001, 29102));
  ASSERT_TRUE(until([&] { return log(near_).up && log(far_).up; }));
  EXPECT_TRUE(log(near_).up->initiator);
  EXPECT_TRUE(log(far_).up->initiator);
  EXPECT_EQ(send(near_, "there"), SendOutcome::accepted);
  EXPECT_EQ(send(far_, "and back"), SendOutcome::accepted);
  ASSERT_TRUE(until([&] { return !log(far_).received.empty() && !log(near_).received.empty(); }));
  EXPECT_EQ(sink_.logs.size(), 2u) << "more than the two ends of one";
}

TEST_F(UsrsctpTest, peels_off_the_loud_one_of_many_by_itself) {
  UsrsctpTransportOptions options;
  options.peeloff.messages_per_second_min = 500;
  options.peeloff.sustained_min = 100ms;
  options.peeloff.age_min = 100ms;
  options.sample_interval = 50ms;
  start(options);
  server_ = open(config("server", 5000, 29101, true));
  std::vector<AssociationId> clients;
  for (std::uint16_t i = 0; i < 5; ++i) {
    const EndpointId local =
        open(config("client", static_cast<std::uint16_t>(5001 + i), 29102, false));
    clients.push_back(connect(local, peer(5000, 29101)));
  }
  ASSERT_TRUE(until([&] {
    return sink_.logs.size() == 10 &&
           std::all_of(clients.begin(), clients.end(), [&](auto id) { return log(id).up; });
  }));
  std::size_t sent = 0, echoed = 0;
  AssociationId loud_server{};
  sink_.on_received = [&](AssociationId id, const Message& message) {
    if (id == clients[2]) {
      ++echoed;
      return;
    }
    loud_server = id;
    Message reply = message;
    EXPECT_EQ(transport_->find(id)->send(std::move(reply)), SendOutcome::accepted);
  };
  ASSERT_TRUE(until([&] {
    while (sent - echoed < 50) {
      EXPECT_EQ(send(clients[2], std::to_string(sent)), SendOutcome::accepted);
      ++sent;
    }
    return sink_.count<fact::AssociationPeeled>() >= 2;  // both ends see it as loud
  }));
  EXPECT_TRUE(transport_->status(loud_server)->peeled);
  EXPECT_EQ(transport_->status(loud_server)->reason, PeeloffReason::message_rate);
  EXPECT_GT(transport_->status(loud_server)->peeled_at_messages_per_second, 500);
  EXPECT_EQ(transport_->peeled_count(), 2u);
  EXPECT_EQ(counters_.get(Counter::peels), 2u);
}

}  // namespace
}  // namespace siglane::transport
