#include "protocols/m3ua/message.h"

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/random.h"
#include "protocols/m3ua/parcels.h"

namespace siglane::m3ua {
namespace {

using testing::ElementsAre;

std::vector<std::byte> random_bytes(Random& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (auto& b : bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

bool may_repeat(Presence p) {
  return p == Presence::optional_many || p == Presence::mandatory_many;
}
bool must(Presence p) {
  return p == Presence::mandatory || p == Presence::mandatory_many;
}

// A value of a length that the tag allows.
std::vector<std::byte> value_for(Tag tag, Random& random) {
  switch (tag) {
    case Tag::info_string:
      return random_bytes(random, random.below(256));
    case Tag::heartbeat_data:
    case Tag::diagnostic_information:
      return random_bytes(random, random.below(600));
    case Tag::routing_context:
    case Tag::affected_point_code:
    case Tag::originating_point_code_list:
      return random_bytes(random, 4 * (1 + random.below(20)));
    case Tag::protocol_data:
      return random_bytes(random, kMtpLabelSize + random.below(300));
    case Tag::registration_result:
      return random_bytes(random, 24);
    case Tag::deregistration_result:
      return random_bytes(random, 16);
    case Tag::routing_key:
      return random_bytes(random, 16 + random.below(40));
    default:
      return random_bytes(random, 4);
  }
}

struct Field {
  Tag tag;
  std::vector<std::byte> value;
};

TEST(Message, EveryTypeSurvivesARoundTripWithRandomParametersInAnyOrder) {
  BufferPool pool;
  Random random(4666);
  for (int round = 0; round < 400; ++round) {
    for (const MessageRules& rules : message_rules()) {
      std::vector<Field> fields;
      for (std::size_t i = 0; i < rules.parameter_count; ++i) {
        const ParameterRule& rule = rules.parameters[i];
        if (!must(rule.presence) && random.below(2) == 0) continue;
        const std::size_t times = may_repeat(rule.presence) ? 1 + random.below(3) : 1;
        for (std::size_t n = 0; n < times; ++n) {
          fields.push_back({rule.tag, value_for(rule.tag, random)});
        }
      }
      for (std::size_t i = fields.size(); i > 1; --i) {
        std::swap(fields[i - 1], fields[random.below(i)]);
      }
      MessageBuilder builder(pool, rules.type);
      for (const Field& f : fields) builder.bytes(f.tag, f.value);
      const Buffer message = std::move(builder).finish();

      ASSERT_EQ(message.size() % 4, 0u);
      ASSERT_EQ(length_in_header(message.bytes()), message.size());
      const auto view = MessageView::parse(message.bytes());
      ASSERT_TRUE(view) << rules.name << ": " << name_of(view.error().code);
      EXPECT_EQ(view->type(), rules.type);
      ParameterReader reader = view->parameters();
      for (const Field& f : fields) {
        const auto parameter = reader.next();
        ASSERT_TRUE(parameter);
        EXPECT_EQ(parameter->tag, static_cast<std::uint16_t>(f.tag));
        EXPECT_TRUE(std::ranges::equal(parameter->value, f.value));
      }
      EXPECT_TRUE(reader.done());
      for (const Field& f : fields) {
        const auto first = std::ranges::find(fields, f.tag, &Field::tag);
        ASSERT_TRUE(view->find(f.tag));
        EXPECT_TRUE(std::ranges::equal(*view->find(f.tag), first->value));
      }
    }
  }
}

TEST(Message, AMissingMandatoryParameterIsNamedForEveryMessage) {
  BufferPool pool;
  Random random(1);
  for (const MessageRules& rules : message_rules()) {
    for (std::size_t missing = 0; missing < rules.parameter_count; ++missing) {
      if (!must(rules.parameters[missing].presence)) continue;
      MessageBuilder builder(pool, rules.type);
      for (std::size_t i = 0; i < rules.parameter_count; ++i) {
        if (i == missing) continue;
        builder.bytes(rules.parameters[i].tag, value_for(rules.parameters[i].tag, random));
      }
      const Buffer message = std::move(builder).finish();
      const auto view = MessageView::parse(message.bytes());
      ASSERT_FALSE(view) << rules.name;
      EXPECT_EQ(view.error().code, ErrorCode::missing_parameter);
    }
  }
}

TEST(Message, AParameterTwiceOrOutOfPlaceIsUnexpected) {
  BufferPool pool;
  Random random(2);
  for (const MessageRules& rules : message_rules()) {
    std::vector<Field> fields;
    for (std::size_t i = 0; i < rules.parameter_count; ++i) {
      fields.push_back({rules.parameters[i].tag, value_for(rules.parameters[i].tag, random)});
    }
    const auto parse_with = [&](Tag extra) {
      MessageBuilder builder(pool, rules.type);
      for (const Field& f : fields) builder.bytes(f.tag, f.value);
      builder.bytes(extra, value_for(extra, random));
      const Buffer message = std::move(builder).finish();
      const auto view = MessageView::parse(message.bytes());
      return view ? std::optional<ErrorCode>() : view.error().code;
    };
    for (std::size_t i = 0; i < rules.parameter_count; ++i) {
      const auto error = parse_with(rules.parameters[i].tag);
      if (may_repeat(rules.parameters[i].presence)) {
        EXPECT_FALSE(error);
      } else {
        EXPECT_EQ(error, ErrorCode::unexpected_parameter) << rules.name;
      }
    }
    EXPECT_EQ(parse_with(Tag::registration_status), ErrorCode::unexpected_parameter) << rules.name;
  }
}

TEST(Message, AParameterOfTheWrongLengthIsAFieldError) {
  BufferPool pool;
  struct Case {
    MessageType type;
    Tag tag;
    std::size_t size;
  };
  for (const Case& c : {Case{MessageType::aspup, Tag::asp_identifier, 3},
                        Case{MessageType::aspup, Tag::asp_identifier, 8},
                        Case{MessageType::aspup, Tag::info_string, 256},
                        Case{MessageType::aspac, Tag::routing_context, 0},
                        Case{MessageType::aspac, Tag::routing_context, 6},
                        Case{MessageType::aspac, Tag::traffic_mode_type, 2},
                        Case{MessageType::data, Tag::protocol_data, 11},
                        Case{MessageType::data, Tag::network_appearance, 5},
                        Case{MessageType::duna, Tag::affected_point_code, 2},
                        Case{MessageType::err, Tag::error_code, 0}}) {
    MessageBuilder builder(pool, c.type);
    builder.bytes(c.tag, std::vector<std::byte>(c.size));
    const Buffer message = std::move(builder).finish();
    const auto view = MessageView::parse(message.bytes());
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, ErrorCode::parameter_field_error);
    EXPECT_EQ(view.error().offset, kHeaderSize);
  }
}

std::vector<std::byte> header(unsigned version, unsigned message_class, unsigned type,
                              std::uint32_t length) {
  std::vector<std::byte> bytes(8);
  bytes[0] = std::byte(version);
  bytes[2] = std::byte(message_class);
  bytes[3] = std::byte(type);
  store_u32(bytes.data() + 4, length);
  return bytes;
}

TEST(Message, EveryVersionClassAndTypeHasItsError) {
  std::size_t known = 0;
  for (unsigned message_class = 0; message_class < 256; ++message_class) {
    bool any_type = false;
    for (const MessageRules& rules : message_rules()) {
      any_type = any_type || static_cast<unsigned>(rules.type) >> 8 == message_class;
    }
    for (unsigned type = 0; type < 256; ++type) {
      const auto view = MessageView::parse(header(1, message_class, type, 8));
      const auto rules =
          std::ranges::find(message_rules(), static_cast<MessageType>(message_class << 8 | type),
                            &MessageRules::type);
      if (rules != message_rules().end()) {
        ++known;
        EXPECT_TRUE(view || view.error().code == ErrorCode::missing_parameter);
      } else {
        ASSERT_FALSE(view);
        EXPECT_EQ(view.error().code, any_type ? ErrorCode::unsupported_message_type
                                              : ErrorCode::unsupported_message_class);
      }
    }
  }
  EXPECT_EQ(known, message_rules().size());
  for (unsigned version = 0; version < 256; ++version) {
    if (version == 1) continue;
    const auto view = MessageView::parse(header(version, 3, 1, 8));
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, ErrorCode::invalid_version);
  }
}

TEST(Message, ALengthThatDoesNotFitIsAProtocolError) {
  for (const std::uint32_t length : {0u, 7u, 9u, 12u, 0xffff'ffffu}) {
    const auto view = MessageView::parse(header(1, 3, 1, length));
    ASSERT_FALSE(view) << length;
    EXPECT_EQ(view.error().code, ErrorCode::protocol_error);
  }
  EXPECT_EQ(MessageView::parse({}).error().code, ErrorCode::protocol_error);
  auto trailing = header(1, 3, 1, 8);
  trailing.resize(12);
  EXPECT_EQ(MessageView::parse(trailing).error().code, ErrorCode::protocol_error);
}

TEST(Message, TheLastPaddingMayBeMissingInTheLengthOrInTheBytes) {
  BufferPool pool;
  MessageBuilder builder(pool, MessageType::beat);
  builder.bytes(Tag::heartbeat_data, as_bytes("12345"));
  const Buffer message = std::move(builder).finish();
  ASSERT_EQ(message.size(), 20u);
  std::vector<std::byte> bytes(message.bytes().begin(), message.bytes().end());
  store_u32(bytes.data() + 4, 17);
  EXPECT_EQ(as_text(*MessageView::parse(bytes)->find(Tag::heartbeat_data)), "12345");
  bytes.resize(17);
  EXPECT_EQ(as_text(*MessageView::parse(bytes)->find(Tag::heartbeat_data)), "12345");
}

TEST(Message, EveryTruncationOfAMessageIsAnErrorAndNothingElse) {
  BufferPool pool;
  MessageBuilder builder(pool, MessageType::scon);
  builder.u32(Tag::network_appearance, 8).u32(Tag::routing_context, 101);
  builder.u32(Tag::affected_point_code, 1001).bytes(Tag::info_string, as_bytes("busy"));
  const Buffer whole = std::move(builder).finish();
  ASSERT_TRUE(MessageView::parse(whole.bytes()));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::vector<std::byte> bytes(whole.bytes().begin(), whole.bytes().begin() + size);
    EXPECT_FALSE(MessageView::parse(bytes));
    if (size < kHeaderSize) continue;
    store_u32(bytes.data() + 4, static_cast<std::uint32_t>(size));  // a liar that is consistent
    const auto view = MessageView::parse(bytes);
    if (!view) {
      EXPECT_TRUE(view.error().code == ErrorCode::parameter_field_error ||
                  view.error().code == ErrorCode::missing_parameter);
    }
  }
}

TEST(Message, ParametersThatTheStandardDoesNotKnowArePassedOver) {
  BufferPool pool;
  MessageBuilder builder(pool, MessageType::aspup);
  builder.bytes(static_cast<Tag>(0x7777), as_bytes("vendor")).u32(Tag::asp_identifier, 7);
  const Buffer message = std::move(builder).finish();
  const auto view = MessageView::parse(message.bytes());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->u32(Tag::asp_identifier), 7u);
  EXPECT_EQ(view->find(Tag::routing_context), std::nullopt);
}

TEST(Message, ARoutingKeySurvivesARoundTrip) {
  BufferPool pool;
  MessageBuilder builder(pool, MessageType::reg_req);
  const std::size_t key = builder.open(Tag::routing_key);
  builder.u32(Tag::local_routing_key_identifier, 42).u32(Tag::routing_context, 101);
  builder.u32(Tag::traffic_mode_type, 2).u32(Tag::destination_point_code, 1001);
  builder.u32(Tag::network_appearance, 8).bytes(Tag::service_indicators, as_bytes("\x03\x05\x06"));
  builder.list(Tag::originating_point_code_list, std::vector<std::uint32_t>{7, 8});
  builder.close(key);
  const Buffer message = std::move(builder).finish();
  const auto view = MessageView::parse(message.bytes());
  ASSERT_TRUE(view);
  const auto parsed = RoutingKeyView::parse(*view->find(Tag::routing_key));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->local_identifier, 42u);
  EXPECT_EQ(parsed->routing_context, 101u);
  EXPECT_EQ(parsed->traffic_mode, 2u);
  EXPECT_EQ(parsed->destination_point_code, 1001u);
  EXPECT_EQ(parsed->network_appearance, 8u);
  EXPECT_EQ(as_text(parsed->service_indicators), "\x03\x05\x06");
  EXPECT_THAT(
      std::vector(parsed->originating_point_codes.begin(), parsed->originating_point_codes.end()),
      ElementsAre(7, 8));
}

