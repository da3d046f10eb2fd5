#include "apps/runtime/peer_checks.h"

#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

// What is wrong with peers (from line 4 on) of a node with these endpoints (line 2) and `more`.
std::string errors_of(const std::string& endpoints, const std::string& peers,
                      const std::string& more = "") {
  auto document =
      JsonDocument::parse("c.json", "{\"node\": {\"name\": \"n\"}, \"endpoints\": [\n" + endpoints +
                                        "],\n\"peers\": [\n" + peers + "]" + more + "}");
  if (!document) return document.error().what;
  ConfigReader reader(*document);
  NodeConfig node = read_node_config(reader.root(), {"echo", "other"});
  for (const ObjectReader& peer : reader.root().objects("peers")) {
    read_peer(peer, "echo", 7, node);
  }
  const auto good = reader.finish();
  return good ? "" : good.error().what;
}

// An endpoint of the module "echo".
std::string endpoint(const std::string& more, const std::string& name = "e") {
  return R"({"name": ")" + name + R"(", "module": "echo", )" + more + "}";
}
std::string listening(const std::string& more) {
  return endpoint(R"("listen": true, "port": 7, "transport": "tcp")" + more);
}
// A peer that connects, or one that is connected to from "e".
std::string peer(const std::string& more, const std::string& name = "p") {
  return R"({"name": ")" + name + "\"" + more + "}";
}
std::string connected(const std::string& more, const std::string& name = "p") {
  return peer(more + R"(, "connect": {"endpoint": "e"})", name);
}
std::string at(const std::string& addresses) {
  return R"(, "remote_addresses": [)" + addresses + "]";
}

TEST(PeerChecks, APeerThatConnectsNeedsAnEndpointThatListens) {
  const std::string nowhere =
      "c.json:4: /peers/0/connect: is missing: no endpoint of module \"echo\" has \"listen\": "
      "true, "
      "so this peer cannot connect to us either";
  EXPECT_EQ(errors_of(endpoint(R"("transport": "tcp")"), peer("")), nowhere);
  EXPECT_EQ(errors_of(R"({"name": "o", "module": "other", "transport": "tcp", "listen": true,
                          "port": 7},)" +
                          endpoint(R"("transport": "tcp")"),
                      "\n" + peer(""))
                .substr(9),
            nowhere.substr(9))
      << "one of another module is of no help";
  EXPECT_EQ(errors_of(listening(""), peer("")), "");
  EXPECT_EQ(errors_of(endpoint(R"("transport": "tcp")"), connected(at(R"("10.0.0.1")"))), "");
}

TEST(PeerChecks, APeerNeedsAnAddressOfTheSameFamily) {
  const std::string v4 = R"(, "addresses": ["10.0.0.9"])";
  EXPECT_EQ(errors_of(listening(v4), peer(at(R"("2001:db8::1")"))),
            "c.json:4: /peers/0/remote_addresses: are all IPv6, and endpoint \"e\" has no such "
            "address of its own");
  EXPECT_EQ(errors_of(endpoint(R"("transport": "tcp", "addresses": ["2001:db8::9"])"),
                      connected(at(R"("10.0.0.1")"))),
            "c.json:4: /peers/0/remote_addresses: are all IPv4, and endpoint \"e\" has no such "
            "address of its own");
  EXPECT_EQ(errors_of(listening(v4), peer(at(R"("2001:db8::1", "10.0.0.1")"))), "");
  EXPECT_EQ(errors_of(listening(""), peer(at(R"("2001:db8::1")"))), "");
  EXPECT_EQ(errors_of(listening(v4) + "," +
                          endpoint(R"("listen": true, "port": 8, "transport": "tcp",
                                      "addresses": ["2001:db8::9"])",
                                   "e6"),
                      peer(at(R"("2001:db8::1")"))),
            "");
}

