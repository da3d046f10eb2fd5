#pragma once
#include "core/facts.h"

// The facts that every shard tells of its associations and peers, whatever their protocol.
namespace siglane {

inline constexpr FactKind kAssociationOpened{
    "association_opened", Severity::debug,
    "the association is up. If the peer connected, this is reported once the peer is identified"};
inline constexpr FactKind kAssociationClosed{"association_closed", Severity::info,
                                             "the association has ended"};
inline constexpr FactKind kAssociationMoved{
    "association_moved", Severity::info,
    "the association and its session live on another shard from now on"};
inline constexpr FactKind kCongestionChanged{
    "congestion_changed", Severity::info,
    "the association's send queue is too long, or is short again"};
inline constexpr FactKind kPathChanged{
    "path_changed", Severity::info,
    "a path of the association works again, or has failed, which is a warning"};
inline constexpr FactKind kConnectFailed{
    "connect_failed", Severity::warning,
    "this node could not connect to the peer. It tries again after `retry_in_ms`"};
inline constexpr FactKind kPeerOpened{"peer_opened", Severity::info,
                                      "the peer may be sent requests"};
inline constexpr FactKind kPeerClosed{
    "peer_closed", Severity::info,
    "the peer may not be sent requests any more. This node does not connect to it for "
    "`hold_off_ms`, if the peer has asked for that"};
inline constexpr FactKind kPeerRefused{
    "peer_refused", Severity::warning,
    "an association was refused. `who` is the peer that it is, or claims to be"};
inline constexpr FactKind kProtocolViolation{
    "protocol_violation", Severity::warning,
    "something is wrong with the peer itself, and not with one of its messages. Its association "
    "is closed"};

}  // namespace siglane
