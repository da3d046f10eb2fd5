#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/peer_table.h"
#include "core/session.h"
#include "protocols/m3ua/control.h"
#include "protocols/m3ua/message.h"
#include "protocols/m3ua/peer_link.h"
#include "protocols/m3ua/request_queue.h"

namespace siglane::m3ua {

// RFC 4666 §4.3.1, Figure 3: what moves an ASP within one AS, and what the SG side answers
// (§4.3.4.1 to §4.3.4.4).
enum class AspEvent : std::uint8_t {
  aspup,
  aspdn,
  aspac,
  aspia,
  other_asp_overrides,
  association_lost
};
enum class AspAnswer : std::uint8_t {
  nothing,
  aspup_ack,
  aspup_ack_and_error,  // §4.3.4.1: ASPUP while ASP-ACTIVE
  aspdn_ack,
  aspac_ack,
  aspia_ack,
  notify_alternate_asp_active,
  error_unexpected_message
};
std::string_view name_of(AspEvent event);
std::string_view name_of(AspAnswer answer);

struct AspTransition {
  AspState from;
  AspEvent event;
  AspState to;
  AspAnswer answer;
};
inline constexpr std::array kAspTransitions = {
    AspTransition{AspState::down, AspEvent::aspup, AspState::inactive, AspAnswer::aspup_ack},
    AspTransition{AspState::down, AspEvent::aspdn, AspState::down, AspAnswer::aspdn_ack},
    AspTransition{AspState::down, AspEvent::aspac, AspState::down,
                  AspAnswer::error_unexpected_message},
    AspTransition{AspState::down, AspEvent::aspia, AspState::down,
                  AspAnswer::error_unexpected_message},
    AspTransition{AspState::down, AspEvent::other_asp_overrides, AspState::down,
                  AspAnswer::nothing},
    AspTransition{AspState::down, AspEvent::association_lost, AspState::down, AspAnswer::nothing},

    AspTransition{AspState::inactive, AspEvent::aspup, AspState::inactive, AspAnswer::aspup_ack},
    AspTransition{AspState::inactive, AspEvent::aspdn, AspState::down, AspAnswer::aspdn_ack},
    AspTransition{AspState::inactive, AspEvent::aspac, AspState::active, AspAnswer::aspac_ack},
    AspTransition{AspState::inactive, AspEvent::aspia, AspState::inactive, AspAnswer::aspia_ack},
    AspTransition{AspState::inactive, AspEvent::other_asp_overrides, AspState::inactive,
                  AspAnswer::nothing},
    AspTransition{AspState::inactive, AspEvent::association_lost, AspState::down,
                  AspAnswer::nothing},

    AspTransition{AspState::active, AspEvent::aspup, AspState::inactive,
                  AspAnswer::aspup_ack_and_error},
    AspTransition{AspState::active, AspEvent::aspdn, AspState::down, AspAnswer::aspdn_ack},
    AspTransition{AspState::active, AspEvent::aspac, AspState::active, AspAnswer::aspac_ack},
    AspTransition{AspState::active, AspEvent::aspia, AspState::inactive, AspAnswer::aspia_ack},
    AspTransition{AspState::active, AspEvent::other_asp_overrides, AspState::inactive,
                  AspAnswer::notify_alternate_asp_active},
    AspTransition{AspState::active, AspEvent::association_lost, AspState::down, AspAnswer::nothing},
};
constexpr bool is_in_table(AspState from, AspState to) {
  return std::ranges::any_of(
      kAspTransitions, [=](const AspTransition& row) { return row.from == from && row.to == to; });
}
// Total: there is a row for each state and event (asp_test.cpp).
constexpr AspTransition next_state(AspState from, AspEvent event) {
  for (const AspTransition& row : kAspTransitions) {
    if (row.from == from && row.event == event) return row;
  }
  return {from, event, from, AspAnswer::nothing};
}

// One association with an ASP, on the SG side. Who is ASP-ACTIVE in an AS is that AS's decision
// (as.h); this session asks it, and answers the ASP. It asks an AS one thing at a time, and an ASP
// that goes on changing its mind a limited number of times per second. What the ASP asks for
// meanwhile waits (request_queue.h), and the ASP is not read, where that is possible. What changes
// nothing is answered at once, and no AS hears of it.
class AspSession final : public Session {
 public:
  // `latest` must outlive it. `candidates`: names of the ASPs that may come from this address.
  AspSession(const Snapshot<Gateway>& latest, const AssociationUp& up,
             std::vector<std::string> candidates);

  void step(SessionInput input, Instant now, Outbox& out) override;
  std::optional<Instant> deadline() const override;
  SessionStatus status() const override;

