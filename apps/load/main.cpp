#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "apps/load/answer_log.h"
#include "apps/load/config.h"
#include "apps/load/m3ua_load.h"
#include "apps/load/s6a_load.h"
#include "apps/load/tool.h"
#include "apps/runtime/daemon.h"
#include "apps/runtime/program.h"
#include "apps/runtime/wall_time.h"

namespace siglane::load {
namespace {

struct Options {
  Overrides overrides;
  ToolOptions tool;
  std::string answers_file;
  std::optional<double> duration_s, connect_timeout_s;
  bool tolerate_reconnect = false;

  void add_to(CLI::App& app) {
    overrides.common.add_to(app);
    app.add_option("--target", overrides.target, "Whom to load, instead of the config's target")
        ->type_name("ADDRESS[:PORT]");
    app.add_option("--duration", duration_s,
                   "How long to send, instead of the config's duration_ms")
        ->check(CLI::Range(0.001, 86400.0))
        ->type_name("SECONDS");
    app.add_option("--connect-timeout", connect_timeout_s,
                   "How long peers may take to come up, instead of the\n"
                   "config's connect_timeout_ms")
        ->check(CLI::Range(0.01, 600.0))
        ->type_name("SECONDS");
    app.add_option("--seed", overrides.seed, "Of everything random, instead of the config's")
        ->type_name("N");
    app.add_option("--json", tool.json_file,
                   "Write the report as JSON (docs/operating.md); -: to standard\n"
                   "output, and the readable one to standard error")
        ->type_name("FILE");
    app.add_flag("--quiet", tool.quiet, "No progress line on standard error");
    app.add_flag("--tolerate-reconnect", tolerate_reconnect,
                 "Lost connections and what was under way on them do not fail the run");
  }
  void complete() {
    auto duration = [](double s) { return Duration(static_cast<Duration::rep>(s * 1e9)); };
    if (duration_s) overrides.duration = duration(*duration_s);
    if (connect_timeout_s) overrides.connect_timeout = duration(*connect_timeout_s);
    if (tolerate_reconnect) overrides.tolerate_reconnect = true;
  }
};

int complain(const std::string& what) {
  (void)runtime::print(stderr, fmt::format("siglane-load: {}\n", what));
  return 1;
}

// As it is: what reads FILE:LINE: finds it at the line's beginning.
int complain_of_config(const std::string& what) {
  (void)runtime::print(stderr, what + "\n");
  return 1;
}

int answer(const runtime::CommandLine& command, const runtime::NodeConfig& config) {
  return runtime::print(stdout, command.answer(config)) ? 0 : 1;
}

// Tells this run's messages and Session-Ids from every other's, of the same seed too.
std::uint32_t new_run() {
  return static_cast<std::uint32_t>(runtime::unix_ms_now());
}

int run_s6a(const Options& options) {
  const runtime::CommandLine& command = options.overrides.common;
  auto config = load_s6a_config(command.config_file, options.overrides);
  if (!config) return complain_of_config(config.error().what);
  if (command.asks_only()) return answer(command, config->load.node);
  config->requests.run = new_run();
  std::unique_ptr<AnswerLog> answers;
  if (!options.answers_file.empty()) {
    auto log = AnswerLog::create(options.answers_file);
    if (!log) return complain(log.error().what);
    answers = std::move(*log);
  }
  S6aLoad traffic(*config, std::move(answers));
  return run_tool(config->load, options.tool, traffic);
}

int run_m3ua(const Options& options) {
  const runtime::CommandLine& command = options.overrides.common;
  auto config = load_m3ua_config(command.config_file, options.overrides);
  if (!config) return complain_of_config(config.error().what);
  if (command.asks_only()) return answer(command, config->load.node);
  config->traffic.run = new_run();
  M3uaLoad traffic(*config);
  return run_tool(config->load, options.tool, traffic);
}

int run(int argc, char** argv) {
  constexpr int kWrongUsage = 2;
  Options s6a, m3ua;
  CLI::App app("Traffic for signaling nodes: many sporadic peers and a few heavy ones",
               "siglane-load");
  app.set_version_flag("--version", std::string("siglane-load ") + runtime::version());
  app.footer(
      "SIGINT, SIGTERM and SIGHUP end the sending; the report comes all the same. Exit status: 0:\n"
      "everything was answered without an error, nothing was lost, doubled, reordered or damaged,\n"
      "and no connection broke; 1: otherwise, or the config is wrong, or not all peers came up;\n"
      "2: wrong command line; 128 + N: a second signal N, SIGTERM or SIGINT. See also\n"
      "siglane-load s6a --help and siglane-load m3ua --help.");
  app.require_subcommand(1);
  CLI::App* s6a_app = app.add_subcommand("s6a", "MMEs towards an HSS: AIR, ULR, PUR");
  s6a.add_to(*s6a_app);
  s6a_app
      ->add_option("--answers", s6a.answers_file,
                   "Keep what was answered with success: a line of JSON for each\n"
                   "AIA, ULA and PUA")
      ->type_name("FILE");
  CLI::App* m3ua_app = app.add_subcommand("m3ua", "ASPs towards an STP: DATA from each to each");
  m3ua.add_to(*m3ua_app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;  // 0: --help
  }
  Options& chosen = s6a_app->parsed() ? s6a : m3ua;
  chosen.complete();
  return s6a_app->parsed() ? run_s6a(chosen) : run_m3ua(chosen);
}

}  // namespace
}  // namespace siglane::load

int main(int argc, char** argv) {
  siglane::runtime::occupy_standard_descriptors();
  return siglane::load::run(argc, argv);
}