TEST(PeerChecks, EveryIpv6AddressIsIpv4AsWellOnKernelSctpAlone) {
  const auto errors = [](const std::string& transport) {
    return errors_of(endpoint(R"("listen": true, "port": 7, "addresses": ["::"], "transport": ")" +
                              transport + R"(", "udp_encapsulation": {"local_port": 9})"),
                     peer(at(R"("10.0.0.1")")));
  };
  EXPECT_EQ(errors("kernel-sctp"), "");
  EXPECT_NE(errors("usrsctp"), "");
  EXPECT_NE(errors("tcp"), "");
}

TEST(PeerChecks, APeerElsewhereCannotReachALoopbackAddress) {
  const std::string loopback = R"(, "addresses": ["127.0.0.1"])";
  EXPECT_EQ(errors_of(listening(loopback), peer(at(R"("10.0.0.1")"))),
            "c.json:4: /peers/0/remote_addresses: are not on this machine, and endpoint \"e\" has "
            "loopback addresses only");
  EXPECT_EQ(errors_of(listening(loopback), peer(at(R"("127.0.0.2")"))), "");
  EXPECT_EQ(errors_of(listening(loopback), peer("")), "") << "it may be anywhere, here too";
  EXPECT_EQ(errors_of(listening(R"(, "addresses": ["10.0.0.9"])"), peer(at(R"("127.0.0.2")"))), "");
}

