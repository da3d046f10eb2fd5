// The HSS over S6a: real module, application and store; simulated wire, clock and disk.
#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "apps/hss/counters.h"
#include "tests/component/hss/hss_world.h"

namespace siglane::hss {
namespace {

using diameter::AvpDef;
using diameter::MessageBuilder;
using diameter::MessageView;
using diameter::ResultCode;
namespace avp = diameter::avp;
namespace command = diameter::command;
namespace experimental_result = diameter::experimental_result;
namespace result = diameter::result;

// The request with other values in these AVPs.
Buffer rewritten(RawMme& mme, MessageBuilder request,
                 const std::vector<std::pair<AvpDef, std::string>>& values) {
  const Buffer whole = std::move(request).finish();
  const MessageView view = *MessageView::parse(whole.bytes());
  MessageBuilder out(mme.buffers(), view.header());
  for (const diameter::AvpView& one : view.avps()) {
    const auto value = std::find_if(values.begin(), values.end(),
                                    [&](const auto& entry) { return one.is(entry.first); });
    if (value == values.end()) {
      out.add_raw(one.raw());
    } else {
      const AvpDef& def = value->first;
      out.add(diameter::AvpKey<diameter::AvpType::octet_string>(def.code, def.vendor, def.mandatory,
                                                                def.name),
              as_bytes(value->second));
    }
  }
  return std::move(out).finish();
}

class HssTest : public ::testing::Test {
 protected:
  void import(const Subscriber& subscriber) {
    ASSERT_TRUE(hss_.asks.store().import({&subscriber, 1}));
  }
  void import_with(const std::function<void(Subscription&)>& change) {
    Subscriber subscriber = test_subscriber(1);
    Subscription subscription = test_subscription();
    change(subscription);
    subscriber.subscription = std::make_shared<const Subscription>(subscription);
    import(subscriber);
  }

  // Result-Code alone, and the E bit with 3xxx and nothing else.
  static void expect_result(const MessageView& answer, ResultCode code) {
    EXPECT_EQ(answer.get(avp::result_code), static_cast<std::uint32_t>(code));
    EXPECT_FALSE(answer.find(avp::experimental_result));
    EXPECT_EQ(answer.header().is_error(), static_cast<std::uint32_t>(code) / 1000 == 3);
    EXPECT_TRUE(answer.find(avp::session_id));
    EXPECT_EQ(answer.get(avp::origin_host), hss_diameter_config().origin_host);
    EXPECT_EQ(answer.get(avp::origin_realm), kRealm);
    // Without the E bit, the command's own grammar holds for errors too (RFC 6733 §7.2).
    if (!answer.header().is_error()) expect_s6a_answer(answer);
  }
  static void expect_success(const MessageView& answer) { expect_result(answer, result::success); }
  static void expect_experimental(const MessageView& answer, ResultCode code) {
    EXPECT_FALSE(answer.find(avp::result_code));
    const auto experimental = answer.get(avp::experimental_result);
    ASSERT_TRUE(experimental);
    EXPECT_EQ(experimental->get(avp::vendor_id), diameter::vendor::tgpp);
    EXPECT_EQ(experimental->get(avp::experimental_result_code), static_cast<std::uint32_t>(code));
    EXPECT_FALSE(answer.header().is_error());
    expect_s6a_answer(answer);
  }
  static void expect_s6a_answer(const MessageView& answer) {
    EXPECT_EQ(answer.get(avp::auth_session_state), diameter::AuthSessionState::no_state_maintained);
    const auto application = answer.get(avp::vendor_specific_application_id);
    ASSERT_TRUE(application);
    EXPECT_EQ(application->get(avp::vendor_id), diameter::vendor::tgpp);
    EXPECT_EQ(application->get(avp::auth_application_id),
              static_cast<std::uint32_t>(diameter::application::s6a));
    const auto violation = check_command(answer, diameter::dictionary());
    EXPECT_FALSE(violation) << violation->what;
  }
  static void expect_failed_avp(const MessageView& answer, const AvpDef& def) {
    const auto failed = answer.get(avp::failed_avp);
    ASSERT_TRUE(failed) << def.name;
    EXPECT_TRUE(failed->find(def)) << def.name;
  }

