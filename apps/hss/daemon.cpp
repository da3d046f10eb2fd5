#include "apps/hss/daemon.h"

#include <cstdio>

#include <CLI/CLI.hpp>

#include "apps/hss/subscriber_file.h"
#include "apps/runtime/diameter_config.h"
#include "apps/runtime/key_files.h"
#include "protocols/diameter/constants.h"
#include "protocols/diameter/module.h"

namespace siglane::hss {

void HssDaemon::add_options(CLI::App& app) {
  app.add_option("--database", database_, "The subscribers' database, instead of the config's")
      ->type_name("FILE");
  app.add_option("--import", import_, "Import subscribers (JSON) into the database, and stop")
      ->type_name("FILE");
}

void HssDaemon::read(const runtime::ObjectReader& root, runtime::NodeConfig& node) {
  diameter_ = runtime::read_diameter_config(root, node);
  diameter_.applications = {{diameter::application::s6a, diameter::vendor::tgpp}};
  config_ = read_hss_config(root);
  if (!node.admission.accept_unknown_peers) check_serving_realms(root, config_, diameter_);
  if (!database_.empty()) {
    config_.database.path = database_;
    root.object("hss").show_instead("database", {runtime::absolute_path(database_)});
  }
  if (config_.subscribers.empty()) return;
  // What a start would stumble over, before it is a start.
  if (auto subscribers = read_subscribers(config_.subscribers); !subscribers) {
    root.object("hss").complain("subscribers", subscribers.error().what);
  }
}

Result<void> HssDaemon::check() {
  return diameter::check(diameter_);
}

std::vector<std::string> HssDaemon::warnings() {
  std::vector<std::string> warnings;
  const auto look_at = [&](const char* what, const std::string& file) {
    if (auto warning = runtime::exposed_key_file(what, file)) warnings.push_back(*warning);
  };
  look_at("database", config_.database.path);
  look_at("write-ahead log", config_.database.path + "-wal");
  if (!config_.subscribers.empty()) look_at("subscribers file", config_.subscribers);
  if (!import_.empty()) look_at("subscribers file", import_);
  return warnings;
}

std::optional<int> HssDaemon::instead_of_running() {
  if (import_.empty()) return std::nullopt;
  auto store = open_sqlite_store(config_.database);
  const auto imported =
      store ? import_file(import_, **store) : Result<Imported>(tl::unexpected(store.error()));
  for (const std::string& warning : warnings()) {
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  if (!imported) {
    std::fprintf(stderr, "%s\n", imported.error().what.c_str());
    return 1;
  }
  std::printf("%s: %zu subscribers imported\n", config_.database.path.c_str(),
              imported->subscribers);
  if (imported->failed == 0) return 0;
  std::fprintf(stderr, "%s\n", text_of_failures(import_, *imported).c_str());
  return 1;
}

Result<void> HssDaemon::build(runtime::NodeBuilder& builder) {
  // Two nodes on one database would each know half of the MMEs.
  auto lock = runtime::FileLock::take(config_.database.path);
  if (!lock) return tl::unexpected(lock.error());
  lock_ = std::move(*lock);
  auto opened = open_store(config_);
  if (!opened) return tl::unexpected(opened.error());
  if (!opened->warning.empty()) builder.warn(std::move(opened->warning));
  builder.use_store(std::move(opened->store), config_.store);
  imported_ = FileStamp::of(config_.subscribers);
  application_->update([&](HssApplicationConfig& config) { config = config_.application; });
  auto& module = builder.add_module(std::make_unique<diameter::DiameterModule>(diameter_));
  module_ = &module;
  builder.on_shard([this, &module](const runtime::ShardSetUp& at) -> Result<void> {
    const AssociationId id = at.shard.add_coordinator(
        std::make_unique<HssApplication>(module, at.seed, application_), module, at.now);
    module.add_application(at.shard.id(), diameter::application::s6a, id);
    return {};
  });
  return {};
}

// --- A reload -----------------------------------------------------------------------------------

void HssDaemon::add_rules(runtime::PlanRules& rules) const {
  runtime::add_diameter_rules(rules);
  rules.rules.push_back({{"hss", "database"}, runtime::Effect::restart});
  rules.rules.push_back({{"hss", "store"}, runtime::Effect::restart});
}

std::set<std::string> HssDaemon::to_reconnect(const runtime::Daemon& next) const {
  return runtime::peers_to_reconnect(diameter_, static_cast<const HssDaemon&>(next).diameter_);
}

Result<std::string> HssDaemon::prepare(runtime::Daemon& next) {
  const std::string& file = static_cast<HssDaemon&>(next).config_.subscribers;
  if (file.empty()) return std::string();
  const FileStamp stamp = FileStamp::of(file);
  if (file == config_.subscribers && stamp == imported_) return std::string();
  auto store = open_sqlite_store(config_.database);
  if (!store) return tl::unexpected(store.error());
  const auto imported = import_file(file, **store);
  if (!imported) return tl::unexpected(imported.error());
  imported_ = stamp;
  const std::string failures = text_of_failures(file, *imported);
  return file + ": " + std::to_string(imported->subscribers) + " subscribers imported" +
         (failures.empty() ? "" : "\n" + failures);
}

void HssDaemon::follow(runtime::Daemon& next, runtime::Reconfiguration& reconfiguration) {
  auto& other = static_cast<HssDaemon&>(next);
  diameter_ = runtime::with_identity_of(diameter_, std::move(other.diameter_));
  config_.application = std::move(other.config_.application);
  config_.subscribers = std::move(other.config_.subscribers);
  module_->prepare(diameter_);
  application_->update([&](HssApplicationConfig& config) { config = config_.application; });
  reconfiguration.modules.push_back(module_);
}

}  // namespace siglane::hss
