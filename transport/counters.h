#pragma once
#include "core/counters.h"

// What the transports count. `associations.refused.limit` of core/counters.h too: they turn away
// whom the shard never hears of.
namespace siglane::transport::counter {

inline const Counter peels{"transport.peels",
                           "associations that were peeled off onto a socket of their own"};
inline const Counter peels_gone{"transport.peels.gone",
                                "associations that had ended when they were to be peeled off"};
inline const Counter peels_lost{
    "transport.peels.lost",
    "associations that the kernel ended at the peel, for want of a descriptor"};
inline const Counter peels_starved{
    "transport.peels.starved",
    "associations that earned a socket and got none: `peeled_max`, or too few descriptors"};
inline const Counter cargoes_dropped{
    "transport.cargoes_dropped",
    "associations that were on their way to another shard when the node ended"};
inline const Counter partial_deliveries{
    "transport.partial_deliveries", "pieces of messages that the stack delivered before their end"};
inline const Counter messages_oversized{
    "transport.messages.oversized",
    "received messages longer than `limits.message_bytes_max`; each ends its association"};
inline const Counter send_blocked{"transport.send_blocked",
                                  "how often a socket had no room for what was to be sent"};
inline const Counter receive_stalls{
    "transport.receive_stalls",
    "how often a shared socket's receive memory was full with nothing to read"};
inline const Counter accepts_failed{"transport.accepts_failed",
                                    "connections that the system did not let the node accept"};
inline const Counter tls_handshakes_failed{"transport.tls.handshakes_failed",
                                           "TLS and DTLS handshakes that failed"};
inline const Counter tls_messages_too_long{
    "transport.tls.messages_too_long", "messages that DTLS cannot carry: more than 16,384 bytes"};
inline const Counter notifications_malformed{"transport.notifications.malformed",
                                             "SCTP notifications that could not be read"};

}  // namespace siglane::transport::counter
