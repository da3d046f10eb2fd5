#include "core/admission.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace siglane {
namespace {

PeerConfig peer(std::string name, std::vector<std::string> addresses = {}) {
  PeerConfig config;
  config.name = std::move(name);
  config.addresses = std::move(addresses);
  return config;
}

// What it says, in a word or in the words of the refusal.
std::string text_of(const Verdict& verdict) {
  if (std::holds_alternative<Bind>(verdict)) return "bind";
  if (std::holds_alternative<Inquire>(verdict)) return "inquire";
  return std::get<Refuse>(verdict).why;
}

class AdmissionTest : public testing::Test {
 protected:
  using Names = std::optional<std::vector<std::string>>;

  static AssociationUp from(const std::string& address, Names names = std::nullopt) {
    AssociationUp up;
    up.remote_addresses = {address};
    up.certificate_names = std::move(names);
    return up;
  }
  std::string judged(const AssociationUp& up, const std::string& name,
                     const std::string& connected_to = {}) const {
    return text_of(admission.judge(*admission.unidentified(up, Instant(1s)), connected_to, name));
  }
  static PeerConfig carol() {
    PeerConfig config = peer("carol", {"10.0.0.4"});
    config.tls_identity = "mme01.epc.example";
    return config;
  }

  const PeerTable peers{{peer("alice", {"10.0.0.2"}), peer("bob", {"10.0.0.3"}), carol()}};
  Admission admission{peers};
};

// --- Who may connect ----------------------------------------------------------------------------

TEST_F(AdmissionTest, LetsInWhoeverComesFromAPeersAddress) {
  EXPECT_FALSE(admission.to_newcomer({"10.0.0.2"}));
  EXPECT_FALSE(admission.to_newcomer({"10.9.9.9", "10.0.0.3"}));
  EXPECT_FALSE(admission.to_association(from("10.0.0.2")));
}

TEST_F(AdmissionTest, TurnsAwayAnAddressThatNoPeerHas) {
  for (const auto& objection :
       {admission.to_newcomer({"10.9.9.9"}), admission.to_association(from("10.9.9.9"))}) {
    ASSERT_TRUE(objection);
    EXPECT_EQ(objection->counter, counter::associations_refused_address);
    EXPECT_EQ(objection->why, "no configured peer has this address");
  }
}

TEST_F(AdmissionTest, TurnsAwayACertificateThatNamesNoPeer) {
  const auto objection = admission.to_association(from("10.0.0.2", Names({"mallory"})));
  ASSERT_TRUE(objection);
  EXPECT_EQ(objection->counter, counter::associations_refused_identity);
  EXPECT_EQ(objection->why, "no configured peer is named in its certificate");
  EXPECT_FALSE(admission.to_association(from("10.0.0.2", Names({"mallory", "bob"}))));
}

TEST_F(AdmissionTest, HasNothingAgainstAnAssociationThatWeMadeWhereverItLeads) {
  AssociationUp up = from("10.9.9.9", Names({"mallory"}));
  up.initiator = true;
  EXPECT_FALSE(admission.to_association(up));
}

TEST_F(AdmissionTest, TurnsEverybodyAwayWhileTheNodeStops) {
  admission.stop();
  AssociationUp ours = from("10.0.0.2");
  ours.initiator = true;
  for (const auto& objection :
       {admission.to_newcomer({"10.0.0.2"}), admission.to_association(from("10.0.0.2")),
        admission.to_association(ours)}) {
    ASSERT_TRUE(objection);
    EXPECT_EQ(objection->counter, counter::associations_refused_limit);
    EXPECT_EQ(objection->why, "this node is stopping");
  }
}

TEST_F(AdmissionTest, GivesANewcomerTheConfiguredTimeToSayWhoItIs) {
  AdmissionConfig config;
  config.identification_timeout = 3s;
  const PeerTable table({}, config);
  const auto who = Admission(table).unidentified(from("10.0.0.2"), Instant(10s));
  EXPECT_EQ(who->identify_by, Instant(13s));
  EXPECT_EQ(who->remote_addresses, std::vector<std::string>{"10.0.0.2"});
  EXPECT_FALSE(who->claiming());
}

// --- Who may be which peer ----------------------------------------------------------------------

TEST_F(AdmissionTest, BindsAPeerThatComesFromItsAddress) {
  EXPECT_EQ(judged(from("10.0.0.2"), "alice"), "bind");
}

TEST_F(AdmissionTest, RefusesANameThatIsNotConfigured) {
  EXPECT_EQ(judged(from("10.0.0.2"), "mallory"), "not a configured peer");
}

TEST_F(AdmissionTest, BindsANameThatIsNotConfiguredWhereUnknownPeersAreAccepted) {
  AdmissionConfig config;
  config.accept_unknown_peers = true;
  const PeerTable table({peer("alice", {"10.0.0.2"})}, config);
  const Admission open(table);
  const auto who = open.unidentified(from("10.9.9.9"), Instant(1s));
  EXPECT_EQ(text_of(open.judge(*who, "", "mallory")), "bind");
  EXPECT_EQ(text_of(open.judge(*who, "", "alice")),
            "comes from an address that is not configured for it");
  const auto proven = open.unidentified(from("10.9.9.9", Names({"dave"})), Instant(1s));
  EXPECT_EQ(text_of(open.judge(*proven, "", "mallory")), "its certificate does not name mallory");
  EXPECT_EQ(text_of(open.judge(*proven, "", "dave")), "bind");
}

TEST_F(AdmissionTest, RefusesAPeerThatComesFromAnothersAddress) {
  EXPECT_EQ(judged(from("10.0.0.2"), "bob"), "comes from an address that is not configured for it");
}

TEST_F(AdmissionTest, RefusesAnotherPeerThanTheOneThatWeConnectedTo) {
  EXPECT_EQ(judged(from("10.0.0.3"), "bob", "alice"), "we connected to alice");
  EXPECT_EQ(judged(from("10.0.0.3"), "bob", "bob"), "bind");
}

TEST_F(AdmissionTest, RefusesAPeerWhoseCertificateNamesAnother) {
  EXPECT_EQ(judged(from("10.0.0.2", Names({"bob"})), "alice"),
            "its certificate does not name alice");
  EXPECT_EQ(judged(from("10.0.0.2", Names({"bob", "alice"})), "alice"), "bind");
}

TEST_F(AdmissionTest, ChecksTheCertificateAgainstTheIdentityThatIsConfigured) {
  EXPECT_EQ(judged(from("10.0.0.4", Names({"*.epc.example"})), "carol"), "bind");
  EXPECT_EQ(judged(from("10.0.0.4", Names({"carol"})), "carol"),
            "its certificate does not name mme01.epc.example");
}

TEST_F(AdmissionTest, AnIdentifiedAssociationStaysThePeerThatItIs) {
  EXPECT_EQ(text_of(Admission::judge_again("alice", "alice")), "bind");
  EXPECT_EQ(text_of(Admission::judge_again("alice", "bob")), "was identified as alice before");
}

// --- A peer that has an association -------------------------------------------------------------

class ClaimTest : public testing::Test {
 protected:
  Unidentified claimant{Instant(1s), {"10.0.0.2"}, std::nullopt};
};

TEST_F(ClaimTest, IsInquiredIntoOnceAndRefusedIfThePeerIsStillThere) {
  EXPECT_EQ(text_of(claimant.claim("alice", 1)), "inquire");
  EXPECT_TRUE(claimant.claiming());
  EXPECT_EQ(claimant.claimed(), "alice");
  const Verdict again = claimant.claim("alice", 1);
  EXPECT_EQ(text_of(again), "has an association already");
  EXPECT_TRUE(std::get<Refuse>(again).connected_already);
}

TEST_F(ClaimTest, SaysHowManyThePeerMayHave) {
  (void)claimant.claim("alice", 3);
  EXPECT_EQ(text_of(claimant.claim("alice", 3)),
            "has 3 associations already, and may have no more (connections_max)");
}

TEST_F(ClaimTest, IsAnsweredByAllThatWereAsked) {
  (void)claimant.claim("alice", 2);
  claimant.asked(2);
  EXPECT_FALSE(claimant.answered());
  EXPECT_TRUE(claimant.answered());
  EXPECT_TRUE(claimant.answered()) << "one that comes late changes nothing";
}

TEST_F(ClaimTest, MayBeMadeAnewOnceItIsSettled) {
  (void)claimant.claim("alice", 1);
  claimant.settled();
  EXPECT_FALSE(claimant.claiming());
  EXPECT_EQ(text_of(claimant.claim("bob", 1)), "inquire");
}

TEST_F(ClaimTest, HoldsWhatComesMeanwhileInOrderAndNotMuchOfIt) {
  (void)claimant.claim("alice", 1);
  for (std::size_t i = 0; i < Unidentified::kHeldMax; ++i) {
    EXPECT_TRUE(claimant.hold(AssociationCongestion{i == 0}));
  }
  EXPECT_FALSE(claimant.hold(AssociationCongestion{true}));
  EXPECT_TRUE(claimant.hold(AssociationDown{})) << "without its Down it would never end";
  const auto held = claimant.take_held();
  ASSERT_EQ(held.size(), Unidentified::kHeldMax + 1);
  EXPECT_TRUE(std::get<AssociationCongestion>(held[0]).congested);
  EXPECT_FALSE(std::get<AssociationCongestion>(held[1]).congested);
  EXPECT_TRUE(std::holds_alternative<AssociationDown>(held.back()));
  EXPECT_TRUE(claimant.take_held().empty());
}

// --- Inquiries ----------------------------------------------------------------------------------

constexpr ShardId kHere{0}, kThere{1};

TEST(Inquiry, WaitsItsTurnsWhereTheHolderLivesAndThenAsksItsSession) {
  Inquiry inquiry{AssociationId{1}, AssociationId{2}, kThere, 3};
  for (unsigned left = 3; left-- > 0;) {
    const InquiryStep step = next_step(inquiry, kHere, true, kHere);
    ASSERT_TRUE(std::holds_alternative<InquireLater>(step));
    EXPECT_EQ(std::get<InquireLater>(step).at, kHere);
    EXPECT_EQ(inquiry.turns, left);
  }
  EXPECT_TRUE(std::holds_alternative<AskItsSession>(next_step(inquiry, kHere, true, kHere)));
}

TEST(Inquiry, FollowsTheHolderToWhereItLives) {
  Inquiry inquiry{AssociationId{1}, AssociationId{2}, kHere, 3};
  const InquiryStep step = next_step(inquiry, kHere, false, kThere);
  ASSERT_TRUE(std::holds_alternative<InquireLater>(step));
  EXPECT_EQ(std::get<InquireLater>(step).at, kThere);
  EXPECT_EQ(inquiry.turns, 2u);
}

TEST(Inquiry, IsAnsweredAtOnceIfTheHolderHasEnded) {
  Inquiry inquiry{AssociationId{1}, AssociationId{2}, kThere, 3};
  EXPECT_TRUE(std::holds_alternative<AnswerNow>(next_step(inquiry, kHere, false, std::nullopt)));
  EXPECT_TRUE(std::holds_alternative<AnswerNow>(next_step(inquiry, kHere, false, kHere)))
      << "the directory keeps the home of one that is no more";
}

TEST(Inquiry, DoesNotFollowAHolderThatMovesForEver) {
  Inquiry inquiry{AssociationId{1}, AssociationId{2}, kHere, 0};
  EXPECT_TRUE(std::holds_alternative<AnswerNow>(next_step(inquiry, kHere, false, kThere)));
}

TEST(Inquiry, FindsAHolderThatIsHereWhateverTheDirectorySays) {
  Inquiry inquiry{AssociationId{1}, AssociationId{2}, kThere, 1};
  const InquiryStep step = next_step(inquiry, kHere, true, kThere);
  ASSERT_TRUE(std::holds_alternative<InquireLater>(step));
  EXPECT_EQ(std::get<InquireLater>(step).at, kHere);
}

}  // namespace
}  // namespace siglane
