#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/counters.h"
#include "core/transport.h"
#include "transport/loop/loop.h"
#include "transport/peeling/descriptor_reserve.h"
#include "transport/peeling/policy.h"
#include "transport/sctp/kernel/association.h"
#include "transport/sctp/kernel/reader.h"
#include "transport/sctp/transport_base.h"

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

// The kernel's SCTP. Associations begin on the shared one-to-many socket of their endpoint,
// accepted and connected ones alike; those that the peeloff policy chooses get a socket of their
// own, and nobody above notices.
class SctpTransport final : public SctpTransportBase, private SctpHost {
 public:
  // All must outlive the transport.
  SctpTransport(Loop& loop, BufferPool& buffers, Counters& counters,
                SctpTransportOptions options = {});
  // Aborts every association; nobody is told.
  ~SctpTransport() override;

  Result<EndpointId> open(const EndpointConfig& endpoint, const Framing& framing) override;
  AssociationId connect(EndpointId local, const PeerConfig& peer) override;
  Association* find(AssociationId id) override { return find_association(id); }
  void bind(AssociationId id, const PeerConfig& peer) override;

  // Gone also for one that is not up yet: there is nothing to move.
  DetachOutcome detach(AssociationId id) override;
  void adopt(std::unique_ptr<DetachedAssociation> cargo) override;
  Seat seat(AssociationId id) const override;
  void pause_input(AssociationId id) override;
  void resume_input(AssociationId id) override;

  std::optional<AssociationStatus> status(AssociationId id) const override;

  void reconfigure(EndpointId endpoint, const EndpointConfig& config,
                   std::shared_ptr<const TlsContext> loaded) override;
  using SctpTransportBase::reconfigure;
  const EndpointConfig& config(EndpointId endpoint) const override {
    return endpoints_.at(endpoint).shared->config;
  }
  bool owns(EndpointId id) const { return endpoints_.contains(id); }
  bool owns(AssociationId id) const { return associations_.contains(id); }
  static bool made(const DetachedAssociation& cargo);

  std::size_t peeled_count() const { return peeled_.size(); }

 private:
  // One of an endpoint's one-to-many sockets.
  struct Shared {
    explicit Shared(WatchedSocket socket_) : socket(std::move(socket_)) {}
    WatchedSocket socket;
    std::shared_ptr<const SctpEndpoint> endpoint;
    std::size_t associations = 0;
    std::vector<AssociationId> blocked;  // by EAGAIN; the first one's packet may be corked
    std::vector<AssociationId> over;     // their Unsent are being read
    bool data_since_tick = false;        // was read
    std::optional<Instant> full_since;   // receive memory full, no data read
    bool refuses_sends = false;          // so that who holds little may be the trouble too
    std::size_t receive_memory_max = 0;
    std::size_t window = 0;  // offered to who comes now: half of the memory
    bool wedge_counted = false, crowd_told = false;
    std::vector<PeeloffSample> samples;
  };
  struct Endpoint {
    std::shared_ptr<const SctpEndpoint> shared;
    std::vector<std::unique_ptr<Shared>> sockets;
    bool speaks = false;  // for those of other shards: was opened first
  };
  // Where a piece was read.
  struct Source {
    Shared* shared = nullptr;
    int peeled_fd = -1;
  };

  // SctpHost
  void flush_at_end_of_turn(SctpAssociationBase& association) override;
  void congestion_changed(SctpAssociationBase& association) override;
  void wait_for_room(SctpAssociationBase& association) override;
  Counters& counters() override { return counters_; }

  // transport.cpp: the tables, set-up, and the turn of the loop
  SctpAssociation* find_association(AssociationId id) const override;
  SctpAssociation* find_by_stack(SctpId id) const;
  Shared* shared_of(const SctpAssociation& association) const;
  SctpAssociation& add(AssociationId id, SctpId stack_id, Shared& shared);
  void tell_crowd(Shared& shared);
  void keep_ticking();
  std::unique_ptr<SctpAssociation> remove(AssociationId id);
  Result<std::unique_ptr<Shared>> open_shared(const std::shared_ptr<SctpEndpoint>& endpoint,
                                              std::span<const SocketAddress> addresses, bool first);
  void end_soon(SctpAssociation& association, DownCause cause, std::string detail);
  void tell(AssociationId about, Fact fact) override;
  void attend_soon() override { soon_.schedule(); }
  std::size_t peeled_now() const override { return *options_.peeled; }
  void tell_clipped(const SctpEndpoint& endpoint, const ClippedBuffer& clipped);
  void soon(std::function<void()> what);
  void end_of_turn();
  void flush_dirty();
  void flush_if_worked_enough();
  void retry_blocked(Shared& shared);

