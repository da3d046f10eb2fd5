#include <algorithm>
#include <utility>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/peer_session.h"
#include "protocols/diameter/text.h"

// PeerSession: the capabilities exchange, RFC 6733 §5.3, until the peer is known and open.

namespace siglane::diameter {

bool wins_election(std::string_view local_origin_host, std::string_view received_origin_host) {
  return identity_less(received_origin_host, local_origin_host);
}

void PeerSession::on_cer(const MessageView& cer, Instant caused_at, Instant now, Outbox& out) {
  if (std::holds_alternative<WaitCer>(state_) || std::holds_alternative<WaitCea>(state_)) {
    return process_cer(cer, caused_at, now, out);
  }
  if (!std::holds_alternative<Open>(state_)) return;
  // Capabilities are not negotiated anew, but whoever asks again hears the same again.
  const std::string_view host = cer.get(avp::origin_host).value_or("");
  const std::string_view realm = cer.get(avp::origin_realm).value_or("");
  if (!same_identity(host, *peer_.origin_host) || !same_identity(realm, peer_.realm)) {
    violated("a CER from " + describe(host, realm) + " on the open connection of " +
                 describe(*peer_.origin_host, peer_.realm),
             out);
    refuse_requests("peer changed its identity", PeerChange::State::closed, out);
    return close(CloseMode::abort, now, out);
  }
  answer_cer(cer.header(), result::success, {}, caused_at, nullptr, out);
}

void PeerSession::process_cer(const MessageView& cer, Instant caused_at, Instant now, Outbox& out) {
  if (const auto violation = objection_to(cer)) {
    return reject_cer(cer, violation->result, violation->text(), caused_at, &*violation, now, out);
  }
  const Capabilities capabilities = read_capabilities(cer, *config_);
  if (capabilities.inband_security_only) {
    return reject_cer(cer, result::no_common_security, "in-band security is not offered", caused_at,
                      nullptr, now, out);
  }
  // RFC 6733 §5.3: whoever receives such a CER "MUST return a Capabilities-Exchange-Answer (CEA)
  // with the Result-Code AVP set to DIAMETER_NO_COMMON_APPLICATION and SHOULD disconnect the
  // transport layer connection."
  if (!in_common(capabilities, *config_)) {
    return reject_cer(cer, result::no_common_application, "no common application", caused_at,
                      nullptr, now, out);
  }
  if (const auto why = objection_to_realm(capabilities)) {
    return reject_cer(cer, result::unknown_peer, *why, caused_at, nullptr, now, out);
  }
  const DiameterPeerConfig* known = config_->peer_at(capabilities.origin_host);
  if (loses_election(capabilities.origin_host, known)) {
    return reject_cer(cer, result::election_lost, "election lost", caused_at, nullptr, now, out);
  }
  // Our own name for a peer is not what it calls itself.
  if (known == nullptr && std::ranges::count(config_->peers, capabilities.origin_host,
                                             &DiameterPeerConfig::name) != 0) {
    return reject_cer(cer, result::unknown_peer, "not a configured peer", caused_at, nullptr, now,
                      out);
  }
  adopt(capabilities, known != nullptr ? known->name : capabilities.origin_host);
  show(PeerChange::State::closed, out);  // not connecting any more
  state_ = WaitIdentity{false, cer.header(), caused_at};
  out.identify(peer_.name);
}

// RFC 6733 §5.6.4: we have a connection of our own on its way to this host. Of the two, the one
// survives whose initiator has the lesser Origin-Host. "The winner of the election MUST close the
// connection it initiated.": the shard does, once the other is identified. None is held while there
// is room for all, those that are open already and all that are on their way.
bool PeerSession::loses_election(std::string_view origin_host,
                                 const DiameterPeerConfig* peer) const {
  const auto routes = routes_.load();
  const std::size_t ours = routes->connecting_to(origin_host, id_);
  if (ours == 0 || wins_election(config_->origin_host, origin_host)) return false;
  const std::size_t there = routes->connections_of(peer != nullptr ? peer->name : origin_host);
  return there + ours + 1 > (peer != nullptr ? peer->connections_max : 1);
}

void PeerSession::on_cea(const MessageView& cea, Instant now, Outbox& out) {
  const auto* wait = std::get_if<WaitCea>(&state_);
  if (wait == nullptr) return;  // the late answer to a CER that crossed the peer's own
  const auto refuse = [&](std::string why) {
    out.peer_refused(who(), std::move(why));
    close(CloseMode::graceful, now, out);
  };
  if (cea.header().hop_by_hop != wait->hop_by_hop) return refuse("a CEA to no CER of ours");
  const auto code = cea.result_code();
  if (code != result::success) {
    return refuse("its CEA says " +
                  (code ? std::to_string(static_cast<std::uint32_t>(*code)) : "nothing") + " " +
                  excerpt(cea.get(avp::error_message).value_or("")));
  }
  if (const auto violation = objection_to(cea)) {
    return refuse("its CEA is not in order: " + violation->text());
  }
  const Capabilities capabilities = read_capabilities(cea, *config_);
  if (!in_common(capabilities, *config_)) return refuse("no common application");
  const DiameterPeerConfig* known = config_->peer_at(capabilities.origin_host);
  const bool expected = config_->peer_named(expected_peer_) != nullptr;
  if (expected && (known == nullptr || known->name != expected_peer_)) {
    return refuse("it says it is " + capabilities.origin_host);
  }
  if (auto why = objection_to_realm(capabilities)) return refuse(std::move(*why));
  adopt(capabilities, expected_peer_);
  show(PeerChange::State::closed, out);  // not connecting any more
  state_ = WaitIdentity{true, {}, {}};
  out.identify(peer_.name);
}

PeerEvent PeerSession::on(Identified&, Instant now, Outbox& out) {
  if (const auto* wait = std::get_if<WaitIdentity>(&state_)) {
    // The config may have changed while it waited.
    if (auto why = objection_to_identity()) {
      out.peer_refused(who(), *why);
      IdentityRefused refused{std::move(*why)};
      return on(refused, now, out);
    }
    const bool initiator = wait->initiator;
    if (!initiator) {
      answer_cer(wait->cer, result::success, {}, wait->caused_at, nullptr, out);
    }
    open(initiator, now, out);
  }
  return PeerEvent::identified;
}

PeerEvent PeerSession::on(IdentityRefused& refused, Instant now, Outbox& out) {
  if (const auto* wait = std::get_if<WaitIdentity>(&state_)) {
    if (!wait->initiator) {
      // RFC 6733 §5.3: "CERs received from unknown peers MAY be silently discarded, or a CEA MAY be
      // issued with the Result-Code AVP set to DIAMETER_UNKNOWN_PEER." One that is connected is not
      // unknown, and no election was held. RFC 6733 has no code for the R-Reject of §5.6;
      // freeDiameter says UNABLE_TO_COMPLY too.
      answer_cer(wait->cer,
                 refused.connected_already ? result::unable_to_comply : result::unknown_peer,
                 refused.why, wait->caused_at, nullptr, out);
    }
    close(CloseMode::graceful, now, out);
  }
  return PeerEvent::refused;
}

void PeerSession::adopt(const Capabilities& capabilities, std::string name) {
  peer_.shared_name = std::make_shared<const std::string>(name);
  peer_.name = std::move(name);
  peer_.origin_host = std::make_shared<const std::string>(capabilities.origin_host);
  peer_.realm = capabilities.origin_realm;
  peer_.relay = capabilities.relay;
  peer_.applications = capabilities.applications;
  peer_.config = config_->peer_at(capabilities.origin_host);
}

void PeerSession::open(bool initiator, Instant now, Outbox& out) {
  const bool reopen = routes_.load()->is_suspect(peer_.name);
  state_ = Open{initiator, initiator, Watchdog(config_->watchdog_interval, random_.next())};
  obey(std::get<Open>(state_).watchdog.connection_up(reopen, now), now, out);
  show(standing(), out);
}

void PeerSession::answer_cer(const Header& cer, ResultCode result, std::string_view why,
                             Instant caused_at, const Violation* violation, Outbox& out) {
  transmit(make_cea(out.buffers(), *config_, local_addresses_, cer, result, why, violation),
           caused_at, 0, out);
}

void PeerSession::reject_cer(const MessageView& cer, ResultCode result, std::string_view why,
                             Instant caused_at, const Violation* violation, Instant now,
                             Outbox& out) {
  const auto host = cer.get(avp::origin_host);
  const DiameterPeerConfig* known = host ? config_->peer_at(*host) : nullptr;
  out.peer_refused(excerpt(host.value_or(remote_address_)), std::string(why),
                   known != nullptr ? known->name : "");
  answer_cer(cer.header(), result, why, caused_at, violation, out);
  close(CloseMode::graceful, now, out);
}

std::optional<std::string> PeerSession::objection_to_realm(const Capabilities& capabilities) const {
  const DiameterPeerConfig* known = config_->peer_at(capabilities.origin_host);
  if (known == nullptr || known->realm.empty() ||
      same_identity(known->realm, capabilities.origin_realm)) {
    return std::nullopt;
  }
  return "Origin-Realm is " + capabilities.origin_realm + ", but peer \"" + known->name +
         "\" is configured with realm " + known->realm;
}

}  // namespace siglane::diameter
