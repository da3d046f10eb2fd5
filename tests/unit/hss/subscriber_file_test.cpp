#include "apps/hss/subscriber_file.h"

#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include "apps/hss/subscription_json.h"
#include "tests/unit/hss/store_fixture.h"

namespace siglane::hss {
namespace {

using ::testing::TempDir;

class SubscriberFileTest : public ::testing::Test {
 protected:
  Result<std::vector<Subscriber>> read(const std::string& text) {
    std::ofstream(path_) << text;
    return read_subscribers(path_);
  }
  // What read() refuses `text` with, without the path.
  std::string complaint(const std::string& text) {
    const auto subscribers = read(text);
    if (subscribers) return "";
    std::string what = subscribers.error().what;
    for (auto at = what.find(path_); at != std::string::npos; at = what.find(path_)) {
      what.replace(at, path_.size(), "file");
    }
    return what;
  }
  ~SubscriberFileTest() override { std::remove(path_.c_str()); }

  const std::string path_ = TempDir() + "subscribers-" +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name() +
                            ".json";
};

TEST_F(SubscriberFileTest, ReadsKeysAndSubscribersThatStandElsewhere) {
  const std::string key = path_ + ".key", more = path_ + ".more";
  std::ofstream(key) << "465b5ce8b199b49faa5f0a2ee238a6bc\n";
  std::ofstream(more) << R"({"subscribers": [{"imsi": "001010000000008",
    "k": "00112233445566778899aabbccddeeff", "opc": "00112233445566778899aabbccddeeff"}]})";
  const std::string begin = R"({"include": [")" + more + R"("], "subscribers": [{
    "imsi": "001010000000007", "opc": "cd63cb71954a9f4e48a5994e37a02baf", "k": {"from_file": ")";
  const auto subscribers = read(begin + key + R"("}}]})");
  ASSERT_TRUE(subscribers) << subscribers.error().what;
  std::set<std::string> imsis;
  for (const Subscriber& one : *subscribers) imsis.emplace(one.imsi.text());
  EXPECT_EQ(imsis, (std::set<std::string>{"001010000000007", "001010000000008"}));
  std::ofstream(key) << "465b5ce8";
  const std::string what = complaint(begin + key + R"("}}]})");
  EXPECT_NE(what.find("/subscribers/0/k"), what.npos) << what;
  EXPECT_EQ(what.find("465b5ce8"), what.npos) << what;
  std::remove(key.c_str());
  std::remove(more.c_str());
}

TEST_F(SubscriberFileTest, ReadsOneSubscriber) {
  const auto subscribers = read(R"({"subscribers": [{
    "imsi": "001010000000007", "k": "465b5ce8b199b49faa5f0a2ee238a6bc",
    "op": "cdc202d5123e20f62b6d676ac72cb318", "amf": "b9b9", "sqn": 1234, "msisdn": "49151",
    "subscription": {
      "network_access_mode": "only-packet", "barred_access": ["utran", "nb-iot"],
      "visited_plmns": ["00101", "310410"],
      "ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 2},
      "apns": [{"apn": "internet", "qci": 5, "pdn_type": "ipv6",
                "ambr": {"uplink_bits_per_second": 3, "downlink_bits_per_second": 4}}]}}]})");
  ASSERT_TRUE(subscribers) << subscribers.error().what;
  ASSERT_EQ(subscribers->size(), 1u);
  const Subscriber& one = subscribers->front();
  EXPECT_EQ(one.imsi.text(), "001010000000007");
  EXPECT_EQ(hex(one.opc), "cd63cb71954a9f4e48a5994e37a02baf") << "from OP, TS 35.207 set 1";
  EXPECT_EQ(hex(one.amf), "b9b9");
  EXPECT_EQ(one.sqn.value, 1234u);
  EXPECT_EQ(one.msisdn, "49151");
  const Subscription& subscription = *one.subscription;
  EXPECT_EQ(subscription.network_access_mode, NetworkAccessMode::only_packet);
  EXPECT_EQ(subscription.access_restriction, kUtranNotAllowed | kNbIotNotAllowed);
  EXPECT_TRUE(subscription.allows(*plmn_from_digits("310410")));
  EXPECT_FALSE(subscription.allows(*plmn_from_digits("26201")));
  ASSERT_EQ(subscription.apns.size(), 1u);
  EXPECT_EQ(subscription.apns[0].context_identifier, 1u);
  EXPECT_EQ(subscription.apns[0].pdn_type, PdnType::ipv6);
  EXPECT_EQ(subscription.apns[0].ambr, (Ambr{3, 4}));
}

