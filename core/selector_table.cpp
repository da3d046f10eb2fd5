#include "core/selector_table.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace siglane {

void SelectorTable::Share::add(std::size_t selector, int n) {
  std::uint8_t& here = of_group[selector / kNeighbours];
  here = static_cast<std::uint8_t>(here + n);
  of_all = static_cast<std::uint16_t>(of_all + n);
}

bool SelectorTable::Share::exceeds(const Share& other, std::size_t group) const {
  return std::pair(of_group[group], of_all) > std::pair(other.of_group[group], other.of_all);
}

std::size_t SelectorTable::share_of(AssociationId id) const {
  return static_cast<std::size_t>(std::ranges::count(carriers_, id));
}

void SelectorTable::add(const std::string& name, AssociationId id) {
  if (std::ranges::find(members_, id, &Member::id) != members_.end()) return;
  members_[index_of(name)].id = id;
  assign();
}

void SelectorTable::remove(AssociationId id) {
  const auto member = std::ranges::find(members_, id, &Member::id);
  if (member == members_.end()) return;
  member->id = AssociationId::none;
  assign();
}

// The one of that name that is away, else a new one. An old association may still be here when the
// new one of the same name comes.
SelectorTable::Index SelectorTable::index_of(const std::string& name) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].name == name && !members_[i].available()) return static_cast<Index>(i);
  }
  assert(members_.size() < kNobody);
  const auto index = static_cast<Index>(members_.size());
  members_.emplace_back().name = name;
  make_homes(index);
  return index;
}

// --- Lists --------------------------------------------------------------------------------------

// Takes homes from whoever has most, until the homes are even.
void SelectorTable::make_homes(Index who) {
  const std::size_t members = members_.size();
  for (std::size_t group = 0; group < kGroups; ++group) {
    // Whole numbers that differ by one at most, and add up to a fair share of all.
    std::size_t share = kNeighbours * (group + 1) / members - kNeighbours * group / members;
    for (; share > 0; --share) {
      const std::size_t selector = home_to_take(group, who);
      const Index before = members == 1 ? kNobody : choices_.front()[selector];
      if (before != kNobody) members_[before].homes.add(selector, -1);
      members_[who].homes.add(selector, 1);
      prefer(selector, who, before);
    }
  }
}

// Of the group, the last one of whoever has most homes; while nobody has any, the next one.
std::size_t SelectorTable::home_to_take(std::size_t group, Index who) const {
  if (members_.size() == 1) return group * kNeighbours + members_[who].homes.of_group[group];
  std::size_t found = kSelectors;
  for (std::size_t s = group * kNeighbours; s < (group + 1) * kNeighbours; ++s) {
    const Index home = choices_.front()[s];
    if (home == who) continue;
    if (found == kSelectors ||
        !members_[choices_.front()[found]].homes.exceeds(members_[home].homes, group)) {
      found = s;
    }
  }
  return found;
}

// Puts it in the selector's list before another; kNobody: at the end. What follows moves down, as
// far as to where it stood already.
void SelectorTable::prefer(std::size_t selector, Index who, Index before) {
  std::size_t rank = 0;
  while (rank < choices_.size() && choices_[rank][selector] != before) ++rank;
  for (Index next = who;; ++rank) {
    if (rank == choices_.size()) choices_.emplace_back().fill(kNobody);
    std::swap(choices_[rank][selector], next);
    if (next == kNobody || next == who) return;
  }
}

SelectorTable::Index SelectorTable::first_available(std::size_t selector) const {
  for (const Choice& choice : choices_) {
    const Index who = choice[selector];
    if (who == kNobody || members_[who].available()) return who;
  }
  return kNobody;
}

// --- Who carries what ---------------------------------------------------------------------------

// After a change: every selector to the first of its list, or where none of them is available, to
// whoever carries least.
void SelectorTable::assign() {
  const Carriers before = carriers_;
  for (std::size_t s = 0; s < kSelectors; ++s) {
    Index who = first_available(s);
    if (who == kNobody) {
      who = least_loaded(s / kNeighbours);
      if (who != kNobody) prefer(s, who, kNobody);
    }
    give(s, who);
  }
  for (std::size_t group = 0; group < kGroups; ++group) even(group, before);
}

// Whoever carries two more than another has some whose home is away, because the homes are even.
// One that has changed hands just now goes first, so that the others stay where they are.
void SelectorTable::even(std::size_t group, const Carriers& before) {
  for (;;) {
    const Index most = most_loaded(group), least = least_loaded(group);
    if (most == kNobody ||
        members_[most].carried.of_group[group] < members_[least].carried.of_group[group] + 2) {
      return;
    }
    std::size_t selector = kSelectors;
    for (std::size_t s = group * kNeighbours; s < (group + 1) * kNeighbours; ++s) {
      if (carried_by_[s] != most || choices_.front()[s] == most) continue;
      selector = s;
      if (before[s] != carriers_[s]) break;
    }
    assert(selector != kSelectors);
    prefer(selector, least, most);
    give(selector, least);
  }
}

SelectorTable::Index SelectorTable::least_loaded(std::size_t group) const {
  Index least = kNobody;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (!members_[i].available()) continue;
    if (least == kNobody || members_[least].carried.exceeds(members_[i].carried, group)) {
      least = static_cast<Index>(i);
    }
  }
  return least;
}

SelectorTable::Index SelectorTable::most_loaded(std::size_t group) const {
  Index most = kNobody;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (!members_[i].available()) continue;
    if (most == kNobody || members_[i].carried.exceeds(members_[most].carried, group)) {
      most = static_cast<Index>(i);
    }
  }
  return most;
}

void SelectorTable::give(std::size_t selector, Index to) {
  const Index from = std::exchange(carried_by_[selector], to);
  if (from != kNobody) members_[from].carried.add(selector, -1);
  if (to != kNobody) members_[to].carried.add(selector, 1);
  carriers_[selector] = to == kNobody ? AssociationId::none : members_[to].id;
}

}  // namespace siglane
