#include "core/dialer.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::UnorderedElementsAre;

constexpr EndpointId kLocal{7};
constexpr AssociationId kOurs{1}, kTheirs{2}, kAgain{3};

// One link to alice, unless a test adds others. Jitter makes each wait at least half of the whole.
class DialerTest : public testing::Test {
 protected:
  DialerTest() { link = add("alice"); }

  LinkId add(const std::string& name) {
    PeerConfig config;
    config.name = name;
    return dialer.add(nullptr, kLocal, config);
  }
  static PeerKey to(const std::string& name) { return {nullptr, name}; }
  static PeerPresence nobody() { return {}; }
  static PeerPresence full() { return {true, std::nullopt}; }
  static PeerPresence held_off(Instant until) { return {false, until}; }

  void connect(AssociationId as = kOurs) {
    ASSERT_TRUE(dialer.begin(link, nobody(), now));
    dialer.connecting(link, as);
  }
  void come_up(AssociationId as = kOurs) {
    connect(as);
    dialer.up(as, to("alice"), kLocal);
  }
  void become_peer() {
    come_up();
    EXPECT_THAT(dialer.identified(to("alice"), kOurs, nobody(), now), IsEmpty());
  }
  // Up to the time when the link is due: how long that takes.
  Duration wait_until_due() {
    const Instant begin = now;
    const auto at = dialer.deadline();
    EXPECT_TRUE(at);
    if (!at) return {};
    EXPECT_FALSE(dialer.pop_due(*at - 1ns));
    now = *at;
    EXPECT_EQ(dialer.pop_due(now), link);
    return now - begin;
  }
  // Connects, stays up for so long, and is cut: how long until it connects again.
  Duration wait_after(Duration stay) {
    come_up();
    EXPECT_THAT(dialer.identified(to("alice"), kOurs, full(), now), IsEmpty());
    now += stay;
    EXPECT_FALSE(dialer.down(kOurs, nobody(), now));
    return wait_until_due();
  }
  LinkState state() const { return dialer.state_of(link); }

  const BackoffConfig config{.first = 250ms, .longest = 30s, .lasting = 10s};
  Dialer dialer{config, 1};
  LinkId link{};
  Instant now{100s};
};

TEST_F(DialerTest, ALinkConnectsAtOnceAndIsConnectedWhenItsAssociationIsUp) {
  EXPECT_EQ(dialer.link_of(kOurs), nullptr);
  connect();
  EXPECT_EQ(state(), LinkState::connecting);
  EXPECT_EQ(dialer.link_of(kOurs)->peer.name, "alice");
  dialer.up(kOurs, to("alice"), kLocal);
  EXPECT_EQ(state(), LinkState::connected);
  EXPECT_FALSE(dialer.deadline());
}

// --- Back-off -----------------------------------------------------------------------------------

TEST_F(DialerTest, SaysOfAConnectThatFailedWhenTheNextOneIs) {
  connect();
  const auto retry_in = dialer.down(kOurs, nobody(), now);
  ASSERT_TRUE(retry_in);
  EXPECT_EQ(state(), LinkState::waiting);
  EXPECT_EQ(dialer.deadline(), now + *retry_in);
  EXPECT_EQ(dialer.link_of(kOurs), nullptr);
}

TEST_F(DialerTest, WaitsLongerAfterEachConnectThatFailsUpToTheLongestWait) {
  Duration whole = config.first;
  for (int i = 0; i < 12; ++i) {
    connect();
    (void)dialer.down(kOurs, nobody(), now);
    const Duration wait = wait_until_due();
    EXPECT_GE(wait, whole / 2) << i;
    EXPECT_LE(wait, whole) << i;
    whole = std::min(config.longest, whole * 2);
  }
}

TEST_F(DialerTest, WaitsLongerAfterAssociationsThatDoNotLast) {
  for (int i = 0; i < 6; ++i) (void)wait_after(1s);
  EXPECT_GT(wait_after(9s), 5s);
}

TEST_F(DialerTest, BeginsItsBackOffAnewAfterThePeerWasHereForAWhile) {
  for (int i = 0; i < 6; ++i) (void)wait_after(1s);
  EXPECT_LE(wait_after(10s), config.first);
}