  PowerCutDisk disk_{1};
  HssWorld hss_{disk_};
  RawMme& mme1_ = *hss_.mme1;
  RawMme& mme2_ = *hss_.mme2;
  Usim usim_{kTestK, kTestOpc};
  const Imsi imsi_ = imsi_number(1);
};

TEST_F(HssTest, AirGetsAVectorThatTheUsimAccepts) {
  import(test_subscriber(1));
  const MessageView answer = hss_.ask(mme1_, air(mme1_, imsi_));
  expect_success(answer);
  const auto vectors = vectors_of(answer);
  ASSERT_EQ(vectors.size(), 1u);
  EXPECT_TRUE(usim_.sqn_of(vectors[0]));
  EXPECT_EQ(hss_.count(counter::air_received), 1u);
  EXPECT_EQ(hss_.count(counter::vectors_sent), 1u);
}

TEST_F(HssTest, AirGetsSeveralVectorsNumberedInTheOrderOfTheirUseAndNoMoreThanTheLimit) {
  import(test_subscriber(1));
  const MessageView answer = hss_.ask(mme1_, air(mme1_, imsi_, 100));
  expect_success(answer);
  const auto vectors = vectors_of(answer);
  ASSERT_EQ(vectors.size(), kVectorsMax);
  SequenceNumber last{};
  for (const AuthenticationVector& vector : vectors) {
    const auto sqn = usim_.sqn_of(vector);
    ASSERT_TRUE(sqn);
    EXPECT_GT(*sqn, last);
    last = *sqn;
  }
  std::uint32_t number = 0;
  const auto info = answer.get(avp::authentication_info);
  ASSERT_TRUE(info);
  for (const diameter::AvpView& one : *info) {
    EXPECT_EQ(one.group().get(avp::item_number), ++number);
  }
}

TEST_F(HssTest, AirWithAutsMovesSqnPastTheUsims) {
  import(test_subscriber(1));
  const auto first = vectors_of(hss_.ask(mme1_, air(mme1_, imsi_)));
  const auto ms = SequenceNumber::of(700, 3);
  const Auts auts = usim_.auts(first.at(0).rand, ms);
  std::vector<std::byte> info(first[0].rand.begin(), first[0].rand.end());
  info.insert(info.end(), auts.begin(), auts.end());
  const MessageView answer = hss_.ask(mme1_, air(mme1_, imsi_, 1, info));
  expect_success(answer);
  const auto sqn = usim_.sqn_of(vectors_of(answer).at(0));
  ASSERT_TRUE(sqn);
  EXPECT_GT(sqn->seq(), ms.seq());
  EXPECT_EQ(hss_.count(counter::resynchronisations), 1u);

  info.back() ^= std::byte{1};
  expect_experimental(hss_.ask(mme1_, air(mme1_, imsi_, 1, info)),
                      experimental_result::authentication_data_unavailable);
  info.pop_back();
  const MessageView refused = hss_.ask(mme1_, air(mme1_, imsi_, 1, info));
  expect_result(refused, result::invalid_avp_length);
  expect_failed_avp(refused, avp::re_synchronization_info);
}

TEST_F(HssTest, AirWithAutsForBothAccessesChecksNeitherAndWithOneUsesThatOne) {
  import(test_subscriber(1));
  const auto first = vectors_of(hss_.ask(mme1_, air(mme1_, imsi_)));
  const auto ms = SequenceNumber::of(700, 3);
  const Auts auts = usim_.auts(first.at(0).rand, ms);
  std::vector<std::byte> info(first[0].rand.begin(), first[0].rand.end());
  info.insert(info.end(), auts.begin(), auts.end());
  const auto with_utran = [&](Bytes eutran_info) {
    auto request = air(mme1_, imsi_, 1, eutran_info);
    request.group(avp::requested_utran_geran_authentication_info,
                  [&] { request.add(avp::re_synchronization_info, info); });
    return request;
  };
  const MessageView both = hss_.ask(mme1_, with_utran(info));
  expect_result(both, result::unable_to_comply);
  EXPECT_FALSE(both.find(avp::authentication_info));
  EXPECT_EQ(hss_.count(counter::resynchronisations), 0u);

  const MessageView one = hss_.ask(mme1_, with_utran({}));
  expect_success(one);
  const auto sqn = usim_.sqn_of(vectors_of(one).at(0));
  ASSERT_TRUE(sqn);
  EXPECT_GT(sqn->seq(), ms.seq());
}

TEST(HssServingRealmTest, ARealmGetsVectorsForItsNetworksAlone) {
  PowerCutDisk disk(1);
  HssApplicationConfig config;
  config.serving_realms = {{"EPC.mnc001.mcc001.3gppnetwork.org", {kHome}}};
  HssWorld hss(disk, 1, config);
  const Subscriber subscriber = test_subscriber(1);
  ASSERT_TRUE(hss.asks.store().import({&subscriber, 1}));
  RawMme& mme = *hss.mme1;
  EXPECT_EQ(hss.ask(mme, air(mme, subscriber.imsi)).result_code(), result::success);

  auto elsewhere = mme.request(command::authentication_information);
  elsewhere.add(avp::user_name, subscriber.imsi.text());
  elsewhere.group(avp::requested_eutran_authentication_info, [] {});
  elsewhere.add(avp::visited_plmn_id, *plmn_from_digits("26201"));
  const MessageView refused = hss.ask(mme, std::move(elsewhere));
  EXPECT_EQ(refused.result_code(), result::authorization_rejected);
  EXPECT_FALSE(check_command(refused, diameter::dictionary()));
  EXPECT_EQ(hss.count(counter::vectors_sent), 1u);
}

TEST(HssServingRealmTest, ARealmThatIsNotListedGetsNoVectors) {
  PowerCutDisk disk(1);
  HssApplicationConfig config;
  config.serving_realms = {{"epc.mnc002.mcc001.3gppnetwork.org", {kHome}}};
  HssWorld hss(disk, 1, config);
  const Subscriber subscriber = test_subscriber(1);
  ASSERT_TRUE(hss.asks.store().import({&subscriber, 1}));
  const MessageView refused = hss.ask(*hss.mme1, air(*hss.mme1, subscriber.imsi));
  EXPECT_EQ(refused.result_code(), result::authorization_rejected);
}

// A visited network that writes the home realm, which it would be served as.
TEST(HssServingRealmTest, ARealmIsServedAsItselfWhateverItsMessagesSay) {
  const std::string visited = "epc.mnc002.mcc001.3gppnetwork.org";
  PowerCutDisk disk(1);
  HssApplicationConfig config;
  config.serving_realms = {{kRealm, {kHome}}};
  HssWorld hss(disk, 1, config, {}, visited);
  const Subscriber subscriber = test_subscriber(1);
  ASSERT_TRUE(hss.asks.store().import({&subscriber, 1}));
  RawMme& home = *hss.mme1;
  RawMme& mme = *hss.mme2;
  ASSERT_EQ(hss.ask(home, ulr(home, subscriber.imsi)).result_code(), result::success);
  using Make = std::function<MessageBuilder()>;
  for (const Make& make : {Make([&] { return air(mme, subscriber.imsi); }),
                           Make([&] { return ulr(mme, subscriber.imsi); }),
                           Make([&] { return pur(mme, subscriber.imsi); })}) {
    MessageView answer = hss.ask(mme, rewritten(mme, make(), {{avp::destination_realm, kRealm}}));
    EXPECT_EQ(answer.result_code(), result::authorization_rejected);
    EXPECT_FALSE(check_command(answer, diameter::dictionary()));
    answer = hss.ask(
        mme,
        rewritten(mme, make(), {{avp::destination_realm, kRealm}, {avp::origin_realm, kRealm}}));
    EXPECT_EQ(answer.result_code(), result::unable_to_comply);
    EXPECT_FALSE(check_command(answer, diameter::dictionary()));
  }
  EXPECT_EQ(hss.count(counter::vectors_sent), 0u);
  EXPECT_TRUE(home.requests().empty()) << "its subscriber is where it was";
}

TEST_F(HssTest, AnMmeThatWritesAnothersOriginHostGetsNoVectorsAndMovesNoSubscriber) {
  import(test_subscriber(1));
  expect_success(hss_.ask(mme1_, ulr(mme1_, imsi_)));
  using Make = std::function<MessageBuilder()>;
  for (const Make& make :
       {Make([&] { return air(mme2_, imsi_); }), Make([&] { return ulr(mme2_, imsi_); }),
        Make([&] { return pur(mme2_, imsi_); })}) {
    const MessageView answer =
        hss_.ask(mme2_, rewritten(mme2_, make(), {{avp::origin_host, mme1_.host()}}));
    EXPECT_EQ(answer.result_code(), result::unable_to_comply);
    EXPECT_FALSE(check_command(answer, diameter::dictionary()));
    const auto text = answer.get(avp::error_message);
    ASSERT_TRUE(text);
    EXPECT_NE(text->find(mme1_.host()), text->npos);
    EXPECT_NE(text->find(mme2_.host()), text->npos);
  }
  EXPECT_EQ(hss_.count(counter::vectors_sent), 0u);
  // It was not purged: who comes next cancels it.
  expect_success(hss_.ask(mme2_, ulr(mme2_, imsi_)));
  EXPECT_TRUE(hss_.world.run_until([&] { return !mme1_.requests().empty(); }, 5s));
}

TEST_F(HssTest, AirWithoutEutranInfoIsMissingItUnlessItAsksForUtran) {
  import(test_subscriber(1));
  auto bare = mme1_.request(command::authentication_information);
  bare.add(avp::user_name, imsi_.text()).add(avp::visited_plmn_id, kHome);
  const MessageView answer = hss_.ask(mme1_, std::move(bare));
  expect_result(answer, result::missing_avp);
  expect_failed_avp(answer, avp::requested_eutran_authentication_info);

  auto utran = mme1_.request(command::authentication_information);
  utran.add(avp::user_name, imsi_.text());
  utran.group(avp::requested_utran_geran_authentication_info,
              [&] { utran.add(avp::number_of_requested_vectors, 1u); });
  utran.add(avp::visited_plmn_id, kHome);
  expect_experimental(hss_.ask(mme1_, std::move(utran)),
                      experimental_result::authentication_data_unavailable);
}

TEST_F(HssTest, UlrGetsTheSubscriptionData) {
  import(test_subscriber(1));
  const MessageView answer = hss_.ask(mme1_, ulr(mme1_, imsi_));
  expect_success(answer);
  EXPECT_EQ(answer.get(avp::ula_flags), 1u);
  const auto data = answer.get(avp::subscription_data);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->get(avp::subscriber_status), diameter::SubscriberStatus::service_granted);
  EXPECT_EQ(hex(*data->get(avp::msisdn)), "9451010000f1") << "49151000001 + filler, TBCD";
  EXPECT_EQ(data->get(avp::network_access_mode), NetworkAccessMode::packet_and_circuit);
  EXPECT_EQ(data->get(avp::ambr)->get(avp::max_requested_bandwidth_ul), 50'000'000u);
  EXPECT_EQ(data->get(avp::ambr)->get(avp::max_requested_bandwidth_dl), 100'000'000u);
  const auto profile = data->get(avp::apn_configuration_profile);
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->get(avp::context_identifier), 1u);
  const auto apn = profile->get(avp::apn_configuration);
  ASSERT_TRUE(apn);
  EXPECT_EQ(apn->get(avp::service_selection), "internet");
  EXPECT_EQ(apn->get(avp::pdn_type), PdnType::ipv4v6);
  const auto qos = apn->get(avp::eps_subscribed_qos_profile);
  EXPECT_EQ(qos->get(avp::qos_class_identifier), diameter::QosClassIdentifier::qci_9);
  const auto arp = qos->get(avp::allocation_retention_priority);
  EXPECT_EQ(arp->get(avp::priority_level), 8u);
  EXPECT_EQ(arp->get(avp::pre_emption_capability), diameter::PreEmptionCapability::disabled);
  EXPECT_EQ(arp->get(avp::pre_emption_vulnerability), diameter::PreEmptionVulnerability::enabled);
}

