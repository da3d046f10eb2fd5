#include "apps/runtime/config.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

using testing::ElementsAre;

struct Read {
  NodeConfig node;
  std::string errors;
};

// A node of one module, "echo", whose peers stand in "peers".
Read read(std::string_view text) {
  Read read;
  auto document = JsonDocument::parse("c.json", text);
  if (!document) return {{}, document.error().what};
  ConfigReader reader(*document);
  read.node = read_node_config(reader.root(), {"echo"});
  for (const ObjectReader& peer : reader.root().objects("peers")) {
    read_peer(peer, "echo", 7, read.node);
  }
  if (auto good = reader.finish(); !good) read.errors = good.error().what;
  return read;
}

constexpr std::string_view kListening =
    R"({"name": "l", "module": "echo", "transport": "tcp", "listen": true, "port": 0})";

// An endpoint "e" over TCP with this in it, beside one that peers can connect to, and these peers.
std::string with(std::string_view endpoint, std::string_view peers = "") {
  return R"({"node": {"name": "n"}, "endpoints": [{"name": "e", "module": "echo", "transport": "tcp")" +
         std::string(endpoint) + "}, " + std::string(kListening) + "],\n\"peers\": [" +
         std::string(peers) + "]}";
}

TEST(Config, ReadsEverySharedKey) {
  const Read got = read(R"({
    "node": {"name": "hss-1"},
    "log": {"level": "warning", "facts_per_second_max": 5},
    "admin": {"socket": "/run/x.sock", "group": "ops", "group_may": "change", "clients_max": 2,
              "questions_per_second_max": 7,
              "facts_kept_max": 10,
              "http": {"address": "::", "port": 8080, "host_names": ["hss.example", "0:0::1"],
                       "read_token_file": "/r", "change_token_file": "/c",
                       "tls": {"certificate": "/crt", "key": "/key"}}},
    "runtime": {"shards": 1, "stop_grace_ms": 100, "reconnect_first_ms": 10,
                "reconnect_longest_ms": 20, "cached_buffer_bytes_max": 4096},
    "endpoints": [{
      "name": "main", "module": "echo", "transport": "usrsctp",
      "addresses": ["127.0.0.1", "::ffff:127.0.0.2", "0:0::1"], "port": 3868, "listen": true,
      "sockets": 2, "udp_encapsulation": {
        "local_port": 9899, "remote_port": 9898, "segmentation_offload": true},
      "associations_max": 7,
      "limits": {"message_bytes_max": 70000, "send_queue_bytes_max": 80000,
                 "send_queue_messages_max": 5},
      "sctp": {"streams_out": 1, "streams_in_max": 2, "init_attempts_max": 3,
               "init_timeout_max_ms": 1000, "rto_initial_ms": 30, "rto_min_ms": 20,
               "rto_max_ms": 40, "heartbeat_interval_ms": 500,
               "association_retransmissions_max": 6, "path_retransmissions_max": 7,
               "potentially_failed_retransmissions_max": 1, "sack_delay_ms": 8, "dscp": 46,
               "path_mtu_discovery": false, "path_mtu_bytes": 1200, "nodelay": false,
               "receive_buffer_bytes": 9000, "send_buffer_bytes": 100000},
      "tcp": {"connect_timeout_ms": 11, "close_timeout_ms": 12,
              "unacknowledged_timeout_ms": 13}}],
    "peeloff": {"messages_per_second_min": 1.5, "bytes_per_second_min": 2, "sustained_ms": 3,
                "age_min_ms": 4, "peeled_max": 5},
    "admission": {"accept_unknown_peers": true, "identification_timeout_ms": 300,
                  "unidentified_associations_max": 4},
    "peers": [{"name": "p", "remote_addresses": ["127.0.0.9"], "port": 8, "remote_udp_port": 9900,
               "placement": "always", "connect": {"endpoint": "main"}}]
  })");
  EXPECT_EQ(got.errors, "");
  const NodeConfig& node = got.node;
  EXPECT_EQ(node.name, "hss-1");
  EXPECT_EQ(node.log.level, LogLevel::warning);
  EXPECT_EQ(node.log.facts_per_second_max, 5u);
  EXPECT_EQ(node.admin.socket, "/run/x.sock");
  EXPECT_EQ(node.admin.group, "ops");
  EXPECT_TRUE(node.admin.group_may_change);
  EXPECT_EQ(node.admin.clients_max, 2u);
  EXPECT_EQ(node.admin.questions_per_second_max, 7);
  ASSERT_TRUE(node.admin.http);
  EXPECT_EQ(node.admin.http->address, "::");
  EXPECT_EQ(node.admin.http->port, 8080);
  EXPECT_THAT(node.admin.http->host_names, ElementsAre("hss.example", "::1"));
  EXPECT_EQ(node.admin.http->read_token_file, "/r");
  EXPECT_EQ(node.admin.http->change_token_file, "/c");
  EXPECT_EQ(node.admin.http->tls->certificate, "/crt");
  EXPECT_EQ(node.admin.http->tls->key, "/key");
  EXPECT_EQ(node.admin.facts_kept_max, 10u);
  EXPECT_EQ(node.runtime.stop_grace, 100ms);
  EXPECT_EQ(node.runtime.reconnect.first, 10ms);
  EXPECT_EQ(node.runtime.reconnect.longest, 20ms);
  EXPECT_EQ(node.runtime.cached_buffer_bytes_max, 4096u);

  ASSERT_EQ(node.endpoints.size(), 1u);
  EXPECT_EQ(node.endpoints[0].module, "echo");
  const EndpointConfig& endpoint = node.endpoints[0].endpoint;
  EXPECT_EQ(endpoint.name, "main");
  EXPECT_EQ(endpoint.transport, TransportKind::usrsctp);
  EXPECT_THAT(endpoint.addresses, ElementsAre("127.0.0.1", "127.0.0.2", "::1"));
  EXPECT_EQ(endpoint.port, 3868);
  EXPECT_TRUE(endpoint.listening);
  EXPECT_EQ(endpoint.sockets, 2);
  EXPECT_EQ(endpoint.udp_encapsulation_port, 9899);
  EXPECT_TRUE(endpoint.udp_segmentation_offload);
  EXPECT_EQ(endpoint.associations_max, 7u);
  EXPECT_EQ(endpoint.limits.message_bytes_max, 70000u);
  EXPECT_EQ(endpoint.limits.send_queue_bytes_max, 80000u);
  EXPECT_EQ(endpoint.limits.send_queue_messages_max, 5u);
  EXPECT_EQ(endpoint.sctp.streams_out, 1);
  EXPECT_EQ(endpoint.sctp.streams_in_max, 2);
  EXPECT_EQ(endpoint.sctp.init_attempts_max, 3);
  EXPECT_EQ(endpoint.sctp.init_timeout_max, 1s);
  EXPECT_EQ(endpoint.sctp.rto_initial, 30ms);
  EXPECT_EQ(endpoint.sctp.rto_min, 20ms);
  EXPECT_EQ(endpoint.sctp.rto_max, 40ms);
  EXPECT_EQ(endpoint.sctp.heartbeat_interval, 500ms);
  EXPECT_EQ(endpoint.sctp.association_retransmissions_max, 6);
  EXPECT_EQ(endpoint.sctp.path_retransmissions_max, 7);
  EXPECT_EQ(endpoint.sctp.potentially_failed_retransmissions_max, 1);
  EXPECT_EQ(endpoint.sctp.sack_delay, 8ms);
  EXPECT_EQ(endpoint.sctp.dscp, 46);
  EXPECT_FALSE(endpoint.sctp.path_mtu_discovery);
  EXPECT_EQ(endpoint.sctp.path_mtu_bytes, 1200);
  EXPECT_FALSE(endpoint.sctp.nodelay);
  EXPECT_EQ(endpoint.sctp.receive_buffer_bytes, 9000u);
  EXPECT_EQ(endpoint.sctp.send_buffer_bytes, 100000u);
  EXPECT_EQ(endpoint.stream.connect_timeout, 11ms);
  EXPECT_EQ(endpoint.stream.close_timeout, 12ms);
  EXPECT_EQ(endpoint.stream.unacknowledged_timeout, 13ms);

  EXPECT_EQ(node.peeloff.messages_per_second_min, 1.5);
  EXPECT_EQ(node.peeloff.bytes_per_second_min, 2);
  EXPECT_EQ(node.peeloff.sustained_min, 3ms);
  EXPECT_EQ(node.peeloff.age_min, 4ms);
  EXPECT_EQ(node.peeloff.peeled_max, 5u);

  EXPECT_TRUE(node.admission.accept_unknown_peers);
  EXPECT_EQ(node.admission.identification_timeout, 300ms);
  EXPECT_EQ(node.admission.unidentified_associations_max, 4u);

  ASSERT_NE(node.peer("p"), nullptr);
  const NodePeer& peer = *node.peer("p");
  EXPECT_EQ(peer.module, "echo");
  EXPECT_EQ(peer.connect_from, "main");
  EXPECT_THAT(peer.peer.addresses, ElementsAre("127.0.0.9"));
  EXPECT_EQ(peer.peer.port, 8);
  EXPECT_EQ(peer.peer.remote_udp_port, 9900);
  EXPECT_EQ(peer.peer.placement, Placement::always_peeled);
}

