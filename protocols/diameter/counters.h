#pragma once
#include <cstdint>
#include <string>

#include "core/counter.h"
#include "core/session.h"
#include "protocols/diameter/message.h"

// What Diameter counts.
namespace siglane::diameter {

// The values of labels as the dictionary names them: "S6a", "Update-Location", "DIAMETER_SUCCESS",
// "experimental:USER_UNKNOWN"; no result: "none"; what the dictionary does not know: "(other)".
std::string application_label(std::uint32_t application);
std::string command_label(std::uint32_t command);
std::string result_label(std::uint32_t result);

namespace counter {

inline const LabelledCounter requests_received{
    "diameter.requests.received",
    "requests received, those of the base protocol included, by application and command",
    {{"application", application_label}, {"command", command_label}}};
inline const LabelledCounter requests_sent{
    "diameter.requests.sent",
    "requests sent, those of the base protocol included, by application and command",
    {{"application", application_label}, {"command", command_label}}};
inline const LabelledCounter answers_received{
    "diameter.answers.received",
    "answers received, by application, command and result",
    {{"application", application_label}, {"command", command_label}, {"result", result_label}}};
inline const LabelledCounter answers_sent{
    "diameter.answers.sent",
    "answers sent, by application, command and result",
    {{"application", application_label}, {"command", command_label}, {"result", result_label}}};
inline const Counter answers_error{"diameter.answers.error",
                                   "answers sent that report no success (no 2xxx)"};
inline const Counter answers_unmatched{"diameter.answers.unmatched",
                                       "received answers that no request waited for"};
inline const Counter answers_orphaned{"diameter.answers.orphaned",
                                      "answers whose requester has gone"};
inline const Counter requests_timed_out{
    "diameter.requests.timed_out",
    "requests of ours without an answer within `request_timeout_ms`"};
inline const Counter requests_unroutable{
    "diameter.requests.unroutable",
    "requests that no peer and no application takes; answered with 3002, 3003, 3005 or 3007"};
inline const Counter watchdogs_sent{"diameter.watchdogs.sent", "Device-Watchdog-Requests sent"};
inline const Counter malformed{"diameter.malformed",
                               "messages that are no Diameter, or break their command's grammar"};

}  // namespace counter

void count_received(const MessageView& message, Outbox& out);
// `message`: whole, as it is handed to the association, which may refuse it (messages.refused).
void count_sent(Bytes message, Outbox& out);

}  // namespace siglane::diameter
