#include "protocols/m3ua/parameters.h"

namespace siglane::m3ua {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_version:
      return "Invalid Version";
    case ErrorCode::unsupported_message_class:
      return "Unsupported Message Class";
    case ErrorCode::unsupported_message_type:
      return "Unsupported Message Type";
    case ErrorCode::unsupported_traffic_mode_type:
      return "Unsupported Traffic Mode Type";
    case ErrorCode::unexpected_message:
      return "Unexpected Message";
    case ErrorCode::protocol_error:
      return "Protocol Error";
    case ErrorCode::invalid_stream_identifier:
      return "Invalid Stream Identifier";
    case ErrorCode::refused_management_blocking:
      return "Refused - Management Blocking";
    case ErrorCode::asp_identifier_required:
      return "ASP Identifier Required";
    case ErrorCode::invalid_asp_identifier:
      return "Invalid ASP Identifier";
    case ErrorCode::invalid_parameter_value:
      return "Invalid Parameter Value";
    case ErrorCode::parameter_field_error:
      return "Parameter Field Error";
    case ErrorCode::unexpected_parameter:
      return "Unexpected Parameter";
    case ErrorCode::destination_status_unknown:
      return "Destination Status Unknown";
    case ErrorCode::invalid_network_appearance:
      return "Invalid Network Appearance";
    case ErrorCode::missing_parameter:
      return "Missing Parameter";
    case ErrorCode::invalid_routing_context:
      return "Invalid Routing Context";
    case ErrorCode::no_configured_as_for_asp:
      return "No Configured AS for ASP";
  }
  return "unknown";
}

std::string_view name_of(TrafficMode mode) {
  switch (mode) {
    case TrafficMode::override_mode:
      return "override";
    case TrafficMode::loadshare:
      return "loadshare";
    case TrafficMode::broadcast:
      return "broadcast";
  }
  return "unknown";
}

std::optional<Parameter> ParameterReader::next() {
  if (done() || bytes_.size() - at_ < 4) return std::nullopt;
  const std::byte* head = bytes_.data() + at_;
  const std::size_t length = load_u16(head + 2);
  if (length < 4 || length > bytes_.size() - at_) return std::nullopt;
  Parameter parameter{load_u16(head), base_ + at_, bytes_.subspan(at_ + 4, length - 4)};
  // RFC 4666 §3.2: "The length of the padding is NOT included in the parameter length field", and
  // the padding of the last parameter may be missing (§3.1.4).
  at_ += (length + 3) / 4 * 4;
  return parameter;
}

MtpLabel load_label(const std::byte* at) {
  MtpLabel label;
  label.opc = load_u32(at);
  label.dpc = load_u32(at + 4);
  label.si = std::to_integer<std::uint8_t>(at[8]);
  label.ni = std::to_integer<std::uint8_t>(at[9]);
  label.mp = std::to_integer<std::uint8_t>(at[10]);
  label.sls = std::to_integer<std::uint8_t>(at[11]);
  return label;
}

void store_label(std::byte* at, const MtpLabel& label) {
  store_u32(at, label.opc);
  store_u32(at + 4, label.dpc);
  at[8] = std::byte{label.si};
  at[9] = std::byte{label.ni};
  at[10] = std::byte{label.mp};
  at[11] = std::byte{label.sls};
}

}  // namespace siglane::m3ua
