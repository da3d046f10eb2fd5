#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/association.h"

namespace siglane {

// What keeps its order in a group of members: MTP3's SLS. Messages with the same selector take the
// same way.
using Selector = std::uint8_t;
inline constexpr std::size_t kSelectors = 256;
// Who carries which selector; none where no member is available.
using Carriers = std::array<AssociationId, kSelectors>;

// Which of the available members carries which selector.
//
// Each selector has a list of members, the one that it prefers first. The first available one
// carries it. The head of the list is the selector's home. So a member that returns gets back what
// it had, and when all members are back, whatever their order, the table is what it was.
//
// The spread is even: of every sixteen neighbouring selectors (an ITU SLS has four bits) no
// available member carries two more than another. Among equals, the one that carries less of all
// gets more. A list changes only where the spread would not be even otherwise, or where a member
// comes that was never here. When a member leaves, no selectors but its own change hands; when one
// returns, none but its own and those whose home is away.
class SelectorTable {
 public:
  // The member is available by that association. It is known by its name when it returns, and is
  // remembered for as long as the table lives: whoever uses the table bounds the names.
  void add(const std::string& name, AssociationId id);
  void remove(AssociationId id);

  const Carriers& carriers() const { return carriers_; }
  // How many selectors it carries.
  std::size_t share_of(AssociationId id) const;

 private:
  using Index = std::uint16_t;  // into members_
  static constexpr Index kNobody = 0xffff;
  static constexpr std::size_t kNeighbours = 16;
  static constexpr std::size_t kGroups = kSelectors / kNeighbours;
  // How many selectors, in each group of neighbours and of all.
  struct Share {
    std::array<std::uint8_t, kGroups> of_group{};
    std::uint16_t of_all = 0;
    void add(std::size_t selector, int n);
    // More in the group, or as many there and more of all.
    bool exceeds(const Share& other, std::size_t group) const;
  };
  struct Member {
    std::string name;
    AssociationId id = AssociationId::none;  // none: away
    Share carried, homes;
    bool available() const { return id != AssociationId::none; }
  };
  using Choice = std::array<Index, kSelectors>;

  Index index_of(const std::string& name);
  void make_homes(Index who);
  std::size_t home_to_take(std::size_t group, Index who) const;
  void prefer(std::size_t selector, Index who, Index before);
  Index first_available(std::size_t selector) const;
  void assign();
  void even(std::size_t group, const Carriers& before);
  Index least_loaded(std::size_t group) const;
  Index most_loaded(std::size_t group) const;
  void give(std::size_t selector, Index to);

  std::vector<Member> members_;
  std::vector<Choice>
      choices_;  // the lists, across: the first choices of all selectors, the second
  Choice carried_by_ = [] {
    Choice nobody;
    nobody.fill(kNobody);
    return nobody;
  }();
  Carriers carriers_{};
};

}  // namespace siglane
