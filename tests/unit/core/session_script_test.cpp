// The harness of session tests (tests/support/session_script.h).
#include "tests/support/session_script.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane::test {
namespace {

using testing::ElementsAre;

constexpr AssociationId kOne{1}, kTwo{2}, kNobody{9};

// Identifies itself by what it reads, passes its parcel on to `next`, and wakes once.
class Relay final : public Session {
 public:
  Relay(AssociationId next, std::optional<Instant> wake_at) : next_(next), wake_at_(wake_at) {}
  void step(SessionInput input, Instant now, Outbox& out) override {
    if (auto* received = std::get_if<AssociationReceived>(&input)) {
      out.reroute();
      out.identify(std::string(as_text(received->message.payload.bytes())));
    } else if (auto* submitted = std::get_if<Submitted>(&input)) {
      out.forward(next_, std::move(submitted->parcel));
    } else if (std::holds_alternative<Woken>(input)) {
      woken_at = now;
      wake_at_.reset();
      out.transmit({.payload = Buffer::copy_of(as_bytes("awake"))});
    } else if (auto* refused = std::get_if<IdentityRefused>(&input)) {
      out.peer_refused("it", refused->why);
      out.close(CloseMode::abort);
    } else {
      answers.push_back(input.index());
    }
  }
  std::optional<Instant> deadline() const override { return wake_at_; }
  SessionStatus status() const override { return {}; }

  std::optional<Instant> woken_at;
  std::vector<std::size_t> answers;

 private:
  AssociationId next_;
  std::optional<Instant> wake_at_;
};

class SessionScriptTest : public testing::Test {
 protected:
  SessionScript script;
  Relay& one = script.add(kOne, std::make_unique<Relay>(kTwo, script.now + 5s));
  Relay& two = script.add(kTwo, std::make_unique<Relay>(kNobody, script.now + 2s));
};

TEST_F(SessionScriptTest, WakesEachAtItsDeadlineTheFirstFirst) {
  const Instant begin = script.now;
  script.pass(4s);
  EXPECT_EQ(two.woken_at, begin + 2s);
  EXPECT_FALSE(one.woken_at);
  EXPECT_EQ(script.now, begin + 4s);
  EXPECT_TRUE(script.wake_next(begin + 5s));
  EXPECT_FALSE(script.wake_next(begin + 9s));
  EXPECT_EQ(one.woken_at, begin + 5s);
  EXPECT_EQ(as_text(script.sent_one(kOne).bytes()), "awake");
  EXPECT_TRUE(script.sent(kOne).empty()) << "it was asked for";
}

TEST_F(SessionScriptTest, AnswersAsThePoliciesSayAndBeforeAnythingElse) {
  script.receive(kOne, Buffer::copy_of(as_bytes("peer")));
  EXPECT_THAT(script.identified, ElementsAre("peer"));
  EXPECT_THAT(one.answers,
              ElementsAre(SessionInput(Identified{}).index(), SessionInput(Rerouting{}).index()));
  script.answers_reroute = false;
  script.on_identify = [](AssociationId, const std::string&) { return IdentityRefused{"no"}; };
  script.receive(kOne, Buffer::copy_of(as_bytes("peer")));
  EXPECT_EQ(script.reroutes[kOne], 2u);
  EXPECT_EQ(one.answers.size(), 2u);
  ASSERT_EQ(script.peers_refused.size(), 1u);
  EXPECT_THAT(script.closes[kOne], ElementsAre(CloseMode::abort));
}

TEST_F(SessionScriptTest, PassesParcelsOnAndKeepsWhatIsForNobody) {
  script.submit(kOne, std::make_unique<Parcel>(), kNobody);
  ASSERT_EQ(script.forwarded.size(), 1u);
  EXPECT_EQ(script.forwarded[0].to, kNobody);
  unsigned seen = 0;
  script.on_action = [&](AssociationId, Action&) { return ++seen > 0; };
  script.submit(kOne, std::make_unique<Parcel>(), kNobody);
  EXPECT_EQ(seen, 1u) << "the parcel did not reach the second session";
  EXPECT_EQ(script.forwarded.size(), 1u);
}

TEST_F(SessionScriptTest, TellsWhatItHasSeenInWords) {
  script.on_identify = [](AssociationId, const std::string&) { return IdentityRefused{"no"}; };
  script.pass(2s);
  script.receive(kTwo, Buffer::copy_of(as_bytes("peer")));
  EXPECT_EQ(script.history(),
            "   3.000 s  #2 <- Woken\n"
            "   3.000 s  #2    -> Transmit, 5 bytes\n"
            "   3.000 s  #2 <- AssociationReceived, 4 bytes\n"
            "   3.000 s  #2    -> Reroute\n"
            "   3.000 s  #2    -> Identify, peer\n"
            "   3.000 s  #2 <- IdentityRefused, no\n"
            "   3.000 s  #2    -> PeerRefused, it: no\n"
            "   3.000 s  #2    -> Close, abort\n"
            "   3.000 s  #2 <- Rerouting\n");
}

}  // namespace
}  // namespace siglane::test
