#include "apps/runtime/fact_log.h"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "apps/runtime/fact_text.h"
#include "apps/runtime/outlet.h"
#include "apps/runtime/wall_time.h"

namespace siglane::runtime {

namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

spdlog::level::level_enum spdlog_level(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return spdlog::level::debug;
    case Severity::info:
      return spdlog::level::info;
    case Severity::warning:
      return spdlog::level::warn;
    case Severity::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

class OutletSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  Outlet& outlet() { return outlet_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    outlet_.write({line.data(), line.size()});
  }
  void flush_() override {}

  Outlet outlet_{STDERR_FILENO};
};

// An asynchronous logger holds its thread only weakly: they are kept together.
struct KeptLogger {
  KeptLogger() = default;
  KeptLogger(const KeptLogger&) = delete;
  KeptLogger& operator=(const KeptLogger&) = delete;
  // The thread ends when all lines are out: a reader that takes none must not hold up the end.
  ~KeptLogger() { sink->outlet().hurry(kLastLinesMax); }

  static constexpr Duration kLastLinesMax = 1s;
  std::shared_ptr<OutletSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> thread;
  std::shared_ptr<spdlog::logger> logger;
};

}  // namespace

std::shared_ptr<spdlog::logger> make_logger(const std::string& node, LogLevel level) {
  constexpr std::size_t kLinesMax = 8192;
  auto kept = std::make_shared<KeptLogger>();
  kept->sink = std::make_shared<OutletSink>();
  kept->thread = std::make_shared<spdlog::details::thread_pool>(kLinesMax, 1);
  kept->logger = std::make_shared<spdlog::async_logger>(
      node, kept->sink, kept->thread, spdlog::async_overflow_policy::overrun_oldest);
  kept->logger->set_level(spdlog_level(level));
  kept->logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %n %v", spdlog::pattern_time_type::utc);
  return {kept, kept->logger.get()};
}

FactLog::FactLog(const LogConfig& config, std::size_t kept_max,
                 std::shared_ptr<spdlog::logger> logger)
    : facts_per_second_max_(config.facts_per_second_max),
      kept_max_(kept_max),
      logger_(std::move(logger)) {}

FactLog::~FactLog() {
  for (auto& [kind, budget] : budgets_) report_suppressed(kind, budget);
  if (logger_ != nullptr) logger_->flush();
}

void FactLog::set_level(LogLevel level) {
  if (logger_ != nullptr) logger_->set_level(spdlog_level(level));
}

void FactLog::on_fact(const FactSource& source, const Fact& fact, Instant now) {
  std::lock_guard lock(mutex_);
  if (logger_ != nullptr && logger_->should_log(spdlog_level(fact.severity)) &&
      may_log(fact.kind.name, now)) {
    write(source, fact);
  }
  kept_.push_back(std::make_shared<const KeptFact>(KeptFact{
      ++count_, unix_ms_now(), source.shard, source.association, std::string(source.peer), fact}));
  if (kept_.size() > kept_max_) kept_.pop_front();
}

void FactLog::write(const FactSource& source, const Fact& fact) {
  std::vector<FactField> fields;
  if (source.association != AssociationId::none) {
    fields.emplace_back("association", static_cast<std::uint64_t>(source.association));
  }
  const bool names_peer = std::any_of(fact.fields.begin(), fact.fields.end(),
                                      [](const FactField& field) { return field.key == "peer"; });
  if (!source.peer.empty() && !names_peer) fields.emplace_back("peer", source.peer);
  fields.insert(fields.end(), fact.fields.begin(), fact.fields.end());
  logger_->log(spdlog_level(fact.severity), "{} {}", fact.kind.name, one_line(fields));
}

bool FactLog::may_log(std::string_view kind, Instant now) {
  Budget& budget = budgets_[kind];
  if (now - budget.window_begin >= 1s) {
    report_suppressed(kind, budget);
    budget.window_begin = now;
    budget.logged = 0;
  }
  if (budget.logged < facts_per_second_max_) {
    ++budget.logged;
    return true;
  }
  ++budget.suppressed;
  return false;
}

void FactLog::report_suppressed(std::string_view kind, Budget& budget) {
  if (budget.suppressed == 0 || logger_ == nullptr) return;
  logger_->warn("facts_suppressed kind={} count={}", kind, budget.suppressed);
  budget.suppressed = 0;
}

// Under the mutex, for which every shard may wait, are only pointers copied.
std::vector<KeptFact> FactLog::after(std::uint64_t after, std::size_t count_max) const {
  Facts found;
  {
    std::lock_guard lock(mutex_);
    const std::uint64_t count = count_;
    if (after >= count) return {};
    found = kept(std::max(after, count - std::min<std::uint64_t>(count, count_max)) + 1, count);
  }
  std::vector<KeptFact> facts;
  facts.reserve(found.size());
  for (const auto& one : found) facts.push_back(*one);
  return facts;
}

FactLog::Facts FactLog::next(std::uint64_t after, std::size_t count_max) const {
  if (after >= count_) return {};
  std::lock_guard lock(mutex_);
  after = std::max<std::uint64_t>(after, count_ - kept_.size());
  return kept(after + 1, after + std::min<std::uint64_t>(count_ - after, count_max));
}

// Those from number `first` to number `last` that are there.
FactLog::Facts FactLog::kept(std::uint64_t first, std::uint64_t last) const {
  const std::uint64_t first_kept = count_ - kept_.size() + 1;
  first = std::max(first, first_kept);
  if (first > last) return {};
  const auto at = [&](std::uint64_t number) {
    return kept_.begin() + static_cast<std::ptrdiff_t>(number - first_kept);
  };
  return {at(first), at(last + 1)};
}

}  // namespace siglane::runtime
