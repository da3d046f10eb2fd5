#include "apps/load/config.h"

#include <filesystem>
#include <fstream>
#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/paths.h"

namespace siglane::load {
namespace {

using testing::HasSubstr;

const std::string kS6a = test::source_dir() + "/config/load-s6a.json";
const std::string kM3ua = test::source_dir() + "/config/load-m3ua.json";

// The example with one thing changed, in a file of its own.
class ChangedExample {
 public:
  ChangedExample(const std::string& example, const std::string& from, const std::string& to)
      : file_(testing::TempDir() + "siglane-load-" +
              std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".json") {
    std::ifstream in(example);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    text.replace(at, from.size(), to);
    std::ofstream(file_) << text;
  }
  ~ChangedExample() { std::filesystem::remove(file_); }
  const std::string& file() const { return file_; }

 private:
  std::string file_;
};

std::string error_of_s6a(const std::string& from, const std::string& to,
                         const Overrides& overrides = {}) {
  const ChangedExample example(kS6a, from, to);
  const auto config = load_s6a_config(example.file(), overrides);
  return config ? "no error" : config.error().what;
}
std::string error_of_m3ua(const std::string& from, const std::string& to) {
  const ChangedExample example(kM3ua, from, to);
  const auto config = load_m3ua_config(example.file(), {});
  return config ? "no error" : config.error().what;
}

TEST(LoadConfig, ReadsTheS6aExample) {
  const auto config = load_s6a_config(kS6a, {});
  ASSERT_TRUE(config.has_value()) << config.error().what;
  ASSERT_EQ(config->groups.size(), 2u);
  const GroupConfig& sporadic = config->groups[0].group;
  ASSERT_EQ(sporadic.members.size(), 40u);
  EXPECT_EQ(sporadic.members.front(), "mme01.epc.mnc001.mcc001.3gppnetwork.org");
  EXPECT_EQ(sporadic.members.back(), "mme40.epc.mnc001.mcc001.3gppnetwork.org");
  EXPECT_EQ(sporadic.pace.mode, PaceMode::open_loop);
  const GroupConfig& heavy = config->groups[1].group;
  EXPECT_EQ(heavy.members, std::vector<std::string>{"mme41.epc.mnc001.mcc001.3gppnetwork.org"});
  EXPECT_EQ(config->requests.imsis.text(0), "001010000000001");
  EXPECT_EQ(config->requests.imsis.count(), 1000u);
  EXPECT_EQ(config->requests.destination_realm, "epc.mnc001.mcc001.3gppnetwork.org");
  EXPECT_EQ(config->load.target.port, 3868);
  EXPECT_EQ(config->load.target.remote_udp_port, 9901);
  EXPECT_EQ(config->load.endpoint().udp_encapsulation_port, 9903);
}

TEST(LoadConfig, ReadsTheM3uaExample) {
  const auto config = load_m3ua_config(kM3ua, {});
  ASSERT_TRUE(config.has_value()) << config.error().what;
  ASSERT_EQ(config->asps.asps.size(), 8u);
  for (std::uint32_t n = 0; n < 8; ++n) {
    const auto& asp = config->asps.asps[n];
    EXPECT_EQ(asp.name, "asp" + std::to_string(n + 1));
    EXPECT_EQ(asp.asp_identifier, n + 1);
    EXPECT_EQ(asp.routing_contexts, std::vector<std::uint32_t>{101 + n});
    EXPECT_EQ(config->traffic.point_codes[n], 1001 + n);
  }
  EXPECT_EQ(config->load.target.port, 2905);
  EXPECT_EQ(config->load.endpoint().udp_encapsulation_port, 9904);
}

TEST(LoadConfig, TakesOverridesFromTheCommandLine) {
  Overrides overrides;
  overrides.common.transport = TransportKind::tcp;
  overrides.common.log_level = runtime::LogLevel::off;
  overrides.target = "127.0.0.9:4000";
  overrides.duration = 3s;
  overrides.connect_timeout = 700ms;
  overrides.seed = 5;
  overrides.tolerate_reconnect = true;
  const auto config = load_s6a_config(kS6a, overrides);
  ASSERT_TRUE(config.has_value()) << config.error().what;
  EXPECT_EQ(config->load.endpoint().transport, TransportKind::tcp);
  EXPECT_EQ(config->load.endpoint().udp_encapsulation_port, 0);
  EXPECT_EQ(config->load.target.remote_udp_port, 0);
  EXPECT_EQ(config->load.target.addresses, std::vector<std::string>{"127.0.0.9"});
  EXPECT_EQ(config->load.target.port, 4000);
  EXPECT_EQ(config->load.run.duration, 3s);
  EXPECT_EQ(config->load.run.warm_up, 1500ms);  // never more than half of it
  EXPECT_EQ(config->load.run.connect_timeout, 700ms);
  EXPECT_EQ(config->load.seed, 5u);
  EXPECT_TRUE(config->load.run.tolerate_reconnect);
  EXPECT_EQ(config->load.node.log.level, runtime::LogLevel::off);
  const std::string effective = runtime::to_text(config->load.node.effective);
  for (const char* shown :
       {"\"transport\": \"tcp\"", "\"level\": \"off\"", "\"remote_addresses\": [\"127.0.0.9\"]",
        "\"port\": 4000", "\"duration_ms\": 3000", "\"connect_timeout_ms\": 700", "\"seed\": 5",
        "\"tolerate_reconnect\": true"}) {
    EXPECT_THAT(effective, HasSubstr(shown));
  }
}

Overrides with_target(const std::string& text) {
  Overrides overrides;
  overrides.target = text;
  return overrides;
}

TEST(LoadConfig, UnderstandsTargetsInEveryForm) {
  auto target = [](const std::string& text) {
    return load_s6a_config(kS6a, with_target(text))->load.target;
  };
  EXPECT_EQ(target("127.0.0.2").port, 3868);
  EXPECT_EQ(target("::1").addresses.front(), "::1");
  EXPECT_EQ(target("[::1]:99").addresses.front(), "::1");
  EXPECT_EQ(target("[::1]:99").port, 99);
  for (const char* bad : {"localhost:1", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1:70000", "[::1",
                          "[::1]x", "[::1]:", "[::1]:x", "127.0.0.1:9 "}) {
    const auto config = load_s6a_config(kS6a, with_target(bad));
    ASSERT_FALSE(config.has_value()) << bad;
    EXPECT_THAT(config.error().what, HasSubstr("--target")) << bad;
  }
}

TEST(LoadConfig, NamesWhatIsWrongAndWhere) {
  EXPECT_THAT(error_of_s6a("\"seed\"", "\"sead\""), HasSubstr("/load/sead"));
  EXPECT_THAT(error_of_s6a("\"open_loop\"", "\"openloop\""), HasSubstr("/load/groups/0/mode"));
  EXPECT_THAT(error_of_s6a("\"count\": 40", "\"count\": 0"), HasSubstr("/load/groups/0/count"));
  EXPECT_THAT(error_of_s6a("mme%02u", "mme%s"), HasSubstr("/load/groups/0/origin_host"));
  EXPECT_THAT(error_of_s6a("mme%02u", "mme"), HasSubstr("/load/groups/0/origin_host"));
  EXPECT_THAT(error_of_s6a("mme41", "mme40"), HasSubstr("has \"mme40"));
  EXPECT_THAT(error_of_s6a("\"requests_per_second\": 2,", ""),
              HasSubstr("/load/groups/0/requests_per_second"));
  EXPECT_THAT(error_of_s6a("001010000000001", "00101x"), HasSubstr("/load/imsi_first"));
  EXPECT_THAT(error_of_s6a("\"00101\"", "\"1\""), HasSubstr("/load/visited_plmn"));
  EXPECT_THAT(error_of_s6a("\"air\": 6, \"ulr\": 3, \"pur\": 1", "\"air\": 0"),
              HasSubstr("/load/groups/0/mix"));
  EXPECT_THAT(error_of_s6a("\"connect\": {\"endpoint\": \"mme\"}", "\"placement\": \"auto\""),
              HasSubstr("/diameter"));
  EXPECT_THAT(error_of_m3ua("\"payload_bytes_min\": 8,", "\"payload_bytes_min\": 7,"),
              HasSubstr("/load/groups/0/payload_bytes_min"));
  EXPECT_THAT(error_of_m3ua("\"count\": 2,\n", ""),
              HasSubstr("/load/groups/1/within_group: true is not false, or a group of two ASPs"));
  EXPECT_THAT(error_of_m3ua("\"sls_count\": 16", "\"sls_count\": 257"),
              HasSubstr("/load/sls_count"));
  EXPECT_THAT(error_of_m3ua("\"point_code_first\": 1001,", ""),
              HasSubstr("/load/groups/0/point_code_first"));
}

TEST(LoadConfig, RefusesNumbersThatOverlapOrRunOut) {
  const auto at = [](const std::string& key) { return "/load/groups/1/" + key + ": "; };
  EXPECT_THAT(error_of_m3ua("\"point_code_first\": 1007", "\"point_code_first\": 1006"),
              HasSubstr(at("point_code_first") + "1006 is not free: group \"sporadic\""));
  EXPECT_THAT(error_of_m3ua("\"asp_identifier_first\": 7", "\"asp_identifier_first\": 1"),
              HasSubstr(at("asp_identifier_first") + "1 is not free: group \"sporadic\""));
  EXPECT_THAT(error_of_m3ua("\"routing_context_first\": 107", "\"routing_context_first\": 101"),
              HasSubstr(at("routing_context_first") + "101 is not free: group \"sporadic\""));
  EXPECT_THAT(error_of_m3ua("\"point_code_first\": 1001", "\"point_code_first\": 16777211"),
              HasSubstr("/load/groups/0/point_code_first: 16777211 is not at most 16777210: 6 ASPs "
                        "count up from it"));
  EXPECT_THAT(
      error_of_m3ua("\"routing_context_first\": 101", "\"routing_context_first\": 4294967295"),
      HasSubstr("/load/groups/0/routing_context_first: 4294967295 is not at most"));
  EXPECT_THAT(error_of_s6a("[\"127.0.0.1\"],", "[\"127.0.0.1\"], \"port\": 65500,"),
              HasSubstr("/endpoints: has no room for the ports of 41 peers behind 65500"));
  EXPECT_THAT(error_of_s6a("[\"127.0.0.1\"],", "[\"127.0.0.1\"], \"port\": 65495,"), "no error");
}

TEST(LoadConfig, RefusesWhatWouldBeOfNoUse) {
  EXPECT_THAT(error_of_s6a("\"window\": 32", "\"requests_per_second\": 5"),
              HasSubstr("/load/groups/1/requests_per_second: has no effect: a closed loop"));
  EXPECT_THAT(error_of_s6a("\"name\": \"heavy\"", "\"name\": \"sporadic\""),
              HasSubstr("/load/groups/1/name: \"sporadic\" is not a name of its own"));
  EXPECT_THAT(
      error_of_s6a("\"origin_host\": \"mme41", "\"origin_host\": \"hss01"),
      HasSubstr("/load/groups/1/origin_host: \"hss01.epc.mnc001.mcc001.3gppnetwork.org\" is "
                "not another host than the target's"));
  EXPECT_THAT(error_of_s6a("\"seed\": 1", "\"destination_realm\": \"a b\""),
              HasSubstr("/load/destination_realm: \"a b\" is not a fully qualified domain name"));
  EXPECT_THAT(error_of_s6a("\"seed\": 1", "\"destination_host\": \"hss_1\""),
              HasSubstr("/load/destination_host: \"hss_1\" is not a fully qualified domain name"));
}

TEST(LoadConfig, ChecksIdentitiesAsTheTargetCompares) {
  EXPECT_THAT(error_of_s6a("\"mme41", "\"MME07"),
              testing::AnyOf(HasSubstr("/load/groups: has \"MME07"),
                             HasSubstr("/load/groups: has \"mme07")));
  EXPECT_THAT(
      error_of_s6a("\"mme41", "\"HSS01"),
      HasSubstr("/load/groups/1/origin_host: \"HSS01.epc.mnc001.mcc001.3gppnetwork.org\" is "
                "not another host than the target's"));
  EXPECT_THAT(
      error_of_s6a("\"mme%02u.", "\"mme_%02u."),
      HasSubstr("/load/groups/0/origin_host: \"mme_%02u.epc.mnc001.mcc001.3gppnetwork.org\" "
                "is not a fully qualified domain name"));
}

TEST(LoadConfig, LooksAtTheCertificatesThatItWillNeed) {
  EXPECT_THAT(error_of_s6a(R"("transport": "sctp",)",
                           R"("transport": "sctp", "tls": {"certificate": "/no/such.crt",
                              "key": "/no/such.key", "ca": "/no/such.ca"},)"),
              HasSubstr(": endpoint \"mme\": certificate file /no/such.crt: No such file"));
}

TEST(LoadConfig, ARangeOfImsisStaysInItsNetwork) {
  EXPECT_THAT(error_of_s6a("\"001010000000001\"", "\"001019999999000\""), "no error");
  EXPECT_THAT(
      error_of_s6a("\"001010000000001\"", "\"001019999999001\""),
      HasSubstr("/load/imsi_first: \"001019999999001\" is not an IMSI (6 to 15 digits) with "
                "999 more of its network behind it"));
  EXPECT_THAT(error_of_s6a("\"imsi_first\": \"001010000000001\",\n    \"imsi_count\": 1000",
                           "\"imsi_first\": \"00101\", \"imsi_count\": 1"),
              HasSubstr("/load/imsi_first: \"00101\" is not an IMSI"));
}

TEST(LoadConfig, ChecksTheTransportOfTheCommandLine) {
  const std::string udp = "\"udp_encapsulation\": {\"local_port\": 9903}";
  Overrides overrides;
  overrides.common.transport = TransportKind::usrsctp;
  EXPECT_THAT(error_of_s6a(udp, "\"listen\": false", overrides), HasSubstr("remote_udp_port"));
  overrides.common.transport = TransportKind::tcp;
  EXPECT_THAT(error_of_s6a("[\"127.0.0.1\"],\n      " + udp,
                           "[\"127.0.0.1\", \"::1\"],\n      " + udp, overrides),
              HasSubstr("endpoint \"mme\" over tcp can have a single address"));
}

// Is one of the readers known to take this key, in place of the text?
bool somebody_takes(const std::string& key, const std::string& place) {
  const std::string unknown = "\"" + key + "\" is not a known key";
  const std::string text = "\"" + key + "\": \"?\", " + place;
  return error_of_s6a(place, text).find(unknown) == std::string::npos ||
         error_of_m3ua(place, text).find(unknown) == std::string::npos;
}

TEST(LoadConfig, TakesEveryKeyThatTheSchemaLists) {
  std::ifstream in(test::source_dir() + "/config/schema.json");
  const nlohmann::json load = nlohmann::json::parse(in)["properties"]["load"]["properties"];
  for (const auto& [key, schema] : load.items()) {
    EXPECT_TRUE(somebody_takes(key, "\"duration_ms\": 20000")) << key;
  }
  for (const auto& [key, schema] : load["groups"]["items"]["properties"].items()) {
    EXPECT_TRUE(somebody_takes(key, "\"name\": \"sporadic\"")) << key;
  }
  EXPECT_FALSE(somebody_takes("nonsense", "\"name\": \"sporadic\""));
}

TEST(LoadConfig, TheSchemaListsEveryKeyOfTheExamples) {
  std::ifstream in(test::source_dir() + "/config/schema.json");
  const nlohmann::json schema = nlohmann::json::parse(in)["properties"]["load"]["properties"];
  for (const std::string& file : {kS6a, kM3ua}) {
    std::ifstream example(file);
    const nlohmann::json load = nlohmann::json::parse(example)["load"];
    for (const auto& [key, value] : load.items()) EXPECT_TRUE(schema.contains(key)) << key;
    for (const auto& group : load["groups"]) {
      for (const auto& [key, value] : group.items()) {
        EXPECT_TRUE(schema["groups"]["items"]["properties"].contains(key)) << key;
      }
    }
  }
}

TEST(LoadConfig, SaysWhereAFileIsMissing) {
  const auto config = load_s6a_config("/no/such/file.json", {});
  ASSERT_FALSE(config.has_value());
  EXPECT_THAT(config.error().what, HasSubstr("/no/such/file.json"));
}

TEST(Numbered, FillsInTheNumber) {
  EXPECT_EQ(numbered("mme%02u.x", 7), "mme07.x");
  EXPECT_EQ(numbered("mme%02u.x", 107), "mme107.x");
  EXPECT_EQ(numbered("%u", 0), "0");
  EXPECT_EQ(numbered("plain", 7), "plain");
  for (const char* bad : {"%", "%s", "%2u", "%0u", "%u%u", "%%u", "%02", "a%n"}) {
    EXPECT_EQ(numbered(bad, 7), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace siglane::load
