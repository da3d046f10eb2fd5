// DTLS over SCTP (RFC 6083) on either stack.
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/payload_protocols.h"
#include "tests/support/sctp_node.h"
#include "transport/counters.h"

namespace siglane::sctp_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr const char* kServer = "server.example";
constexpr const char* kClient = "client.example";

struct DtlsTest : ::testing::Test {
  siglane::testing::TemporaryDirectory directory;
  siglane::testing::Authority authority;
  World world;
  Node server{world}, client{world};
  AssociationId ours{}, theirs{};

  DtlsTest() {
    server.tls = authority.issue_files_for(kServer, directory, "server");
    client.tls = authority.issue_files_for(kClient, directory, "client");
  }
  static EndpointConfig impatient(bool listening) {
    EndpointConfig config = Node::config("127.0.0.1", 0, listening);
    config.sctp.rto_initial = config.sctp.rto_min = 50ms;
    config.sctp.rto_max = 100ms;
    config.sctp.association_retransmissions_max = 3;
    config.sctp.path_retransmissions_max = 2;
    return config;
  }
  void join() {
    server.open(impatient(true));
    std::tie(ours, theirs) = client.join(client.open(impatient(false)), server);
    ASSERT_NE(theirs, AssociationId::none);
  }
  bool received(Node& node, AssociationId id, std::size_t count) {
    return world.run_until([&] { return node.of(id).received.size() >= count; });
  }
  void expect_echo() {
    ASSERT_TRUE(client.send(ours, "there", 3));
    ASSERT_TRUE(received(server, theirs, 1));
    ASSERT_TRUE(server.send(theirs, "and back"));
    ASSERT_TRUE(received(client, ours, 1));
  }
  std::vector<std::string> notices_with(const std::string& part) const {
    std::vector<std::string> texts;
    for (const Fact& fact : server.facts_of(kNotice)) {
      if (field(fact, "text").find(part) != std::string::npos) {
        texts.push_back(std::string(field(fact, "text")));
      }
    }
    return texts;
  }
  bool both_down() {
    return world.run_until([&] { return server.is_down(theirs) && client.is_down(ours); });
  }
  // Why the server has turned away somebody of whom nobody else has heard.
  std::string refusal() {
    EXPECT_TRUE(world.run_until([&] { return !server.refused.empty(); }));
    EXPECT_TRUE(server.opened.empty());
    return server.refused.empty() ? "" : server.refused.back().detail;
  }
};

TEST_F(DtlsTest, BothEndsAreUpWhenTheyHaveShownWhoTheyAre) {
  join();
  EXPECT_THAT(client.of(ours).up->certificate_names, Optional(ElementsAre(kServer)));
  EXPECT_THAT(server.of(theirs).up->certificate_names, Optional(ElementsAre(kClient)));
  expect_echo();
}

TEST_F(DtlsTest, WhatDoesNotFitARecordIsRefusedAndTheAssociationGoesOn) {
  join();
  EXPECT_FALSE(client.send(ours, std::string(16385, 'x')));
  EXPECT_EQ(client.counters.get(transport::counter::tls_messages_too_long), 1u);
  ASSERT_TRUE(client.send(ours, std::string(16384, 'x')));
  ASSERT_TRUE(received(server, theirs, 1));
  EXPECT_EQ(server.of(theirs).received.front().size(), 16384u);
}

TEST_F(DtlsTest, NobodyTalksToSomebodyElse) {
  server.tls = authority.issue_files_for("other.example", directory, "other");
  server.listen();
  ours = client.connect(client.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_FALSE(client.of(ours).up);
  EXPECT_EQ(client.down_cause(ours), DownCause::tls_failed);
  EXPECT_EQ(client.of(ours).down->detail,
            "DTLS: the peer's certificate is that of other.example, not of server.example");
  EXPECT_THAT(refusal(), HasSubstr("DTLS: the peer refused"));
  EXPECT_GE(server.counters.get(transport::counter::tls_handshakes_failed), 1u);
}

TEST_F(DtlsTest, APeerThatSpeaksInClearIsRefused) {
  server.tls->require_sctp_auth = false;
  server.listen();
  client.tls.reset();
  ours = client.connect(client.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_up(ours); }));
  ASSERT_TRUE(client.send(ours, "a capabilities exchange in clear"));
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_THAT(refusal(), HasSubstr("does the peer speak DTLS?"));
}