TEST(Config, DefaultsAreThoseOfTheStructs) {
  const Read got = read(with("", R"({"name": "p"})"));
  EXPECT_EQ(got.errors, "");
  EXPECT_EQ(got.node.runtime.stop_grace, RuntimeConfig{}.stop_grace);
  EXPECT_EQ(got.node.endpoints.at(0).endpoint.sctp.rto_max, SctpOptions{}.rto_max);
  EXPECT_EQ(got.node.peers.at(0).peer.port, 7);
  EXPECT_EQ(got.node.peers.at(0).peer.placement, Placement::automatic);
  EXPECT_EQ(got.node.peers.at(0).connect_from, "");
}

TEST(Config, NeedsANameAndAnEndpoint) {
  EXPECT_EQ(read("{}").errors,
            "c.json:1: /node/name: missing; expected a string\n"
            "c.json:1: /endpoints: missing; expected an array of 1 to 4096 elements");
}

TEST(Config, ThePathOfTheAdminSocketBeginsBesideTheConfig) {
  const auto socket = [](const std::string& file, const std::string& path) {
    auto document = JsonDocument::parse(file, R"({"node": {"name": "n"}, "admin": {"socket": ")" +
                                                  path + R"("}, "endpoints": []})");
    ConfigReader reader(*document);
    return read_node_config(reader.root(), {"echo"}).admin.socket;
  };
  EXPECT_EQ(socket("/etc/siglane/c.json", "admin.sock"), "/etc/siglane/admin.sock");
  EXPECT_EQ(socket("/etc/siglane/c.json", "/run/admin.sock"), "/run/admin.sock");
  EXPECT_EQ(socket("c.json", "admin.sock"), "admin.sock");
  EXPECT_EQ(socket("/etc/siglane/c.json", ""), "");

  const std::string name(100, 's');
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "admin": {"socket": "/directory/)" + name +
                 R"("}, "endpoints": [{"name": "e", "module": "echo"}]})")
                .errors,
            "c.json:1: /admin/socket: is \"/directory/" + name +
                "\", of 111 bytes; expected a path of at most 107");
}

