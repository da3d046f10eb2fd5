#include "protocols/diameter/dictionary.h"

#include <gtest/gtest.h>

#include "tests/unit/diameter/test_messages.h"

namespace siglane::diameter {
namespace {

std::optional<Violation> complaint(const Buffer& message, std::size_t depth = 8) {
  if (auto violation = validate(parsed(message), dictionary(), depth)) return violation;
  return check_command(parsed(message), dictionary(), depth);
}

// The AVP that the violation's Failed-AVP holds, as bytes of their own.
struct FailedAvp {
  std::uint32_t code = 0;
  VendorId vendor = 0;
  std::string payload;
};
std::optional<FailedAvp> failed_avp(const Violation& violation) {
  BufferPool pool;
  MessageBuilder answer(pool, Header{});
  violation.add_failed_avp(answer);
  const Buffer buffer = std::move(answer).finish();
  const auto group = parsed(buffer).get(avp::failed_avp);
  if (!group || group->begin() == group->end() || group->broken_at()) return std::nullopt;
  const AvpView avp = *group->begin();
  return FailedAvp{avp.code(), avp.vendor(), std::string(as_text(avp.payload()))};
}

// A ULR with one AVP more.
template <class Add>
Buffer ulr_with(BufferPool& pool, Add add) {
  auto out = ulr(pool);
  add(out);
  return std::move(out).finish();
}

TEST(Dictionary, FindsEveryAvpByItsCodeAndVendorAndNothingElse) {
  for (const AvpEntry& entry : dictionary().avps()) {
    EXPECT_EQ(dictionary().find(entry.def.code, entry.def.vendor), &entry);
    EXPECT_EQ(dictionary().find(entry.def.name), &entry);
    EXPECT_EQ(dictionary().find(entry.def.code, 4242), nullptr);
  }
  EXPECT_EQ(dictionary().find(0, 0), nullptr);
  EXPECT_EQ(dictionary().find("No-Such-AVP"), nullptr);
}

TEST(Dictionary, KnowsItsCommandsAndApplications) {
  for (const CommandEntry& entry : dictionary().commands()) {
    EXPECT_EQ(dictionary().find(entry.def.code), &entry);
  }
  EXPECT_EQ(dictionary().find(CommandCode{1}), nullptr);
  EXPECT_EQ(dictionary().find(application::s6a)->name, "S6a");
  EXPECT_EQ(dictionary().find(application::s6a)->vendor, vendor::tgpp);
  EXPECT_EQ(dictionary().find(ApplicationId{42}), nullptr);
}

TEST(Dictionary, FindsNothingWrongWithTheVectors) {
  for (const char* name : {"ulr.bin", "ccr.bin"}) {
    const std::string bytes = vector_file(name);
    const auto message = MessageView::parse(as_bytes(bytes));
    const auto violation = validate(*message, dictionary());
    EXPECT_FALSE(violation) << name << ": " << violation->what << " at " << violation->offset;
    const auto grammar = check_command(*message, dictionary());
    EXPECT_FALSE(grammar) << name << ": " << grammar->what << " at " << grammar->offset;
  }
}

TEST(Validate, RefusesAnUnknownAvpWithTheMBitAndShowsIt) {
  BufferPool pool;
  static constexpr AvpKey<AvpType::unsigned32> kUnknown{4711, 4712, true, "Unknown"};
  const Buffer message = ulr_with(pool, [](auto& out) { out.add(kUnknown, 0x41424344u); });
  const auto violation = complaint(message);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->result, result::avp_unsupported);
  const auto failed = failed_avp(*violation);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->code, 4711u);
  EXPECT_EQ(failed->vendor, 4712u);
  EXPECT_EQ(failed->payload, "ABCD");
}

TEST(Validate, IgnoresAnUnknownAvpWithoutTheMBit) {
  BufferPool pool;
  static constexpr AvpKey<AvpType::unsigned32> kUnknown{4711, 0, false, "Unknown"};
  EXPECT_FALSE(complaint(ulr_with(pool, [](auto& out) { out.add(kUnknown, 1u); })));
}

TEST(Validate, LooksIntoGroups) {
  BufferPool pool;
  static constexpr AvpKey<AvpType::unsigned32> kUnknown{4711, 0, true, "Unknown"};
  const auto violation = complaint(ulr_with(pool, [](auto& out) {
    out.group(avp::terminal_information, [&] { out.add(kUnknown, 1u); });
  }));
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->result, result::avp_unsupported);
}

