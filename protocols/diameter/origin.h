#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/drops.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"

// Whose names a message may carry: its connection decides, not the message. What routing, the
// applications and other nodes read in Origin-Host and Origin-Realm is checked here once, on
// receipt of every message, so that none of them needs to.

namespace siglane::diameter {

inline constexpr DropReason kForeignOrigin{
    "diameter.foreign_origin", "Origin-Host or Origin-Realm is not one its peer may speak for"};
inline constexpr DropReason kUnacceptableRoute{
    "diameter.unacceptable_route", "a request took a route that is not acceptable (Route-Record)"};
inline constexpr DropReason kInvalidOrigin{
    "diameter.invalid_origin", "Origin-Host or Origin-Realm is missing or occurs twice"};

// Who sends on a connection, as its capabilities exchange said, and for whom else it may speak.
struct Speaker {
  std::string_view origin_host, realm;
  const std::vector<std::string>* routed_realms = nullptr;  // an agent's; nullptr: for itself alone
};

// Why a message is not taken from this speaker.
struct OriginObjection {
  DropReason reason;
  // 5012 for a name, 5003 for a route (RFC 6733 §2.9), 5005 or 5009 for an AVP's number.
  ResultCode result{};
  std::string what;  // the names of both, the message's and the connection's
  std::optional<Violation> violation = std::nullopt;
};

// A peer speaks for itself: Origin-Host and Origin-Realm are those of its connection. An agent also
// speaks for the hosts of its routed_realms, and its requests must show an acceptable route: the
// first Route-Record is the Origin-Host, and every further hop belongs to one of these realms or to
// the agent's own. An agent for any realm ("*") may have any further hops, or no Route-Record.
// Messages of the base protocol pass between neighbours, so that even an agent speaks for itself.
// nullopt: nothing is wrong. A request that was here before is left to routing, which answers the
// loop (RFC 6733 §6.1.3).
std::optional<OriginObjection> objection_to_origin(const MessageView& message,
                                                   const Speaker& speaker,
                                                   const DiameterConfig& config);

// CER, DWR, DPR and their answers: they concern one connection and are never relayed.
bool is_between_neighbours(const MessageView& message);

// "mme.example of realm example", cleaned for a log and an Error-Message.
std::string describe(std::string_view origin_host, std::string_view origin_realm);

}  // namespace siglane::diameter