TEST(Config, TheAdminApiIsOpenToOtherMachinesOnlyWithTlsAndAToken) {
  const auto errors = [](const std::string& admin) {
    return read(R"({"node": {"name": "n"}, "admin": )" + admin +
                R"(, "endpoints": [{"name": "e", "module": "echo"}]})")
        .errors;
  };
  EXPECT_EQ(errors(R"({"http": {"port": 80}})"), "");
  EXPECT_EQ(errors(R"({"http": {"address": "127.3.3.3", "port": 80}})"), "");
  const std::string refused =
      "c.json:1: /admin/http/address: can be reached from other machines; expected tls and "
      "read_token_file beside it, or a loopback address";
  for (const char* more :
       {"", R"(, "read_token_file": "/r")", R"(, "tls": {"certificate": "/c", "key": "/k"})"}) {
    EXPECT_EQ(errors(R"({"http": {"address": "0.0.0.0", "port": 80)" + std::string(more) + "}}"),
              refused);
  }
  EXPECT_EQ(errors(R"({"http": {"address": "0.0.0.0", "port": 80, "read_token_file": "/r",
                       "tls": {"certificate": "/c", "key": "/k"}}})"),
            "");
  EXPECT_EQ(errors(R"({"http": {"port": 80, "host_names": ["a:1"]}})"),
            "c.json:1: /admin/http/host_names/0: \"a:1\" is not a host name or address without a "
            "port");
}