TEST_F(SubscriberFileTest, ARangeGivesEachSubscriberItsOwnImsiMsisdnAndKey) {
  const auto subscribers = read(R"({"subscribers": [{
    "imsi_first": "001010000000098", "count": 5, "msisdn_first": "999",
    "k_master": "000102030405060708090a0b0c0d0e0f",
    "opc": "cd63cb71954a9f4e48a5994e37a02baf"}]})");
  EXPECT_FALSE(subscribers) << "999 + 1 has no three digits";

  const auto good = read(R"({"subscribers": [{
    "imsi_first": "001010000000098", "count": 5, "msisdn_first": "1998",
    "k_master": "000102030405060708090a0b0c0d0e0f",
    "opc": "cd63cb71954a9f4e48a5994e37a02baf"}]})");
  ASSERT_TRUE(good) << good.error().what;
  ASSERT_EQ(good->size(), 5u);
  EXPECT_EQ(good->back().imsi.text(), "001010000000102");
  EXPECT_EQ(good->back().msisdn, "2002");
  std::set<std::string> keys;
  for (const Subscriber& subscriber : *good) keys.insert(hex(subscriber.k));
  EXPECT_EQ(keys.size(), 5u);
  // printf '001010000000098\0' | openssl enc -aes-128-ecb -nopad -K 000102…0f
  EXPECT_EQ(hex(good->front().k), "209a6a8d1f44b58f048841f42b075182");
}

TEST_F(SubscriberFileTest, SaysWhereAndWhatIsWrong) {
  const std::string what = complaint(R"({"subscribers": [
    {"imsi": "00101", "k": "46", "opc": "cd63cb71954a9f4e48a5994e37a02baf"},
    {"imsi": "001010000000001", "k": "465b5ce8b199b49faa5f0a2ee238a6bc", "opcc": "00"}
  ]})");
  EXPECT_NE(what.find("file:2: /subscribers/0/imsi: \"00101\" is not an IMSI"), std::string::npos)
      << what;
  EXPECT_NE(what.find("file:2: /subscribers/0/k: "), std::string::npos) << what;
  EXPECT_NE(what.find("file:3: /subscribers/1/opc"), std::string::npos) << what;
  EXPECT_NE(what.find("opcc"), std::string::npos) << what;
}

TEST_F(SubscriberFileTest, TakesAnMsisdnInItsInternationalFormOnly) {
  const auto complaint_of = [&](const std::string& msisdn) {
    return complaint(R"({"subscribers": [{"imsi": "001010000000001", "msisdn": ")" + msisdn +
                     R"(", "k": "465b5ce8b199b49faa5f0a2ee238a6bc",
                        "opc": "cd63cb71954a9f4e48a5994e37a02baf"}]})");
  };
  EXPECT_EQ(complaint_of("491510000000001"), "");
  for (const std::string bad :
       {"", "+4915112345", "004915112345", "015112345", "4915100000000012", "49 151"}) {
    EXPECT_EQ(complaint_of(bad),
              "file:1: /subscribers/0/msisdn: \"" + bad +
                  "\" is not an MSISDN: 1 to 15 digits, country code first, without a prefix like "
                  "+ or 00");
  }
}

TEST_F(SubscriberFileTest, ARangeOfImsisStaysInItsNetwork) {
  const auto complaint_of = [&](const std::string& first) {
    return complaint(R"({"subscribers": [{"imsi_first": ")" + first + R"(", "count": 2,
      "k_master": "465b5ce8b199b49faa5f0a2ee238a6bc",
      "opc": "cd63cb71954a9f4e48a5994e37a02baf"}]})");
  };
  EXPECT_EQ(complaint_of("001019999999998"), "");
  EXPECT_EQ(
      complaint_of("001019999999999"),
      "file:1: /subscribers/0/imsi_first: the range leaves the network that its first IMSI is "
      "of");
}