TEST(PeerChecks, AnAddressIsThatOfOneHost) {
  EXPECT_EQ(errors_of(listening(""), peer(at(R"("0.0.0.0", "224.0.0.1", "255.255.255.255", "::",
"ff02::1", "10.0.0.1")"))),
            "c.json:4: /peers/0/remote_addresses/0: \"0.0.0.0\" is not the address of a host\n"
            "c.json:4: /peers/0/remote_addresses/1: \"224.0.0.1\" is not the address of a host\n"
            "c.json:4: /peers/0/remote_addresses/2: \"255.255.255.255\" is not the address of a "
            "host\n"
            "c.json:4: /peers/0/remote_addresses/3: \"::\" is not the address of a host\n"
            "c.json:5: /peers/0/remote_addresses/4: \"ff02::1\" is not the address of a host");
  EXPECT_EQ(errors_of(listening(""), peer(at(R"("10.0.0.1", "::ffff:10.0.0.1")"))),
            "c.json:4: /peers/0/remote_addresses/0: \"10.0.0.1\" is not named once\n"
            "c.json:4: /peers/0/remote_addresses/1: \"::ffff:10.0.0.1\" is not named once");
}

TEST(PeerChecks, ALinkLocalAddressCannotBeConnectedToOrBound) {
  EXPECT_EQ(errors_of(listening(""), peer(at(R"("fe80::1")"))), "");
  EXPECT_EQ(errors_of(endpoint(R"("transport": "tcp")"), connected(at(R"("fe80::1")"))),
            "c.json:4: /peers/0/remote_addresses/0: \"fe80::1\" is not an address to connect to: a "
            "link-local one needs a zone");
  EXPECT_EQ(errors_of(listening(R"(, "addresses": ["fe80::1"])"), ""),
            "c.json:2: /endpoints/0/addresses/0: \"fe80::1\" is not an address to bind to: a "
            "link-local one needs a zone");
}

TEST(PeerChecks, ANodeDoesNotConnectToItself) {
  const std::string own = listening(R"(, "addresses": ["10.0.0.9"])");
  EXPECT_EQ(errors_of(own, connected(at(R"("10.0.0.9")"))),
            "c.json:4: /peers/0/remote_addresses: and the port 7 are those of our own endpoint "
            "\"e\"");
  EXPECT_EQ(errors_of(own, connected(at(R"("10.0.0.9")") + R"(, "port": 8)")), "");
  EXPECT_EQ(errors_of(listening(""), connected(at(R"("127.0.0.1")"))),
            "c.json:4: /peers/0/remote_addresses: and the port 7 are those of our own endpoint "
            "\"e\"");
  EXPECT_EQ(errors_of(endpoint(R"("listen": true, "port": 7, "addresses": ["127.0.0.1"],
                                  "udp_encapsulation": {"local_port": 9})"),
                      connected(at(R"("127.0.0.1")") + R"(, "remote_udp_port": 10)")),
            "")
      << "another stack, at another UDP port";
}

TEST(PeerChecks, OneSctpEndpointHasOneAssociationToAnAddressAndPort) {
  const std::string two =
      connected(at(R"("10.0.0.1", "10.0.0.2")")) + ",\n" + connected(at(R"("10.0.0.2")"), "q");
  EXPECT_EQ(errors_of(endpoint(R"("transport": "sctp")"), two),
            "c.json:5: /peers/1/remote_addresses: and the port 7 are those of peer \"p\" too "
            "(10.0.0.2): SCTP has a single association from endpoint \"e\" to there");
  EXPECT_EQ(errors_of(endpoint(R"("transport": "tcp")"), two), "");
}

TEST(PeerChecks, AnEndpointHasRoomForThePeersThatConnectFromIt) {
  const std::string one = endpoint(R"("transport": "tcp", "associations_max": 1)");
  EXPECT_EQ(errors_of(one, connected(at(R"("10.0.0.1")"))), "");
  EXPECT_EQ(
      errors_of(one, connected(at(R"("10.0.0.1")")) + ",\n" + connected(at(R"("10.0.0.2")"), "q")),
      "c.json:5: /peers/1/connect/endpoint: \"e\" has \"associations_max\" 1, and this is one "
      "peer more");
}

TEST(PeerChecks, WhoIsAlwaysPeeledNeedsASocketToBeAllowed) {
  const std::string sctp = endpoint(R"("transport": "sctp", "listen": true, "port": 7)");
  const std::string always = R"(, "placement": "always")";
  const auto limit = [](const std::string& max) {
    return R"(, "peeloff": {"peeled_max": )" + max + "}";
  };
  EXPECT_EQ(errors_of(sctp, peer(always), limit("0")),
            "c.json:4: /peers/0/placement: is \"always\", and \"peeloff.peeled_max\" 0 forbids it");
  EXPECT_EQ(errors_of(sctp, peer(always) + ",\n" + peer(always, "q") + ",\n" + peer(always, "r"),
                      limit("1")),
            "c.json:5: /peers/1/placement: is \"always\" for more peers than "
            "\"peeloff.peeled_max\", 1, allows");
  EXPECT_EQ(errors_of(sctp, peer(always) + ",\n" + peer("", "q"), limit("1")), "");
  EXPECT_EQ(errors_of(listening(""), peer(always), limit("0")), "")
      << "a TCP connection has a socket of its own anyway";
}

TEST(PeerChecks, ACertificateIsShownOnlyWhereThereIsTls) {
  const std::string tls = R"(, "tls": {"identity": "p.example"})";
  EXPECT_EQ(
      errors_of(listening(""), peer(tls)),
      "c.json:4: /peers/0/tls: has no effect: endpoint \"e\" has no \"tls\", so nobody shows a "
      "certificate");
  EXPECT_EQ(errors_of(endpoint(R"("listen": true, "port": 7, "transport": "sctp",
                                  "tls": {"certificate": "c", "key": "k", "ca": "a"})"),
                      peer(tls)),
            "");
  EXPECT_EQ(errors_of(endpoint(R"("listen": true, "port": 7, "transport": "tls",
                                  "tls": {"certificate": "c", "key": "k", "ca": "a"})"),
                      "\n" + peer(R"(, "tls": {"identity": "p example"})")),
            "c.json:6: /peers/0/tls/identity: \"p example\" is not a fully qualified domain name "
            "(labels of letters, digits and hyphens, with dots between)");
}

}  // namespace
}  // namespace siglane::runtime
