#include "apps/load/m3ua_client.h"

#include <deque>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "tests/support/test_script.h"

namespace siglane::load {
namespace {

using m3ua::AspState;
using m3ua::DataParcel;

const Instant kStart = Instant(10s);

// A gateway that hands DATA from AS to AS at once, and can be told to misbehave.
class M3uaClientTest : public testing::Test {
 protected:
  void make(PaceConfig pace, std::size_t asps = 3, RunConfig config = kRunConfig) {
    run_.emplace(config, asps, kStart);
    M3uaTrafficConfig traffic{.point_codes = {}, .sls_count = 4, .run = 99};
    std::vector<M3uaSender> senders;
    for (std::uint32_t n = 0; n < asps; ++n) {
      traffic.point_codes.push_back(1001 + n);
      senders.push_back({.asp = "asp" + std::to_string(n + 1),
                         .routing_context = 101 + n,
                         .pace = pace,
                         .payload_bytes_min = 32,
                         .payload_bytes_max = 200,
                         .tally = &tally_});
    }
    traffic_.emplace(traffic);
    client_ = &script_.add(kClient,
                           std::make_unique<M3uaClient>(std::move(senders), *traffic_, 1, *run_));
    script_.on_action = [this](AssociationId, Action& action) {
      auto& forward = std::get<Forward>(action);
      sent_.push_back({forward.to, std::unique_ptr<DataParcel>(
                                       static_cast<DataParcel*>(forward.parcel.release()))});
      return true;
    };
  }

  void step(SessionInput input) { script_.give(kClient, std::move(input)); }
  void status(std::uint64_t asp, AspState state) {
    auto parcel = std::make_unique<m3ua::AspStatusParcel>();
    parcel->asp = "asp" + std::to_string(asp);
    parcel->state = state;
    parcel->congested = congested_;
    parcel->routing_context = static_cast<std::uint32_t>(100 + asp);
    step(Submitted{AssociationId{asp}, std::move(parcel)});
  }
  void all_active(std::uint64_t asps = 3) {
    for (std::uint64_t n = 1; n <= asps; ++n) status(n, AspState::active);
  }
  // To the ASP that its DPC belongs to.
  void deliver(std::unique_ptr<DataParcel> data) {
    const AssociationId to{data->label.dpc - 1000};
    step(Submitted{to, std::move(data)});
  }
  void deliver_all() {
    for (std::size_t left = sent_.size(); left > 0; --left) {
      auto data = std::move(sent_.front().data);
      sent_.pop_front();
      if (down_ != data->label.dpc - 1000) deliver(std::move(data));
    }
  }
  // Wakes the client at its own deadlines until `end`.
  void run_until(Instant end) {
    while (script_.wake_next(end)) deliver_all();
    now_ = end;
  }

  static constexpr RunConfig kRunConfig{.connect_timeout = 5s,
                                        .duration = 10s,
                                        .warm_up = 0s,
                                        .drain_max = 1s,
                                        .tolerate_reconnect = false};
  struct Sent {
    AssociationId by;
    std::unique_ptr<DataParcel> data;
  };

  static constexpr AssociationId kClient{50};

