#include "core/selector_table.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/support/seeds.h"

namespace siglane {
namespace {

// Members by number: "m7" on an association of its own each time it comes.
class Members {
 public:
  void come(std::size_t n) {
    ids_[n] = AssociationId{++last_id_};
    table.add("m" + std::to_string(n), ids_[n]);
  }
  void go(std::size_t n) {
    table.remove(ids_.at(n));
    ids_.erase(n);
  }
  bool here(std::size_t n) const { return ids_.contains(n); }
  std::size_t count() const { return ids_.size(); }
  std::size_t share(std::size_t n) const { return table.share_of(ids_.at(n)); }

  // Who carries each selector; -1: nobody.
  std::array<int, kSelectors> carriers() const {
    std::map<AssociationId, int> names;
    for (const auto& [n, id] : ids_) names[id] = static_cast<int>(n);
    std::array<int, kSelectors> by{};
    for (std::size_t s = 0; s < kSelectors; ++s) {
      const AssociationId id = table.carriers()[s];
      by[s] = id == AssociationId::none ? -1 : names.at(id);
    }
    return by;
  }
  // Of every sixteen neighbours, how many more one member has than another, at most.
  int unevenness() const {
    const auto by = carriers();
    int worst = 0;
    for (std::size_t group = 0; group < kSelectors; group += 16) {
      std::map<int, int> shares;
      for (const auto& [n, id] : ids_) shares[static_cast<int>(n)] = 0;
      for (std::size_t s = group; s < group + 16; ++s) ++shares[by[s]];
      const auto [least, most] =
          std::ranges::minmax_element(shares, {}, [](const auto& share) { return share.second; });
      worst = std::max(worst, most->second - least->second);
    }
    return worst;
  }

  SelectorTable table;

 private:
  std::map<std::size_t, AssociationId> ids_;
  std::uint64_t last_id_ = 0;
};

TEST(SelectorTable, IsEvenOverAllAndOverSixteenNeighbours) {
  Members members;
  EXPECT_EQ(members.carriers()[9], -1);
  for (std::size_t n = 1; n <= 60; ++n) {
    members.come(n);
    EXPECT_LE(members.unevenness(), 1) << n;
    std::size_t least = kSelectors, most = 0;
    for (std::size_t m = 1; m <= n; ++m) {
      least = std::min(least, members.share(m));
      most = std::max(most, members.share(m));
    }
    EXPECT_LE(most, least + 2) << n;
  }
}

TEST(SelectorTable, GivesAMemberThatReturnsWhatItHad) {
  Members members;
  for (std::size_t n : {1, 2, 3, 4, 5}) members.come(n);
  members.go(4);  // and stays away
  const auto before = members.carriers();
  members.go(2);
  EXPECT_NE(members.carriers(), before);
  members.come(2);
  EXPECT_EQ(members.carriers(), before);
}

TEST(SelectorTable, IsWhatItWasWhenAllAreBackWhateverTheirOrder) {
  Members members;
  for (std::size_t n : {1, 2, 3, 4, 5, 6}) members.come(n);
  const auto before = members.carriers();
  for (std::size_t n : {3, 1, 6, 2, 5, 4}) members.go(n);
  EXPECT_EQ(members.carriers()[0], -1);
  for (std::size_t n : {4, 6, 2, 1, 3, 5}) members.come(n);
  EXPECT_EQ(members.carriers(), before);
}

TEST(SelectorTable, AMemberThatTakesTheOthersPlaceHasAllAndGivesAllBack) {
  Members members;
  members.come(1);
  members.go(1);
  members.come(2);
  for (const int who : members.carriers()) EXPECT_EQ(who, 2);
  members.go(2);
  members.come(1);
  for (const int who : members.carriers()) EXPECT_EQ(who, 1);
}

TEST(SelectorTable, TakesTheSameNameTwiceForTwoMembers) {
  SelectorTable table;
  table.add("m", AssociationId{1});
  table.add("m", AssociationId{2});  // a new association, before the end of the old one was heard
  EXPECT_EQ(table.share_of(AssociationId{1}), kSelectors / 2);
  table.remove(AssociationId{1});
  EXPECT_EQ(table.share_of(AssociationId{2}), kSelectors);
  table.add("m", AssociationId{2});
  table.remove(AssociationId{7});
  EXPECT_EQ(table.share_of(AssociationId{2}), kSelectors);
}

// What the class promises, after each of many random changes.
class RandomChanges {
 public:
  explicit RandomChanges(std::uint64_t seed) : random_(seed), known_(1 + random_.below(20)) {}

  void make(unsigned changes) {
    for (unsigned i = 0; i < changes; ++i) {
      const std::size_t who = random_.below(known_);
      members_.here(who) ? go(who) : come(who);
      ASSERT_LE(members_.count() == 0 ? 0 : members_.unevenness(), 1);
      if (members_.count() == known_) check_all_here();
    }
  }

 private:
  void come(std::size_t who) {
    members_.come(who);
    if (last_gone_ == who) {
      ASSERT_EQ(members_.carriers(), before_gone_);
    }
    last_gone_ = known_;
    if (seen_.size() < known_) {
      if (std::ranges::find(seen_, who) == seen_.end()) seen_.push_back(who);
      all_here_.reset();
    }
  }
  void go(std::size_t who) {
    const auto before = members_.carriers();
    members_.go(who);
    const auto after = members_.carriers();
    for (std::size_t s = 0; s < kSelectors; ++s) {
      if (before[s] != static_cast<int>(who)) {
        ASSERT_EQ(after[s], before[s]);
      }
    }
    last_gone_ = who;
    before_gone_ = before;
  }
  void check_all_here() {
    if (!all_here_) all_here_ = members_.carriers();
    ASSERT_EQ(members_.carriers(), *all_here_);
  }

  Random random_;
  std::size_t known_;
  Members members_;
  std::vector<std::size_t> seen_;
  std::size_t last_gone_ = 1000;
  std::array<int, kSelectors> before_gone_{};
  std::optional<std::array<int, kSelectors>> all_here_;
};

TEST(SelectorTable, KeepsItsPromisesWhoeverComesAndGoes) {
  for (std::uint64_t seed = 1; seed <= test::seeds(100); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomChanges run(seed);
    run.make(200);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace siglane
