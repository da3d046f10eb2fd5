#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "apps/runtime/daemon.h"
#include "apps/runtime/node.h"

namespace siglane::runtime {

// Reads a daemon's config again while its node runs, and tells the node to follow what has changed.
// The file is read on a thread of its own: disks may be slow, and checking takes its time.
class Reloader {
 public:
  using Another = std::function<std::unique_ptr<Daemon>()>;

  // `arguments`: the command line, whose options hold for every config.
  Reloader(Daemon& daemon, Another another, std::vector<std::string> arguments);
  ~Reloader() { finish(); }
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  // NodeBuilder::on_reload().
  void reload(Node& node, bool dry_run, std::function<void(const ReloadOutcome&)> then);
  // Waits for a reload that is under way. The node still exists.
  void finish();

 private:
  struct Next;
  void start(Node& node, bool dry_run, std::function<void(const ReloadOutcome&)> then);
  Result<std::shared_ptr<Next>> read(const Node& node, const NodeConfig& present,
                                     bool dry_run) const;
  static void discard(Node& node, Next& next);
  void follow(Node& node, const std::shared_ptr<Next>& next,
              std::function<void(const ReloadOutcome&)> then);

  Daemon& daemon_;
  Another another_;
  std::vector<std::string> arguments_;
  std::thread thread_;
};

}  // namespace siglane::runtime
