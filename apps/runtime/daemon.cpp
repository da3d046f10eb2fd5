#include "apps/runtime/daemon.h"

#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace siglane::runtime {

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

int complain(const std::string& what) {
  fmt::print(stderr, "{}\n", what);
  return kFailed;
}

}  // namespace

void CommandLine::add_to(CLI::App& app) {
  app.add_option("-c,--config", config_file, "The node's JSON config")->required();
  app.add_flag("--check-config", check_config, "Say what is wrong with the config, and stop");
  const auto transport_named = [this](const std::string& name) {
    transport = transport_kind_of(name);
    return transport ? std::string() : name + " is not one of sctp, kernel-sctp, usrsctp, tcp";
  };
  app.add_option("--transport", "Transport of all endpoints: sctp, kernel-sctp, usrsctp or tcp")
      ->check(transport_named)
      ->type_name("T");
  app.add_option("--admin-socket", admin_socket, "Path of the admin socket; '' for none")
      ->type_name("PATH");
  const auto level_named = [this](const std::string& name) {
    log_level = log_level_of(name);
    return log_level ? std::string() : name + " is not one of debug, info, warning, error, off";
  };
  app.add_option("--log-level", "debug, info, warning, error or off")
      ->check(level_named)
      ->type_name("LEVEL");
}

void CommandLine::apply_to(NodeConfig& config) const {
  if (transport) {
    for (NodeEndpoint& endpoint : config.endpoints) endpoint.endpoint.transport = *transport;
  }
  if (admin_socket) config.admin.socket = *admin_socket;
  if (log_level) config.log.level = *log_level;
}

Result<NodeConfig> load_config(const std::string& file, Daemon& daemon) {
  auto document = JsonDocument::load(file);
  if (!document) return tl::unexpected(document.error());
  ConfigReader reader(*document);
  NodeConfig node = read_node_config(reader.root(), daemon.info().modules);
  daemon.read(reader.root(), node);
  if (auto good = reader.finish(); !good) return tl::unexpected(good.error());
  if (auto good = daemon.check(); !good) {
    return failure(fmt::format("{}: {}", file, good.error().what));
  }
  return node;
}

int run_daemon(int argc, const char* const* argv, Daemon& daemon) {
  const Daemon::Info info = daemon.info();
  CommandLine command;
  CLI::App app(info.description, info.name);
  command.add_to(app);
  daemon.add_options(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;  // 0: --help
  }

  auto config = load_config(command.config_file, daemon);
  if (!config) return complain(config.error().what);
  if (command.check_config) {
    fmt::print("{}: good\n", command.config_file);
    return 0;
  }
  command.apply_to(*config);

  NodeBuilder builder(std::move(*config));
  if (auto built = daemon.build(builder); !built) return complain(built.error().what);
  auto node = std::move(builder).build();
  if (!node) return complain(node.error().what);
  daemon.on_started(**node);
  const NodeExit exit = (*node)->run();
  const int status = daemon.on_stopped(**node);
  return exit == NodeExit::graceful ? status : static_cast<int>(exit);
}

}  // namespace siglane::runtime