TEST_F(DtlsTest, APeerWhoseChunksAreNotAuthenticatedIsRefused) {
  server.listen();
  client.tls.reset();
  ours = client.connect(client.endpoint(), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_EQ(client.down_cause(ours), DownCause::peer_abort);
  EXPECT_THAT(refusal(), HasSubstr("SCTP-AUTH, RFC 4895"));
}

TEST_F(DtlsTest, APeerThatHasNoDtlsIsNotTalkedToInClear) {
  server.tls.reset();
  server.listen();
  client.tls->require_sctp_auth = false;
  EndpointConfig config = Node::config("127.0.0.1", 0, false);
  config.sctp.handshake_timeout = 300ms;
  ours = client.connect(client.open(config), server);
  ASSERT_TRUE(world.run_until([&] { return client.is_down(ours); }));
  EXPECT_FALSE(client.of(ours).up);
  EXPECT_EQ(client.of(ours).down->detail, "DTLS: no handshake within handshake_timeout_ms");
}

TEST_F(DtlsTest, AGracefulCloseDeliversEverythingAndSaysGoodbye) {
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "peeled" : "shared");
    join();
    if (peeled) {
      ASSERT_TRUE(server.peel(theirs));
    }
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(server.send(theirs, "last words", i % 4));
    server.close(theirs, CloseMode::graceful);
    ASSERT_TRUE(both_down());
    EXPECT_EQ(client.of(ours).received.size(), 50u);
    EXPECT_EQ(server.down_cause(theirs), DownCause::local_close);
    EXPECT_EQ(client.down_cause(ours), DownCause::peer_shutdown) << client.of(ours).down->detail;
  }
}

TEST_F(DtlsTest, WhatAVanishedPeerDidNotGetIsReturnedInClear) {
  for (const bool peeled : {false, true}) {
    SCOPED_TRACE(peeled ? "peeled" : "shared");
    join();
    if (peeled) {
      ASSERT_TRUE(server.peel(theirs));
    }
    DeadNetwork dead;
    std::vector<std::string> sent;
    for (int i = 0; i < 20; ++i) {
      sent.push_back(std::string(i % 4 == 0 ? 6000 : 30, 'v') + std::to_string(i));
      ASSERT_TRUE(server.send(theirs, sent.back()));
    }
    ASSERT_TRUE(world.run_until([&] { return server.is_down(theirs); }));
    EXPECT_EQ(server.down_cause(theirs), DownCause::lost);
    EXPECT_EQ(server.of(theirs).unsent, sent);
  }
}

TEST_F(DtlsTest, MessagesKeepTheirStreamAndProtocol) {
  join();
  std::vector<std::pair<StreamId, PayloadProtocol>> seen;
  const auto note = [&](const Message& message) {
    seen.emplace_back(message.stream, message.protocol);
  };
  client.on_message = [&](AssociationId, const Message& message) { note(message); };
  server.on_message = [&](AssociationId id, const Message& message) {
    note(message);
    Message answer = message;
    answer.protocol = test::kM3ua;
    EXPECT_EQ(server.send(id, std::move(answer)), SendOutcome::accepted);
  };
  ASSERT_TRUE(client.send(ours, "hello", 3));
  ASSERT_TRUE(world.run_until([&] { return seen.size() == 2; }));
  EXPECT_THAT(seen, ElementsAre(std::pair(StreamId{3}, test::kDiameter),
                                std::pair(StreamId{3}, test::kM3ua)));
  EXPECT_EQ(server.transport->residence(theirs)->count(), 1u);
}

