#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apps/runtime/config.h"
#include "core/facts.h"

namespace spdlog {
class logger;
}

namespace siglane::runtime {

// Lines on standard error, written by a thread of the logger's own: no loop waits for a terminal or
// a pipe; when that thread cannot keep up the oldest lines are dropped. When the logger is dropped,
// the lines that wait have a second to get out.
std::shared_ptr<spdlog::logger> make_logger(const std::string& node, LogLevel level);

// A fact as the admin API shows it.
struct KeptFact {
  std::uint64_t number = 0;  // 1 is the node's first
  std::int64_t unix_ms = 0;
  ShardId shard{};
  AssociationId about{};
  std::string peer;  // of the association, where known (FactSource)
  Fact fact;
};

// Where a node's facts go: one structured line each in the log, so many of a kind per second, and
// the latest ones kept for the admin API. Any thread.
class FactLog final : public FactSink {
 public:
  // `logger` may be null: nothing is logged.
  FactLog(const LogConfig& config, std::size_t kept_max, std::shared_ptr<spdlog::logger> logger);
  ~FactLog();

  // What is logged from now on. Any thread.
  void set_level(LogLevel level);

  void on_fact(const FactSource& source, const Fact& fact, Instant now) override;

  // Facts with greater numbers than `after`, the oldest first, the latest `count_max` of them.
  std::vector<KeptFact> after(std::uint64_t after, std::size_t count_max) const;
  // The same, but the earliest `count_max` of them: for whoever reads on from there.
  using Facts = std::vector<std::shared_ptr<const KeptFact>>;
  Facts next(std::uint64_t after, std::size_t count_max) const;
  // The number of the latest fact. Costs those nothing who write them.
  std::uint64_t count() const { return count_; }

 private:
  struct Budget {
    Instant window_begin{};
    std::size_t logged = 0;
    std::uint64_t suppressed = 0;
  };

  void write(const FactSource& source, const Fact& fact);
  bool may_log(std::string_view kind, Instant now);
  Facts kept(std::uint64_t first, std::uint64_t last) const;
  void report_suppressed(std::string_view kind, Budget& budget);

  const std::size_t facts_per_second_max_;
  const std::size_t kept_max_;
  const std::shared_ptr<spdlog::logger> logger_;

  mutable std::mutex mutex_;
  std::unordered_map<std::string_view, Budget> budgets_;  // by kind
  std::deque<std::shared_ptr<const KeptFact>> kept_;
  std::atomic<std::uint64_t> count_ = 0;  // written under the mutex
};

}  // namespace siglane::runtime
