#include "apps/runtime/endpoint_checks.h"

#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

struct Read {
  NodeConfig node;
  std::string errors;
};

Read read(const std::string& endpoints, const std::string& peers = "") {
  Read read;
  auto document = JsonDocument::parse("c.json", "{\"node\": {\"name\": \"n\"}, \"endpoints\": [\n" +
                                                    endpoints + "],\n\"peers\": [" + peers + "]}");
  ConfigReader reader(*document);
  read.node = read_node_config(reader.root(), {"echo"});
  for (const ObjectReader& peer : reader.root().objects("peers")) {
    read_peer(peer, "echo", 7, read.node);
  }
  check_endpoints_used(reader.root(), read.node);
  if (auto good = reader.finish(); !good) read.errors = good.error().what;
  return read;
}

std::string endpoint(const std::string& name, const std::string& more) {
  return R"({"name": ")" + name + R"(", "module": "echo", "listen": true, )" + more + "}";
}

// On lines 2 and 3.
std::string two(const std::string& a, const std::string& b) {
  return endpoint("a", R"("port": 1, )" + a) + ",\n" + endpoint("b", R"("port": 2, )" + b);
}

std::string udp(const std::string& transport, int port) {
  return R"("transport": ")" + transport + R"(", "udp_encapsulation": {"local_port": )" +
         std::to_string(port) + "}";
}

TEST(EndpointChecks, TheKernelHasOneUdpPortForAllSctp) {
  EXPECT_EQ(read(two(udp("kernel-sctp", 9899), udp("kernel-sctp", 9898))).errors,
            "c.json:3: /endpoints/1/udp_encapsulation/local_port: 9898 is not 9899: the kernel has "
            "one UDP port for all SCTP, and endpoint \"a\" has that");
  EXPECT_EQ(read(two(udp("kernel-sctp", 9899), udp("kernel-sctp", 9899))).errors, "");
  EXPECT_EQ(read(two(udp("usrsctp", 9899), udp("usrsctp", 9898))).errors, "");
}

TEST(EndpointChecks, KernelAndUserlandDoNotShareAUdpPort) {
  EXPECT_EQ(read(two(udp("kernel-sctp", 9899), udp("usrsctp", 9899))).errors,
            "c.json:3: /endpoints/1/udp_encapsulation/local_port: 9899 is not free: endpoint \"a\" "
            "has it, over kernel-sctp");
  EXPECT_EQ(read(two(udp("kernel-sctp", 9899), udp("usrsctp", 9898))).errors, "");
}

TEST(EndpointChecks, UserlandEndpointsShareAUdpPortOnTheSameAddressesOnly) {
  const std::string one = R"(, "addresses": ["127.0.0.1"])";
  EXPECT_EQ(read(two(udp("usrsctp", 9899), udp("usrsctp", 9899))).errors, "");
  EXPECT_EQ(read(two(udp("usrsctp", 9899) + one, udp("usrsctp", 9899) + one)).errors, "");
  EXPECT_EQ(read(two(udp("usrsctp", 9899), udp("usrsctp", 9899) + one)).errors,
            "c.json:3: /endpoints/1/udp_encapsulation/local_port: 9899 is not free: endpoint \"a\" "
            "has it on every address");
}

TEST(EndpointChecks, UdpPortsAreCheckedAgainWhenTheTransportHasChanged) {
  NodeConfig node = read(two(udp("usrsctp", 9899), udp("usrsctp", 9898))).node;
  EXPECT_TRUE(check_endpoints(node));
  for (NodeEndpoint& one : node.endpoints) one.endpoint.transport = TransportKind::kernel_sctp;
  ASSERT_FALSE(check_endpoints(node));
  EXPECT_EQ(check_endpoints(node).error().what,
            "endpoint \"a\" over kernel-sctp cannot have the UDP port 9899 beside endpoint \"b\", "
            "which has 9898");
}

TEST(EndpointChecks, EveryAddressCollidesWithEachOfItsFamily) {
  const auto errors = [](const std::string& a, const std::string& b) {
    const std::string tcp = R"("transport": "tcp", "port": 7, "addresses": [)";
    return read(endpoint("a", tcp + a + "]") + ",\n" + endpoint("b", tcp + b + "]")).errors;
  };
  const std::string taken = "c.json:3: /endpoints/1/port: 7 is not free: endpoint \"a\" has it";
  EXPECT_EQ(errors(R"("0.0.0.0")", R"("10.0.0.1")"), taken);
  EXPECT_EQ(errors(R"("2001:db8::1")", R"("::")"), taken);
  EXPECT_EQ(errors("", R"("10.0.0.1")"), taken);
  EXPECT_EQ(errors(R"("::")", R"("10.0.0.1")"), "");
}

TEST(EndpointChecks, EveryAddressStandsAloneAndNoEndpointIsOnMany) {
  const auto errors = [](const std::string& addresses) {
    return read(endpoint("a", R"("port": 1, "addresses": [)" + addresses + "]")).errors;
  };
  EXPECT_EQ(errors(R"("10.0.0.1", "0.0.0.0")"),
            "c.json:2: /endpoints/0/addresses/1: \"0.0.0.0\" is not beside others: it stands for "
            "all of them");
  EXPECT_EQ(errors(R"("239.0.0.1")"),
            "c.json:2: /endpoints/0/addresses/0: \"239.0.0.1\" is not the address of a host");
  EXPECT_EQ(errors(R"("0.0.0.0", "::")"), "") << "every address of both families";
}

TEST(EndpointChecks, AnEndpointThatNobodyCanUseIsAMistake) {
  const std::string idle = R"({"name": "a", "module": "echo", "transport": "tcp"})";
  EXPECT_EQ(read(idle).errors,
            "c.json:2: /endpoints/0/listen: is not true, and no peer has this endpoint in its "
            "\"connect\": nobody can use it");
  EXPECT_EQ(read(idle, R"({"name": "p", "remote_addresses": ["10.0.0.1"],
                           "connect": {"endpoint": "a"}})")
                .errors,
            "");
}

}  // namespace
}  // namespace siglane::runtime
