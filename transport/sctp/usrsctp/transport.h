#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "transport/sctp/transport_base.h"
#include "transport/sctp/usrsctp/association.h"

namespace siglane::transport {

struct UsrsctpTransportOptions {
  PeeloffLimits peeloff;
  Duration sample_interval = 1s;   // how often the policy is asked
  unsigned shared_batch_max = 64;  // messages read from a shared socket before others have a turn
  unsigned peeled_batch_max = 32;
};

// SCTP in this process (usrsctp), in UDP (RFC 6951): for machines whose kernel has no SCTP, and for
// networks that are trusted. The same shape as the kernel's: associations begin on the shared
// one-to-many socket of their endpoint, and the peeloff policy gives sockets to loud ones. One for
// a process. An endpoint has one path, its first address of each family; endpoints may share a UDP
// port, and need SCTP ports of their own.
class UsrsctpTransport final : public SctpTransportBase, private UsrsctpHost {
 public:
  // All must outlive the transport.
  UsrsctpTransport(Loop& loop, BufferPool& buffers, Counters& counters,
                   UsrsctpTransportOptions options = {});
  // Aborts every association; nobody is told.
  ~UsrsctpTransport() override;

  Result<EndpointId> open(const EndpointConfig& endpoint, const Framing& framing) override;
  AssociationId connect(EndpointId local, const PeerConfig& peer) override;
  Association* find(AssociationId id) override { return find_association(id); }
  void bind(AssociationId id, const PeerConfig& peer) override;

  // Gone also for one that is not up yet. A cargo can only come back to the same transport.
  DetachOutcome detach(AssociationId id) override;
  void adopt(std::unique_ptr<DetachedAssociation> cargo) override;

  // There is one stack, and it stays on its loop.
  Seat seat(AssociationId) const override { return Seat::bound; }
  void pause_input(AssociationId id) override;
  void resume_input(AssociationId id) override;
  std::optional<AssociationStatus> status(AssociationId id) const override;

  void reconfigure(EndpointId endpoint, const EndpointConfig& config,
                   std::shared_ptr<const TlsContext> loaded) override;
  using SctpTransportBase::reconfigure;
  const EndpointConfig& config(EndpointId endpoint) const override {
    return endpoints_.at(endpoint).shared->config;
  }
  static bool made(const DetachedAssociation& cargo);

  std::size_t peeled_count() const { return peeled_; }
  std::size_t paths() const { return stack_ ? stack_->paths() : 0; }

 private:
  struct Endpoint {
    std::shared_ptr<const SctpEndpoint> shared;
    std::vector<UsrsctpStack::UdpPort> udp;  // one for each address family
    std::unique_ptr<UsrsctpSocket> socket;
    std::unordered_map<SctpId, UsrsctpAssociation*> by_stack_id;  // those that sit on `socket`
    std::size_t associations = 0;
  };
  // Where a piece is read: an endpoint's shared socket, or an association's own.
  struct Source {
    EndpointId endpoint{};
    AssociationId peeled = AssociationId::none;
    bool operator==(const Source&) const = default;
  };

  // SctpHost, UsrsctpHost
  void flush_at_end_of_turn(SctpAssociationBase& association) override;
  void congestion_changed(SctpAssociationBase& association) override;
  void wait_for_room(SctpAssociationBase& association) override;
  void read_soon(UsrsctpAssociation& association) override;
  void about_to_send() override { stack_->catch_up(); }
  Instant now() override { return loop_.now(); }
  Counters& counters() override { return counters_; }

  // transport.cpp: the tables, set-up, and the turn of the loop
  Result<std::vector<UsrsctpStack::UdpPort>> open_udp(const EndpointConfig& config);
  UsrsctpAssociation* find_association(AssociationId id) const override;
  UsrsctpAssociation& add(AssociationId id, SctpId stack_id, Endpoint& endpoint);
  std::unique_ptr<UsrsctpAssociation> remove(AssociationId id);
  std::optional<PathId> path_to(const Endpoint& endpoint, const PeerConfig& peer, std::string& why);
  bool has_peeled(const Endpoint& endpoint, UsrsctpAddress peer) const;
  void tell(AssociationId about, Fact fact) override;
  void attend_soon() override { soon_.schedule(); }
  std::size_t peeled_now() const override { return peeled_; }
  void tell(Fact fact) { tell(AssociationId::none, std::move(fact)); }
  void attend();
  void end_of_turn();
  void flush_dirty();
  void watch(UsrsctpSocket& socket, Source source);

  // receive.cpp: what the sockets say
  void read_all();
  void note_readable();
  bool read_batch(const Source& source, unsigned messages_max);
  UsrsctpSocket* socket_of(const Source& source) const;
  UsrsctpAssociation* association_of(const Source& source, SctpId stack_id) const;
  void take_data(const Source& source, const UsrsctpSocket::Piece& piece, Bytes bytes);
  void take_long_notification(UsrsctpSocket& socket, const Source& source, Bytes begin);
  void take_notification(const Source& source, Bytes bytes);
  void on_change(const Source& source, const notification::AssociationChanged& changed);
  void on_up(const Source& source, const notification::AssociationChanged& up);
  void on_restart(UsrsctpAssociation& old, const notification::AssociationChanged& up);
  void begin(UsrsctpAssociation& association, const notification::AssociationChanged& up,
             bool restarted = false);
  void tell_secured(SctpAssociationBase& association) override;
  void tell_up(UsrsctpAssociation& association);
  void finish(AssociationId id);
  void retry_blocked();
  void after_message();

  // peeling.cpp: who sits where
  void tick();
  void close_overdue(Instant now);

  UsrsctpTransportOptions options_;
  std::unique_ptr<UsrsctpStack> stack_;  // from the first open() on

  std::map<EndpointId, Endpoint> endpoints_;
  std::unordered_map<AssociationId, std::unique_ptr<UsrsctpAssociation>> associations_;
  std::size_t peeled_ = 0;

  std::vector<Source> readable_;        // something arrived, or was left
  std::vector<AssociationId> dirty_;    // to be flushed at the end of this turn
  std::vector<AssociationId> blocked_;  // wait for room in the stack
  std::vector<AssociationId> congestion_;
  std::vector<AssociationId> over_;     // ended without a word from the stack
  std::vector<AssociationId> adopted_;  // whose channels may have more to say
  std::vector<std::pair<AssociationId, Fact>> facts_;
  std::vector<std::unique_ptr<UsrsctpSocket>> closing_;  // closed outside the stack
  std::vector<std::unique_ptr<UsrsctpAssociation>> graves_;
  std::vector<std::byte> scratch_;
  std::vector<PeeloffSample> samples_;  // of this tick
  unsigned worked_ = 0;
  Instant work_began_{};
  Instant last_sample_{};
  bool options_told_ = false;
  Soon soon_;
  Timer tick_;
  Prepare end_of_turn_;
};

}  // namespace siglane::transport
