#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/counters.h"
#include "core/histogram.h"
#include "core/transport.h"
#include "transport/peeloff_policy.h"
#include "transport/reassembly.h"
#include "transport/sctp_security.h"
#include "transport/sctp_socket.h"
#include "transport/send_queue.h"
#include "transport/traffic_meter.h"
#include "transport/watched_socket.h"

namespace siglane::transport {

// What associations need to know of their endpoint. Immutable, shared between loops.
struct SctpEndpoint : SctpEndpointBase {
  // Bytes of the shared send buffer that one association may hold: an eighth of it (the kernel
  // counts double), so that one slow peer leaves room for all others.
  std::size_t held_bytes_max() const { return config.sctp.send_buffer_bytes / 4; }
};

class SctpAssociation;

// What an association asks of its transport. None of it calls the sink.
class SctpHost {
 public:
  virtual void flush_at_end_of_turn(SctpAssociation& association) = 0;
  virtual void tell_congestion_soon(SctpAssociation& association, bool congested) = 0;
  // EAGAIN on the shared socket: flush() again when that is writable.
  virtual void wait_until_writable(SctpAssociation& association) = 0;
  virtual Counters& counters() = 0;

 protected:
  ~SctpHost() = default;
};

// One association of the kernel's SCTP, on a shared socket or on its own. All of it moves when it
// is peeled off or changes loops.
class SctpAssociation final : public Association, private SctpSecurity::Stack {
 public:
  enum class Phase {
    connecting,
    securing,  // SCTP is up, and DTLS is not yet
    up,
    draining,       // close(graceful): the queue goes out first
    shutting_down,  // SHUTDOWN was asked for
    peer_closing,   // the peer's SHUTDOWN came: nothing more can be sent
    aborting,       // ABORT was asked for
    over,           // the stack is done with it: Unsent and Down follow
  };

  SctpAssociation(AssociationId id, SctpId stack_id, std::shared_ptr<const SctpEndpoint> endpoint,
                  SctpHost& host, Instant now);

  AssociationId id() const override { return id_; }
  SendOutcome send(Message&& message) override;
  void close(CloseMode mode) override;

  SctpId stack_id() const { return stack_id_; }
  const SctpEndpoint& endpoint() const { return *endpoint_; }
  std::shared_ptr<const SctpEndpoint> shared_endpoint() const { return endpoint_; }
  Phase phase() const { return phase_; }
  bool can_move() const { return phase_ == Phase::up || phase_ == Phase::peer_closing; }

  // Where it sits. `fd` of a shared socket, or an own socket.
  void sit_on_shared(int fd) { shared_fd_ = fd; }
  void sit_on(WatchedSocket own);
  bool peeled() const { return own_.has_value(); }
  int fd() const { return own_ ? own_->fd() : shared_fd_; }
  WatchedSocket* own_socket() { return own_ ? &*own_ : nullptr; }
  // From now on it sits nowhere; gives an own descriptor away.
  int leave_socket();
  void move_to(SctpHost& host, BufferPool& pool);

  // As the stack's notifications say.
  void came_up(const notification::AssociationChanged& up, std::vector<std::string> local,
               std::vector<SocketAddress> remote, Instant now);
  // Instead of up, at an endpoint that has certificates.
  void secure(bool connecting, bool restarted);
  SctpSecurity* security() const { return security_.get(); }
  // What SctpSecurity::next() has said.
  void secured() { phase_ = Phase::up; }
  void peer_said_goodbye();
  void security_failed(const std::string& other_problem = {});
  // Up was told; or somebody waits to hear what became of it.
  bool was_up() const { return was_up_; }
  bool known_above() const { return initiator || was_up_; }
  const std::string& remote_text() const { return remote_text_; }

