// DTLS over SCTP between two ends, over a stack that loses nothing: what goes out when, on which
// stream, and what SCTP-AUTH is keyed with meanwhile.
#include <cerrno>
#include <deque>
#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/payload_protocols.h"
#include "transport/sctp/security.h"

namespace siglane::transport {
namespace {

using siglane::testing::Authority;
using siglane::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using Event = SctpSecurity::Event;
using Role = SecureChannel::Role;

struct Sent {
  SendInfo info;
  std::vector<std::byte> bytes;
  int key = -1;  // that authenticates it; -1: none

  std::uint8_t type() const { return std::to_integer<std::uint8_t>(bytes.front()); }
};

// Takes everything, and holds a peer to the keys that it may know.
class End final : public SctpSecurity::Stack {
 public:
  bool peer_has_auth() override { return auth; }
  int set_auth_key(std::uint16_t number, Bytes bytes) override {
    keys[number].assign(bytes.begin(), bytes.end());
    return key_error;
  }
  int use_auth_key(std::uint16_t number) override {
    EXPECT_TRUE(keys.contains(number));
    active = number;
    return 0;
  }
  int delete_auth_key(std::uint16_t number) override {
    if (number == active) return EINVAL;
    keys.erase(number);
    return 0;
  }
  int send_record(const SendInfo& info, Bytes record, bool) override {
    if (send_error != 0) return send_error;
    sent.push_back({info, {record.begin(), record.end()}, auth ? active : -1});
    return 0;
  }

  // Gives all that may go to the stack.
  void flush() {
    while (const auto record = security->outgoing(queue)) {
      if (security->send(*record, false) != 0) return;
      if (record->of_queue) (void)queue.pop();
    }
  }
  // All that the channel says.
  void read() {
    for (;;) {
      Message message;
      const Event event = security->next(pool, message);
      if (event == Event::nothing) return;
      if (event == Event::failed && !events.empty() && events.back() == event) return;  // known
      events.push_back(event);
      if (event == Event::message) received.push_back(std::move(message));
    }
  }
  void post(std::string_view text, std::uint16_t stream, PayloadProtocol protocol,
            bool unordered = false) {
    Message message;
    message.stream = StreamId{stream};
    message.protocol = protocol;
    message.unordered = unordered;
    message.payload = Buffer::copy_of(as_bytes(text));
    ASSERT_TRUE(queue.push(std::move(message)));
  }

  bool auth = true;
  int key_error = 0, send_error = 0;
  std::map<std::uint16_t, std::vector<std::byte>> keys{{std::uint16_t{0}, {}}};
  int active = 0;
  std::deque<Sent> sent;
  SendQueue queue{AssociationLimits{}};
  BufferPool pool;
  std::unique_ptr<SctpSecurity> security;
  std::vector<Event> events;
  std::vector<Message> received;
};

class SctpSecurityTest : public ::testing::Test {
 protected:
  std::shared_ptr<const TlsContext> context(const std::string& host) {
    return TlsContext::load(authority_.issue_files_for(host, directory_, host), TlsMode::messages)
        .value();
  }
  void begin(SctpSecurity::Options options = {test::kDiameter}) {
    client_.security = std::make_unique<SctpSecurity>(client_, context("mme.example"),
                                                      Role::connecting, "hss.example", options);
    server_.security = std::make_unique<SctpSecurity>(server_, context("hss.example"),
                                                      Role::accepting, "", options);
  }
  // What one has sent comes to the other, unless that does not have the key yet.
  static bool carry(End& from, End& to) {
    from.flush();
    bool any = false;
    while (!from.sent.empty()) {
      const Sent next = std::move(from.sent.front());
      from.sent.pop_front();
      if (next.key >= 0) {
        const auto number = static_cast<std::uint16_t>(next.key);
        EXPECT_TRUE(to.keys.contains(number)) << "it would be dropped";
        if (number != 0 && to.keys.contains(number)) {
          EXPECT_EQ(to.keys.at(number), from.keys.at(number));
        }
      }
      Message message;
      message.stream = next.info.stream;
      message.protocol = next.info.protocol;
      message.unordered = next.info.unordered;
      message.payload = Buffer::copy_of(next.bytes);
      to.security->receive(message);
      to.read();
      any = true;
    }
    if (from.security->waits_for_dry()) {
      from.security->dry();
      any = true;
    }
    return any;
  }
  void exchange() {
    while (carry(client_, server_) || carry(server_, client_)) {
    }
  }
  void open(SctpSecurity::Options options = {test::kDiameter}) {
    begin(options);
    exchange();
    ASSERT_THAT(client_.events, ElementsAre(Event::opened)) << client_.security->problem();
    ASSERT_THAT(server_.events, ElementsAre(Event::opened)) << server_.security->problem();
    client_.events.clear();
    server_.events.clear();
  }

