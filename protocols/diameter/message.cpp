#include "protocols/diameter/message.h"

#include <cstring>

#include "protocols/diameter/constants.h"

namespace siglane::diameter {

std::optional<Header> Header::read(Bytes bytes) {
  if (bytes.size() < kBytes) return std::nullopt;
  const std::byte* p = bytes.data();
  Header header;
  header.version = std::to_integer<std::uint8_t>(p[0]);
  header.length = load_u24(p + 1);
  header.flags = std::to_integer<std::uint8_t>(p[kFlagsAt]);
  header.command = CommandCode{load_u24(p + 5)};
  header.application = ApplicationId{load_u32(p + 8)};
  header.hop_by_hop = load_u32(p + kHopByHopAt);
  header.end_to_end = load_u32(p + kEndToEndAt);
  return header;
}

tl::expected<MessageView, DecodeError> MessageView::parse(Bytes bytes) {
  const auto broken = [](std::size_t offset, ResultCode code, std::string_view what) {
    return tl::unexpected(DecodeError{offset, code, what});
  };
  const auto header = Header::read(bytes);
  if (!header) {
    return broken(bytes.size(), result::invalid_message_length, "shorter than a header");
  }
  if (header->version != 1) return broken(0, result::unsupported_version, "version is not 1");
  // RFC 6733 §3: "Thus, the Message Length field is always a multiple of 4."
  if (header->length != bytes.size() || header->length % 4 != 0) {
    return broken(1, result::invalid_message_length,
                  "length field is not the message's length, or no multiple of 4");
  }
  // RFC 6733 §3, E: "This bit MUST NOT be set in request messages". T: "This flag MUST NOT be set
  // in answer messages." Reserved bits: "MUST be set to zero and ignored by the receiver".
  if (header->is_request() ? header->is_error() : header->is_retransmitted()) {
    return broken(Header::kFlagsAt, result::invalid_hdr_bits, "impossible combination of bits");
  }
  const MessageView message(bytes, *header);
  if (const auto at = message.avps().broken_at()) {
    return broken(Header::kBytes + *at, result::invalid_avp_length, "AVP length is impossible");
  }
  return message;
}

std::optional<MessageView> MessageView::salvage(Bytes bytes) {
  const auto header = Header::read(bytes);
  return header ? std::optional(MessageView(bytes, *header)) : std::nullopt;
}

std::optional<ResultCode> MessageView::result_code() const {
  if (const auto code = get(avp::result_code)) return ResultCode{*code};
  const auto experimental = get(avp::experimental_result);
  if (!experimental) return std::nullopt;
  const auto code = experimental->get(avp::experimental_result_code);
  return code ? std::optional(ResultCode{*code}) : std::nullopt;
}

MessageBuilder::MessageBuilder(BufferPool& pool, const Header& header, std::size_t expected_bytes)
    : out_(pool, expected_bytes) {
  std::byte* p = out_.extend(Header::kBytes);
  p[0] = std::byte{1};
  store_u24(p + 1, 0);
  p[Header::kFlagsAt] = static_cast<std::byte>(header.flags);
  store_u24(p + 5, static_cast<std::uint32_t>(header.command));
  store_u32(p + 8, static_cast<std::uint32_t>(header.application));
  store_u32(p + Header::kHopByHopAt, header.hop_by_hop);
  store_u32(p + Header::kEndToEndAt, header.end_to_end);
}

MessageBuilder MessageBuilder::request(BufferPool& pool, const CommandDef& command,
                                       std::uint32_t hop_by_hop, std::uint32_t end_to_end,
                                       std::size_t expected_bytes) {
  Header header;
  header.flags = static_cast<std::uint8_t>(command_flag::kRequest |
                                           (command.proxiable ? command_flag::kProxiable : 0));
  header.command = command.code;
  header.application = command.application;
  header.hop_by_hop = hop_by_hop;
  header.end_to_end = end_to_end;
  return MessageBuilder(pool, header, expected_bytes);
}

MessageBuilder MessageBuilder::answer(BufferPool& pool, const Header& request, bool error,
                                      std::size_t expected_bytes) {
  Header header = request;
  header.flags = static_cast<std::uint8_t>((request.flags & command_flag::kProxiable) |
                                           (error ? command_flag::kError : 0));
  return MessageBuilder(pool, header, expected_bytes);
}

MessageBuilder& MessageBuilder::add_raw(Bytes avp) {
  out_.append(avp);
  out_.pad_to(4);
  return *this;
}

// Header and room for the payload and its padding, which is zeroed; returns where the payload goes.
std::byte* MessageBuilder::put_header(const AvpDef& def, std::size_t payload_bytes) {
  const bool vendor = def.vendor != 0;
  const std::size_t header = vendor ? AvpView::kVendorHeaderBytes : AvpView::kHeaderBytes;
  const std::size_t length = header + payload_bytes;
  const std::size_t padded = (length + 3) & ~std::size_t{3};
  std::byte* p = out_.extend(padded);
  store_u32(p, def.code);
  const unsigned flags =
      (vendor ? avp_flag::kVendor : 0u) | (def.mandatory ? avp_flag::kMandatory : 0u);
  store_u32(p + 4, flags << 24 | static_cast<std::uint32_t>(length));
  if (vendor) store_u32(p + 8, def.vendor);
  for (std::size_t i = length; i < padded; ++i) p[i] = std::byte{0};
  return p + header;
}

void MessageBuilder::put(const AvpDef& def, Bytes payload) {
  std::byte* p = put_header(def, payload.size());
  if (!payload.empty()) std::memcpy(p, payload.data(), payload.size());
}

void MessageBuilder::put_u32(const AvpDef& def, std::uint32_t value) {
  store_u32(put_header(def, 4), value);
}

void MessageBuilder::put_u64(const AvpDef& def, std::uint64_t value) {
  store_u64(put_header(def, 8), value);
}

void MessageBuilder::put_address(const AvpDef& def, const Address& address) {
  std::byte* p = put_header(def, 2 + address.bytes.size());
  store_u16(p, address.family);
  if (!address.bytes.empty()) std::memcpy(p + 2, address.bytes.data(), address.bytes.size());
}

}  // namespace siglane::diameter