TEST_F(HssTest, UlrWithTheSkipFlagGetsSubscriptionDataOnlyIfTheMmeLacksThem) {
  import(test_subscriber(1));
  const auto gets_data = [&](RawMme& mme) {
    const MessageView answer = hss_.ask(mme, ulr(mme, imsi_, 0x26));
    expect_success(answer);
    return answer.find(avp::subscription_data).has_value();
  };
  EXPECT_TRUE(gets_data(mme1_)) << "it never got them";
  EXPECT_FALSE(gets_data(mme1_));
  import(test_subscriber(1));
  EXPECT_FALSE(gets_data(mme1_)) << "an import that changed nothing";
  import_with([](Subscription& s) { s.ambr.uplink_bits_per_second += 1; });
  EXPECT_TRUE(gets_data(mme1_)) << "they have changed";
  EXPECT_FALSE(gets_data(mme1_));
  EXPECT_TRUE(gets_data(mme2_)) << "another MME";
  EXPECT_TRUE(gets_data(mme1_)) << "its own were cancelled";
  expect_success(hss_.ask(mme1_, pur(mme1_, imsi_)));
  EXPECT_TRUE(gets_data(mme1_)) << "it purged them";
}

TEST_F(HssTest, UlrFromAnotherMmeCancelsTheLocationAtThePrevious) {
  import(test_subscriber(1));
  expect_success(hss_.ask(mme1_, ulr(mme1_, imsi_)));
  expect_success(hss_.ask(mme2_, ulr(mme2_, imsi_)));
  ASSERT_TRUE(hss_.world.run_until([&] { return !mme1_.requests().empty(); }, 5s));
  const Buffer clr = mme1_.requests().front();
  const MessageView view = *MessageView::parse(clr.bytes());
  ASSERT_TRUE(view.is(command::cancel_location));
  EXPECT_FALSE(validate(view, diameter::dictionary()));
  EXPECT_FALSE(check_command(view, diameter::dictionary()));
  EXPECT_EQ(view.get(avp::user_name), imsi_.text());
  EXPECT_EQ(view.get(avp::cancellation_type), diameter::CancellationType::mme_update_procedure);
  EXPECT_EQ(view.get(avp::clr_flags), 1u);
  EXPECT_EQ(view.get(avp::destination_host), mme1_.host());
  EXPECT_EQ(view.get(avp::destination_realm), mme1_.realm());
  EXPECT_TRUE(view.get(avp::session_id)->starts_with(hss_diameter_config().origin_host + ";"));
  EXPECT_TRUE(mme2_.requests().empty());

  auto cla = MessageBuilder::answer(mme1_.buffers(), view.header());
  cla.add(avp::session_id, *view.get(avp::session_id))
      .add(avp::result_code, static_cast<std::uint32_t>(result::success))
      .add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained)
      .add(avp::origin_host, mme1_.host())
      .add(avp::origin_realm, mme1_.realm());
  mme1_.send(std::move(cla).finish());
  hss_.world.run_for(20s);  // past the request's deadline
  EXPECT_EQ(hss_.count(counter::clr_sent), 1u);
  EXPECT_EQ(hss_.count(counter::clr_failed), 0u);
}

