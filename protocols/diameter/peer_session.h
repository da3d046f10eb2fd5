#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/random.h"
#include "core/session.h"
#include "core/snapshot.h"
#include "protocols/diameter/capabilities.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/origin.h"
#include "protocols/diameter/parcels.h"
#include "protocols/diameter/peer_states.h"
#include "protocols/diameter/pending.h"
#include "protocols/diameter/routing.h"
#include "protocols/diameter/watchdog.h"

namespace siglane::diameter {

// As RFC 6733 §5.4.3 writes it; a number for what that does not define.
std::string name_of(DisconnectCause cause);

// One connection to one peer: capabilities exchange, watchdog, disconnect (RFC 6733 §5), and the
// requests that wait for their answer here. Takes RequestParcels and AnswerParcels to send, gives
// away the ones that arrive. Pure, like every session.
//
// A peer that the operator has blocked is sent no new requests: they go elsewhere, or are answered
// 3002. All else goes on, so that it can be emptied before work on it: what waits for its answer
// has its time, its own requests are served, and its watchdog is kept.
class PeerSession final : public Session {
 public:
  // `configs` and `routes` must outlive it. It keeps to the config that is the latest now, until
  // Reconfigured.
  PeerSession(AssociationId id, const Snapshot<DiameterConfig>& configs,
              const Snapshot<RouteTable>& routes, std::uint64_t seed);

  void step(SessionInput input, Instant now, Outbox& out) override;
  std::optional<Instant> deadline() const override;
  SessionStatus status() const override;

  PeerState state() const;

 private:
  struct Closed {};
  struct WaitCer {
    Instant by;
  };
  struct WaitCea {
    Instant by;
    std::uint32_t hop_by_hop;
  };
  struct WaitIdentity {
    bool initiator;
    Header cer;  // to be answered, unless we are the initiator
    Instant caused_at;
  };
  struct Open {
    bool initiator;
    // The peer has proven that it is open too, so that messages on other streams cannot overtake
    // our CEA.
    bool settled;
    Watchdog watchdog;
    std::uint32_t dwr = 0;  // the last one's hop-by-hop identifier
  };
  struct Closing {
    std::optional<Instant> by;  // then it is aborted; nothing: its Down is on the way
    // A goodbye is still to be said, our DPR or the DPA to the peer's: once nothing waits for its
    // answer, and then at the latest.
    std::optional<Instant> goodbye_by = std::nullopt;
    std::optional<Header> dpr = std::nullopt;  // the peer's, which waits for its DPA
    Instant dpr_caused_at{};
    bool dpr_sent = false;
    // Close once the peer has all its answers: it sends nothing more, or it is here again.
    bool peer_ended = false, superseded = false;
    DisconnectCause cause = DisconnectCause::rebooting;  // of our DPR
  };
  using State = std::variant<Closed, WaitCer, WaitCea, WaitIdentity, Open, Closing>;

  struct Peer {
    std::string name;
    std::shared_ptr<const std::string> shared_name;  // with the requests it sends, as the next one
    std::shared_ptr<const std::string> origin_host;
    std::string realm;
    bool relay = false;
    std::vector<ApplicationId> applications;
    const DiameterPeerConfig* config = nullptr;  // in config_; nullptr: none has its Origin-Host
  };

  // One for each input; the answer is the row's event.
  PeerEvent on(AssociationUp& up, Instant now, Outbox& out);
  PeerEvent on(AssociationReceived& received, Instant now, Outbox& out);
  PeerEvent on(AssociationEnding& ending, Instant now, Outbox& out);
  PeerEvent on(AssociationUnsent& unsent, Instant now, Outbox& out);
  PeerEvent on(AssociationDown& down, Instant now, Outbox& out);
  PeerEvent on(Submitted& submitted, Instant now, Outbox& out);
  PeerEvent on(Woken& woken, Instant now, Outbox& out);
  PeerEvent on(Identified& identified, Instant now, Outbox& out);
  PeerEvent on(IdentityRefused& refused, Instant now, Outbox& out);
  PeerEvent on(Stopping& stopping, Instant now, Outbox& out);
  PeerEvent on(Superseded& superseded, Instant now, Outbox& out);
  PeerEvent on(AssociationCongestion& congestion, Instant now, Outbox& out);
  PeerEvent on(AssociationPathChange& path, Instant now, Outbox& out);
  PeerEvent on(Operate& operate, Instant now, Outbox& out);
  PeerEvent on(Reconfigured& reconfigured, Instant now, Outbox& out);
  PeerEvent on(Rerouting& rerouting, Instant now, Outbox& out);
  PeerEvent on(Completed& completed, Instant now, Outbox& out);

