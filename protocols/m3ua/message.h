#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <tl/expected.hpp>

#include "core/association.h"
#include "core/buffer.h"
#include "core/bytes.h"
#include "protocols/m3ua/parameters.h"

namespace siglane::m3ua {

// RFC 4666 §3.1.2: message class in the upper byte, message type in the lower.
enum class MessageType : std::uint16_t {
  err = 0x0000,
  ntfy = 0x0001,
  data = 0x0101,
  duna = 0x0201,
  dava = 0x0202,
  daud = 0x0203,
  scon = 0x0204,
  dupu = 0x0205,
  drst = 0x0206,
  aspup = 0x0301,
  aspdn = 0x0302,
  beat = 0x0303,
  aspup_ack = 0x0304,
  aspdn_ack = 0x0305,
  beat_ack = 0x0306,
  aspac = 0x0401,
  aspia = 0x0402,
  aspac_ack = 0x0403,
  aspia_ack = 0x0404,
  reg_req = 0x0901,
  reg_rsp = 0x0902,
  dereg_req = 0x0903,
  dereg_rsp = 0x0904
};
std::string_view name_of(MessageType type);

inline constexpr PayloadProtocol kPayloadProtocol{3};  // RFC 4666 §7.1
inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kHeaderSize = 8;
inline constexpr std::size_t kParameterHeaderSize = 4;

// May a parameter stand in a message, must it, how often.
enum class Presence : std::uint8_t { optional, mandatory, optional_many, mandatory_many };

struct ParameterRule {
  Tag tag{};
  Presence presence{};
};
inline constexpr std::size_t kRulesMax = 6;

// One row for each message: what may and must be in it (RFC 4666 §3.3 to §3.8). What is mandatory
// only in some circumstances ("conditional") is optional here and the session's to check.
struct MessageRules {
  MessageType type{};
  std::string_view name;
  std::array<ParameterRule, kRulesMax> parameters{};
  std::size_t parameter_count = 0;
};
std::span<const MessageRules> message_rules();

// What is wrong, where it is wrong, and what the standard calls it.
struct DecodeError {
  std::size_t offset = 0;
  ErrorCode code{};
};

// A received message, checked: header, lengths, every parameter's length, mandatory parameters
// there, nothing there that does not belong. Looks into the bytes it was parsed from, allocates
// nothing. Parameters that RFC 4666 does not define are passed over: they are extensions.
class MessageView {
 public:
  // Total: any bytes. The error is what an ERR would say.
  static tl::expected<MessageView, DecodeError> parse(Bytes bytes);

  MessageType type() const { return rules_->type; }
  std::string_view name() const { return rules_->name; }
  Bytes bytes() const { return bytes_; }

  // The first parameter of that tag. Nothing too for a tag that has no place in this message.
  std::optional<Bytes> find(Tag tag) const;
  std::optional<std::uint32_t> u32(Tag tag) const;
  // Empty where absent.
  U32List list(Tag tag) const;
  // All of them, in order; for those that may be repeated.
  ParameterReader parameters() const {
    return ParameterReader(bytes_.subspan(kHeaderSize), kHeaderSize);
  }
  // Where a value stands in bytes(). Precondition: `value` came from this message.
  std::size_t offset_of(Bytes value) const {
    return static_cast<std::size_t>(value.data() - bytes_.data());
  }

 private:
  struct Slot {
    std::uint32_t offset = 0, size = 0;  // of the value; offset 0: absent
  };

  Bytes bytes_;
  const MessageRules* rules_ = nullptr;
  std::array<Slot, kRulesMax> slots_{};
};

// The whole length of the message that begins here, from its header (RFC 4666 §3.1.4); nothing
// while fewer than kHeaderSize bytes are there. For stream transports.
std::optional<std::size_t> length_in_header(Bytes head);

// A Routing Key parameter (RFC 4666 §3.6.1), checked. Views into the parameter's value.
struct RoutingKeyView {
  std::uint32_t local_identifier = 0;
  std::uint32_t destination_point_code = 0;
  std::optional<std::uint32_t> routing_context, traffic_mode, network_appearance;
  Bytes service_indicators;  // of the first DPC
  U32List originating_point_codes;

  static tl::expected<RoutingKeyView, DecodeError> parse(Bytes value);
};

// Builds one message. Parameters come out in the order they were added. Single use.
class MessageBuilder {
 public:
  MessageBuilder(BufferPool& pool, MessageType type, std::size_t expected_size = 64);

  MessageBuilder& u32(Tag tag, std::uint32_t value);
  MessageBuilder& u32_if(Tag tag, std::optional<std::uint32_t> value);
  MessageBuilder& list(Tag tag, std::span<const std::uint32_t> values);  // nothing if empty
  MessageBuilder& bytes(Tag tag, Bytes value);
  MessageBuilder& protocol_data(const MtpLabel& label, Bytes user_data);
  // Parameters of another message, as they stand there; only the last one's padding may be missing.
  MessageBuilder& parameters(Bytes encoded);
  // A parameter that contains others: add() them between open() and close().
  std::size_t open(Tag tag);
  void close(std::size_t opened);

  Buffer finish() &&;

 private:
  void header(Tag tag, std::size_t value_size);

  BufferBuilder out_;
};

}  // namespace siglane::m3ua
