#include <string>
#include <string_view>
#include <type_traits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/runtime/diameter_config.h"
#include "apps/runtime/m3ua_config.h"

namespace siglane::runtime {
namespace {

using testing::ElementsAre;

// The section of a test begins at line 4.
constexpr std::string_view kHead = R"({"node": {"name": "n"}, "endpoints": [
  {"name": "e", "module": "diameter", "transport": "tls", "listen": true, "port": 5658, "tls": {"certificate": "c", "key": "k", "ca": "a"}},
  {"name": "x", "module": "m3ua", "transport": "tcp", "listen": true, "port": 2905}],)";
constexpr std::string_view kNoDomainName =
    "is not a fully qualified domain name (labels of letters, digits and hyphens, with dots "
    "between)";

template <class Config>
struct Read {
  NodeConfig node;
  Config config;
  std::string errors;
};

template <class ReadConfig>
auto read(const std::string& section, ReadConfig read_config) {
  Read<std::invoke_result_t<ReadConfig, const ObjectReader&, NodeConfig&>> read;
  auto document = JsonDocument::parse("c.json", std::string(kHead) + "\n" + section + "}");
  if (!document) {
    read.errors = document.error().what;
    return read;
  }
  ConfigReader reader(*document);
  read.node = read_node_config(reader.root(), {"diameter", "m3ua"});
  read.config = read_config(reader.root(), read.node);
  if (auto good = reader.finish(); !good) read.errors = good.error().what;
  return read;
}

auto read_diameter(const std::string& section, const std::string& realm_in_force = {}) {
  return read(section, [&](const ObjectReader& root, NodeConfig& node) {
    return read_diameter_config(root, node, realm_in_force);
  });
}
auto read_m3ua(const std::string& section) {
  return read(section, read_m3ua_config);
}

TEST(DiameterConfigReader, TakesThePeersRealmFromTheNodeThatRuns) {
  const std::string section = R"("diameter": {
    "origin_host": "hss.example.org", "origin_realm": "new.org",
    "peers": [{"name": "mme", "origin_host": "mme.example.org"},
              {"name": "mme2", "origin_host": "mme2.example.org", "realm": "own.org"}]})";
  const auto at_start = read_diameter(section), at_reload = read_diameter(section, "old.org");
  EXPECT_EQ(at_start.config.peers.at(0).realm, "new.org");
  EXPECT_EQ(at_reload.config.origin_realm, "new.org");
  EXPECT_EQ(at_reload.config.peers.at(0).realm, "old.org");
  EXPECT_EQ(at_reload.config.peers.at(1).realm, "own.org");
}

TEST(DiameterConfigReader, ReadsEveryKey) {
  const auto got = read_diameter(R"("diameter": {
    "origin_host": "hss.example.org", "origin_realm": "example.org", "product_name": "x",
    "vendor_id": 10415, "firmware_revision": 7, "host_ip_addresses": ["10.0.0.1"], "relay": true,
    "watchdog_ms": 6000, "capabilities_timeout_ms": 101, "disconnect_timeout_ms": 102,
    "disconnect_holdoff_ms": 60000, "request_timeout_ms": 103,
    "limits": {"pending_max": 1, "message_bytes_max": 300, "avp_depth_max": 3},
    "peers": [{"name": "mme", "origin_host": "mme.example.org", "realm": "other.org",
               "routed_realms": ["a", "b"], "remote_addresses": ["10.0.0.2"],
               "connections_max": 4, "connect": {"endpoint": "e"}},
              {"name": "mme2", "origin_host": "mme2.example.org"}]})");
  EXPECT_EQ(got.errors, "");
  const diameter::DiameterConfig& config = got.config;
  EXPECT_EQ(config.origin_host, "hss.example.org");
  EXPECT_EQ(config.origin_realm, "example.org");
  EXPECT_EQ(config.product_name, "x");
  EXPECT_EQ(config.vendor_id, 10415u);
  EXPECT_EQ(config.firmware_revision, 7u);
  EXPECT_THAT(config.host_ip_addresses, ElementsAre("10.0.0.1"));
  EXPECT_TRUE(config.relay);
  EXPECT_EQ(config.watchdog_interval, 6s);
  EXPECT_EQ(config.capabilities_timeout, 101ms);
  EXPECT_EQ(config.disconnect_timeout, 102ms);
  EXPECT_EQ(config.disconnect_holdoff, 1min);
  EXPECT_EQ(config.request_timeout, 103ms);
  EXPECT_EQ(config.limits.pending_max, 1u);
  EXPECT_EQ(config.limits.message_bytes_max, 300u);
  EXPECT_EQ(config.limits.avp_depth_max, 3u);
  EXPECT_GT(config.origin_state_id, 1'700'000'000u);
  ASSERT_EQ(config.peers.size(), 2u);
  EXPECT_EQ(config.peers[0].name, "mme");
  EXPECT_EQ(config.peers[0].origin_host, "mme.example.org");
  EXPECT_EQ(config.peers[0].realm, "other.org");
  EXPECT_THAT(config.peers[0].routed_realms, ElementsAre("a", "b"));
  EXPECT_EQ(config.peers[0].connections_max, 4u);
  EXPECT_EQ(got.node.peer("mme")->peer.connections_max, 4u);
  EXPECT_EQ(config.peers[1].connections_max, 1u);
  EXPECT_EQ(config.peers[1].realm, "example.org");
  EXPECT_EQ(got.node.peer("mme")->connect_from, "e");
  EXPECT_EQ(got.node.peer("mme")->module, "diameter");
  EXPECT_EQ(got.node.peer("mme2")->peer.port, 3868);
}