TEST_F(DialerTest, AnAssociationThatIsUpForLongButIsNotThePeerDoesNotEndTheBackOff) {
  for (int i = 0; i < 6; ++i) (void)wait_after(1s);
  come_up();
  now += 1h;
  (void)dialer.down(kOurs, nobody(), now);
  EXPECT_GT(wait_until_due(), 5s);
}

TEST_F(DialerTest, OtherLinksAreDueAtTheirOwnTimes) {
  const LinkId other = add("bob");
  ASSERT_TRUE(dialer.begin(other, nobody(), now));
  dialer.connecting(other, kTheirs);
  connect();
  (void)dialer.down(kOurs, nobody(), now);
  (void)dialer.down(kTheirs, held_off(now + 1h), now);
  EXPECT_LE(wait_until_due(), config.first);
  EXPECT_EQ(dialer.deadline(), Instant(100s) + 1h);
}

// --- A peer that wants to be left alone ---------------------------------------------------------

TEST_F(DialerTest, DoesNotConnectBeforeTheHoldOffIsOver) {
  const Instant until = now + 5min;
  EXPECT_FALSE(dialer.begin(link, held_off(until), now));
  EXPECT_EQ(state(), LinkState::waiting);
  EXPECT_EQ(dialer.deadline(), until);
  EXPECT_EQ(wait_until_due(), 5min);
  EXPECT_TRUE(dialer.begin(link, held_off(until), now));
}

TEST_F(DialerTest, AHoldOffThatEndsBeforeTheBackOffDoesNotShortenIt) {
  connect();
  const auto retry_in = dialer.down(kOurs, held_off(now + 1ms), now);
  ASSERT_TRUE(retry_in);
  EXPECT_GE(*retry_in, config.first / 2);
}

TEST_F(DialerTest, AHoldOffThatCameWhileItWaitedIsSeenWhenItIsDue) {
  connect();
  (void)dialer.down(kOurs, nobody(), now);
  (void)wait_until_due();
  EXPECT_FALSE(dialer.begin(link, held_off(now + 5min), now));
  EXPECT_EQ(dialer.deadline(), now + 5min);
}

// --- A peer that is here on another association -------------------------------------------------

TEST_F(DialerTest, RestsWithoutADeadlineWhileAnotherAssociationIsThePeer) {
  EXPECT_FALSE(dialer.begin(link, full(), now));
  EXPECT_EQ(state(), LinkState::resting);
  EXPECT_FALSE(dialer.deadline());
}

TEST_F(DialerTest, RestsWhenItsConnectFailsAndThePeerHasComeMeanwhileAndSaysNothingOfThat) {
  connect();
  EXPECT_FALSE(dialer.down(kOurs, full(), now));
  EXPECT_EQ(state(), LinkState::resting);
  EXPECT_FALSE(dialer.deadline());
}

TEST_F(DialerTest, ConnectsAfterABackOffWhenThePeerIsFreeAgain) {
  (void)dialer.begin(link, full(), now);
  now += 1h;
  dialer.wake(to("alice"), nobody(), now);
  EXPECT_EQ(state(), LinkState::waiting);
  EXPECT_LE(wait_until_due(), config.first);
}

TEST_F(DialerTest, WaitsForTheHoldOffWhenThePeerIsFreeAgain) {
  (void)dialer.begin(link, full(), now);
  dialer.wake(to("alice"), held_off(now + 5min), now);
  EXPECT_EQ(dialer.deadline(), now + 5min);
}

TEST_F(DialerTest, WaitsLongerWhileThePeerComesAndGoes) {
  Duration wait{};
  for (int i = 0; i < 7; ++i) {
    ASSERT_FALSE(dialer.begin(link, full(), now));
    now += 1s;
    dialer.wake(to("alice"), nobody(), now);
    wait = wait_until_due();
  }
  EXPECT_GT(wait, 5s);
}

TEST_F(DialerTest, IsNotWokenForAnotherPeerNorWhileItWaitsOrIsConnected) {
  (void)dialer.begin(link, full(), now);
  dialer.wake(to("bob"), nobody(), now);
  EXPECT_EQ(state(), LinkState::resting);
  EXPECT_FALSE(dialer.begin(link, held_off(now + 5min), now));
  dialer.wake(to("alice"), nobody(), now);
  EXPECT_EQ(dialer.deadline(), now + 5min);
  come_up();
  dialer.wake(to("alice"), nobody(), now);
  EXPECT_EQ(state(), LinkState::connected);
}