TEST_F(HssTest, ACancelLocationThatNobodyAnswersIsCountedAndTheUpdateStands) {
  import(test_subscriber(1));
  expect_success(hss_.ask(mme1_, ulr(mme1_, imsi_)));
  expect_success(hss_.ask(mme2_, ulr(mme2_, imsi_)));
  hss_.world.run_for(20s);
  EXPECT_EQ(hss_.count(counter::clr_failed), 1u);
}

TEST_F(HssTest, ACancelLocationForAnMmeThatIsGoneIsCountedAndTheUpdateStands) {
  import(test_subscriber(1));
  expect_success(hss_.ask(mme1_, ulr(mme1_, imsi_)));
  hss_.mme1.reset();
  hss_.world.run_for(1s);
  expect_success(hss_.ask(mme2_, ulr(mme2_, imsi_)));
  hss_.world.run_for(20s);
  EXPECT_EQ(hss_.count(counter::clr_failed), 1u);
  EXPECT_EQ(hss_.ask(mme2_, pur(mme2_, imsi_)).get(avp::pua_flags), 1u);
}

TEST_F(HssTest, UlrAgainFromTheSameMmeCancelsNothing) {
  import(test_subscriber(1));
  expect_success(hss_.ask(mme1_, ulr(mme1_, imsi_)));
  expect_success(hss_.ask(mme1_, ulr(mme1_, imsi_)));
  EXPECT_EQ(hss_.count(counter::clr_sent), 0u);
}

