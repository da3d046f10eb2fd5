// How long a new config keeps a node's loop from everything else: the longest turn of the loop
// from the SIGHUP until the node follows, in processor time of its thread. Beside it, what the
// reload thread builds: a loop that did that itself would take so much longer.
//
//   reload_turns_bench diameter PEERS
//   reload_turns_bench m3ua ASPS ROUTES
//
// diameter: PEERS configured peers, none connected; the new config has another timer, and one peer
// more. m3ua: ASPS active ASPs over TCP, each in an Application Server of its own, which ROUTES
// routes lead to; the new config lacks 1,000 of the routes, and all other ASPs hear of it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "apps/runtime/diameter_daemon.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "apps/runtime/reload.h"
#include "apps/stp/daemon.h"
#include "protocols/diameter/constants.h"
#include "protocols/m3ua/counters.h"
#include "tests/support/temporary_directory.h"

namespace siglane::runtime {
namespace {

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

// The loop's own work, whatever else the machine does.
double thread_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// Nobody is here to ask it: peers are what this is about.
class Nobody final : public diameter::Application {
 public:
  using Application::Application;

 private:
  void on_request(diameter::RequestPtr, const diameter::MessageView&, Instant, Outbox&) override {}
};

class DiameterNode final : public DiameterDaemon {
  Info info() const override { return {"node", "", {"diameter"}}; }
  std::vector<diameter::SupportedApplication> applications() const override {
    return {{diameter::application::s6a, diameter::vendor::tgpp}};
  }
  std::unique_ptr<diameter::Application> make_application(const diameter::DiameterModule& module,
                                                          std::uint64_t seed) override {
    return std::make_unique<Nobody>(module, seed);
  }
};

std::string joined(std::size_t count, const std::function<std::string(std::size_t)>& one) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += (i == 0 ? "" : ",\n") + one(i);
  return all;
}

std::string config_of(std::string_view module, const std::string& section) {
  return fmt::format(
      R"({{"node": {{"name": "node"}}, "log": {{"level": "off"}},
      "endpoints": [{{"name": "main", "module": "{0}", "transport": "tcp",
                      "addresses": ["127.0.0.1"], "port": 0, "listen": true}}],
      "admission": {{"unidentified_associations_max": 65536}},
      "{0}": {1}}})",
      module, section);
}

std::string diameter_config(std::size_t peers, int watchdog_ms) {
  return config_of("diameter",
                   fmt::format(R"({{"origin_host": "node.example", "origin_realm": "example",
                       "watchdog_ms": {}, "peers": [{}]}})",
                               watchdog_ms, joined(peers, [](std::size_t i) {
                                 return fmt::format(
                                     R"({{"name": "peer{0}", "origin_host": "peer{0}.example",
                                            "remote_addresses": ["127.{1}.{2}.1"]}})",
                                     i, i / 250, i % 250);
                               })));
}

// Routes from `first` on: with ten to each Application Server, the others keep some.
std::string m3ua_config(std::size_t asps, std::size_t first, std::size_t routes) {
  const auto asp = [](std::size_t i) {
    return fmt::format(R"({{"name": "asp{0}", "asp_identifier": {0},
                            "remote_addresses": ["127.0.0.1"]}})",
                       i);
  };
  const auto server = [](std::size_t i) {
    return fmt::format(R"({{"name": "as{0}", "routing_context": {0}, "traffic_mode": "loadshare",
                            "asps": ["asp{0}"]}})",
                       i);
  };
  const auto route = [&](std::size_t i) {
    return fmt::format(R"({{"dpc": {}, "as": "as{}"}})", first + i, (first + i) % asps);
  };
  return config_of("m3ua",
                   fmt::format(R"({{"heartbeat_interval_ms": 0, "asps": [{}],
                                "application_servers": [{}], "routes": [{}]}})",
                               joined(asps, asp), joined(asps, server), joined(routes, route)));
}

std::uint16_t port_of(Node& node) {
  for (;; node.turn(false)) {
    for (const KeptFact& kept : node.facts().after(0, 100)) {
      for (const FactField& field : kept.fact.fields) {
        if (field.key == "port") return static_cast<std::uint16_t>(std::stoi(field.value));
      }
    }
  }
}

// Connects and says ASPUP and ASPAC; what it hears it never reads.
int active_asp(std::uint16_t port, std::uint32_t identifier) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    fail("cannot connect");
  }
  std::uint8_t said[] = {1, 0, 3, 1, 0, 0, 0, 16, 0, 17, 0, 8, 0, 0, 0, 0,  // ASPUP
                         1, 0, 4, 1, 0, 0, 0, 8};                           // ASPAC
  const std::uint32_t value = htonl(identifier);
  std::memcpy(said + 12, &value, sizeof value);
  if (::send(fd, said, sizeof said, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof said)) {
    fail("cannot send");
  }
  return fd;
}

