#include "protocols/diameter/message.h"

#include <limits>

#include <gtest/gtest.h>

#include "core/random.h"
#include "tests/unit/diameter/test_messages.h"

namespace siglane::diameter {
namespace {

DecodeError error_of(const std::string& bytes) {
  const auto message = MessageView::parse(bytes_of(bytes));
  return message ? DecodeError{} : message.error();
}

std::size_t count_avps(AvpList avps, const Dictionary& known) {
  std::size_t count = 0;
  for (const AvpView avp : avps) {
    ++count;
    const AvpEntry* entry = known.find(avp.code(), avp.vendor());
    if (entry != nullptr && entry->def.type == AvpType::grouped) {
      count += count_avps(avp.group(), known);
    }
  }
  return count;
}

TEST(Message, ReadsTheUpdateLocationRequestOfTheVectors) {
  const std::string bytes = vector_file("ulr.bin");
  const auto message = MessageView::parse(bytes_of(bytes));
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->is(command::update_location));
  EXPECT_TRUE(message->is_request());
  EXPECT_TRUE(message->header().is_proxiable());
  EXPECT_EQ(message->application(), application::s6a);
  EXPECT_EQ(message->header().hop_by_hop, 0x11223344u);
  EXPECT_EQ(message->header().end_to_end, 0x55667788u);
  EXPECT_EQ(message->get(avp::user_name), "001010000000001");
  EXPECT_EQ(message->get(avp::origin_host), "mme01.epc.mnc001.mcc001.3gppnetwork.org");
  EXPECT_EQ(message->get(avp::rat_type), RatType::eutran);
  EXPECT_EQ(message->get(avp::ulr_flags), 34u);
  const auto features = message->get(avp::supported_features);
  ASSERT_TRUE(features);
  EXPECT_EQ(features->get(avp::feature_list_id), 1u);
  EXPECT_EQ(count_avps(message->avps(), dictionary()), 17u);
}

TEST(Message, ReadsTheThreeLevelsOfTheCreditControlRequestOfTheVectors) {
  const std::string bytes = vector_file("ccr.bin");
  const auto message = MessageView::parse(bytes_of(bytes));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->get(avp::cc_request_type), CcRequestType::update_request);
  EXPECT_EQ(message->avps().count(avp::multiple_services_credit_control), 2u);
  const auto services = message->get(avp::multiple_services_credit_control);
  const auto used = services->get(avp::used_service_unit);
  ASSERT_TRUE(used);
  EXPECT_EQ(used->get(avp::cc_total_octets), 123456u);
  EXPECT_EQ(message->get(avp::event_timestamp), Time{0xe5000000u});
  EXPECT_EQ(count_avps(message->avps(), dictionary()), 44u);
}

// What was read, built anew from its values, is the same bytes.
TEST(Message, RebuildsTheUpdateLocationRequestByteForByte) {
  BufferPool pool;
  const std::string bytes = vector_file("ulr.bin");
  const MessageView in = *MessageView::parse(bytes_of(bytes));
  auto out = MessageBuilder::request(pool, command::update_location, in.header().hop_by_hop,
                                     in.header().end_to_end);
  out.add(avp::session_id, *in.get(avp::session_id));
  out.group(avp::vendor_specific_application_id, [&] {
    out.add(avp::vendor_id, vendor::tgpp).add(avp::auth_application_id, 16777251u);
  });
  out.add(avp::auth_session_state, AuthSessionState::no_state_maintained)
      .add(avp::origin_host, *in.get(avp::origin_host))
      .add(avp::origin_realm, *in.get(avp::origin_realm))
      .add(avp::destination_host, *in.get(avp::destination_host))
      .add(avp::destination_realm, *in.get(avp::destination_realm))
      .add(avp::user_name, *in.get(avp::user_name));
  const AvpList features = *in.get(avp::supported_features);
  // The vector sends these with the M bit, which S6a does not set.
  out.add_raw(in.find(avp::supported_features)->raw());
  out.add(avp::rat_type, RatType::eutran)
      .add(avp::ulr_flags, 34u)
      .add(avp::visited_plmn_id, *in.get(avp::visited_plmn_id));
  EXPECT_EQ(features.get(avp::feature_list_id), 1u);
  EXPECT_EQ(as_text(std::move(out).finish().bytes()), bytes);
}

