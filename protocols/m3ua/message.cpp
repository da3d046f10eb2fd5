#include "protocols/m3ua/message.h"

#include <algorithm>

namespace siglane::m3ua {
namespace {

using enum Presence;

constexpr MessageRules row(MessageType type, std::string_view name,
                           std::initializer_list<ParameterRule> parameters) {
  MessageRules rules;
  rules.type = type;
  rules.name = name;
  for (const ParameterRule& p : parameters) rules.parameters[rules.parameter_count++] = p;
  return rules;
}

constexpr ParameterRule kInfo{Tag::info_string, optional};
constexpr ParameterRule kContexts{Tag::routing_context, optional};
constexpr ParameterRule kAppearance{Tag::network_appearance, optional};
constexpr ParameterRule kAffected{Tag::affected_point_code, mandatory};
constexpr ParameterRule kMode{Tag::traffic_mode_type, optional};
constexpr ParameterRule kIdentifier{Tag::asp_identifier, optional};
constexpr ParameterRule kHeartbeat{Tag::heartbeat_data, optional};

// In the order of their numbers: rules_of() searches.
constexpr std::array kRules = {
    row(MessageType::err, "ERR",
        {{Tag::error_code, mandatory},
         kContexts,
         kAppearance,
         {Tag::affected_point_code, optional},
         {Tag::diagnostic_information, optional}}),
    row(MessageType::ntfy, "NTFY", {{Tag::status, mandatory}, kIdentifier, kContexts, kInfo}),
    row(MessageType::data, "DATA",
        {kAppearance, kContexts, {Tag::protocol_data, mandatory}, {Tag::correlation_id, optional}}),
    row(MessageType::duna, "DUNA", {kAppearance, kContexts, kAffected, kInfo}),
    row(MessageType::dava, "DAVA", {kAppearance, kContexts, kAffected, kInfo}),
    row(MessageType::daud, "DAUD", {kAppearance, kContexts, kAffected, kInfo}),
    row(MessageType::scon, "SCON",
        {kAppearance,
         kContexts,
         kAffected,
         {Tag::concerned_destination, optional},
         {Tag::congestion_indications, optional},
         kInfo}),
    row(MessageType::dupu, "DUPU",
        {kAppearance, kContexts, kAffected, {Tag::user_cause, mandatory}, kInfo}),
    row(MessageType::drst, "DRST", {kAppearance, kContexts, kAffected, kInfo}),
    row(MessageType::aspup, "ASPUP", {kIdentifier, kInfo}),
    row(MessageType::aspdn, "ASPDN", {kInfo}),
    row(MessageType::beat, "BEAT", {kHeartbeat}),
    row(MessageType::aspup_ack, "ASPUP ACK", {kIdentifier, kInfo}),
    row(MessageType::aspdn_ack, "ASPDN ACK", {kInfo}),
    row(MessageType::beat_ack, "BEAT ACK", {kHeartbeat}),
    row(MessageType::aspac, "ASPAC", {kMode, kContexts, kInfo}),
    row(MessageType::aspia, "ASPIA", {kContexts, kInfo}),
    row(MessageType::aspac_ack, "ASPAC ACK", {kMode, kContexts, kInfo}),
    row(MessageType::aspia_ack, "ASPIA ACK", {kContexts, kInfo}),
    row(MessageType::reg_req, "REG REQ", {{Tag::routing_key, mandatory_many}}),
    row(MessageType::reg_rsp, "REG RSP", {{Tag::registration_result, mandatory_many}}),
    row(MessageType::dereg_req, "DEREG REQ", {{Tag::routing_context, mandatory}}),
    row(MessageType::dereg_rsp, "DEREG RSP", {{Tag::deregistration_result, mandatory_many}}),
};
static_assert(std::ranges::is_sorted(kRules, {}, &MessageRules::type));

constexpr std::uint8_t class_of(MessageType type) {
  return static_cast<std::uint8_t>(static_cast<std::uint16_t>(type) >> 8);
}

const MessageRules* rules_of(std::uint16_t type) {
  const auto wanted = static_cast<MessageType>(type);
  const auto at = std::ranges::lower_bound(kRules, wanted, {}, &MessageRules::type);
  return at != kRules.end() && at->type == wanted ? &*at : nullptr;
}

bool known_class(std::uint8_t message_class) {
  return std::ranges::any_of(
      kRules, [&](const MessageRules& r) { return class_of(r.type) == message_class; });
}

// What a parameter's value may measure. Values with no rule of their own: any length.
struct SizeRule {
  Tag tag{};
  std::size_t min = 0, max = 0, unit = 1;
};
constexpr std::size_t kAnySize = 0xffff;
constexpr std::array kSizes = {
    SizeRule{Tag::info_string, 0, 255, 1},  // §3.4.1: 0 to 255 octets
    SizeRule{Tag::routing_context, 4, kAnySize, 4},
    SizeRule{Tag::diagnostic_information, 0, kAnySize, 1},
    SizeRule{Tag::heartbeat_data, 0, kAnySize, 1},
    SizeRule{Tag::traffic_mode_type, 4, 4, 1},
    SizeRule{Tag::error_code, 4, 4, 1},
    SizeRule{Tag::status, 4, 4, 1},
    SizeRule{Tag::asp_identifier, 4, 4, 1},
    SizeRule{Tag::affected_point_code, 4, kAnySize, 4},
    SizeRule{Tag::correlation_id, 4, 4, 1},
    SizeRule{Tag::network_appearance, 4, 4, 1},
    SizeRule{Tag::user_cause, 4, 4, 1},
    SizeRule{Tag::congestion_indications, 4, 4, 1},
    SizeRule{Tag::concerned_destination, 4, 4, 1},
    SizeRule{Tag::routing_key, 16, kAnySize, 1},
    SizeRule{Tag::registration_result, 24, kAnySize, 4},
    SizeRule{Tag::deregistration_result, 16, kAnySize, 4},
    SizeRule{Tag::local_routing_key_identifier, 4, 4, 1},
    SizeRule{Tag::destination_point_code, 4, 4, 1},
    SizeRule{Tag::service_indicators, 1, kAnySize, 1},
    SizeRule{Tag::originating_point_code_list, 4, kAnySize, 4},
    SizeRule{Tag::protocol_data, kMtpLabelSize, kAnySize, 1},
    SizeRule{Tag::registration_status, 4, 4, 1},
    SizeRule{Tag::deregistration_status, 4, 4, 1},
};
static_assert(std::ranges::is_sorted(kSizes, {}, &SizeRule::tag));

const SizeRule* size_rule(std::uint16_t tag) {
  const auto wanted = static_cast<Tag>(tag);
  const auto at = std::ranges::lower_bound(kSizes, wanted, {}, &SizeRule::tag);
  return at != kSizes.end() && at->tag == wanted ? &*at : nullptr;
}

bool fits(const SizeRule& rule, std::size_t size) {
  return size >= rule.min && size <= rule.max && size % rule.unit == 0;
}

bool required(Presence presence) {
  return presence == mandatory || presence == mandatory_many;
}
bool repeatable(Presence presence) {
  return presence == optional_many || presence == mandatory_many;
}

tl::unexpected<DecodeError> error(std::size_t offset, ErrorCode code) {
  return tl::unexpected(DecodeError{offset, code});
}

// Checks every parameter against `rules` and hands those with a rule to `keep(rule index,
// parameter)`. Nothing: all is well.
template <class Keep>
std::optional<DecodeError> check_parameters(ParameterReader reader,
                                            std::span<const ParameterRule> rules, Keep&& keep) {
  std::array<bool, 8> seen{};
  static_assert(kRulesMax <= 8);
  while (auto parameter = reader.next()) {
    const SizeRule* size = size_rule(parameter->tag);
    if (size == nullptr) continue;  // an extension
    const auto rule = std::ranges::find(rules, size->tag, &ParameterRule::tag);
    // RFC 4666 §3.2: "Unless explicitly stated or shown in a message format diagram, only one
    // parameter of the same type is allowed".
    const auto index = static_cast<std::size_t>(rule - rules.begin());
    if (rule == rules.end() || (seen[index] && !repeatable(rule->presence))) {
      return DecodeError{parameter->offset, ErrorCode::unexpected_parameter};
    }
    if (!fits(*size, parameter->value.size())) {
      return DecodeError{parameter->offset, ErrorCode::parameter_field_error};
    }
    if (!seen[index]) keep(index, *parameter);
    seen[index] = true;
  }
  if (!reader.done()) return DecodeError{reader.offset(), ErrorCode::parameter_field_error};
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (required(rules[i].presence) && !seen[i]) {
      return DecodeError{reader.offset(), ErrorCode::missing_parameter};
    }
  }
  return std::nullopt;
}

constexpr std::array kRoutingKeyRules = {
    ParameterRule{Tag::local_routing_key_identifier, mandatory},
    ParameterRule{Tag::routing_context, optional},
    ParameterRule{Tag::traffic_mode_type, optional},
    ParameterRule{Tag::destination_point_code, mandatory_many},
    ParameterRule{Tag::network_appearance, optional},
    ParameterRule{Tag::service_indicators, optional_many},
    ParameterRule{Tag::originating_point_code_list, optional_many},
};
static_assert(kRoutingKeyRules.size() <= 8);

}  // namespace

