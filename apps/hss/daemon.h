#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/hss/config.h"
#include "apps/runtime/diameter_daemon.h"
#include "apps/runtime/file_lock.h"

namespace siglane::hss {

// The HSS as a daemon: one Diameter module, one application for each shard, one store.
class HssDaemon final : public runtime::DiameterDaemon {
 public:
  Info info() const override {
    return {
        "siglane-hss", "Home Subscriber Server: S6a (3GPP TS 29.272) over SQLite", {"diameter"}};
  }
  void add_options(CLI::App& app) override;
  std::vector<std::string> warnings() override;
  // `--import FILE`, also beside a node that runs on the same database.
  std::optional<int> instead_of_running() override;
  void add_rules(runtime::PlanRules& rules) const override;
  // Imports the subscribers' file again if it is another one, or has been written to.
  Result<std::string> import_data(runtime::Daemon& next) override;

  const HssConfig& config() const { return config_; }

 private:
  std::vector<diameter::SupportedApplication> applications() const override;
  void read_own(const runtime::ObjectReader& root, runtime::NodeConfig& node) override;
  Result<void> set_up(runtime::NodeBuilder& builder) override;
  std::unique_ptr<diameter::Application> make_application(const diameter::DiameterModule& module,
                                                          std::uint64_t seed) override;
  void hand_over_own(runtime::Daemon& next) override;

  std::string database_, import_;  // from the command line; empty: not given
  HssConfig config_;
  std::shared_ptr<HssApplication::Config> application_ = std::make_shared<HssApplication::Config>();
  FileStamp imported_;      // of the subscribers' file, when it was imported last
  runtime::FileLock lock_;  // of the database; outlives the node that build() makes
};

}  // namespace siglane::hss
