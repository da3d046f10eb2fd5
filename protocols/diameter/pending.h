#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "core/peer_shares.h"
#include "core/time.h"
#include "protocols/diameter/parcels.h"

namespace siglane::diameter {

// The requests of one connection that wait for their answer, by the hop-by-hop identifier we gave
// them (RFC 6733 §3: unique on the connection at any time), each with its deadline. Identifiers are
// handed out in sequence, so that a ring finds them: add() and take() cost O(1) and a step or two
// in the heap of deadlines. Grows up to its bounds; allocates nothing once grown.
//
// Of what a relay passes on, one peer's requests may take no more room than they leave: alone half
// of it, where two flood a third each. So there is always room for the others, and a peer that
// resets and comes back finds its own requests still in its way.
class PendingTable {
 public:
  struct Limits {
    std::size_t entries_max = 65536;
    std::size_t bytes_max = std::size_t{64} << 20;  // of their messages
  };
  PendingTable(const Limits& limits, std::uint32_t first_id);
  // For what is added from now on; what waits already stays.
  void use(const Limits& limits) { limits_ = limits; }

  // An identifier that is not in use, for messages that are not kept here (DWR, DPR).
  std::uint32_t next_id() { return next_id_++; }
  // Keeps the request and gives it an identifier. nullopt: full, or its peer has as much here as it
  // may, and the request is untouched.
  std::optional<std::uint32_t> add(RequestPtr& request, Instant deadline);
  // The request that was given this identifier; null: none waits.
  RequestPtr take(std::uint32_t hop_by_hop);
  // One whose deadline has come, the earliest first; null: none.
  RequestPtr take_expired(Instant now);
  // One of them, the earliest deadline first; null: empty.
  RequestPtr take_any();

  RequestParcel* find(std::uint32_t hop_by_hop);
  std::optional<Instant> deadline() const;
  std::size_t size() const { return heap_.size(); }

 private:
  struct Slot {
    RequestPtr request;  // null: free
    std::uint32_t id = 0;
    std::uint32_t heap_at = 0;
    std::size_t bytes = 0;
    PeerShares::Share* share = nullptr;
  };
  struct Wait {
    Instant deadline;
    std::uint32_t id;
  };

  Slot& slot(std::uint32_t id) { return slots_[id & (slots_.size() - 1)]; }
  void grow();
  RequestPtr remove(std::size_t heap_at);
  void put(std::size_t heap_at, Wait wait);
  void sift_up(std::size_t heap_at, Wait wait);
  void sift_down(std::size_t heap_at, Wait wait);

  bool has_room(std::string_view peer, std::size_t bytes);

  Limits limits_;
  std::size_t bytes_ = 0;
  PeerShares shares_;
  std::uint32_t next_id_;
  std::vector<Slot> slots_;  // a power of two
  std::vector<Wait> heap_;   // earliest first
};

}  // namespace siglane::diameter