TEST_F(DtlsTest, AMessageBeyondTheLimitEndsItsAssociation) {
  EndpointConfig config = impatient(true);
  config.limits.message_bytes_max = 1000;
  server.open(config);
  std::tie(ours, theirs) = client.join(client.open(impatient(false)), server);
  ASSERT_TRUE(client.send(ours, std::string(1000, 'x')));
  ASSERT_TRUE(client.send(ours, std::string(1001, 'x')));
  ASSERT_TRUE(both_down());
  EXPECT_EQ(server.of(theirs).received.size(), 1u);
  EXPECT_EQ(server.down_cause(theirs), DownCause::protocol_error);
}

TEST_F(DtlsTest, AnAbortReturnsInClearWhatWasQueued) {
  join();
  ASSERT_TRUE(client.send(ours, "never leaves"));
  client.close(ours, CloseMode::abort);
  ASSERT_TRUE(both_down());
  EXPECT_THAT(client.of(ours).unsent, ElementsAre("never leaves"));
  EXPECT_EQ(server.down_cause(theirs), DownCause::peer_abort);
}

TEST_F(DtlsTest, APeerThatSaysNothingIsGivenUp) {
  server.tls->require_sctp_auth = false;
  client.tls.reset();
  EndpointConfig config = impatient(true);
  config.sctp.handshake_timeout = 200ms;
  server.open(config);
  ours = client.connect(client.endpoint(), server);
  EXPECT_EQ(refusal(), "DTLS: no handshake within handshake_timeout_ms");
}

TEST_F(DtlsTest, AFileThatCannotBeReadIsNamed) {
  server.tls->key = directory.path("absent.key");
  EXPECT_THAT(server.open_in_vain(impatient(true)),
              AllOf(HasSubstr("endpoint test: key file"),
                    HasSubstr("absent.key: No such file or directory")));
}

TEST_F(DtlsTest, AReconfiguredEndpointShowsTheNewCertificate) {
  join();
  client.close(ours, CloseMode::graceful);
  ASSERT_TRUE(both_down());
  authority.issue_files_for("renewed.example", directory, "server");
  server.reconfigure(server.of(theirs).up->local, impatient(true));
  PeerConfig renewed = server.peer();
  renewed.tls_identity = "renewed.example";
  const AssociationId again = client.connect(client.of(ours).up->local, renewed);
  ASSERT_TRUE(world.run_until([&] { return client.is_up(again) || client.is_down(again); }));
  ASSERT_TRUE(client.is_up(again)) << client.of(again).down->detail;
  EXPECT_THAT(client.of(again).up->certificate_names, Optional(ElementsAre("renewed.example")));
}

TEST_F(DtlsTest, CertificatesThatCannotBeUsedLeaveThoseOfBeforeAndAreTold) {
  const EndpointId listening = server.open(impatient(true));
  server.tls->key = directory.path("absent.key");
  server.reconfigure(listening, impatient(true));
  ASSERT_TRUE(world.run_until([&] { return !notices_with("kept the certificate").empty(); }));
  EXPECT_THAT(notices_with("kept the certificate"),
              ElementsAre(AllOf(HasSubstr("endpoint test: kept the certificate it had: key file"),
                                HasSubstr("absent.key: No such file or directory"))));
  std::tie(ours, theirs) = client.join(client.open(impatient(false)), server);
  expect_echo();
}

TEST_F(DtlsTest, NobodyAboveNoticesAPeel) {
  join();
  ASSERT_TRUE(client.send(ours, "before"));
  ASSERT_TRUE(received(server, theirs, 1));
  ASSERT_TRUE(server.peel(theirs));
  ASSERT_TRUE(client.send(ours, "after"));
  ASSERT_TRUE(server.send(theirs, "and back"));
  ASSERT_TRUE(received(server, theirs, 2));
  ASSERT_TRUE(received(client, ours, 1));
  EXPECT_THAT(server.of(theirs).received, ElementsAre("before", "after"));
}

}  // namespace
}  // namespace siglane::sctp_test
