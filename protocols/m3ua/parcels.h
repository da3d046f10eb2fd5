#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/parcel.h"
#include "core/time.h"
#include "protocols/m3ua/message.h"
#include "protocols/m3ua/parameters.h"

namespace siglane::m3ua {

// RFC 4666 §4.3.1 and §4.3.2.
enum class AspState : std::uint8_t { down, inactive, active };
enum class AsState : std::uint8_t { down, inactive, active, pending };
std::string_view name_of(AspState state);  // "ASP-ACTIVE"
std::string_view name_of(AsState state);   // "AS-ACTIVE"

enum class ParcelKind : std::uint8_t {
  data,
  network_status,
  asp_status,
  asp_event,
  as_order,
  routes_changed
};

// Every parcel of this room says what it is; static_cast by kind().
class M3uaParcel : public Parcel {
 public:
  ParcelKind kind() const { return kind_; }
  // What ASPs and ASs tell each other is what their states are made of.
  Carriage carriage() const override { return Carriage::control; }

 protected:
  explicit M3uaParcel(ParcelKind kind) : kind_(kind) {}

 private:
  ParcelKind kind_;
};

// What fits behind the label into one Protocol Data, whose length has 16 bits.
inline constexpr std::size_t kUserDataMax = 0xffff - kParameterHeaderSize - kMtpLabelSize;

// One MSU on its way: label, and a share of the bytes that it arrived in. To send one, a user
// makes it from its own bytes and Forwards it to the association of its ASP (asp_client.h).
class DataParcel final : public M3uaParcel {
 public:
  static constexpr std::uint32_t kNobody = 0xffff'ffff;  // that is known

  DataParcel() : M3uaParcel(ParcelKind::data) {}
  DataParcel(const MtpLabel& l, Buffer user_data)
      : M3uaParcel(ParcelKind::data), label(l), buffer_(std::move(user_data)) {
    data_size_ = static_cast<std::uint32_t>(buffer_.size());
  }
  Carriage carriage() const override { return Carriage::ordered; }
  // From a received DATA. Precondition: `view` was parsed from `message`.
  static std::unique_ptr<DataParcel> received(const MessageView& view, Buffer message, Instant at);

  MtpLabel label;
  Network network_appearance;                    // SG side: of the network it comes from
  std::optional<std::uint32_t> routing_context;  // as received; to send: ours, none: the first
  std::optional<std::uint32_t> correlation_id;   // as received; to send: goes along
  Instant received_at{};                         // zero: made here
  std::size_t server = 0;                        // SG side: place of the AS it was routed to
  std::uint32_t sender = kNobody;                // SG side: place of the ASP it came from
  std::optional<Why> returned;  // set on what comes back to a user because it could not be sent

  Bytes user_data() const { return buffer_.bytes().subspan(data_offset_, data_size_); }
  std::size_t size() const { return data_size_; }
  // What it keeps alive: the whole message it came in, with whatever else stood there.
  std::size_t bytes_held() const override { return buffer_.size(); }
  std::string describe() const override;
  // Another parcel that shares the bytes (broadcast).
  std::unique_ptr<DataParcel> share() const;

  // The DATA message with that routing context and network appearance. Rewrites the received bytes
  // in place where they have the same shape and no other holder, else copies. Consumes the bytes.
  Buffer encode(std::optional<std::uint32_t> network_appearance,
                std::optional<std::uint32_t> routing_context, BufferPool& pool) &&;

 private:
  Buffer buffer_;  // user data alone, or the whole message it came in
  std::uint32_t data_offset_ = 0, data_size_ = 0;
  std::uint32_t routing_context_at_ = 0;  // 0: not of the shape that we write
  std::optional<std::uint32_t> appearance_in_buffer_;
};

// Something about destinations: for the user of an ASP (MTP-PAUSE, MTP-RESUME, MTP-STATUS), and on
// the SG side from the routes to an ASP.
class NetworkStatusParcel final : public M3uaParcel {
 public:
  NetworkStatusParcel() : M3uaParcel(ParcelKind::network_status) {}

  MessageType type = MessageType::duna;  // duna, dava, drst, scon, dupu, daud
  std::vector<AffectedPointCode> affected;
  std::optional<std::uint32_t> congestion_level;  // scon
  std::optional<std::uint32_t> user_cause;        // dupu
  Network network_appearance;                     // the network that the point codes are of
  // From an AS or an ASP in it to the routes: the place of the AS. All its destinations are meant,
  // and `affected` is left to the routes.
  std::size_t server = 0;
  std::uint64_t revision = 0;  // from the routes: by whose rules they say so (Gateway::number)
  bool limited = false;        // an answer to DATA: at most one for a destination per interval
  Carriage carriage() const override { return limited ? Carriage::unordered : Carriage::control; }
};

// To the user of an ASP: may it send, in which routing context. Submitted::from is the association.
class AspStatusParcel final : public M3uaParcel {
 public:
  AspStatusParcel() : M3uaParcel(ParcelKind::asp_status) {}

  std::string asp;
  AspState state = AspState::down;
  std::optional<std::uint32_t> routing_context;  // none: all of them
  bool congested = false;                        // send less, or it comes back
};

}  // namespace siglane::m3ua
