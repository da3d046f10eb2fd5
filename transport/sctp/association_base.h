#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/counters.h"
#include "core/histogram.h"
#include "core/transport.h"
#include "transport/address.h"
#include "transport/peeling/policy.h"
#include "transport/peeling/traffic_meter.h"
#include "transport/sctp/notification.h"
#include "transport/sctp/reassembly.h"
#include "transport/sctp/security.h"
#include "transport/send_queue.h"

namespace siglane::transport {

class SctpAssociationBase;

// What an association asks of its transport. None of it calls the sink.
class SctpHost {
 public:
  virtual Instant now() = 0;
  // It has come to another phase, that may last only so long.
  virtual void entered(SctpAssociationBase& association) = 0;
  virtual void flush_at_end_of_turn(SctpAssociationBase& association) = 0;
  // Soon: asks its queue, and tells.
  virtual void congestion_changed(SctpAssociationBase& association) = 0;
  // The stack takes no more: flush() again when that may have changed.
  virtual void wait_for_room(SctpAssociationBase& association) = 0;
  virtual Counters& counters() = 0;

 protected:
  ~SctpHost() = default;
};

// One association, as far as the kernel's SCTP and usrsctp are alike: from its beginning to its
// end, its queue, DTLS, and what is said of it. What a stack does its own way is a hook, none of
// which is called for every message.
class SctpAssociationBase : public Association, private SctpSecurity::Stack {
 public:
  enum class Phase : std::uint8_t {
    connecting,
    securing,  // SCTP is up, and DTLS is not yet
    up,
    draining,       // close(graceful): the queue goes out first
    shutting_down,  // SHUTDOWN was asked for
    peer_closing,   // the peer's SHUTDOWN came: nothing more goes out, and all becomes Unsent
    both_closing,   // the same, and close(graceful) was asked for, before it or since
    aborting,       // ABORT was asked for
    over,           // the stack is done with it: Unsent and Down follow
  };
  // What a connect remembers until it is up.
  struct Connecting {
    std::string peer;      // as configured
    std::string identity;  // what its certificate must name; empty: that is found out later
    Instant since{};
    Duration patience{};  // how long silence lasts before the stack gives up
  };
  // When the policy gave it a socket of its own, and why.
  struct PeelRecord {
    PeeloffReason reason{};
    Instant at{};
    double messages_per_second = 0;
  };

  SctpAssociationBase(AssociationId id, SctpId stack_id,
                      std::shared_ptr<const SctpEndpoint> endpoint, SctpHost& host);

  AssociationId id() const final { return id_; }
  SendOutcome send(Message&& message) final;
  void close(CloseMode mode) final;

  SctpId stack_id() const { return stack_id_; }
  const SctpEndpoint& endpoint() const { return *endpoint_; }
  const std::shared_ptr<const SctpEndpoint>& shared_endpoint() const { return endpoint_; }
  Phase phase() const { return phase_; }
  virtual TransportKind kind() const = 0;
  // Has a socket of its own.
  virtual bool peeled() const = 0;
  bool can_move() const { return phase_ == Phase::up || phase_ == Phase::peer_closing; }
  // What is received is of use to somebody.
  bool takes_data() const {
    return phase_ != Phase::connecting && phase_ != Phase::aborting && phase_ != Phase::over;
  }

  // Its own socket is not read for now, or is again. Precondition: it is peeled.
  virtual void pause_input(bool paused) = 0;

  // Its endpoint was reconfigured: the new limits are its own from now on. One with a socket of its
  // own does not share the endpoint's buffers.
  void follow(std::shared_ptr<const SctpEndpoint> endpoint);
  void move_to(SctpHost& host, BufferPool& buffers);

  // Instead of up, at an endpoint that has certificates.
  void secure(bool restarted);
  SctpSecurity* security() const { return security_.get(); }
  // What SctpSecurity::next() has said.
  void secured() { enter(Phase::up); }
  void peer_said_goodbye();
  void security_failed(const std::string& other_problem = {});
  // Up was told.
  bool was_up() const { return was_up_; }
  const SocketAddress& remote() const { return remote_; }
  std::string remote_text() const { return remote_.valid() ? remote_.text_with_port() : ""; }