std::span<const MessageRules> message_rules() {
  return kRules;
}

std::string_view name_of(MessageType type) {
  const MessageRules* rules = rules_of(static_cast<std::uint16_t>(type));
  return rules != nullptr ? rules->name : "unknown";
}

tl::expected<MessageView, DecodeError> MessageView::parse(Bytes bytes) {
  if (bytes.size() < kHeaderSize) return error(bytes.size(), ErrorCode::protocol_error);
  if (std::to_integer<std::uint8_t>(bytes[0]) != kVersion) {
    return error(0, ErrorCode::invalid_version);
  }
  const std::uint16_t type = load_u16(bytes.data() + 2);
  const MessageRules* rules = rules_of(type);
  if (rules == nullptr) {
    return known_class(static_cast<std::uint8_t>(type >> 8))
               ? error(3, ErrorCode::unsupported_message_type)
               : error(2, ErrorCode::unsupported_message_class);
  }
  // RFC 4666 §3.1.4: "A receiver SHOULD accept the message whether or not the final parameter
  // padding is included in the message length."
  const std::size_t length = load_u32(bytes.data() + 4);
  if (length < kHeaderSize || length > bytes.size() || bytes.size() - length > 3) {
    return error(4, ErrorCode::protocol_error);
  }
  MessageView view;
  view.bytes_ = bytes.first(length);
  view.rules_ = rules;
  auto wrong = check_parameters(
      view.parameters(), std::span(rules->parameters).first(rules->parameter_count),
      [&](std::size_t index, const Parameter& parameter) {
        view.slots_[index] = {static_cast<std::uint32_t>(parameter.offset + kParameterHeaderSize),
                              static_cast<std::uint32_t>(parameter.value.size())};
      });
  if (wrong) return tl::unexpected(*wrong);
  return view;
}

