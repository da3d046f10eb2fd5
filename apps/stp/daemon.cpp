#include "apps/stp/daemon.h"

#include <memory>

#include "apps/stp/config.h"
#include "protocols/m3ua/module.h"

namespace siglane::stp {

void StpDaemon::read(const runtime::ObjectReader& root, runtime::NodeConfig& node) {
  config_ = read_stp_config(root, node);
}

Result<void> StpDaemon::check() {
  return m3ua::check(config_);
}

Result<void> StpDaemon::build(runtime::NodeBuilder& builder) {
  auto& module = builder.add_module(std::make_unique<m3ua::M3uaModule>(config_));
  builder.on_shard([&module](const runtime::ShardSetUp& at) -> Result<void> {
    module.add_application_servers(at.shard, at.shards, at.now);
    return {};
  });
  return {};
}

}  // namespace siglane::stp