  Tally tally_;
  std::optional<LoadRun> run_;
  std::optional<M3uaTraffic> traffic_;
  test::TestScript script_{nullptr, kStart};
  M3uaClient* client_ = nullptr;
  std::deque<Sent> sent_;
  Instant& now_ = script_.now;
  std::uint64_t down_ = 0;  // the ASP that nothing is delivered to
  bool congested_ = false;  // as every status says
};

TEST_F(M3uaClientTest, SendsNothingBeforeEveryAspIsActive) {
  make({.mode = PaceMode::closed_loop, .window = 2});
  status(1, AspState::active);
  status(2, AspState::inactive);
  status(3, AspState::active);
  EXPECT_TRUE(sent_.empty());
  EXPECT_EQ(run_->began(), std::nullopt);
  status(2, AspState::active);
  EXPECT_EQ(run_->began(), kStart);
  EXPECT_EQ(sent_.size(), 6u);  // a window for each
}

TEST_F(M3uaClientTest, SendsFromItsOwnPointCodeToAnotherInItsOwnContext) {
  make({.mode = PaceMode::closed_loop, .window = 50});
  all_active();
  ASSERT_EQ(sent_.size(), 150u);
  for (const Sent& sent : sent_) {
    const auto asp = static_cast<std::uint32_t>(sent.by);
    EXPECT_EQ(sent.data->label.opc, 1000 + asp);
    EXPECT_NE(sent.data->label.dpc, sent.data->label.opc);
    EXPECT_EQ(sent.data->label.si, 3);
    EXPECT_LT(sent.data->label.sls, 4);
    EXPECT_EQ(sent.data->routing_context, 100 + asp);
    EXPECT_GE(sent.data->size(), 32u);
    EXPECT_LE(sent.data->size(), 200u);
  }
}

TEST_F(M3uaClientTest, FindsNothingWrongWhereEverythingArrives) {
  make({.per_second = 100});
  all_active();
  run_until(kStart + 11s);
  client_->finish(now_);
  EXPECT_NEAR(static_cast<double>(tally_.sent), 3000, 6);
  EXPECT_EQ(tally_.answered, tally_.sent);
  EXPECT_EQ(tally_.latency.count(), tally_.sent);
  EXPECT_EQ(tally_.lost + tally_.duplicated + tally_.out_of_order + tally_.damaged, 0u);
  EXPECT_EQ(tally_.skipped, 0u);
  EXPECT_EQ(run_->phase(now_), Phase::finished);
  EXPECT_EQ(client_->deadline(), std::nullopt);
}

TEST_F(M3uaClientTest, KeepsTheWindowFull) {
  make({.mode = PaceMode::closed_loop, .window = 5}, 2);
  all_active(2);
  ASSERT_EQ(sent_.size(), 10u);
  auto data = std::move(sent_.front().data);
  sent_.pop_front();
  deliver(std::move(data));
  EXPECT_EQ(sent_.size(), 10u);
  EXPECT_EQ(run_->under_way(), 10u);
}

TEST_F(M3uaClientTest, CountsWhatDidNotArrive) {
  make({.mode = PaceMode::closed_loop, .window = 4});
  all_active();
  sent_.pop_front();
  sent_.pop_front();
  now_ = kStart + 20s;
  deliver_all();
  client_->finish(now_);
  EXPECT_EQ(tally_.lost, 2u);
  EXPECT_EQ(tally_.answered, tally_.sent - 2);
}

TEST_F(M3uaClientTest, CountsWhatArrivedTwice) {
  make({.mode = PaceMode::closed_loop, .window = 1}, 2);
  all_active(2);
  deliver(sent_.front().data->share());
  deliver(sent_.front().data->share());
  EXPECT_EQ(tally_.answered, 1u);
  EXPECT_EQ(tally_.duplicated, 1u);
}

TEST_F(M3uaClientTest, CountsWhatWasOvertakenInItsFlow) {
  make({.mode = PaceMode::closed_loop, .window = 100}, 2);
  all_active(2);
  // The first two of one flow, the other way round.
  const m3ua::MtpLabel flow = sent_.front().data->label;
  const auto second = std::find_if(sent_.begin() + 1, sent_.end(),
                                   [&](const Sent& sent) { return sent.data->label == flow; });
  ASSERT_NE(second, sent_.end());
  std::swap(sent_.front().data, second->data);
  now_ = kStart + 20s;
  deliver_all();
  client_->finish(now_);
  EXPECT_EQ(tally_.out_of_order, 1u);
  EXPECT_EQ(tally_.lost, 0u);
}

TEST_F(M3uaClientTest, NoticesWhatArrivedAtTheWrongPlaceOrUnderAnotherLabel) {
  make({.mode = PaceMode::closed_loop, .window = 1});
  all_active();
  auto astray = sent_.front().data->share();
  const AssociationId elsewhere{astray->label.dpc == 1002 ? 3u : 2u};
  step(Submitted{elsewhere, std::move(astray)});
  EXPECT_EQ(tally_.damaged, 1u);
  auto relabelled = sent_.front().data->share();
  relabelled->label.sls ^= 1;
  deliver(std::move(relabelled));
  EXPECT_EQ(tally_.damaged, 2u);
  EXPECT_EQ(tally_.answered, 0u);
}

TEST_F(M3uaClientTest, NoticesDamage) {
  make({.mode = PaceMode::closed_loop, .window = 1}, 2);
  all_active(2);
  const DataParcel& good = *sent_.front().data;
  std::vector<std::byte> bytes(good.user_data().begin(), good.user_data().end());
  bytes.push_back(std::byte{0});
  deliver(std::make_unique<DataParcel>(good.label, Buffer::copy_of(bytes)));
  EXPECT_EQ(tally_.damaged, 1u);
}

TEST_F(M3uaClientTest, TellsAnotherRunsMessagesFromItsOwn) {
  make({.mode = PaceMode::closed_loop, .window = 1}, 2);
  all_active(2);
  M3uaTraffic other({.point_codes = {1001, 1002}, .sls_count = 4, .run = 98});
  Random random(1);
  deliver(other.make(0, 64, kStart, random, script_.pool));
  EXPECT_EQ(client_->foreign(), 1u);
  EXPECT_EQ(tally_.damaged + tally_.answered, 0u);
}

TEST_F(M3uaClientTest, CountsWhatComesBackAsLostOnce) {
  make({.mode = PaceMode::closed_loop, .window = 2}, 2);
  all_active(2);
  auto data = std::move(sent_.front().data);
  const AssociationId by = sent_.front().by;
  sent_.pop_front();
  data->returned = Why::congested;
  now_ = kStart + 20s;
  step(Submitted{by, std::move(data)});
  deliver_all();
  client_->finish(now_);
  EXPECT_EQ(tally_.refused, 1u);
  EXPECT_EQ(tally_.lost, 1u);
  EXPECT_EQ(run_->under_way(), 0u);
}

TEST_F(M3uaClientTest, SendsNoOtherAtOnceInPlaceOfOneThatCameBack) {
  make({.mode = PaceMode::closed_loop, .window = 1}, 2);
  all_active(2);
  ASSERT_EQ(sent_.size(), 2u);
  Sent back = std::move(sent_.front());
  sent_.clear();
  back.data->returned = Why::refused;
  step(Submitted{back.by, std::move(back.data)});
  EXPECT_TRUE(sent_.empty());
  ASSERT_EQ(client_->deadline(), now_ + 10ms);
  now_ += 10ms;
  step(Woken{});
  EXPECT_EQ(sent_.size(), 1u);
}

TEST_F(M3uaClientTest, SendsNothingWhileItsAssociationIsCongested) {
  make({.mode = PaceMode::closed_loop, .window = 1}, 2);
  all_active(2);
  congested_ = true;
  status(1, AspState::active);
  deliver_all();  // each makes room for one more
  EXPECT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_.front().by, AssociationId{2});
  congested_ = false;
  status(1, AspState::active);
  EXPECT_EQ(sent_.size(), 2u);
}

TEST_F(M3uaClientTest, CountsOnlyDestinationsOfItsOwnAsUnavailable) {
  make({.mode = PaceMode::closed_loop, .window = 1});
  all_active();
  for (const m3ua::AffectedPointCode affected :
       {m3ua::AffectedPointCode{0, 1004}, m3ua::AffectedPointCode{0, 1003},
        m3ua::AffectedPointCode{3, 1000}}) {
    auto duna = std::make_unique<m3ua::NetworkStatusParcel>();
    duna->type = m3ua::MessageType::duna;
    duna->affected = {affected};
    step(Submitted{AssociationId{1}, std::move(duna)});
  }
  EXPECT_EQ(client_->destinations_unavailable(), 2u);
}

TEST_F(M3uaClientTest, SkipsWhatIsDueWhileAnAspIsDown) {
  make({.per_second = 100, .window = 1000});
  all_active();
  run_until(kStart + 2s);
  down_ = 2;
  status(2, AspState::down);
  EXPECT_EQ(run_->connections_lost(), 1u);
  run_until(kStart + 4s);
  down_ = 0;
  status(2, AspState::active);
  run_until(kStart + 11s);
  client_->finish(now_);
  EXPECT_NEAR(static_cast<double>(tally_.skipped), 200, 2);
  EXPECT_NEAR(static_cast<double>(tally_.sent), 2800, 8);
  EXPECT_EQ(tally_.sent, tally_.answered + tally_.lost);
  EXPECT_EQ(tally_.damaged, 0u);
}

TEST_F(M3uaClientTest, ForgivesLossWithABrokenConnectionWhereThatIsTolerated) {
  RunConfig config = kRunConfig;
  config.tolerate_reconnect = true;
  make({.mode = PaceMode::closed_loop, .window = 2}, 2, config);
  all_active(2);
  sent_.pop_front();
  status(1, AspState::inactive);
  EXPECT_EQ(run_->under_way(), 2u);  // the other's new window: nothing else is waited for
  now_ = kStart + 20s;
  deliver_all();
  client_->finish(now_);
  EXPECT_EQ(tally_.lost, 0u);
  EXPECT_EQ(tally_.unanswered, 1u);
}

TEST_F(M3uaClientTest, JudgesTheShortestPayloadsToo) {
  M3uaTraffic traffic({.point_codes = {1, 2}, .sls_count = 1, .run = 5});
  Random random(3);
  std::vector<std::unique_ptr<DataParcel>> sent;
  for (int n = 0; n < 3; ++n) sent.push_back(traffic.make(0, 8, kStart, random, script_.pool));
  using Verdict = M3uaTraffic::Verdict;
  EXPECT_EQ(traffic.judge(*sent[0], 1).verdict, Verdict::in_order);
  EXPECT_EQ(traffic.judge(*sent[2], 1).verdict, Verdict::in_order);
  EXPECT_EQ(traffic.judge(*sent[1], 1).verdict, Verdict::out_of_order);
  EXPECT_EQ(traffic.judge(*sent[1], 1).verdict, Verdict::duplicate);
  EXPECT_EQ(traffic.judge(*sent[1], 0).verdict, Verdict::damaged);
  EXPECT_EQ(traffic.lost(0), 0u);
}

TEST_F(M3uaClientTest, SendsOnlyWithinASendersCircle) {
  M3uaTraffic traffic({.point_codes = {1, 2, 3, 4, 5},
                       .circles = {{}, {1, 2}, {1, 2}, {3, 2}, {3, 2}},
                       .sls_count = 1,
                       .run = 5});
  Random random(3);
  const auto destinations = [&](std::size_t sender) {
    std::set<std::uint32_t> codes;
    for (int n = 0; n < 100; ++n) {
      codes.insert(traffic.make(sender, 8, kStart, random, script_.pool)->label.dpc);
    }
    return codes;
  };
  EXPECT_EQ(destinations(0), (std::set<std::uint32_t>{2, 3, 4, 5}));
  EXPECT_EQ(destinations(1), (std::set<std::uint32_t>{3}));
  EXPECT_EQ(destinations(2), (std::set<std::uint32_t>{2}));
  EXPECT_EQ(destinations(4), (std::set<std::uint32_t>{4}));
}

}  // namespace
}  // namespace siglane::load
