#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/association.h"
#include "protocols/m3ua/message.h"

namespace siglane::m3ua {

// What is sent and received on which stream (RFC 4666 §1.4.7).
class Streams {
 public:
  Streams() = default;
  explicit Streams(const AssociationUp& up)
      : none_(up.streams_in == 0 && up.streams_out == 0),
        in_(std::max<std::uint16_t>(up.streams_in, 1)),
        out_(std::max<std::uint16_t>(up.streams_out, 1)) {}

  // An SCTP association that leaves DATA no stream of its own. TCP and TLS have no streams: the
  // rules of §1.4.7 are about SCTP, and everything takes the one way there is.
  bool single() const { return !none_ && (in_ < 2 || out_ < 2); }

  // "The DATA message MUST NOT be sent on stream 0"; the same SLS always takes the same stream.
  StreamId for_data(std::uint8_t sls) const {
    return StreamId{out_ < 2 ? std::uint16_t{0} : static_cast<std::uint16_t>(1 + sls % (out_ - 1))};
  }
  // For an answer on the stream that the question came on, where we have one of that number.
  StreamId like(StreamId in) const {
    const auto number = static_cast<std::uint16_t>(in);
    return StreamId{number < out_ ? number : std::uint16_t{0}};
  }

  // "The ASPSM, MGMT, RKM classes SHOULD be sent on stream 0 (other than BEAT, BEAT ACK and NTFY
  // messages). The SSNM, ASPTM classes and BEAT, BEAT ACK and NTFY messages can be sent on any
  // stream." What comes elsewhere is answered: "e.g., a Management message was received on a stream
  // other than "0"" (§3.8.1, Invalid Stream Identifier).
  bool allows(MessageType type, StreamId stream) const {
    const bool zero = stream == StreamId{0};
    switch (type) {
      case MessageType::data:
        return !zero || in_ < 2;
      case MessageType::err:
      case MessageType::aspup:
      case MessageType::aspup_ack:
      case MessageType::aspdn:
      case MessageType::aspdn_ack:
      case MessageType::reg_req:
      case MessageType::reg_rsp:
      case MessageType::dereg_req:
      case MessageType::dereg_rsp:
        return zero;
      case MessageType::ntfy:
      case MessageType::duna:
      case MessageType::dava:
      case MessageType::daud:
      case MessageType::scon:
      case MessageType::dupu:
      case MessageType::drst:
      case MessageType::beat:
      case MessageType::beat_ack:
      case MessageType::aspac:
      case MessageType::aspac_ack:
      case MessageType::aspia:
      case MessageType::aspia_ack:
        return true;
    }
    return false;
  }

 private:
  bool none_ = true;
  std::uint16_t in_ = 1, out_ = 1;
};

}  // namespace siglane::m3ua
