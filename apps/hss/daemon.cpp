#include "apps/hss/daemon.h"

#include <cstdio>

#include <CLI/CLI.hpp>

#include "apps/hss/subscriber_file.h"
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

std::vector<diameter::SupportedApplication> HssDaemon::applications() const {
  return {{diameter::application::s6a, diameter::vendor::tgpp}};
}

void HssDaemon::read_own(const runtime::ObjectReader& root, runtime::NodeConfig& node) {
  config_ = read_hss_config(root);
  if (!node.admission.accept_unknown_peers) check_serving_realms(root, config_, diameter());
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

Result<void> HssDaemon::set_up(runtime::NodeBuilder& builder) {
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
  return {};
}

std::unique_ptr<diameter::Application> HssDaemon::make_application(
    const diameter::DiameterModule& module, std::uint64_t seed) {
  return std::make_unique<HssApplication>(module, seed, application_);
}

// --- A reload -----------------------------------------------------------------------------------

void HssDaemon::add_rules(runtime::PlanRules& rules) const {
  DiameterDaemon::add_rules(rules);
  rules.rules.push_back({{"hss", "database"}, runtime::Effect::restart});
  rules.rules.push_back({{"hss", "store"}, runtime::Effect::restart});
}

Result<std::string> HssDaemon::import_data(runtime::Daemon& next) {
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

void HssDaemon::hand_over_own(runtime::Daemon& next) {
  auto& other = static_cast<HssDaemon&>(next);
  config_.application = std::move(other.config_.application);
  config_.subscribers = std::move(other.config_.subscribers);
  application_->update([&](HssApplicationConfig& config) { config = config_.application; });
}

}  // namespace siglane::hss
