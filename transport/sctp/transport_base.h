#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "transport/carrier.h"
#include "transport/loop/loop.h"
#include "transport/sctp/association_base.h"
#include "transport/socket_option.h"

namespace siglane::transport {

struct SctpTransportOptions {
  PeeloffLimits peeloff;
  // Sockets given to associations so far, by all transports that share peeloff.peeled_max.
  std::shared_ptr<std::atomic<std::size_t>> peeled = std::make_shared<std::atomic<std::size_t>>(0);
  Duration sample_interval = 1s;   // how often the policy is asked, without pressure
  unsigned shared_batch_max = 64;  // messages read from a shared socket before others have a turn
  unsigned peeled_batch_max = 32;
  unsigned descriptors_kept_free = 32;
};

// What a socket has of the options that its endpoint should have.
struct SctpOptionsSet {
  SctpOptions options;
  bool in_doubt = false;  // not all could be set: they are tried again
};

// One SCTP transport over two stacks: all that is the same on both, which is what the layers above
// see. Endpoints and their reconfiguration, connects, who is which association, what becomes of
// what a stack says and in which words, moves and peels, ends. What a stack does its own way is a
// hook, none of which is called for every message; each stack reads and sends by itself.
class SctpTransportBase : public Carrier, protected SctpHost {
 public:
  // Before the loop runs; must outlive the transport.
  void set_sink(TransportSink& sink) { sink_ = &sink; }

  AssociationId connect(EndpointId local, const PeerConfig& peer) final;
  Association* find(AssociationId id) final { return find_association(id); }
  void bind(AssociationId id, const PeerConfig& peer) final;

  // Gone also for one that is not up yet: there is nothing to move.
  DetachOutcome detach(AssociationId id) final;
  void adopt(std::unique_ptr<DetachedAssociation> cargo) final;
  Seat seat(AssociationId id) const override;
  void pause_input(AssociationId id) final;
  void resume_input(AssociationId id) final;

  std::optional<AssociationStatus> status(AssociationId id) const final;
  const Histogram* residence(AssociationId id) const final;

  void reconfigure(EndpointId endpoint, const EndpointConfig& config,
                   std::shared_ptr<const TlsContext> loaded) final;
  void reconfigure(const PeeloffLimits& limits) final;
  const EndpointConfig& config(EndpointId endpoint) const final {
    return endpoint_of(endpoint)->config;
  }

  // Of which kind's association it is; nullopt: of neither stack's.
  static std::optional<TransportKind> kind_of(const DetachedAssociation& cargo);
  // Associations that have sockets of their own here.
  std::size_t peeled_count() const { return peeled_here_; }
  // Bytes of half-received messages of one association.
  std::size_t partial_bytes(AssociationId id) const;

 protected:
  SctpTransportBase(Loop& loop, BufferPool& buffers, Counters& counters, TransportKind kind,
                    SctpTransportOptions options);
  SctpHost& host() { return *this; }

  // What came of a connect: an association; or an errno value; or what else is missing.
  struct Connected {
    SctpAssociationBase* association = nullptr;
    int error = 0;
    std::string missing = {};
    // How long silence lasts before the stack gives up. 0: the stack says itself who refused.
    Duration patience{};
  };

  // --- The tables
  SctpAssociationBase* find_association(AssociationId id) const {
    const auto found = associations_.find(id);
    return found == associations_.end() ? nullptr : found->second.get();
  }
  SctpAssociationBase& keep(std::unique_ptr<SctpAssociationBase> association);
  // Out of all tables.
  std::unique_ptr<SctpAssociationBase> remove(AssociationId id);
  // Precondition: it is open here.
  const std::shared_ptr<const SctpEndpoint>& endpoint_of(EndpointId id) const {
    return open_.at(id).endpoint;
  }
  bool speaks(EndpointId id) const { return open_.at(id).speaks; }
  // An endpoint that is open. `speaks`: for its other shards too.
  void keep(std::shared_ptr<const SctpEndpoint> endpoint, bool speaks);

  // --- What is told
  void emit(AssociationId id, AssociationEvent event) {
    sink_->on_event(id, std::move(event), loop_.now());
  }
  // Soon.
  void tell(AssociationId about, Fact fact);
  void tell_of(const SctpEndpoint& endpoint, const std::string& text,
               Severity severity = Severity::info);
  void tell_of(const SctpEndpoint& endpoint, const std::vector<std::string>& texts);
  void tell_unset(const SctpEndpoint& endpoint, const OptionOutcome& outcome);
  void tell_path(SctpAssociationBase& association, const std::string& address, PathState state);
  // At its end: what was not sent, and then that it is over.
  void tell_unsent(SctpAssociationBase& ended);
  void tell_down(const SctpAssociationBase& ended);

  // --- The turn of the loop
  void soon(std::function<void()> what);
  void attend_soon() { soon_.schedule(); }
  void add_dirty(SctpAssociationBase& association) {
    association.dirty = true;
    dirty_.push_back(association.id());
  }
  bool has_dirty() const { return !dirty_.empty(); }
  void flush_dirty();

