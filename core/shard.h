#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "core/admission.h"
#include "core/ask_sink.h"
#include "core/backpressure.h"
#include "core/deadlines.h"
#include "core/dialer.h"
#include "core/directory.h"
#include "core/diverter.h"
#include "core/homes.h"
#include "core/mailbox.h"
#include "core/module.h"
#include "core/move_refusal.h"
#include "core/outbound.h"
#include "core/peer_counts.h"
#include "core/revision.h"
#include "core/table_walk.h"
#include "core/transport.h"

namespace siglane {

struct ShardConfig {
  ShardId id{};
  std::uint64_t seed = 1;  // all randomness of this shard and its sessions
  BackoffConfig reconnect;
  DataBudget mailbox;  // of what waits for this shard
  // Of what waits here for room in another's mailbox, for each of them.
  DataBudget outbound{.parcels_max = 16384, .bytes_max = std::size_t{8} << 20};
};

// A session and what the shard knows about it, for the operator.
struct SessionView {
  AssociationId id{};
  bool coordinator = false;
  bool identified = false;  // else its session tells who it says it is
  const Session* session = nullptr;
  Instant since{};
  std::uint64_t messages_received = 0, messages_sent = 0, bytes_received = 0, bytes_sent = 0;
};

// A link and how it fares, for the operator.
struct LinkView {
  LinkId id{};
  PeerKey peer;
  EndpointId local{};
  LinkState state{};
  AssociationId association{};                 // its own one, if it connects or is connected
  std::optional<Instant> next = std::nullopt;  // waiting: when it connects
};

// One thread's worth of a node: a transport, its associations' sessions, and the coordinators that
// live here. Runs events -> step -> FIFO of actions -> associations, each to completion before the
// next. Knows no thread, socket or clock itself: whoever drives it (transport/loop/shard_loop.h, or
// the simulator) calls it on one thread and tells it the time.
//
// It is made of parts, each pure and tested alone, which decide: Admission (who may be which peer),
// Dialer (when and where to connect), Backpressure (whose input is paused), Diverter (what to do
// when a path between shards changes). The shard connects them with the transport and the other
// shards, and carries out what they say.
class Shard final : public TransportSink {
 public:
  // All references must outlive the shard. `asks` may be null: then every Ask is refused.
  Shard(ShardConfig config, Transport& transport, const PeerTable& peers, Directory& directory,
        FactSink& facts, AskSink* asks, BufferPool& buffers, Counters& counters);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Set-up. `module` must outlive the shard.
  Result<EndpointId> open(const EndpointConfig& endpoint, ProtocolModule& module);
  // Connects now, and again after every Down, with back-off, until stop(). While the peer has all
  // the associations that it may have (connections_max), one more would be refused: then it is
  // given up, and tried again when one of them is Down. A peer that is to have several has this
  // called for each, with endpoints as its transport needs them. `local` is one of this shard's.
  void keep_connected(EndpointId local, const PeerConfig& peer);
  // A session without an association. Its module answers for what it fails to forward.
  // Also while the node runs: what is forwarded to it from elsewhere needs its id, which is why one
  // that others know already is told here. It ends when it says Close.
  AssociationId add_coordinator(std::unique_ptr<Session> session, ProtocolModule& module,
                                Instant now, AssociationId id = next_association_id());

  // A new revision. Revisions come one after another: the next one once every shard of the node has
  // followed this one.
  void follow(Revised revised, Instant now);
  // What the operator asks of a peer; as far as its links and associations on this shard go. Where
  // an order stands (StandingOrders), the directory has it already. Returns how many there are.
  std::size_t order(const PeerKey& peer, PeerOrder order, const std::string& why, Instant now);

  // What the driver calls.
  Welcome on_newcomer(AssociationId id, const std::vector<std::string>& addresses,
                      Instant now) override;
  void on_stranger(const std::string& address, std::string why, Instant now) override;
  void on_event(AssociationId id, AssociationEvent event, Instant now) override;
  void on_fact(AssociationId about, Fact fact, Instant now) override;
  // Takes at most so many letters. mail_waits(): there are more, or may be, for which nobody would
  // wake us: a mailbox wakes its owner only when it stops being empty.
  void run_mailbox(Instant now, std::size_t letters_max = 4096);
  bool mail_waits() const { return mail_waits_; }
  void run_due(Instant now);
  std::optional<Instant> next_deadline() const;
  // Every session is told Stopping and nothing is reconnected; idle() once all associations are
  // Down. The driver bounds the wait, then calls abandon().
  void stop(Instant now);
  // None on this shard nor on any other of the node.
  bool idle() const { return directory_.associations() == 0; }
  void abandon();

