#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include <tl/expected.hpp>

#include "core/association.h"
#include "core/buffer.h"
#include "core/bytes.h"
#include "protocols/diameter/avp.h"

// Diameter messages, RFC 6733 §3 and §4: views of what came in, a builder for what goes out.
//
//   auto message = MessageView::parse(bytes);
//   if (!message) return refuse(message.error());
//   auto user = message->get(avp::user_name);                 // optional<string_view>
//
//   auto ulr = MessageBuilder::request(pool, command::update_location, hop_by_hop, end_to_end);
//   ulr.add(avp::session_id, session).add(avp::rat_type, RatType::eutran);
//   ulr.group(avp::supported_features, [&] { ulr.add(avp::feature_list_id, 1u); });
//   Buffer encoded = std::move(ulr).finish();

namespace siglane::diameter {

inline constexpr PayloadProtocol kPayloadProtocol{46};  // RFC 6733 §11.5

// What a dictionary says of one command. `proxiable`: our requests carry the P bit.
struct CommandDef {
  CommandCode code;
  ApplicationId application;
  bool proxiable;
  std::string_view name;  // "Update-Location"
};

namespace command_flag {
inline constexpr std::uint8_t kRequest = 0x80, kProxiable = 0x40, kError = 0x20,
                              kRetransmitted = 0x10, kReserved = 0x0f;
}

struct Header {
  static constexpr std::size_t kBytes = 20;
  static constexpr std::size_t kFlagsAt = 4, kHopByHopAt = 12, kEndToEndAt = 16;

  std::uint8_t version = 1;
  std::uint32_t length = 0;
  std::uint8_t flags = 0;
  CommandCode command{};
  ApplicationId application{};
  std::uint32_t hop_by_hop = 0;
  std::uint32_t end_to_end = 0;

  bool is_request() const { return (flags & command_flag::kRequest) != 0; }
  bool is_proxiable() const { return (flags & command_flag::kProxiable) != 0; }
  bool is_error() const { return (flags & command_flag::kError) != 0; }
  bool is_retransmitted() const { return (flags & command_flag::kRetransmitted) != 0; }

  // Unchecked; nullopt: fewer than 20 bytes.
  static std::optional<Header> read(Bytes bytes);
};

// Why bytes are not a message, as RFC 6733 §7.1 names it.
struct DecodeError {
  std::size_t offset = 0;
  ResultCode result{};
  std::string_view what;
};

// A whole message. Views bytes that must outlive it. Header and the lengths of the message's own
// AVPs are known good; what is inside them validate() tells (dictionary.h).
class MessageView {
 public:
  // One pass over the message's own AVPs, no allocation, total on any bytes. Errors: 5011
  // (version), 5015 (message length), 3008 (header bits), 5014 (AVP length).
  static tl::expected<MessageView, DecodeError> parse(Bytes bytes);

  // What is whole of bytes that parse() refuses, so that they can be answered: iterating its AVPs
  // ends at the broken one. nullopt: fewer than 20 bytes.
  static std::optional<MessageView> salvage(Bytes bytes);

  const Header& header() const { return header_; }
  CommandCode command() const { return header_.command; }
  ApplicationId application() const { return header_.application; }
  bool is_request() const { return header_.is_request(); }
  bool is(const CommandDef& def) const { return header_.command == def.code; }

  Bytes bytes() const { return bytes_; }
  AvpList avps() const { return AvpList(bytes_.subspan(Header::kBytes)); }
  std::optional<AvpView> find(const AvpDef& def) const { return avps().find(def); }
  template <AvpType Type, class Enum>
  std::optional<typename AvpKey<Type, Enum>::Value> get(const AvpKey<Type, Enum>& key) const {
    return avps().get(key);
  }

  // Result-Code, or the Experimental-Result-Code of Experimental-Result (RFC 6733 §7.1, §7.6).
  std::optional<ResultCode> result_code() const;

 private:
  MessageView(Bytes bytes, Header header) : bytes_(bytes), header_(header) {}