// What is wrong with a subscription to these APNs, without the place.
class ApnTest : public SubscriberFileTest {
 protected:
  std::string objection(const std::vector<std::string>& names) {
    std::string apns;
    for (const std::string& name : names) {
      apns += (apns.empty() ? "" : ",") + (R"({"apn": ")" + name) +
              R"(", "ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1}})";
    }
    const std::string what = complaint(R"({"subscribers": [{"imsi": "001010000000001",
      "k": "465b5ce8b199b49faa5f0a2ee238a6bc", "opc": "cd63cb71954a9f4e48a5994e37a02baf",
      "subscription": {"ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1},
        "apns": [)" + apns + "]}}]}");
    const auto at = what.find("/apns/");
    return at == what.npos ? what : what.substr(at);
  }
};

TEST_F(ApnTest, IsANetworkIdentifierOrTheWildcard) {
  for (const std::string& good :
       std::vector<std::string>{"internet", "IMS", "3", "a-b.example.org", "mms.lac", "1x",
                                "gprs.example", std::string(62, 'a')}) {
    EXPECT_EQ(objection({good}), "") << good;
  }
  const std::string no_apn = "\" is not an APN Network Identifier: ";
  for (const std::string bad :
       {"a..b", ".a", "a.", "-a", "a-", "a_b", "a b", "internet.*", "m\xc3\xbc"}) {
    EXPECT_NE(objection({bad}).find("is not an APN Network Identifier: labels of letters, digits "
                                    "and hyphens"),
              std::string::npos)
        << bad;
  }
  EXPECT_EQ(objection({std::string(63, 'a')}), "/apns/0/apn: \"" + std::string(63, 'a') + no_apn +
                                                   "its labels take at most 63 octets");
  for (const std::string bad : {"rac1", "LAC.example", "sgsn", "rncinternet"}) {
    EXPECT_EQ(objection({bad}),
              "/apns/0/apn: \"" + bad + no_apn + "it may not begin with rac, lac, sgsn or rnc");
  }
  for (const std::string bad : {"gprs", "internet.mnc001.mcc001.GPRS"}) {
    EXPECT_EQ(objection({bad}), "/apns/0/apn: \"" + bad + no_apn + "it may not end in gprs");
  }
}

TEST_F(ApnTest, TheDefaultIsNotTheWildcard) {
  EXPECT_EQ(objection({"internet", "*"}), "");
  EXPECT_EQ(objection({"*", "internet"}),
            "/apns/0/apn: \"*\" is not a name: the first APN is the default");
}

TEST_F(ApnTest, StandsInASubscriptionOnce) {
  EXPECT_EQ(objection({"internet", "ims", "Internet"}),
            "/apns/2/apn: \"Internet\" is not named once");
}

TEST_F(SubscriberFileTest, ShowsNoKeyInAComplaint) {
  const std::string files[] = {
      R"({"subscribers": [{"imsi": "001010000000001", "opc": "cd63cb71954a9f4e48a5994e37a02bafc0",
                           "k": "c0ffee5ce8b199b49faa5f0a2ee238a"}]})",
      R"({"subscribers": [{"imsi_first": "001010000000001", "count": 1, "op": ["c0ffee"],
                           "k_master": "c0ffee5ce8b199b49faa5f0a2ee238ag"}]})",
      R"({"subscribers": [{"imsi": "001010000000001", "k": "c0ffee5ce8b199b49faa5f0a2ee238ab}]})",
  };
  for (const std::string& file : files) {
    const std::string what = complaint(file);
    EXPECT_EQ(what.find("c0ff"), std::string::npos) << what;
    EXPECT_EQ(what.find("cd63"), std::string::npos) << what;
  }
}

TEST_F(SubscriberFileTest, RefusesAnImsiThatAppearsTwice) {
  const std::string what = complaint(R"({"subscribers": [
    {"imsi_first": "001010000000001", "count": 10, "k_master": "465b5ce8b199b49faa5f0a2ee238a6bc",
     "opc": "cd63cb71954a9f4e48a5994e37a02baf"},
    {"imsi": "001010000000010", "k": "465b5ce8b199b49faa5f0a2ee238a6bc",
     "opc": "cd63cb71954a9f4e48a5994e37a02baf"}]})");
  EXPECT_NE(what.find("file:4: /subscribers/1/imsi: IMSI 001010000000010 appears twice"),
            std::string::npos)
      << what;
}

