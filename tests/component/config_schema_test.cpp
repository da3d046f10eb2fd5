// config/schema.json says what the readers do: the same keys, the same bounds, the same required
// ones; and the examples are good by both.
#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "apps/hss/config.h"
#include "apps/hss/subscriber_file.h"
#include "apps/runtime/diameter_config.h"
#include "apps/runtime/m3ua_config.h"
#include "tests/support/paths.h"

namespace siglane::runtime {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

const std::filesystem::path kConfigs = std::filesystem::path(test::source_dir()) / "config";

Json parse_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  return Json::parse(in);
}

struct Outcome {
  std::set<std::string> keys;
  std::string errors;
};

// Every reader over one config.
Outcome read(const Json& config) {
  auto document = JsonDocument::parse("c", config.dump());
  if (!document) return {{}, document.error().what};
  ConfigReader reader(*document);
  NodeConfig node = read_node_config(reader.root(), {"diameter", "m3ua"});
  read_diameter_config(reader.root(), node);
  read_m3ua_config(reader.root(), node);
  hss::read_hss_config(reader.root());
  Outcome outcome{reader.known_keys(), {}};
  if (auto good = reader.finish(); !good) outcome.errors = good.error().what;
  return outcome;
}

// A place in the schema, and the place of its values in the config that sample() makes.
struct Place {
  std::string pattern;        // "/endpoints/*/port"
  Json::json_pointer sample;  // "/endpoints/0/port"
  const Json* schema;
  bool required;
};

void collect(const Json& schema, const std::string& pattern, const std::string& sample,
             std::vector<Place>& places) {
  if (schema.contains("items")) {
    return collect(schema["items"], pattern + "/*", sample + "/0", places);
  }
  if (!schema.contains("properties")) return;
  EXPECT_EQ(schema.value("additionalProperties", true), false) << pattern;
  const Json required = schema.value("required", Json::array());
  for (const auto& [key, property] : schema["properties"].items()) {
    // The load tool's own business, and that of whoever loads the file.
    if (pattern.empty() && (key == "load" || key == "include")) continue;
    places.push_back({pattern + "/" + key, Json::json_pointer(sample + "/" + key), &property,
                      std::find(required.begin(), required.end(), key) != required.end()});
    collect(property, pattern + "/" + key, sample + "/" + key, places);
  }
}

const Json& the_schema() {
  static const Json schema = parse_file(kConfigs / "schema.json");
  return schema;
}

std::vector<Place> all_places() {
  std::vector<Place> places;
  collect(the_schema(), "", "", places);
  return places;
}

// A value that the schema allows, with every key there is.
Json sample(const Json& schema) {
  if (schema.contains("default")) return schema["default"];
  if (schema.contains("$ref")) {
    const std::string place = schema["$ref"].get<std::string>().substr(1);  // behind the '#'
    return sample(the_schema().at(Json::json_pointer(place)));
  }
  if (schema.contains("enum")) return schema["enum"][0];
  if (schema.contains("minimum")) return schema["minimum"];
  if (schema.contains("const")) return schema["const"];
  if (schema.contains("anyOf") && !schema.contains("type")) return sample(schema["anyOf"][0]);
  const std::string type = schema.value("type", "");
  if (type == "boolean") return false;
  if (type == "array") return Json::array({sample(schema["items"])});
  if (type == "string") return schema.contains("anyOf") ? "127.0.0.1" : "x";
  Json object = Json::object();
  for (const auto& [key, property] : schema["properties"].items()) {
    if (key != "load" && key != "include") object[key] = sample(property);
  }
  return object;
}

Json full_config() {
  return sample(the_schema());
}

TEST(ConfigSchema, ListsExactlyTheKeysThatTheReadersKnow) {
  std::set<std::string> listed;
  for (const Place& place : all_places()) listed.insert(place.pattern);
  EXPECT_EQ(read(full_config()).keys, listed);
}

