#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/runtime/config.h"
#include "apps/runtime/node.h"
#include "apps/runtime/plan.h"
#include "core/result.h"

namespace CLI {
class App;
}

namespace siglane::runtime {

// What every daemon takes on its command line.
struct CommandLine {
  std::string config_file;
  bool check_config = false;
  bool dump_effective_config = false;
  std::optional<TransportKind> transport;  // of all endpoints, instead of what the file says
  std::optional<std::string> admin_socket;
  std::optional<LogLevel> log_level;

  // Adds --config, --check-config, --dump-effective-config, --transport, --admin-socket and
  // --log-level. `app` must not outlive this object.
  void add_to(CLI::App& app);
  void apply_to(NodeConfig& config) const;
  // The same for what ConfigReader::effective() shows.
  void show_in(const ObjectReader& root) const;

  // Asks about the config only, not for a node.
  bool asks_only() const { return check_config || dump_effective_config; }
  // What is printed then, of a config that is good.
  std::string answer(const NodeConfig& config) const;
};

// A daemon of the usual kind: reads one config, builds one node from it, runs it until a signal.
//
//   class Greeter final : public siglane::runtime::Daemon {
//    public:
//     Info info() const override { return {"greeter", "Answers every request", {"diameter"}}; }
//     void read(const ObjectReader& root, NodeConfig& node) override {
//       diameter_ = read_diameter_config(root, node);
//       greeting_ = root.object("greeter").string("greeting", "hello");
//     }
//     Result<void> build(NodeBuilder& builder) override {
//       diameter_.applications = {{diameter::application::s6a, diameter::vendor::tgpp}};
//       auto& module = builder.add_module(std::make_unique<diameter::DiameterModule>(diameter_));
//       builder.on_shard([this, &module](const ShardSetUp& at) -> Result<void> {
//         auto id = at.shard.add_coordinator(
//             std::make_unique<GreeterApplication>(module, at.seed, greeting_), module, at.now);
//         module.add_application(at.shard.id(), diameter::application::s6a, id);
//         return {};
//       });
//       return {};
//     }
//    private:
//     diameter::DiameterConfig diameter_;
//     std::string greeting_;
//   };
//   int main(int argc, char** argv) {
//     return siglane::runtime::serve<Greeter>(argc, argv);
//   }
class Daemon {
 public:
  struct Info {
    std::string name;         // of the program
    std::string description;  // for --help
    std::vector<std::string> modules;
  };

  Daemon() = default;
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  virtual ~Daemon() = default;

  virtual Info info() const = 0;
  // Options of its own, before the command line is parsed.
  virtual void add_options(CLI::App&) {}
  // The daemon's sections of the file; what is wrong is told to the reader.
  virtual void read(const ObjectReader& root, NodeConfig& node) = 0;
  // Checks that need more than one value and no line: an error is said as `FILE: WHAT`. Also part
  // of --check-config.
  virtual Result<void> check() { return {}; }
  // What does not hinder the node, but is for an operator to mend: said by --check-config, and as
  // Notices at a start.
  virtual std::vector<std::string> warnings() { return {}; }
  // What the command line asks for instead of a node, done: the exit status.
  virtual std::optional<int> instead_of_running() { return std::nullopt; }
  // Adds modules, store and applications. Not called by --check-config.
  virtual Result<void> build(NodeBuilder& builder) = 0;

  // A reload (SIGHUP, `siglanectl reload`): `next` is another daemon of this kind, which has read
  // and checked the config as it is now. In this order:
  //
  // On `next`, before it reads: a default that is taken from a key which needs a restart is what
  // `running` has for that key.
  virtual void take_place_of(const Daemon& /*running*/) {}
  // What of this daemon's own keys takes effect only after a restart, or with a reconnect.
  virtual void add_rules(PlanRules&) const {}
  // Peers whose associations have to be made anew, for what their protocol knows of them.
  virtual std::set<std::string> to_reconnect(const Daemon& /*next*/) const { return {}; }
  // All that takes long, beside the node, on a thread of its own: builds what its modules are to
  // use, and keeps it in `next`; says which modules have a new config, and what new coordinators
  // they need. Not called for a dry run. An error ends the reload, and nothing has changed.
  virtual Result<void> build_next(Daemon& /*next*/, Reconfiguration&) { return {}; }
  // On the same thread, when nothing else can fail any more: what changes outside of the node, as a
  // database. An error ends the reload; what the operator should know otherwise is returned.
  virtual Result<std::string> import_data(Daemon& /*next*/) { return std::string(); }
  // `next` gives this one what changes at run time, and this one's modules what was built for them.
  // On the node's thread, where others wait: no more than that.
  virtual void hand_over(Daemon& /*next*/) {}

  // The node is up: endpoints are open, nothing has run yet.
  virtual void on_started(Node&) {}
  // The node has stopped and still exists. What it returns is the exit status if the stop was
  // graceful.
  virtual int on_stopped(Node&) { return 0; }
};

// A daemon's exit status: 0 after a graceful stop (or what on_stopped() says), 1 if the config is
// wrong or the node cannot start, 2 for a wrong command line, 3 if associations had to be aborted
// at the end, 128 + N if a second signal N ended it at once.
//
// `another` makes a daemon of the same kind, for a config that is read while the node runs; none:
// SIGHUP makes the node read its certificates again, and nothing else.
int run_daemon(int argc, const char* const* argv, Daemon& daemon,
               const std::function<std::unique_ptr<Daemon>()>& another = nullptr);
// The same for a daemon that follows a new config: main() of one.
template <class D>
int serve(int argc, const char* const* argv) {
  D daemon;
  return run_daemon(argc, argv, daemon, [] { return std::make_unique<D>(); });
}

// Reads and checks `file`, with what the command line says instead. What --check-config does.
Result<NodeConfig> load_config(const std::string& file, Daemon& daemon,
                               const CommandLine& command = {});

// The endpoints' key files that everybody on the machine may read.
std::vector<std::string> key_file_warnings(const NodeConfig& node);

}  // namespace siglane::runtime