TEST(Config, RefusesAddressesThatAreNone) {
  EXPECT_EQ(read(with(R"(, "addresses": ["10.0.0"])")).errors,
            "c.json:1: /endpoints/0/addresses/0: \"10.0.0\" is not an IP address");
  EXPECT_EQ(read(with("", R"({"name": "p", "remote_addresses": ["localhost"]})")).errors,
            "c.json:2: /peers/0/remote_addresses/0: \"localhost\" is not an IP address");
}

TEST(Config, RefusesPortsOutOfRange) {
  EXPECT_EQ(read(with(R"(, "port": 65536)")).errors,
            "c.json:1: /endpoints/0/port: 65536 is not a whole number from 0 to 65535");
  EXPECT_EQ(read(with(R"(, "listen": true)")).errors,
            "c.json:1: /endpoints/0/port: missing; expected a whole number");
  EXPECT_EQ(read(with("", R"({"name": "p", "port": 0})")).errors,
            "c.json:2: /peers/0/port: 0 is not a whole number from 1 to 65535");
}

TEST(Config, RefusesTheSameNameTwice) {
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "endpoints": [{"name": "e", "module": "echo"},
                     {"name": "e", "module": "echo"}]})")
                .errors,
            "c.json:2: /endpoints/1/name: \"e\" is not a name of its own");
  EXPECT_EQ(read(with("", R"({"name": "p"}, {"name": "p"})")).errors,
            "c.json:2: /peers/1/name: \"p\" is not a name of its own");
  EXPECT_EQ(read(with("", R"-({"name": "(others)"})-")).errors,
            "c.json:2: /peers/0/name: \"(others)\" is not a name for one peer: tables of counters "
            "have it for all the others");
}

TEST(Config, RefusesNamesThatWouldSpoilATable) {
  EXPECT_EQ(read(with("", R"({"name": "p q"})")).errors,
            "c.json:2: /peers/0/name: \"p q\" is not a name: 1 to 128 printable ASCII characters "
            "without blanks");
}

TEST(Config, RefusesModulesAndTransportsThatThisNodeDoesNotHave) {
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "endpoints": [{"name": "e", "module": "ecko",
                     "transport": "udp"}]})")
                .errors,
            "c.json:1: /endpoints/0/module: \"ecko\" is not a protocol of this node (echo)\n"
            "c.json:2: /endpoints/0/transport: \"udp\" is not one of \"sctp\", \"kernel-sctp\", "
            "\"usrsctp\", \"tcp\", \"tls\"");
}

TEST(Config, ReadsWhatTlsNeedsAndWhoThePeerMustBe) {
  const Read got = read(R"({"node": {"name": "n"}, "endpoints": [{
    "name": "e", "module": "echo", "transport": "tls", "tcp": {"handshake_timeout_ms": 700},
    "listen": true, "port": 5658,
    "tls": {"certificate": "e.crt", "key": "/etc/siglane/e.key", "ca": "ca/all.crt",
            "minimum_version": "1.3", "ciphers": "ECDHE+AESGCM",
            "require_peer_certificate": false}}],
    "peers": [{"name": "p", "tls": {"identity": "p.example"}}, {"name": "q"}]})");
  EXPECT_EQ(got.errors, "");
  const EndpointConfig& endpoint = got.node.endpoints[0].endpoint;
  EXPECT_EQ(endpoint.transport, TransportKind::tls);
  EXPECT_EQ(endpoint.stream.handshake_timeout, 700ms);
  ASSERT_TRUE(endpoint.tls);
  EXPECT_EQ(endpoint.tls->certificate, "e.crt");
  EXPECT_EQ(endpoint.tls->key, "/etc/siglane/e.key");
  EXPECT_EQ(endpoint.tls->ca, "ca/all.crt");
  EXPECT_EQ(endpoint.tls->minimum_version, TlsVersion::tls_1_3);
  EXPECT_EQ(endpoint.tls->ciphers, "ECDHE+AESGCM");
  EXPECT_FALSE(endpoint.tls->require_peer_certificate);
  EXPECT_EQ(got.node.peers[0].peer.identity(), "p.example");
  EXPECT_EQ(got.node.peers[1].peer.identity(), "q");
}