TEST_F(SubscriberFileTest, RefusesOpBesideOpcAndAnApnIdentifierUsedTwice) {
  const std::string what = complaint(R"({"subscribers": [
    {"imsi": "001010000000001", "k": "465b5ce8b199b49faa5f0a2ee238a6bc",
     "opc": "cd63cb71954a9f4e48a5994e37a02baf", "op": "cd63cb71954a9f4e48a5994e37a02baf",
     "subscription": {"ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1},
       "apns": [
         {"apn": "a", "ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1}},
         {"apn": "b", "context_identifier": 1,
          "ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1}}]}}]})");
  EXPECT_NE(what.find("/subscribers/0/op"), std::string::npos) << what;
  EXPECT_NE(what.find("/subscribers/0/subscription/apns/1/context_identifier"), std::string::npos)
      << what;
}

TEST(SubscriptionTest, SurvivesItsJson) {
  Subscription subscription = test_subscription();
  subscription.network_access_mode = NetworkAccessMode::only_packet;
  subscription.access_restriction = 0x7f;
  subscription.visited_plmns = {*plmn_from_digits("00101"), *plmn_from_digits("310410")};
  ApnConfiguration second = subscription.apns[0];
  second.context_identifier = 7;
  second.apn = "*";
  second.may_preempt = true;
  second.preemptable = false;
  second.pdn_type = PdnType::ipv4_or_ipv6;
  subscription.apns.push_back(second);
  const auto back = subscription_from_json(json_of(subscription));
  ASSERT_TRUE(back) << back.error().what;
  EXPECT_EQ(*back, subscription);
  EXPECT_EQ(json_of(*back), json_of(subscription));
}

TEST(SubscriptionTest, EachRestrictionBarsItsRat) {
  const std::pair<RatType, std::uint32_t> table[] = {
      {RatType::utran, kUtranNotAllowed},
      {RatType::geran, kGeranNotAllowed},
      {RatType::gan, kGanNotAllowed},
      {RatType::hspa_evolution, kHspaEvolutionNotAllowed},
      {RatType::eutran, kEutranNotAllowed},
      {RatType::eutran_nb_iot, kNbIotNotAllowed},
      {RatType::wlan, kHandoverToNon3gppNotAllowed},
  };
  for (const auto& [rat, bit] : table) {
    Subscription subscription;
    subscription.access_restriction = bit;
    EXPECT_FALSE(subscription.allows(rat));
    subscription.access_restriction = ~bit;
    EXPECT_TRUE(subscription.allows(rat));
  }
  EXPECT_FALSE(Subscription{}.allows(static_cast<RatType>(4711)));
}

TEST(PlmnTest, EveryMccAndMncSurvivesItsOctets) {
  for (unsigned mcc = 0; mcc < 1000; mcc += 7) {
    for (unsigned mnc = 0; mnc < 1000; ++mnc) {
      char three[8];
      std::snprintf(three, sizeof three, "%03u%03u", mcc, mnc);
      EXPECT_EQ(digits_of(*plmn_from_digits(three)), three);
      if (mnc >= 100) continue;
      char two[8];
      std::snprintf(two, sizeof two, "%03u%02u", mcc, mnc);
      EXPECT_EQ(digits_of(*plmn_from_digits(two)), two);
    }
  }
  EXPECT_EQ(hex(*plmn_from_digits("00101")), "00f110");
  EXPECT_EQ(hex(*plmn_from_digits("310410")), "130014");
  for (std::string_view bad : {"", "0010", "0010100", "0010a", "00 01"}) {
    EXPECT_FALSE(plmn_from_digits(bad)) << bad;
  }
}

TEST(ImsiTest, TakesSixToFifteenDigitsAndNothingElse) {
  EXPECT_EQ(Imsi::parse("001010000000001")->text(), "001010000000001");
  EXPECT_TRUE(Imsi::parse("001011"));
  for (std::string_view bad : {"", "00101", "0010100000000001", "00101000000000a", "-01010"}) {
    EXPECT_FALSE(Imsi::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace siglane::hss