  // --- What a stack says (notifications.cpp)
  // Of `of`; null: of nobody that we have.
  void take_notification(SctpAssociationBase* of, const Notification& said);
  // May this stranger come? If not, that is counted and told, and the stack has to abort it.
  bool lets_in(const SctpEndpoint& endpoint, std::span<const SocketAddress> remote);
  // Of the peer's addresses the first is the primary path.
  void begin(SctpAssociationBase& association, const notification::AssociationChanged& up,
             std::span<const SocketAddress> remote, bool restarted);
  // A whole message, as the stack had it. Whoever hears of it may take the association away.
  void take_whole(SctpAssociationBase& association, Message&& message);
  // All that its channel has to say. Whoever hears it may take the association away: what it has
  // not said yet goes along.
  void read_sealed(AssociationId id);
  void refuse_oversized(SctpAssociationBase& association);
  // It ends without a word from the stack.
  void end_soon(SctpAssociationBase& association, DownCause cause, std::string detail);

  // --- Peeling (peeling.cpp)
  const PeeloffLimits& peeloff() const { return options_.peeloff; }
  // Sockets given so far, by all that share peeled_max.
  std::size_t peeled_now() const { return *options_.peeled; }
  bool peel(const PeeloffDecision& decision);
  // Of a look at all associations: who has earned a socket, too.
  void tell_starved(std::size_t associations);
  // An association has left its own socket.
  void take_back_socket() {
    --peeled_here_;
    --*options_.peeled;
  }
  void roll_meter(SctpAssociationBase& association, Instant now, Duration window_min);

  Loop& loop_;
  BufferPool& buffers_;
  Counters& counters_;
  TransportSink* sink_ = nullptr;
  SctpTransportOptions options_;
  std::unordered_map<AssociationId, std::unique_ptr<SctpAssociationBase>> associations_;
  Instant last_sample_{};

 private:
  struct Open {
    std::shared_ptr<const SctpEndpoint> endpoint;
    bool speaks = false;
  };

  // SctpHost
  Instant now() final { return loop_.now(); }
  void entered(SctpAssociationBase& association) final;
  void congestion_changed(SctpAssociationBase& association) final;
  Counters& counters() final { return counters_; }

  // What a stack does its own way.
  virtual Connected connect_from(EndpointId local, AssociationId id, const PeerConfig& peer,
                                 std::vector<SocketAddress> addresses) = 0;
  // What the peer has otherwise than its endpoint. `identified`: the peer is known to be that one.
  virtual void follow_peer(SctpAssociationBase& association, const PeerConfig& peer,
                           bool identified) = 0;
  // Finds out where the peer is, and calls begin().
  virtual void begin_in_stack(SctpAssociationBase& association,
                              const notification::AssociationChanged& up, bool restarted) = 0;
  virtual std::vector<SocketAddress> local_addresses(const SctpAssociationBase& association) = 0;
  virtual std::vector<SocketAddress> remote_addresses(const SctpAssociationBase& association) = 0;
  // Nothing was ever heard from that one of several addresses.
  virtual bool unproven(const SctpAssociationBase&, const SocketAddress&) { return false; }
  // A new association under the same number, on the same socket; the old one is in no table.
  virtual SctpAssociationBase& succeed(SctpAssociationBase& old) = 0;
  // finish() it, once what it gives back has been read.
  virtual void finish_when_read(SctpAssociationBase& ended) = 0;
  // Unsent, Down, and nothing more.
  virtual void finish(AssociationId id) = 0;
  // It leaves the stack's own tables.
  virtual void forget(SctpAssociationBase& association) = 0;
  // Of the endpoint's sockets, as `next` has them. What could not be set is tried again next time.
  virtual void set_socket_options(SctpEndpoint& next) = 0;
  // Nothing: it has its own socket now, which nobody watches. Otherwise why it has not.
  virtual std::optional<DetachOutcome> peel_off(SctpAssociationBase& association) = 0;
  // Its own socket, where it is now. An error, or nothing.
  virtual std::string watch(SctpAssociationBase& association) = 0;
  virtual void unwatch(SctpAssociationBase& association) = 0;
  // Now and then, as long as there are associations.
  virtual void look_at_all(Instant now) = 0;
  // The end of this turn, if attend_soon() was called in it.
  virtual void end_of_turn() = 0;

  void attend();
  void tick();
  void keep_ticking();
  void end_overdue(Instant now);
  // An open endpoint with what may change of it. What comes of its certificates is told: success
  // only if it speaks for the endpoint's other shards.
  std::shared_ptr<SctpEndpoint> renewed(const Open& open, const EndpointConfig& config,
                                        std::shared_ptr<const TlsContext> loaded);
  // A peer that is to have a socket of its own need not wait for the next look at all associations.
  void pin(const SctpAssociationBase& association);
  void peel_pinned();
  void starve(AssociationId id, std::string why);

  void on_change(SctpAssociationBase& association, const notification::AssociationChanged& changed);
  void on_lost(SctpAssociationBase& association, const notification::AssociationChanged& lost);
  void on_path(SctpAssociationBase& association, const notification::PathChanged& path);
  void on_restart(SctpAssociationBase& old, const notification::AssociationChanged& up);
  void on_end(SctpAssociationBase& association, DownCause cause, std::string detail);
  void tell_up(SctpAssociationBase& association, std::vector<SocketAddress> remote);
  void deliver(SctpAssociationBase& association, Message&& message);

  const TransportKind kind_;
  std::unordered_map<EndpointId, Open> open_;
  std::size_t peeled_here_ = 0;
  std::vector<AssociationId> pinned_;                     // to be peeled off
  bool starved_ = false;                                  // and told
  std::unordered_map<AssociationId, Instant> deadlines_;  // of phases that last only so long
  std::vector<AssociationId> dirty_;                      // to be flushed at the end of this turn
  std::vector<std::function<void()>> later_;
  Soon soon_;
  Timer tick_;
};

}  // namespace siglane::transport
