#include "core/admission.h"

#include <string>
#include <utility>

#include "core/certificate_names.h"

namespace siglane {
namespace {

Objection stopping() {
  return {counter::associations_refused_limit, "this node is stopping"};
}

}  // namespace

// --- A claim ------------------------------------------------------------------------------------

Verdict Unidentified::claim(const std::string& peer, std::size_t connections_max) {
  if (claiming()) {
    if (connections_max == 1) return Refuse{"has an association already", true};
    return Refuse{"has " + std::to_string(connections_max) +
                      " associations already, and may have no more (connections_max)",
                  true};
  }
  claim_ = peer;
  return Inquire{};
}

bool Unidentified::hold(SessionInput&& input) {
  if (held_.size() >= kHeldMax && !std::holds_alternative<AssociationDown>(input)) return false;
  held_.push_back(std::move(input));
  return true;
}

// --- Who may be who -----------------------------------------------------------------------------

std::optional<Objection> Admission::to_newcomer(const std::vector<std::string>& addresses) const {
  if (stopping_) return stopping();
  if (!peers_->admits_any(addresses)) {
    return Objection{counter::associations_refused_address, "no configured peer has this address"};
  }
  return std::nullopt;
}

std::optional<Objection> Admission::to_association(const AssociationUp& up) const {
  if (stopping_) return stopping();
  if (up.initiator) return std::nullopt;  // we chose whom to connect to
  if (auto objection = to_newcomer(up.remote_addresses)) return objection;
  if (up.certificate_names && !peers_->admits_certificate(*up.certificate_names)) {
    return Objection{counter::associations_refused_identity,
                     "no configured peer is named in its certificate"};
  }
  return std::nullopt;
}

std::unique_ptr<Unidentified> Admission::unidentified(const AssociationUp& up, Instant now) const {
  return std::make_unique<Unidentified>(now + peers_->admission().identification_timeout,
                                        up.remote_addresses, up.certificate_names);
}

Verdict Admission::judge(const Unidentified& who, const std::string& connected_to,
                         const std::string& peer) const {
  if (!connected_to.empty() && connected_to != peer) {
    return Refuse{"we connected to " + connected_to};
  }
  const PeerConfig* config = peers_->find(peer);
  if (config == nullptr && !peers_->admission().accept_unknown_peers) {
    return Refuse{"not a configured peer"};
  }
  if (config != nullptr && !PeerTable::at_home(*config, who.remote_addresses)) {
    return Refuse{"comes from an address that is not configured for it"};
  }
  // A name that is only said is checked against the one that is proven.
  if (const auto& names = who.certificate_names) {
    const std::string& identity = config != nullptr ? config->identity() : peer;
    if (!names_host(*names, identity)) return Refuse{"its certificate does not name " + identity};
  }
  return Bind{};
}

Verdict Admission::judge_again(const std::string& identified, const std::string& peer) {
  if (identified == peer) return Bind{};
  return Refuse{"was identified as " + identified + " before"};
}

// --- Inquiries ----------------------------------------------------------------------------------

InquiryStep next_step(Inquiry& inquiry, ShardId here, bool holder_is_here,
                      std::optional<ShardId> home) {
  if (holder_is_here) home = here;
  const bool gone = !home || (*home == here && !holder_is_here);
  if (gone) return AnswerNow{};
  if (inquiry.turns > 0) {
    --inquiry.turns;
    return InquireLater{*home};
  }
  if (holder_is_here) return AskItsSession{};
  return AnswerNow{};  // it moves faster than the inquiry, and stays the peer
}

}  // namespace siglane
