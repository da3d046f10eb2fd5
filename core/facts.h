#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "core/association.h"

namespace siglane {

// Why an association was given a socket of its own.
enum class PeeloffReason { pinned, message_rate, byte_rate, clogged, receive_wedge };
std::string_view name_of(PeeloffReason reason);

// What happened, as typed values: log, metrics and admin API live on these and on the counters;
// nothing else reports. Facts are for events an operator would want to read one by one. What
// happens per message is counted (counters.h).
namespace fact {

struct EndpointOpened {
  std::string endpoint, address;
  std::uint16_t port = 0;
  TransportKind transport{};
};
struct AssociationOpened {
  std::string endpoint, remote;
  TransportKind transport{};
};
struct AssociationClosed {
  DownCause cause{};
  std::string detail;
};
struct ConnectFailed {
  std::string peer;
  DownCause cause{};
  std::string detail;
  Duration retry_in{};
};
struct PeerOpened {
  std::string peer;
};
struct PeerClosed {
  std::string peer, why;
  Duration hold_off{};  // we do not connect to it for so long; 0: as soon as the back-off allows
};
// An association that said who it is, and was turned away.
struct PeerRefused {
  std::string who, why;
};
// Those who connected and did not get so far, all together: at most once a minute. A source is an
// IPv4 address, or the /64 of an IPv6 address.
struct StrangersSeen {
  std::uint64_t refused = 0;  // turned away, or closed
  std::uint64_t left = 0;     // went by themselves
  std::size_t sources = 0;
  std::string busiest;  // the source with most of them
  std::uint64_t of_busiest = 0;
  std::string last, why;  // the last one: its address, and what became of it
};
// Something that is wrong with the peer itself and ends its association, not with one of its
// messages (MessagesDropped).
struct ProtocolViolation {
  std::string peer, what;
};
// Of one peer, for one reason (core/drops.h): at once the first time, then once a minute at most.
struct MessagesDropped {
  std::string peer;               // empty: not identified
  std::string_view reason, what;  // the reason's name, and in words
  std::string example;            // the last one
  std::uint64_t count = 0;        // since it was told last
};
struct AssociationPeeled {
  PeeloffReason reason{};
  double messages_per_second = 0, bytes_per_second = 0;
  std::uint64_t bytes_held = 0;
  std::size_t peeled_now = 0;
};
// It and its session live on another shard from now on.
struct AssociationMoved {
  ShardId from{}, to{};
  std::string why;
};
// An association earned a socket and did not get one: descriptors or the cap on peeled sockets.
struct PeeloffStarved {
  std::string why;
};
struct CongestionChanged {
  bool congested = false;
};
struct PathChanged {
  std::string address;
  PathState state{};
};
struct AspStateChanged {
  std::string asp, as, state;
};
struct AsStateChanged {
  std::string as, state;
};
// Anything an operator should read once: a clipped buffer, a fallback that was taken.
struct Notice {
  std::string text;
  bool warning = false;  // something to be mended
};

}  // namespace fact

using Fact = std::variant<fact::EndpointOpened, fact::AssociationOpened, fact::AssociationClosed,
                          fact::ConnectFailed, fact::PeerOpened, fact::PeerClosed,
                          fact::PeerRefused, fact::StrangersSeen, fact::ProtocolViolation,
                          fact::MessagesDropped, fact::AssociationPeeled, fact::AssociationMoved,
                          fact::PeeloffStarved, fact::CongestionChanged, fact::PathChanged,
                          fact::AspStateChanged, fact::AsStateChanged, fact::Notice>;

// Where facts go. Called on the shard's thread, must not block and must not call back.
class FactSink {
 public:
  virtual void on_fact(ShardId shard, AssociationId about, const Fact& fact, Instant now) = 0;

 protected:
  ~FactSink() = default;
};

}  // namespace siglane
