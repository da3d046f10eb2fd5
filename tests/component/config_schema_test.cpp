// config/schema.json says what the readers do: the same keys, the same bounds, the same required
// ones; and the examples are good by both.
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "apps/hss/config.h"
#include "apps/hss/daemon.h"
#include "apps/hss/subscriber_file.h"
#include "apps/runtime/diameter_config.h"
#include "apps/runtime/m3ua_config.h"
#include "apps/runtime/plan.h"
#include "apps/stp/daemon.h"
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

// --- A new config while a node runs --------------------------------------------------------------

// The sections that every node has, as text. A key that is missing here is found by the test below.
std::string fingerprint(const NodeConfig& node) {
  std::string text;
  const auto add = [&text](const auto&... values) {
    ((text += fmt::format("{} ", values)), ...);
    text += "\n";
  };
  add(node.name, name_of(node.log.level), node.log.facts_per_second_max);
  const AdminConfig& admin = node.admin;
  add(admin.socket, admin.group, admin.group_may_change, admin.clients_max,
      admin.questions_per_second_max, admin.facts_kept_max);
  if (admin.http) {
    add(admin.http->address, admin.http->port, Json(admin.http->host_names).dump(),
        admin.http->read_token_file, admin.http->change_token_file);
    if (admin.http->tls) add(admin.http->tls->certificate, admin.http->tls->key);
  }
  const RuntimeConfig& runtime = node.runtime;
  add(runtime.shards, runtime.tune_kernel, runtime.stop_grace.count(),
      runtime.reconnect.first.count(), runtime.reconnect.longest.count(),
      runtime.cached_buffer_bytes_max);
  const transport::PeeloffLimits& peeloff = node.peeloff;
  add(peeloff.messages_per_second_min, peeloff.bytes_per_second_min, peeloff.sustained_min.count(),
      peeloff.age_min.count(), peeloff.peeled_max);
  add(node.admission.accept_unknown_peers, node.admission.identification_timeout.count(),
      node.admission.unidentified_associations_max);
  for (const auto& [endpoint, module] : node.endpoints) {
    add(endpoint.name, module, name_of(endpoint.transport), Json(endpoint.addresses).dump(),
        endpoint.port, endpoint.listening, endpoint.sockets, endpoint.udp_encapsulation_port,
        endpoint.peers_udp_port, endpoint.udp_segmentation_offload, endpoint.associations_max);
    add(endpoint.limits.message_bytes_max, endpoint.limits.send_queue_bytes_max,
        endpoint.limits.send_queue_messages_max);
    const SctpOptions& sctp = endpoint.sctp;
    add(sctp.streams_out, sctp.streams_in_max, sctp.init_attempts_max,
        sctp.init_timeout_max.count(), sctp.rto_initial.count(), sctp.rto_min.count(),
        sctp.rto_max.count(), sctp.heartbeat_interval.count(), sctp.association_retransmissions_max,
        sctp.path_retransmissions_max, sctp.potentially_failed_retransmissions_max,
        sctp.sack_delay.count(), sctp.dscp, sctp.path_mtu_discovery, sctp.path_mtu_bytes,
        sctp.nodelay, sctp.handshake_timeout.count(), sctp.receive_buffer_bytes,
        sctp.send_buffer_bytes);
    const StreamOptions& stream = endpoint.stream;
    add(stream.connect_timeout.count(), stream.handshake_timeout.count(),
        stream.close_timeout.count(), stream.unacknowledged_timeout.count());
    if (!endpoint.tls) continue;
    const TlsConfig& tls = *endpoint.tls;
    add(tls.certificate, tls.key, tls.ca, static_cast<int>(tls.minimum_version), tls.ciphers,
        tls.require_peer_certificate, tls.require_sctp_auth);
  }
  return text;
}

NodeConfig node_of(const Json& config) {
  auto document = JsonDocument::parse("c", config.dump());
  ConfigReader reader(*document);
  return read_node_config(reader.root(), {"diameter", "m3ua"});
}

// Another value that the schema allows; nothing: there is none.
std::optional<Json> another(const Json& value, const Json& schema) {
  if (schema.contains("$ref")) {
    return another(
        value, the_schema().at(Json::json_pointer(schema["$ref"].get<std::string>().substr(1))));
  }
  if (schema.contains("enum")) {
    for (const Json& one : schema["enum"]) {
      if (one != value) return one;
    }
    return std::nullopt;
  }
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number() && schema.contains("maximum")) {
    return value != schema["maximum"] ? schema["maximum"] : schema["minimum"];
  }
  if (value.is_number()) return value.get<std::int64_t>() + 1;
  if (value == "127.0.0.1") return "127.0.0.2";
  if (value.is_string()) return value.get<std::string>() + "y";
  if (value.is_array() && (value.empty() || value[0].is_string())) return Json{"127.0.0.2"};
  return std::nullopt;  // its keys are places of their own
}

// What the plan says is what the node does: the two lists in plan.cpp are one.
TEST(ConfigSchema, OfEveryKeyThePlanSaysWhetherANodeThatRunsKeepsItsOldValue) {
  const std::set<std::string> sections{"node",      "log",     "admin",    "runtime",
                                       "endpoints", "peeloff", "admission"};
  // Of the endpoint another one is made by it.
  const std::set<std::string> apart{"/endpoints/*/name"};
  const Json full = full_config();
  const auto json = [](const Json& config) {
    return JsonDocument::parse("c", config.dump())->root;
  };
  std::size_t looked_at = 0;
  for (const Place& place : all_places()) {
    const std::string section = place.pattern.substr(1, place.pattern.find('/', 1) - 1);
    if (!sections.contains(section) || apart.contains(place.pattern)) continue;
    const auto value = another(full.at(place.sample), *place.schema);
    if (!value) continue;
    Json changed = full;
    changed[place.sample] = *value;
    const Plan plan = make_plan(json(full), json(changed), PlanRules::of_every_node());
    ASSERT_EQ(plan.steps.size(), 1u) << place.pattern;
    const NodeConfig before = node_of(full);
    NodeConfig next = node_of(changed);
    ASSERT_NE(fingerprint(next), fingerprint(before)) << place.pattern << " = " << *value;
    keep_what_is_fixed(next, before);
    EXPECT_EQ(fingerprint(next) == fingerprint(before), plan.steps[0].effect == Effect::restart)
        << place.pattern;
    ++looked_at;
  }
  EXPECT_GT(looked_at, 60u);
}

TEST(ConfigSchema, HasEveryKeyThatAPlanHasARuleFor) {
  std::set<std::string> places;
  for (const Place& place : all_places()) places.insert(place.pattern);
  PlanRules rules = PlanRules::of_every_node();
  hss::HssDaemon().add_rules(rules);
  stp::StpDaemon().add_rules(rules);
  for (const PlanRules::Rule& rule : rules.rules) {
    std::string pattern;
    for (const std::string_view part : rule.path) pattern += "/" + std::string(part);
    EXPECT_TRUE(places.contains(pattern)) << pattern;
  }
}

}  // namespace
}  // namespace siglane::runtime
