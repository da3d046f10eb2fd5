#pragma once
#include <array>
#include <memory>
#include <string>

#include "core/module.h"

namespace siglane::testing {

// The smallest protocol there is. A message is a byte of length and as many bytes of text. Who
// connects says "I am NAME"; the other side answers "welcome", after which the first asks "ping N"
// and is answered "pong N", for ever or `pings_max` times.
class EchoModule final : public ProtocolModule {
 public:
  explicit EchoModule(std::string own_name, std::uint64_t pings_max = UINT64_MAX)
      : own_name_(std::move(own_name)), pings_max_(pings_max) {}

  std::string_view name() const override { return "echo"; }
  std::span<const PayloadProtocol> payload_protocols() const override { return kProtocols; }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
  Result<std::optional<std::size_t>> frame_length(Bytes head) const override {
    if (head.empty()) return std::nullopt;
    return std::optional(std::to_integer<std::size_t>(head[0]) + 1);
  }

  std::unique_ptr<siglane::Session> open_session(AssociationId, const AssociationUp&,
                                                 const PeerTable&, std::uint64_t) const override {
    return std::make_unique<Session>(*this);
  }
  void route(ShardId, AssociationId, ParcelPtr, Instant, Outbox&) const override {}
  void undelivered(ShardId, AssociationId, ParcelPtr, Why, Instant, Outbox&) const override {}
  void publish(ShardId, AssociationId, ParcelPtr) override {}

 private:
  static constexpr std::array kProtocols{PayloadProtocol::none};

  class Session final : public siglane::Session {
   public:
    explicit Session(const EchoModule& module) : module_(module) {}

    void step(SessionInput input, Instant, Outbox& out) override {
      if (auto* up = std::get_if<AssociationUp>(&input); up != nullptr && up->initiator) {
        initiator_ = true;
        out.identify(peer_ = up->peer);
      } else if (auto* received = std::get_if<AssociationReceived>(&input)) {
        on_text(received->message, out);
      } else if (std::holds_alternative<Identified>(input)) {
        state_ = "open";
        out.peer_opened();
        say(initiator_ ? "I am " + module_.own_name_ : "welcome", {}, out);
      } else if (auto* refused = std::get_if<IdentityRefused>(&input)) {
        say("no: " + refused->why, {}, out);
        out.close(CloseMode::graceful);
      } else if (std::holds_alternative<Stopping>(input)) {
        state_ = "closing";
        out.close(CloseMode::graceful);
      }
    }
    std::optional<Instant> deadline() const override { return std::nullopt; }
    SessionStatus status() const override { return {peer_, "echo", state_, 0, {}}; }

   private:
    void on_text(const Message& message, Outbox& out) {
      const std::string text(as_text(message.payload.bytes()).substr(1));
      if (text.starts_with("I am ")) {
        out.identify(peer_ = text.substr(5));
      } else if (text.starts_with("ping ")) {
        say("pong " + text.substr(5), message.caused_at, out);
      } else if (initiator_ && pings_ < module_.pings_max_) {
        say("ping " + std::to_string(++pings_), message.caused_at, out);
      }
    }
    void say(const std::string& text, Instant caused_at, Outbox& out) {
      BufferBuilder builder(out.buffers(), text.size() + 1);
      builder.u8(static_cast<std::uint8_t>(text.size()));
      builder.append(as_bytes(text));
      out.transmit(
          {StreamId{}, PayloadProtocol::none, false, caused_at, std::move(builder).finish()});
    }

    const EchoModule& module_;
    std::string peer_;
    std::string_view state_ = "waiting";
    bool initiator_ = false;
    std::uint64_t pings_ = 0;
  };

  std::string own_name_;
  std::uint64_t pings_max_;
};

}  // namespace siglane::testing