  Bytes bytes_;
  Header header_;
};

// Encodes one message into one buffer, in one pass: lengths are patched when they are known. Every
// add() is typed by the key, sets V and M as the dictionary says, and pads. Single use: finish()
// ends it. Precondition throughout: the message stays under 16 MiB (its 24-bit length).
class MessageBuilder {
 public:
  MessageBuilder(BufferPool& pool, const Header& header, std::size_t expected_bytes = 512);

  static MessageBuilder request(BufferPool& pool, const CommandDef& command,
                                std::uint32_t hop_by_hop = 0, std::uint32_t end_to_end = 0,
                                std::size_t expected_bytes = 512);
  // The same command, application, identifiers and P bit (RFC 6733 §6.2). `error`: with the E bit.
  static MessageBuilder answer(BufferPool& pool, const Header& request, bool error = false,
                               std::size_t expected_bytes = 512);

  template <AvpType Type, class Enum>
  MessageBuilder& add(const AvpKey<Type, Enum>& key,
                      std::type_identity_t<typename AvpKey<Type, Enum>::Value> value) {
    if constexpr (Type == AvpType::octet_string) {
      put(key, value);
    } else if constexpr (Type == AvpType::grouped) {
      put(key, value.bytes());
    } else if constexpr (Type == AvpType::address) {
      put_address(key, value);
    } else if constexpr (Type == AvpType::time) {
      put_u32(key, value.seconds);
    } else if constexpr (Type == AvpType::float32) {
      put_u32(key, std::bit_cast<std::uint32_t>(value));
    } else if constexpr (Type == AvpType::unsigned32 || Type == AvpType::integer32 ||
                         Type == AvpType::enumerated) {
      put_u32(key, static_cast<std::uint32_t>(value));
    } else if constexpr (Type == AvpType::unsigned64 || Type == AvpType::integer64 ||
                         Type == AvpType::float64) {
      put_u64(key, std::bit_cast<std::uint64_t>(value));
    } else {
      put(key, as_bytes(value));
    }
    return *this;
  }
  // An AVP as it stands in another message (AvpView::raw()).
  MessageBuilder& add_raw(Bytes avp);

  // A group that is open as long as the scope lives: what is added meanwhile goes into it. Scopes
  // nest and end in reverse order.
  class [[nodiscard]] GroupScope {
   public:
    GroupScope(const GroupScope&) = delete;
    GroupScope& operator=(const GroupScope&) = delete;
    ~GroupScope() { builder_.out_.patch_u24(at_ + 5, length()); }

   private:
    friend class MessageBuilder;
    GroupScope(MessageBuilder& builder, std::size_t at) : builder_(builder), at_(at) {}
    std::uint32_t length() const { return static_cast<std::uint32_t>(builder_.out_.size() - at_); }

    MessageBuilder& builder_;
    std::size_t at_;
  };
  GroupScope group(const AvpKey<AvpType::grouped>& key) {
    const std::size_t at = out_.size();
    put_header(key, 0);
    return GroupScope(*this, at);
  }
  // The same with the members added by `fill`, a callable without arguments.
  template <class Fill>
  MessageBuilder& group(const AvpKey<AvpType::grouped>& key, Fill&& fill) {
    GroupScope scope = group(key);
    fill();
    return *this;
  }

  void set_end_to_end(std::uint32_t id) { out_.patch_u32(Header::kEndToEndAt, id); }
  std::size_t size() const { return out_.size(); }
  Buffer finish() && {
    out_.patch_u24(1, static_cast<std::uint32_t>(out_.size()));
    return std::move(out_).finish();
  }

 private:
  std::byte* put_header(const AvpDef& def, std::size_t payload_bytes);
  void put(const AvpDef& def, Bytes payload);
  void put_u32(const AvpDef& def, std::uint32_t value);
  void put_u64(const AvpDef& def, std::uint64_t value);
  void put_address(const AvpDef& def, const Address& address);

  BufferBuilder out_;
};

}  // namespace siglane::diameter
