#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/association.h"
#include "core/config.h"
#include "core/facts.h"
#include "core/framing.h"
#include "core/histogram.h"
#include "core/result.h"
#include "core/time.h"

namespace siglane {

// Why an association was given a socket of its own.
enum class PeeloffReason { pinned, message_rate, byte_rate, clogged, receive_wedge };
std::string_view name_of(PeeloffReason reason);

// The answer to who has just connected.
struct Welcome {
  bool admitted = true;  // else: close it, and say no more of it
  Instant next{};        // leave the next ones waiting until then, where they can
};

// The upward door. One implementer: Shard. Called from the loop only.
class TransportSink {
 public:
  // Somebody has connected to us; of its addresses the first is proven. Before anything else of
  // this association, and before a handshake that secures it. If that fails, a lone Down follows.
  // May close other associations of this transport.
  virtual Welcome on_newcomer(AssociationId /*id*/, const std::vector<std::string>& /*addresses*/,
                              Instant now) {
    return {true, now};
  }
  // Somebody has connected to us, and the transport itself has turned it away: no on_newcomer() and
  // no event of it comes. `address` may be "unknown".
  virtual void on_stranger(const std::string& address, std::string why, Instant now) = 0;
  virtual void on_event(AssociationId id, AssociationEvent event, Instant now) = 0;
  virtual void on_fact(AssociationId about, Fact fact, Instant now) = 0;

 protected:
  ~TransportSink() = default;
};

struct Peeled {
  std::unique_ptr<DetachedAssociation> cargo;
};
struct Gone {};  // already closing: its Down is on the way
struct Lost {};  // the stack gave it up (EMFILE does that): Down follows
struct Starved {
  std::string why;
};  // no descriptor to spare: it stays here, unharmed
using DetachOutcome = std::variant<Peeled, Gone, Lost, Starved>;

// Where an association sits, and whether another loop may have it.
enum class Seat {
  shared,  // on a socket with others: detach() peels it off
  own,     // on a socket of its own, which any loop may watch
  bound,   // wherever, and it must stay on this loop; or it is not up
};

// Where an association sits and how it fares, for the operator.
struct AssociationStatus {
  std::string endpoint;
  std::string local, remote;  // "127.0.0.1:3868"
  TransportKind transport{};
  bool peeled = false;     // has a socket of its own because the policy gave it one
  PeeloffReason reason{};  // meaningful if peeled
  Instant peeled_at{};
  double peeled_at_messages_per_second = 0;
  bool congested = false;
  std::size_t queued_messages = 0, queued_bytes = 0;
  double messages_in_per_second = 0, messages_out_per_second = 0;  // over the last window
};

// Owns every socket and every Association of one loop, and stays on its thread.
//
// No call on Transport or Association calls the sink before it returns: events come from the loop
// only. That one promise keeps re-entrancy out of everything above.
class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  // `framing` must outlive the transport. Errors name the endpoint, the address and what to do.
  virtual Result<EndpointId> open(const EndpointConfig& endpoint, const Framing& framing) = 0;
  // The id is good at once; a failure arrives as AssociationDown, like any other.
  virtual AssociationId connect(EndpointId local, const PeerConfig& peer) = 0;
  // nullptr once AssociationDown was delivered. Use it now; do not keep it.
  virtual Association* find(AssociationId id) = 0;
  // The session has said who this is: from now on the peer's pin applies.
  virtual void bind(AssociationId id, const PeerConfig& peer) = 0;

  // Moving an association, first half: peel it off if it is still on the shared socket, stop
  // watching it, hand it over. From here on the sink hears nothing of `id` from this transport.
  virtual DetachOutcome detach(AssociationId id) = 0;
  // Second half, on this transport or another. What waited in the kernel is delivered next, in
  // order.
  virtual void adopt(std::unique_ptr<DetachedAssociation> cargo) = 0;
  virtual Seat seat(AssociationId id) const = 0;

  // Backpressure: reads no more of it for now, so that its peer has to wait. What was read before
  // may still come. Of one that shares its socket, nothing can be held back. Both are idempotent,
  // and a move ends the pause.
  virtual void pause_input(AssociationId) {}
  virtual void resume_input(AssociationId) {}

  virtual std::optional<AssociationStatus> status(AssociationId id) const = 0;
  // Residence times of messages with caused_at, in ns; nullptr: none yet or no such association.
  virtual const Histogram* residence(AssociationId id) const = 0;
};

}  // namespace siglane
