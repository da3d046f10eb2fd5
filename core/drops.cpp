#include "core/drops.h"

#include <algorithm>

namespace siglane {

void Drops::add(const DropReason& reason, std::string_view peer, AssociationId about,
                std::string example, Instant now, const Tell& tell, std::uint64_t count) {
  auto it = rows_.find(std::pair(reason.name, peer));
  if (it == rows_.end()) {
    // A room has few reasons, so their shared rows need no bound of their own.
    if (rows_.size() >= kRowsMax) peer = kOtherPeers;
    it = rows_.try_emplace(Key(reason.name, peer)).first;
  }
  Row& row = it->second;
  row.what = reason.what;
  row.count += count;
  row.example = std::move(example);
  row.about = about;
  row.last = now;
  if (row.told == 0 || now - row.told_at >= kTellEvery) {
    tell(about, take_untold(it->first, row, now));
  } else {
    const Instant due = row.told_at + kTellEvery;
    due_ = due_ ? std::min(*due_, due) : due;
  }
}

void Drops::tell_due(Instant now, const Tell& tell) {
  if (!due_ || *due_ > now) return;
  due_.reset();
  for (auto& [key, row] : rows_) {
    if (row.told == row.count) continue;
    const Instant due = row.told_at + kTellEvery;
    if (due <= now) {
      tell(row.about, take_untold(key, row, now));
    } else {
      due_ = due_ ? std::min(*due_, due) : due;
    }
  }
}

void Drops::visit(const std::function<void(std::string_view reason, const std::string& peer,
                                           const Row& row)>& visit) const {
  for (const auto& [key, row] : rows_) visit(key.first, key.second, row);
}

Fact Drops::take_untold(const Key& key, Row& row, Instant now) {
  const std::uint64_t count = row.count - row.told;
  row.told = row.count;
  row.told_at = now;
  return {kMessagesDropped,
          {{"peer", key.second},
           {"reason", key.first},
           {"what", row.what},
           {"example", row.example},
           {"count", count}}};
}

const Drops::Entry* Drops::next(const Entry* previous) const {
  const auto it = previous == nullptr ? rows_.begin() : rows_.upper_bound(previous->first);
  return it == rows_.end() ? nullptr : &*it;
}

}  // namespace siglane
