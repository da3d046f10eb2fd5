#pragma once
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/facts.h"
#include "core/time.h"

namespace siglane {

inline constexpr FactKind kStrangersSeen{
    "strangers_seen", Severity::info,
    "associations that ended before their peer was identified: `refused` ones, which are a "
    "warning, and those that `left` by themselves. A source is an IPv4 address or the /64 of an "
    "IPv6 address. At most once a minute"};

// What is told of those who connect and never get to be a peer: all of them together, at most once
// a minute, however many there are. One for all shards of a node. Any thread.
class Strangers {
 public:
  // `left`: it went by itself; otherwise it was turned away, or closed.
  void note(const std::string& address, std::string why, bool left);
  // What has been noted, if it may be told now.
  std::optional<Fact> tell(Instant now);
  // When it may be, if there is something.
  std::optional<Instant> next() const;

  // Somebody has said who it is, and was refused: an operator wants to read of that one. true: it
  // may have a line of its own. Once a minute for each name, and only for a few names, because
  // strangers can make names up.
  bool may_tell_alone(const std::string& who, Instant now);

 private:
  struct Seen {
    std::uint64_t refused = 0;  // turned away, or closed
    std::uint64_t left = 0;     // went by themselves
    std::string last, why;      // the last one: its address, and what became of it
  };
  struct Told {
    std::string who;
    Instant at{};
  };

  mutable std::mutex mutex_;
  Seen seen_;
  std::unordered_map<std::string, std::uint64_t> by_source_;
  std::optional<Instant> told_at_;
  std::vector<Told> told_alone_;
};

}  // namespace siglane
