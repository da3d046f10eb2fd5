#include "apps/load/s6a_client.h"

#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/dictionary.h"
#include "tests/support/test_script.h"

namespace siglane::load {
namespace {

using diameter::AnswerParcel;
using diameter::MessageBuilder;
using diameter::MessageView;
using diameter::RequestParcel;
namespace avp = diameter::avp;
namespace command = diameter::command;

const Instant kStart = Instant(10s);
constexpr AssociationId kPeer{77};

diameter::DiameterConfig mme() {
  diameter::DiameterConfig config;
  config.origin_host = "mme01.example";
  config.origin_realm = "example";
  config.applications = {{.id = diameter::application::s6a, .vendor = diameter::vendor::tgpp}};
  config.peers = {
      {.name = "hss", .origin_host = "hss.example", .realm = "example", .routed_realms = {}}};
  return config;
}

// An HSS in memory: takes what the client forwards to its peer, and answers as the test says.
class S6aClientTest : public testing::Test {
 protected:
  void make(PaceConfig pace, RunConfig run = kRunConfig, AnswerLog* answers = nullptr) {
    run_.emplace(run, 1, kStart);
    const S6aClientConfig config{.pace = pace,
                                 .mix = mix_,
                                 .requests = {.imsis = *ImsiRange::from("001010000000001", 10),
                                              .destination_realm = "example",
                                              .destination_host = {},
                                              .visited_plmn = *plmn_octets("00101")},
                                 .request_timeout = 0s};
    client_ = &script_.add(kClient,
                           std::make_unique<S6aClient>(module_, config, 1, *run_, tally_, answers));
    script_.on_action = [this](AssociationId, Action& action) {
      take(std::get<Forward>(action));
      return true;
    };
  }

  void peer(bool open) {
    auto change = std::make_unique<diameter::PeerChange>();
    change->state = open ? diameter::PeerChange::State::open : diameter::PeerChange::State::closed;
    change->name = "hss";
    change->origin_host = "hss.example";
    change->realm = "example";
    change->applications = {diameter::application::s6a};
    module_.publish(ShardId{}, kPeer, std::move(change));
  }
  void step(SessionInput input) { script_.give(kClient, std::move(input)); }
  void take(Forward& forward) {
    EXPECT_EQ(forward.to, kPeer);
    switch (diameter::kind_of(*forward.parcel)) {
      case diameter::ParcelKind::request:
        requests_.push_back(diameter::parcel_cast<RequestParcel>(std::move(forward.parcel)));
        break;
      case diameter::ParcelKind::answer:
        answers_.push_back(diameter::parcel_cast<AnswerParcel>(std::move(forward.parcel)));
        break;
      case diameter::ParcelKind::peer_change:
      case diameter::ParcelKind::call:
        ADD_FAILURE() << "a client has no peers to change";
    }
  }
  // Wakes the client at its deadlines, answering everything, until `end`.
  void run_until(Instant end) {
    while (script_.wake_next(end)) {
      while (answering_ && !requests_.empty()) answer_first(diameter::result::success);
    }
    now_ = end;
  }
  void begin() {
    peer(true);
    step(Woken{});
    ASSERT_EQ(run_->began(), now_);
  }

