#pragma once
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/hss/config.h"
#include "apps/runtime/daemon.h"
#include "apps/runtime/file_lock.h"
#include "protocols/diameter/config.h"

namespace siglane::hss {

// The HSS as a daemon: one Diameter module, one application for each shard, one store.
class HssDaemon final : public runtime::Daemon {
 public:
  Info info() const override {
    return {
        "siglane-hss", "Home Subscriber Server: S6a (3GPP TS 29.272) over SQLite", {"diameter"}};
  }
  void add_options(CLI::App& app) override;
  void read(const runtime::ObjectReader& root, runtime::NodeConfig& node) override;
  Result<void> check() override;
  std::vector<std::string> warnings() override;
  // `--import FILE`, also beside a node that runs on the same database.
  std::optional<int> instead_of_running() override;
  Result<void> build(runtime::NodeBuilder& builder) override;
  void add_rules(runtime::PlanRules& rules) const override;
  std::set<std::string> to_reconnect(const runtime::Daemon& next) const override;
  // Imports the subscribers' file again if it is another one, or has been written to.
  Result<std::string> prepare(runtime::Daemon& next) override;
  void follow(runtime::Daemon& next, runtime::Reconfiguration& reconfiguration) override;

  const HssConfig& config() const { return config_; }

 private:
  std::string database_, import_;  // from the command line; empty: not given
  diameter::DiameterConfig diameter_;
  HssConfig config_;
  diameter::DiameterModule* module_ = nullptr;  // of the node that build() makes
  std::shared_ptr<HssApplication::Config> application_ = std::make_shared<HssApplication::Config>();
  FileStamp imported_;      // of the subscribers' file, when it was imported last
  runtime::FileLock lock_;  // of the database; outlives the node that build() makes
};

}  // namespace siglane::hss