TEST(Message, ARoutingKeyWithoutItsDestinationIsRefused) {
  BufferPool pool;
  MessageBuilder builder(pool, MessageType::reg_req);
  const std::size_t key = builder.open(Tag::routing_key);
  builder.u32(Tag::local_routing_key_identifier, 42).u32(Tag::routing_context, 101);
  builder.close(key);
  const Buffer message = std::move(builder).finish();
  const auto view = MessageView::parse(message.bytes());
  ASSERT_TRUE(view);
  EXPECT_EQ(RoutingKeyView::parse(*view->find(Tag::routing_key)).error().code,
            ErrorCode::missing_parameter);
}

// RFC 4666 §3.3.1, §3.3.2: the octets of a DATA message, written by hand.
TEST(Message, DataIsLaidOutAsTheStandardDrawsIt) {
  BufferPool pool;
  MessageBuilder builder(pool, MessageType::data);
  builder.u32(Tag::routing_context, 0x65);
  builder.protocol_data({0x010203, 0x040506, 3, 2, 1, 0x0f}, as_bytes("abc"));
  const Buffer message = std::move(builder).finish();
  const unsigned char expected[] = {1, 0,  1, 1,  0, 0,    0,    36,    //
                                    0, 6,  0, 8,  0, 0,    0,    0x65,  //
                                    2, 16, 0, 19, 0, 0x01, 0x02, 0x03,  //
                                    0, 4,  5, 6,  3, 2,    1,    0x0f, 'a', 'b', 'c', 0};
  EXPECT_TRUE(std::ranges::equal(message.bytes(), std::as_bytes(std::span(expected))));
}

