#include "protocols/m3ua/peer_link.h"

#include <algorithm>

#include "protocols/m3ua/counters.h"
#include "protocols/m3ua/text.h"

namespace siglane::m3ua {
namespace {

// RFC 4666 §3.8.1: of the offending message, its first 40 octets.
constexpr std::size_t kDiagnosticBytesMax = 40;

constexpr DropReason kErrReceived{"m3ua.err_received",
                                  "the peer refuses a message of ours with this ERR"};

}  // namespace

// RFC 4666 §3.8.1: "Error messages MUST NOT be generated in response to other Error messages."
std::optional<MessageView> PeerLink::receive(const Message& message, Outbox& out) {
  heartbeat_.heard();
  const Bytes bytes = message.payload.bytes();
  const auto view = MessageView::parse(bytes);
  if (!view) {
    out.count(counter::malformed);
    const bool about_err = bytes.size() >= 4 && load_u16(bytes.data() + 2) == 0;
    if (about_err) {
      refuse(view.error().code, describe(bytes), out);
    } else {
      error(view.error().code, bytes, out);
    }
    return std::nullopt;
  }
  count_received(view->type(), out);
  if (!streams_.allows(view->type(), message.stream)) {
    if (view->type() == MessageType::err) {
      refuse(ErrorCode::invalid_stream_identifier, describe(bytes), out);
    } else {
      error(ErrorCode::invalid_stream_identifier, bytes, out);
    }
    return std::nullopt;
  }
  return *view;
}

// RFC 4666 §3.5.6: the BEAT ACK "includes all the parameters of the received BEAT message, without
// any change."
void PeerLink::on_beat(const MessageView& beat, StreamId stream, Outbox& out) {
  MessageBuilder ack(out.buffers(), MessageType::beat_ack, beat.bytes().size() + 3);
  ack.parameters(beat.bytes().subspan(kHeaderSize));
  transmit(std::move(ack).finish(), out, streams_.like(stream));
}

void PeerLink::on_err(const MessageView& err, Outbox& out) {
  out.count(counter::errors_received);
  out.count(siglane::counter::protocol_violations);
  std::string text = describe(err.bytes());
  // What it is about, if the peer says so.
  if (const auto about = err.find(Tag::diagnostic_information); about && !about->empty()) {
    text += " about " + describe_beginning(*about);
  }
  out.drop(kErrReceived, std::move(text));
}

bool PeerLink::beat(Instant now, Outbox& out) {
  switch (heartbeat_.due(now)) {
    case Heartbeat::Due::nothing:
      return true;
    case Heartbeat::Due::send: {
      MessageBuilder beat(out.buffers(), MessageType::beat);
      beat.bytes(Tag::heartbeat_data, heartbeat_.data());
      transmit(std::move(beat).finish(), out);
      return true;
    }
    case Heartbeat::Due::peer_is_gone:
      break;
  }
  heartbeat_.stop();
  remark("no BEAT ACK", out);
  out.close(CloseMode::abort);
  return false;
}

void PeerLink::transmit(Buffer payload, Outbox& out, StreamId stream) const {
  count_sent(payload.bytes(), out);
  out.transmit({stream, kPayloadProtocol, false, {}, std::move(payload)});
}

void PeerLink::send_data(std::unique_ptr<DataParcel> data,
                         std::optional<std::uint32_t> network_appearance,
                         std::optional<std::uint32_t> routing_context, Outbox& out) const {
  out.count(counter::data_sent);
  const StreamId stream = streams_.for_data(data->label.sls);
  const Instant caused_at = data->received_at;
  Buffer payload = std::move(*data).encode(network_appearance, routing_context, out.buffers());
  count_sent(payload.bytes(), out);
  out.transmit({stream, kPayloadProtocol, false, caused_at, std::move(payload)});
}

void PeerLink::error(ErrorCode code, Bytes offending, Outbox& out, const About& about) {
  out.count(counter::errors_sent);
  // Without a message to blame it is the peer itself that is refused, and the shard tells that.
  if (!offending.empty()) refuse(code, describe(offending), out);
  MessageBuilder err(out.buffers(), MessageType::err, 96);
  err.u32(Tag::error_code, static_cast<std::uint32_t>(code))
      .list(Tag::routing_context, about.routing_contexts)
      .u32_if(Tag::network_appearance, about.network_appearance);
  if (!offending.empty()) {
    err.bytes(Tag::diagnostic_information,
              offending.first(std::min(offending.size(), kDiagnosticBytesMax)));
  }
  transmit(std::move(err).finish(), out);
}

void PeerLink::refuse(ErrorCode code, std::string message, Outbox& out) const {
  out.count(siglane::counter::protocol_violations);
  out.drop(reason_of(code), std::move(message));
}

void PeerLink::remark(std::string what, Outbox& out) const {
  out.count(siglane::counter::protocol_violations);
  out.violation(std::move(what));
}

}  // namespace siglane::m3ua
