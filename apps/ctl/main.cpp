// siglanectl: what nodes are doing, and why.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "apps/ctl/explain.h"
#include "apps/ctl/node_link.h"
#include "apps/ctl/table.h"
#include "apps/ctl/views.h"
#include "apps/runtime/admin/secrets.h"
#include "apps/runtime/printable.h"
#include "apps/runtime/program.h"

namespace siglane::ctl {
namespace {

// Of route-lookup: a Diameter request, if it has a realm; else DATA.
struct Lookup {
  std::string realm, host, application;
  std::uint32_t dpc = 0, opc = 0, si = 3, sls = 0;
  std::optional<std::uint32_t> network_appearance;
};

struct Options {
  std::vector<std::string> sockets, urls;
  std::string token_file, authorities;
  std::string what;
  bool json = false, wide = false, names = false;
  bool all = false;
  std::string peer;  // of `stats` and of orders; empty: none
  bool by_peer = false;
  bool labels = false;
  bool dry_run = false;
  std::string level;
  Lookup lookup;
  std::uint32_t facts_max = 100;
  double watch_seconds = 0;  // 0: once
  std::size_t frames_max = 0;
  double timeout_seconds = 3;
};

struct Order {
  const char* name;
  admin::OrderRequest::Verb verb;
  const char* help;
};
constexpr std::array kOrders = {
    Order{"disconnect", admin::OrderRequest::DISCONNECT,
          "End a peer's associations with a goodbye; until connect, do not connect to it\n"
          "and refuse it when it connects"},
    Order{"connect", admin::OrderRequest::CONNECT,
          "Let a peer connect again; connect to it now, if it is one that we connect to"},
    Order{"block", admin::OrderRequest::BLOCK,
          "Give a peer no traffic, until unblock; its association stays"},
    Order{"unblock", admin::OrderRequest::UNBLOCK, "Give a peer traffic again"},
    Order{"peel", admin::OrderRequest::PEEL,
          "Give a peer's associations that share a socket sockets of their own"},
};

const Order* order_named(std::string_view name) {
  const auto it = std::ranges::find(kOrders, name, &Order::name);
  return it == kOrders.end() ? nullptr : &*it;
}

// A command is done once; what is only looked at may be looked at again and again.
bool is_command(const std::string& what) {
  return what == "explain" || what == "reload" || what == "log-level" ||
         order_named(what) != nullptr;
}

Duration as_duration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

void fill(const Lookup& lookup, admin::RouteLookupRequest& request) {
  if (!lookup.realm.empty()) {
    request.mutable_diameter()->set_realm(lookup.realm);
    request.mutable_diameter()->set_host(lookup.host);
    request.mutable_diameter()->set_application(lookup.application);
    return;
  }
  admin::RouteLookupRequest::Data& data = *request.mutable_m3ua();
  data.set_destination_point_code(lookup.dpc);
  data.set_originating_point_code(lookup.opc);
  data.set_service_indicator(lookup.si);
  data.set_sls(lookup.sls);
  if (lookup.network_appearance) data.set_network_appearance(*lookup.network_appearance);
}

admin::Request request_for(const Options& options) {
  admin::Request request;
  if (options.what == "peers") {
    request.mutable_peers();
  } else if (options.what == "associations") {
    request.mutable_associations();
  } else if (options.what == "stats") {
    request.mutable_stats()->set_peer(options.peer);
    request.mutable_stats()->set_by_peer(options.by_peer);
    request.mutable_stats()->set_labels(options.labels);
  } else if (options.what == "drops") {
    request.mutable_drops();
  } else if (options.what == "as") {
    request.mutable_application_servers();
  } else if (options.what == "routes") {
    request.mutable_routes();
  } else if (options.what == "route-lookup") {
    fill(options.lookup, *request.mutable_route_lookup());
  } else if (options.what == "reload") {
    request.mutable_reload()->set_dry_run(options.dry_run);
  } else if (options.what == "log-level") {
    request.mutable_log_level()->set_level(options.level);
  } else if (const Order* order = order_named(options.what)) {
    request.mutable_order()->set_peer(options.peer);
    request.mutable_order()->set_verb(order->verb);
  } else {
    request.mutable_facts()->set_count_max(options.facts_max);
  }
  return request;
}

std::string view(const Options& options, const std::vector<admin::Response>& nodes,
                 const std::vector<admin::Response>& earlier, std::size_t width) {
  if (options.json) return json_view(nodes);
  if (options.names) return names_view(nodes);
  if (options.what == "peers") return peers_view(nodes, width);
  if (options.what == "associations") return associations_view(nodes, width);
  if (options.what == "stats") return stats_view(nodes, options.all, earlier, width);
  if (options.what == "drops") return drops_view(nodes, width);
  if (options.what == "as") return application_servers_view(nodes, width);
  if (options.what == "routes") return routes_view(nodes, width);
  if (options.what == "route-lookup") return route_lookup_view(nodes, width);
  if (is_command(options.what)) return command_view(nodes);
  return facts_view(nodes);
}

// false: a node does not answer, or has no such thing.
bool explain(std::vector<NodeLink>& links, const Options& options) {
  bool good = true;
  for (NodeLink& link : links) {
    const auto found = find(link, options.peer, as_duration(options.timeout_seconds));
    if (!found) {
      fmt::print(stderr, "{}\n", found.error().what);
      good = false;
      continue;
    }
    if (links.size() > 1) fmt::print("{}:\n", runtime::printable(found->node, ""));
    fmt::print("{}", explanation(*found));
  }
  return good;
}

struct Screen {
  std::size_t lines = 1000, columns = Table::kWidth;  // of what is no terminal
};

Screen screen() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2;
  return known ? Screen{size.ws_row - 1u, size.ws_col} : Screen{};
}

// Writes over the frame before, line by line, so that nothing flickers.
void redraw(std::string_view frame) {
  std::string out = "\x1b[H";
  for (const char c : frame) out += c == '\n' ? std::string("\x1b[K\n") : std::string(1, c);
  out += "\x1b[J";
  std::fwrite(out.data(), 1, out.size(), stdout);
}

int run(const Options& options, const std::string& token) {
  std::vector<NodeLink> links;
  for (const std::string& path : options.sockets) links.emplace_back(NodeAddress{.socket = path});
  for (const std::string& url : options.urls) {
    links.emplace_back(NodeAddress{.url = url, .token = token, .authorities = options.authorities});
  }
  if (options.what == "explain") return explain(links, options) ? 0 : EXIT_FAILURE;
  const bool watching = options.watch_seconds > 0;
  const bool facts = options.what == "facts";
  const bool in_place = watching && !options.json && !facts && isatty(STDOUT_FILENO) == 1;
  if (in_place) fmt::print("\x1b[2J");

  std::vector<admin::Response> earlier;
  std::string earlier_errors;
  for (std::size_t frame = 1;; ++frame) {
    std::vector<admin::Response> nodes;
    std::string errors;
    for (NodeLink& link : links) {
      auto response = link.ask(request_for(options), as_duration(options.timeout_seconds));
      if (!response) {
        errors += response.error().what + "\n";
        continue;
      }
      nodes.push_back(std::move(*response));
    }
    const Screen fits = screen();
    const std::size_t width = options.wide ? std::string::npos : fits.columns;
    const std::string text = nodes.empty() ? "" : view(options, nodes, earlier, width);
    if (in_place) {
      redraw(fitted_to_screen(errors + text, fits.lines, fits.columns));
    } else {
      std::fwrite(text.data(), 1, text.size(), stdout);
      if (watching && !options.json && !facts && !text.empty()) std::fputc('\n', stdout);
      if (errors != earlier_errors) std::fputs(errors.c_str(), stderr);  // a lasting one once
    }
    earlier_errors = errors;
    if (std::fflush(stdout) != 0) return EXIT_FAILURE;
    if (!watching || frame == options.frames_max) return errors.empty() ? 0 : EXIT_FAILURE;
    earlier = std::move(nodes);
    std::this_thread::sleep_for(as_duration(options.watch_seconds));
  }
}

void add_stats(CLI::App& app, Options& options) {
  CLI::App* stats = app.add_subcommand("stats", "What is counted: for the node, or for its peers");
  stats->add_flag("--all", options.all, "Also counters that are zero");
  CLI::Option* peer =
      stats->add_option("--peer", options.peer, "Of this peer, from its identification on")
          ->check([](const std::string& name) {
            return name.empty() ? std::string("is empty; expected a peer's name") : std::string();
          })
          ->type_name("NAME");
  CLI::Option* by_peer = stats->add_flag("--by-peer", options.by_peer, "Of every peer");
  stats
      ->add_flag("--labels", options.labels,
                 "Also the parts of a counter: by application, command and result, by message type")
      ->excludes(peer)
      ->excludes(by_peer);
  by_peer->excludes(peer);
}

void add_lookup(CLI::App& app, Lookup& lookup) {
  CLI::App* command =
      app.add_subcommand("route-lookup", "Which way a message would go, and why not another");
  const auto not_empty = [](const std::string& text) {
    return text.empty() ? std::string("is empty") : std::string();
  };
  CLI::Option* realm =
      command->add_option("--realm", lookup.realm, "A Diameter request: its Destination-Realm")
          ->check(not_empty)
          ->type_name("REALM");
  CLI::Option* application =
      command
          ->add_option("--application", lookup.application, "Its application: name (S6a) or number")
          ->check(not_empty)
          ->needs(realm)
          ->type_name("NAME");
  realm->needs(application);
  command->add_option("--host", lookup.host, "Its Destination-Host")
      ->needs(realm)
      ->type_name("HOST");
  CLI::Option* dpc =
      command->add_option("--dpc", lookup.dpc, "M3UA DATA: its destination point code")
          ->excludes(realm)
          ->type_name("N");
  const auto of_data = [command, dpc](const char* name, auto& value, const char* help) {
    return command->add_option(name, value, help)->needs(dpc)->type_name("N");
  };
  of_data("--opc", lookup.opc, "Its originating point code (0)");
  of_data("--si", lookup.si, "Its service indicator (3: SCCP)")->check(CLI::Range(0, 255));
  of_data("--sls", lookup.sls, "Its signalling link selection (0)")->check(CLI::Range(0, 255));
  of_data("--na", lookup.network_appearance,
          "The network that it comes from (the default network)");
  command->callback([realm, dpc] {
    if (realm->count() + dpc->count() > 0) return;
    throw CLI::RequiredError("route-lookup: expected --realm REALM --application NAME, or --dpc N",
                             CLI::ExitCodes::RequiredError);
  });
}

void add_commands(CLI::App& app, Options& options) {
  app.add_subcommand("reload", "Read the config again and follow what has changed, as on SIGHUP")
      ->add_flag("--dry-run", options.dry_run, "Only say what would change");
  for (const Order& order : kOrders) {
    app.add_subcommand(order.name, order.help)
        ->add_option("peer", options.peer, "The peer's name in the config")
        ->required()
        ->type_name("PEER");
  }
  app.add_subcommand("log-level", "Log what is of this level or worse, until the node stops")
      ->add_option("level", options.level)
      ->required()
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->type_name("LEVEL");
}

// In place of CLI11's own checks, which name neither an unknown subcommand nor those that there
// are.
void check_command(const CLI::App& app, const Options& options) {
  std::string known;
  for (const CLI::App* one : app.get_subcommands({})) {
    known += (known.empty() ? "" : ", ") + one->get_name();
  }
  const std::vector<std::string> unknown = app.remaining(true);
  const bool chosen = !app.get_subcommands().empty();
  if (!unknown.empty()) {
    const std::string word = runtime::in_quotes(unknown.front());
    throw CLI::ExtrasError(
        chosen ? word + " was not expected with " + app.get_subcommands().front()->get_name()
               : word + " is no subcommand; expected one of " + known,
        CLI::ExitCodes::ExtrasError);
  }
  if (!chosen)
    throw CLI::RequiredError("missing subcommand; expected one of " + known,
                             CLI::ExitCodes::RequiredError);
  if (options.sockets.empty() && options.urls.empty()) {
    throw CLI::RequiredError(
        "which node? Expected --socket PATH or SIGLANE_ADMIN_SOCKET, with the node's admin.socket, "
        "or --url URL",
        CLI::ExitCodes::RequiredError);
  }
}

// Of this machine: nobody else hears what is said.
bool is_loopback(std::string_view url) {
  const std::string_view host = url.substr(std::string_view("http://").size());
  return host.starts_with("localhost") || host.starts_with("127.") || host.starts_with("[::1]");
}

void check_urls(Options& options) {
  for (std::string& url : options.urls) {
    while (url.ends_with('/')) url.pop_back();
    if (!options.token_file.empty() && url.starts_with("http://") && !is_loopback(url)) {
      throw CLI::ValidationError(
          "--token-file", "the token would go to " + url + " in the clear; expected https://");
    }
  }
}

int parse_and_run(int argc, char** argv) {
  Options options;
  CLI::App app("What Siglane nodes are doing, and why, and what they shall do", "siglanectl");
  app.set_version_flag("--version", std::string("siglanectl ") + runtime::version());
  app.footer(
      "Latencies are the times that messages stay inside the node; rates are those of the last\n"
      "second, and of stats those since the frame before. Exit status: 0; 1: a node did not "
      "answer\n"
      "(the others' answers are shown) or has not done what was asked; 2: wrong command line.");
  app.add_option("-s,--socket", options.sockets,
                 "A node's admin socket (admin.socket in its config); repeat it for several nodes")
      ->envname("SIGLANE_ADMIN_SOCKET")
      ->take_all()
      ->allow_extra_args(false)
      ->type_name("PATH");
  app.add_option("-u,--url", options.urls,
                 "A node's admin.http, as in https://node.example:8080; repeat it for several")
      ->take_all()
      ->allow_extra_args(false)
      ->check([](const std::string& url) {
        const bool good = url.starts_with("http://") || url.starts_with("https://");
        return good ? std::string() : url + " does not begin with http:// or https://";
      })
      ->type_name("URL");
  app.add_option("--token-file", options.token_file,
                 "With --url: file with the token that the node wants to see")
      ->envname("SIGLANE_ADMIN_TOKEN_FILE")
      ->type_name("FILE");
  app.add_option("--ca", options.authorities,
                 "With --url: file with the authorities of the node's certificate, in PEM (the\n"
                 "system's)")
      ->type_name("FILE");
  std::string format = "table";
  app.add_option(
         "-o,--output", format,
         "table (default); wide: all columns, however narrow the terminal is; json: one object\n"
         "a line for each node, with the fields of proto/siglane/admin/v1/admin.proto; or name:\n"
         "of peers and as, the names alone")
      ->check(CLI::IsMember({"table", "wide", "json", "name"}));
  std::string watch;
  CLI::Option* watching =
      app.add_option("-w,--watch", watch, "Again every SECONDS (1), in place on a terminal")
          ->expected(0, 1)
          ->type_name("[SECONDS]");
  app.add_option("--frames", options.frames_max, "With --watch: end after so many; 0: go on")
      ->type_name("N");
  app.add_option("--timeout", options.timeout_seconds, "How long to wait for an answer (3)")
      ->check(CLI::Range(0.01, 3600.0))
      ->type_name("SECONDS");
  app.fallthrough();
  app.require_subcommand(0, 1);  // check_command() says which are there
  app.allow_extras();
  app.add_subcommand("peers", "The peers there are, how they fare, and why");
  app.add_subcommand("associations", "One line for each association: where it sits, why, how fast");
  add_stats(app, options);
  app.add_subcommand("drops", "Messages dropped or refused: why, whose, how many, the last one");
  app.add_subcommand("facts", "What happened lately; with --watch also what happens")
      ->add_option("--max", options.facts_max,
                   "How many, the latest ones (100); 0: all that are kept")
      ->type_name("N");
  app.add_subcommand("as", "M3UA's Application Servers: their state and that of their ASPs");
  app.add_subcommand("routes", "Where messages may go, and what state that is in");
  add_lookup(app, options.lookup);
  app.add_subcommand("explain", "In words: what it is, how it stands, and what would bring it up")
      ->add_option("name", options.peer,
                   "A peer, an Application Server, or an association's number")
      ->required()
      ->type_name("NAME");
  add_commands(app, options);
  try {
    app.parse(argc, argv);
    check_command(app, options);
    options.what = app.get_subcommands().front()->get_name();
    options.json = format == "json";
    options.wide = format == "wide";
    options.names = format == "name";
    check_urls(options);
    if (options.names && options.what != "peers" && options.what != "as") {
      throw CLI::ValidationError("--output", "name is for peers and as");
    }
    if (watching->count() > 0 && is_command(options.what)) {
      throw CLI::ValidationError("--watch", options.what + " is done once");
    }
    if (watching->count() > 0) {
      options.watch_seconds = watch.empty() ? 1 : std::strtod(watch.c_str(), nullptr);
      if (!(options.watch_seconds >= 0.05 && options.watch_seconds <= 86400)) {
        throw CLI::ValidationError("--watch", watch + " is not a number from 0.05 to 86400");
      }
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto token = runtime::load_token(options.token_file);
  if (!token) {
    fmt::print(stderr, "siglanectl: {}\n", token.error().what);
    return EXIT_FAILURE;
  }
  return run(options, *token);
}

}  // namespace
}  // namespace siglane::ctl

int main(int argc, char** argv) {
  siglane::runtime::occupy_standard_descriptors();
  return siglane::ctl::parse_and_run(argc, argv);
}
