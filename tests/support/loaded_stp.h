#pragma once
#include <atomic>
#include <cstdlib>
#include <filesystem>
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

namespace siglane::test {

// The STP of the example config in this process, its associations moving from shard to shard as
// fast as the rule allows, under siglane-load in another, which judges loss, doubling and order.
class LoadedStp {
 public:
  LoadedStp(TransportKind transport, std::uint16_t shards, Placement placement) {
    char name[] = "/tmp/siglane-shards-XXXXXX";
    directory_ = mkdtemp(name);
    auto document = runtime::JsonDocument::load(source_dir() + "/config/stp.json");
    if (!document) throw std::runtime_error(document.error().what);
    runtime::ConfigReader reader(*document);
    runtime::NodeConfig config = runtime::read_node_config(reader.root(), {"m3ua"});
    daemon_.read(reader.root(), config);
    if (auto good = reader.finish(); !good) throw std::runtime_error(good.error().what);
    config.admin.socket.clear();
    config.runtime.shards = shards;
    config.log.level = runtime::LogLevel::off;
    transport_ = name_of(transport);
    if (placement == Placement::always_peeled) movable_from_ = "association_peeled";
    for (auto& endpoint : config.endpoints) endpoint.endpoint.transport = transport;
    for (auto& peer : config.peers) peer.peer.placement = placement;
    runtime::NodeBuilder builder(std::move(config));
    builder.embed();
    if (auto built = daemon_.build(builder); !built) throw std::runtime_error(built.error().what);
    auto node = std::move(builder).build();
    if (!node) throw std::runtime_error(node.error().what);
    node_ = std::move(*node);
  }
  ~LoadedStp() { std::filesystem::remove_all(directory_); }

  // Until the load is over; its exit status.
  int run(int seconds, std::uint64_t seed) {
    auto stp = std::async(std::launch::async, [this] { return node_->run(); });
    const std::string report = directory_ + "/load.log";
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

 private:
  std::string directory_, transport_, report_;
  std::string_view movable_from_ = "association_opened";  // the fact from which on they move
  stp::StpDaemon daemon_;
  std::unique_ptr<runtime::Node> node_;
};

}  // namespace siglane::test