TEST(ConfigSchema, HasTheBoundsOfTheReaders) {
  for (const Place& place : all_places()) {
    if (!place.schema->contains("minimum")) continue;
    const bool whole = (*place.schema)["type"] == "integer";
    const std::string complaint =
        ": " + place.sample.to_string() + ": ";  // of this place, and about bounds
    const auto complains = [&](const Json& value) {
      Json config = full_config();
      config[place.sample] = value;
      const std::string errors = read(config).errors;
      for (std::size_t at = 0; (at = errors.find(complaint, at)) != errors.npos; ++at) {
        const std::string line = errors.substr(at, errors.find('\n', at) - at);
        if (line.find(whole ? "is not a whole number" : "is not a number") != line.npos) {
          return true;
        }
      }
      return false;
    };
    // An AS cannot have more ASPs active than it has.
    const bool max_varies = place.pattern == "/m3ua/application_servers/*/active_asps_min";
    const Json& min = (*place.schema)["minimum"];
    const Json& max = (*place.schema)["maximum"];
    EXPECT_FALSE(complains(min)) << place.pattern;
    if (!max_varies) {
      EXPECT_FALSE(complains(max)) << place.pattern;
    }
    if (whole) {
      EXPECT_TRUE(complains(min.get<std::int64_t>() - 1)) << place.pattern;
      EXPECT_TRUE(complains(max.get<std::int64_t>() + 1)) << place.pattern;
    } else {
      EXPECT_TRUE(complains(min.get<double>() - 0.5)) << place.pattern;
      EXPECT_TRUE(complains(max.get<double>() * 1.01)) << place.pattern;
    }
  }
}

TEST(ConfigSchema, RequiresWhatTheReadersRequire) {
  for (const Place& place : all_places()) {
    Json config = full_config();
    const Json::json_pointer parent = place.sample.parent_pointer();
    config[parent].erase(place.sample.back());
    const std::string missed = ": " + place.sample.to_string() +
                               (place.schema->contains("properties") ? "/" : ": missing");
    const std::string errors = read(config).errors;
    // Some keys are needed only because of what stands beside them.
    const bool by_circumstance = place.pattern == "/endpoints/*/udp_encapsulation" ||
                                 place.pattern == "/diameter/peers/*/remote_udp_port" ||
                                 place.pattern == "/m3ua/asps/*/remote_udp_port" ||
                                 place.pattern == "/diameter/peers" ||
                                 place.pattern.ends_with("/remote_addresses");
    if (by_circumstance) continue;
    // "diameter" is needed by daemons of that module, and by all readers here.
    const bool required = place.required || place.pattern == "/diameter";
    if (required) {
      EXPECT_THAT(errors, HasSubstr(missed)) << place.pattern;
    } else {
      EXPECT_THAT(errors, Not(HasSubstr(missed))) << place.pattern;
    }
  }
}

// A value of the subscribers' schema: all keys of one subscriber, and all keys of a range.
Json subscribers_of(const Json& schema) {
  const Json keys = sample(schema["properties"]["subscribers"]["items"]);
  Json one = keys, range = keys;
  for (const char* key : {"imsi_first", "count", "k_master", "msisdn_first"}) one.erase(key);
  for (const char* key : {"imsi", "k", "msisdn", "opc"}) range.erase(key);
  one.erase("op");
  return {{"subscribers", {one, range}}};
}

TEST(SubscribersSchema, ListsExactlyTheKeysThatTheReaderKnows) {
  const Json schema = parse_file(kConfigs / "subscribers-schema.json");
  std::vector<Place> places;
  collect(schema, "", "", places);
  std::set<std::string> listed;
  for (const Place& place : places) listed.insert(place.pattern);

  const auto document = JsonDocument::parse("s", subscribers_of(schema).dump());
  ASSERT_TRUE(document) << document.error().what;
  ConfigReader reader(*document);
  (void)hss::read_subscribers(reader.root());
  EXPECT_EQ(reader.known_keys(), listed);
}

TEST(SubscribersSchema, HasEveryKeyOfTheExample) {
  const auto known = hss::read_subscribers(kConfigs / "subscribers.json");
  ASSERT_TRUE(known) << known.error().what;
  EXPECT_GT(known->size(), 1000u);
}

TEST(ConfigSchema, HasEveryKeyOfTheExamples) {
  std::size_t examples = 0;
  for (const auto& file : std::filesystem::directory_iterator(kConfigs)) {
    if (file.path().extension() != ".json") continue;
    Json config = parse_file(file.path());
    if (!config.contains("node")) continue;
    ++examples;
    const bool load = config.erase("load") > 0;
    const std::string errors = read(config).errors;
    EXPECT_THAT(errors, Not(HasSubstr("is not a known key"))) << file.path();
    if (!config.contains("diameter") || load) continue;
    EXPECT_EQ(errors, "") << file.path();
  }
  EXPECT_GE(examples, 2u);
}

}  // namespace
}  // namespace siglane::runtime