TEST_F(HssTest, PurOfTheServingMmeFreezesTheMTmsi) {
  import(test_subscriber(1));
  expect_success(hss_.ask(mme1_, ulr(mme1_, imsi_)));
  const MessageView stranger = hss_.ask(mme2_, pur(mme2_, imsi_));
  expect_success(stranger);
  EXPECT_EQ(stranger.get(avp::pua_flags), 0u);

  auto sgsn_only = pur(mme1_, imsi_);
  sgsn_only.add(avp::pur_flags, 2u);
  EXPECT_EQ(hss_.ask(mme1_, std::move(sgsn_only)).get(avp::pua_flags), 0u);

  const MessageView serving = hss_.ask(mme1_, pur(mme1_, imsi_));
  expect_success(serving);
  EXPECT_EQ(serving.get(avp::pua_flags), 1u);
  expect_success(hss_.ask(mme2_, ulr(mme2_, imsi_)));
  EXPECT_EQ(hss_.count(counter::clr_sent), 0u) << "a purged UE has nobody to cancel";
}

TEST_F(HssTest, AnUnknownUserIsExperimentalResult5001) {
  expect_experimental(hss_.ask(mme1_, air(mme1_, imsi_)), ResultCode{5001});
  expect_experimental(hss_.ask(mme1_, ulr(mme1_, imsi_)), ResultCode{5001});
  expect_experimental(hss_.ask(mme1_, pur(mme1_, imsi_)), ResultCode{5001});
  EXPECT_EQ(hss_.count(counter::unknown_users), 3u);
}

TEST_F(HssTest, AUserWithoutEpsSubscriptionIsExperimentalResult5420) {
  Subscriber subscriber = test_subscriber(1);
  subscriber.subscription = nullptr;
  import(subscriber);
  expect_experimental(hss_.ask(mme1_, air(mme1_, imsi_)), ResultCode{5420});
  expect_experimental(hss_.ask(mme1_, ulr(mme1_, imsi_)), ResultCode{5420});
}

TEST_F(HssTest, ABarredRatIsExperimentalResult5421) {
  import_with([](Subscription& s) { s.access_restriction = kEutranNotAllowed; });
  expect_experimental(hss_.ask(mme1_, ulr(mme1_, imsi_)), ResultCode{5421});
}

TEST_F(HssTest, ABarredNetworkIsExperimentalResult5004) {
  import_with([](Subscription& s) { s.visited_plmns = {*plmn_from_digits("26201")}; });
  expect_experimental(hss_.ask(mme1_, ulr(mme1_, imsi_)), ResultCode{5004});
}

TEST_F(HssTest, AnExhaustedSqnIsExperimentalResult4181) {
  Subscriber subscriber = test_subscriber(1);
  subscriber.sqn.value = SequenceNumber::kMax;
  import(subscriber);
  expect_experimental(hss_.ask(mme1_, air(mme1_, imsi_)), ResultCode{4181});
}