// RFC 4666 §3.6.2, with the numbers of §3.2, written by hand.
TEST(Message, ARegistrationResponseIsLaidOutAsTheStandardDrawsIt) {
  BufferPool pool;
  MessageBuilder builder(pool, MessageType::reg_rsp);
  const std::size_t result = builder.open(Tag::registration_result);
  builder.u32(Tag::local_routing_key_identifier, 1);
  builder.u32(Tag::registration_status, 5).u32(Tag::routing_context, 0);
  builder.close(result);
  const Buffer message = std::move(builder).finish();
  const unsigned char expected[] = {1, 0,    9, 2,  0, 0, 0, 36,  //
                                    2, 0x08, 0, 28,               //
                                    2, 0x0a, 0, 8,  0, 0, 0, 1,   //
                                    2, 0x12, 0, 8,  0, 0, 0, 5,   //
                                    0, 0x06, 0, 8,  0, 0, 0, 0};
  EXPECT_TRUE(std::ranges::equal(message.bytes(), std::as_bytes(std::span(expected))));
  EXPECT_TRUE(MessageView::parse(message.bytes()));
}

// RFC 4666 §3.6.1: DPC, Service Indicators, OPC List.
TEST(Message, ARoutingKeyIsReadByTheStandardsNumbers) {
  const unsigned char key[] = {2,    0x0a, 0, 8, 0, 0,    0, 1,  //
                               2,    0x0b, 0, 8, 0, 0,    3, 0xe9, 2, 0x0c, 0, 6,
                               0x03, 0x05, 0, 0, 2, 0x0e, 0, 8,    0, 0,    0, 7};
  const auto parsed = RoutingKeyView::parse(std::as_bytes(std::span(key)));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->destination_point_code, 1001u);
  EXPECT_EQ(as_text(parsed->service_indicators), "\x03\x05");
  EXPECT_THAT(
      std::vector(parsed->originating_point_codes.begin(), parsed->originating_point_codes.end()),
      ElementsAre(7));
}