TEST(Config, RefusesTlsThatIsMissingOrOfNoUse) {
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "endpoints": [
                     {"name": "e", "module": "echo", "transport": "tls"}]})")
                .errors,
            "c.json:2: /endpoints/0/tls: is missing: transport tls needs a certificate, its key "
            "and a ca");
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "endpoints": [
                     {"name": "e", "module": "echo", "transport": "tcp",
                      "tls": {"certificate": "c", "key": "k"}}]})")
                .errors,
            "c.json:3: /endpoints/0/tls/ca: missing; expected a string\n"
            "c.json:3: /endpoints/0/tls: has no effect: \"transport\" is \"tcp\", not \"tls\" or "
            "SCTP");
}

TEST(Config, ReadsWhatDtlsOverSctpNeeds) {
  const Read got = read(R"({"node": {"name": "n"}, "endpoints": [{
    "name": "e", "module": "echo", "transport": "sctp", "sctp": {"handshake_timeout_ms": 700},
    "tls": {"certificate": "e.crt", "key": "e.key", "ca": "all.crt",
            "require_sctp_auth": false}}]})");
  EXPECT_EQ(got.errors, "");
  const EndpointConfig& endpoint = got.node.endpoints[0].endpoint;
  EXPECT_EQ(endpoint.sctp.handshake_timeout, 700ms);
  ASSERT_TRUE(endpoint.tls);
  EXPECT_EQ(endpoint.tls->certificate, "e.crt");
  EXPECT_FALSE(endpoint.tls->require_sctp_auth);
}

TEST(Config, RefusesWhatDtlsOverSctpCannotBe) {
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "endpoints": [
                     {"name": "e", "module": "echo", "transport": "kernel-sctp",
                      "sctp": {"send_buffer_bytes": 18444}, "limits": {"message_bytes_max": 9000},
                      "tls": {"certificate": "c", "key": "k", "ca": "a",
                              "minimum_version": "1.3"}}]})")
                .errors,
            "c.json:3: /endpoints/0/sctp/send_buffer_bytes: is less than a DTLS record of 18445 "
            "bytes\n"
            "c.json:5: /endpoints/0/tls/minimum_version: is 1.3: DTLS over SCTP (RFC 6083) exists "
            "up to 1.2");
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "endpoints": [
                     {"name": "e", "module": "echo", "transport": "tls",
                      "tls": {"certificate": "c", "key": "k", "ca": "a",
                              "require_sctp_auth": true}}]})")
                .errors,
            "c.json:4: /endpoints/0/tls/require_sctp_auth: has no effect: \"transport\" is not "
            "SCTP");
}

// Of a node with these two endpoints (but for name and module).
std::string errors_of_two(const std::string& a, const std::string& b) {
  return read(R"({"node": {"name": "n"}, "endpoints": [{"name": "a", "module": "echo", )" + a +
              "},\n{\"name\": \"b\", \"module\": \"echo\", " + b + "}]}")
      .errors;
}

TEST(Config, RefusesTwoEndpointsThatCannotBothBeOpen) {
  const std::string taken = "c.json:2: /endpoints/1/port: 7 is not free: endpoint \"a\" has it";
  const std::string tcp = R"("transport": "tcp", "listen": true, "port": 7)";
  const std::string sctp = R"("transport": "sctp", "port": 7)";
  const std::string udp = R"(, "udp_encapsulation": {"local_port": 9}, )";
  EXPECT_EQ(errors_of_two(tcp, tcp), taken);
  EXPECT_EQ(errors_of_two(sctp, sctp), taken);
  EXPECT_EQ(errors_of_two(sctp + R"(, "addresses": ["127.0.0.1", "::1"])",
                          sctp + R"(, "addresses": ["127.0.0.2", "0:0::1"])"),
            taken);
  EXPECT_EQ(errors_of_two(R"("transport": "usrsctp", "port": 7)" + udp + R"("addresses": ["::1"])",
                          R"("transport": "usrsctp", "port": 7)" + udp + R"("addresses": ["::2"])"),
            taken);

  EXPECT_EQ(errors_of_two(tcp, sctp), "");
  EXPECT_EQ(errors_of_two(tcp, R"("transport": "tcp", "port": 7)"), "");
  EXPECT_EQ(errors_of_two(sctp + R"(, "addresses": ["127.0.0.1"])",
                          sctp + R"(, "addresses": ["127.0.0.2"])"),
            "");
  EXPECT_EQ(errors_of_two(R"("transport": "sctp")", R"("transport": "sctp")"), "");
}

