// siglanectl: what nodes are doing, and why.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "apps/ctl/admin_client.h"
#include "apps/ctl/views.h"

namespace siglane::ctl {
namespace {

struct Options {
  std::vector<std::string> sockets;
  std::string what;
  bool json = false;
  bool all = false;
  std::uint32_t facts_max = 100;
  double watch_seconds = 0;  // 0: once
  std::size_t frames_max = 0;
  double timeout_seconds = 3;
};

Duration as_duration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

// One node, reconnected when it comes back.
struct NodeLink {
  std::string path;
  std::optional<AdminClient> client;
  std::uint64_t last_fact = 0;

  Result<admin::Response> ask(const admin::Request& request, Duration timeout) {
    if (!client) {
      auto connected = AdminClient::connect(path);
      if (!connected) return tl::unexpected(connected.error());
      client = std::move(*connected);
    }
    auto response = client->ask(request, timeout);
    if (!response) client.reset();
    return response;
  }
};

admin::Request request_for(const Options& options, const NodeLink& link) {
  admin::Request request;
  if (options.what == "peers") {
    request.mutable_peers();
  } else if (options.what == "associations") {
    request.mutable_associations();
  } else if (options.what == "stats") {
    request.mutable_stats();
  } else {
    request.mutable_facts()->set_after(link.last_fact);
    request.mutable_facts()->set_count_max(options.facts_max);
  }
  return request;
}

std::string view(const Options& options, const std::vector<admin::Response>& nodes,
                 const std::vector<admin::Response>& earlier) {
  if (options.json) return json_view(nodes);
  if (options.what == "peers") return peers_view(nodes);
  if (options.what == "associations") return associations_view(nodes);
  if (options.what == "stats") return stats_view(nodes, options.all, earlier);
  return facts_view(nodes);
}

// Writes over the frame before: line by line, so that nothing flickers, and no more than fit.
void redraw(const std::string& text) {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2;
  const std::size_t lines_max = known ? size.ws_row - 1u : 1000;
  std::string out = "\x1b[H";
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size() && lines < lines_max; ++lines) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += text.substr(at, end - at) + "\x1b[K\n";
    at = end + 1;
  }
  out += "\x1b[J";
  std::fwrite(out.data(), 1, out.size(), stdout);
}

int run(const Options& options) {
  std::vector<NodeLink> links;
  for (const std::string& path : options.sockets) links.push_back({path, std::nullopt, 0});
  const bool watching = options.watch_seconds > 0;
  const bool facts = options.what == "facts";
  const bool in_place = watching && !options.json && !facts && isatty(STDOUT_FILENO) == 1;
  if (in_place) fmt::print("\x1b[2J");

  std::vector<admin::Response> earlier;
  for (std::size_t frame = 1;; ++frame) {
    std::vector<admin::Response> nodes;
    std::string errors;
    for (NodeLink& link : links) {
      auto response = link.ask(request_for(options, link), as_duration(options.timeout_seconds));
      if (!response) {
        errors += response.error().what + "\n";
        continue;
      }
      if (response->facts().fact_size() > 0) {
        link.last_fact = response->facts().fact(response->facts().fact_size() - 1).number();
      }
      nodes.push_back(std::move(*response));
    }
    const std::string text = nodes.empty() ? "" : view(options, nodes, earlier);
    if (in_place) {
      redraw(errors + text);
    } else {
      std::fwrite(text.data(), 1, text.size(), stdout);
      if (watching && !options.json && !facts && !text.empty()) std::fputc('\n', stdout);
      std::fputs(errors.c_str(), stderr);
    }
    if (std::fflush(stdout) != 0) return EXIT_FAILURE;
    if (!watching || frame == options.frames_max) return errors.empty() ? 0 : EXIT_FAILURE;
    earlier = std::move(nodes);
    std::this_thread::sleep_for(as_duration(options.watch_seconds));
  }
}

int parse_and_run(int argc, char** argv) {
  Options options;
  CLI::App app("What Siglane nodes are doing, and why", "siglanectl");
  app.add_option("-s,--socket", options.sockets,
                 "A node's admin socket; may be given several times")
      ->envname("SIGLANE_ADMIN_SOCKET")
      ->required()
      ->take_all()
      ->allow_extra_args(false)
      ->type_name("PATH");
  std::string format = "table";
  app.add_option("-o,--output", format, "table or json (one object a line for each node)")
      ->check(CLI::IsMember({"table", "json"}));
  std::string watch;
  CLI::Option* watching =
      app.add_option("-w,--watch", watch, "Again every SECONDS (1), in place on a terminal")
          ->expected(0, 1)
          ->type_name("[SECONDS]");
  app.add_option("--frames", options.frames_max, "With --watch: end after so many");
  app.add_option("--timeout", options.timeout_seconds, "How many seconds to wait for an answer")
      ->check(CLI::Range(0.01, 3600.0));
  app.fallthrough();
  app.require_subcommand(1);
  app.add_subcommand("peers", "The peers there are, and how they fare");
  app.add_subcommand("associations", "One line for each association: where it sits, why, how fast");
  app.add_subcommand("stats", "The node's counters")
      ->add_flag("--all", options.all, "Also those that are zero");
  app.add_subcommand("facts", "What happened lately; with --watch also what happens")
      ->add_option("--max", options.facts_max, "How many, the latest ones");
  try {
    app.parse(argc, argv);
    options.what = app.get_subcommands().front()->get_name();
    options.json = format == "json";
    if (watching->count() > 0) {
      options.watch_seconds = watch.empty() ? 1 : std::strtod(watch.c_str(), nullptr);
      if (!(options.watch_seconds >= 0.05 && options.watch_seconds <= 86400)) {
        throw CLI::ValidationError("--watch", watch + " is not a number from 0.05 to 86400");
      }
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(options);
}

}  // namespace
}  // namespace siglane::ctl

int main(int argc, char** argv) {
  return siglane::ctl::parse_and_run(argc, argv);
}
