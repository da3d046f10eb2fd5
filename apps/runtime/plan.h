#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "apps/runtime/config.h"
#include "apps/runtime/json_document.h"

namespace siglane::runtime {

// When a change of the config takes effect.
enum class Effect : std::uint8_t {
  at_once,
  next_connection,  // for connections that are made later; those that there are keep what they have
  reconnect,        // once the peer's associations, which say goodbye, are made anew
  restart,          // when the node is started again; until then the old value holds
};

// One difference between two configs.
struct PlanStep {
  Effect effect{};
  std::string path;  // with names in place of indices: `/diameter/peers/mme1/placement`
  std::string what;  // `"automatic" is now "always"`, `added`, `removed`
};

// What a new config changes of a running node.
struct Plan {
  std::vector<PlanStep> steps;  // in the new file's order
  // The new config, but for what needs a restart: there the old values, which hold until then.
  JsonValue effective;

  std::size_t count(Effect effect) const;
  // Is there anything in it that does not wait for a restart?
  bool takes_effect() const { return count(Effect::restart) < steps.size(); }
  // "3 changes: 1 at once, 2 reconnect"; "no changes".
  std::string summary() const;
  // A paragraph for each effect, a line for each step; of each effect at most so many.
  std::string text(std::size_t steps_max = 50) const;
};

struct PlanRules {
  struct Rule {
    // Names of keys; "*" stands for one element of an array. A path matches that begins with it.
    std::vector<std::string_view> path;
    Effect effect{};
    bool whole = false;  // only where that itself is added or removed
  };
  // The first that matches decides; none: at once.
  std::vector<Rule> rules;
  // Names of peers whose associations are made anew, whatever of theirs has changed.
  std::set<std::string> reconnected;
  // Names of peers whose "connect" waits for a restart, which opens its endpoint.
  std::set<std::string> waiting = {};
  // The lists that they stand in.
  std::vector<std::vector<std::string_view>> peer_lists;

  // Of the sections that every daemon has.
  static PlanRules of_every_node();
};

// What needs a restart stays in `next` as `present` has it: the rest of the node was made for it.
// The same as the rules of every node say; tests/component/config_schema_test.cpp holds the two
// together, key by key.
void keep_what_is_fixed(NodeConfig& next, const NodeConfig& present);

// What `next` changes. Both are effective configs (ConfigReader::effective()). Objects in an array
// are the same if they have the same "name"; those without names are only added and removed.
Plan make_plan(const JsonValue& old, const JsonValue& next, const PlanRules& rules);

}  // namespace siglane::runtime
