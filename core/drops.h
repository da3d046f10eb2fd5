#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/facts.h"

namespace siglane {

// Why a message is dropped, or refused with an error to its sender. Each room defines its reasons
// as constants, beside the code that drops. `name` is the room, a dot and the reason
// ("shard.no_room"); operators see it, so it is never reused for something else.
struct DropReason {
  std::string_view name;
  std::string_view what;  // in words
};

inline constexpr FactKind kMessagesDropped{
    "messages_dropped", Severity::warning,
    "messages of the peer were dropped or refused. `count` is their number since the last fact of "
    "this peer and reason, and `example` is the last one. At most once a minute for each peer and "
    "reason"};

// What one shard dropped, by reason and by the peer whose message it was: how often, and the last
// example. It is told at once the first time, and then at most once a minute for each peer and
// reason. On the shard's thread.
class Drops {
 public:
  static constexpr Duration kTellEvery = 60s;
  // Rows for single peers. Beyond them, a reason's other peers share one row (kOtherPeers).
  static constexpr std::size_t kRowsMax = 4096;
  static constexpr std::string_view kOtherPeers = "(others)";

  struct Row {
    std::string_view what;
    std::uint64_t count = 0;
    std::string example;
    AssociationId about{};  // where the example came from
    Instant last{};
    std::uint64_t told = 0;  // of `count`
    Instant told_at{};
  };
  using Tell = std::function<void(AssociationId about, const Fact& dropped)>;

  // `peer` may be empty: not identified. `count`: more than one at once, of which `example` is the
  // last.
  void add(const DropReason& reason, std::string_view peer, AssociationId about,
           std::string example, Instant now, const Tell& tell, std::uint64_t count = 1);
  // Tells what was dropped since it was told last, where a minute is over.
  void tell_due(Instant now, const Tell& tell);
  std::optional<Instant> deadline() const { return due_; }

  // Visits (reason, peer) in their order.
  void visit(const std::function<void(std::string_view reason, const std::string& peer,
                                      const Row& row)>& visit) const;
  // The same, one at a time: the one that follows `previous` by now; nullptr: the first one, and
  // behind the last one. An entry stays where it is as long as this lives.
  using Key = std::pair<std::string_view, std::string>;  // reason and peer
  using Entry = std::pair<const Key, Row>;
  const Entry* next(const Entry* previous) const;

 private:
  struct Less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return a.first != b.first ? a.first < b.first
                                : std::string_view(a.second) < std::string_view(b.second);
    }
  };

  static Fact take_untold(const Key& key, Row& row, Instant now);

  std::map<Key, Row, Less> rows_;
  std::optional<Instant> due_;
};

}  // namespace siglane