std::size_t active_asps(const Node& node) {
  std::size_t active = 0;
  const_cast<Node&>(node).on_each_shard(
      [&](const Shard& shard, const Transport&) {
        shard.visit_sessions([&](const SessionView& view) {
          if (view.session->status().state == "ASP-ACTIVE" && !view.coordinator) ++active;
        });
      },
      [] {});
  return active;
}

struct Figures {
  double longest_turn_ms = 0, built_beside_ms = 0;
};

template <class D>
struct Running {
  explicit Running(const std::string& first) : file(directory.write("node.json", first)) {
    auto config = load_config(file, daemon);
    if (!config) fail(config.error().what);
    NodeBuilder builder(std::move(*config));
    builder.embed();
    reloader = std::make_unique<Reloader>(
        daemon, [] { return std::make_unique<D>(); },
        std::vector<std::string>{"node", "--config", file});
    builder.on_reload([this](Node& of, bool dry_run, auto then) {
      reloader->reload(of, dry_run, std::move(then));
    });
    if (auto built = daemon.build(builder); !built) fail(built.error().what);
    auto made = std::move(builder).build();
    if (!made) fail(made.error().what);
    node = std::move(*made);
  }
  ~Running() { reloader->finish(); }

  // What the node would be given to follow the config of now.
  double build() {
    D next;
    auto config = load_config(file, next);
    if (!config) fail(config.error().what);
    const double began = thread_ms();
    Reconfiguration reconfiguration;
    (void)daemon.build_next(next, reconfiguration);
    reconfiguration.config = std::move(*config);
    if (!node->build_revision(std::move(reconfiguration))) fail("nothing built");
    return thread_ms() - began;
  }

  // The longest turn while it follows `next`, and the turns right after.
  Figures follow(const std::string& next) {
    directory.write("node.json", next);
    const double built = build();
    bool done = false;
    double longest = 0;
    node->reload(false, [&](const ReloadOutcome& outcome) {
      if (!outcome.good || outcome.revision != 2) fail("no revision 2: " + outcome.text);
      done = true;
    });
    for (int after = 0; after < 20; after += done ? 1 : 0) {
      const double began = thread_ms();
      node->turn(false);
      longest = std::max(longest, thread_ms() - began);
    }
    return {longest, built};
  }

  siglane::testing::TemporaryDirectory directory;
  std::string file;
  D daemon;
  std::unique_ptr<Reloader> reloader;
  std::unique_ptr<Node> node;
};

Figures diameter_turn(std::size_t peers) {
  Running<DiameterNode> running(diameter_config(peers, 30000));
  return running.follow(diameter_config(peers + 1, 20000));
}

Figures m3ua_turn(std::size_t asps, std::size_t routes) {
  constexpr std::size_t kRoutesLess = 1000;
  const rlimit descriptors{2 * asps + 100, 2 * asps + 100};
  if (::setrlimit(RLIMIT_NOFILE, &descriptors) != 0) fail("setrlimit");
  Running<stp::StpDaemon> running(m3ua_config(asps, 1, routes));
  const std::uint16_t port = port_of(*running.node);
  std::vector<int> peers;
  while (peers.size() < asps) {
    for (std::size_t i = 0; i < 64 && peers.size() < asps; ++i) {
      peers.push_back(active_asp(port, static_cast<std::uint32_t>(peers.size())));
    }
    while (active_asps(*running.node) < peers.size()) running.node->turn(false);
  }
  const Figures figures = running.follow(m3ua_config(asps, 1 + kRoutesLess, routes - kRoutesLess));
  for (const int fd : peers) ::close(fd);
  return figures;
}

void print(const Figures& figures) {
  std::printf("{\"longest_turn_ms\": %.2f, \"built_beside_ms\": %.2f}\n", figures.longest_turn_ms,
              figures.built_beside_ms);
}

int run(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "diameter" && argc == 3) {
    print(diameter_turn(std::stoul(argv[2])));
    return 0;
  }
  if (what == "m3ua" && argc == 4) {
    print(m3ua_turn(std::stoul(argv[2]), std::stoul(argv[3])));
    return 0;
  }
  std::fprintf(stderr, "usage: reload_turns_bench diameter PEERS | m3ua ASPS ROUTES\n");
  return 2;
}

}  // namespace
}  // namespace siglane::runtime

int main(int argc, char** argv) {
  return siglane::runtime::run(argc, argv);
}