  void peer_shut_down();
  // The stack is done with it. What we did first is the cause that counts.
  void ended(DownCause cause, std::string detail);
  // We end it for this cause: ABORT.
  void fail(DownCause cause, std::string detail);
  void dry();
  // What to tell of a path, if that is news.
  std::optional<AssociationPathChange> path_changed(const std::string& address, PathState state);
  // Once, when paths that work must have been confirmed (RFC 9260 §5.4).
  bool paths_due(Instant now, Duration patience);
  // Puts the fragments of a returned message together; a message when it is whole.
  std::optional<AssociationUnsent> returned(const notification::SendFailed& failed);

  // Hands as much of the queue to the stack as the stack, and on a shared socket the cap, allow.
  // true: at least one message went, or nothing waits.
  bool flush();
  void flush_soon() {
    if (!dirty && !blocked) host_->flush_at_end_of_turn(*this);
  }
  std::uint64_t held_bytes() const { return held_bytes_; }
  bool dirty = false;    // waits for the end of the turn
  bool blocked = false;  // waits for its socket to become writable

  AssociationUp up_event();
  AssociationDown down_event() const { return {down_cause_, down_detail_}; }
  AssociationStatus status() const;

  // Asks the stack whether what is held moves, and, where `window_full` (the window that the peer
  // is offered while we hold nothing of it) is given, what we hold of it.
  PeeloffSample sample(Instant now, std::optional<std::size_t> window_full);

  SendQueue queue;
  Reassembly reassembly;
  TrafficMeter meter;
  Histogram residence;
  Placement placement = Placement::automatic;
  std::string peer;      // as configured; empty: not known
  std::string identity;  // what its certificate must name; empty: that is found out later
  bool initiator = false;
  Instant connecting_since{};
  Duration connect_patience{};  // how long silence lasts before the stack gives up
  PeeloffReason peel_reason{};  // if peeled
  Instant peeled_at{};
  double peeled_at_messages_per_second = 0;

 private:
  // SctpSecurity::Stack
  bool peer_has_auth() override;
  int set_auth_key(std::uint16_t number, Bytes key) override;
  int use_auth_key(std::uint16_t number) override;
  int delete_auth_key(std::uint16_t number) override;
  int send_record(const SendInfo& info, Bytes record, bool more) override;

  static std::uint64_t stack_cost(std::size_t message_bytes);
  bool reaches_cap(std::uint64_t cost) const {
    return !peeled() && held_bytes_ + cost >= endpoint_->held_bytes_max();
  }
  bool at_cap() const { return !peeled() && held_bytes_ >= endpoint_->held_bytes_max(); }
  SendOutcome refuse(std::size_t size);
  void send_queued();
  void send_sealed();
  bool try_later(int error);
  bool said_goodbye();
  void account_for(const Message& message, Instant now);
  void watch_for_dry();
  void tell_congestion();

  AssociationId id_;
  SctpId stack_id_;
  std::shared_ptr<const SctpEndpoint> endpoint_;
  SctpHost* host_;
  Phase phase_ = Phase::connecting;
  DownCause down_cause_ = DownCause::lost;
  std::string down_detail_;

  int shared_fd_ = -1;
  std::optional<WatchedSocket> own_;

  std::unique_ptr<SctpSecurity> security_;  // null: in clear
  bool was_up_ = false;

  std::uint64_t held_bytes_ = 0;  // accepted by the stack since it was last known to be dry
  bool dry_subscribed_ = false;
  std::uint32_t last_unacknowledged_ = 0;
  std::optional<std::vector<std::byte>> returning_;  // fragments of what the stack gives back
  bool returning_sent_ = false;

  Instant up_since_{};
  std::vector<std::string> local_addresses_, remote_addresses_;
  std::vector<std::pair<std::string, PathState>> failed_paths_;  // those that are not reachable
  bool paths_seen_to_ = false;
  std::string local_text_, remote_text_;
  std::uint16_t remote_port_ = 0, streams_in_ = 0, streams_out_ = 0;
};

}  // namespace siglane::transport