// Every AVP that S6a demands of a command, left out once.
TEST_F(HssTest, AMissingAvpIs5005WithAnExampleOfItInFailedAvp) {
  import(test_subscriber(1));
  const auto without = [&](const Buffer& whole, const AvpDef& left_out) {
    const MessageView view = *MessageView::parse(whole.bytes());
    MessageBuilder out(mme1_.buffers(), view.header());
    for (const diameter::AvpView& one : view.avps()) {
      if (!one.is(left_out)) out.add_raw(one.raw());
    }
    return std::move(out).finish();
  };
  using Make = std::function<MessageBuilder()>;
  const std::pair<Make, std::vector<const AvpDef*>> commands[] = {
      {[&] { return air(mme1_, imsi_); },
       {&avp::user_name, &avp::visited_plmn_id, &avp::auth_session_state, &avp::origin_host,
        &avp::origin_realm, &avp::destination_realm}},
      {[&] { return ulr(mme1_, imsi_); },
       {&avp::user_name, &avp::visited_plmn_id, &avp::auth_session_state, &avp::origin_host,
        &avp::origin_realm, &avp::destination_realm, &avp::rat_type, &avp::ulr_flags}},
      {[&] { return pur(mme1_, imsi_); },
       {&avp::user_name, &avp::auth_session_state, &avp::origin_host, &avp::origin_realm,
        &avp::destination_realm}},
  };
  for (const auto& [make, demanded] : commands) {
    for (const AvpDef* def : demanded) {
      SCOPED_TRACE(def->name);
      const MessageView answer = hss_.ask(mme1_, without(make().finish(), *def));
      // Without an origin it does not come as far as to the HSS, whose answers have more in them.
      if (def == &avp::origin_host || def == &avp::origin_realm) {
        EXPECT_EQ(answer.result_code(), result::missing_avp);
        EXPECT_FALSE(check_command(answer, diameter::dictionary()));
      } else {
        expect_result(answer, result::missing_avp);
      }
      expect_failed_avp(answer, *def);
      EXPECT_EQ(answer.get(avp::error_message),
                diameter::avp_text(def->code, def->vendor, def->name) + " is missing");
    }
  }
}

TEST_F(HssTest, AValueThatCannotBeIsNamedInFailedAvp) {
  import(test_subscriber(1));
  auto no_imsi = mme1_.request(command::purge_ue);
  no_imsi.add(avp::user_name, "not-an-imsi");
  MessageView answer = hss_.ask(mme1_, std::move(no_imsi));
  expect_result(answer, result::invalid_avp_value);
  expect_failed_avp(answer, avp::user_name);

  auto short_plmn = mme1_.request(command::update_location);
  short_plmn.add(avp::user_name, imsi_.text())
      .add(avp::rat_type, RatType::eutran)
      .add(avp::ulr_flags, 0x22u)
      .add(avp::visited_plmn_id, Bytes(kHome).first(2));
  answer = hss_.ask(mme1_, std::move(short_plmn));
  expect_result(answer, result::invalid_avp_length);
  expect_failed_avp(answer, avp::visited_plmn_id);

  answer = hss_.ask(mme1_, ulr(mme1_, imsi_, 0x20));
  expect_result(answer, result::invalid_avp_value);
  expect_failed_avp(answer, avp::ulr_flags);
}

TEST_F(HssTest, ACommandThatS6aDoesNotHaveIs3001AndSoIsOneThatAHssDoesNotTake) {
  constexpr diameter::CommandDef kUnknown{diameter::CommandCode{8388000},
                                          diameter::application::s6a, true, "Unknown"};
  expect_result(hss_.ask(mme1_, mme1_.request(kUnknown)), result::command_unsupported);

  auto idr = mme1_.request(command::insert_subscriber_data);
  idr.add(avp::destination_host, hss_diameter_config().origin_host)
      .add(avp::user_name, imsi_.text());
  idr.group(avp::subscription_data, [] {});
  expect_result(hss_.ask(mme1_, std::move(idr)), result::command_unsupported);
}

TEST_F(HssTest, AnApplicationThatTheNodeDoesNotHaveIs3007) {
  auto ccr = mme1_.request(command::credit_control);
  expect_result(hss_.ask(mme1_, std::move(ccr)), result::application_unsupported);
}

TEST_F(HssTest, AStoreWithAFullQueueIsTooBusy) {
  import(test_subscriber(1));
  hss_.asks.refuse(true);
  expect_result(hss_.ask(mme1_, air(mme1_, imsi_)), result::too_busy);
  EXPECT_EQ(hss_.count(counter::too_busy), 1u);
  hss_.asks.refuse(false);
  expect_success(hss_.ask(mme1_, air(mme1_, imsi_)));
}