  // Moves an association with its session to another shard, in mid-traffic; nothing is lost,
  // doubled or reordered. Where it cannot be moved now it stays where it is, and the answer says
  // why. `why`: for the operator.
  tl::expected<void, MoveRefusal> move(AssociationId id, ShardId to, Instant now,
                                       std::string why = {});
  // Now and then: memory that a peak has left.
  void release_unused_memory();
  // Every second or so, where there are several shards. `busy`: the part of the time since the last
  // call that this shard has worked. Tells the others, and sends a loud association to one of them
  // if that lets all others wait less (balance.h).
  void balance(double busy, Instant now);

  // Hands a parcel to a session of this shard, as if `from` had forwarded it. Tests and tools.
  void submit(AssociationId from, AssociationId to, ParcelPtr parcel, Instant now);

  ShardId id() const { return config_.id; }
  Mailbox& mailbox() { return mailbox_; }
  Transport& transport() { return transport_; }
  const Drops& drops() const { return drops_; }
  // Of the sessions and of the shard itself, for each peer from its identification on. What its
  // associations have sent and received is added when they end, and here.
  const PeerCounts& peer_counts() const { return peer_counts_; }
  // true: there are more.
  bool add_up_traffic(TableWalk& walk) const;
  const Counters& counters() const { return counters_; }
  // What a view points to holds until the shard does something.
  std::optional<SessionView> session(AssociationId id) const;
  void visit_sessions(const std::function<void(const SessionView&)>& visit) const;
  // The same for many, so that no turn is long: a few in each step. true: there are more.
  bool visit_sessions(TableWalk& walk, const std::function<void(const SessionView&)>& visit) const;
  bool visit_links(TableWalk& walk, const std::function<void(const LinkView&)>& visit) const;

 private:
  struct Entry;
  struct Work;
  struct Traveller;
  class OutboxLease;
  // Accepted or made in this step, or on its way for longer and come back.
  enum class Fresh : bool { no, yes };
  // What is done once all that waits for room is out: the sender of the Mark is told Passed; the
  // diverter hears that it is AllOut.
  struct AllOut {};
  using Then = std::variant<Mark, AllOut>;

  Entry* find(AssociationId id);
  const Entry* find(AssociationId id) const;
  void open_association(AssociationId id, const AssociationUp& up, Instant now);
  void close_association(AssociationId id, AssociationDown down, Instant now);
  void count(const Entry* entry, Counter counter, std::uint64_t n = 1);
  SparseCounts& counts_of(const std::string& peer);
  SparseCounts* counts_for(AssociationId id);
  void refuse(Entry& entry, Counter counter, std::string why, Instant now);
  void forget(AssociationId id, Instant now);

  // `module` answers for a parcel that finds nobody.
  void push(AssociationId id, SessionInput input, ProtocolModule* module = nullptr);
  void drain_work(Instant now);
  static bool may_open(const Entry& entry, const Work& work, const SessionInput& input);
  void step(AssociationId id, SessionInput input, Instant now);
  void report(AssociationId about, const Fact& fact, Instant now);
  void carry_out(AssociationId from, ProtocolModule& module, Outbox& out, Instant now, Fresh fresh);
  void drop(AssociationId from, Drop drop, Instant now);
  Drops::Tell tell_dropped(Instant now);
  void transmit(AssociationId id, Message message);
  void close_transport(AssociationId id, CloseMode mode);
  void note_past(Entry& entry, const std::string& why, Instant now);
  void note_trouble(const PeerKey& peer, const std::string& why, Instant now);
  void fail(AssociationId from, AssociationId failed, ParcelPtr parcel, Why why,
            ProtocolModule* module);
  void arm(Entry& entry);
  void wake_all();

  // shard_views.cpp
  static std::optional<SessionView> view_of(const Entry& entry);
  static void add_up_traffic(Entry& entry);
  LinkView view_of(const Dialer::Link& link) const;