  void on_cer(const MessageView& cer, Instant caused_at, Instant now, Outbox& out);
  void process_cer(const MessageView& cer, Instant caused_at, Instant now, Outbox& out);
  void on_cea(const MessageView& cea, Instant now, Outbox& out);
  void on_dwr(const MessageView& dwr, Instant caused_at, Outbox& out);
  void on_dwa(const MessageView& dwa, Instant now, Outbox& out);
  void on_dpr(const MessageView& dpr, Instant caused_at, Instant now, Outbox& out);
  void on_dpa(Outbox& out);
  void on_request(const MessageView& request, Message message, Instant now, Outbox& out);
  void on_answer(const MessageView& answer, Message message, Outbox& out);
  // A message in a name that its peer may not use: told, counted, and answered where it can be.
  void on_foreign_origin(const MessageView& message, const OriginObjection& objection,
                         Instant caused_at, Instant now, Outbox& out);
  void on_invalid_base_request(const MessageView& request, const Violation& violation,
                               Instant caused_at, Outbox& out);
  void on_malformed(const Message& message, const DecodeError& error, Instant now, Outbox& out);

  void send_request(RequestPtr request, AssociationId from, Instant now, Outbox& out);
  void send_answer(AnswerPtr answer, Outbox& out);
  void send_dwr(Outbox& out);
  void send_dpr(DisconnectCause cause, Outbox& out);
  // To a peer that is open: nothing new is taken, and DPR follows.
  void part(DisconnectCause cause, std::string_view why, Instant now, Outbox& out);
  void send_dpa(const Header& dpr, Instant caused_at, Outbox& out);
  void say_goodbye_if_due(Instant now, Outbox& out);
  void close_if_done(Instant now, Outbox& out);
  void answer_cer(const Header& cer, ResultCode result, std::string_view why, Instant caused_at,
                  const Violation* violation, Outbox& out);
  void reject_cer(const MessageView& cer, ResultCode result, std::string_view why,
                  Instant caused_at, const Violation* violation, Instant now, Outbox& out);
  // An error answer to a request that nobody else will answer.
  void answer_here(const MessageView& request, ResultCode result, std::string_view why,
                   Instant caused_at, const Violation* violation, Outbox& out);
  void transmit(Buffer payload, Instant caused_at, std::uint16_t stream, Outbox& out);
  std::uint16_t stream_for(std::uint32_t hop_by_hop) const;

  void adopt(const Capabilities& capabilities, std::string name);
  void open(bool initiator, Instant now, Outbox& out);
  void obey(Watchdog::Order order, Instant now, Outbox& out);
  // The request that waits for this answer; nullptr: none does.
  RequestPtr take_request_of(const Header& answer);
  // The first thing wrong with a message of the base protocol.
  std::optional<Violation> objection_to(const MessageView& message) const;
  std::optional<OriginObjection> objection_to_origin(const MessageView& message) const;
  // Why a peer that says it is of this realm is not the one that is configured; nothing: it may be.
  std::optional<std::string> objection_to_realm(const Capabilities& capabilities) const;
  // Why the present config makes another peer of the one that this was identified as.
  std::optional<std::string> objection_to_identity() const;
  bool loses_election(std::string_view origin_host, const DiameterPeerConfig* peer) const;
  void publish(PeerChange::State state, Outbox& out);
  std::unique_ptr<PeerChange> change_of(PeerChange::State state) const;
  void tell_applications(PeerChange::State state, Outbox& out);
  void show(PeerChange::State state, Outbox& out);
  PeerChange::State standing() const;
  PeerChange::State ended() const;
  void take_requests(Outbox& out);
  void refuse_requests(std::string why, PeerChange::State change, Outbox& out);
  void give_back(RequestPtr request, Why why, Outbox& out);
  void fail_pending(Why why, Outbox& out);
  void lose(std::string why, Outbox& out);
  void close(CloseMode mode, Instant now, Outbox& out);
  void violated(std::string_view what, Outbox& out);
  std::string who() const;

  AssociationId id_;
  const Snapshot<DiameterConfig>& configs_;
  std::shared_ptr<const DiameterConfig> config_;
  const Snapshot<RouteTable>& routes_;
  Random random_;
  State state_;
  PendingTable pending_;
  std::size_t unanswered_ = 0;  // the peer's requests that others here have to answer
  std::vector<std::string> local_addresses_;
  std::string remote_address_;
  std::string expected_peer_;  // whom we connected to
  std::uint16_t streams_out_ = 1;
  Peer peer_;
  bool well_ = false;     // open, and its watchdog is answered: told as opened
  bool blocked_ = false;  // by the operator
  bool congested_ = false;
  PeerChange::State shown_ = PeerChange::State::closed;  // in the route table
  // Gone with this session: the peer's requests, wherever they are, look whether it is there.
  const std::shared_ptr<const void> connection_ = std::make_shared<char>();
};

// RFC 6733 §5.6.4: "If the local Origin-Host lexicographically succeeds the received Origin-Host, a
// Win-Election event is issued locally." Without regard to case: "octets that fall in the ASCII
// range 'a' through 'z' MUST compare equally to their uppercase counterparts between 'A' and 'Z'."
bool wins_election(std::string_view local_origin_host, std::string_view received_origin_host);

}  // namespace siglane::diameter