  TemporaryDirectory directory_;
  Authority authority_;
  End client_, server_;
};

TEST_F(SctpSecurityTest, opens_at_both_ends_and_says_who_is_there) {
  open();
  EXPECT_THAT(client_.security->peer_names(), Optional(ElementsAre("hss.example")));
  EXPECT_THAT(server_.security->peer_names(), Optional(ElementsAre("mme.example")));
}

TEST_F(SctpSecurityTest, gives_every_message_back_as_it_was) {
  open();
  client_.post("a", 3, test::kDiameter);
  client_.post("b", 65535, test::kM3ua, true);
  client_.flush();
  ASSERT_EQ(client_.sent.size(), 2u);
  EXPECT_EQ(client_.sent[0].info.protocol, test::kDiameterDtls);
  EXPECT_EQ(client_.sent[0].info.stream, StreamId{3});
  EXPECT_EQ(client_.sent[1].info.protocol, test::kM3ua);
  EXPECT_TRUE(client_.sent[1].info.unordered);
  exchange();
  ASSERT_EQ(server_.received.size(), 2u);
  EXPECT_EQ(as_text(server_.received[0].payload.bytes()), "a");
  EXPECT_EQ(server_.received[0].stream, StreamId{3});
  EXPECT_EQ(server_.received[0].protocol, test::kDiameter);
  EXPECT_FALSE(server_.received[0].unordered);
  EXPECT_EQ(as_text(server_.received[1].payload.bytes()), "b");
  EXPECT_EQ(server_.received[1].stream, StreamId{65535});
  EXPECT_EQ(server_.received[1].protocol, test::kM3ua);
  EXPECT_TRUE(server_.received[1].unordered);
}

TEST_F(SctpSecurityTest, sends_all_but_messages_on_stream_0_in_order) {
  begin();
  std::set<std::uint8_t> types;
  const auto look_at = [&](End& end) {
    end.flush();
    for (const Sent& sent : end.sent) {
      types.insert(sent.type());
      EXPECT_EQ(sent.info.stream, StreamId{0});
      EXPECT_EQ(sent.info.protocol, test::kDiameterDtls);
      EXPECT_FALSE(sent.info.unordered);
    }
  };
  const auto step = [&] {
    look_at(client_);
    const bool there = carry(client_, server_);
    look_at(server_);
    return carry(server_, client_) || there;
  };
  while (step()) {
  }
  EXPECT_TRUE(server_.security->say_goodbye() || carry(server_, client_));
  (void)server_.security->say_goodbye();
  look_at(server_);
  EXPECT_THAT(types, ElementsAre(DtlsRecord::kChangeCipherSpec, DtlsRecord::kAlert,
                                 DtlsRecord::kHandshake));
}

TEST_F(SctpSecurityTest, changes_keys_only_when_everything_before_is_acknowledged) {
  begin();
  carry(client_, server_);
  carry(server_, client_);
  client_.flush();
  EXPECT_TRUE(client_.security->waits_for_dry());
  for (const Sent& sent : client_.sent) {
    EXPECT_NE(sent.type(), DtlsRecord::kChangeCipherSpec);
    EXPECT_EQ(sent.key, 0);
  }
  const std::size_t before = client_.sent.size();
  client_.flush();
  EXPECT_EQ(client_.sent.size(), before);
  client_.security->dry();
  client_.flush();
  ASSERT_EQ(client_.sent.size(), before + 2);
  EXPECT_EQ(client_.sent[before].type(), DtlsRecord::kChangeCipherSpec);
  EXPECT_EQ(client_.sent[before].key, 1);
  EXPECT_EQ(client_.sent[before + 1].key, 1);
  exchange();
  EXPECT_THAT(client_.events, ElementsAre(Event::opened));
}

TEST_F(SctpSecurityTest, ends_with_one_key_that_both_know_and_nobody_else) {
  open();
  EXPECT_EQ(client_.active, 1);
  EXPECT_EQ(server_.active, 1);
  ASSERT_EQ(client_.keys.size(), 1u) << "the first key is not accepted any more";
  ASSERT_EQ(server_.keys.size(), 1u);
  EXPECT_EQ(client_.keys.at(1), server_.keys.at(1));
  EXPECT_EQ(client_.keys.at(1).size(), 64u);
}

TEST_F(SctpSecurityTest, needs_no_keys_where_the_peer_has_none) {
  client_.auth = server_.auth = false;
  open();
  EXPECT_EQ(client_.active, 0);
  EXPECT_THAT(client_.keys, ::testing::SizeIs(1));
}

TEST_F(SctpSecurityTest, refuses_a_peer_without_authentication_where_it_is_required) {
  client_.auth = false;
  begin({test::kDiameter, true});
  EXPECT_THAT(client_.security->problem(), HasSubstr("SCTP-AUTH"));
  client_.flush();
  EXPECT_THAT(client_.sent, IsEmpty());
  EXPECT_EQ(server_.security->problem(), "");
}

TEST_F(SctpSecurityTest, begins_with_the_first_key_again_after_a_restart) {
  server_.keys = {{std::uint16_t{1}, {std::byte{1}}}};
  server_.active = 1;
  open({.protocol = test::kDiameter, .restarted = true});
  EXPECT_EQ(client_.keys.at(1), server_.keys.at(1));
  EXPECT_EQ(server_.keys.size(), 1u);
}

TEST_F(SctpSecurityTest, fails_if_a_key_cannot_be_set) {
  server_.key_error = ENOMEM;
  begin();
  exchange();
  EXPECT_THAT(server_.security->problem(), HasSubstr("Cannot allocate memory"));
  EXPECT_THAT(server_.events, ElementsAre(Event::failed));
}

TEST_F(SctpSecurityTest, keeps_a_sealed_message_until_the_stack_takes_it) {
  open();
  client_.send_error = EAGAIN;
  client_.post("one", 1, test::kDiameter);
  client_.flush();
  client_.post("two", 2, test::kDiameter);
  client_.flush();
  EXPECT_EQ(client_.queue.messages(), 2u);
  client_.send_error = 0;
  exchange();
  ASSERT_EQ(server_.received.size(), 2u);
  EXPECT_EQ(as_text(server_.received[0].payload.bytes()), "one");
  EXPECT_EQ(as_text(server_.received[1].payload.bytes()), "two");
}

TEST_F(SctpSecurityTest, says_goodbye_after_everything_was_acknowledged) {
  open();
  client_.post("last words", 1, test::kDiameter);
  client_.flush();
  EXPECT_FALSE(client_.security->say_goodbye());
  EXPECT_TRUE(client_.security->waits_for_dry());
  client_.flush();
  EXPECT_EQ(client_.sent.size(), 1u) << "no close_notify yet";
  exchange();
  EXPECT_THAT(server_.events, ElementsAre(Event::message));
  EXPECT_FALSE(client_.security->say_goodbye()) << "the stack does not have it yet";
  exchange();
  EXPECT_TRUE(client_.security->say_goodbye());
  EXPECT_THAT(server_.events, ElementsAre(Event::message, Event::ended));
  EXPECT_TRUE(server_.security->peer_said_goodbye());
  server_.security->say_last_words();
  exchange();
  EXPECT_THAT(client_.events, ElementsAre(Event::ended));
}

TEST_F(SctpSecurityTest, takes_an_end_without_goodbye_for_a_cut) {
  const auto judged = [](const End& end, DownCause cause) {
    std::string detail;
    end.security->judge_end(cause, detail);
    return std::pair(cause, detail);
  };
  begin();
  EXPECT_EQ(judged(client_, DownCause::lost),
            std::pair(DownCause::tls_failed,
                      std::string("DTLS: the association ended during the handshake")));
  open();
  EXPECT_EQ(judged(client_, DownCause::lost).first, DownCause::lost);
  EXPECT_EQ(judged(client_, DownCause::peer_shutdown),
            std::pair(DownCause::peer_abort,
                      std::string("DTLS: the association was cut off, without close_notify")));
  (void)server_.security->say_goodbye();
  exchange();
  (void)server_.security->say_goodbye();
  exchange();
  EXPECT_EQ(judged(client_, DownCause::peer_shutdown),
            std::pair(DownCause::peer_shutdown, std::string()));
}

TEST_F(SctpSecurityTest, tells_a_peer_why_it_fails) {
  begin();
  const auto other = context("somebody.example");
  server_.security =
      std::make_unique<SctpSecurity>(server_, other, Role::accepting, "", SctpSecurity::Options{});
  carry(client_, server_);
  carry(server_, client_);
  EXPECT_THAT(client_.events, ElementsAre(Event::failed));
  EXPECT_THAT(client_.security->problem(), HasSubstr("that of somebody.example"));
  client_.security->say_last_words();
  carry(client_, server_);
  EXPECT_THAT(server_.security->problem(), HasSubstr("the peer refused"));
}

// RFC 9260 §5.2.1: both have connected, and one association came of it.
TEST_F(SctpSecurityTest, agrees_on_who_is_the_server_when_both_connect) {
  int client_won = 0;
  for (int i = 0; i < 20; ++i) {
    begin();
    server_.security =
        std::make_unique<SctpSecurity>(server_, context("hss.example"), Role::connecting,
                                       "mme.example", SctpSecurity::Options{test::kDiameter});
    client_.flush();
    server_.flush();
    const bool client_is_greater = as_text(*client_random_of(client_.sent.front().bytes)) >
                                   as_text(*client_random_of(server_.sent.front().bytes));
    client_won += client_is_greater;
    exchange();
    ASSERT_THAT(client_.events, ElementsAre(Event::opened)) << client_.security->problem();
    ASSERT_THAT(server_.events, ElementsAre(Event::opened)) << server_.security->problem();
    EXPECT_THAT(client_.security->peer_names(), Optional(ElementsAre("hss.example")));
    EXPECT_THAT(server_.security->peer_names(), Optional(ElementsAre("mme.example")));
    for (End* end : {&client_, &server_}) {
      end->events.clear();
      end->keys = {{std::uint16_t{0}, {}}};
      end->active = 0;
    }
  }
  EXPECT_GT(client_won, 0);
  EXPECT_LT(client_won, 20);
}

TEST_F(SctpSecurityTest, checks_who_the_peer_is_also_when_both_connect) {
  for (int i = 0; i < 4; ++i) {
    begin();
    server_.security =
        std::make_unique<SctpSecurity>(server_, context("somebody.example"), Role::connecting,
                                       "mme.example", SctpSecurity::Options{});
    exchange();
    EXPECT_THAT(client_.events, ElementsAre(Event::failed));
    EXPECT_THAT(client_.security->problem(), HasSubstr("that of somebody.example"));
    for (End* end : {&client_, &server_}) {
      end->events.clear();
      end->sent.clear();
      end->active = 0;
    }
  }
}

TEST_F(SctpSecurityTest, says_so_when_the_peer_speaks_in_clear) {
  begin();
  Message message;
  message.payload = Buffer::copy_of(as_bytes("a capabilities exchange request, in clear"));
  server_.security->receive(message);
  server_.read();
  EXPECT_THAT(server_.events, ElementsAre(Event::failed));
  EXPECT_THAT(server_.security->problem(), HasSubstr("does the peer speak DTLS?"));
}

TEST_F(SctpSecurityTest, makes_a_message_again_of_what_the_stack_gives_back) {
  open();
  client_.post("came back", 5, test::kDiameter);
  client_.flush();
  Message returned;
  returned.stream = StreamId{5};
  returned.protocol = client_.sent.front().info.protocol;
  returned.payload = Buffer::copy_of(client_.sent.front().bytes);
  ASSERT_TRUE(client_.security->unseal(returned));
  EXPECT_EQ(as_text(returned.payload.bytes()), "came back");
  EXPECT_EQ(returned.protocol, test::kDiameter);
  returned.payload = Buffer::copy_of(as_bytes("nothing of ours"));
  EXPECT_FALSE(client_.security->unseal(returned));
}

}  // namespace
}  // namespace siglane::transport
