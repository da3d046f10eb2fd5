#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/session.h"
#include "protocols/m3ua/heartbeat.h"
#include "protocols/m3ua/message.h"
#include "protocols/m3ua/parcels.h"
#include "protocols/m3ua/streams.h"

namespace siglane::m3ua {

// What the two ends of an association, gateway and ASP, do alike with their peer: check what it
// sends, answer and send BEATs, send DATA, and say what is wrong. A part of the session it is in.
class PeerLink {
 public:
  // What an ERR says besides its code (RFC 4666 §3.8.1).
  struct About {
    std::vector<std::uint32_t> routing_contexts;
    std::optional<std::uint32_t> network_appearance;
  };

  explicit PeerLink(Duration heartbeat_interval) : heartbeat_(heartbeat_interval) {}

  void use(Streams streams) { streams_ = streams; }
  const Streams& streams() const { return streams_; }
  Heartbeat& heartbeat() { return heartbeat_; }
  const Heartbeat& heartbeat() const { return heartbeat_; }

  // A view into `message`; nothing where it is wrong, and then all has been done about it.
  std::optional<MessageView> receive(const Message& message, Outbox& out);
  void on_beat(const MessageView& beat, StreamId stream, Outbox& out);
  void on_err(const MessageView& err, Outbox& out);
  // Sends the BEAT that is due. false: the peer is gone, and the association is being aborted.
  bool beat(Instant now, Outbox& out);

  void transmit(Buffer payload, Outbox& out, StreamId stream = StreamId{0}) const;
  void send_data(std::unique_ptr<DataParcel> data, std::optional<std::uint32_t> network_appearance,
                 std::optional<std::uint32_t> routing_context, Outbox& out) const;
  // The one exit for what is wrong with what the peer sent. `offending`: may be empty.
  void error(ErrorCode code, Bytes offending, Outbox& out, const About& about = {});
  // Something about the peer itself, and not about one of its messages: counted, and a Violation.
  // Ends the association, so that it is not said again and again.
  void remark(std::string what, Outbox& out) const;

 private:
  // One of its messages is dropped: counted and told by reason (core/drops.h).
  void refuse(ErrorCode code, std::string message, Outbox& out) const;

  Streams streams_;
  Heartbeat heartbeat_;
};

}  // namespace siglane::m3ua
