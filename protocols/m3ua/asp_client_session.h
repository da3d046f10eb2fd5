#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/session.h"
#include "protocols/m3ua/config.h"
#include "protocols/m3ua/message.h"
#include "protocols/m3ua/parcels.h"
#include "protocols/m3ua/peer_link.h"

namespace siglane::m3ua {

// One association to a signalling gateway, on the ASP side (RFC 4666 §4.3.4). See asp_client.h.
class AspClientSession final : public Session {
 public:
  // Both configs must outlive it. `gateway`: the peer's name. `user` may be none: then what
  // arrives is counted as discarded.
  AspClientSession(const AspClientsConfig& common, const AspClientConfig& config,
                   std::string gateway, AssociationId user);

  void step(SessionInput input, Instant now, Outbox& out) override;
  std::optional<Instant> deadline() const override;
  SessionStatus status() const override;

 private:
  // The answer that T(ack) runs for.
  enum class Awaiting : std::uint8_t { nothing, aspup_ack, aspac_ack, aspia_ack, aspdn_ack };
  struct Context {
    std::optional<std::uint32_t> routing_context;  // none: the gateway's choice
    AspState state = AspState::down;
    bool wanted = true;    // to be ASP-ACTIVE; not so for a standby, or one that was overridden
    bool leaving = false;  // ASPIA was sent for it
  };

  void on_up(const AssociationUp& up, Instant now, Outbox& out);
  void on_identified(Instant now, Outbox& out);
  void on_message(const MessageView& view, Message& message, Instant now, Outbox& out);
  void on_data(const MessageView& view, Message& message, Outbox& out);
  void on_aspup_ack(Instant now, Outbox& out);
  void on_aspac_ack(const MessageView& view, Instant now, Outbox& out);
  void on_aspia_ack(const MessageView& view, Instant now, Outbox& out);
  void on_aspdn_ack(Instant now, Outbox& out);
  void on_ntfy(const MessageView& view, Instant now, Outbox& out);
  void on_ssnm(const MessageView& view, Outbox& out);
  void on_woken(Instant now, Outbox& out);
  void on_stopping(Instant now, Outbox& out);
  void on_operate(const Operate& operate, Instant now, Outbox& out);
  void on_err(const MessageView& view, Outbox& out);
  void on_unsent(AssociationUnsent unsent, Outbox& out);

  void send_aspup(Outbox& out);
  void send_aspac(Outbox& out);
  void send_aspia(Outbox& out);
  void send_data(AssociationId from, std::unique_ptr<DataParcel> data, Outbox& out);
  void return_data(AssociationId to, std::unique_ptr<DataParcel> data, Why why, Outbox& out);
  // Asks for those that are wanted and not active, if any; else nothing is awaited any more.
  void activate(Instant now, Outbox& out);
  bool missing(const Context& context) const {
    return context.wanted && !blocked_ && context.state == AspState::inactive;
  }
  bool any_missing() const;
  void await(Awaiting what, Instant now);

  bool up() const;
  bool active() const;
  // Those that a message's Routing Contexts name; all where it names none.
  std::vector<Context*> named(const MessageView& view);
  void set_state(Context& context, AspState state, Outbox& out);
  void set_all(AspState state, Outbox& out);
  void tell_user(const Context& context, Outbox& out);

  const AspClientsConfig& common_;
  const AspClientConfig& config_;
  std::string gateway_;
  AssociationId user_;
  PeerLink link_;

  std::vector<Context> contexts_;
  Awaiting awaiting_ = Awaiting::nothing;
  Instant ack_by_{};  // T(ack)
  std::size_t retransmissions_ = 0;
  bool congested_ = false;
  bool blocked_ = false;  // by the operator
  bool closing_ = false;
};

}  // namespace siglane::m3ua