std::optional<Bytes> MessageView::find(Tag tag) const {
  for (std::size_t i = 0; i < rules_->parameter_count; ++i) {
    if (rules_->parameters[i].tag != tag) continue;
    if (slots_[i].offset == 0) return std::nullopt;
    return bytes_.subspan(slots_[i].offset, slots_[i].size);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> MessageView::u32(Tag tag) const {
  const auto value = find(tag);
  if (!value || value->size() < 4) return std::nullopt;
  return load_u32(value->data());
}

U32List MessageView::list(Tag tag) const {
  const auto value = find(tag);
  return value ? U32List(*value) : U32List();
}

std::optional<std::size_t> length_in_header(Bytes head) {
  if (head.size() < kHeaderSize) return std::nullopt;
  return load_u32(head.data() + 4);
}

tl::expected<RoutingKeyView, DecodeError> RoutingKeyView::parse(Bytes value) {
  RoutingKeyView key;
  auto wrong = check_parameters(ParameterReader(value), kRoutingKeyRules,
                                [&](std::size_t index, const Parameter& p) {
                                  const Tag tag = kRoutingKeyRules[index].tag;
                                  if (tag == Tag::service_indicators) {
                                    key.service_indicators = p.value;
                                  } else if (tag == Tag::originating_point_code_list) {
                                    key.originating_point_codes = U32List(p.value);
                                  } else {
                                    const std::uint32_t value = load_u32(p.value.data());
                                    if (tag == Tag::local_routing_key_identifier)
                                      key.local_identifier = value;
                                    if (tag == Tag::destination_point_code)
                                      key.destination_point_code = value;
                                    if (tag == Tag::routing_context) key.routing_context = value;
                                    if (tag == Tag::traffic_mode_type) key.traffic_mode = value;
                                    if (tag == Tag::network_appearance)
                                      key.network_appearance = value;
                                  }
                                });
  if (wrong) return tl::unexpected(*wrong);
  return key;
}

MessageBuilder::MessageBuilder(BufferPool& pool, MessageType type, std::size_t expected_size)
    : out_(pool, expected_size) {
  out_.u8(kVersion);
  out_.u8(0);
  out_.u16(static_cast<std::uint16_t>(type));
  out_.u32(0);
}

void MessageBuilder::header(Tag tag, std::size_t value_size) {
  out_.u16(static_cast<std::uint16_t>(tag));
  out_.u16(static_cast<std::uint16_t>(kParameterHeaderSize + value_size));
}

MessageBuilder& MessageBuilder::u32(Tag tag, std::uint32_t value) {
  header(tag, 4);
  out_.u32(value);
  return *this;
}

MessageBuilder& MessageBuilder::u32_if(Tag tag, std::optional<std::uint32_t> value) {
  return value ? u32(tag, *value) : *this;
}

MessageBuilder& MessageBuilder::list(Tag tag, std::span<const std::uint32_t> values) {
  if (values.empty()) return *this;
  header(tag, 4 * values.size());
  for (const std::uint32_t value : values) out_.u32(value);
  return *this;
}

MessageBuilder& MessageBuilder::bytes(Tag tag, Bytes value) {
  header(tag, value.size());
  out_.append(value);
  out_.pad_to(4);
  return *this;
}

MessageBuilder& MessageBuilder::protocol_data(const MtpLabel& label, Bytes user_data) {
  header(Tag::protocol_data, kMtpLabelSize + user_data.size());
  store_label(out_.extend(kMtpLabelSize), label);
  out_.append(user_data);
  out_.pad_to(4);
  return *this;
}

MessageBuilder& MessageBuilder::parameters(Bytes encoded) {
  out_.append(encoded);
  out_.pad_to(4);
  return *this;
}

std::size_t MessageBuilder::open(Tag tag) {
  header(tag, 0);
  return out_.size() - kParameterHeaderSize;
}

void MessageBuilder::close(std::size_t opened) {
  out_.patch_u16(opened + 2, static_cast<std::uint16_t>(out_.size() - opened));
}

Buffer MessageBuilder::finish() && {
  out_.patch_u32(4, static_cast<std::uint32_t>(out_.size()));
  return std::move(out_).finish();
}

}  // namespace siglane::m3ua
