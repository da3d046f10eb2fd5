#include "apps/runtime/diameter_daemon.h"

#include <utility>

#include "apps/runtime/diameter_config.h"

namespace siglane::runtime {

void DiameterDaemon::read(const ObjectReader& root, NodeConfig& node) {
  diameter_ = read_diameter_config(root, node);
  diameter_.applications = applications();
  read_own(root, node);
}

Result<void> DiameterDaemon::check() {
  return diameter::check(diameter_);
}

Result<void> DiameterDaemon::build(NodeBuilder& builder) {
  if (auto done = set_up(builder); !done) return done;
  auto& module = builder.add_module(std::make_unique<diameter::DiameterModule>(diameter_));
  module_ = &module;
  builder.on_shard([this, &module](const ShardSetUp& at) -> Result<void> {
    const AssociationId id =
        at.shard.add_coordinator(make_application(module, at.seed), module, at.now);
    module.add_application(at.shard.id(), diameter_.applications.front().id, id);
    return {};
  });
  return {};
}

void DiameterDaemon::add_rules(PlanRules& rules) const {
  rules.rules.push_back({{"diameter", "origin_host"}, Effect::restart});
  rules.rules.push_back({{"diameter", "origin_realm"}, Effect::restart});
}

std::set<std::string> DiameterDaemon::to_reconnect(const Daemon& next) const {
  return peers_to_reconnect(diameter_, static_cast<const DiameterDaemon&>(next).diameter_);
}

void DiameterDaemon::follow(Daemon& next, Reconfiguration& reconfiguration) {
  diameter::DiameterConfig now = std::move(static_cast<DiameterDaemon&>(next).diameter_);
  now.origin_host = diameter_.origin_host;
  now.origin_realm = diameter_.origin_realm;
  now.origin_state_id = diameter_.origin_state_id;
  follow_own(next);
  if (now == diameter_) return;
  diameter_ = std::move(now);
  module_->prepare(diameter_);
  reconfiguration.modules.push_back(module_);
}

}  // namespace siglane::runtime
