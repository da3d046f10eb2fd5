#include "apps/runtime/diameter_daemon.h"

#include <string_view>
#include <utility>

#include "apps/runtime/diameter_config.h"

namespace siglane::runtime {

void DiameterDaemon::read(const ObjectReader& root, NodeConfig& node) {
  diameter::DiameterConfig config = read_diameter_config(root, node, realm_in_force_);
  config.applications = applications();
  diameter_ = std::make_shared<const diameter::DiameterConfig>(std::move(config));
  read_own(root, node);
}

Result<void> DiameterDaemon::check() {
  return diameter::check(*diameter_);
}

Result<void> DiameterDaemon::build(NodeBuilder& builder) {
  if (auto done = set_up(builder); !done) return done;
  auto& module = builder.add_module(std::make_unique<diameter::DiameterModule>(*diameter_));
  module_ = &module;
  diameter_ = module.config();  // with an index
  builder.on_shard([this, &module](const ShardSetUp& at) -> Result<void> {
    const AssociationId id =
        at.shard.add_coordinator(make_application(module, at.seed), module, at.now);
    module.add_application(at.shard.id(), diameter_->applications.front().id, id);
    return {};
  });
  return {};
}

void DiameterDaemon::take_place_of(const Daemon& running) {
  realm_in_force_ = static_cast<const DiameterDaemon&>(running).diameter_->origin_realm;
}

void DiameterDaemon::add_rules(PlanRules& rules) const {
  rules.rules.push_back({{"diameter", "origin_host"}, Effect::restart});
  rules.rules.push_back({{"diameter", "origin_realm"}, Effect::restart});
  // Told to a peer in the CER or CEA alone.
  for (const std::string_view key :
       {"product_name", "vendor_id", "firmware_revision", "host_ip_addresses", "relay"}) {
    rules.rules.push_back({{"diameter", key}, Effect::next_connection});
  }
}

std::set<std::string> DiameterDaemon::to_reconnect(const Daemon& next) const {
  return peers_to_reconnect(*diameter_, *static_cast<const DiameterDaemon&>(next).diameter_);
}

Result<void> DiameterDaemon::build_next(Daemon& next, Reconfiguration& reconfiguration) {
  auto& config = static_cast<DiameterDaemon&>(next).diameter_;
  config = module_->build(*config);
  if (*config != *module_->config()) {
    reconfiguration.modules.push_back(module_);
  } else {
    config = module_->config();  // nobody is told to let go of it
  }
  return {};
}

void DiameterDaemon::hand_over(Daemon& next) {
  hand_over_own(next);
  diameter_.swap(static_cast<DiameterDaemon&>(next).diameter_);
  module_->prepare(diameter_);
}

}  // namespace siglane::runtime