TEST(Message, RefusesFewerBytesThanAHeader) {
  for (std::size_t size = 0; size < Header::kBytes; ++size) {
    EXPECT_EQ(error_of(std::string(size, '\1')).result, result::invalid_message_length);
  }
}

TEST(Message, RefusesAnotherVersion) {
  std::string bytes = vector_file("ulr.bin");
  bytes[0] = 2;
  EXPECT_EQ(error_of(bytes).result, result::unsupported_version);
}

TEST(Message, RefusesALengthThatIsNotItsOwnOrNoMultipleOfFour) {
  std::string bytes = vector_file("ulr.bin");
  EXPECT_EQ(error_of(bytes + std::string(4, '\0')).result, result::invalid_message_length);
  EXPECT_EQ(error_of(bytes.substr(0, 440)).result, result::invalid_message_length);
  std::string odd = bytes + std::string(2, '\0');
  odd[2] = static_cast<char>(odd.size() >> 8);
  odd[3] = static_cast<char>(odd.size());
  EXPECT_EQ(error_of(odd).result, result::invalid_message_length);
}

TEST(Message, AcceptsExactlyTheHeaderBitsThatMakeSense) {
  std::string bytes = vector_file("ulr.bin");
  for (unsigned flags = 0; flags < 256; ++flags) {
    bytes[Header::kFlagsAt] = static_cast<char>(flags);
    const bool request = (flags & 0x80) != 0, error = (flags & 0x20) != 0,
               again = (flags & 0x10) != 0;
    const bool sensible = request ? !error : !again;
    const auto message = MessageView::parse(bytes_of(bytes));
    ASSERT_EQ(message.has_value(), sensible) << flags;
    if (!message) {
      EXPECT_EQ(message.error().result, result::invalid_hdr_bits);
      continue;
    }
    EXPECT_EQ(message->header().is_request(), request);
    EXPECT_EQ(message->header().is_error(), error);
    EXPECT_EQ(message->header().is_retransmitted(), again);
    EXPECT_EQ(message->header().is_proxiable(), (flags & 0x40) != 0);
  }
}

TEST(Message, TellsWhereAnAvpLengthIsImpossible) {
  const std::string good = vector_file("ulr.bin");
  const std::size_t first = Header::kBytes + 5;
  for (const unsigned length : {0u, 7u, 445u, 0xffffffu}) {
    std::string bytes = good;
    bytes[first] = static_cast<char>(length >> 16);
    bytes[first + 1] = static_cast<char>(length >> 8);
    bytes[first + 2] = static_cast<char>(length);
    const auto message = MessageView::parse(bytes_of(bytes));
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().result, result::invalid_avp_length);
    EXPECT_EQ(message.error().offset, Header::kBytes);
  }
}

TEST(Message, SalvagesWhatIsWholeOfABrokenOne) {
  BufferPool pool;
  auto out = MessageBuilder::request(pool, command::update_location, 1, 2);
  out.add(avp::session_id, "s").add(avp::user_name, "u");
  std::string bytes(as_text(std::move(out).finish().bytes()));
  bytes[bytes.size() - 12 + 7] = 4;  // the length of User-Name
  ASSERT_FALSE(MessageView::parse(bytes_of(bytes)));
  const auto rest = MessageView::salvage(bytes_of(bytes));
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->get(avp::session_id), "s");
  EXPECT_FALSE(rest->find(avp::user_name));
  EXPECT_FALSE(MessageView::salvage(bytes_of(bytes).first(19)));
}

// Every prefix, and every single byte changed: an answer or an error, and iterating ends.
TEST(Message, IsTotalOnTruncatedAndAlteredBytes) {
  for (const char* name : {"ulr.bin", "ccr.bin"}) {
    const std::string good = vector_file(name);
    for (std::size_t size = 0; size <= good.size(); ++size) {
      const auto message = MessageView::parse(bytes_of(good).first(size));
      EXPECT_EQ(message.has_value(), size == good.size());
    }
    Random random(1);
    for (std::size_t at = 0; at < good.size(); ++at) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(random.next());
      if (const auto message = MessageView::parse(bytes_of(bytes))) {
        EXPECT_LE(count_avps(message->avps(), dictionary()), good.size() / 8);
      }
    }
  }
}