 private:
  enum class Phase : std::uint8_t { down, identifying, up, closing };
  struct Membership {
    std::size_t as = 0;
    AspState state = AspState::down;
    bool mode_in_request = false;     // ASPAC named a Traffic Mode Type: so does its ACK
    bool context_in_request = false;  // ... a Routing Context
    bool awaits_answer = false;       // of the AS
    Instant changes_until{};          // what it was told so far, at one change per interval
    // The config does not have it any more; it ends when the AS has let the ASP go. Until then the
    // ASP's requests for it wait.
    bool unwanted = false;
    bool told_to_end = false;  // the AS was, by the event that awaits its answer
    bool over = false;         // the AS has let the ASP go
    bool untold = false;       // unblocked: the ASP is to hear the state of the AS again
  };
  void take(SessionInput input, Instant now, Outbox& out);
  void on_received(Message message, Instant now, Outbox& out);
  void on_message(const MessageView& view, Message& message, Instant now, Outbox& out);
  void on_data(const MessageView& view, Message& message, Outbox& out);
  void on_request(const MessageView& view, Message& message, Instant now, Outbox& out);
  std::optional<Instant> turn_of(const MessageView& request) const;
  void serve(const MessageView& request, Instant now, Outbox& out);
  void serve_waiting(Instant now, Outbox& out);
  void on_aspup(const MessageView& view, Instant now, Outbox& out);
  void on_aspdn(Instant now, Outbox& out);
  void on_aspac(const MessageView& view, Instant now, Outbox& out);
  void on_aspia(const MessageView& view, Instant now, Outbox& out);
  void on_ssnm(const MessageView& view, Outbox& out);
  // The networks that it is about. None: it is about nothing, and the ASP has been told so.
  std::vector<Network> networks_of(const MessageView& ssnm, Outbox& out);
  void on_reg_req(const MessageView& view, Outbox& out);
  void on_dereg_req(const MessageView& view, Outbox& out);

  void on_identified(Instant now, Outbox& out);
  void on_identity_refused(const IdentityRefused& refused, Instant now, Outbox& out);
  void on_submitted(Submitted submitted, Instant now, Outbox& out);
  void on_order(const AsOrderParcel& order, Instant now, Outbox& out);
  void obey(const AsOrderParcel& order, Membership& membership, Outbox& out);
  void notify(const Membership& membership, NotifyStatus status, std::optional<std::uint32_t> about,
              Outbox& out);
  void send_data(std::unique_ptr<DataParcel> data, Outbox& out);
  void send_status(const NetworkStatusParcel& status, Instant now, Outbox& out);
  bool is_outdated(const NetworkStatusParcel& status, const AffectedPointCode& pc) const;
  void on_congestion(bool congested, Outbox& out);
  void report_congestion(std::span<const Membership> of, bool congested, Outbox& out);
  void on_stopping(Instant now, Outbox& out);
  void on_operate(const Operate& operate, Instant now, Outbox& out);
  void on_reconfigured(Instant now, Outbox& out);
  void report_routes(Outbox& out);
  // Makes the memberships those of the config, as far as the ASs have answered.
  void review_memberships(Instant now, Outbox& out);
  bool may_drop(Membership& membership, Instant now, Outbox& out);
  void withdraw(Membership& membership, Outbox& out);
  void enforce_block(Instant now, Outbox& out);
  void tell_states(Instant now, Outbox& out);
  void on_unsent(AssociationUnsent unsent, Instant now, Outbox& out);
  void on_down(Instant now, Outbox& out);
  void discard_unsent(Outbox& out);

  // The name to Identify as; nothing where the ASP Identifier would have to tell and is missing.
  std::optional<std::string> name_from(std::optional<std::uint32_t> identifier) const;
  AspState state() const;  // the best of all ASs
  Membership* membership_of_context(std::uint32_t routing_context);
  Membership* membership_in(std::size_t as);
  const ApplicationServerConfig& server(const Membership& m) const;
  // The memberships that a message's Routing Contexts name, all where it names none. Those that do
  // not exist are answered with an ERR.
  std::vector<Membership*> named_memberships(const MessageView& view, Outbox& out);
  void move(Membership& membership, AspEvent event, Outbox& out);
  void leave_all(AspEvent event, AspEventParcel::Event tell, Instant now, Outbox& out);
  void tell(Membership& membership, AspEventParcel::Event event, Instant now, Outbox& out);

  void acknowledge(MessageType type, const Membership& membership, Outbox& out);
  // Routing contexts of the ASs in which the ASP is active and that are in the network.
  std::vector<std::uint32_t> active_contexts_in(Network network) const;
  struct Destination {
    Network network;
    std::uint32_t point_code = 0;
    bool operator==(const Destination&) const = default;
  };
  bool may_report(const Destination& destination, Instant now);

  const Snapshot<Gateway>& latest_;
  std::shared_ptr<const Gateway> gateway_;
  PeerLink link_;
  bool single_stream_allowed_;  // as it was when the association came up
  std::vector<std::string> candidates_;
  std::string remote_;

  Phase phase_ = Phase::down;
  std::string name_;
  std::uint32_t asp_ = DataParcel::kNobody;  // its place
  std::optional<std::uint32_t> asp_identifier_;
  bool identifier_known_ = true;
  std::uint32_t epoch_ = 0;
  std::vector<Membership> memberships_;  // from the first ASPUP on
  RequestQueue requests_;                // while there are any, the association is paused
  std::optional<Instant> turn_at_;       // of the first; none: an AS has yet to answer
  bool congested_ = false;
  bool blocked_ = false;  // by the operator

  // DATA that came back without having left. Down follows at once where the association is lost,
  // and then its AS gets it; without a Down it was refused, and is lost.
  std::vector<Buffer> unsent_;
  Instant unsent_at_{};

  struct Reported {
    Destination destination;
    Instant at{};
  };
  static constexpr std::size_t kReportedMax = 16;
  std::vector<Reported> reported_;  // most ASPs never ask for what is not there
  std::size_t next_reported_ = 0;
};

}  // namespace siglane::m3ua
