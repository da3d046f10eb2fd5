#include "apps/hss/config.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "apps/hss/daemon.h"
#include "apps/hss/subscriber_file.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/hss/store_fixture.h"

namespace siglane::hss {
namespace {

const std::filesystem::path kSource = test::source_dir();

TEST(HssConfigTest, TheExampleConfigLoads) {
  HssDaemon daemon;
  const auto node = runtime::load_config(kSource / "config/hss.json", daemon);
  ASSERT_TRUE(node) << node.error().what;
  EXPECT_EQ(node->peers.size(), 41u);
  EXPECT_EQ(daemon.config().subscribers, kSource / "config/subscribers.json");
  EXPECT_EQ(daemon.config().database.path, kSource / "config/hss.db");
}

TEST(HssConfigTest, TheExampleSubscribersLoadIntoAStore) {
  PowerCutDisk disk(1);
  auto store = open_sqlite_store(store_on(disk));
  ASSERT_TRUE(store);
  const auto imported = import_file(kSource / "config/subscribers.json", **store);
  ASSERT_TRUE(imported) << imported.error().what;
  EXPECT_EQ(imported->subscribers, 1001u);
  EXPECT_EQ(text_of_failures("subscribers.json", *imported), "");
  EXPECT_EQ(*(*store)->subscriber_count(), 1001u);
}

Result<HssConfig> read(std::string_view text) {
  auto document = runtime::JsonDocument::parse("hss.json", text);
  if (!document) return tl::unexpected(document.error());
  runtime::ConfigReader reader(*document);
  HssConfig config = read_hss_config(reader.root());
  if (auto good = reader.finish(); !good) return tl::unexpected(good.error());
  return config;
}

TEST(HssConfigTest, HasDefaultsForEverything) {
  const auto config = read("{}");
  ASSERT_TRUE(config) << config.error().what;
  EXPECT_EQ(config->database.path, "hss.db");
  EXPECT_EQ(config->application.vectors_max, kVectorsMax);
  EXPECT_TRUE(config->subscribers.empty());
}

TEST(HssConfigTest, ReadsTheRealmsThatMayServe) {
  const auto config = read(R"({"hss": {"serving_realms": [
    {"origin_realm": "epc.example", "visited_plmns": ["00101", "310410"]}]}})");
  ASSERT_TRUE(config) << config.error().what;
  ASSERT_EQ(config->application.serving_realms.size(), 1u);
  EXPECT_EQ(config->application.serving_realms[0].origin_realm, "epc.example");
  EXPECT_EQ(config->application.serving_realms[0].visited_plmns,
            (std::vector<Plmn>{kHome, *plmn_from_digits("310410")}));

  const auto bad = read(R"({"hss": {"serving_realms": [
    {"origin_realm": "epc.example", "visited_plmns": ["1"]}]}})");
  ASSERT_FALSE(bad);
  EXPECT_EQ(
      bad.error().what.find("hss.json:2: /hss/serving_realms/0/visited_plmns/0: \"1\" is not"), 0u)
      << bad.error().what;
}

TEST(HssConfigTest, RefusesAServingRealmThatIsNoRealmOrStandsThereTwice) {
  const auto config = read(R"({"hss": {"serving_realms": [
    {"origin_realm": "epc.example", "visited_plmns": ["00101"]},
    {"origin_realm": "EPC.example", "visited_plmns": ["00102"]},
    {"origin_realm": "epc_example", "visited_plmns": ["00103"]}]}})");
  ASSERT_FALSE(config);
  EXPECT_EQ(
      config.error().what,
      "hss.json:3: /hss/serving_realms/1/origin_realm: \"EPC.example\" is not named once\n"
      "hss.json:4: /hss/serving_realms/2/origin_realm: \"epc_example\" is not a fully qualified "
      "domain name (labels of letters, digits and hyphens, with dots between)");
}

TEST(HssConfigTest, RefusesAServingRealmThatNoPeerCanSpeakFor) {
  const auto errors = [](const std::string& peer, const std::string& more = "") {
    const std::string file = ::testing::TempDir() + "siglane-serving-realms.json";
    std::ofstream(file) << R"({"node": {"name": "n"}, "endpoints": [
      {"name": "e", "module": "diameter", "transport": "tcp", "listen": true, "port": 3868}],
      "diameter": {"origin_host": "hss.example", "origin_realm": "example", "peers": [
        {"name": "p", "origin_host": "p.example")"
                        << peer << R"(}]},
      "hss": {"serving_realms": [{"origin_realm": "epc.example", "visited_plmns": ["00101"]}]})"
                        << more << "}";
    HssDaemon daemon;
    const auto node = runtime::load_config(file, daemon);
    std::filesystem::remove(file);
    return node ? "" : node.error().what.substr(file.size());
  };
  const std::string nobody =
      ":5: /hss/serving_realms/0/origin_realm: \"epc.example\" is not the \"realm\" or one of the "
      "\"routed_realms\" of a peer";
  EXPECT_EQ(errors(""), nobody);
  EXPECT_EQ(errors(R"(, "routed_realms": ["other.example"])"), nobody);
  EXPECT_EQ(errors(R"(, "realm": "EPC.example")"), "");
  EXPECT_EQ(errors(R"(, "routed_realms": ["epc.example"])"), "");
  EXPECT_EQ(errors(R"(, "routed_realms": ["*"])"), "");
}

