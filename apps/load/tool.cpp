#include "apps/load/tool.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "apps/load/report.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/fact_text.h"
#include "apps/runtime/node.h"
#include "apps/runtime/outlet.h"
#include "apps/runtime/program.h"
#include "apps/runtime/signals.h"
#include "protocols/diameter/counters.h"
#include "transport/loop/loop.h"

namespace siglane::load {
namespace {

// How often the tool looks whether the run goes on: what it may last longer than it should.
constexpr Duration kLookInterval = 20ms;
// Where standard error is no terminal, a progress line stays: so there are fewer.
constexpr int kProgressLinesLeftOut = 10;

class Tool {
 public:
  Tool(const LoadConfig& config, const ToolOptions& options, Traffic& traffic)
      : config_(config), options_(options), traffic_(traffic), terminal_(isatty(STDERR_FILENO)) {
    progress_.hurry(0s);  // no loop waits for who reads it
  }

  int run();

 private:
  runtime::NodeConfig node_config() const;
  Result<void> start();
  Result<void> watch_signals();
  void look();
  void show_progress(Instant now);
  void finish(Instant now);
  std::string transport_in_use() const;
  std::string last_connect_failure() const;
  bool write_json();
  int cannot_write_json() const;

  const LoadConfig& config_;
  const ToolOptions& options_;
  Traffic& traffic_;
  const bool terminal_;
  runtime::Outlet progress_{STDERR_FILENO};
  std::optional<LoadRun> run_;  // before the node, whose clients point to it
  std::ofstream json_;
  Report report_;
  bool finished_ = false;
  bool interrupted_ = false;
  Progress shown_;
  std::optional<Instant> show_at_;
  std::unique_ptr<runtime::Node> node_;
  std::vector<runtime::SignalWatch> signals_;
  std::optional<transport::Timer> timer_;
};

// Endpoints and peers are the traffic's to set up; the peers stand in the node's config all the
// same, so that the shard knows whom it may meet.
runtime::NodeConfig Tool::node_config() const {
  runtime::NodeConfig node = config_.node;
  node.endpoints.clear();
  node.peers.clear();
  for (const std::string& name : traffic_.peer_names()) {
    runtime::NodePeer peer;
    peer.peer = config_.target;
    peer.peer.name = name;
    peer.module = config_.node.endpoints.front().module;
    node.peers.push_back(std::move(peer));
  }
  return node;
}

Result<void> Tool::start() {
  runtime::NodeBuilder builder(node_config());
  builder.leave_signals();
  builder.on_shard([this](const runtime::ShardSetUp& at) {
    run_.emplace(config_.run, traffic_.peers(), at.now);
    return traffic_.set_up(at, *run_);
  });
  auto node = std::move(builder).build();
  if (!node) return tl::unexpected(node.error());
  node_ = std::move(*node);
  timer_.emplace(node_->loop().timer([this] { look(); }));
  timer_->start_after(kLookInterval);
  return watch_signals();
}

Result<void> Tool::watch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (signal == SIGHUP && runtime::is_ignored(SIGHUP)) continue;  // nohup(1)
    auto watch = runtime::SignalWatch::create(node_->loop().raw(), signal, [this, signal] {
      if (interrupted_ && signal != SIGHUP) std::_Exit(128 + signal);
      interrupted_ = true;
      run_->interrupt(node_->loop().now());
    });
    if (!watch) return tl::unexpected(watch.error());
    signals_.push_back(std::move(*watch));
  }
  return {};
}

int Tool::run() {
  // Before hours of traffic, not after them.
  const bool to_file = !options_.json_file.empty() && options_.json_file != "-";
  if (to_file) json_.open(options_.json_file, std::ios::trunc);
  if (!json_) return cannot_write_json();
  if (auto started = start(); !started) {
    (void)runtime::print(stderr, fmt::format("siglane-load: {}\n", started.error().what));
    return 1;
  }
  node_->run();
  signals_.clear();  // nobody may read the report: signals end the tool as they end any other
  const bool shown = runtime::print(options_.json_file == "-" ? stderr : stdout, to_text(report_));
  const bool written = write_json();
  return shown && written && reasons_against(report_).empty() ? 0 : 1;
}