TEST(Validate, RefusesEveryReservedAvpFlag) {
  BufferPool pool;
  const std::string good(as_text(ulr(pool).finish().bytes()));
  for (unsigned flags = 0; flags < 256; ++flags) {
    std::string bytes = good;
    bytes[Header::kBytes + 4] = static_cast<char>(flags);  // of Session-Id
    const auto message = MessageView::parse(as_bytes(bytes));
    ASSERT_TRUE(message);
    const auto violation = validate(*message, dictionary());
    if ((flags & 0x1f) != 0) {
      ASSERT_TRUE(violation) << flags;
      EXPECT_EQ(violation->result, result::invalid_avp_bits);
    } else if ((flags & 0x80) != 0) {
      // Another vendor's AVP 263: unknown, so that the M bit decides.
      EXPECT_EQ(violation.has_value(), (flags & 0x40) != 0) << flags;
    } else {
      EXPECT_FALSE(violation) << flags;
    }
  }
}

struct WrongPayload {
  const AvpDef& def;
  std::string payload;
  ResultCode result;
};

TEST(Validate, RefusesPayloadsThatAreNotOfTheirType) {
  BufferPool pool;
  const WrongPayload cases[] = {
      {avp::ulr_flags, "123", result::invalid_avp_length},
      {avp::ulr_flags, "12345", result::invalid_avp_length},
      {avp::ulr_flags, "", result::invalid_avp_length},
      {avp::rat_type, "12345678", result::invalid_avp_length},
      {avp::event_timestamp, "12", result::invalid_avp_length},
      {avp::cc_total_octets, "1234", result::invalid_avp_length},
      {avp::value_digits, "1234", result::invalid_avp_length},
      {avp::exponent, "12345678", result::invalid_avp_length},
      {avp::host_ip_address, std::string("\0\1abc", 5), result::invalid_avp_length},
      {avp::host_ip_address, std::string("\0\2abcd", 6), result::invalid_avp_length},
      {avp::host_ip_address, "x", result::invalid_avp_length},
      {avp::user_name, "\xff", result::invalid_avp_value},
      {avp::origin_host, "", result::invalid_avp_value},
      {avp::origin_host, "a b", result::invalid_avp_value},
      {avp::redirect_host, "http://a", result::invalid_avp_value},
  };
  for (const WrongPayload& wrong : cases) {
    const AvpKey<AvpType::octet_string> raw(wrong.def.code, wrong.def.vendor, true, "");
    auto out = MessageBuilder::request(pool, command::update_location);
    out.add(raw, as_bytes(wrong.payload));
    const Buffer message = std::move(out).finish();
    const auto violation = validate(parsed(message), dictionary());
    ASSERT_TRUE(violation) << wrong.def.name << " \"" << wrong.payload << '"';
    EXPECT_EQ(violation->result, wrong.result) << wrong.def.name;
    EXPECT_EQ(violation->offset, Header::kBytes);
    EXPECT_EQ(failed_avp(*violation)->payload, wrong.payload);
  }
}

TEST(Validate, TakesEnumeratedValuesThatAreNotListed) {
  BufferPool pool;
  EXPECT_FALSE(complaint(
      ulr_with(pool, [](auto& out) { out.add(avp::ue_srvcc_capability, UeSrvccCapability{99}); })));
}

TEST(Validate, BoundsTheDepthOfGroups) {
  BufferPool pool;
  const auto nested = [&](std::size_t depth) {
    auto out = ulr(pool);
    std::function<void(std::size_t)> nest = [&](std::size_t left) {
      if (left != 0) out.group(avp::failed_avp, [&] { nest(left - 1); });
    };
    nest(depth);
    return std::move(out).finish();
  };
  EXPECT_FALSE(validate(parsed(nested(4)), dictionary(), 4));
  const Buffer deep = nested(5);
  const auto violation = validate(parsed(deep), dictionary(), 4);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->result, result::invalid_avp_value);
  EXPECT_FALSE(validate(parsed(nested(5)), dictionary(), 5));
}

