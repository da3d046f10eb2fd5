#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/association.h"
#include "core/counters.h"
#include "core/drops.h"
#include "core/facts.h"
#include "core/peer_table.h"
#include "core/result.h"
#include "core/time.h"

namespace siglane {

// How a parcel crosses from shard to shard.
enum class Carriage : std::uint8_t {
  unordered,  // bounded; where there is no room it is Undelivered and may go elsewhere
  ordered,    // bounded; waits for its turn, and never overtakes an earlier one of its flow
  control,    // rare and never refused: what states are made of
};

// A decoded message on its way between two sessions of one module. Only the module that packed it
// opens it (it knows its own kinds, so a static_cast will do). Its memory comes from and returns to
// a free list of the thread, so that a parcel costs no heap allocation in steady state.
class Parcel {
 public:
  Parcel() = default;
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;
  virtual ~Parcel() = default;

  virtual Carriage carriage() const { return Carriage::unordered; }
  // Bytes of messages that it keeps alive, for those who bound how much waits.
  virtual std::size_t bytes_held() const { return 0; }
  // The message in a line, for an operator who wants to know what was dropped.
  virtual std::string describe() const { return {}; }
  // The peer whose request it is, for those who bound how much of one peer's waits, whichever of
  // its connections it came on; empty: nobody's. Good as long as the parcel.
  virtual std::string_view asked_by() const { return {}; }
  // false: that connection is gone, and nobody waits for what comes of this. Any thread.
  virtual bool wanted() const { return true; }

  // Where it has been already: route() excludes these. False: it was everywhere it may go.
  bool mark_tried(AssociationId id) {
    if (tried_count_ == tried_.size()) return false;
    tried_[tried_count_++] = id;
    return true;
  }
  std::span<const AssociationId> tried() const { return {tried_.data(), tried_count_}; }
  bool was_tried(AssociationId id) const {
    for (AssociationId t : tried()) {
      if (t == id) return true;
    }
    return false;
  }

  static void* operator new(std::size_t size);
  static void operator delete(void* memory, std::size_t size);

 private:
  std::array<AssociationId, 4> tried_{};
  std::uint8_t tried_count_ = 0;
};
using ParcelPtr = std::unique_ptr<Parcel>;

enum class Why { no_such_association, refused, not_open, congested, timed_out, exhausted };
std::string_view name_of(Why why);

// In: what happened to the association, what the node wants sent, what time it is.
struct Submitted {
  AssociationId from{};
  ParcelPtr parcel;
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
// The answer to Reroute: all that is under way in this coordinator's flow has been delivered, or is
// here. Publish the new path and forward what is held: the shards follow right after.
struct Rerouting {};
using SessionInput =
    std::variant<AssociationUp, AssociationReceived, AssociationEnding, AssociationCongestion,
                 AssociationPathChange, AssociationUnsent, AssociationDown, Submitted, Woken,
                 Identified, IdentityRefused, Stopping, Superseded, Rerouting>;

// Out: everything a step may want done, in order.
struct Transmit {
  Message message;
};  // on this association
struct Close {
  CloseMode mode{};
};
// In a step with AssociationEnding or Superseded: something is owed to the peer first. The session
// Closes once that is sent, and after some time in any case. Without it, the shard closes an
// association that is ending.
struct Linger {};
// The peer does not want us to connect to it before that, on any link. It may connect to us.
struct HoldOff {
  Instant until{};
};
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
};  // to the store thread; comes back as Submitted
struct Publish {
  ParcelPtr change;
};                  // to the module's control plane
struct Reroute {};  // a coordinator's flow is to take another path: Rerouting follows
struct PauseInput {
  bool paused = false;
};  // read no more of this association, or read on
struct Announce {
  Fact fact;
};
struct Drop {
  DropReason reason;
  std::string example;
  std::string peer;  // whose message it was; empty: that of the session which says so
  std::uint64_t count = 1;
};
using Action = std::variant<Transmit, Close, Linger, HoldOff, Identify, Accept, Forward,
                            Undelivered, Ask, Publish, Reroute, PauseInput, Announce, Drop>;

// What one step wants done. Owned by the shard and reused: no allocation in steady state.
class Outbox {
 public:
  Outbox(BufferPool& buffers, Counters& counters) : buffers_(&buffers), counters_(&counters) {}

