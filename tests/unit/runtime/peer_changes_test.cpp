// What a new config makes of the peers of a node.
#include "apps/runtime/peer_changes.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

NodePeer peer(std::string name, std::string connect_from = "") {
  NodePeer peer;
  peer.peer.name = std::move(name);
  peer.peer.addresses = {"10.0.0.2"};
  peer.peer.port = 3868;
  peer.module = "diameter";
  peer.connect_from = std::move(connect_from);
  return peer;
}

std::vector<std::string> names(const std::vector<PeerChanges::ToConnect>& peers) {
  std::vector<std::string> all;
  for (const auto& one : peers) all.push_back(one.peer->peer.name);
  return all;
}

PeerChanges compare(const std::vector<NodePeer>& before, const std::vector<NodePeer>& after,
                    const std::set<std::string>& reconnected = {}) {
  static NodeConfig was, is;  // the changes point into it
  was.peers = before;
  is.peers = after;
  return compare_peers(was, is, reconnected);
}

TEST(PeerChanges, OfTheSamePeersAreNone) {
  const std::vector<NodePeer> peers = {peer("a"), peer("b", "out")};
  const PeerChanges changes = compare(peers, peers);
  EXPECT_THAT(changes.changed, IsEmpty());
  EXPECT_THAT(changes.to_connect, IsEmpty());
}

TEST(PeerChanges, ToldApartByName) {
  const std::vector<NodePeer> before = {peer("a"), peer("b", "out")};
  const std::vector<NodePeer> after = {peer("c", "out"), peer("d"), peer("a")};
  const PeerChanges changes = compare(before, after);
  EXPECT_THAT(changes.changed, ElementsAre(Pair("b", PeerChange::removed)));
  EXPECT_THAT(names(changes.to_connect), ElementsAre("c"));
}

struct Case {
  const char* what;
  std::function<void(NodePeer&)> change;
  PeerChange expected;
};

class EachField : public testing::TestWithParam<Case> {};

TEST_P(EachField, DecidesWhetherAssociationsAreMadeAnew) {
  const std::vector<NodePeer> before = {peer("a", "out")};
  std::vector<NodePeer> after = before;
  GetParam().change(after.front());
  const PeerChanges changes = compare(before, after);
  EXPECT_THAT(changes.changed, ElementsAre(Pair("a", GetParam().expected))) << GetParam().what;
  const bool connects =
      GetParam().expected != PeerChange::rebound && !after.front().connect_from.empty();
  EXPECT_EQ(changes.to_connect.size(), connects ? 1u : 0u);
}

const Case kCases[] = {
    {"addresses", [](NodePeer& p) { p.peer.addresses = {"10.0.0.3"}; }, PeerChange::reconnected},
    {"port", [](NodePeer& p) { ++p.peer.port; }, PeerChange::reconnected},
    {"UDP port", [](NodePeer& p) { ++p.peer.remote_udp_port; }, PeerChange::reconnected},
    {"certificate", [](NodePeer& p) { p.peer.tls_identity = "x"; }, PeerChange::reconnected},
    {"another endpoint", [](NodePeer& p) { p.connect_from = "in"; }, PeerChange::reconnected},
    {"no endpoint", [](NodePeer& p) { p.connect_from = ""; }, PeerChange::reconnected},
    {"another module", [](NodePeer& p) { p.module = "m3ua"; }, PeerChange::removed},
    {"pin", [](NodePeer& p) { p.peer.placement = Placement::always_peeled; }, PeerChange::rebound},
    {"primary", [](NodePeer& p) { p.peer.primary_address = "10.0.0.2"; }, PeerChange::rebound},
    {"SCTP", [](NodePeer& p) { p.peer.sctp.emplace().rto_min = 100ms; }, PeerChange::rebound},
};
INSTANTIATE_TEST_SUITE_P(PeerChanges, EachField, testing::ValuesIn(kCases));

TEST(PeerChanges, ANewPeerIsMadeAnewWhereAStrangerMayBeCalledSo) {
  NodeConfig before, after;
  after.peers = {peer("a")};
  EXPECT_THAT(compare_peers(before, after, {}).changed, IsEmpty());
  before.admission.accept_unknown_peers = true;
  EXPECT_THAT(compare_peers(before, after, {}).changed,
              ElementsAre(Pair("a", PeerChange::reconnected)));
}

TEST(PeerChanges, MoreConnectionsNeedMoreLinksAndForFewerTheyAreMadeAnew) {
  std::vector<NodePeer> two = {peer("a", "out")}, three = two;
  two[0].peer.connections_max = 2;
  three[0].peer.connections_max = 3;
  const PeerChanges more = compare(two, three);
  EXPECT_THAT(more.changed, ElementsAre(Pair("a", PeerChange::rebound)));
  ASSERT_EQ(more.to_connect.size(), 1u);
  EXPECT_EQ(more.to_connect[0].links_before, 2u);
  const PeerChanges fewer = compare(three, two);
  EXPECT_THAT(fewer.changed, ElementsAre(Pair("a", PeerChange::reconnected)));
  EXPECT_EQ(fewer.to_connect.at(0).links_before, 0u);
  // Where the peer makes the connections, those that there are stay.
  two[0].connect_from = three[0].connect_from = "";
  EXPECT_THAT(compare(three, two).changed, ElementsAre(Pair("a", PeerChange::rebound)));
}

TEST(PeerChanges, OverSctpOneMoreEndpointIsOneMoreLink) {
  NodeConfig before, after;
  for (const char* name : {"out", "out2"}) {
    NodeEndpoint endpoint;
    endpoint.endpoint.name = name;
    endpoint.endpoint.transport = TransportKind::sctp;
    before.endpoints.push_back(endpoint);
  }
  before.peers = {peer("a", "out")};
  before.peers[0].peer.connections_max = 4;
  after = before;
  EXPECT_EQ(after.links_to(after.peers[0]), std::vector<std::string>{"out"});
  after.peers[0].also_from = {"out2"};
  EXPECT_EQ(after.links_to(after.peers[0]), (std::vector<std::string>{"out", "out2"}));
  const PeerChanges more = compare_peers(before, after, {});
  EXPECT_THAT(more.changed, IsEmpty());
  ASSERT_EQ(more.to_connect.size(), 1u);
  EXPECT_EQ(more.to_connect[0].links_before, 1u);
}

TEST(PeerChanges, WhoIsToBeConnectedFromAnEndpointThatIsNotOpenStaysConnectedAsBefore) {
  const std::vector<NodePeer> before = {peer("a", "out"), peer("b", "out")};
  std::vector<NodePeer> after = {peer("a", "new"), peer("b", "out"), peer("c", "new")};
  const auto kept =
      keep_connecting(after, before, [](const std::string& name) { return name == "out"; });
  EXPECT_THAT(kept, ElementsAre("a"));
  EXPECT_EQ(after[0].connect_from, "out");
  EXPECT_EQ(after[1].connect_from, "out");
  EXPECT_EQ(after[2].connect_from, "") << "waited for until then";
}

TEST(PeerChanges, TakesTheWordOfTheProtocol) {
  const std::vector<NodePeer> peers = {peer("a"), peer("b", "out")};
  const PeerChanges changes = compare(peers, peers, {"a", "b", "gone"});
  EXPECT_THAT(changes.changed,
              ElementsAre(Pair("a", PeerChange::reconnected), Pair("b", PeerChange::reconnected)));
  EXPECT_THAT(names(changes.to_connect), ElementsAre("b"));
  EXPECT_THAT(changes.reconnected(), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace siglane::runtime