TEST_F(DialerTest, GivesUpTheOtherLinksToAPeerThatIsIdentified) {
  const LinkId second = add("alice");
  const LinkId bob = add("bob");
  connect(kOurs);
  dialer.connecting(second, kAgain);
  dialer.connecting(bob, AssociationId{9});
  EXPECT_THAT(dialer.identified(to("alice"), kTheirs, full(), now), ElementsAre(kOurs, kAgain));
  EXPECT_THAT(dialer.identified(to("alice"), kOurs, full(), now), ElementsAre(kAgain));
}

// --- A peer that may have several associations ---------------------------------------------------

TEST_F(DialerTest, KeepsAllLinksToAPeerThatHasSlotsFreeAndGivesUpTheRestWhenItHasNone) {
  const LinkId second = add("alice"), third = add("alice");
  come_up(kOurs);
  ASSERT_TRUE(dialer.begin(second, nobody(), now));
  dialer.connecting(second, kAgain);
  dialer.up(kAgain, to("alice"), kLocal);
  ASSERT_TRUE(dialer.begin(third, nobody(), now));
  dialer.connecting(third, AssociationId{9});
  EXPECT_THAT(dialer.identified(to("alice"), kOurs, nobody(), now), IsEmpty());
  EXPECT_THAT(dialer.identified(to("alice"), kAgain, full(), now), ElementsAre(AssociationId{9}))
      << "the first one is the peer, too";
  EXPECT_FALSE(dialer.down(AssociationId{9}, full(), now));
  EXPECT_EQ(dialer.state_of(third), LinkState::resting);
  EXPECT_EQ(dialer.state_of(second), LinkState::connected);
}

TEST_F(DialerTest, ALinkWhoseAssociationIsUpAndNotYetThePeerIsGivenUpToo) {
  const LinkId second = add("alice");
  come_up(kOurs);
  dialer.connecting(second, kAgain);
  dialer.up(kAgain, to("alice"), kLocal);
  EXPECT_THAT(dialer.identified(to("alice"), kTheirs, nobody(), now), IsEmpty());
  EXPECT_THAT(dialer.identified(to("alice"), kOurs, full(), now), ElementsAre(kAgain));
}

// --- An SCTP RESTART ----------------------------------------------------------------------------

TEST_F(DialerTest, ARestartedAssociationBelongsToItsLinkUnderItsNewId) {
  come_up();
  (void)dialer.down(kOurs, nobody(), now);
  dialer.up(kAgain, to("alice"), kLocal);
  EXPECT_EQ(state(), LinkState::connected);
  EXPECT_EQ(dialer.link_of(kAgain), &dialer.at(link));
  EXPECT_FALSE(dialer.pop_due(now + 1h)) << "it does not connect a second time";
}

TEST_F(DialerTest, ARestartOnAnotherEndpointIsNotThisLinks) {
  come_up();
  (void)dialer.down(kOurs, nobody(), now);
  dialer.up(kAgain, to("alice"), EndpointId{8});
  EXPECT_EQ(state(), LinkState::waiting);
  EXPECT_EQ(dialer.link_of(kAgain), nullptr);
}

// --- Moves --------------------------------------------------------------------------------------

TEST_F(DialerTest, MovesWithItsAssociationAndConnectsThereAfterIt) {
  for (int i = 0; i < 6; ++i) (void)wait_after(1s);
  come_up();
  Dialer other(config, 2);
  auto travelling = dialer.leave(kOurs);
  ASSERT_TRUE(travelling);
  EXPECT_EQ(dialer.link_of(kOurs), nullptr);
  dialer.wake(to("alice"), nobody(), now);
  EXPECT_FALSE(dialer.deadline()) << "no link is left here";

  other.arrive(kOurs, std::move(*travelling));
  ASSERT_NE(other.link_of(kOurs), nullptr);
  EXPECT_FALSE(other.down(kOurs, nobody(), now));
  ASSERT_TRUE(other.deadline());
  EXPECT_GT(*other.deadline() - now, 5s) << "its back-off has moved with it";
  EXPECT_TRUE(other.pop_due(*other.deadline()));
}