TEST(Config, RefusesAnAddressThatStandsThereTwice) {
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "endpoints": [{"name": "e", "module": "echo",
                     "addresses": ["::1", "127.0.0.1", "0::1"]}]})")
                .errors,
            "c.json:2: /endpoints/0/addresses/0: \"::1\" is not named once\n"
            "c.json:2: /endpoints/0/addresses/2: \"0::1\" is not named once");
}

TEST(Config, ChecksEndpointsAgainWhenTheirTransportHasChanged) {
  NodeConfig node = read(R"({"node": {"name": "n"}, "endpoints": [
    {"name": "a", "module": "echo", "transport": "tcp", "listen": true, "port": 7},
    {"name": "b", "module": "echo", "listen": true, "port": 7, "addresses": ["::1", "::2"]}]})")
                        .node;
  EXPECT_TRUE(check_endpoints(node));
  node.endpoints[1].endpoint.transport = TransportKind::usrsctp;
  EXPECT_EQ(check_endpoints(node).error().what,
            "endpoint \"b\" over usrsctp needs a \"udp_encapsulation\" in the config");
  node.endpoints[1].endpoint.transport = TransportKind::tcp;
  EXPECT_EQ(check_endpoints(node).error().what,
            "endpoint \"a\" over tcp has the port 7 of endpoint \"b\"");
  node.endpoints.erase(node.endpoints.begin());
  EXPECT_EQ(check_endpoints(node).error().what,
            "endpoint \"b\" over tcp can have a single address: TCP has no multi-homing");
}

TEST(Config, TakesANumberOfShardsOrOneForEachProcessor) {
  const auto with_shards = [](const std::string& shards) {
    return read(R"({"node": {"name": "n"}, "runtime": {"shards": )" + shards + R"(},
                   "endpoints": [{"name": "e", "module": "echo"}]})");
  };
  EXPECT_EQ(with_shards("3").node.runtime.shards, 3);
  EXPECT_EQ(with_shards(R"("auto")").node.runtime.shards, std::thread::hardware_concurrency());
  EXPECT_EQ(with_shards("0").errors,
            "c.json:1: /runtime/shards: 0 is not a whole number from 1 to 256");
  EXPECT_NE(with_shards(R"("many")").errors, "");
}

TEST(Config, ChecksWhatAPeerThatWeConnectToNeeds) {
  EXPECT_EQ(read(with("", R"({"name": "p", "connect": {"endpoint": "x"}})")).errors,
            "c.json:2: /peers/0/connect/endpoint: \"x\" is not the name of an endpoint");
  EXPECT_EQ(read(with("", R"({"name": "p", "connect": {}})")).errors,
            "c.json:2: /peers/0/connect/endpoint: missing; expected a string");
  EXPECT_EQ(read(with("", R"({"name": "p", "connect": {"endpoint": "e"}})")).errors,
            "c.json:2: /peers/0/remote_addresses: is missing: \"connect\" needs to know where to");
}

TEST(Config, WantsUdpEncapsulationOnBothSidesOrOnNone) {
  const std::string peer = R"({"name": "p", "remote_addresses": ["::1"],
                               "connect": {"endpoint": "e"})";
  EXPECT_EQ(read(with(R"(, "udp_encapsulation": {"local_port": 9899})", peer + "}")).errors,
            "c.json:2: /peers/0/remote_udp_port: is missing: endpoint \"e\" has "
            "\"udp_encapsulation\"");
  EXPECT_EQ(read(with("", peer + ", \"remote_udp_port\": 9899}")).errors,
            "c.json:3: /peers/0/remote_udp_port: has no effect: endpoint \"e\" has no "
            "\"udp_encapsulation\"");
  EXPECT_EQ(read(R"({"node": {"name": "n"}, "endpoints": [{"name": "e", "module": "echo",
                     "transport": "usrsctp"}]})")
                .errors,
            "c.json:1: /endpoints/0/udp_encapsulation: is missing: usrsctp runs over UDP and "
            "needs a local_port");
}

