#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/association.h"
#include "core/counters.h"
#include "core/drops.h"
#include "core/facts.h"
#include "core/parcel.h"
#include "core/sparse_counts.h"
#include "core/time.h"

namespace siglane {

// In: what happened to the association, what the node wants sent, what time it is.
struct Submitted {
  AssociationId from{};
  ParcelPtr parcel;
};
// What this session asked the store, with the store's result in it; or, as it was, where the store
// did not take it.
struct Completed {
  ParcelPtr parcel;
  bool ran = true;
};
struct Woken {};       // the deadline, or earlier
struct Identified {};  // the answer to Identify: this association is that peer's
struct IdentityRefused {
  std::string why;
  bool connected_already = false;  // may be that peer, but another association is it
};                                 // the other answer: say so to the peer, and Close
struct Stopping {};                // the node stops: say goodbye and Close
// The peer is here again, on another association, which waits to hear whether it may take the place
// of this one. Close: it may, once this one is down. Linger: this one will Close in a while. If
// neither is said, this one stays and the other is refused.
struct Superseded {};
// An operator's word about the peer of this session, or what a new config makes of it.
struct Operate {
  enum class Verb : std::uint8_t {
    disconnect,  // say goodbye and Close
    block,       // stay, and give the peer no more traffic, until unblock
    unblock,
  };
  Verb verb{};
  std::string why;  // in words, for the log and for what is told to the peer
  // disconnect: the peer is welcome to connect again at once. Else it is asked to stay away.
  bool may_return = false;
};
// The module has a new config, and this shard follows it from now on (ProtocolModule::adopt()).
// Given to all sessions of the module; most find nothing in it that concerns them.
struct Reconfigured {};
// The answer to Reroute: all that is under way in this coordinator's flow has been delivered, or is
// here. Publish the new path and forward what is held: the shards follow right after.
struct Rerouting {};
using SessionInput =
    std::variant<AssociationUp, AssociationReceived, AssociationEnding, AssociationCongestion,
                 AssociationPathChange, AssociationUnsent, AssociationDown, Submitted, Completed,
                 Woken, Identified, IdentityRefused, Stopping, Superseded, Operate, Reconfigured,
                 Rerouting>;

// Out: everything a step may want done, in order.
struct Transmit {
  Message message;
};  // on this association
struct Close {
  CloseMode mode{};
};  // an association's session: Down follows. A coordinator: it ends with this step
// In a step with AssociationEnding or Superseded: something is owed to the peer first. The session
// Closes once that is sent, and after some time in any case. Without it, the shard closes an
// association that is ending.
struct Linger {};
struct Identify {
  std::string peer;
};  // we know who it is: bind its config
struct Accept {
  ParcelPtr parcel;
};  // in good order: route it
struct Forward {
  AssociationId to{};
  ParcelPtr parcel;
};  // becomes Submitted over there
struct Undelivered {
  ParcelPtr parcel;
  Why why{};
};  // the module routes it again, or answers for it
struct Ask {
  ParcelPtr request;
};  // to the store thread; comes back as Completed
struct Publish {
  ParcelPtr change;
};                  // to the module's control plane
struct Reroute {};  // a coordinator's flow is to take another path: Rerouting follows
struct PauseInput {
  bool paused = false;
};  // read no more of this association, or read on
// What becomes of the peer: the shard acts on these, and tells them as facts (shard_facts.h).
struct PeerOpened {};
struct PeerClosed {
  std::string why;
  Duration hold_off{};
};
struct PeerRefused {
  std::string who, why;
  std::string peer = {};  // its name in the config, where it has one; empty: `who`
};
struct Violation {
  std::string what;
};
struct Announce {
  Fact fact;
};
struct Drop {
  DropReason reason;
  std::string example;
  std::string peer;  // whose message it was; empty: that of the session which says so
  std::uint64_t count = 1;
};
using Action = std::variant<Transmit, Close, Linger, Identify, Accept, Forward, Undelivered, Ask,
                            Publish, Reroute, PauseInput, PeerOpened, PeerClosed, PeerRefused,
                            Violation, Announce, Drop>;

// What one step wants done. Owned by the shard and reused: no allocation in steady state.
class Outbox {
 public:
  Outbox(BufferPool& buffers, Counters& counters) : buffers_(&buffers), counters_(&counters) {}

