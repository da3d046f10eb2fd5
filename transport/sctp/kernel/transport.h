#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "transport/peeling/descriptor_reserve.h"
#include "transport/sctp/kernel/association.h"
#include "transport/sctp/kernel/reader.h"
#include "transport/sctp/transport_base.h"

namespace siglane::transport {

// The kernel's SCTP. Associations begin on the shared one-to-many socket of their endpoint,
// accepted and connected ones alike; those that the peeloff policy chooses get a socket of their
// own, and nobody above notices.
class SctpTransport final : public SctpTransportBase {
 public:
  // All must outlive the transport.
  SctpTransport(Loop& loop, BufferPool& buffers, Counters& counters,
                SctpTransportOptions options = {});
  // Aborts every association; nobody is told.
  ~SctpTransport() override;

  Result<EndpointId> open(const EndpointConfig& endpoint, const Framing& framing) override;

  bool owns(EndpointId id) const { return endpoints_.contains(id); }
  bool owns(AssociationId id) const { return find_association(id) != nullptr; }

 private:
  // One of an endpoint's one-to-many sockets.
  struct Shared {
    explicit Shared(WatchedSocket socket_) : socket(std::move(socket_)) {}
    WatchedSocket socket;
    EndpointId endpoint{};
    SctpOptionsSet options;
    std::size_t associations = 0;
    std::vector<AssociationId> blocked;  // by EAGAIN; the first one's packet may be corked
    std::vector<AssociationId> over;     // their Unsent are being read
    bool data_since_tick = false;        // was read
    std::optional<Instant> full_since;   // receive memory full, no data read
    bool refuses_sends = false;          // so that who holds little may be the trouble too
    std::size_t receive_memory_max = 0;
    std::size_t window = 0;  // offered to who comes now: half of the memory
    std::size_t send_buffer_bytes = 0;
    bool wedge_counted = false, crowd_told = false;
    std::vector<PeeloffSample> samples;
  };
  // Where a piece was read.
  struct Source {
    Shared* shared = nullptr;
    int peeled_fd = -1;
  };

  // SctpHost
  void flush_at_end_of_turn(SctpAssociationBase& association) override;
  void wait_for_room(SctpAssociationBase& association) override;

  // transport.cpp: the tables, set-up, and the turn of the loop
  static SctpAssociation& ours(SctpAssociationBase& association) {
    return static_cast<SctpAssociation&>(association);
  }
  static const SctpAssociation& ours(const SctpAssociationBase& association) {
    return static_cast<const SctpAssociation&>(association);
  }
  SctpAssociation* find_association(AssociationId id) const {
    return static_cast<SctpAssociation*>(SctpTransportBase::find_association(id));
  }
  SctpAssociation* find_by_stack(SctpId id) const;
  Shared* shared_of(const SctpAssociation& association) const;
  SctpAssociation& add(AssociationId id, SctpId stack_id, Shared& shared);
  SctpAssociationBase& succeed(SctpAssociationBase& old) override;
  void forget(SctpAssociationBase& association) override;
  void tell_crowd(Shared& shared);
  Result<std::unique_ptr<Shared>> open_shared(const std::shared_ptr<SctpEndpoint>& endpoint,
                                              std::span<const SocketAddress> addresses, bool first);
  Connected connect_from(EndpointId local, AssociationId id, const PeerConfig& peer,
                         std::vector<SocketAddress> addresses) override;
  void tell_clipped(const SctpEndpoint& endpoint, const ClippedBuffer& clipped);
  void end_of_turn() override { flush_dirty(); }
  void flush_if_worked_enough();
  void retry_blocked(Shared& shared);

  // tuning.cpp: what the config asks of the kernel
  static Duration connect_patience(const SctpAssociationOptions& options);
  static Duration paths_patience(const SctpAssociationOptions& options);
  void set_socket_options(SctpEndpoint& next) override;
  OptionOutcome set_options(Shared& shared, const SctpEndpoint& next);
  void follow_peer(SctpAssociationBase& association, const PeerConfig& peer,
                   bool identified) override;
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
  void take_stranger(Shared& shared, const notification::AssociationChanged& up);
  void begin_in_stack(SctpAssociationBase& association, const notification::AssociationChanged& up,
                      bool restarted) override;
  std::vector<SocketAddress> local_addresses(const SctpAssociationBase& association) override;
  std::vector<SocketAddress> remote_addresses(const SctpAssociationBase& association) override;
  bool unproven(const SctpAssociationBase& association, const SocketAddress& path) override;
  void finish_when_read(SctpAssociationBase& ended) override;
  bool has_over(const Source& source) const;
  void finish_over(Source source);
  void finish(AssociationId id) override;

  // peeling.cpp: who sits where
  std::optional<DetachOutcome> peel_off(SctpAssociationBase& association) override;
  std::string watch(SctpAssociationBase& association) override;
  void unwatch(SctpAssociationBase& association) override;
  void leave_own(int fd);
  void look_at_all(Instant now) override;
  SharedPressure pressure_of(Shared& shared, Instant now);
  void sample_all(Instant now, Duration window_min);
  void evaluate(Shared& shared, const SharedPressure& pressure, Instant now);
  // An error, or nothing.
  std::string enlarge_receive_buffer(Shared& shared);

  SctpReader reader_;
  DescriptorReserve reserve_;

  std::unordered_map<EndpointId, std::vector<std::unique_ptr<Shared>>> endpoints_;
  std::unordered_map<SctpId, SctpAssociation*> by_stack_id_;  // host-unique: one for all sockets
  std::unordered_map<int, Shared*> shared_by_fd_;
  std::unordered_map<int, SctpAssociation*> peeled_;  // by descriptor

  Instant work_began_{};  // the turn, or what of it came after the last flush
  std::vector<std::pair<Shared*, SharedPressure>> pressures_;  // of this tick
  bool pressed_ = false;                                       // ask the policy at the next tick
  bool encapsulation_told_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for close callbacks that outlive us
};

}  // namespace siglane::transport
