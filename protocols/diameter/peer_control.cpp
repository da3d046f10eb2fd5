#include <utility>

#include "protocols/diameter/peer_session.h"
#include "protocols/diameter/text.h"

// What an operator and a new config make of a connection.

namespace siglane::diameter {

PeerEvent PeerSession::on(Operate& operate, Instant now, Outbox& out) {
  switch (operate.verb) {
    case Operate::Verb::disconnect: {
      if (!std::holds_alternative<Open>(state_)) {
        Stopping stopping;
        return on(stopping, now, out);
      }
      // RFC 6733 §5.4.3, of REBOOTING: the peer "MAY attempt reconnection"; of
      // DO_NOT_WANT_TO_TALK_TO_YOU, it "SHOULD NOT".
      const auto cause = operate.may_return ? DisconnectCause::rebooting
                                            : DisconnectCause::do_not_want_to_talk_to_you;
      part(cause, operate.why, now, out);
      return PeerEvent::stop;
    }
    case Operate::Verb::block:
    case Operate::Verb::unblock:
      blocked_ = operate.verb == Operate::Verb::block;
      if (std::holds_alternative<Open>(state_)) show(standing(), out);
      return PeerEvent::other;
  }
  return PeerEvent::other;
}

// A DPR makes the peer close soon, and what had its answer still to come would get none. So what is
// here already has its time first.
void PeerSession::part(DisconnectCause cause, std::string_view why, Instant now, Outbox& out) {
  std::string text = "we disconnect: " + name_of(cause);
  if (!why.empty()) text += ", " + std::string(why);
  refuse_requests(std::move(text), ended(), out);
  Closing closing{now + config_->disconnect_timeout, now + config_->disconnect_timeout / 2};
  closing.cause = cause;
  state_ = closing;
}

// What has a deadline keeps it. An open peer whose config is as before notices nothing.
PeerEvent PeerSession::on(Reconfigured&, Instant now, Outbox& out) {
  const auto before = std::exchange(config_, configs_.load());
  pending_.use({config_->limits.pending_max, config_->limits.pending_bytes_max});
  if (auto* open = std::get_if<Open>(&state_)) open->watchdog.use(config_->watchdog_interval);
  if (peer_.origin_host == nullptr) {
    // An election finds whom we connect to by this name.
    const auto host_in = [&](const DiameterConfig& config) {
      const DiameterPeerConfig* expected = config.peer_named(expected_peer_);
      return expected != nullptr ? expected->origin_host : std::string();
    };
    const bool connecting = shown_ == PeerChange::State::connecting;
    if (connecting && host_in(*before) != host_in(*config_)) publish(shown_, out);
    return PeerEvent::other;
  }
  const DiameterPeerConfig* was = std::exchange(peer_.config, config_->peer_at(*peer_.origin_host));
  if (!std::holds_alternative<Open>(state_)) return PeerEvent::other;
  if (const auto why = objection_to_identity()) {
    part(DisconnectCause::rebooting, *why, now, out);
    return PeerEvent::stop;
  }
  static const std::vector<std::string> none;
  const auto realms_of = [](const DiameterPeerConfig* peer) -> const std::vector<std::string>& {
    return peer != nullptr ? peer->routed_realms : none;
  };
  if (realms_of(was) != realms_of(peer_.config)) publish(shown_, out);
  return PeerEvent::other;
}

std::optional<std::string> PeerSession::objection_to_identity() const {
  if (peer_.origin_host == nullptr) return std::nullopt;
  const DiameterPeerConfig* named = config_->peer_named(peer_.name);
  if (named == nullptr && peer_.config == nullptr) return std::nullopt;  // a stranger, as before
  if (named == nullptr) return "it is configured as peer " + peer_.config->name + " now";
  if (named != peer_.config)
    return "its Origin-Host is configured as " + named->origin_host + " now";
  if (!named->realm.empty() && !same_identity(named->realm, peer_.realm)) {
    return "its realm is configured as " + named->realm + " now";
  }
  return std::nullopt;
}

}  // namespace siglane::diameter