TEST_F(DialerTest, AWaitThatWasArmedBeforeTheMoveConnectsNothing) {
  connect();
  (void)dialer.down(kOurs, nobody(), now);
  dialer.up(kAgain, to("alice"), kLocal);  // a restart, while it waits
  ASSERT_TRUE(dialer.leave(kAgain));
  EXPECT_FALSE(dialer.pop_due(now + 1h));
}

TEST_F(DialerTest, ALinkIsTheSameOneWhereItMovesTo) {
  const LinkId bob = add("bob");
  EXPECT_THAT(dialer.links(), UnorderedElementsAre(Key(link), Key(bob)));
  come_up();
  Dialer other(config, 2);
  const LinkId others = other.add(nullptr, kLocal, {});
  other.arrive(kOurs, *dialer.leave(kOurs));
  EXPECT_THAT(dialer.links(), ElementsAre(Key(bob)));
  EXPECT_FALSE(dialer.links().contains(link));
  EXPECT_THAT(other.links(), UnorderedElementsAre(Key(others), Key(link)));
  EXPECT_EQ(other.at(link).peer.name, "alice");
  EXPECT_EQ(other.at(link).association(), kOurs);
}

TEST_F(DialerTest, AnAssociationThatThePeerMadeMovesWithoutALink) {
  EXPECT_FALSE(dialer.leave(kTheirs));
}

// --- An operator, and the end -------------------------------------------------------------------

TEST_F(DialerTest, ADisabledLinkDoesNotConnectHoweverOftenItsPeerIsFree) {
  connect();
  (void)dialer.down(kOurs, nobody(), now);
  EXPECT_THAT(dialer.disable(to("alice")), IsEmpty());
  EXPECT_EQ(state(), LinkState::disabled);
  dialer.wake(to("alice"), nobody(), now);
  EXPECT_FALSE(dialer.pop_due(now + 1h));
  EXPECT_FALSE(dialer.begin(link, nobody(), now));
  EXPECT_EQ(state(), LinkState::disabled);
}

TEST_F(DialerTest, DisablingGivesUpAConnectThatIsUnderWayAndDoesNotCallThatAFailure) {
  connect();
  EXPECT_THAT(dialer.disable(to("alice")), ElementsAre(kOurs));
  EXPECT_FALSE(dialer.down(kOurs, nobody(), now));
  EXPECT_EQ(state(), LinkState::disabled);
  EXPECT_FALSE(dialer.deadline());
}

TEST_F(DialerTest, DisablingGivesUpAnAssociationThatIsUpAndIsNotThePeerYet) {
  come_up();
  EXPECT_THAT(dialer.disable(to("alice")), ElementsAre(kOurs));
  EXPECT_FALSE(dialer.down(kOurs, nobody(), now));
  EXPECT_EQ(state(), LinkState::disabled);
}

TEST_F(DialerTest, DisablingLeavesAnAssociationThatIsThePeerAndDoesNotConnectAfterIt) {
  become_peer();
  EXPECT_THAT(dialer.disable(to("alice")), IsEmpty());
  EXPECT_EQ(state(), LinkState::connected);
  EXPECT_FALSE(dialer.down(kOurs, nobody(), now));
  EXPECT_EQ(state(), LinkState::disabled);
}

TEST_F(DialerTest, ALinkStaysDisabledWhereItMovesTo) {
  become_peer();
  EXPECT_THAT(dialer.disable(to("alice")), IsEmpty());
  Dialer other(config, 2);
  other.arrive(kOurs, *dialer.leave(kOurs));
  (void)other.down(kOurs, nobody(), now);
  EXPECT_FALSE(other.deadline());
}

TEST_F(DialerTest, AnEnabledLinkConnectsAtOnceWithAFreshBackOff) {
  for (int i = 0; i < 6; ++i) (void)wait_after(1s);
  (void)dialer.disable(to("alice"));
  dialer.enable(to("alice"), now);
  EXPECT_EQ(dialer.deadline(), now);
  EXPECT_EQ(dialer.pop_due(now), link);
  connect();
  const auto retry_in = dialer.down(kOurs, nobody(), now);
  ASSERT_TRUE(retry_in);
  EXPECT_LE(*retry_in, config.first);
}

