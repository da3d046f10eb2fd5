#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/association.h"
#include "core/time.h"

namespace siglane {

// What counts as one source: an IPv4 address, or the /64 of an IPv6 address, in which one host may
// have any number of addresses. `address`: canonical text.
std::string source_of(std::string_view address);

// Everybody who has connected to this node and is not known to be a peer yet: from the accept, or
// SCTP's COMM_UP, through a TLS or DTLS handshake, until the session says Identify. There are few
// places for them, and still nobody is turned away because others have them all: a newcomer takes
// the place of the one that has been here longest, of the source that has most places. So a
// stranger who keeps up many connections loses his own, and a peer that says at once who it is
// needs no luck.
//
// Newcomers from an address that the config has for a peer have places of their own, which nobody
// else can take.
//
// One for all shards of a node. Any thread.
class Newcomers {
 public:
  // How many at a time, of each kind.
  struct Places {
    std::size_t anybody = 1024;
    std::size_t kept = 0;  // for configured addresses
  };
  struct Newcomer {
    AssociationId id{};
    ShardId shard{};
    std::string address;
  };
  struct Entered {
    bool admitted = true;
    std::optional<Newcomer> loses;  // its place, and is to be closed
    // The next ones are better left waiting in the kernel until then. Places change hands only so
    // fast: else strangers who connect again whenever they are closed would leave nobody the time
    // to say a word.
    Instant next{};
  };

  // No more places for anybody than that, whatever enter() is told, from now on.
  void limit(std::size_t anybody_max) {
    std::lock_guard lock(mutex_);
    anybody_max_ = anybody_max;
  }

  Entered enter(Newcomer newcomer, bool kept, const Places& places, Instant now);
  // It has a place, or has lost it and is being closed.
  bool contains(AssociationId id) const;
  // It is known now, or gone. Its address, if it still had its place.
  std::optional<std::string> leave(AssociationId id);
  // That have a place.
  std::size_t count() const;

 private:
  struct Source;
  struct Place {
    Newcomer who;
    std::uint64_t number = 0;  // in the order of coming
    Source* source = nullptr;  // null: it has lost its place
    std::list<Place*>::iterator at;
  };
  // The last one loses a place first.
  struct Rank {
    std::size_t places = 0;
    std::uint64_t oldest = 0;
    Source* source = nullptr;
    bool operator<(const Rank& other) const {
      return places != other.places ? places < other.places : oldest > other.oldest;
    }
  };
  // All places of one kind.
  struct Kind {
    std::unordered_map<std::string, std::unique_ptr<Source>> sources;
    std::set<Rank> ranks;
    std::size_t taken = 0;
  };
  struct Source {
    Kind& kind;
    std::string name;
    std::list<Place*> here;  // the longest here first
    Rank rank() { return {here.size(), here.front()->number, this}; }
  };

  static void take(Kind& kind, Place& place);
  static void give_up(Place& place);

  mutable std::mutex mutex_;
  std::unordered_map<AssociationId, Place> places_;
  Kind anybody_, kept_;
  std::size_t leaving_ = 0;  // in places_, without a place
  std::size_t anybody_max_ = std::numeric_limits<std::size_t>::max();
  std::uint64_t last_number_ = 0;
  Instant handing_over_until_{};
};

}  // namespace siglane