  void transmit(Message message) { actions_.emplace_back(Transmit{std::move(message)}); }
  void close(CloseMode mode) { actions_.emplace_back(Close{mode}); }
  void linger() { actions_.emplace_back(Linger{}); }
  void hold_off(Instant until) { actions_.emplace_back(HoldOff{until}); }
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
  void announce(Fact fact) { actions_.emplace_back(Announce{std::move(fact)}); }
  // A message of `peer` is dropped, or refused with an error. `example`: that message, in a line;
  // of several, the last one.
  void drop(const DropReason& reason, std::string example, std::string peer = {},
            std::uint64_t count = 1) {
    actions_.emplace_back(Drop{reason, std::move(example), std::move(peer), count});
  }
  void count(Counter counter, std::uint64_t n = 1) { counters_->add(counter, n); }

  BufferPool& buffers() { return *buffers_; }
  std::span<Action> actions() { return actions_; }
  void clear() { actions_.clear(); }

 private:
  std::vector<Action> actions_;
  BufferPool* buffers_;
  Counters* counters_;
};

// A session as an operator sees it.
struct SessionStatus {
  std::string peer;           // empty: not identified
  std::string_view protocol;  // "diameter", "m3ua"
  std::string_view state;     // the standard's name for it
  std::size_t pending = 0;    // requests waiting for their answer, or messages held
  std::string detail;
};

// A protocol state machine: a function of its state, one input and the time. It holds no socket,
// thread, clock, random source or log, so it can be fuzzed, replayed, simulated, and carried to
// another loop. Most sessions belong to one association; a coordinator (an M3UA AS, an
// Application) belongs to none and is reached by Forward.
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

// How a byte stream (TCP) is cut into messages. Pure; any thread.
class Framing {
 public:
  // The whole length in bytes of the message that begins here, or nothing while too few bytes are
  // there to tell. An error closes the stream. Must be greater than 0 and may exceed any limit:
  // the transport enforces message_bytes_max.
  virtual Result<std::optional<std::size_t>> frame_length(Bytes head) const = 0;
  // What a message cut from a stream is labelled with.
  virtual PayloadProtocol stream_protocol() const = 0;

 protected:
  ~Framing() = default;
};

// A protocol, as the framework sees it. const functions are called on any shard's thread, read one
// immutable snapshot, never block, never wait.
class ProtocolModule : public Framing {
 public:
  virtual ~ProtocolModule() = default;

  virtual std::string_view name() const = 0;
  virtual std::span<const PayloadProtocol> payload_protocols() const = 0;
  // `seed` is all the randomness the session will ever have. The session is stepped with `up` right
  // after. Who the peer is may be known only later: the session then says Identify.
  virtual std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp& up,
                                                const PeerTable& peers,
                                                std::uint64_t seed) const = 0;
  // Where an accepted parcel goes: Forward to an application or another association; excludes
  // parcel->tried(). `from` is the session that accepted it, `shard` where that lives.
  virtual void route(ShardId shard, AssociationId from, ParcelPtr parcel, Instant now,
                     Outbox& out) const = 0;
  // A parcel that `from` forwarded, or was given, did not get on; the id that failed is in tried().
  // Route it again, answer for it (Forward to its origin), or count it.
  virtual void undelivered(ShardId shard, AssociationId from, ParcelPtr parcel, Why why,
                           Instant now, Outbox& out) const = 0;
  // Control plane: a session's state changed (its Publish). Builds and publishes a new snapshot for
  // route(). Called on the shard's thread under no lock: the module serialises.
  virtual void publish(ShardId shard, AssociationId from, ParcelPtr change) = 0;
  // The steps of a Reroute on each shard (core/diversion.h), for modules whose flows have an order:
  // until follow(), route() on this shard keeps to the path that it followed last, and between
  // hold() and follow() it forwards the flow to its coordinator, where the shard holds it.
  virtual void hold(ShardId, AssociationId /*coordinator*/) {}
  virtual void follow(ShardId, AssociationId /*coordinator*/) {}
};

// The way to the store thread, for Ask. The completion returns as Submitted{from: none} to the
// session that asked, through its shard's mailbox. A request that nobody wants any more before it
// has begun (Parcel::wanted) is dropped, and does not return. Any thread.
class AskSink {
 public:
  // false: the store's queue is full, or the share of it that the request's peer has; the request
  // is untouched and the shard tells the session Submitted with the same parcel, so that it can
  // fail it.
  [[nodiscard]] virtual bool ask(ShardId shard, AssociationId from, ParcelPtr& request) = 0;

 protected:
  ~AskSink() = default;
};

}  // namespace siglane