  // As the stack's notifications say. Of the peer's addresses the first is the primary path.
  void came_up(const notification::AssociationChanged& up, std::span<const SocketAddress> remote);
  // true: it was up, so its session is to know.
  bool peer_shut_down();
  virtual void dry() = 0;
  // The stack is done with it. The cause is what we did first, unless the peer's SHUTDOWN came too.
  void ended(DownCause cause, std::string detail);
  // We end it for this cause: ABORT.
  void fail(DownCause cause, std::string detail);
  // Puts the fragments of a returned message together; a message when it is whole.
  std::optional<AssociationUnsent> returned(const notification::SendFailed& failed);
  // What to tell of a path, if that is news. Nothing before the association is up for anyone.
  std::optional<AssociationPathChange> path_changed(const std::string& address, PathState state);

  // Hands as much of the queue to the stack as that takes. true: at least one message went, or
  // nothing is to go.
  bool flush();
  void flush_soon() {
    if (!dirty && !blocked) host_->flush_at_end_of_turn(*this);
  }
  bool dirty = false;    // waits for the end of the turn
  bool blocked = false;  // waits for room

  // Up is told now.
  AssociationUp up_event(std::vector<std::string> local, std::vector<std::string> remote);
  AssociationDown down_event() const;
  virtual AssociationStatus status() const;

  PeeloffSample sample_of_traffic(Instant now) const;
  // Accepted by the stack since it was last known to be dry; 0 where nobody counts.
  virtual std::uint64_t held_bytes() const { return 0; }

  SendQueue queue;
  Reassembly reassembly;
  TrafficMeter meter;
  Histogram residence;
  Placement placement = Placement::automatic;
  bool initiator = false;
  std::unique_ptr<const Connecting> connecting;  // null: it does not, or not any more
  std::unique_ptr<const PeelRecord> peel_record;

 protected:
  // `error`: what the stack said to a message. true: no other one now. What it will never take ends
  // the association.
  bool stopped_by(int error);
  void account_for(const Message& message, Instant now);
  Instant up_since() const { return up_since_; }
  bool has_several_paths() const { return several_paths_; }

 private:
  // What a stack does its own way.
  virtual void send_queued() = 0;
  // false: it is ending, or has ended, and the notification waits to be read.
  virtual bool established_in_stack() const = 0;
  // Why it cannot be secured once more after its peer began anew; empty: it can.
  virtual std::string cannot_secure_again() { return {}; }
  // May another DTLS record go?
  virtual bool has_room() const { return true; }
  // DTLS records went, or wait to.
  virtual void records_sent() = 0;
  virtual void shut_down() = 0;
  // The end is read, even if its input was paused.
  virtual void abort() = 0;

  void enter(Phase phase) {
    phase_ = phase;
    if (!sends()) blocked = false;  // nothing waits for room any more
    host_->entered(*this);
  }
  bool takes_messages() const {
    return phase_ == Phase::up || phase_ == Phase::peer_closing || phase_ == Phase::both_closing;
  }
  // What is in the queue goes to the stack.
  bool sends() const {
    return phase_ == Phase::securing || phase_ == Phase::up || phase_ == Phase::draining;
  }
  SendOutcome refuse(std::size_t size);
  void send_sealed();
  bool said_goodbye();
  void note_congestion();

  // What came back of a message, from its beginning, whose fragment alone says all of this.
  struct Returning {
    StreamId stream{};
    PayloadProtocol protocol{};
    bool unordered = false, sent = false;
    std::vector<std::byte> bytes;
  };

  AssociationId id_;
  SctpId stack_id_;
  Phase phase_ = Phase::connecting;
  bool was_up_ = false, several_paths_ = false;
  std::uint16_t streams_in_ = 0, streams_out_ = 0;
  std::shared_ptr<const SctpEndpoint> endpoint_;
  std::size_t sent_bytes_max_;  // what its socket takes
  SctpHost* host_;
  std::unique_ptr<SctpSecurity> security_;  // null: in clear
  std::unique_ptr<AssociationDown> end_;    // why it ends, once it does
  std::vector<Returning> returning_;        // what the stack is giving back, one of a stream
  Instant up_since_{};
  SocketAddress remote_;                                         // the primary path
  std::vector<std::pair<std::string, PathState>> failed_paths_;  // those that are not reachable
};

}  // namespace siglane::transport