  diameter::RequestPtr take_first() {
    auto request = std::move(requests_.front());
    requests_.pop_front();
    return request;
  }
  std::unique_ptr<AnswerParcel> answer_to(const RequestParcel& request, diameter::ResultCode result,
                                          AssociationId by = kPeer) {
    MessageBuilder answer = MessageBuilder::answer(script_.pool, request.header);
    answer.add(avp::result_code, static_cast<std::uint32_t>(result));
    auto parcel = std::make_unique<AnswerParcel>();
    parcel->message = std::move(answer).finish();
    parcel->tag = request.tag;
    parcel->answered_by = by;
    return parcel;
  }
  void answer_first(diameter::ResultCode result) {
    const auto request = take_first();
    step(Submitted{kPeer, answer_to(*request, result)});
  }
  MessageBuilder from_hss(const diameter::CommandDef& kind) {
    auto request = MessageBuilder::request(script_.pool, kind, 7, 8);
    request.add(avp::session_id, "hss.example;1;1")
        .add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained)
        .add(avp::origin_host, "hss.example")
        .add(avp::origin_realm, "example")
        .add(avp::destination_host, "mme01.example")
        .add(avp::destination_realm, "example")
        .add(avp::user_name, "001010000000001");
    return request;
  }
  void receive(MessageBuilder message) {
    auto request = std::make_unique<RequestParcel>();
    request->message = std::move(message).finish();
    request->header = *diameter::Header::read(request->message.bytes());
    request->origin = kPeer;
    step(Submitted{kPeer, std::move(request)});
  }
  void fail_first(Why why) {
    const auto request = take_first();
    auto answer = answer_to(*request, diameter::result::unable_to_deliver, AssociationId::none);
    answer->why = why;
    step(Submitted{kPeer, std::move(answer)});
  }

  static constexpr RunConfig kRunConfig{.connect_timeout = 5s,
                                        .duration = 10s,
                                        .warm_up = 2s,
                                        .drain_max = 1s,
                                        .tolerate_reconnect = false};

  static constexpr AssociationId kClient{50};