TEST(Message, GettersAnswerNothingWherePayloadAndTypeDisagree) {
  BufferPool pool;
  auto out = MessageBuilder::request(pool, command::update_location);
  const std::byte three[3] = {};
  for (const AvpDef* def :
       {static_cast<const AvpDef*>(&avp::ulr_flags), static_cast<const AvpDef*>(&avp::rat_type)}) {
    const AvpKey<AvpType::octet_string> wrong(def->code, def->vendor, true, def->name);
    out.add(wrong, three);
  }
  const AvpKey<AvpType::octet_string> no_time(avp::event_timestamp.code, 0, true, "");
  const AvpKey<AvpType::octet_string> no_octets(avp::cc_total_octets.code, 0, true, "");
  const AvpKey<AvpType::octet_string> no_address(avp::host_ip_address.code, 0, true, "");
  out.add(no_time, three).add(no_octets, three).add(no_address, three);
  const Buffer buffer = std::move(out).finish();
  const MessageView message = parsed(buffer);
  EXPECT_TRUE(message.find(avp::ulr_flags));
  EXPECT_FALSE(message.get(avp::ulr_flags));
  EXPECT_FALSE(message.get(avp::rat_type));
  EXPECT_FALSE(message.get(avp::event_timestamp));
  EXPECT_FALSE(message.get(avp::cc_total_octets));
  EXPECT_TRUE(message.get(avp::host_ip_address));  // family 0, one byte: not ours to judge
}

TEST(Message, KeepsAVendorsAvpApartFromTheBaseAvpOfTheSameCode) {
  BufferPool pool;
  auto out = MessageBuilder::request(pool, command::credit_control);
  out.add(avp::tgpp_imsi, "of 3GPP").add(avp::user_name, "of the base");  // both have code 1
  const Buffer buffer = std::move(out).finish();
  EXPECT_EQ(parsed(buffer).get(avp::user_name), "of the base");
  EXPECT_EQ(parsed(buffer).get(avp::tgpp_imsi), "of 3GPP");
}

TEST(Message, AnswersCarryTheRequestsIdentifiersCommandAndPBit) {
  BufferPool pool;
  const Buffer request = ulr(pool).finish();
  const Buffer answer = MessageBuilder::answer(pool, parsed(request).header(), true).finish();
  const Header header = parsed(answer).header();
  EXPECT_EQ(header.flags, command_flag::kProxiable | command_flag::kError);
  EXPECT_EQ(header.command, command::update_location.code);
  EXPECT_EQ(header.application, application::s6a);
  EXPECT_EQ(header.hop_by_hop, 77u);
  EXPECT_EQ(header.end_to_end, 1u);
  const Buffer dwr = MessageBuilder::request(pool, command::device_watchdog).finish();
  EXPECT_EQ(parsed(dwr).header().flags, command_flag::kRequest);
}

TEST(Message, FindsTheResultInResultCodeOrInExperimentalResult) {
  BufferPool pool;
  Header header;
  header.command = command::update_location.code;
  auto base = MessageBuilder(pool, header);
  base.add(avp::result_code, 2001u);
  EXPECT_EQ(parsed(std::move(base).finish()).result_code(), result::success);
  auto experimental = MessageBuilder(pool, header);
  experimental.group(avp::experimental_result, [&] {
    experimental.add(avp::vendor_id, vendor::tgpp).add(avp::experimental_result_code, 5001u);
  });
  const Buffer buffer = std::move(experimental).finish();
  EXPECT_EQ(parsed(buffer).result_code(), experimental_result::user_unknown);
  EXPECT_FALSE(parsed(MessageBuilder(pool, header).finish()).result_code());
}

std::string random_text(Random& random, std::size_t size_max) {
  std::string text(random.below(size_max + 1), '\0');
  for (char& c : text) c = static_cast<char>('a' + random.below(26));
  return text;
}

