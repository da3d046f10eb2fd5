#include "core/strangers.h"

#include <algorithm>
#include <utility>

#include "core/newcomers.h"

namespace siglane {
namespace {

constexpr Duration kTellEvery = 1min;
constexpr std::size_t kSourcesMax = 4096;  // that are counted one by one, in a minute
constexpr std::size_t kToldAloneMax = 8;   // names in a minute

}  // namespace

void Strangers::note(const std::string& address, std::string why, bool left) {
  std::string source = source_of(address);
  std::lock_guard lock(mutex_);
  ++(left ? seen_.left : seen_.refused);
  seen_.last = address;
  seen_.why = std::move(why);
  if (by_source_.size() < kSourcesMax || by_source_.contains(source)) {
    ++by_source_[std::move(source)];
  }
}

std::optional<Fact> Strangers::tell(Instant now) {
  std::lock_guard lock(mutex_);
  if (by_source_.empty() || (told_at_ && now - *told_at_ < kTellEvery)) return std::nullopt;
  told_at_ = now;
  const auto busiest =
      std::ranges::max_element(by_source_, {}, [](const auto& source) { return source.second; });
  const Seen seen = std::exchange(seen_, {});
  Fact fact(kStrangersSeen, seen.refused > 0 ? Severity::warning : Severity::info,
            {{"refused", seen.refused},
             {"left", seen.left},
             {"sources", by_source_.size()},
             {"most_from", busiest->first},
             {"most", busiest->second},
             {"last", seen.last},
             {"why", seen.why}});
  by_source_.clear();
  return fact;
}

std::optional<Instant> Strangers::next() const {
  std::lock_guard lock(mutex_);
  if (by_source_.empty()) return std::nullopt;
  return told_at_ ? *told_at_ + kTellEvery : Instant{};
}

bool Strangers::may_tell_alone(const std::string& who, Instant now) {
  std::lock_guard lock(mutex_);
  std::erase_if(told_alone_, [&](const Told& told) { return now - told.at >= kTellEvery; });
  if (told_alone_.size() >= kToldAloneMax ||
      std::ranges::find(told_alone_, who, &Told::who) != told_alone_.end()) {
    return false;
  }
  told_alone_.push_back({who, now});
  return true;
}

}  // namespace siglane
