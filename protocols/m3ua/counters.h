#pragma once
#include <cstdint>
#include <string>

#include "core/counter.h"
#include "core/session.h"
#include "protocols/m3ua/message.h"

// What M3UA counts.
namespace siglane::m3ua {

// As RFC 4666 §3.1.2 and §3.1.3 name them: "ASPSM", "ASPUP ACK".
std::string class_label(std::uint32_t message_class);
std::string type_label(std::uint32_t message_type);

namespace counter {

inline const LabelledCounter messages_received{"m3ua.messages.received",
                                               "messages received, by class and type",
                                               {{"class", class_label}, {"type", type_label}}};
inline const LabelledCounter messages_sent{"m3ua.messages.sent",
                                           "messages given to an association to send, by class "
                                           "and type; messages.refused has those that it refused",
                                           {{"class", class_label}, {"type", type_label}}};
inline const Counter data_received{"m3ua.data.received", "DATA messages received"};
inline const Counter data_sent{"m3ua.data.sent",
                               "DATA messages given to an association to send; those "
                               "that it refused are in data.discarded too"};
inline const Counter data_unroutable{
    "m3ua.data.unroutable", "DATA that no active Application Server serves; DUNA is sent back"};
inline const Counter data_discarded{
    "m3ua.data.discarded",
    "DATA that was accepted and given up: AS-PENDING ended or its queue was full, or an ASP left"};
inline const Counter errors_sent{"m3ua.errors.sent", "ERR messages sent"};
inline const Counter errors_received{"m3ua.errors.received", "ERR messages received"};
inline const Counter malformed{"m3ua.malformed", "messages that are no M3UA"};

}  // namespace counter

void count_received(MessageType type, Outbox& out);
// `message`: with its header.
void count_sent(Bytes message, Outbox& out);

}  // namespace siglane::m3ua