TEST(HssConfigTest, RefusesServingRealmsWherePeersMaySayAnyRealm) {
  const auto bad = read(R"({"admission": {"accept_unknown_peers": true}, "hss": {"serving_realms": [
    {"origin_realm": "epc.example", "visited_plmns": ["00101"]}]}})");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().what.find("hss.json:1: /hss/serving_realms: cannot hold while "), 0u)
      << bad.error().what;
}

TEST(HssConfigTest, APathBeginsBesideTheConfigUnlessItIsAbsolute) {
  const auto path = [](const std::string& file, const std::string& text) {
    auto document = runtime::JsonDocument::parse(file, text);
    runtime::ConfigReader reader(*document);
    return read_hss_config(reader.root()).database.path;
  };
  EXPECT_EQ(path("/etc/siglane/hss.json", R"({"hss": {"database": "data/hss.db"}})"),
            "/etc/siglane/data/hss.db");
  EXPECT_EQ(path("/etc/siglane/hss.json", "{}"), "/etc/siglane/hss.db");
  EXPECT_EQ(path("hss.json", R"({"hss": {"database": "/var/lib/hss.db"}})"), "/var/lib/hss.db");
}

TEST(HssConfigTest, FilesWithKeysThatEverybodyMayReadAreNamedWithWhatToDo) {
  const testing::TemporaryDirectory temporary;
  const std::filesystem::path directory = temporary.path();
  const auto write = [&](const char* file, const std::string& text) {
    std::ofstream(directory / file) << text;
    std::filesystem::permissions(directory / file, std::filesystem::perms(0644));
  };
  const auto subscribers = kSource / "config/subscribers.json";
  std::filesystem::copy_file(subscribers, directory / "subscribers.json");
  std::filesystem::permissions(directory / "subscribers.json", std::filesystem::perms(0640));
  std::ifstream example(kSource / "config/hss.json");
  write("hss.json", {std::istreambuf_iterator<char>(example), {}});
  HssDaemon daemon;
  ASSERT_TRUE(runtime::load_config(directory / "hss.json", daemon));
  EXPECT_TRUE(daemon.warnings().empty()) << "the group's reading is somebody's choice";
  write("hss.db", "");
  EXPECT_EQ(daemon.warnings(), std::vector<std::string>{
                                   "database " + (directory / "hss.db").string() +
                                   " holds keys and has mode 0644, so that every user can read it: "
                                   "chmod 600 " +
                                   (directory / "hss.db").string()});
  std::filesystem::permissions(directory / "subscribers.json", std::filesystem::perms(0602));
  ASSERT_EQ(daemon.warnings().size(), 2u);
  EXPECT_NE(daemon.warnings()[1].find("mode 0602, so that every user can change it"),
            std::string::npos);
}

TEST(HssConfigTest, ReadsHowTheQueueIsShared) {
  const auto config =
      read(R"({"hss": {"store": {"queue_max": 100, "queue_bytes_max": 65536, "shares": 4}}})");
  ASSERT_TRUE(config) << config.error().what;
  const auto limits = config->store.limits();
  EXPECT_EQ(limits.all.parcels_max, 100u);
  EXPECT_EQ(limits.all.bytes_max, 65536u);
  EXPECT_EQ(limits.of_one_peer.parcels_max, 25u);
  EXPECT_EQ(limits.of_one_peer.bytes_max, 16384u);
}

TEST(HssConfigTest, RefusesWhatIsOutOfRangeOrUnknown) {
  const auto config = read(R"({"hss": {
    "vectors_max": 6,
    "store": {"queue_max": 0, "sync": "off"}
  }})");
  ASSERT_FALSE(config);
  const std::string& what = config.error().what;
  EXPECT_NE(what.find("hss.json:2: /hss/vectors_max: 6 is not"), std::string::npos) << what;
  EXPECT_NE(what.find("hss.json:3: /hss/store/queue_max: 0 is not"), std::string::npos) << what;
  EXPECT_NE(what.find("hss.json:3: /hss/store/sync"), std::string::npos) << what;
}

}  // namespace
}  // namespace siglane::hss
