#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/protocol.h"
#include "core/random.h"
#include "core/snapshot.h"
#include "protocols/diameter/capabilities.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/parcels.h"
#include "protocols/diameter/peer_states.h"
#include "protocols/diameter/pending.h"
#include "protocols/diameter/routing.h"
#include "protocols/diameter/watchdog.h"

namespace siglane::diameter {

// One connection to one peer: capabilities exchange, watchdog, disconnect (RFC 6733 §5), and the
// requests that wait for their answer here. Takes RequestParcels and AnswerParcels to send, gives
// away the ones that arrive. Pure, like every session.
class PeerSession final : public Session {
 public:
  // `config` and `routes` must outlive it.
  PeerSession(AssociationId id, const DiameterConfig& config, const Snapshot<RouteTable>& routes,
              std::uint64_t seed);

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
    std::optional<Instant> by;  // nothing: its Down is on the way
    // We are going to send a DPR: as soon as nothing waits for its answer, and then at the latest.
    std::optional<Instant> dpr_by = std::nullopt;
    bool dpr_sent = false;
  };
  using State = std::variant<Closed, WaitCer, WaitCea, WaitIdentity, Open, Closing>;

  struct Peer {
    std::string name;
    std::shared_ptr<const std::string> origin_host;
    std::string realm;
    bool relay = false;
    std::vector<ApplicationId> applications;
  };

  // One for each input; the answer is the row's event.
  PeerEvent on(AssociationUp& up, Instant now, Outbox& out);
  PeerEvent on(AssociationReceived& received, Instant now, Outbox& out);
  PeerEvent on(AssociationUnsent& unsent, Instant now, Outbox& out);
  PeerEvent on(AssociationDown& down, Instant now, Outbox& out);
  PeerEvent on(Submitted& submitted, Instant now, Outbox& out);
  PeerEvent on(Woken& woken, Instant now, Outbox& out);
  PeerEvent on(Identified& identified, Instant now, Outbox& out);
  PeerEvent on(IdentityRefused& refused, Instant now, Outbox& out);
  PeerEvent on(Stopping& stopping, Instant now, Outbox& out);
  PeerEvent on(AssociationCongestion& congestion, Instant now, Outbox& out);
  PeerEvent on(AssociationPathChange& path, Instant now, Outbox& out);
  PeerEvent on(Rerouting& rerouting, Instant now, Outbox& out);

  void on_cer(const MessageView& cer, Instant caused_at, Instant now, Outbox& out);
  void process_cer(const MessageView& cer, Instant caused_at, Instant now, Outbox& out);
  void on_cea(const MessageView& cea, Instant now, Outbox& out);
  void on_dwr(const MessageView& dwr, Instant caused_at, Outbox& out);
  void on_dwa(const MessageView& dwa, Instant now, Outbox& out);
  void on_dpr(const MessageView& dpr, Instant caused_at, Instant now, Outbox& out);
  void on_dpa(Outbox& out);
  void on_request(const MessageView& request, Message message, Instant now, Outbox& out);
  void on_answer(const MessageView& answer, Message message, Outbox& out);
  void on_malformed(const Message& message, const DecodeError& error, Instant now, Outbox& out);

  void send_request(RequestPtr request, AssociationId from, Instant now, Outbox& out);
  void send_answer(AnswerPtr answer, Outbox& out);
  void send_dwr(Outbox& out);
  void send_dpr_if_due(Instant now, Outbox& out);
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
  // The first thing wrong with a message of the base protocol.
  std::optional<Violation> objection_to(const MessageView& message) const;
  void publish(PeerChange::State change, Outbox& out);
  void take_requests(Outbox& out);
  void refuse_requests(std::string why, PeerChange::State change, Outbox& out);
  void fail_pending(Why why, Outbox& out);
  void close(CloseMode mode, Instant now, Outbox& out);
  void violated(std::string_view what, Outbox& out);
  const DiameterPeerConfig* configured(std::string_view origin_host) const;
  std::string who() const;

  AssociationId id_;
  const DiameterConfig& config_;
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
  bool takes_requests_ = false;  // published as open
  bool congested_ = false;
};

// RFC 6733 §5.6.4: "If the local Origin-Host lexicographically succeeds the received Origin-Host, a
// Win-Election event is issued locally." Without regard to case: "octets that fall in the ASCII
// range 'a' through 'z' MUST compare equally to their uppercase counterparts between 'A' and 'Z'."
bool wins_election(std::string_view local_origin_host, std::string_view received_origin_host);

}  // namespace siglane::diameter