TEST(DiameterConfigReader, ExpectsTheOriginHostInACertificateUnlessToldOtherwise) {
  const auto got = read_diameter(R"("diameter": {
    "origin_host": "hss.example.org", "origin_realm": "example.org",
    "peers": [{"name": "mme", "origin_host": "mme.example.org"},
              {"name": "mme2", "origin_host": "mme2.example.org",
               "tls": {"identity": "pool.example.org"}}]})");
  EXPECT_EQ(got.errors, "");
  EXPECT_EQ(got.node.peer("mme")->peer.identity(), "mme.example.org");
  EXPECT_EQ(got.node.peer("mme2")->peer.identity(), "pool.example.org");
}

TEST(DiameterConfigReader, RefusesIdentitiesThatAreTakenOrNone) {
  EXPECT_EQ(
      read_diameter(R"("diameter": {"origin_host": "a.org", "origin_realm": "b c", "peers": [
    {"name": "p1", "origin_host": "A.org"},
    {"name": "p2", "origin_host": "m.org"},
    {"name": "p3", "origin_host": "M.ORG"}]})")
          .errors,
      "c.json:4: /diameter/origin_realm: \"b c\" " + std::string(kNoDomainName) +
          "\n"
          "c.json:5: /diameter/peers/0/origin_host: \"A.org\" is not another host than this "
          "node's own\n"
          "c.json:7: /diameter/peers/2/origin_host: \"M.ORG\" is not free: peer \"p2\" has it");
}

TEST(DiameterConfigReader, RefusesRealmsThatAreNoDomainNames) {
  EXPECT_EQ(read_diameter(R"("diameter": {"origin_host": "a.org", "origin_realm": "org", "peers": [
    {"name": "p", "origin_host": "m.org", "realm": "", "routed_realms": ["*", "x y"]}]})")
                .errors,
            "c.json:5: /diameter/peers/0/realm: \"\" " + std::string(kNoDomainName) +
                "\n"
                "c.json:5: /diameter/peers/0/routed_realms/1: \"x y\" is not \"*\" or " +
                std::string(kNoDomainName.substr(7)));
}

std::string errors_of_diameter(const std::string& section) {
  return read_diameter(R"("diameter": {"origin_host": "hss.org", "origin_realm": "org",)" +
                       section + "}")
      .errors;
}

TEST(DiameterConfigReader, RefusesIdentitiesThatOnlyLookLikeOnes) {
  for (const std::string bad : {"10.0.0.1", "mme_1.org", "mme..org", "-mme.org", "mme.org.", "*",
                                "mme.org:3868", "aaa://mme.org"}) {
    EXPECT_EQ(
        errors_of_diameter(R"("peers": [{"name": "p", "origin_host": ")" + bad + "\"}]"),
        "c.json:4: /diameter/peers/0/origin_host: \"" + bad + "\" " + std::string(kNoDomainName));
  }
}

TEST(DiameterConfigReader, RefusesARealmThatIsRoutedTwice) {
  EXPECT_EQ(errors_of_diameter(R"("peers": [{"name": "p", "origin_host": "dra.org",
    "routed_realms": ["a.org", "b.org", "A.ORG"]}])"),
            "c.json:5: /diameter/peers/0/routed_realms/2: \"A.ORG\" is not named once");
}

TEST(DiameterConfigReader, RefusesANodeThatNobodyMayTalkTo) {
  const std::string nobody =
      "c.json:4: /diameter/peers: missing; expected one peer or more: nobody else is admitted";
  EXPECT_EQ(errors_of_diameter(R"("relay": false)"), nobody);
  EXPECT_EQ(errors_of_diameter(R"("peers": [])"), nobody);
  EXPECT_EQ(errors_of_diameter(R"("peers": []}, "admission": {"accept_unknown_peers": true)"), "");
}

