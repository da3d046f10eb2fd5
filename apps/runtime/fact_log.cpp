#include "apps/runtime/fact_log.h"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

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
  for (Budget& budget : budgets_) report_suppressed(budget);
  if (logger_ != nullptr) logger_->flush();
}

void FactLog::on_fact(ShardId shard, AssociationId about, const Fact& fact, Instant now) {
  FactText text = text_of(fact);
  std::lock_guard lock(mutex_);
  remember_who(about, fact);
  std::string peer;
  if (auto it = peers_.find(about); it != peers_.end()) peer = it->second;
  if (std::holds_alternative<fact::AssociationClosed>(fact)) peers_.erase(about);

  Budget& budget = budgets_[fact.index()];
  budget.kind = text.kind;
  const auto level = spdlog_level(text.level);
  if (logger_ != nullptr && logger_->should_log(level) && may_log(budget, now)) {
    std::vector<FactField> fields;
    if (about != AssociationId::none) {
      fields.push_back({"association", fmt::format("{}", static_cast<std::uint64_t>(about))});
    }
    const bool names_peer = std::any_of(text.fields.begin(), text.fields.end(),
                                        [](const FactField& f) { return f.key == "peer"; });
    if (!peer.empty() && !names_peer) fields.push_back({"peer", peer});
    fields.insert(fields.end(), text.fields.begin(), text.fields.end());
    logger_->log(level, "{} {}", text.kind, one_line(fields));
  }

  kept_.push_back({++count_, unix_ms_now(), shard, about, std::move(peer), std::move(text)});
  if (kept_.size() > kept_max_) kept_.pop_front();
}

void FactLog::remember_who(AssociationId about, const Fact& fact) {
  if (about == AssociationId::none) return;
  if (const auto* opened = std::get_if<fact::AssociationOpened>(&fact)) {
    peers_.emplace(about, opened->remote);
  } else if (const auto* peer = std::get_if<fact::PeerOpened>(&fact)) {
    if (auto it = peers_.find(about); it != peers_.end()) it->second = peer->peer;
  } else if (const auto* asp = std::get_if<fact::AspStateChanged>(&fact)) {
    if (auto it = peers_.find(about); it != peers_.end()) it->second = asp->asp;
  }
}

bool FactLog::may_log(Budget& budget, Instant now) {
  if (now - budget.window_begin >= 1s) {
    report_suppressed(budget);
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

void FactLog::report_suppressed(Budget& budget) {
  if (budget.suppressed == 0 || logger_ == nullptr) return;
  logger_->warn("facts_suppressed kind={} count={}", budget.kind, budget.suppressed);
  budget.suppressed = 0;
}

std::vector<KeptFact> FactLog::after(std::uint64_t after, std::size_t count_max) const {
  std::lock_guard lock(mutex_);
  const std::uint64_t first_kept = count_ - kept_.size() + 1;
  std::uint64_t first = std::max(first_kept, after + 1);
  if (after >= count_) return {};
  if (count_ - first + 1 > count_max) first = count_ - count_max + 1;
  return {kept_.begin() + static_cast<std::ptrdiff_t>(first - first_kept), kept_.end()};
}

}  // namespace siglane::runtime