// One SCTP endpoint with this `sctp`, on line 2, and these peers, from line 3 on.
std::string with_sctp(std::string_view sctp, std::string_view peers) {
  return "{\"node\": {\"name\": \"n\"}, \"endpoints\": [{\"name\": \"e\", \"module\": \"echo\",\n"
         "\"listen\": true, \"port\": 7, \"sctp\": {" +
         std::string(sctp) + "}}], \"peers\": [\n" + std::string(peers) + "]}";
}

TEST(Config, WhatAPeerHasOfItsOwnStandsOverItsEndpoints) {
  const Read got = read(with_sctp(R"("rto_max_ms": 3000, "dscp": 10)", R"(
    {"name": "p", "remote_addresses": ["192.0.2.1", "2001:db8::1"],
     "primary_address": "2001:db8:0::1",
     "sctp": {"streams_out": 3, "streams_in_max": 4, "init_attempts_max": 5,
              "init_timeout_max_ms": 6000, "rto_initial_ms": 700, "rto_min_ms": 600,
              "heartbeat_interval_ms": 9000, "association_retransmissions_max": 11,
              "path_retransmissions_max": 10, "potentially_failed_retransmissions_max": 2,
              "sack_delay_ms": 13, "path_mtu_discovery": false, "path_mtu_bytes": 1300},
     "connect": {"endpoint": "e"}},
    {"name": "q"})"));
  EXPECT_EQ(got.errors, "");
  const PeerConfig& peer = got.node.peers.at(0).peer;
  EXPECT_EQ(peer.primary_address, "2001:db8::1");
  ASSERT_TRUE(peer.sctp);
  const auto options = peer.sctp->over(got.node.endpoints.at(0).endpoint.sctp);
  EXPECT_EQ(options.streams_out, 3);
  EXPECT_EQ(options.streams_in_max, 4);
  EXPECT_EQ(options.init_attempts_max, 5);
  EXPECT_EQ(options.init_timeout_max, 6s);
  EXPECT_EQ(options.rto_initial, 700ms);
  EXPECT_EQ(options.rto_min, 600ms);
  EXPECT_EQ(options.rto_max, 3s);
  EXPECT_EQ(options.heartbeat_interval, 9s);
  EXPECT_EQ(options.association_retransmissions_max, 11);
  EXPECT_EQ(options.path_retransmissions_max, 10);
  EXPECT_EQ(options.potentially_failed_retransmissions_max, 2);
  EXPECT_EQ(options.sack_delay, 13ms);
  EXPECT_EQ(options.dscp, 10);
  EXPECT_FALSE(options.path_mtu_discovery);
  EXPECT_EQ(options.path_mtu_bytes, 1300);
  EXPECT_FALSE(got.node.peers.at(1).peer.sctp);

  EXPECT_EQ(read(with_sctp("", R"({"name": "p", "remote_addresses": ["192.0.2.1"],
                                   "primary_address": "192.0.2.2", "sctp": {"nodelay": true}})"))
                .errors,
            "c.json:4: /peers/0/primary_address: \"192.0.2.2\" is not one of "
            "\"remote_addresses\"\n"
            "c.json:4: /peers/0/sctp/nodelay: \"nodelay\" is not a known key");
}

TEST(Config, RefusesSctpOptionsThatDoNotGoTogether) {
  const auto errors = [](std::string_view sctp) { return read(with_sctp(sctp, "")).errors; };
  const std::string where = "c.json:2: /endpoints/0/sctp/";
  EXPECT_EQ(errors(R"("rto_min_ms": 3000)"), where + "rto_min_ms: is more than \"rto_max_ms\"");
  EXPECT_EQ(errors(R"("rto_initial_ms": 200)"),
            where + "rto_initial_ms: is not between \"rto_min_ms\" and \"rto_max_ms\"");
  EXPECT_EQ(errors(R"("init_timeout_max_ms": 499)"),
            where + "init_timeout_max_ms: is less than \"rto_initial_ms\", the first wait");
  EXPECT_EQ(errors(R"("sack_delay_ms": 250)"),
            where +
                "sack_delay_ms: is not less than \"rto_min_ms\": a peer set likewise would "
                "retransmit what arrived");
  EXPECT_EQ(errors(R"("path_mtu_bytes": 1400)"),
            where + "path_mtu_bytes: has no effect: \"path_mtu_discovery\" is true");
  EXPECT_EQ(errors(R"("send_buffer_bytes": 65535)"),
            where + "send_buffer_bytes: is less than the limit \"message_bytes_max\"");
  EXPECT_EQ(errors(R"("init_timeout_max_ms": 500, "sack_delay_ms": 249, "path_mtu_discovery": false,
                      "path_mtu_bytes": 1400, "send_buffer_bytes": 65536)"),
            "");
}

TEST(Config, JudgesAPeersOwnOptionsTogetherWithItsEndpoints) {
  EXPECT_EQ(read(with_sctp(R"("rto_max_ms": 600)", R"({"name": "p", "sctp": {
    "rto_min_ms": 601}})"))
                .errors,
            "c.json:4: /peers/0/sctp/rto_min_ms: is more than \"rto_max_ms\", at endpoint \"e\"");
}