TEST(DiameterConfigReader, RefusesARelayThatHasNobodyToRelayTo) {
  const std::string one = R"("relay": true, "peers": [{"name": "p", "origin_host": "a.org"})";
  EXPECT_EQ(errors_of_diameter(one + "]"),
            "c.json:4: /diameter/relay: is true, and there is one peer only: nobody to relay its "
            "requests to");
  EXPECT_EQ(errors_of_diameter(one + R"(, {"name": "q", "origin_host": "b.org"}])"), "");
}

TEST(DiameterConfigReader, RefusesMessagesThatTheEndpointWouldNotTake) {
  EXPECT_EQ(errors_of_diameter(R"("limits": {"message_bytes_max": 65537},
    "peers": [{"name": "p", "origin_host": "a.org"}])"),
            "c.json:4: /diameter/limits/message_bytes_max: is 65537, and endpoint \"e\" closes an "
            "association at 65536 bytes: raise its \"limits.message_bytes_max\" too, or lower "
            "this");
}

TEST(DiameterConfigReader, RefusesATimeoutThatAnotherEndsFirst) {
  const std::string peers = R"("peers": [{"name": "p", "origin_host": "a.org"}])";
  EXPECT_EQ(errors_of_diameter(R"("capabilities_timeout_ms": 10001, )" + peers),
            "c.json:4: /diameter/capabilities_timeout_ms: has no effect: "
            "\"admission.identification_timeout_ms\" ends it after 10000 ms");
  EXPECT_EQ(errors_of_diameter(R"("capabilities_timeout_ms": 10000, )" + peers), "");
  EXPECT_EQ(errors_of_diameter(peers + R"(}, "admission": {"identification_timeout_ms": 500)"), "")
      << "a default that is longer is no mistake";
}

TEST(DiameterConfigReader, RefusesHostAddressesThatNoHostHas) {
  EXPECT_EQ(errors_of_diameter(R"("host_ip_addresses": ["10.0.0.1", "0.0.0.0", "ff02::1"],
    "peers": [{"name": "p", "origin_host": "a.org"}])"),
            "c.json:4: /diameter/host_ip_addresses/1: \"0.0.0.0\" is not the address of a host\n"
            "c.json:4: /diameter/host_ip_addresses/2: \"ff02::1\" is not the address of a host");
}

TEST(DiameterConfigReader, ConnectsFromItsOwnEndpointsOnly) {
  EXPECT_EQ(read_diameter(R"("diameter": {"origin_host": "a.org", "origin_realm": "org", "peers": [
    {"name": "p1", "origin_host": "m.org", "remote_addresses": ["::1"],
     "connect": {"endpoint": "x"}}]})")
                .errors,
            "c.json:6: /diameter/peers/0/connect/endpoint: \"x\" is not an endpoint of the module "
            "\"diameter\"");
}

TEST(M3uaConfigReader, ReadsEveryKey) {
  const auto got = read_m3ua(R"("m3ua": {
    "networks": [{"network_appearance": 5, "point_code_bits": 14}, {"point_code_bits": 16}],
    "asps": [{"name": "asp1", "asp_identifier": 7}, {"name": "asp2", "asp_identifier": 8}],
    "application_servers": [{"name": "as", "routing_context": 100, "network_appearance": 5,
      "traffic_mode": "broadcast", "asps": ["asp1", "asp2"], "active_asps_min": 2,
      "recovery_timeout_ms": 10, "pending_messages_max": 3, "pending_bytes_max": 4}],
    "routes": [{"dpc": 16777215, "network_appearance": 6, "service_indicators": [3, 5],
                "opcs": [1], "as": "as"}],
    "heartbeat_interval_ms": 11, "single_stream_allowed": true,
    "destination_report_interval_ms": 12, "drain_messages_per_ms_max": 13})");
  EXPECT_EQ(got.errors, "");
  const m3ua::M3uaConfig& config = got.config;
  ASSERT_EQ(config.networks.size(), 2u);
  EXPECT_EQ(config.networks[0].network_appearance, 5u);
  EXPECT_EQ(config.networks[0].point_code_bits, 14u);
  EXPECT_EQ(config.networks[1].network_appearance, std::nullopt);
  EXPECT_EQ(config.networks[1].point_code_bits, 16u);
  ASSERT_EQ(config.asps.size(), 2u);
  EXPECT_EQ(config.asps[1].name, "asp2");
  EXPECT_EQ(config.asps[1].asp_identifier, 8u);
  ASSERT_EQ(config.application_servers.size(), 1u);
  const auto& as = config.application_servers[0];
  EXPECT_EQ(as.name, "as");
  EXPECT_EQ(as.routing_context, 100u);
  EXPECT_EQ(as.network_appearance, 5u);
  EXPECT_EQ(as.traffic_mode, m3ua::TrafficMode::broadcast);
  EXPECT_THAT(as.asps, ElementsAre("asp1", "asp2"));
  EXPECT_EQ(as.active_asps_min, 2u);
  EXPECT_EQ(as.recovery_timeout, 10ms);
  EXPECT_EQ(as.pending_messages_max, 3u);
  EXPECT_EQ(as.pending_bytes_max, 4u);
  ASSERT_EQ(config.routes.size(), 1u);
  EXPECT_EQ(config.routes[0].destination_point_code, 0xffffffu);
  EXPECT_EQ(config.routes[0].network_appearance, 6u);
  EXPECT_THAT(config.routes[0].service_indicators, ElementsAre(3, 5));
  EXPECT_THAT(config.routes[0].originating_point_codes, ElementsAre(1));
  EXPECT_EQ(config.routes[0].application_server, "as");
  EXPECT_EQ(config.heartbeat_interval, 11ms);
  EXPECT_TRUE(config.single_stream_allowed);
  EXPECT_EQ(config.destination_report_interval, 12ms);
  EXPECT_EQ(config.drain_messages_per_ms_max, 13u);
  EXPECT_EQ(got.node.peer("asp1")->peer.port, 2905);
}