  diameter::DiameterModule module_{mme()};
  S6aMix mix_;
  Tally tally_;
  std::optional<LoadRun> run_;
  test::TestScript script_{nullptr, kStart};
  S6aClient* client_ = nullptr;
  std::deque<diameter::RequestPtr> requests_;
  std::deque<std::unique_ptr<AnswerParcel>> answers_;
  bool answering_ = true;
  Instant& now_ = script_.now;
};

TEST_F(S6aClientTest, WaitsForItsPeerAndKeepsLooking) {
  make({.per_second = 100});
  run_until(kStart + 1s);
  EXPECT_EQ(run_->peers_up(), 0u);
  peer(true);
  run_until(kStart + 1s + 20ms);
  EXPECT_EQ(run_->peers_up(), 1u);
  EXPECT_TRUE(run_->began().has_value());
}

TEST_F(S6aClientTest, SendsAtItsRateAndFindsNothingWrong) {
  make({.per_second = 100});
  begin();
  run_until(kStart + 12s);
  client_->finish(now_);
  EXPECT_NEAR(static_cast<double>(tally_.sent), 1000, 2);
  EXPECT_EQ(tally_.answered, tally_.sent);
  EXPECT_EQ(tally_.lost + tally_.duplicated + tally_.errors() + tally_.skipped, 0u);
  EXPECT_EQ(run_->phase(now_), Phase::finished);
}

TEST_F(S6aClientTest, LeavesTheWarmUpOutOfItsPercentilesButNotOutOfItsCounts) {
  make({.per_second = 100});
  begin();
  run_until(kStart + 12s);
  EXPECT_NEAR(static_cast<double>(tally_.latency.count()), 800, 2);
  EXPECT_NEAR(static_cast<double>(tally_.answered), 1000, 2);
}

TEST_F(S6aClientTest, MeasuresFromWhenARequestWasDue) {
  make({.per_second = 10, .jitter = 0, .window = 1}, {.warm_up = 0s});
  begin();
  answering_ = false;
  run_until(kStart + 1s);
  ASSERT_EQ(requests_.size(), 1u);
  now_ = kStart + 5s;
  answer_first(diameter::result::success);  // after nearly 5 s
  ASSERT_EQ(requests_.size(), 1u);          // the next one, due since long
  answer_first(diameter::result::success);  // at once, and yet it took nearly 5 s
  EXPECT_GT(tally_.latency.quantile_us(0.01), 4.5e6);
  EXPECT_EQ(tally_.latency.count(), 2u);
}

TEST_F(S6aClientTest, KeepsTheWindowFull) {
  make({.mode = PaceMode::closed_loop, .window = 8});
  begin();
  EXPECT_EQ(requests_.size(), 8u);
  answer_first(diameter::result::success);
  EXPECT_EQ(requests_.size(), 8u);
  EXPECT_EQ(run_->under_way(), 8u);
}

TEST_F(S6aClientTest, StopsSendingAtTheEndAndSleeps) {
  make({.mode = PaceMode::closed_loop, .window = 2});
  begin();
  now_ = kStart + 10s;
  EXPECT_EQ(run_->phase(now_), Phase::draining);
  answer_first(diameter::result::success);
  answer_first(diameter::result::success);
  EXPECT_TRUE(requests_.empty());
  EXPECT_EQ(run_->phase(now_), Phase::finished);
  EXPECT_GT(client_->deadline(), now_);
}

TEST_F(S6aClientTest, MixesRequestsByWeight) {
  mix_ = {.air = 0, .ulr = 3, .pur = 1};
  make({.mode = PaceMode::closed_loop, .window = 60});
  begin();
  int ulr = 0, pur = 0;
  for (int n = 0; n < 1000; ++n) {
    ulr += requests_.front()->view().is(command::update_location) ? 1 : 0;
    pur += requests_.front()->view().is(command::purge_ue) ? 1 : 0;
    answer_first(diameter::result::success);
  }
  EXPECT_EQ(ulr + pur, 1000);
  EXPECT_NEAR(ulr, 750, 60);
}

TEST_F(S6aClientTest, CountsErrorsByTheirResult) {
  make({.mode = PaceMode::closed_loop, .window = 3});
  begin();
  answer_first(diameter::result::success);
  answer_first(diameter::result::unable_to_comply);
  answer_first(diameter::result::unable_to_comply);
  EXPECT_EQ(tally_.answered, 3u);
  EXPECT_EQ(tally_.error_results, (std::map<std::uint32_t, std::uint64_t>{{5012, 2}}));
}

TEST_F(S6aClientTest, CallsASecondAnswerADuplicate) {
  make({.mode = PaceMode::closed_loop, .window = 1});
  begin();
  const auto request = take_first();
  step(Submitted{kPeer, answer_to(*request, diameter::result::success)});
  step(Submitted{kPeer, answer_to(*request, diameter::result::success)});
  EXPECT_EQ(tally_.answered, 1u);
  EXPECT_EQ(tally_.duplicated, 1u);
}

TEST_F(S6aClientTest, CountsTimeoutsRefusalsAndBrokenConnectionsAsLost) {
  make({.mode = PaceMode::closed_loop, .window = 4});
  begin();
  fail_first(Why::timed_out);
  fail_first(Why::congested);
  fail_first(Why::not_open);
  EXPECT_EQ(tally_.lost, 3u);
  EXPECT_EQ(tally_.timed_out, 1u);
  EXPECT_EQ(tally_.refused, 1u);
  EXPECT_EQ(tally_.answered, 0u);
}

TEST_F(S6aClientTest, SendsNoOtherAtOnceInPlaceOfOneThatCouldNotBeSent) {
  make({.mode = PaceMode::closed_loop, .window = 1});
  begin();
  fail_first(Why::congested);
  EXPECT_TRUE(requests_.empty());
  ASSERT_LE(client_->deadline(), now_ + 10ms);
  answering_ = false;
  run_until(now_ + 10ms);
  EXPECT_EQ(requests_.size(), 1u);
}

TEST_F(S6aClientTest, CountsWhatIsStillUnderWayAtTheEndAsLost) {
  make({.mode = PaceMode::closed_loop, .window = 4});
  begin();
  now_ = kStart + 12s;
  EXPECT_EQ(run_->phase(now_), Phase::finished);
  client_->finish(now_);
  EXPECT_EQ(tally_.lost, 4u);
}

TEST_F(S6aClientTest, SkipsWhatIsDueWhileThePeerIsAwayAndGoesOnAfterwards) {
  RunConfig run = kRunConfig;
  run.tolerate_reconnect = true;
  make({.per_second = 100}, run);
  begin();
  run_until(kStart + 2s);
  answering_ = false;
  run_until(kStart + 2s + 50ms);
  const std::size_t cut_off = requests_.size();
  EXPECT_GT(cut_off, 0u);
  peer(false);
  while (!requests_.empty()) fail_first(Why::not_open);
  EXPECT_EQ(run_->connections_lost(), 1u);
  run_until(kStart + 4s);
  EXPECT_TRUE(requests_.empty());
  answering_ = true;
  peer(true);
  run_until(kStart + 12s);
  client_->finish(now_);
  EXPECT_EQ(tally_.unanswered, cut_off);
  EXPECT_EQ(tally_.lost, 0u);
  EXPECT_NEAR(static_cast<double>(tally_.skipped), 195, 5);
  EXPECT_EQ(tally_.sent, tally_.answered + cut_off);
}

TEST_F(S6aClientTest, AnswersCancelLocationWithSuccess) {
  make({.per_second = 1});
  begin();
  auto clr = from_hss(command::cancel_location);
  clr.add(avp::cancellation_type, diameter::CancellationType::mme_update_procedure);
  receive(std::move(clr));
  ASSERT_EQ(answers_.size(), 1u);
  const MessageView cla = answers_.front()->view();
  EXPECT_EQ(cla.result_code(), diameter::result::success);
  EXPECT_EQ(cla.get(avp::session_id), "hss.example;1;1");
  EXPECT_EQ(cla.get(avp::origin_host), "mme01.example");
  EXPECT_EQ(diameter::check_command(cla, diameter::dictionary()), std::nullopt);
}

TEST_F(S6aClientTest, RefusesCommandsThatNoMmeOfItsKindKnows) {
  make({.per_second = 1});
  begin();
  auto idr = from_hss(command::insert_subscriber_data);
  idr.group(avp::subscription_data, [] {});
  receive(std::move(idr));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_EQ(answers_.front()->view().result_code(), diameter::result::command_unsupported);
}

TEST_F(S6aClientTest, KeepsWhatWasAnsweredForLaterChecks) {
  const std::string file = testing::TempDir() + "siglane-load-answers";
  auto log = AnswerLog::create(file);
  ASSERT_TRUE(log.has_value()) << log.error().what;
  mix_ = {.air = 1, .ulr = 0, .pur = 0};
  make({.mode = PaceMode::closed_loop, .window = 2}, kRunConfig, log->get());
  begin();
  const auto request = take_first();
  MessageBuilder aia = MessageBuilder::answer(script_.pool, request->header);
  aia.add(avp::result_code, 2001u);
  const std::array<std::byte, 2> rand{std::byte{0xAB}, std::byte{0x01}};
  const std::array<std::byte, 2> autn{std::byte{0x00}, std::byte{0xCD}};
  aia.group(avp::authentication_info, [&] {
    aia.group(avp::e_utran_vector, [&] { aia.add(avp::rand, rand).add(avp::autn, autn); });
  });
  auto answer = answer_to(*request, diameter::result::success);
  answer->message = std::move(aia).finish();
  step(Submitted{kPeer, std::move(answer)});
  answer_first(diameter::result::unable_to_comply);  // not kept
  ASSERT_TRUE((*log)->finish().has_value());

  const std::string imsi(*request->view().get(avp::user_name));
  std::ifstream in(file);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text, "{\"answer\":\"AIA\",\"imsi\":\"" + imsi +
                      "\",\"mme\":\"mme01.example\",\"rand\":\"ab01\",\"autn\":\"00cd\"}\n");
  std::filesystem::remove(file);
}

TEST(AnswerLog, NamesTheFileItCannotWrite) {
  const auto log = AnswerLog::create("/no/such/directory/answers");
  ASSERT_FALSE(log.has_value());
  EXPECT_THAT(log.error().what, testing::HasSubstr("/no/such/directory/answers"));
}

}  // namespace
}  // namespace siglane::load
