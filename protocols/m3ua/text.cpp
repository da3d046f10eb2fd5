#include "protocols/m3ua/text.h"

#include <algorithm>
#include <array>

#include "protocols/m3ua/message.h"

namespace siglane::m3ua {
namespace {

// Of a list in a message.
constexpr std::size_t kShownMax = 4;
// Of a message that cannot be read, or not to its end. An ERR returns as many.
constexpr std::size_t kOctetsShownMax = 40;

template <class Write>
std::string list_of(const U32List& values, Write&& write) {
  std::string text;
  std::size_t shown = 0;
  for (const std::uint32_t value : values) {
    if (shown == kShownMax) {
      return text + " and " + std::to_string(values.size() - shown) + " more";
    }
    if (shown++ > 0) text += ", ";
    text += write(value);
  }
  return text;
}

std::string affected_text(std::uint32_t word) {
  const auto affected = AffectedPointCode::unpack(word);
  std::string text = std::to_string(affected.point_code);
  if (affected.mask != 0) text += " mask " + std::to_string(affected.mask);
  return text;
}

std::string octets(Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = std::to_string(bytes.size()) + " octets:";
  for (const std::byte octet : bytes.first(std::min(bytes.size(), kOctetsShownMax))) {
    const auto value = std::to_integer<unsigned>(octet);
    text += {' ', kDigits[value >> 4], kDigits[value & 15]};
  }
  return bytes.size() > kOctetsShownMax ? text + " ..." : text;
}

std::string describe(const MessageView& view) {
  const auto network = view.u32(Tag::network_appearance);
  const U32List contexts = view.list(Tag::routing_context);
  if (const auto data = view.find(Tag::protocol_data)) {
    return describe(load_label(data->data()), network,
                    contexts.empty() ? std::nullopt : std::optional(contexts[0]));
  }
  std::string text(view.name());
  if (const auto code = view.u32(Tag::error_code)) {
    text += " " + std::string(name_of(static_cast<ErrorCode>(*code)));
  }
  const U32List affected = view.list(Tag::affected_point_code);
  if (!affected.empty()) text += " " + list_of(affected, affected_text);
  if (network) text += " NA " + std::to_string(*network);
  if (!contexts.empty()) {
    text += " RC " + list_of(contexts, [](std::uint32_t rc) { return std::to_string(rc); });
  }
  return text;
}

struct ErrorReason {
  ErrorCode code{};
  DropReason reason;
};
constexpr std::array kErrorReasons = {
    ErrorReason{ErrorCode::invalid_version,
                DropReason{"m3ua.invalid_version", "the message's version is not 1"}},
    ErrorReason{ErrorCode::unsupported_message_class,
                DropReason{"m3ua.unsupported_message_class", "M3UA has no such message class"}},
    ErrorReason{
        ErrorCode::unsupported_message_type,
        DropReason{"m3ua.unsupported_message_type", "the message class has no such message type"}},
    ErrorReason{ErrorCode::unsupported_traffic_mode_type,
                DropReason{"m3ua.unsupported_traffic_mode_type",
                           "the requested traffic mode is not the one configured for the AS"}},
    ErrorReason{
        ErrorCode::unexpected_message,
        DropReason{"m3ua.unexpected_message", "the message is not allowed in the sender's state"}},
    ErrorReason{
        ErrorCode::protocol_error,
        DropReason{"m3ua.protocol_error", "the message's length is not the one in its header"}},
    ErrorReason{ErrorCode::invalid_stream_identifier,
                DropReason{"m3ua.invalid_stream_identifier",
                           "the message came on a stream that is not for its kind"}},
    ErrorReason{ErrorCode::refused_management_blocking,
                DropReason{"m3ua.refused",
                           "the sender is not served: no configured ASP, blocked by the operator, "
                           "or a single stream where single_stream_allowed is false"}},
    ErrorReason{
        ErrorCode::asp_identifier_required,
        DropReason{"m3ua.asp_identifier_required",
                   "no ASP Identifier, and several ASPs may come from the sender's address"}},
    ErrorReason{
        ErrorCode::invalid_asp_identifier,
        DropReason{"m3ua.invalid_asp_identifier", "no ASP is configured with this ASP Identifier"}},
    ErrorReason{
        ErrorCode::invalid_parameter_value,
        DropReason{
            "m3ua.invalid_parameter_value",
            "a parameter's value is not allowed, such as a point code wider than its network"}},
    ErrorReason{ErrorCode::parameter_field_error,
                DropReason{"m3ua.parameter_field_error", "a parameter's length is impossible"}},
    ErrorReason{ErrorCode::unexpected_parameter,
                DropReason{"m3ua.unexpected_parameter",
                           "a parameter does not belong in this message, or occurs twice"}},
    ErrorReason{
        ErrorCode::destination_status_unknown,
        DropReason{"m3ua.destination_status_unknown", "the state of the destination is not known"}},
    ErrorReason{ErrorCode::invalid_network_appearance,
                DropReason{"m3ua.invalid_network_appearance",
                           "the Network Appearance is not the one configured for the AS"}},
    ErrorReason{ErrorCode::missing_parameter,
                DropReason{"m3ua.missing_parameter", "a mandatory parameter is missing"}},
    ErrorReason{ErrorCode::invalid_routing_context,
                DropReason{"m3ua.invalid_routing_context",
                           "the Routing Context is of no AS that the sender belongs to"}},
    ErrorReason{ErrorCode::no_configured_as_for_asp,
                DropReason{"m3ua.no_configured_as_for_asp", "no AS is configured for the sender"}},
};
constexpr DropReason kOtherError{"m3ua.other_error", "the message is answered with ERR"};

}  // namespace

std::string describe(const MtpLabel& label, Network network,
                     std::optional<std::uint32_t> routing_context) {
  std::string text = "DATA " + std::to_string(label.opc) + " -> " + std::to_string(label.dpc) +
                     " NI " + std::to_string(label.ni) + " SI " + std::to_string(label.si) +
                     " SLS " + std::to_string(label.sls);
  if (network) text += " NA " + std::to_string(*network);
  if (routing_context) text += " RC " + std::to_string(*routing_context);
  return text;
}

std::string describe(Bytes message) {
  const auto view = MessageView::parse(message);
  if (view) return describe(*view);
  return describe_beginning(message) + " (" + std::string(name_of(view.error().code)) +
         " at offset " + std::to_string(view.error().offset) + ")";
}

std::string describe_beginning(Bytes message) {
  std::string name;
  if (message.size() >= kHeaderSize) {
    const auto type = static_cast<MessageType>(load_u16(message.data() + 2));
    const auto rules = std::ranges::find(message_rules(), type, &MessageRules::type);
    if (rules != message_rules().end()) name = std::string(rules->name) + ", ";
  }
  return name + octets(message);
}

const DropReason& reason_of(ErrorCode code) {
  const auto at = std::ranges::find(kErrorReasons, code, &ErrorReason::code);
  return at == kErrorReasons.end() ? kOtherError : at->reason;
}

Fact asp_state_changed(std::string_view asp, std::string_view as, AspState state) {
  return {kAspStateChanged, {{"asp", asp}, {"as", as}, {"state", name_of(state)}}};
}

}  // namespace siglane::m3ua