TEST(M3uaConfigReader, RefusesAspsThatNothingTellsApart) {
  const auto errors = [](const std::string& more) {
    return read_m3ua(R"("m3ua": {"asps": [
      {"name": "a", "remote_addresses": ["10.0.0.1", "10.0.0.2"]},
      {"name": "b", "remote_addresses": ["10.0.0.2"])" +
                     more + "}]}")
        .errors;
  };
  EXPECT_EQ(errors(""),
            "c.json:6: /m3ua/asps/1/asp_identifier: is missing: ASP \"a\" has the address 10.0.0.2 "
            "and the port 2905 too, and no ASP identifier either, so nothing tells them apart");
  EXPECT_EQ(errors(R"(, "asp_identifier": 2)"), "") << "who has none is the other";
  EXPECT_EQ(errors(R"(, "port": 2906)"), "");
}

// One SCTP endpoint, one ASP that we connect to.
std::string errors_of_streams(const std::string& endpoint, const std::string& sctp,
                              const std::string& asp, const std::string& m3ua = "") {
  auto document =
      JsonDocument::parse("c.json", R"({"node": {"name": "n"}, "endpoints": [
    {"name": "e", "module": "m3ua", )" + endpoint +
                                        R"("sctp": {)" + sctp + R"(}}],
    "m3ua": {"asps": [{"name": "a", "remote_addresses": ["10.0.0.1"], "sctp": {)" +
                                        asp + R"(}, "connect": {"endpoint": "e"}}])" + m3ua + "}}");
  ConfigReader reader(*document);
  NodeConfig node = read_node_config(reader.root(), {"m3ua"});
  read_m3ua_config(reader.root(), node);
  const auto good = reader.finish();
  return good ? "" : good.error().what;
}

TEST(M3uaConfigReader, RefusesASingleStreamWhereNoAspCouldComeUpOverIt) {
  const std::string where = "c.json:3: /m3ua/single_stream_allowed: is false, and ";
  const std::string asp =
      where + "ASP \"a\" is connected to with a single stream: it would be refused";
  const std::string listening = R"("listen": true, "port": 2905, )";
  EXPECT_EQ(errors_of_streams("", R"("streams_out": 1)", ""), asp);
  EXPECT_EQ(errors_of_streams("", "", R"("streams_in_max": 1)"), asp);
  EXPECT_EQ(errors_of_streams("", R"("streams_out": 1)", R"("streams_out": 2)"), "")
      << "nobody connects to the endpoint";
  EXPECT_EQ(errors_of_streams(listening, R"("streams_out": 1)", R"("streams_out": 2)"),
            where +
                "endpoint \"e\" has a single stream: every ASP that connects there would be "
                "refused");
  EXPECT_EQ(
      errors_of_streams(listening, R"("streams_out": 1)", "", R"(, "single_stream_allowed": true)"),
      "");
  EXPECT_EQ(errors_of_streams(R"("transport": "tcp", "listen": true, "port": 2905, )",
                              R"("streams_out": 1)", ""),
            "")
      << "TCP has no streams";
}

TEST(M3uaConfigReader, HasOneActiveAspInOverrideMode) {
  EXPECT_EQ(read_m3ua(R"("m3ua": {"asps": [
    {"name": "a", "asp_identifier": 1}, {"name": "b", "asp_identifier": 2}],
   "application_servers": [{"name": "as", "routing_context": 1, "asps": ["a", "b"],
    "traffic_mode": "override", "active_asps_min": 2}]})")
                .errors,
            "c.json:7: /m3ua/application_servers/0/active_asps_min: 2 is not 1: in override mode "
            "one ASP is active");
}

TEST(M3uaConfigReader, RefusesANetworkTwiceOrOfAWidthThatNoNetworkHas) {
  EXPECT_EQ(read_m3ua(R"("m3ua": {"networks": [
    {"network_appearance": 7, "point_code_bits": 14},
    {"point_code_bits": 15},
    {"point_code_bits": 16},
    {"network_appearance": 7, "point_code_bits": 24}]})")
                .errors,
            "c.json:6: /m3ua/networks/1/point_code_bits: 15 is not 14, 16 or 24\n"
            "c.json:7: /m3ua/networks/2/network_appearance: is missing; the network without one, "
            "the default network, is there already\n"
            "c.json:8: /m3ua/networks/3/network_appearance: 7 is not free: another network has it");
}