TEST(Config, RefusesWhatIsForConnectingOfAPeerThatConnectsToUs) {
  EXPECT_EQ(read(with_sctp("", R"({"name": "p", "sctp": {"streams_out": 3, "rto_max_ms": 3000,
    "init_attempts_max": 2}})"))
                .errors,
            "c.json:3: /peers/0/sctp/streams_out: has no effect: the peer has no \"connect\"\n"
            "c.json:4: /peers/0/sctp/init_attempts_max: has no effect: the peer has no "
            "\"connect\"");
}

TEST(Config, RefusesWhatWouldKeepSeveralPathsFromWorking) {
  const std::string two = R"({"name": "p", "remote_addresses": ["192.0.2.1", "198.51.100.1"]})";
  EXPECT_EQ(read(with_sctp("", two)).errors, "");
  EXPECT_EQ(read(with_sctp(R"("heartbeat_interval_ms": 0)", two)).errors,
            "c.json:3: /peers/0/remote_addresses: are 2, but \"heartbeat_interval_ms\" is 0: "
            "nothing would tell that a path works again, at endpoint \"e\"");
  EXPECT_EQ(read(with_sctp(R"("association_retransmissions_max": 9)", two)).errors,
            "c.json:3: /peers/0/remote_addresses: are 2, but \"association_retransmissions_max\" "
            "is 9, more than 2 paths together have, at endpoint \"e\"");
  EXPECT_EQ(read(with_sctp("", R"({"name": "p", "remote_addresses": ["192.0.2.1", "198.51.100.1"],
    "sctp": {"association_retransmissions_max": 4}})"))
                .errors,
            "c.json:4: /peers/0/sctp/association_retransmissions_max: is 4: the association would "
            "be lost with its first path, at endpoint \"e\"");
  EXPECT_EQ(read(with_sctp(R"("association_retransmissions_max": 9, "heartbeat_interval_ms": 0)",
                           R"({"name": "p", "remote_addresses": ["192.0.2.1"]})"))
                .errors,
            "")
      << "a single path has nothing to fail over to";
}

TEST(Config, APeersUdpPortIsThatOfItsEndpointIfItHasNone) {
  const Read got = read(with(R"(, "udp_encapsulation": {"local_port": 9899, "remote_port": 9900})",
                             R"({"name": "p", "remote_addresses": ["::1"],
                                 "connect": {"endpoint": "e"}},
                                {"name": "q", "remote_addresses": ["::1"], "remote_udp_port": 9901,
                                 "connect": {"endpoint": "e"}})"));
  EXPECT_EQ(got.errors, "");
  EXPECT_EQ(got.node.peers.at(0).peer.remote_udp_port, 9900);
  EXPECT_EQ(got.node.peers.at(1).peer.remote_udp_port, 9901);
}

TEST(Config, ComparesLimitsThatBelongTogether) {
  EXPECT_EQ(read(with(R"(, "limits": {"message_bytes_max": 70000,
    "send_queue_bytes_max": 69999}, "sctp": {
    "rto_initial_ms": 5000,
    "rto_max_ms": 4000}, "addresses": ["::1",
    "127.0.0.1"])"))
                .errors,
            "c.json:2: /endpoints/0/limits/send_queue_bytes_max: is less than "
            "\"message_bytes_max\"\n"
            "c.json:3: /endpoints/0/sctp/rto_initial_ms: is not between \"rto_min_ms\" and "
            "\"rto_max_ms\"\n"
            "c.json:4: /endpoints/0/addresses: an array is not a single address: TCP has no "
            "multi-homing");
}

}  // namespace
}  // namespace siglane::runtime