// Whatever is added comes back, through any nesting, and encoding it again gives the same bytes.
TEST(Message, EveryTypeSurvivesTheRoundTrip) {
  BufferPool pool;
  Random random(42);
  for (int round = 0; round < 2000; ++round) {
    const std::string text = random_text(random, 40), identity = "h" + random_text(random, 20);
    const auto u32 = static_cast<std::uint32_t>(random.next());
    const auto u64 = random.next();
    const auto i32 = static_cast<std::int32_t>(random.next());
    const auto i64 = static_cast<std::int64_t>(random.next());
    const bool six = random.below(2) == 0;
    const std::string address = random_text(random, 0) + std::string(six ? 16 : 4, 'x');
    const Address ip{six ? Address::kIpv6 : Address::kIpv4, as_bytes(address)};
    static constexpr AvpKey<AvpType::float32> kFloat{9001, 0, false, "Float"};
    static constexpr AvpKey<AvpType::float64> kDouble{9002, 9, true, "Double"};
    auto out = MessageBuilder::request(pool, command::credit_control, u32, ~u32, 32);
    {
      const auto outer = out.group(avp::multiple_services_credit_control);
      {
        const auto inner = out.group(avp::used_service_unit);
        out.add(avp::cc_total_octets, u64).add(avp::cc_time, u32);
        out.group(avp::cc_money, [&] {
          out.group(avp::unit_value,
                    [&] { out.add(avp::value_digits, i64).add(avp::exponent, i32); });
        });
      }
      out.add(avp::rating_group, u32);
    }
    out.add(avp::subscription_id_data, text)
        .add(avp::origin_host, identity)
        .add(avp::class_, as_bytes(text))
        .add(avp::host_ip_address, ip)
        .add(avp::event_timestamp, Time{u32})
        .add(avp::redirect_host, "aaa://" + identity)
        .add(avp::tariff_change_usage, TariffChangeUsage::unit_indeterminate)
        .add(kFloat, 1.5f)
        .add(kDouble, -0.25);
    const Buffer buffer = std::move(out).finish();
    ASSERT_EQ(buffer.size() % 4, 0u);
    const MessageView in = parsed(buffer);
    EXPECT_EQ(in.header().length, buffer.size());
    const auto services = in.get(avp::multiple_services_credit_control);
    ASSERT_TRUE(services);
    const auto used = services->get(avp::used_service_unit);
    ASSERT_TRUE(used);
    EXPECT_EQ(used->get(avp::cc_total_octets), u64);
    EXPECT_EQ(used->get(avp::cc_time), u32);
    const auto value = used->get(avp::cc_money)->get(avp::unit_value);
    EXPECT_EQ(value->get(avp::value_digits), i64);
    EXPECT_EQ(value->get(avp::exponent), i32);
    EXPECT_EQ(services->get(avp::rating_group), u32);
    EXPECT_EQ(in.get(avp::subscription_id_data), text);
    EXPECT_EQ(in.get(avp::origin_host), identity);
    EXPECT_EQ(as_text(*in.get(avp::class_)), text);
    EXPECT_EQ(in.get(avp::host_ip_address)->family, ip.family);
    EXPECT_EQ(as_text(in.get(avp::host_ip_address)->bytes), address);
    EXPECT_EQ(in.get(avp::event_timestamp), Time{u32});
    EXPECT_EQ(in.get(avp::redirect_host), "aaa://" + identity);
    EXPECT_EQ(in.get(avp::tariff_change_usage), TariffChangeUsage::unit_indeterminate);
    EXPECT_EQ(in.get(kFloat), 1.5f);
    EXPECT_EQ(in.get(kDouble), -0.25);

    MessageBuilder copy(pool, in.header());
    for (const AvpView avp : in.avps()) copy.add_raw(avp.raw());
    EXPECT_EQ(as_text(std::move(copy).finish().bytes()), as_text(buffer.bytes()));
  }
}

TEST(Message, PadsEveryAvpWithZerosToAMultipleOfFour) {
  BufferPool pool;
  for (std::size_t size = 0; size < 9; ++size) {
    auto out = MessageBuilder::request(pool, command::update_location);
    out.add(avp::user_name, std::string(size, 'x'));
    const Buffer buffer = std::move(out).finish();
    const std::size_t padded = (size + 3) / 4 * 4;
    ASSERT_EQ(buffer.size(), Header::kBytes + 8 + padded);
    for (std::size_t i = Header::kBytes + 8 + size; i < buffer.size(); ++i) {
      EXPECT_EQ(buffer.bytes()[i], std::byte{0});
    }
  }
}

TEST(Message, AllocatesNothingWhenThePoolIsWarm) {
  BufferPool pool;
  { const Buffer warm = ulr(pool).finish(); }
  const auto before = pool.heap_allocations();
  for (int i = 0; i < 100; ++i) {
    const Buffer buffer = ulr(pool).finish();
    ASSERT_TRUE(MessageView::parse(buffer.bytes()));
  }
  EXPECT_EQ(pool.heap_allocations(), before);
}

}  // namespace
}  // namespace siglane::diameter
