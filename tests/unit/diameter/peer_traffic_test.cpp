// What a peer's connection drops: told by reason, with the message as an example. What it does with
// messages that are in order is in peer_session_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

using testing::HasSubstr;

constexpr AssociationId kPeer{1}, kApplication{50};

class PeerTrafficTest : public testing::Test {
 protected:
  static DiameterConfig ours() {
    DiameterConfig config = node_config("us");
    config.peers = {{"the peer", "peer.example", "realm.peer.example", {}}};
    return config;
  }
  RequestPtr request() {
    return request_parcel(ulr(host_.pool, "us.example", {}, "realm.peer.example", 9));
  }
  // Nothing else has been dropped.
  void expect_drop(std::string_view reason, const std::string& example) {
    ASSERT_EQ(host_.drops.size(), 1u);
    EXPECT_EQ(host_.drops.front().reason.name, reason);
    EXPECT_THAT(host_.drops.front().example, HasSubstr(example));
    host_.drops.clear();
  }

  Host host_{ours()};
  DiameterConfig peer_ = node_config("peer");
};

TEST_F(PeerTrafficTest, AnAnswerThatComesTwiceIsDroppedAsUnmatched) {
  open_peer(host_, kPeer, peer_);
  host_.submit(kPeer, request(), kApplication);
  const Buffer answer = answer_to(host_.pool, host_.sent_one(kPeer), result::success, peer_);
  host_.receive(kPeer, answer);
  host_.drops.clear();  // the application is not there
  host_.receive(kPeer, answer);
  expect_drop("diameter.answer_unmatched", "Update-Location answer from peer.example with 2001");
}

TEST_F(PeerTrafficTest, AnAnswerForAPeerThatIsGoneIsDroppedAsOrphaned) {
  open_peer(host_, kPeer, peer_);
  const Buffer question = ulr(host_.pool, "peer.example").finish();
  RequestParcel asked;
  asked.message = question;
  asked.header = parsed(question).header();
  asked.origin = kPeer;
  auto answer = make_answer(asked, answer_to(host_.pool, question, result::success, ours()));
  host_.give(kPeer, AssociationDown{DownCause::lost, {}});  // its session is still there
  host_.submit(kPeer, std::move(answer), kApplication);
  expect_drop("diameter.answer_orphaned", "Update-Location answer from us.example with 2001");
}

TEST_F(PeerTrafficTest, AnAnswerThatTheConnectionDoesNotTakeIsDropped) {
  open_peer(host_, kPeer, peer_);
  const Buffer question = ulr(host_.pool, "peer.example").finish();
  Message message;
  message.payload = answer_to(host_.pool, question, result::success, ours());
  host_.give(kPeer, AssociationUnsent{std::move(message), false});
  expect_drop("diameter.answer_unsent", "Update-Location answer");
}

TEST_F(PeerTrafficTest, AMessageBeforeTheCapabilitiesExchangeIsDroppedWithItsAddress) {
  host_.up(kPeer, false);
  host_.receive(kPeer, ulr(host_.pool, "peer.example").finish());
  expect_drop("diameter.protocol_violation", "192.0.2.2: ");
}

TEST_F(PeerTrafficTest, EveryMalformedMessageIsDroppedAndToldWhatItIs) {
  open_peer(host_, kPeer, peer_);
  std::string bytes(as_text(ulr(host_.pool, "peer.example").finish().bytes()));
  bytes[Header::kBytes + 7] = 3;  // of its first AVP, the length
  for (int n = 0; n < 2; ++n) {
    host_.receive(kPeer, Buffer::copy_of(as_bytes(bytes)));
    expect_drop("diameter.protocol_violation", "Update-Location request of ");
  }
  EXPECT_EQ(host_.counters.get(siglane::counter::protocol_violations), 2u);
}

}  // namespace
}  // namespace siglane::diameter
