#pragma once
#include <optional>
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

  const HssConfig& config() const { return config_; }

 private:
  std::string database_, import_;  // from the command line; empty: not given
  diameter::DiameterConfig diameter_;
  HssConfig config_;
  runtime::FileLock lock_;  // of the database; outlives the node that build() makes
};

}  // namespace siglane::hss