TEST(Parameters, EveryMtpLabelSurvivesPackingByteByByte) {
  std::byte packed[kMtpLabelSize];
  Random random(5);
  for (unsigned v = 0; v < 256; ++v) {
    for (int field = 0; field < 4; ++field) {
      MtpLabel label;
      label.opc = static_cast<std::uint32_t>(random.next());
      label.dpc = static_cast<std::uint32_t>(random.next());
      (field == 0   ? label.si
       : field == 1 ? label.ni
       : field == 2 ? label.mp
                    : label.sls) = static_cast<std::uint8_t>(v);
      store_label(packed, label);
      EXPECT_EQ(load_label(packed), label);
      EXPECT_EQ(packed[8 + field], std::byte(v));
    }
  }
}

TEST(Parameters, EveryAffectedPointCodeSurvivesPacking) {
  for (unsigned mask = 0; mask < 256; ++mask) {
    const AffectedPointCode pc{static_cast<std::uint8_t>(mask), 0x00ab'cdef ^ mask};
    EXPECT_EQ(AffectedPointCode::unpack(pc.pack()), pc);
  }
  for (std::uint32_t code = 0; code < 1u << 24; code += 257) {
    const AffectedPointCode pc{0, code};
    EXPECT_EQ(AffectedPointCode::unpack(pc.pack()), pc);
  }
}

TEST(Parameters, AMaskCoversTheLowBits) {
  const AffectedPointCode range{3, 0x1000};
  EXPECT_TRUE(range.covers(0x1000));
  EXPECT_TRUE(range.covers(0x1007));
  EXPECT_FALSE(range.covers(0x1008));
  EXPECT_FALSE(range.covers(0x0fff));
  EXPECT_TRUE((AffectedPointCode{255, 1}).covers(0x00ff'ffff));
}

struct DataCase {
  std::optional<std::uint32_t> appearance, context;
};

Buffer data_message(BufferPool& pool, const DataCase& c, const MtpLabel& label,
                    std::string_view text) {
  MessageBuilder builder(pool, MessageType::data);
  builder.u32_if(Tag::network_appearance, c.appearance).u32_if(Tag::routing_context, c.context);
  builder.protocol_data(label, as_bytes(text));
  return std::move(builder).finish();
}

TEST(DataParcel, ReceivedDataIsEncodedForAnotherContextWithoutChange) {
  BufferPool pool;
  const MtpLabel label{1001, 1002, 3, 2, 1, 9};
  for (const DataCase& from :
       {DataCase{{}, 101}, DataCase{8, 101}, DataCase{{}, {}}, DataCase{8, {}}}) {
    for (const DataCase& to :
         {DataCase{{}, 102}, DataCase{8, 102}, DataCase{9, 102}, DataCase{{}, {}}}) {
      for (const std::string_view text : {"", "a", "abcd", "a longer user part"}) {
        for (const bool shared : {false, true}) {
          Buffer message = data_message(pool, from, label, text);
          const auto view = MessageView::parse(message.bytes());
          ASSERT_TRUE(view);
          auto parcel = DataParcel::received(*view, std::move(message), Instant{5s});
          EXPECT_EQ(parcel->label, label);
          EXPECT_EQ(parcel->network_appearance, from.appearance);
          EXPECT_EQ(parcel->routing_context, from.context);
          EXPECT_EQ(as_text(parcel->user_data()), text);
          const auto other = shared ? parcel->share() : nullptr;
          const Buffer encoded = std::move(*parcel).encode(to.appearance, to.context, pool);
          const Buffer expected = data_message(pool, to, label, text);
          EXPECT_TRUE(std::ranges::equal(encoded.bytes(), expected.bytes()));
          if (other) {
            EXPECT_EQ(as_text(other->user_data()), text);
          }
        }
      }
    }
  }
}

TEST(DataParcel, RelayingRewritesTheReceivedBytesInPlace) {
  BufferPool pool;
  Buffer message = data_message(pool, {{}, 101}, {1, 2, 3, 0, 0, 0}, "payload");
  const std::byte* where = message.bytes().data();
  const auto view = MessageView::parse(message.bytes());
  auto parcel = DataParcel::received(*view, std::move(message), {});
  const Buffer relayed = std::move(*parcel).encode({}, 102, pool);
  EXPECT_EQ(relayed.bytes().data(), where);
}

// The network appearance that a session adds for routing is not in the bytes.
TEST(DataParcel, AnAppearanceSetAfterwardsIsWrittenNotAssumed) {
  BufferPool pool;
  Buffer message = data_message(pool, {{}, 101}, {1, 2, 3, 0, 0, 0}, "payload");
  const auto view = MessageView::parse(message.bytes());
  auto parcel = DataParcel::received(*view, std::move(message), {});
  parcel->network_appearance = 8;
  const Buffer relayed = std::move(*parcel).encode(8, 102, pool);
  EXPECT_EQ(MessageView::parse(relayed.bytes())->u32(Tag::network_appearance), 8u);
}

TEST(DataParcel, ACorrelationIdGoesAlongInEveryCopy) {
  BufferPool pool;
  Buffer message = data_message(pool, {{}, 101}, {1, 2, 3, 0, 0, 0}, "payload");
  const auto view = MessageView::parse(message.bytes());
  auto parcel = DataParcel::received(*view, std::move(message), {});
  parcel->correlation_id = 7;
  auto copy = parcel->share();
  for (auto* one : {&parcel, &copy}) {
    Buffer relayed = std::move(**one).encode({}, 102, pool);
    const auto again = MessageView::parse(relayed.bytes());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->u32(Tag::correlation_id), 7u);
    EXPECT_EQ(DataParcel::received(*again, std::move(relayed), {})->correlation_id, 7u);
  }
}

TEST(Message, TheTableOfParametersCanBePrinted) {
  for (const MessageRules& rules : message_rules()) {
    std::cout << rules.name << ":";
    for (std::size_t i = 0; i < rules.parameter_count; ++i) {
      const auto& [tag, presence] = rules.parameters[i];
      std::cout << " 0x" << std::hex << static_cast<unsigned>(tag) << std::dec
                << (must(presence) ? "!" : "") << (may_repeat(presence) ? "*" : "");
    }
    std::cout << '\n';
    EXPECT_EQ(name_of(rules.type), rules.name);
    EXPECT_LE(rules.parameter_count, kRulesMax);
  }
}

}  // namespace
}  // namespace siglane::m3ua