TEST_F(HssTest, WhoFloodsIsTooBusyAloneAndOnlyWhileItFloods) {
  PowerCutDisk disk(1);
  HssWorld hss(disk, 1, {}, {.queue_max = 4, .shares = 2});
  const Subscriber subscriber = test_subscriber(1);
  ASSERT_TRUE(hss.asks.store().import({&subscriber, 1}));
  std::vector<std::uint32_t> asked;
  for (int i = 0; i < 20; ++i) {
    Buffer request = air(*hss.mme1, imsi_).finish();
    asked.push_back(hss.mme1->last_id());
    hss.mme1->send(std::move(request));
  }
  expect_success(hss.ask(*hss.mme2, air(*hss.mme2, imsi_)));
  std::vector<std::uint32_t> results;
  for (const std::uint32_t id : asked) {
    ASSERT_TRUE(hss.world.run_until([&] { return hss.mme1->answer(id) != nullptr; }, 5s));
    results.push_back(
        MessageView::parse(hss.mme1->answer(id)->bytes())->get(avp::result_code).value_or(0));
  }
  EXPECT_EQ(results[0], 2001u);
  EXPECT_EQ(results[1], 2001u);
  EXPECT_EQ(results[2], 3004u);
  expect_success(hss.ask(*hss.mme1, air(*hss.mme1, imsi_)));
}

// One that is refused is told whose it was, and why.
TEST_F(HssTest, WhoIsTooBusyIsNamedWithItsPeerOnceAMinute) {
  import(test_subscriber(1));
  hss_.asks.refuse(true);
  for (int i = 0; i < 3; ++i) {
    expect_result(hss_.ask(mme1_, air(mme1_, imsi_)), result::too_busy);
  }
  EXPECT_EQ(hss_.node.facts.count(kMessagesDropped), 1u);
  EXPECT_EQ(hss_.node.facts.last(kMessagesDropped, "peer"), "mme01");
  EXPECT_EQ(hss_.node.facts.last(kMessagesDropped, "reason"), "hss.store_full");
  EXPECT_EQ(hss_.node.facts.last(kMessagesDropped, "example"),
            "Authentication-Information for 001010000000001");
}

TEST(HssShareTest, WhatAResetConnectionAskedLeavesTheQueueAndCountsForItsPeerUntilThen) {
  PowerCutDisk disk(1);
  HssWorld hss(disk, 1, {}, {.queue_max = 40, .shares = 4});
  const Subscriber subscriber = test_subscriber(1);
  ASSERT_TRUE(hss.asks.store().import({&subscriber, 1}));
  Usim usim(kTestK, kTestOpc);
  hss.asks.stall(true);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 10; ++i) hss.mme1->send(air(*hss.mme1, subscriber.imsi).finish());
    ASSERT_TRUE(hss.world.run_until(
        [&] { return hss.count(counter::air_received) == 10u * (round + 1u); }));
    EXPECT_EQ(hss.asks.outstanding().parcels, 10u) << "its share, over all its connections";
    hss.reconnect(*hss.mme1);
  }
  RawMme& other = *hss.mme2;
  Buffer request = air(other, subscriber.imsi).finish();
  const std::uint32_t id = other.last_id();
  other.send(std::move(request));
  hss.world.run_for(1s);
  EXPECT_EQ(hss.asks.outstanding().parcels, 11u) << "others have their own";
  hss.asks.stall(false);
  ASSERT_TRUE(hss.world.run_until([&] { return other.answer(id) != nullptr; }));
  EXPECT_EQ(hss.asks.abandoned(), 10u);
  const auto vectors = vectors_of(*MessageView::parse(other.answer(id)->bytes()));
  EXPECT_EQ(usim.sqn_of(vectors.at(0)), SequenceNumber::of(1, 1)) << "nothing else was run";
  const auto after = hss.ask(*hss.mme1, air(*hss.mme1, subscriber.imsi));
  EXPECT_EQ(after.result_code(), result::success) << "its share is free again";
}

