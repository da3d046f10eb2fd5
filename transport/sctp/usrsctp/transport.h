#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "transport/sctp/transport_base.h"
#include "transport/sctp/usrsctp/association.h"

namespace siglane::transport {

// SCTP in this process (usrsctp), in UDP (RFC 6951): for machines whose kernel has no SCTP, and for
// networks that are trusted. The same shape as the kernel's: associations begin on the shared
// one-to-many socket of their endpoint, and the peeloff policy gives sockets to loud ones. One for
// a process. An endpoint has one path, its first address of each family; endpoints may share a UDP
// port, and need SCTP ports of their own.
class UsrsctpTransport final : public SctpTransportBase, private UsrsctpHost {
 public:
  // All must outlive the transport.
  UsrsctpTransport(Loop& loop, BufferPool& buffers, Counters& counters,
                   SctpTransportOptions options = {});
  // Aborts every association; nobody is told.
  ~UsrsctpTransport() override;

  Result<EndpointId> open(const EndpointConfig& endpoint, const Framing& framing) override;
  // There is one stack, and it stays on its loop.
  Seat seat(AssociationId) const override { return Seat::bound; }

  std::size_t paths() const { return stack_ ? stack_->paths() : 0; }

 private:
  struct Endpoint {
    EndpointId id{};
    std::vector<UsrsctpStack::UdpPort> udp;  // one for each address family
    std::unique_ptr<UsrsctpSocket> socket;
    SctpOptionsSet options;
    std::unordered_map<SctpId, UsrsctpAssociation*> by_stack_id;  // those that sit on `socket`
  };
  // Where a piece is read: an endpoint's shared socket, or an association's own.
  struct Source {
    EndpointId endpoint{};
    AssociationId peeled = AssociationId::none;
    bool operator==(const Source&) const = default;
  };

  // SctpHost, UsrsctpHost
  void flush_at_end_of_turn(SctpAssociationBase& association) override { add_dirty(association); }
  void wait_for_room(SctpAssociationBase& association) override;
  void read_soon(UsrsctpAssociation& association) override;
  void about_to_send() override { stack_->catch_up(); }

  // transport.cpp: the tables, set-up, and the turn of the loop
  static UsrsctpAssociation& ours(SctpAssociationBase& association) {
    return static_cast<UsrsctpAssociation&>(association);
  }
  static const UsrsctpAssociation& ours(const SctpAssociationBase& association) {
    return static_cast<const UsrsctpAssociation&>(association);
  }
  UsrsctpAssociation* find_association(AssociationId id) const {
    return static_cast<UsrsctpAssociation*>(SctpTransportBase::find_association(id));
  }
  Result<std::vector<UsrsctpStack::UdpPort>> open_udp(const EndpointConfig& config);
  void set_socket_options(SctpEndpoint& next) override;
  UsrsctpAssociation& add(AssociationId id, SctpId stack_id, Endpoint& endpoint);
  SctpAssociationBase& succeed(SctpAssociationBase& old) override;
  void forget(SctpAssociationBase& association) override;
  Connected connect_from(EndpointId local, AssociationId id, const PeerConfig& peer,
                         std::vector<SocketAddress> addresses) override;
  void follow_peer(SctpAssociationBase& association, const PeerConfig& peer,
                   bool identified) override;
  std::optional<PathId> path_to(const Endpoint& endpoint,
                                std::span<const SocketAddress> addresses) const;
  bool has_peeled(const Endpoint& endpoint, UsrsctpAddress peer) const;
  void end_of_turn() override { read_all(); }
  // Each time that the loop may block next.
  void leave_turn();
  void send_dirty();
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
  void take_stranger(const Source& source, const notification::AssociationChanged& up);
  void begin_in_stack(SctpAssociationBase& association, const notification::AssociationChanged& up,
                      bool restarted) override;
  std::vector<SocketAddress> local_addresses(const SctpAssociationBase& association) override {
    return {ours(association).local};
  }
  std::vector<SocketAddress> remote_addresses(const SctpAssociationBase& association) override {
    return {association.remote()};
  }
  void finish_when_read(SctpAssociationBase& ended) override { finish(ended.id()); }
  void finish(AssociationId id) override;
  void retry_blocked();
  void after_message();

  // peeling.cpp: who sits where
  std::optional<DetachOutcome> peel_off(SctpAssociationBase& association) override;
  std::string watch(SctpAssociationBase& association) override;
  void unwatch(SctpAssociationBase& association) override;
  void look_at_all(Instant now) override;

  std::unique_ptr<UsrsctpStack> stack_;  // from the first open() on

  std::map<EndpointId, Endpoint> endpoints_;

  std::vector<Source> readable_;                         // something arrived, or was left
  std::vector<AssociationId> blocked_;                   // wait for room in the stack
  std::vector<std::unique_ptr<UsrsctpSocket>> closing_;  // closed outside the stack
  std::vector<std::unique_ptr<SctpAssociationBase>> graves_;
  std::vector<std::byte> scratch_;
  std::vector<PeeloffSample> samples_;  // of this tick
  unsigned worked_ = 0;
  Instant work_began_{};
  bool options_told_ = false;
  Prepare leave_turn_;
};

}  // namespace siglane::transport
