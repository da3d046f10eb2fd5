#include "core/newcomers.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace siglane {
namespace {

// 2,000 a second: then a queue of 1,024 connections (the kernel's, of a TCP listener) has passed in
// about half a second, and 1,024 places last as long.
constexpr Duration kHandOver = 500us;
// So much at once is no reason to wait.
constexpr Duration kHandOversAhead = 16ms;
// Not closed yet, although their places are taken: each may still have a descriptor.
constexpr std::size_t kLeavingMax = 128;
constexpr Duration kWhileTooManyLeave = 10ms;

constexpr std::size_t kGroups = 8, kGroupsOfSource = 4;  // of an IPv6 address, of its /64

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> groups;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(':'), text.size());
    groups.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return groups;
}

}  // namespace

std::string source_of(std::string_view address) {
  if (address.find(':') == std::string_view::npos) return std::string(address);
  const std::size_t gap = std::min(address.find("::"), address.size());
  std::vector<std::string_view> groups = split(address.substr(0, gap));
  if (gap < address.size()) {
    const std::vector<std::string_view> rest = split(address.substr(gap + 2));
    if (groups.size() + rest.size() < kGroups) groups.resize(kGroups - rest.size(), "0");
    groups.insert(groups.end(), rest.begin(), rest.end());
  }
  std::string source;
  for (std::size_t i = 0; i < std::min(groups.size(), kGroupsOfSource); ++i) {
    source.append(groups[i]).append(":");
  }
  return source + ":/64";
}

Newcomers::Entered Newcomers::enter(Newcomer newcomer, bool kept, const Places& places,
                                    Instant now) {
  std::lock_guard lock(mutex_);
  if (leaving_ >= kLeavingMax) return {false, std::nullopt, now + kWhileTooManyLeave};
  const std::size_t max =
      std::max<std::size_t>(1, kept ? places.kept : std::min(places.anybody, anybody_max_));
  Kind& kind = kept ? kept_ : anybody_;
  const auto [at, fresh] = places_.try_emplace(newcomer.id);
  if (!fresh) return {true, std::nullopt, now};
  Place& place = at->second;
  place.who = std::move(newcomer);
  place.number = ++last_number_;
  take(kind, place);
  if (kind.taken <= max) return {true, std::nullopt, now};

  Place& loser = *kind.ranks.rbegin()->source->here.front();
  give_up(loser);
  ++leaving_;
  handing_over_until_ = std::max(handing_over_until_, now) + kHandOver;
  const bool hurried = handing_over_until_ - now > kHandOversAhead;
  return {true, loser.who, hurried ? handing_over_until_ : now};
}

bool Newcomers::contains(AssociationId id) const {
  std::lock_guard lock(mutex_);
  return places_.contains(id);
}

std::optional<std::string> Newcomers::leave(AssociationId id) {
  std::lock_guard lock(mutex_);
  const auto it = places_.find(id);
  if (it == places_.end()) return std::nullopt;
  std::optional<std::string> address;
  if (it->second.source != nullptr) {
    give_up(it->second);
    address = std::move(it->second.who.address);
  } else {
    --leaving_;
  }
  places_.erase(it);
  return address;
}

std::size_t Newcomers::count() const {
  std::lock_guard lock(mutex_);
  return places_.size() - leaving_;
}

void Newcomers::take(Kind& kind, Place& place) {
  std::string name = source_of(place.who.address);
  std::unique_ptr<Source>& source = kind.sources[name];
  if (source == nullptr) {
    source = std::make_unique<Source>(Source{kind, std::move(name), {}});
  } else {
    kind.ranks.erase(source->rank());
  }
  place.source = source.get();
  place.at = source->here.insert(source->here.end(), &place);
  kind.ranks.insert(source->rank());
  ++kind.taken;
}

void Newcomers::give_up(Place& place) {
  Source& source = *std::exchange(place.source, nullptr);
  Kind& kind = source.kind;
  kind.ranks.erase(source.rank());
  source.here.erase(place.at);
  --kind.taken;
  if (source.here.empty()) {
    kind.sources.erase(std::string(source.name));
  } else {
    kind.ranks.insert(source.rank());
  }
}

}  // namespace siglane
