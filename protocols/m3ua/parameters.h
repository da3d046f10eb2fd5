#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/bytes.h"

namespace siglane::m3ua {

// RFC 4666 §3.2: the parameters, common to the user adaptation layers and M3UA's own.
enum class Tag : std::uint16_t {
  info_string = 0x0004,
  routing_context = 0x0006,
  diagnostic_information = 0x0007,
  heartbeat_data = 0x0009,
  traffic_mode_type = 0x000b,
  error_code = 0x000c,
  status = 0x000d,
  asp_identifier = 0x0011,
  affected_point_code = 0x0012,
  correlation_id = 0x0013,
  network_appearance = 0x0200,
  user_cause = 0x0204,
  congestion_indications = 0x0205,
  concerned_destination = 0x0206,
  routing_key = 0x0207,
  registration_result = 0x0208,
  deregistration_result = 0x0209,
  local_routing_key_identifier = 0x020a,
  destination_point_code = 0x020b,
  service_indicators = 0x020c,
  originating_point_code_list = 0x020e,
  protocol_data = 0x0210,
  registration_status = 0x0212,
  deregistration_status = 0x0213
};

// RFC 4666 §3.8.1.
enum class ErrorCode : std::uint32_t {
  invalid_version = 0x01,
  unsupported_message_class = 0x03,
  unsupported_message_type = 0x04,
  unsupported_traffic_mode_type = 0x05,
  unexpected_message = 0x06,
  protocol_error = 0x07,
  invalid_stream_identifier = 0x09,
  refused_management_blocking = 0x0d,
  asp_identifier_required = 0x0e,
  invalid_asp_identifier = 0x0f,
  invalid_parameter_value = 0x11,
  parameter_field_error = 0x12,
  unexpected_parameter = 0x13,
  destination_status_unknown = 0x14,
  invalid_network_appearance = 0x15,
  missing_parameter = 0x16,
  invalid_routing_context = 0x19,
  no_configured_as_for_asp = 0x1a
};
std::string_view name_of(ErrorCode code);

// RFC 4666 §3.7.1.
enum class TrafficMode : std::uint32_t { override_mode = 1, loadshare = 2, broadcast = 3 };
std::string_view name_of(TrafficMode mode);

// RFC 4666 §3.8.2: Status Type in the upper, Status Information in the lower 16 bits.
enum class NotifyStatus : std::uint32_t {
  as_inactive = 0x0001'0002,
  as_active = 0x0001'0003,
  as_pending = 0x0001'0004,
  insufficient_asp_resources = 0x0002'0001,
  alternate_asp_active = 0x0002'0002,
  asp_failure = 0x0002'0003
};

// RFC 4666 §3.6.2 and §3.6.4.
enum class RegistrationStatus : std::uint32_t {
  registered = 0,
  unknown = 1,
  invalid_dpc = 2,
  invalid_network_appearance = 3,
  invalid_routing_key = 4,
  permission_denied = 5,
  cannot_support_unique_routing = 6,
  not_provisioned = 7,
  insufficient_resources = 8,
  unsupported_parameter_field = 9,
  unsupported_traffic_mode = 10,
  change_refused = 11,
  already_registered = 12
};
enum class DeregistrationStatus : std::uint32_t {
  deregistered = 0,
  unknown = 1,
  invalid_routing_context = 2,
  permission_denied = 3,
  not_registered = 4,
  asp_active = 5
};

// One parameter where it stands in its message.
struct Parameter {
  std::uint16_t tag = 0;   // any value: unknown ones are passed over, not refused
  std::size_t offset = 0;  // of the tag, from the start of what is read
  Bytes value;             // without padding
};

// Walks parameters (RFC 4666 §3.2). Ends at the first one that does not fit; done() tells whether
// that was the end of the bytes.
class ParameterReader {
 public:
  explicit ParameterReader(Bytes bytes, std::size_t base = 0) : bytes_(bytes), base_(base) {}

  std::optional<Parameter> next();
  bool done() const { return at_ >= bytes_.size(); }
  std::size_t offset() const { return base_ + at_; }

 private:
  Bytes bytes_;
  std::size_t base_;
  std::size_t at_ = 0;
};

// A list of 32-bit values: Routing Context, Affected Point Code, ... The parse has seen to it that
// the length is a multiple of four.
class U32List {
 public:
  class Iterator {
   public:
    using value_type = std::uint32_t;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(const std::byte* at) : at_(at) {}
    std::uint32_t operator*() const { return load_u32(at_); }
    Iterator& operator++() {
      at_ += 4;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      at_ += 4;
      return before;
    }
    bool operator==(const Iterator&) const = default;

   private:
    const std::byte* at_ = nullptr;
  };

  U32List() = default;
  explicit U32List(Bytes bytes) : bytes_(bytes.first(bytes.size() / 4 * 4)) {}
  std::size_t size() const { return bytes_.size() / 4; }
  bool empty() const { return bytes_.empty(); }
  // Precondition: index < size().
  std::uint32_t operator[](std::size_t index) const { return load_u32(bytes_.data() + 4 * index); }
  Iterator begin() const { return Iterator(bytes_.data()); }
  Iterator end() const { return Iterator(bytes_.data() + bytes_.size()); }

 private:
  Bytes bytes_;
};

// The SS7 network that a point code belongs to, by its Network Appearance (RFC 4666 §1.2). None:
// the default network, of everything that names no appearance. The same point code in two networks
// is two destinations.
using Network = std::optional<std::uint32_t>;
inline constexpr unsigned kPointCodeBitsMax = 24;  // on the wire: RFC 4666 §3.4.1
constexpr bool is_point_code(std::uint32_t value) {
  return value >> kPointCodeBitsMax == 0;
}

// RFC 4666 §3.4.1: a point code, and how many of its low bits are wildcards.
struct AffectedPointCode {
  std::uint8_t mask = 0;
  std::uint32_t point_code = 0;  // 24 bits

  static AffectedPointCode unpack(std::uint32_t word) {
    return {static_cast<std::uint8_t>(word >> 24), word & 0x00ff'ffff};
  }
  std::uint32_t pack() const { return std::uint32_t{mask} << 24 | (point_code & 0x00ff'ffff); }
  bool covers(std::uint32_t pc) const {
    return mask >= 24 || (pc & 0x00ff'ffff) >> mask == point_code >> mask;
  }
  bool operator==(const AffectedPointCode&) const = default;
};

// RFC 4666 §3.3.1: the fixed part of Protocol Data, the MTP3 label of the user data behind it.
struct MtpLabel {
  std::uint32_t opc = 0, dpc = 0;
  std::uint8_t si = 0, ni = 0, mp = 0, sls = 0;
  bool operator==(const MtpLabel&) const = default;
};
inline constexpr std::size_t kMtpLabelSize = 12;

// Precondition: kMtpLabelSize bytes are there.
MtpLabel load_label(const std::byte* at);
void store_label(std::byte* at, const MtpLabel& label);

}  // namespace siglane::m3ua
