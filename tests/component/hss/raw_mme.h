#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"
#include "tests/support/sim_world.h"

namespace siglane::hss {

// An MME that sends what the test gives it, byte for byte, and keeps what it gets: nothing between
// the test and the wire that could repair a mistake.
class RawMme {
 public:
  RawMme(sim::SimWorld& world, const std::string& host, const std::string& realm,
         const std::string& address, const PeerConfig& hss)
      : host_(host), realm_(realm), world_(world), node_(world, PeerTable({hss})), module_(*this) {
    EndpointConfig endpoint;
    endpoint.name = host;
    endpoint.transport = TransportKind::simulated;
    endpoint.addresses = {address};
    const EndpointId id = node_.shard.open(endpoint, module_).value();
    node_.shard.keep_connected(id, hss);
  }

  const std::string& host() const { return host_; }
  const std::string& realm() const { return realm_; }
  BufferPool& buffers() { return node_.buffers; }
  bool open() const { return open_; }
  // What is under way is lost, both ends hear of it, and it connects again.
  void reset_connection() { node_.transport.cut(association_); }

  // A request with the AVPs that every S6a command begins with.
  diameter::MessageBuilder request(const diameter::CommandDef& command) {
    namespace avp = diameter::avp;
    const std::uint32_t id = ++last_id_;
    auto out = diameter::MessageBuilder::request(node_.buffers, command, id, id);
    out.add(avp::session_id, host_ + ";1;" + std::to_string(id))
        .add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained)
        .add(avp::origin_host, host_)
        .add(avp::origin_realm, realm_)
        .add(avp::destination_realm, realm_);
    return out;
  }
  std::uint32_t last_id() const { return last_id_; }

  void send(Buffer message) {
    auto parcel = std::make_unique<Outgoing>();
    parcel->message = std::move(message);
    node_.shard.submit(AssociationId::none, association_, std::move(parcel), world_.now());
  }
  // The answer with that hop-by-hop identifier; null: none came yet.
  const Buffer* answer(std::uint32_t hop_by_hop) const {
    const auto found = answers_.find(hop_by_hop);
    return found == answers_.end() ? nullptr : &found->second;
  }
  const std::vector<Buffer>& requests() const { return requests_; }

 private:
  struct Outgoing final : Parcel {
    Buffer message;
  };

  class RawSession final : public Session {
   public:
    RawSession(RawMme& mme, AssociationId id) : mme_(mme) { mme.association_ = id; }
    void step(SessionInput input, Instant, Outbox& out) override {
      if (std::holds_alternative<AssociationUp>(input)) {
        out.identify("hss");
      } else if (std::holds_alternative<Identified>(input)) {
        transmit(mme_.capabilities(), out);
      } else if (auto* submitted = std::get_if<Submitted>(&input)) {
        transmit(static_cast<Outgoing&>(*submitted->parcel).message, out);
      } else if (auto* received = std::get_if<AssociationReceived>(&input)) {
        mme_.take(std::move(received->message.payload));
      } else if (std::holds_alternative<AssociationDown>(input)) {
        mme_.open_ = false;
      }
    }
    std::optional<Instant> deadline() const override { return std::nullopt; }
    SessionStatus status() const override { return {}; }

   private:
    static void transmit(Buffer payload, Outbox& out) {
      Message message;
      message.protocol = diameter::kPayloadProtocol;
      message.payload = std::move(payload);
      out.transmit(std::move(message));
    }
    RawMme& mme_;
  };

  class RawModule final : public ProtocolModule {
   public:
    explicit RawModule(RawMme& mme) : mme_(mme) {}
    std::string_view name() const override { return "raw"; }
    std::span<const PayloadProtocol> payload_protocols() const override {
      static constexpr PayloadProtocol kProtocols[] = {diameter::kPayloadProtocol};
      return kProtocols;
    }
    Result<std::optional<std::size_t>> frame_length(Bytes) const override { return std::nullopt; }
    PayloadProtocol stream_protocol() const override { return diameter::kPayloadProtocol; }
    std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp&, const PeerTable&,
                                          std::uint64_t) const override {
      return std::make_unique<RawSession>(mme_, id);
    }
    void route(ShardId, AssociationId, ParcelPtr, Instant, Outbox&) const override {}
    void undelivered(ShardId, AssociationId, ParcelPtr, Why, Instant, Outbox&) const override {}
    void publish(ShardId, AssociationId, ParcelPtr) override {}

   private:
    RawMme& mme_;
  };

  Buffer capabilities() {
    namespace avp = diameter::avp;
    auto out = diameter::MessageBuilder::request(node_.buffers,
                                                 diameter::command::capabilities_exchange, 1, 1);
    static constexpr std::byte kAddress[] = {std::byte{10}, std::byte{0}, std::byte{0},
                                             std::byte{9}};
    out.add(avp::origin_host, host_)
        .add(avp::origin_realm, realm_)
        .add(avp::host_ip_address, diameter::Address{diameter::Address::kIpv4, kAddress})
        .add(avp::vendor_id, 0u)
        .add(avp::product_name, "raw");
    out.add(avp::supported_vendor_id, diameter::vendor::tgpp);
    out.group(avp::vendor_specific_application_id, [&] {
      out.add(avp::vendor_id, diameter::vendor::tgpp)
          .add(avp::auth_application_id, static_cast<std::uint32_t>(diameter::application::s6a));
    });
    return std::move(out).finish();
  }

  void take(Buffer payload) {
    const auto message = diameter::MessageView::parse(payload.bytes());
    if (!message) return;
    if (message->is(diameter::command::capabilities_exchange)) {
      open_ = message->result_code() == diameter::result::success;
    } else if (message->is_request()) {
      requests_.push_back(std::move(payload));
    } else {
      answers_[message->header().hop_by_hop] = std::move(payload);
    }
  }

  const std::string host_, realm_;
  sim::SimWorld& world_;
  bool open_ = false;
  std::uint32_t last_id_ = 1000;
  AssociationId association_{};
  std::map<std::uint32_t, Buffer> answers_;
  std::vector<Buffer> requests_;
  sim::SimNode node_;
  RawModule module_;
};

}  // namespace siglane::hss