// RFC 6733 §7.1.5, 5014: the header, and zeros of the least length its type can have.
TEST(Validate, ShowsABrokenAvpWithinAGroupAsAnExampleOfItsKind) {
  BufferPool pool;
  auto out = ulr(pool);
  const auto inside = [&](std::string_view broken) {
    auto message = ulr(pool);
    const AvpKey<AvpType::octet_string> raw(avp::supported_features.code, vendor::tgpp, true, "");
    message.add(raw, as_bytes(broken));
    return std::move(message).finish();
  };
  // Feature-List with a length of 99.
  const Buffer message = inside(std::string_view("\0\0\2\x76\x80\0\0\x63\0\0\x28\xaf\0\0\0\1", 16));
  const auto violation = validate(parsed(message), dictionary());
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->result, result::invalid_avp_length);
  EXPECT_TRUE(violation->broken);
  const auto failed = failed_avp(*violation);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->code, avp::feature_list.code);
  EXPECT_EQ(failed->vendor, vendor::tgpp);
  EXPECT_EQ(failed->payload, std::string(4, '\0'));
  // A header that is cut is padded with zeros.
  const Buffer cut = inside(std::string_view("\0\0\2\x76", 4));
  const auto cut_violation = validate(parsed(cut), dictionary());
  ASSERT_TRUE(cut_violation);
  EXPECT_EQ(failed_avp(*cut_violation)->code, avp::feature_list.code);
  EXPECT_EQ(failed_avp(*cut_violation)->payload, "");
}

TEST(CheckCommand, NamesEachMissingAvpWithAnExampleOfMinimumLength) {
  BufferPool pool;
  const Buffer whole = ulr(pool).finish();
  struct Required {
    const AvpDef& def;
    std::size_t least;
  };
  const Required required[] = {
      {avp::session_id, 0},   {avp::auth_session_state, 4}, {avp::origin_host, 1},
      {avp::origin_realm, 1}, {avp::destination_realm, 1},  {avp::user_name, 0},
      {avp::rat_type, 4},     {avp::ulr_flags, 4},          {avp::visited_plmn_id, 0},
  };
  for (const Required& one : required) {
    MessageBuilder out(pool, parsed(whole).header());
    for (const AvpView avp : parsed(whole).avps()) {
      if (!avp.is(one.def)) out.add_raw(avp.raw());
    }
    const Buffer message = std::move(out).finish();
    const auto violation = complaint(message);
    ASSERT_TRUE(violation) << one.def.name;
    EXPECT_EQ(violation->result, result::missing_avp);
    const auto failed = failed_avp(*violation);
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->code, one.def.code);
    EXPECT_EQ(failed->vendor, one.def.vendor);
    EXPECT_EQ(failed->payload, std::string(one.least, '\0'));
  }
  EXPECT_FALSE(complaint(whole));
}

TEST(CheckCommand, ShowsTheFirstAvpThatIsOneTooMany) {
  BufferPool pool;
  const Buffer message =
      ulr_with(pool, [](auto& out) { out.add(avp::user_name, "2nd").add(avp::user_name, "3rd"); });
  const auto violation = complaint(message);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->result, result::avp_occurs_too_many_times);
  EXPECT_EQ(failed_avp(*violation)->payload, "2nd");
}

TEST(CheckCommand, CountsWithinGroups) {
  BufferPool pool;
  const auto with_features = [&](bool whole) {
    return ulr_with(pool, [&](auto& out) {
      out.group(avp::supported_features, [&] {
        out.add(avp::vendor_id, vendor::tgpp).add(avp::feature_list_id, 1u);
        if (whole) out.add(avp::feature_list, 1u);
      });
    });
  };
  EXPECT_FALSE(complaint(with_features(true)));
  const Buffer message = with_features(false);
  const auto violation = complaint(message);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->result, result::missing_avp);
  EXPECT_EQ(failed_avp(*violation)->code, avp::feature_list.code);
}

TEST(CheckCommand, RefusesWhatAClosedGroupDoesNotName) {
  BufferPool pool;
  const Buffer message = ulr_with(pool, [](auto& out) {
    out.group(avp::vendor_specific_application_id,
              [&] { out.add(avp::vendor_id, vendor::tgpp).add(avp::user_name, "not here"); });
  });
  const auto violation = complaint(message);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->result, result::avp_not_allowed);
  EXPECT_EQ(failed_avp(*violation)->payload, "not here");
}

