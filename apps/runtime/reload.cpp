#include "apps/runtime/reload.h"

#include <system_error>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "apps/runtime/node_revision.h"
#include "apps/runtime/peer_changes.h"
#include "apps/runtime/plan.h"

namespace siglane::runtime {

// A config that has been read, and what it changes.
struct Reloader::Next {
  std::unique_ptr<Daemon> daemon;
  NodeConfig config;
  std::set<std::string> reconnected;  // as the daemon says
  Plan plan;
  std::string file;
  std::string to_mend;  // lines; empty: nothing
  // Not of a dry run: what the node is to use, all that takes long done.
  std::shared_ptr<Node::NextRevision> revision;

  // `is`: "now", or "would be".
  std::string told(std::string_view is, std::uint64_t number) const {
    return fmt::format("{}: {} revision {}, {}\n{}{}", file,
                       plan.takes_effect() ? is : std::string_view("still"), number, plan.summary(),
                       plan.text(), to_mend);
  }
};

Reloader::Reloader(Daemon& daemon, Another another, std::vector<std::string> arguments)
    : daemon_(daemon), another_(std::move(another)), arguments_(std::move(arguments)) {}

void Reloader::finish() {
  if (thread_.joinable()) thread_.join();
}

void Reloader::reload(Node& node, bool dry_run, std::function<void(const ReloadOutcome&)> then) {
  finish();  // the one before: it has done all but return
  try {
    start(node, dry_run, then);
  } catch (const std::system_error& error) {
    then(
        {false, dry_run, node.revision(), fmt::format("cannot read the config: {}", error.what())});
  }
}

void Reloader::start(Node& node, bool dry_run, std::function<void(const ReloadOutcome&)> then) {
  thread_ = std::thread([this, &node, present = node.shared_config(), dry_run, then] {
    const auto next = read(node, *present, dry_run);
    node.call([this, &node, next, dry_run, then] {
      if (!next) return then({false, dry_run, node.revision(), next.error().what});
      if (!dry_run) return follow(node, *next, then);
      const std::uint64_t revision = node.revision() + ((*next)->plan.takes_effect() ? 1 : 0);
      then({true, dry_run, revision, (*next)->told("would be", revision)});
      discard(node, **next);
    });
  });
}

Result<std::shared_ptr<Reloader::Next>> Reloader::read(const Node& node, const NodeConfig& present,
                                                       bool dry_run) const {
  auto next = std::make_shared<Next>();
  next->daemon = another_();
  CommandLine command;
  CLI::App app("", daemon_.info().name);
  command.add_to(app);
  next->daemon->add_options(app);
  // The node has been started by these, so they are good.
  app.parse(std::vector<std::string>(arguments_.rbegin(), arguments_.rend() - 1));
  next->file = command.config_file;
  next->daemon->take_place_of(daemon_);
  auto config = load_config(command.config_file, *next->daemon, command);
  if (!config) return tl::unexpected(config.error());
  next->config = std::move(*config);
  for (const std::string& warning : next->daemon->warnings()) {
    next->to_mend += fmt::format("warning: {}\n", warning);
  }
  next->reconnected = daemon_.to_reconnect(*next->daemon);
  PlanRules rules = PlanRules::of_every_node();
  daemon_.add_rules(rules);
  NodeConfig until_restart = next->config;  // the endpoints that there are
  until_restart.endpoints = present.endpoints;
  rules.waiting = keep_connecting(until_restart.peers, present.peers, [&](const std::string& name) {
    return present.endpoint(name) != nullptr;
  });
  rules.reconnected = compare_peers(present, until_restart, next->reconnected).reconnected();
  // A stranger may be there by that name, but for the config it is new.
  std::erase_if(rules.reconnected,
                [&](const std::string& name) { return present.peer(name) == nullptr; });
  next->plan = make_plan(present.effective, next->config.effective, rules);
  if (dry_run) return next;
  Reconfiguration reconfiguration;
  if (auto good = daemon_.build_next(*next->daemon, reconfiguration); !good) {
    return tl::unexpected(good.error());
  }
  next->config.effective = std::exchange(next->plan.effective, {});
  reconfiguration.config = std::move(next->config);
  reconfiguration.reconnected = std::move(next->reconnected);
  auto built = node.build_revision(std::move(reconfiguration));
  if (!built) return tl::unexpected(built.error());
  for (const std::string& warning : (*built)->credentials.warnings) {
    next->to_mend += fmt::format("warning: {}\n", warning);
  }
  next->revision = std::move(*built);
  const auto imported = daemon_.import_data(*next->daemon);
  if (!imported) return tl::unexpected(imported.error());
  if (!imported->empty()) next->to_mend += *imported + "\n";
  return next;
}

// Whoever still has a share in it has an empty one.
void Reloader::discard(Node& node, Next& next) {
  node.discard(std::make_shared<Next>(std::move(next)));
}

void Reloader::follow(Node& node, const std::shared_ptr<Next>& next,
                      std::function<void(const ReloadOutcome&)> then) {
  if (!next->plan.takes_effect()) {
    node.use_credentials(next->revision->credentials);
    then({true, false, node.revision(), next->told("now", node.revision())});
    return discard(node, *next);
  }
  daemon_.hand_over(*next->daemon);
  node.reconfigure(std::move(next->revision), [&node, next, then](std::uint64_t revision) {
    then({true, false, revision, next->told("now", revision)});
    discard(node, *next);
  });
}

}  // namespace siglane::runtime