TEST_F(DialerTest, ALinkThatWaitsIsDueAtOnceWhenItIsEnabled) {
  (void)dialer.begin(link, held_off(now + 5min), now);
  dialer.enable(to("alice"), now);
  EXPECT_EQ(dialer.pop_due(now), link);
}

TEST_F(DialerTest, OnlyTheLinksToThatPeerAreDisabled) {
  const LinkId bob = add("bob");
  (void)dialer.disable(to("alice"));
  EXPECT_TRUE(dialer.begin(bob, nobody(), now));
}

TEST_F(DialerTest, DoesNothingMoreAfterTheStopAndGivesUpWhatIsNotUp) {
  const LinkId bob = add("bob"), carol = add("carol");
  come_up(kOurs);
  dialer.connecting(bob, kTheirs);
  (void)dialer.begin(carol, held_off(now + 5min), now);
  EXPECT_THAT(dialer.stop(), ElementsAre(kTheirs));
  EXPECT_FALSE(dialer.down(kTheirs, nobody(), now)) << "that is no failure to tell of";
  EXPECT_FALSE(dialer.down(kOurs, nobody(), now));
  dialer.wake(to("alice"), nobody(), now);
  dialer.enable(to("carol"), now);
  EXPECT_FALSE(dialer.deadline());
  EXPECT_FALSE(dialer.pop_due(now + 1h));
  EXPECT_FALSE(dialer.begin(link, nobody(), now));
}

TEST(LinkState, HasANameForAnOperator) {
  EXPECT_EQ(name_of(LinkState::resting), "resting");
  EXPECT_EQ(name_of(LinkState::waiting), "waiting");
  EXPECT_EQ(name_of(LinkState::connecting), "connecting");
  EXPECT_EQ(name_of(LinkState::connected), "connected");
  EXPECT_EQ(name_of(LinkState::disabled), "disabled");
}

// --- A new config -------------------------------------------------------------------------------

TEST_F(DialerTest, ALinkThatIsRemovedIsDueNoMoreAndItsConnectIsGivenUp) {
  connect();
  EXPECT_THAT(dialer.remove(to("alice")), ElementsAre(kOurs));
  EXPECT_EQ(dialer.link_of(kOurs), nullptr);
  EXPECT_FALSE(dialer.down(kOurs, nobody(), now));
  EXPECT_FALSE(dialer.pop_due(now + 1h));
}

TEST_F(DialerTest, ALinkThatWasMadeForTheRevisionThatRemovesOthersStays) {
  PeerConfig config_of_alice;
  config_of_alice.name = "alice";
  const LinkId newer = dialer.add(nullptr, kLocal, config_of_alice, 2);
  EXPECT_THAT(dialer.remove(to("alice"), 2), IsEmpty());
  EXPECT_TRUE(dialer.begin(newer, nobody(), now));
  EXPECT_FALSE(dialer.links().contains(link));
}

TEST_F(DialerTest, ALinkThatIsRemovedWhileItIsUpOrWaitsIsGoneAndOthersAreNot) {
  become_peer();
  const LinkId other = add("bob");
  EXPECT_THAT(dialer.remove(to("alice")), IsEmpty());
  EXPECT_FALSE(dialer.down(kOurs, nobody(), now));
  EXPECT_FALSE(dialer.pop_due(now + 1h));
  EXPECT_TRUE(dialer.begin(other, nobody(), now));
}

TEST_F(DialerTest, ALinkConnectsByThePeersNewConfigAndTheNewBackOff) {
  PeerConfig moved;
  moved.name = "alice";
  moved.port = 4711;
  dialer.use(to("alice"), moved);
  EXPECT_EQ(dialer.at(link).peer.port, 4711);
  connect();
  dialer.use(BackoffConfig{.first = 10ms, .longest = 20ms, .lasting = 10s});
  for (int i = 0; i < 5; ++i) {
    const auto retry_in = dialer.down(kOurs, nobody(), now);
    ASSERT_TRUE(retry_in);
    EXPECT_LE(*retry_in, 20ms);
    wait_until_due();
    connect();
  }
}

}  // namespace
}  // namespace siglane