TEST(HssShareTest, AQueuedRequestHoldsOnToWhatItsAnswerIsMadeOfAndToNoMore) {
  PowerCutDisk disk(1);
  HssWorld hss(disk);
  const Subscriber subscriber = test_subscriber(1);
  ASSERT_TRUE(hss.asks.store().import({&subscriber, 1}));
  hss.asks.stall(true);
  auto request = ulr(*hss.mme1, subscriber.imsi);
  const std::vector<std::byte> much(50'000);
  auto unknown = avp::proxy_state;
  unknown.code = 9999;
  unknown.mandatory = false;
  request.add(unknown, much);
  request.group(avp::proxy_info, [&] {
    request.add(avp::proxy_host, "proxy.example").add(avp::proxy_state, Bytes(much).first(4));
  });
  const std::uint32_t id = hss.mme1->last_id();
  hss.mme1->send(std::move(request).finish());
  ASSERT_TRUE(hss.world.run_until([&] { return hss.asks.outstanding().parcels == 1; }));
  EXPECT_LT(hss.asks.outstanding().bytes, 2000u);
  hss.asks.stall(false);
  ASSERT_TRUE(hss.world.run_until([&] { return hss.mme1->answer(id) != nullptr; }));
  const auto answer = *MessageView::parse(hss.mme1->answer(id)->bytes());
  EXPECT_EQ(answer.result_code(), result::success);
  EXPECT_EQ(answer.get(avp::proxy_info)->get(avp::proxy_host), "proxy.example");
  EXPECT_TRUE(answer.find(avp::session_id));
}

TEST_F(HssTest, ACommitThatFailsIsNeverASuccessAndItsPeerIsNamed) {
  import(test_subscriber(1));
  for (int i = 0; i < 2; ++i) {
    disk_.fail_next_flush();
    expect_result(hss_.ask(mme1_, air(mme1_, imsi_)), result::unable_to_comply);
  }
  EXPECT_EQ(hss_.count(counter::store_failures), 2u);
  EXPECT_EQ(hss_.node.facts.count(kMessagesDropped), 1u) << "once a minute";
  EXPECT_EQ(hss_.node.facts.last(kMessagesDropped, "reason"), "hss.store_fails");
  EXPECT_EQ(hss_.node.facts.last(kMessagesDropped, "peer"), "mme01");
  expect_success(hss_.ask(mme1_, air(mme1_, imsi_)));
}

TEST_F(HssTest, AFullDiskIsNeverASuccessAndSpendsNoSqn) {
  import(test_subscriber(1));
  const auto before = usim_.sqn_of(vectors_of(hss_.ask(mme1_, air(mme1_, imsi_))).at(0));
  disk_.fill_up(true);
  for (int i = 0; i < 2; ++i) {
    expect_result(hss_.ask(mme1_, air(mme1_, imsi_)), result::unable_to_comply);
    expect_result(hss_.ask(mme2_, ulr(mme2_, imsi_)), result::unable_to_comply);
  }
  EXPECT_EQ(hss_.count(counter::vectors_sent), 1u);
  disk_.fill_up(false);
  EXPECT_EQ(usim_.sqn_of(vectors_of(hss_.ask(mme1_, air(mme1_, imsi_))).at(0)),
            next_batch(*before, 1)->first);
}

TEST_F(HssTest, SupportedFeaturesAreAnsweredForEachListThatWasOffered) {
  import(test_subscriber(1));
  auto request = ulr(mme1_, imsi_);
  for (std::uint32_t list : {1u, 2u}) {
    request.group(avp::supported_features, [&] {
      request.add(avp::vendor_id, diameter::vendor::tgpp)
          .add(avp::feature_list_id, list)
          .add(avp::feature_list, 0x0fffffffu);
    });
  }
  const MessageView answer = hss_.ask(mme1_, std::move(request));
  expect_success(answer);
  EXPECT_EQ(answer.avps().count(avp::supported_features), 2u);
  EXPECT_EQ(answer.get(avp::supported_features)->get(avp::feature_list), 0u);
  const MessageView plain = hss_.ask(mme1_, ulr(mme1_, imsi_));
  EXPECT_FALSE(plain.find(avp::supported_features));
}

TEST_F(HssTest, ARequestThatDemandsAFeatureIsExperimentalResult5011AndChangesNothing) {
  import(test_subscriber(1));
  const auto demanding = [&](std::uint32_t features) {
    auto request = ulr(mme1_, imsi_);
    auto demanded = avp::supported_features;
    demanded.mandatory = true;
    request.group(demanded, [&] {
      request.add(avp::vendor_id, diameter::vendor::tgpp)
          .add(avp::feature_list_id, 1u)
          .add(avp::feature_list, features);
    });
    return request;
  };
  const MessageView answer = hss_.ask(mme1_, demanding(1));
  expect_experimental(answer, ResultCode{5011});
  EXPECT_EQ(answer.get(avp::supported_features)->get(avp::feature_list), 0u);
  EXPECT_EQ(hss_.ask(mme1_, pur(mme1_, imsi_)).get(avp::pua_flags), 0u) << "not registered";
  expect_success(hss_.ask(mme1_, demanding(0)));
}

TEST_F(HssTest, AnAnswerWhoseMmeIsGoneIsDropped) {
  import(test_subscriber(1));
  mme1_.send(air(mme1_, imsi_).finish());
  hss_.mme1.reset();
  hss_.world.run_for(1s);
  expect_success(hss_.ask(mme2_, air(mme2_, imsi_)));
}

}  // namespace
}  // namespace siglane::hss
