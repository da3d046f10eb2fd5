#pragma once
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "apps/runtime/fact_log.h"
#include "apps/stp/daemon.h"
#include "core/random.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_directory.h"

namespace siglane::test {

// The STP of the example config in this process, its associations moving from shard to shard as
// fast as the rule allows, under siglane-load in another, which judges loss, doubling and order.
class LoadedStp {
 public:
  LoadedStp(TransportKind transport, std::uint16_t shards, Placement placement) {
    kind_ = transport;
    transport_ = name_of(transport);
    placement_ = placement;
    if (placement == Placement::always_peeled) movable_from_ = "association_peeled";
    runtime::NodeConfig config = read(daemon_, 0);
    config.runtime.shards = shards;
    runtime::NodeBuilder builder(std::move(config));
    builder.embed();
    if (auto built = daemon_.build(builder); !built) throw std::runtime_error(built.error().what);
    auto node = std::move(builder).build();
    if (!node) throw std::runtime_error(node.error().what);
    node_ = std::move(*node);
  }

  // Until the load is over; its exit status. Meanwhile the STP follows so many new configs, one
  // after another, that add and remove ASPs, Application Servers and routes that the load has
  // nothing to do with.
  int run(int seconds, std::uint64_t seed, int revisions = 0) {
    auto stp = std::async(std::launch::async, [this] { return node_->run(); });
    const std::string report = directory_.path("load.log");
    auto load = std::async(std::launch::async, [&] {
      const std::string command = binary_dir() + "/bin/siglane-load m3ua --config " + source_dir() +
                                  "/config/load-m3ua.json --admin-socket '' --quiet --transport " +
                                  transport_ + " --duration " + std::to_string(seconds) + " > " +
                                  report + " 2>&1";
      const int status = std::system(command.c_str());
      return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    });
    Random random(seed);
    std::vector<AssociationId> open;
    std::uint64_t seen = 0;
    const auto shards = node_->config().runtime.shards;
    if (revisions > 0) node_->call([this, revisions] { revise(revisions); });
    while (load.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
      for (const runtime::KeptFact& kept : node_->facts().after(seen, 1000)) {
        seen = kept.number;
        if (kept.fact.kind.name == movable_from_) open.push_back(kept.about);
        if (kept.fact.kind.name == "association_closed") std::erase(open, kept.about);
      }
      if (!open.empty()) {
        node_->move(open[random.below(open.size())], static_cast<ShardId>(random.below(shards)));
      }
    }
    node_->stop();
    EXPECT_EQ(stp.get(), runtime::NodeExit::graceful);
    std::ostringstream said;
    said << std::ifstream(report).rdbuf();
    report_ = said.str();
    return load.get();
  }
  const std::string& report() const { return report_; }
  std::uint64_t count(Counter counter) const { return node_->count(counter); }
  std::uint64_t revision() const { return node_->revision(); }  // once it has run

 private:
  // config/stp.json, and so many servers more, each with an ASP and a route of its own.
  runtime::NodeConfig read(stp::StpDaemon& daemon, int more) const {
    const std::string file = source_dir() + "/config/stp.json";
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    std::string json = text.str();
    for (int i = 1; i <= more; ++i) {
      const std::string n = std::to_string(i);
      const auto add = [&](const std::string& list, const std::string& entry) {
        const std::string begin = "\"" + list + "\": [\n";
        json.insert(json.find(begin) + begin.size(), entry + ",\n");
      };
      add("application_servers", R"({"name": "more)" + n + R"(", "routing_context": 90)" + n +
                                     R"(, "traffic_mode": "override", "asps": ["more)" + n +
                                     R"("]})");
      add("routes", R"({"dpc": 90)" + n + R"(, "as": "more)" + n + R"("})");
      json.insert(json.find("\"asps\": [\n") + std::string("\"asps\": [\n").size(),
                  R"({"name": "more)" + n + R"(", "asp_identifier": 90)" + n +
                      R"(, "remote_addresses": ["127.0.0.1"]},)" + "\n");
    }
    auto document = runtime::JsonDocument::parse(file, json);
    if (!document) throw std::runtime_error(document.error().what);
    runtime::ConfigReader reader(*document);
    runtime::NodeConfig config = runtime::read_node_config(reader.root(), {"m3ua"});
    daemon.read(reader.root(), config);
    if (auto good = reader.finish(); !good) throw std::runtime_error(good.error().what);
    config.admin.socket.clear();
    config.log.level = runtime::LogLevel::off;
    for (auto& endpoint : config.endpoints) endpoint.endpoint.transport = kind_;
    for (auto& peer : config.peers) peer.peer.placement = placement_;
    return config;
  }
  // On the node's thread.
  void revise(int left) {
    if (left == 0) return;
    stp::StpDaemon next;
    runtime::Reconfiguration change{read(next, left % 6), {}, {}, {}};
    (void)daemon_.build_next(next, change);
    daemon_.hand_over(next);
    node_->reconfigure(std::move(change), [this, left](std::uint64_t) { revise(left - 1); });
  }

  testing::TemporaryDirectory directory_;
  std::string transport_, report_;
  TransportKind kind_{};
  Placement placement_{};
  std::string_view movable_from_ = "association_opened";  // the fact from which on they move
  stp::StpDaemon daemon_;
  std::unique_ptr<runtime::Node> node_;
};

}  // namespace siglane::test