void Tool::look() {
  const Instant now = node_->loop().now();
  if (run_->phase(now) == Phase::finished) {
    if (!std::exchange(finished_, true)) finish(now);
    return;
  }
  show_progress(now);
  timer_->start_after(kLookInterval);
}

void Tool::show_progress(Instant now) {
  if (options_.quiet || config_.progress_interval == Duration::zero() || !run_->began()) return;
  const Duration interval =
      terminal_ ? config_.progress_interval : config_.progress_interval * kProgressLinesLeftOut;
  if (!show_at_) show_at_ = *run_->began() + interval;
  if (now < *show_at_) return;
  *show_at_ += interval;
  Progress progress{.at = now - *run_->began(),
                    .peers = run_->peers(),
                    .peers_up = run_->peers_up(),
                    .under_way = run_->under_way(),
                    .total = {}};
  for (const GroupTally& group : traffic_.groups()) progress.total.merge(group.tally);
  const std::string line = progress_line(progress, shown_);
  (void)progress_.write((terminal_ ? "\r\x1b[K" + line : line + "\n"));
  shown_ = std::move(progress);
}

void Tool::finish(Instant now) {
  if (terminal_ && show_at_) (void)progress_.write("\r\x1b[K");
  report_.protocol = traffic_.protocol();
  report_.target = fmt::format("{}:{}", config_.target.addresses.front(), config_.target.port);
  report_.transport = transport_in_use();
  report_.seed = config_.seed;
  report_.lasted = run_->began() ? std::min(now, run_->ends()) - *run_->began() : Duration::zero();
  report_.warm_up = config_.run.warm_up;
  report_.peers = run_->peers();
  report_.peers_up_most = run_->peers_up_most();
  report_.connections_lost = run_->connections_lost();
  report_.unmatched_answers = node_->count(diameter::counter::answers_unmatched);
  report_.tolerate_reconnect = config_.run.tolerate_reconnect;
  report_.tolerate_errors = config_.tolerate_errors;
  report_.interrupted = interrupted_;
  traffic_.finish(now, report_);
  report_.groups = traffic_.groups();
  if (!run_->began() && !interrupted_) {
    report_.failures.push_back(
        fmt::format("not all peers came up within {:.1f} s: is {} there and does it know them? {}",
                    seconds(config_.run.connect_timeout), report_.target, last_connect_failure()));
  }
  node_->stop();
}

// What "sctp" came to be; without any association, what the config says.
std::string Tool::transport_in_use() const {
  TransportKind kind = config_.endpoint().transport;
  const auto look = [&](const Shard& shard, const Transport& transport) {
    shard.visit_sessions([&](const SessionView& session) {
      if (const auto status = transport.status(session.id)) kind = status->transport;
    });
  };
  node_->on_each_shard(look, [] {});
  return std::string(name_of(kind));
}

std::string Tool::last_connect_failure() const {
  constexpr std::size_t kAll = 1 << 20;
  const std::vector<runtime::KeptFact> facts = node_->facts().after(0, kAll);
  for (auto kept = facts.rbegin(); kept != facts.rend(); ++kept) {
    if (kept->fact.severity >= Severity::warning) {
      return fmt::format("({} {})", kept->fact.kind.name, runtime::one_line(kept->fact.fields));
    }
  }
  return "(nothing was heard)";
}

bool Tool::write_json() {
  if (options_.json_file.empty()) return true;
  if (options_.json_file == "-") {
    return runtime::print(stdout, to_json(report_));
  }
  json_ << to_json(report_);
  json_.flush();
  return json_ || cannot_write_json() == 0;
}

int Tool::cannot_write_json() const {
  (void)runtime::print(
      stderr, fmt::format("siglane-load: cannot write the report to {}\n", options_.json_file));
  return 1;
}

}  // namespace

int run_tool(const LoadConfig& config, const ToolOptions& options, Traffic& traffic) {
  return Tool(config, options, traffic).run();
}

}  // namespace siglane::load
