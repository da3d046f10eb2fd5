#include "apps/runtime/daemon.h"

#include <csignal>
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "apps/runtime/admin/secrets.h"
#include "apps/runtime/config_include.h"
#include "apps/runtime/credentials.h"
#include "apps/runtime/endpoint_checks.h"
#include "apps/runtime/key_files.h"
#include "apps/runtime/printable.h"
#include "apps/runtime/program.h"
#include "apps/runtime/reload.h"

namespace siglane::runtime {

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

int complain(const std::string& what) {
  (void)print(stderr, what + "\n");
  return kFailed;
}

}  // namespace

void CommandLine::add_to(CLI::App& app) {
  app.set_version_flag("--version", app.get_name() + " " + version());
  app.add_option("-c,--config", config_file, "The node's JSON config (config/schema.json)")
      ->required()
      ->type_name("FILE");
  app.add_flag("--check-config", check_config,
               "Say what is wrong with the config and these options, and stop");
  app.add_flag("--dump-effective-config", dump_effective_config,
               "Check the config in the same way, print all of it as JSON, with\n"
               "defaults and these options, and stop; secrets are masked");
  const auto transport_named = [this](const std::string& name) {
    transport = transport_kind_of(name);
    return transport ? std::string() : name + " is not one of sctp, kernel-sctp, usrsctp, tcp, tls";
  };
  app.add_option("--transport",
                 "Of all endpoints, instead of the config's: sctp, kernel-sctp, usrsctp, tcp, tls")
      ->check(transport_named)
      ->type_name("T");
  app.add_option("--admin-socket", admin_socket,
                 "Instead of the config's, for siglanectl; '': none")
      ->check([](const std::string& path) {
        if (path.size() <= kSocketPathMax) return std::string();
        return fmt::format("{} has {} bytes; expected a path of at most {}", in_quotes(path),
                           path.size(), kSocketPathMax);
      })
      ->type_name("PATH");
  const auto level_named = [this](const std::string& name) {
    log_level = log_level_of(name);
    return log_level ? std::string() : name + " is not one of debug, info, warning, error, off";
  };
  app.add_option("--log-level", "Instead of the config's: debug, info, warning, error, off")
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

void CommandLine::show_in(const ObjectReader& root) const {
  if (admin_socket) {
    root.object("admin").show_instead(
        "socket", {admin_socket->empty() ? std::string() : absolute_path(*admin_socket)});
  }
  if (log_level) root.object("log").show_instead("level", {std::string(name_of(*log_level))});
  if (!transport) return;
  for (const ObjectReader& endpoint : root.objects("endpoints")) {
    endpoint.show_instead("transport", {std::string(name_of(*transport))});
    if (const auto tls = endpoint.optional_object("tls"); tls && !is_sctp(*transport)) {
      tls->leave_out("require_sctp_auth");
    }
  }
}

std::string CommandLine::answer(const NodeConfig& config) const {
  return dump_effective_config ? to_text(config.effective) + "\n" : config_file + ": good\n";
}

Result<NodeConfig> load_config(const std::string& file, Daemon& daemon,
                               const CommandLine& command) {
  auto document = load_config_document(file);
  if (!document) return tl::unexpected(document.error());
  ConfigReader reader(*document);
  NodeConfig node = read_node_config(reader.root(), daemon.info().modules);
  node.program = daemon.info().name;
  node.file = file;
  daemon.read(reader.root(), node);
  check_endpoints_used(reader.root(), node);
  if (auto good = reader.finish(); !good) return tl::unexpected(good.error());
  command.apply_to(node);
  command.show_in(reader.root());
  node.effective = reader.effective();
  if (auto good = check_endpoints(node); !good) return tl::unexpected(good.error());
  if (auto good = daemon.check(); !good) {
    return failure(fmt::format("{}: {}", file, good.error().what));
  }
  if (auto good = load_credentials(node); !good) {
    return failure(fmt::format("{}: {}", file, good.error().what));
  }
  return node;
}

std::vector<std::string> key_file_warnings(const NodeConfig& node) {
  std::vector<std::string> warnings;
  for (const auto& [endpoint, module] : node.endpoints) {
    if (!endpoint.tls) continue;
    if (const auto warning = exposed_key_file("key file", endpoint.tls->key)) {
      warnings.push_back(fmt::format("endpoint \"{}\": {}", endpoint.name, *warning));
    }
  }
  for (std::string& warning : admin_secret_warnings(node.admin)) {
    warnings.push_back(std::move(warning));
  }
  return warnings;
}

int run_daemon(int argc, const char* const* argv, Daemon& daemon,
               const std::function<std::unique_ptr<Daemon>()>& another) {
  const Daemon::Info info = daemon.info();
  CommandLine command;
  occupy_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // who reads our log may go, and we stay
  raise_descriptor_limit();
  tune_heap();
  CLI::App app(info.description, info.name);
  app.footer(
      "SIGTERM and SIGINT stop the node: it says goodbye to its peers, for at most\n"
      "runtime.stop_grace_ms; a second one ends it at once. SIGHUP makes it read its config and "
      "its\n"
      "certificates again and follow what has changed; it never stops it. Exit status: 0; 1: the "
      "config is wrong or the node cannot start;\n"
      "2: wrong command line; 3: peers did not answer the goodbye; 128 + N: a second signal N.");
  command.add_to(app);
  daemon.add_options(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;  // 0: --help
  }

  auto config = load_config(command.config_file, daemon, command);
  if (!config) return complain(config.error().what);
  std::vector<std::string> to_mend = daemon.warnings();
  for (std::string& warning : key_file_warnings(*config)) to_mend.push_back(std::move(warning));
  if (command.asks_only()) {
    const auto credentials = load_credentials(*config);
    if (!credentials) return complain(credentials.error().what);
    to_mend.insert(to_mend.end(), credentials->warnings.begin(), credentials->warnings.end());
    for (const std::string& warning : to_mend) {
      (void)print(stderr, fmt::format("{}: warning: {}\n", command.config_file, warning));
    }
    return print(stdout, command.answer(*config)) ? 0 : kFailed;
  }
  if (const auto status = daemon.instead_of_running()) return *status;

  Reloader reloader(daemon, another, {argv, argv + argc});
  NodeBuilder builder(std::move(*config));
  if (another) {
    builder.on_reload([&reloader](Node& node, bool dry_run, auto then) {
      reloader.reload(node, dry_run, std::move(then));
    });
  }
  for (std::string& warning : to_mend) builder.warn(std::move(warning));
  if (auto built = daemon.build(builder); !built) return complain(built.error().what);
  auto node = std::move(builder).build();
  if (!node) return complain(node.error().what);
  daemon.on_started(**node);
  const NodeExit exit = (*node)->run();
  // Nobody hears signals any more: from here on they end the process as they always do.
  for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
  reloader.finish();
  const int status = daemon.on_stopped(**node);
  return exit == NodeExit::graceful ? status : static_cast<int>(exit);
}

}  // namespace siglane::runtime