  // shard_mail.cpp
  void forward(AssociationId from, AssociationId to, ParcelPtr parcel, ProtocolModule& module,
               Fresh fresh);
  std::optional<ShardId> home_of(AssociationId id);
  void send_home(Delivery delivery);
  void lose(Delivery delivery, const DropReason& reason);
  void hold_back(AssociationId from, ShardId target);
  void pause_input(AssociationId id, bool paused);
  void let_go();
  void take(Delivery delivery);
  void take(Completion completion);
  void send_waiting(Instant now);
  void tell(ShardId shard, Letter letter);
  template <class L>
  void tell_all(const L& letter) {
    for (std::size_t i = 0; i < directory_.shards(); ++i) tell(static_cast<ShardId>(i), letter);
  }
  template <class L>
  void tell_others(const L& letter) {
    for (std::size_t i = 0; i < directory_.shards(); ++i) {
      const auto shard = static_cast<ShardId>(i);
      if (shard != config_.id) tell(shard, letter);
    }
  }
  void once_all_is_out(Then then, Instant now);
  void do_now(const Then& then, Instant now);

  // shard_diversion.cpp
  void reroute(ProtocolModule& module, AssociationId coordinator);
  void divert(Diverter::Todo todo, Instant now);
  void take(DiverterStep step, Diverter::Todo& todo, Instant now);
  void begin(const Diversion& diversion, Instant now);
  void hold(Delivery delivery);
  void release(std::vector<Delivery> held);
  void route(std::vector<Delivery> held, Instant now);

  // shard_move.cpp
  std::optional<MoveRefusal> reason_to_stay(AssociationId id, ShardId to) const;
  std::unique_ptr<MovingUnit> pack(AssociationId id, std::unique_ptr<DetachedAssociation> cargo);
  void arrive(Arrival& arrival, Instant now);

  // shard_identity.cpp
  void identify(AssociationId id, const std::string& peer, Instant now);
  Verdict judge(Entry& entry, const std::string& peer);
  void inquire(Entry& entry, const std::string& peer);
  void on_inquiry(Inquiry inquiry);
  void hold(Entry& claimant, SessionInput input, Instant now);
  void settle_claim(AssociationId id, Instant now);
  void answer_claimants(Entry& holder);

  // shard_newcomers.cpp
  void give_way(const Newcomers::Newcomer& who, Instant now);
  void note_stranger(const std::string& address, std::string why, bool left, Instant now);
  void note_stranger(Entry& entry, std::string why, bool left, Instant now);
  void tell_of_strangers(Instant now);
  void note_end(AssociationId id, const AssociationDown& down, Instant now);
  void tell_of(Entry& entry, const std::string& remote, Instant now);
  void peer_opened(AssociationId id, Instant now);
  void peer_closed(AssociationId id, const PeerClosed& closed, Instant now);
  void peer_refused(AssociationId id, const PeerRefused& refused, Instant now);
  void violation(AssociationId id, const std::string& what, Instant now);

  // shard_revision.cpp
  void follow(Entry& entry, const RevisionChange& change, Instant now);
  bool is_stranger(const Entry& entry) const;
  void begin_to_obey(Entry& entry);
  void obey(Entry& entry, const std::string& why);
  void catch_up(Entry& entry, Instant now);

  // shard_links.cpp
  void connect(LinkId link, Instant now);
  std::size_t connections_max(const std::string& peer) const;
  PeerPresence presence_of(const PeerKey& peer, AssociationId without = AssociationId::none) const;
  void wake_links(const PeerKey& peer, Instant now);
  void link_down(AssociationId id, const AssociationDown& down, Instant now);
  void give_up(const std::vector<AssociationId>& associations);

  ShardConfig config_;
  Transport& transport_;
  const PeerTable* peers_;  // of revised_, once there is one
  Revised revised_;         // the last one followed
  Directory& directory_;
  FactSink& facts_;
  AskSink* asks_;
  BufferPool& buffers_;
  Counters& counters_;
  Random random_;
  Mailbox mailbox_;

  std::unordered_map<AssociationId, std::unique_ptr<Entry>> entries_;
  std::unordered_map<EndpointId, ProtocolModule*> modules_;
  Admission admission_;
  Dialer dialer_;
  Backpressure backpressure_;
  Deadlines<AssociationId> deadlines_;
  Drops drops_;
  PeerCounts peer_counts_;
  std::optional<Instant> tell_strangers_at_;

  std::vector<Work> work_;
  std::size_t work_done_ = 0;
  std::vector<std::unique_ptr<Outbox>> outboxes_;  // one for each depth of step -> route
  std::size_t outboxes_used_ = 0;
  Homes homes_;
  Outbound outbound_;
  Diverter diverter_;
  std::vector<Letter> letters_;
  std::size_t letters_read_ = 0;
  bool mail_waits_ = false;
  struct OnceOut {
    Outbound::Posted waiting;
    Then then;
  };
  std::deque<OnceOut> once_out_;  // the first is due first
  std::size_t associations_ = 0;
  bool stopping_ = false;
};

}  // namespace siglane
