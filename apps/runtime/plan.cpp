#include "apps/runtime/plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/printable.h"

namespace siglane::runtime {
namespace {

using Path = std::vector<std::string>;

std::string_view name_of(Effect effect) {
  switch (effect) {
    case Effect::at_once:
      return "at once";
    case Effect::next_connection:
      return "with the next connection: those that there are keep what they have";
    case Effect::reconnect:
      return "these associations reconnect";
    case Effect::restart:
      return "needs a restart, and stays as it is until then";
  }
  return "unknown";
}

std::string text_of(const Path& path) {
  std::string text;
  for (const std::string& part : path) text += "/" + printable(part, "");
  return text.empty() ? "/" : text;
}

bool begins_with(const Path& path, std::span<const std::string_view> pattern) {
  return path.size() >= pattern.size() &&
         std::equal(pattern.begin(), pattern.end(), path.begin(),
                    [](std::string_view want, const std::string& is) {
                      return want == "*" || want == is;
                    });
}

// In one line, cut where it is long.
std::string shown(const JsonValue& value) {
  constexpr std::size_t kLongest = 120;
  std::string text = compact_text(value);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

const JsonValue* member(const JsonValue::Object& object, std::string_view key) {
  const auto it = std::ranges::find(object, key, &JsonMember::key);
  return it == object.end() ? nullptr : &it->value;
}

const std::string* name_in(const JsonValue& value) {
  const auto* object = std::get_if<JsonValue::Object>(&value.value);
  const JsonValue* name = object == nullptr ? nullptr : member(*object, "name");
  return name == nullptr ? nullptr : std::get_if<std::string>(&name->value);
}

bool all_named(const JsonValue::Array& array) {
  return std::ranges::all_of(array, [](const JsonValue& one) { return name_in(one) != nullptr; });
}

bool has_objects(const JsonValue::Array& array) {
  return std::ranges::any_of(array, [](const JsonValue& one) {
    return std::holds_alternative<JsonValue::Object>(one.value);
  });
}

class Comparison {
 public:
  Comparison(const PlanRules& rules, std::vector<PlanStep>& steps) : rules_(rules), steps_(steps) {}

  // nullptr: it is not there. Returns what holds from now on.
  std::optional<JsonValue> compare(const JsonValue* old, const JsonValue* next) {
    if (old == nullptr) return changed(old, next, "added", true);
    if (next == nullptr) return changed(old, next, "removed", true);
    const auto* old_object = std::get_if<JsonValue::Object>(&old->value);
    const auto* next_object = std::get_if<JsonValue::Object>(&next->value);
    if (old_object != nullptr && next_object != nullptr) {
      return compare_members(*old_object, *next_object);
    }
    const auto* old_array = std::get_if<JsonValue::Array>(&old->value);
    const auto* next_array = std::get_if<JsonValue::Array>(&next->value);
    if (old_array != nullptr && next_array != nullptr) {
      if (all_named(*old_array) && all_named(*next_array)) {
        return compare_named(*old_array, *next_array);
      }
      if (has_objects(*old_array) || has_objects(*next_array)) {
        return compare_nameless(*old_array, *next_array);
      }
    }
    if (compact_text(*old) == compact_text(*next)) return *next;
    return changed(old, next, fmt::format("{} is now {}", shown(*old), shown(*next)), false);
  }

 private:
  std::optional<JsonValue> changed(const JsonValue* old, const JsonValue* next, std::string what,
                                   bool whole) {
    const Effect effect = effect_of(whole);
    // A value without a key of its own shows itself.
    const JsonValue* value = next != nullptr ? next : old;
    const bool scalar = !std::holds_alternative<JsonValue::Object>(value->value);
    if (whole && scalar) what = fmt::format("{} {}", shown(*value), what);
    steps_.push_back({effect, text_of(path_), std::move(what)});
    const JsonValue* holds = effect == Effect::restart ? old : next;
    return holds == nullptr ? std::nullopt : std::optional(*holds);
  }

  Effect effect_of(bool whole) const {
    for (const auto& list : rules_.peer_lists) {
      if (path_.size() <= list.size() + 1 || !begins_with(path_, list)) continue;
      if (path_[list.size() + 1] == "connect" && rules_.waiting.contains(path_[list.size()])) {
        return Effect::restart;
      }
      if (rules_.reconnected.contains(path_[list.size()])) {
        return Effect::reconnect;
      }
    }
    for (const PlanRules::Rule& rule : rules_.rules) {
      if (!begins_with(path_, rule.path)) continue;
      if (rule.whole && !(whole && path_.size() == rule.path.size())) continue;
      return rule.effect;
    }
    return Effect::at_once;
  }

  template <class F>
  auto below(const std::string& key, F&& what) {
    path_.push_back(key);
    auto result = what();
    path_.pop_back();
    return result;
  }

  JsonValue compare_members(const JsonValue::Object& old, const JsonValue::Object& next) {
    JsonValue::Object holds;
    const auto look_at = [&](const std::string& key, const JsonValue* before,
                             const JsonValue* after) {
      auto value = below(key, [&] { return compare(before, after); });
      if (value) holds.push_back({key, 0, std::move(*value)});
    };
    for (const JsonMember& one : next) look_at(one.key, member(old, one.key), &one.value);
    for (const JsonMember& one : old) {
      if (member(next, one.key) == nullptr) look_at(one.key, &one.value, nullptr);
    }
    return {std::move(holds), 0};
  }

  JsonValue compare_named(const JsonValue::Array& old, const JsonValue::Array& next) {
    std::unordered_map<std::string_view, const JsonValue*> before;
    for (const JsonValue& one : old) before.emplace(*name_in(one), &one);
    JsonValue::Array holds;
    const auto look_at = [&](const std::string& name, const JsonValue* was, const JsonValue* is) {
      auto value = below(name, [&] { return compare(was, is); });
      if (value) holds.push_back(std::move(*value));
    };
    for (const JsonValue& one : next) {
      const std::string& name = *name_in(one);
      const auto was = before.find(name);
      look_at(name, was == before.end() ? nullptr : was->second, &one);
      if (was != before.end()) before.erase(was);
    }
    for (const JsonValue& one : old) {
      if (before.contains(*name_in(one))) look_at(*name_in(one), &one, nullptr);
    }
    return {std::move(holds), 0};
  }

  // As multisets: the same entry may stand there twice.
  JsonValue compare_nameless(const JsonValue::Array& old, const JsonValue::Array& next) {
    std::unordered_map<std::string, std::size_t> before;
    for (const JsonValue& one : old) ++before[compact_text(one)];
    JsonValue::Array holds;
    const auto look_at = [&](const JsonValue& one, std::string_view what) {
      const Effect effect = effect_of(true);
      steps_.push_back({effect, text_of(path_), fmt::format("{} {}", shown(one), what)});
      if ((effect == Effect::restart) == (what == "removed")) holds.push_back(one);
    };
    for (const JsonValue& one : next) {
      const auto was = before.find(compact_text(one));
      if (was == before.end() || was->second == 0) {
        look_at(one, "added");
      } else {
        --was->second;
        holds.push_back(one);
      }
    }
    for (const JsonValue& one : old) {
      const auto left = before.find(compact_text(one));
      if (left->second == 0) continue;
      --left->second;
      look_at(one, "removed");
    }
    return {std::move(holds), 0};
  }

  const PlanRules& rules_;
  std::vector<PlanStep>& steps_;
  Path path_;
};

}  // namespace

PlanRules PlanRules::of_every_node() {
  PlanRules rules;
  rules.rules = {
      {{"node"}, Effect::restart},
      {{"admin"}, Effect::restart},
      {{"log", "facts_per_second_max"}, Effect::restart},
      {{"runtime", "shards"}, Effect::restart},
      {{"runtime", "tune_kernel"}, Effect::restart},
      {{"runtime", "cached_buffer_bytes_max"}, Effect::restart},
      {{"endpoints", "*", "tls"}, Effect::restart, true},
      {{"endpoints", "*", "tls", "require_sctp_auth"}, Effect::restart},
      {{"endpoints", "*", "tls"}, Effect::next_connection},
      {{"endpoints", "*", "limits"}, Effect::at_once},
      {{"endpoints", "*", "associations_max"}, Effect::at_once},
      // What belongs to the shared sockets; all else is agreed upon when an association begins.
      {{"endpoints", "*", "sctp", "receive_buffer_bytes"}, Effect::at_once},
      {{"endpoints", "*", "sctp", "send_buffer_bytes"}, Effect::at_once},
      {{"endpoints", "*", "sctp", "nodelay"}, Effect::at_once},
      {{"endpoints", "*", "sctp"}, Effect::next_connection},
      {{"endpoints", "*", "tcp"}, Effect::next_connection},
      {{"endpoints"}, Effect::restart},
  };
  rules.peer_lists = {{"diameter", "peers"}, {"m3ua", "asps"}};
  return rules;
}

void keep_what_is_fixed(NodeConfig& next, const NodeConfig& present) {
  next.name = present.name;
  next.admin = present.admin;
  next.log.facts_per_second_max = present.log.facts_per_second_max;
  next.runtime.shards = present.runtime.shards;
  next.runtime.tune_kernel = present.runtime.tune_kernel;
  next.runtime.cached_buffer_bytes_max = present.runtime.cached_buffer_bytes_max;
  next.runtime.seed = present.runtime.seed;
  std::vector<NodeEndpoint> endpoints = present.endpoints;
  for (NodeEndpoint& kept : endpoints) {
    const NodeEndpoint* wanted = next.endpoint(kept.endpoint.name);
    if (wanted == nullptr) continue;
    kept.endpoint.limits = wanted->endpoint.limits;
    kept.endpoint.associations_max = wanted->endpoint.associations_max;
    kept.endpoint.sctp = wanted->endpoint.sctp;
    kept.endpoint.stream = wanted->endpoint.stream;
    if (!kept.endpoint.tls || !wanted->endpoint.tls) continue;
    const bool require_sctp_auth = kept.endpoint.tls->require_sctp_auth;
    kept.endpoint.tls = wanted->endpoint.tls;
    kept.endpoint.tls->require_sctp_auth = require_sctp_auth;
  }
  next.endpoints = std::move(endpoints);
}

Plan make_plan(const JsonValue& old, const JsonValue& next, const PlanRules& rules) {
  Plan plan;
  plan.effective = *Comparison(rules, plan.steps).compare(&old, &next);
  return plan;
}

std::size_t Plan::count(Effect effect) const {
  return static_cast<std::size_t>(std::ranges::count(steps, effect, &PlanStep::effect));
}

std::string Plan::summary() const {
  if (steps.empty()) return "no changes";
  std::string parts;
  const auto add = [&](Effect effect, std::string_view what) {
    if (count(effect) == 0) return;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", count(effect), what);
  };
  add(Effect::at_once, "at once");
  add(Effect::next_connection, "with the next connection");
  add(Effect::reconnect, "with a reconnect");
  add(Effect::restart, "only after a restart");
  return fmt::format("{} {}: {}", steps.size(), steps.size() == 1 ? "change" : "changes", parts);
}

std::string Plan::text(std::size_t steps_max) const {
  std::string text;
  for (const Effect effect :
       {Effect::at_once, Effect::next_connection, Effect::reconnect, Effect::restart}) {
    if (count(effect) == 0) continue;
    text += fmt::format("{}:\n", name_of(effect));
    std::size_t shown_so_far = 0;
    for (const PlanStep& step : steps) {
      if (step.effect != effect) continue;
      if (shown_so_far++ == steps_max) {
        text += fmt::format("  and {} more\n", count(effect) - steps_max);
        break;
      }
      text += fmt::format("  {}: {}\n", step.path, step.what);
    }
  }
  return text;
}

}  // namespace siglane::runtime
