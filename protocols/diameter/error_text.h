#pragma once
#include <string>
#include <string_view>

#include "core/drops.h"
#include "core/parcel.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/message.h"
#include "protocols/diameter/routing.h"

// What an Error-Message (RFC 6733 §7.3) and the log say of errors that are made here. What is
// quoted of a message is cleaned: printable ASCII, and no more of it than a line holds.

namespace siglane::diameter {

inline constexpr DropReason kUnableToDeliver{
    "diameter.unable_to_deliver", "no peer took the request, or none answered it (3002)"};
inline constexpr DropReason kRealmNotServed{
    "diameter.realm_not_served", "no peer leads to the request's Destination-Realm (3003)"};
inline constexpr DropReason kLoopDetected{"diameter.loop_detected",
                                          "the request has passed this node before (3005)"};
inline constexpr DropReason kApplicationUnsupported{
    "diameter.application_unsupported",
    "the request is for an application that is not here (3007)"};
inline constexpr DropReason kInvalidRequest{"diameter.invalid_request",
                                            "an AVP of the request is missing, repeated or wrong"};

// The reason for one of the results above; 3002's for any other.
const DropReason& drop_reason(ResultCode result);

// "Update-Location request" or "command 999 of application 7 request".
std::string command_text(const MessageView& message);
// "application 16777251 (3GPP S6a/S6d)".
std::string application_text(ApplicationId application);
// Why a request was not routed: `result` is 3002, 3003, 3005 or 3007; `why` tells more of a 3002,
// and `idle` of a connection that would have been the way (nullptr: none).
std::string not_routed_text(const MessageView& request, const DiameterConfig& config,
                            ResultCode result, Why why, const IdlePeer* idle = nullptr);
// "is blocked by the operator".
std::string_view idle_text(IdlePeer::Reason reason);
// 3001.
std::string unsupported_command_text(const MessageView& request);

}  // namespace siglane::diameter
