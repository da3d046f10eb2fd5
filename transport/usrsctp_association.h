#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/counters.h"
#include "core/histogram.h"
#include "core/transport.h"
#include "transport/peeloff_policy.h"
#include "transport/reassembly.h"
#include "transport/sctp_security.h"
#include "transport/send_queue.h"
#include "transport/traffic_meter.h"
#include "transport/usrsctp_stack.h"

namespace siglane::transport {

// What associations need to know of their endpoint. Immutable.
struct UsrsctpEndpoint : SctpEndpointBase {
  std::vector<UsrsctpStack::UdpPort> udp;  // one for each address family
};

class UsrsctpAssociation;

// What an association asks of its transport. None of it calls the sink.
class UsrsctpHost {
 public:
  virtual void flush_at_end_of_turn(UsrsctpAssociation& association) = 0;
  virtual void congestion_changed(UsrsctpAssociation& association) = 0;
  // The stack has no room: flush() again after it was given input or time.
  virtual void wait_for_room(UsrsctpAssociation& association) = 0;
  // The stack may have said something that it did not tell of.
  virtual void read_soon(UsrsctpAssociation& association) = 0;
  virtual Instant now() = 0;
  virtual Counters& counters() = 0;

 protected:
  ~UsrsctpHost() = default;
};

// One association of the stack in this process, on its endpoint's shared socket or on its own.
class UsrsctpAssociation final : public Association, private SctpSecurity::Stack {
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

  UsrsctpAssociation(AssociationId id, SctpId stack_id,
                     std::shared_ptr<const UsrsctpEndpoint> endpoint, UsrsctpSocket& shared,
                     UsrsctpHost& host);

  AssociationId id() const override { return id_; }
  SendOutcome send(Message&& message) override;
  void close(CloseMode mode) override;

  SctpId stack_id() const { return stack_id_; }
  const UsrsctpEndpoint& endpoint() const { return *endpoint_; }
  std::shared_ptr<const UsrsctpEndpoint> shared_endpoint() const { return endpoint_; }
  Phase phase() const { return phase_; }
  bool can_move() const { return phase_ == Phase::up || phase_ == Phase::peer_closing; }
  // When it closes by force, if it is being closed, or made secure.
  std::optional<Instant> close_by() const { return close_by_; }

  // Where it sits.
  UsrsctpSocket& socket() { return own_ ? *own_ : *shared_; }
  bool peeled() const { return own_ != nullptr; }
  void sit_on(std::unique_ptr<UsrsctpSocket> own) { own_ = std::move(own); }
  std::unique_ptr<UsrsctpSocket> take_socket() { return std::move(own_); }

  // As the stack's notifications say.
  void came_up(const notification::AssociationChanged& up, const SocketAddress& local,
               const SocketAddress& remote, UsrsctpAddress peer);
  // Instead of up, at an endpoint that has certificates.
  void secure(bool connecting, bool restarted);
  SctpSecurity* security() const { return security_.get(); }
  // What SctpSecurity::next() has said.
  void secured();
  void peer_said_goodbye();
  void security_failed(const std::string& other_problem = {});
  // Up was told; or somebody waits to hear what became of it.
  bool was_up() const { return was_up_; }
  bool known_above() const { return initiator || was_up_; }
  std::string remote_text() const { return remote_.text_with_port(); }
  void dry();

  void peer_shut_down();
  // Ends here and now, by our own decision; the stack's notification follows.
  void fail(DownCause cause, std::string detail);
  void ended(DownCause cause, std::string detail);
  // Keeps the fragments of a returned message together; a message when it is whole.
  std::optional<AssociationUnsent> returned(const notification::SendFailed& failed);

  // Hands as much of the queue to the stack as it takes.
  void flush();
  void flush_soon() {
    if (!dirty) host_.flush_at_end_of_turn(*this);
  }
  bool dirty = false;    // waits for the end of the turn
  bool blocked = false;  // waits for room

  AssociationUp up_event();
  AssociationDown down_event() const { return {down_cause_, down_detail_}; }
  AssociationStatus status() const;
  PeeloffSample sample(Instant now) const;

  SendQueue queue;
  Reassembly reassembly;
  TrafficMeter meter;
  Histogram residence;
  Placement placement = Placement::automatic;
  std::string peer;      // whom we connected to
  std::string identity;  // what its certificate must name
  bool initiator = false;
  PathId path = 0;  // held
  std::uint16_t peer_port = 0;
  PeeloffReason peel_reason{};
  Instant peeled_at{};
  double peeled_at_messages_per_second = 0;

 private:
  SendOutcome refuse(std::size_t size);
  void begin_shutdown();
  void send_queued();
  void send_sealed();
  bool try_later(int error);
  void watch_for_dry();
  bool said_goodbye();
  void account_for(const Message& message, Instant now);

  // SctpSecurity::Stack
  bool peer_has_auth() override;
  int set_auth_key(std::uint16_t number, Bytes key) override;
  int use_auth_key(std::uint16_t number) override;
  int delete_auth_key(std::uint16_t number) override;
  int send_record(const SendInfo& info, Bytes record, bool more) override;

  AssociationId id_;
  SctpId stack_id_;
  std::shared_ptr<const UsrsctpEndpoint> endpoint_;
  UsrsctpSocket* shared_;
  UsrsctpHost& host_;
  std::unique_ptr<UsrsctpSocket> own_;
  std::unique_ptr<SctpSecurity> security_;  // null: in clear
  bool was_up_ = false, dry_subscribed_ = false;
  Phase phase_ = Phase::connecting;
  DownCause down_cause_ = DownCause::lost;
  std::string down_detail_;
  std::optional<Instant> close_by_;
  Instant up_since_{};
  SocketAddress local_, remote_;  // with SCTP ports
  std::uint16_t streams_in_ = 0, streams_out_ = 0;
  std::vector<std::byte> returning_;  // fragments of a message that the stack gives back
  bool returning_begun_ = false, returning_sent_ = false;
};

}  // namespace siglane::transport