  // tuning.cpp: what the config asks of the kernel
  static Duration connect_patience(const SctpAssociationOptions& options);
  static Duration paths_patience(const SctpAssociationOptions& options);
  void follow(SctpAssociation& association);
  void reconfigure_socket(Shared& shared, SctpEndpoint& next, bool speaks);
  void apply_options(SctpAssociation& association, const PeerConfig& peer);
  void choose_primary(const SctpAssociation& association, const PeerConfig& peer);
  void tell_encapsulation(const EndpointConfig& config);
  void tell_unconfirmed_paths(Instant now);

  // receive.cpp: what the sockets say
  void on_shared(Shared& shared, PollEvents events);
  void on_peeled(int fd, PollEvents events);
  bool still_there(const Source& source) const;
  // true: until nothing waited, or the source is gone.
  bool read_batch(Source source, unsigned messages_max);
  void peeled_failed(int fd, int error);
  // On a peeled socket there is only one, whatever the id.
  SctpAssociation* association_of(const Source& source, SctpId stack_id) const;
  void take_data(Source source, const ReceivedPiece& piece);
  void take_notification(Source source, const ReceivedPiece& piece);
  void on_path(Source source, const notification::PathChanged& path);
  void tell_path(SctpAssociation& association, const std::string& address, PathState state);
  void on_change(Source source, const notification::AssociationChanged& changed);
  DownCause why_not_started(const SctpAssociation& association) const;
  void on_up(Source source, const notification::AssociationChanged& up);
  void begin(SctpAssociation& association, const notification::AssociationChanged& up,
             bool restarted = false);
  void tell_secured(SctpAssociationBase& association) override;
  void tell_up(SctpAssociation& association, std::vector<SocketAddress> remote);
  void on_restart(SctpAssociation& old, const notification::AssociationChanged& up);
  void on_end(Source source, SctpAssociation& association, DownCause cause, std::string detail);
  bool has_over(const Source& source) const;
  void finish_over(Source source);
  void finish(AssociationId id);

  // peeling.cpp: who sits where
  DetachOutcome peel_off(SctpAssociation& association);
  void leave_own(int fd);
  void tick();
  void end_late_handshakes(Instant now);
  SharedPressure pressure_of(Shared& shared, Instant now);
  void sample_all(Instant now, Duration window_min);
  void end_overdue_close(SctpAssociation& association, Instant now);
  void evaluate(Shared& shared, const SharedPressure& pressure, Instant now);
  // An error, or nothing.
  std::string enlarge_receive_buffer(Shared& shared);

  SctpTransportOptions options_;
  SctpReader reader_;
  DescriptorReserve reserve_;

  std::unordered_map<EndpointId, Endpoint> endpoints_;
  std::unordered_map<AssociationId, std::unique_ptr<SctpAssociation>> associations_;
  std::unordered_map<SctpId, SctpAssociation*> by_stack_id_;  // host-unique: one for all sockets
  std::unordered_map<int, Shared*> shared_by_fd_;
  std::unordered_map<int, SctpAssociation*> peeled_;  // by descriptor

  std::vector<AssociationId> dirty_;
  Instant work_began_{};  // the turn, or what of it came after the last flush
  std::vector<std::function<void()>> later_;
  std::vector<std::pair<AssociationId, Instant>> handshakes_;  // DTLS: under way, until when
  std::unordered_map<AssociationId, Instant> closing_;         // gracefully, and seen since when
  std::vector<std::pair<Shared*, SharedPressure>> pressures_;  // of this tick
  bool pressed_ = false;                                       // ask the policy at the next tick
  bool encapsulation_told_ = false;
  Instant last_sample_{};
  Soon soon_;
  Timer tick_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for close callbacks that outlive us
};

}  // namespace siglane::transport