TEST(CheckCommand, WantsOneApplicationIdInAVendorSpecificApplicationId) {
  BufferPool pool;
  const auto with_ids = [&](bool auth, bool acct) {
    return ulr_with(pool, [&](auto& out) {
      out.group(avp::vendor_specific_application_id, [&] {
        out.add(avp::vendor_id, vendor::tgpp);
        if (auth) out.add(avp::auth_application_id, 1u);
        if (acct) out.add(avp::acct_application_id, 2u);
      });
    });
  };
  EXPECT_FALSE(complaint(with_ids(true, false)));
  EXPECT_FALSE(complaint(with_ids(false, true)));
  for (const bool both : {true, false}) {
    const Buffer message = with_ids(both, both);
    const auto violation = complaint(message);
    ASSERT_TRUE(violation);
    EXPECT_EQ(violation->result, both ? result::avp_occurs_too_many_times : result::missing_avp);
    MessageBuilder answer(pool, Header{});
    violation->add_failed_avp(answer);
    const Buffer buffer = std::move(answer).finish();
    const auto failed = parsed(buffer).get(avp::failed_avp);
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->get(avp::auth_application_id), both ? 1u : 0u);
    EXPECT_EQ(failed->get(avp::acct_application_id), both ? 2u : 0u);
  }
}

TEST(CheckCommand, TellsAnUnknownCommand) {
  BufferPool pool;
  Header header;
  header.flags = command_flag::kRequest;
  header.command = CommandCode{999};
  const Buffer message = MessageBuilder(pool, header).finish();
  const auto violation = complaint(message);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->result, result::command_unsupported);
  EXPECT_FALSE(failed_avp(*violation));
}

TEST(CheckCommand, AsksOfAnErrorAnswerOnlyWhatEveryErrorAnswerHas) {
  BufferPool pool;
  const Buffer request = ulr(pool).finish();
  auto answer = MessageBuilder::answer(pool, parsed(request).header(), true);
  answer.add(avp::result_code, 3002u).add(avp::origin_host, "h").add(avp::origin_realm, "r");
  EXPECT_FALSE(complaint(std::move(answer).finish()));
  auto without = MessageBuilder::answer(pool, parsed(request).header(), true);
  without.add(avp::result_code, 3002u).add(avp::origin_host, "h");
  const Buffer message = std::move(without).finish();
  const auto violation = complaint(message);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->example->code, avp::origin_realm.code);
}

TEST(Dictionary, AViolationNamesTheAvpAndItsCode) {
  BufferPool pool;
  const auto text_of = [](const Buffer& message) {
    auto violation = validate(parsed(message), dictionary());
    if (!violation) violation = check_command(parsed(message), dictionary());
    return violation ? violation->text() : std::string();
  };
  const Buffer good = ulr(pool).finish();
  MessageBuilder without(pool, parsed(good).header());
  for (const AvpView avp : parsed(good).avps()) {
    if (!avp.is(avp::visited_plmn_id)) without.add_raw(avp.raw());
  }
  EXPECT_EQ(text_of(std::move(without).finish()),
            "Visited-PLMN-Id (1407, vendor 10415) is missing");
  EXPECT_EQ(text_of(ulr_with(pool, [](auto& out) { out.add(avp::user_name, "2"); })),
            "User-Name (1) occurs too many times");
  EXPECT_EQ(text_of(ulr_with(pool, [](auto& out) { out.add(avp::route_record, "a b"); })),
            "Route-Record (282) is not a DiameterIdentity");
  EXPECT_EQ(text_of(ulr_with(pool,
                             [](auto& out) {
                               out.add(AvpKey<AvpType::octet_string>(9999, 10415, true, ""),
                                       Bytes());
                             })),
            "AVP (9999, vendor 10415) is mandatory and not known here");
  EXPECT_EQ(text_of(ulr_with(pool,
                             [](auto& out) {
                               out.group(avp::vendor_specific_application_id,
                                         [&] { out.add(avp::vendor_id, 10415u); });
                             })),
            "Auth-Application-Id (258) or Acct-Application-Id (259) is missing");
  EXPECT_EQ(text_of(ulr_with(pool,
                             [](auto& out) {
                               out.group(avp::vendor_specific_application_id, [&] {
                                 out.add(avp::vendor_id, 10415u)
                                     .add(avp::auth_application_id, 1u)
                                     .add(avp::acct_application_id, 2u);
                               });
                             })),
            "Auth-Application-Id (258) beside Acct-Application-Id (259) occurs too many times: one "
            "application id is allowed");
}

}  // namespace
}  // namespace siglane::diameter
