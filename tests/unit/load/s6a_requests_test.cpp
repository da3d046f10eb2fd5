#include "apps/load/s6a_requests.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/diameter/dictionary.h"

namespace siglane::load {
namespace {

using diameter::MessageView;
namespace avp = diameter::avp;

diameter::DiameterConfig mme() {
  diameter::DiameterConfig config;
  config.origin_host = "mme07.example";
  config.origin_realm = "example";
  return config;
}

S6aRequestsConfig requests_config() {
  return {.imsis = *ImsiRange::from("001010000000001", 1000),
          .destination_realm = "home.example",
          .destination_host = {},
          .visited_plmn = *plmn_octets("00101"),
          .vectors_per_request = 2,
          .run = 4711};
}

TEST(S6aRequests, AreCompleteByTheDictionary) {
  BufferPool pool;
  S6aRequests requests(mme(), requests_config(), 1);
  for (const S6aRequest kind : kS6aRequests) {
    const Buffer bytes = requests.make(pool, kind, 0);
    const auto message = MessageView::parse(bytes.bytes());
    ASSERT_TRUE(message.has_value()) << name_of(kind);
    EXPECT_TRUE(message->is_request());
    EXPECT_EQ(diameter::validate(*message, diameter::dictionary()), std::nullopt) << name_of(kind);
    EXPECT_EQ(diameter::check_command(*message, diameter::dictionary()), std::nullopt)
        << name_of(kind);
    EXPECT_EQ(message->get(avp::origin_host), "mme07.example");
    EXPECT_EQ(message->get(avp::destination_realm), "home.example");
    EXPECT_FALSE(message->get(avp::destination_host).has_value());
  }
}

TEST(S6aRequests, AskForWhatTheConfigSays) {
  BufferPool pool;
  auto config = requests_config();
  config.destination_host = "hss.home.example";
  S6aRequests requests(mme(), config, 1);
  const Buffer bytes = requests.make(pool, S6aRequest::authentication_information, 0);
  const auto air = *MessageView::parse(bytes.bytes());
  EXPECT_TRUE(air.is(diameter::command::authentication_information));
  EXPECT_EQ(air.get(avp::destination_host), "hss.home.example");
  const auto wanted = air.get(avp::requested_eutran_authentication_info);
  ASSERT_TRUE(wanted.has_value());
  EXPECT_EQ(wanted->get(avp::number_of_requested_vectors), 2u);
}

TEST(S6aRequests, HaveASessionAndAnEndToEndIdentifierOfTheirOwn) {
  BufferPool pool;
  S6aRequests requests(mme(), requests_config(), 1);
  std::set<std::string> sessions;
  std::set<std::uint32_t> ends;
  for (int n = 0; n < 1000; ++n) {
    const Buffer bytes = requests.make(pool, kS6aRequests[static_cast<std::size_t>(n) % 3], 5);
    const auto message = *MessageView::parse(bytes.bytes());
    const auto session = message.get(avp::session_id);
    ASSERT_TRUE(session.has_value());
    EXPECT_THAT(std::string(*session), testing::StartsWith("mme07.example;4711;"));
    sessions.emplace(*session);
    ends.insert(message.header().end_to_end);
  }
  EXPECT_EQ(sessions.size(), 1000u);
  EXPECT_EQ(ends.size(), 1000u);
}

TEST(S6aRequests, AreAboutTheSubscriberAskedFor) {
  BufferPool pool;
  S6aRequests requests(mme(), requests_config(), 1);
  auto user_of = [&](std::uint64_t imsi) {
    const Buffer bytes = requests.make(pool, S6aRequest::update_location, imsi);
    return std::string(*MessageView::parse(bytes.bytes())->get(avp::user_name));
  };
  EXPECT_EQ(user_of(0), "001010000000001");
  EXPECT_EQ(user_of(999), "001010000001000");
  EXPECT_EQ(user_of(41), "001010000000042");
}

TEST(ImsiRange, KeepsLeadingZerosAndItsWidth) {
  const auto range = ImsiRange::from("001019999999990", 10);
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->text(0), "001019999999990");
  EXPECT_EQ(range->text(9), "001019999999999");
}

TEST(ImsiRange, RefusesWhatIsNoRangeOfImsis) {
  EXPECT_FALSE(ImsiRange::from("", 1));
  EXPECT_FALSE(ImsiRange::from("0010100000000011", 1));
  EXPECT_FALSE(ImsiRange::from("00101000000000x", 1));
  EXPECT_FALSE(ImsiRange::from("001010000000001", 0));
  EXPECT_TRUE(ImsiRange::from("999999999999990", 10));
  EXPECT_FALSE(ImsiRange::from("999999999999990", 11));
}

TEST(Plmn, IsPackedAsTheStandardDraws) {
  using testing::ElementsAre;
  EXPECT_THAT(*plmn_octets("00101"),
              ElementsAre(std::byte{0x00}, std::byte{0xF1}, std::byte{0x10}));
  EXPECT_THAT(*plmn_octets("310260"),
              ElementsAre(std::byte{0x13}, std::byte{0x00}, std::byte{0x62}));
  EXPECT_FALSE(plmn_octets("0010"));
  EXPECT_FALSE(plmn_octets("0010x"));
}

}  // namespace
}  // namespace siglane::load
