#pragma once
#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/flow_group.h"
#include "core/session.h"
#include "protocols/m3ua/control.h"

namespace siglane::m3ua {

// RFC 4666 §4.3.2, Figure 4: what moves an Application Server.
enum class AsEvent : std::uint8_t {
  asp_inactive,            // an ASP came up
  asps_active,             // as many ASPs are ASP-ACTIVE as are needed
  active_gone,             // the last ASP-ACTIVE one is no more
  all_down,                // every ASP is ASP-DOWN
  recovery_expired,        // T(r), and an ASP is ASP-INACTIVE
  recovery_expired_alone,  // T(r), and all are ASP-DOWN
};
std::string_view name_of(AsEvent event);

struct AsTransition {
  std::string_view arrow;  // as the figure calls it
  AsState from;
  AsEvent event;
  AsState to;
};
// What is not here cannot happen, or changes nothing.
inline constexpr std::array kAsTransitions = {
    AsTransition{"DN2IA", AsState::down, AsEvent::asp_inactive, AsState::inactive},
    AsTransition{"IA2DN", AsState::inactive, AsEvent::all_down, AsState::down},
    AsTransition{"IA2AC", AsState::inactive, AsEvent::asps_active, AsState::active},
    AsTransition{"AC2PN", AsState::active, AsEvent::active_gone, AsState::pending},
    AsTransition{"PN2AC", AsState::pending, AsEvent::asps_active, AsState::active},
    AsTransition{"PN2IA", AsState::pending, AsEvent::recovery_expired, AsState::inactive},
    AsTransition{"PN2DN", AsState::pending, AsEvent::recovery_expired_alone, AsState::down},
};
constexpr bool is_in_table(AsState from, AsState to) {
  return from == to || std::ranges::any_of(kAsTransitions, [=](const AsTransition& row) {
           return row.from == from && row.to == to;
         });
}
constexpr AsState next_state(AsState from, AsEvent event) {
  for (const AsTransition& row : kAsTransitions) {
    if (row.from == from && row.event == event) return row.to;
  }
  return from;
}

// One Application Server of the SG side: a coordinator over its ASPs. It alone decides who is
// active, tells them (NTFY), and publishes what route() reads. Which ASP carries which SLS, and
// what is held while AS-PENDING, is its FlowGroup's business; its state machine tells that what it
// is.
class ApplicationServer final : public Session {
 public:
  // `gateway`: the revision that brings it. `latest` must outlive it. `place`: its own
  // (Gateway::servers).
  ApplicationServer(const Snapshot<Gateway>& latest, std::shared_ptr<const Gateway> gateway,
                    std::size_t place);

  void step(SessionInput input, Instant now, Outbox& out) override;
  std::optional<Instant> deadline() const override;
  SessionStatus status() const override;

 private:
  struct Member {
    AssociationId id{};
    std::string asp;
    std::uint32_t place = DataParcel::kNobody;  // its
    std::optional<std::uint32_t> asp_identifier;
    AspState state = AspState::inactive;
    std::uint32_t epoch = 0;
    bool lost = false;  // its association has ended: it can be told nothing
  };

  Member* find(AssociationId id);
  bool active(const Member& member) const { return member.state == AspState::active; }

  void take(SessionInput input, Instant now, Outbox& out);
  void on_event(AssociationId from, std::unique_ptr<AspEventParcel> event, Instant now,
                Outbox& out);
  void on_asp(AssociationId from, const AspEventParcel& event, Instant now, Outbox& out);
  void on_up(AssociationId from, const AspEventParcel& event, Instant now, Outbox& out);
  void on_gone(AssociationId from, const AspEventParcel& event, Instant now, Outbox& out);
  void on_activate(Member& member, Instant now, Outbox& out);
  void on_deactivate(Member& member, Instant now, Outbox& out);
  void on_data(ParcelPtr data, Outbox& out);
  void on_woken(Instant now, Outbox& out);
  void on_reconfigured(Outbox& out);
  void end(Outbox& out);

  const ApplicationServerConfig& config() const { return gateway_->servers[place_].config; }
  bool removed() const { return gateway_->servers[place_].removed; }
  // How many active ASPs make it AS-ACTIVE.
  std::size_t needed() const { return state_ == AsState::inactive ? active_min_ : 1; }
  bool changes_path(AssociationId from, const AspEventParcel& event);
  void on_rerouting(Instant now, Outbox& out);

  void set_active(Member& member);
  void set_inactive(Member& member);
  // Looks at the members and takes the transition that follows, if any. `failed`: the ASP
  // Identifier of the one whose failure made it look.
  bool settle(Instant now, Outbox& out, std::optional<std::uint32_t> failed = std::nullopt);
  bool apply(AsEvent event, Instant now, Outbox& out,
             std::optional<std::uint32_t> failed = std::nullopt);
  void entered(AsState before, Instant now, Outbox& out, std::optional<std::uint32_t> failed);
  // The state is what members and timer make it.
  bool agrees() const;
  void warn_if_short(Outbox& out);

  void send_held(Instant now, Outbox& out);
  void deliver(ParcelPtr parcel, Outbox& out);
  void discard(const DropReason& why, const DataParcel& data, Outbox& out, std::uint64_t count = 1);
  void discard_held(const DropReason& why, Outbox& out);

  void publish(Outbox& out);
  void notify(const Member& member, NotifyStatus status, Outbox& out,
              std::optional<std::uint32_t> about = std::nullopt);
  void notify_all(NotifyStatus status, Outbox& out,
                  std::optional<std::uint32_t> about = std::nullopt);
  void report_destinations(MessageType type, Outbox& out);

  const Snapshot<Gateway>& latest_;
  std::shared_ptr<const Gateway> gateway_;
  std::size_t place_;

  std::size_t active_min_;  // of the config; where that makes it AS-ACTIVE, from Rerouting on
  AsState state_ = AsState::down;
  std::vector<Member> members_;  // those that are not ASP-DOWN
  FlowGroup group_;              // over those that are ASP-ACTIVE

  // Broadcast: the flows that have had a Correlation Id since an ASP last became active.
  std::bitset<256> correlated_;
  std::uint32_t correlation_id_ = 0;

  // Between Reroute and Rerouting what is to change waits; and so does its end.
  struct WaitingEvent {
    AssociationId from{};
    std::unique_ptr<AspEventParcel> event;
  };
  std::vector<WaitingEvent> waiting_events_;
  Instant pending_since_{};
  std::optional<Instant> recovery_at_;  // T(r)
};

}  // namespace siglane::m3ua