  void transmit(Message message) { actions_.emplace_back(Transmit{std::move(message)}); }
  void close(CloseMode mode) { actions_.emplace_back(Close{mode}); }
  void linger() { actions_.emplace_back(Linger{}); }
  // Identified or IdentityRefused follows as the next input, before anything from outside.
  void identify(std::string peer) { actions_.emplace_back(Identify{std::move(peer)}); }
  void accept(ParcelPtr parcel) { actions_.emplace_back(Accept{std::move(parcel)}); }
  void forward(AssociationId to, ParcelPtr parcel) {
    actions_.emplace_back(Forward{to, std::move(parcel)});
  }
  void undelivered(ParcelPtr parcel, Why why) {
    actions_.emplace_back(Undelivered{std::move(parcel), why});
  }
  void ask(ParcelPtr request) { actions_.emplace_back(Ask{std::move(request)}); }
  void publish(ParcelPtr change) { actions_.emplace_back(Publish{std::move(change)}); }
  // Hold the flow's parcels that come here, from now until Rerouting.
  void reroute() { actions_.emplace_back(Reroute{}); }
  // An association's session has to wait before it can take more. What was read already still
  // comes, and where the association shares its socket, everything does: so a session that says
  // this must bound what it keeps of that by itself. Idempotent.
  void pause_input() { actions_.emplace_back(PauseInput{true}); }
  void resume_input() { actions_.emplace_back(PauseInput{false}); }
  // The peer of this association may be used from now on.
  void peer_opened() { actions_.emplace_back(PeerOpened{}); }
  // It may not any more. `hold_off`: the peer does not want us to connect to it for so long, on any
  // link; it may connect to us. 0: as soon as the back-off allows.
  void peer_closed(std::string why, Duration hold_off = {}) {
    actions_.emplace_back(PeerClosed{std::move(why), hold_off});
  }
  // This association may not be the peer that it says it is. `who`: that name, or its address. To
  // Close it is up to the session, which may owe it an answer first.
  // `peer`: the configured peer that it would be, where that has another name than `who`.
  void peer_refused(std::string who, std::string why, std::string peer = {}) {
    actions_.emplace_back(PeerRefused{std::move(who), std::move(why), std::move(peer)});
  }
  // Something is wrong with the peer itself, and not with one of its messages (drop()). To Close it
  // is up to the session, too, so that this is not said again and again.
  void violation(std::string what) { actions_.emplace_back(Violation{std::move(what)}); }
  // For operators only. Each is told, so a session that is not Identified yet announces nothing
  // that strangers can make happen at will.
  void announce(Fact fact) { actions_.emplace_back(Announce{std::move(fact)}); }
  // A message of `peer` is dropped, or refused with an error. `example`: that message, in a line;
  // of several, the last one.
  void drop(const DropReason& reason, std::string example, std::string peer = {},
            std::uint64_t count = 1) {
    actions_.emplace_back(Drop{reason, std::move(example), std::move(peer), count});
  }
  // Counts for this node, and for the peer of the session that is stepped or whose parcel is
  // routed, once that is identified.
  void count(Counter counter, std::uint64_t n = 1) {
    counters_->add(counter, n);
    if (peer_ != nullptr) peer_->add(counter.index(), n);
  }
  // For this node by its labels; for the peer without them.
  template <std::size_t N>
  void count(const LabelledCounter<N>& counter,
             const std::type_identity_t<typename LabelledCounter<N>::Values>& labels) {
    counters_->add(counter, labels);
    if (peer_ != nullptr) peer_->add(counter.total().index(), 1);
  }
  // The shard says so before each step; nullptr: nobody's.
  void count_for(SparseCounts* peer) { peer_ = peer; }
  SparseCounts* counts_for() const { return peer_; }

  BufferPool& buffers() { return *buffers_; }
  std::span<Action> actions() { return actions_; }
  void clear() { actions_.clear(); }

 private:
  std::vector<Action> actions_;
  BufferPool* buffers_;
  Counters* counters_;
  SparseCounts* peer_ = nullptr;
};

// A session as an operator sees it.
struct SessionStatus {
  std::string peer;           // empty: not identified
  std::string_view protocol;  // the name of its module
  std::string_view state;     // the standard's name for it
  std::size_t pending = 0;    // requests waiting for their answer, or messages held
  std::string detail;
};

// A protocol state machine: a function of its state, one input and the time. It holds no socket,
// thread, clock, random source or log, so it can be fuzzed, replayed, simulated, and carried to
// another loop. Most sessions belong to one association; a coordinator (an application, a group of
// servers) belongs to none and is reached by Forward.
class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  // Appends to `out`, calls nobody. The first input of an association's session is AssociationUp,
  // the last AssociationDown. Must not be given more input after it.
  virtual void step(SessionInput input, Instant now, Outbox& out) = 0;
  // When to be Woken at the latest. Asked again after every step.
  virtual std::optional<Instant> deadline() const = 0;
  virtual SessionStatus status() const = 0;
};

}  // namespace siglane