TEST(M3uaConfigReader, RefusesAPointCodeThatIsWiderThanItsNetwork) {
  EXPECT_EQ(read_m3ua(R"("m3ua": {
   "networks": [{"network_appearance": 7, "point_code_bits": 14},
                {"network_appearance": 8, "point_code_bits": 16}],
   "asps": [{"name": "a", "asp_identifier": 1}],
   "application_servers": [
    {"name": "as7", "routing_context": 1, "network_appearance": 7, "asps": ["a"]},
    {"name": "as8", "routing_context": 2, "network_appearance": 8, "asps": ["a"]}],
   "routes": [
    {"dpc": 16383, "network_appearance": 7, "as": "as7"},
    {"dpc": 16384, "network_appearance": 7, "as": "as7"},
    {"dpc": 1, "network_appearance": 7, "opcs": [1, 16384], "as": "as7"},
    {"dpc": 65535, "as": "as7"},
    {"dpc": 65536, "as": "as7"}]})")
                .errors,
            "c.json:13: /m3ua/routes/1/dpc: 16384 is not a point code of at most 14 bits (network "
            "appearance 7)\n"
            "c.json:14: /m3ua/routes/2/opcs/1: 16384 is not a point code of at most 14 bits "
            "(network appearance 7)\n"
            "c.json:16: /m3ua/routes/4/dpc: 65536 is not a point code of at most 16 bits (the "
            "widest network of an application server)");
}

TEST(M3uaConfigReader, RefusesWhatDoesNotFitTogether) {
  EXPECT_EQ(read_m3ua(R"("m3ua": {"asps": [
    {"name": "a", "asp_identifier": 1},
    {"name": "b", "asp_identifier": 1},
    {"name": "c"}],
   "application_servers": [
    {"name": "as", "routing_context": 1, "asps": ["a"], "active_asps_min": 2},
    {"name": "as", "routing_context": 1, "asps": ["z"]},
    {"name": "as3", "routing_context": 3, "asps": ["a", "a"]}],
   "routes": [
    {"dpc": 16777216, "as": "nowhere"}]})")
                .errors,
            "c.json:6: /m3ua/asps/1/asp_identifier: 1 is not free: ASP \"a\" has it\n"
            "c.json:7: /m3ua/asps/2/asp_identifier: is missing: without \"remote_addresses\" "
            "nothing else tells who it is\n"
            "c.json:9: /m3ua/application_servers/0/active_asps_min: 2 is not a whole number from 1 "
            "to 1\n"
            "c.json:10: /m3ua/application_servers/1/name: \"as\" is not a name of its own\n"
            "c.json:10: /m3ua/application_servers/1/routing_context: 1 is not free: AS \"as\" has "
            "it\n"
            "c.json:10: /m3ua/application_servers/1/asps/0: \"z\" is not the name of an ASP\n"
            "c.json:11: /m3ua/application_servers/2/asps/0: \"a\" is not named once\n"
            "c.json:11: /m3ua/application_servers/2/asps/1: \"a\" is not named once\n"
            "c.json:13: /m3ua/routes/0/dpc: 16777216 is not a whole number from 0 to 16777215\n"
            "c.json:13: /m3ua/routes/0/as: \"nowhere\" is not the name of an application server");
}

}  // namespace
}  // namespace siglane::runtime
