#include "protocols/diameter/origin.h"

#include <algorithm>

#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

// What a message says of where it comes from, from one pass over its AVPs.
struct Origin {
  std::optional<AvpView> host, realm;
  std::optional<AvpView> too_many;  // the second of one of them
  std::optional<AvpView> first_hop;
  bool was_here = false;  // Route-Record names this node
};

Origin origin_of(const MessageView& message, std::string_view our_host) {
  Origin origin;
  const auto take = [&](std::optional<AvpView>& one, const AvpView& avp) {
    if (one && !origin.too_many) origin.too_many = avp;
    if (!one) one = avp;
  };
  for (const AvpView avp : message.avps()) {
    if (avp.is(avp::origin_host)) {
      take(origin.host, avp);
    } else if (avp.is(avp::origin_realm)) {
      take(origin.realm, avp);
    } else if (avp.is(avp::route_record)) {
      if (!origin.first_hop) origin.first_hop = avp;
      if (same_identity(avp.text(), our_host)) origin.was_here = true;
    }
  }
  return origin;
}

OriginObjection invalid(Violation violation) {
  return {kInvalidOrigin, violation.result, violation.text(), violation};
}

OriginObjection foreign(const Origin& origin, const Speaker& speaker, std::string_view why = {}) {
  std::string what =
      "the message says that it is from " + describe(origin.host->text(), origin.realm->text()) +
      ", and the connection is that of " + describe(speaker.origin_host, speaker.realm);
  if (!why.empty()) what += ": " + std::string(why);
  return {kForeignOrigin, result::unable_to_comply, std::move(what)};
}

OriginObjection unacceptable(const Origin& origin, const Speaker& speaker, std::string_view why) {
  OriginObjection objection = foreign(origin, speaker, why);
  objection.reason = kUnacceptableRoute;
  objection.result = result::authorization_rejected;
  return objection;
}

// Does the host belong to a realm that the agent may use? Where the config knows the host, it knows
// its realm; otherwise the host's name says it.
bool is_on_the_way(std::string_view host, const Speaker& speaker, const DiameterConfig& config) {
  const DiameterPeerConfig* known = config.peer_at(host);
  if (known != nullptr && !known->realm.empty()) {
    return same_identity(known->realm, speaker.realm) ||
           contains_realm(*speaker.routed_realms, known->realm);
  }
  return is_within(host, speaker.realm) ||
         std::any_of(speaker.routed_realms->begin(), speaker.routed_realms->end(),
                     [&](const std::string& realm) { return is_within(host, realm); });
}

// RFC 6733 §2.9: "The home Diameter server, prior to authorizing a session, MUST check the
// Route-Record AVPs to make sure that the route traversed by the request is acceptable." §6.1.9 has
// each agent append "the identity of the peer from which the request was received": so the first
// one is the host that the request began at.
std::optional<OriginObjection> objection_to_route(const MessageView& request, const Origin& origin,
                                                  const Speaker& speaker,
                                                  const DiameterConfig& config) {
  const auto& realms = *speaker.routed_realms;
  const bool any = std::find(realms.begin(), realms.end(), "*") != realms.end();
  if (!origin.first_hop) {
    if (any) return std::nullopt;
    return unacceptable(origin, speaker, "it has no Route-Record");
  }
  if (!same_identity(origin.first_hop->text(), origin.host->text())) {
    return unacceptable(
        origin, speaker,
        "the first Route-Record is " + excerpt(origin.first_hop->text()) + ", not the Origin-Host");
  }
  if (any) return std::nullopt;
  for (const AvpView hop : request.avps()) {
    if (!hop.is(avp::route_record) || same_identity(hop.text(), origin.host->text())) continue;
    if (!is_on_the_way(hop.text(), speaker, config)) {
      return unacceptable(origin, speaker,
                          "Route-Record names " + excerpt(hop.text()) +
                              ", which is in no realm of the peer's routed_realms");
    }
  }
  return std::nullopt;
}

std::optional<OriginObjection> objection_to_relayed(const MessageView& message,
                                                    const Origin& origin, const Speaker& speaker,
                                                    const DiameterConfig& config) {
  const std::string_view host = origin.host->text(), realm = origin.realm->text();
  if (same_identity(host, config.origin_host)) {
    return foreign(origin, speaker, "that Origin-Host is this node's own");
  }
  if (same_identity(host, speaker.origin_host)) return foreign(origin, speaker);
  const DiameterPeerConfig* known = config.peer_at(host);
  if (known != nullptr && !known->realm.empty() && !same_identity(known->realm, realm)) {
    return foreign(
        origin, speaker,
        "peer \"" + known->name + "\" with that Origin-Host is of realm " + known->realm);
  }
  if (!contains_realm(*speaker.routed_realms, realm)) {
    return foreign(origin, speaker, "that realm is not among the peer's routed_realms");
  }
  if (!message.is_request()) return std::nullopt;
  return objection_to_route(message, origin, speaker, config);
}

}  // namespace

std::optional<OriginObjection> objection_to_origin(const MessageView& message,
                                                   const Speaker& speaker,
                                                   const DiameterConfig& config) {
  const Origin origin = origin_of(message, config.origin_host);
  if (origin.too_many) {
    const Bytes avp = origin.too_many->raw();
    return invalid({.offset = static_cast<std::size_t>(avp.data() - message.bytes().data()),
                    .result = result::avp_occurs_too_many_times,
                    .what = "occurs too many times",
                    .offending = avp});
  }
  // A DWA or DPA without a name says nothing of another's, so it is as good as its identifiers.
  if (is_between_neighbours(message) && !message.is_request() && !(origin.host && origin.realm)) {
    return std::nullopt;
  }
  for (const auto& [found, def] :
       {std::pair(&origin.host, static_cast<const AvpDef*>(&avp::origin_host)),
        std::pair(&origin.realm, static_cast<const AvpDef*>(&avp::origin_realm))}) {
    if (*found) continue;
    return invalid({.offset = Header::kBytes,
                    .result = result::missing_avp,
                    .what = "is missing",
                    .offending = {},
                    .example = def});
  }
  if (same_identity(origin.host->text(), speaker.origin_host) &&
      same_identity(origin.realm->text(), speaker.realm)) {
    return std::nullopt;
  }
  if (is_between_neighbours(message)) return foreign(origin, speaker);
  if (message.is_request() && origin.was_here) return std::nullopt;
  if (speaker.routed_realms == nullptr || speaker.routed_realms->empty()) {
    return foreign(origin, speaker);
  }
  return objection_to_relayed(message, origin, speaker, config);
}

bool is_between_neighbours(const MessageView& message) {
  return message.is(command::capabilities_exchange) || message.is(command::device_watchdog) ||
         message.is(command::disconnect_peer);
}

std::string describe(std::string_view origin_host, std::string_view origin_realm) {
  return excerpt(origin_host) + " of realm " + excerpt(origin_realm);
}

}  // namespace siglane::diameter
