// What an MME was told over S6a survives a power cut of the HSS, whenever it comes.
#include <map>

#include <gtest/gtest.h>

#include "tests/component/hss/hss_world.h"

namespace siglane::hss {
namespace {

namespace avp = diameter::avp;
namespace command = diameter::command;

constexpr unsigned kSubscribers = 6;

struct Told {
  SequenceNumber sqn;  // the highest that any AIA carried
  std::string mme;     // of the last ULA
};

class HssPowerCutTest : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(HssPowerCutTest, NoAnsweredAiaOrUlaIsLostAndNoSqnGoesBackwards) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  Random random(GetParam());
  PowerCutDisk disk(random.next());
  Usim usim(kTestK, kTestOpc);
  std::map<unsigned, Told> told;
  // Of each subscriber's updates, those that nobody answered: they may have happened, or not.
  std::map<unsigned, std::vector<std::string>> unanswered;

  struct Sent {
    RawMme* mme;
    std::uint32_t id;
    unsigned subscriber;
    bool update;
  };
  {
    HssWorld hss(disk, random.next());
    std::vector<Subscriber> subscribers;
    for (unsigned n = 0; n < kSubscribers; ++n) subscribers.push_back(test_subscriber(n));
    ASSERT_TRUE(hss.asks.store().import(subscribers));
    disk.cut_power_after(1 + random.below(200));
    for (int round = 0; round < 300 && disk.powered(); ++round) {
      // A few at once, for different subscribers, so that the order of their answers is theirs.
      std::vector<Sent> sent;
      for (unsigned n = 0; n < kSubscribers; ++n) {
        RawMme& mme = random.below(2) == 0 ? *hss.mme1 : *hss.mme2;
        const bool update = random.below(3) == 0;
        mme.send((update ? ulr(mme, imsi_number(n)) : air(mme, imsi_number(n), 2)).finish());
        sent.push_back({&mme, mme.last_id(), n, update});
      }
      ASSERT_TRUE(hss.world.run_until(
          [&] {
            for (const Sent& one : sent) {
              if (one.mme->answer(one.id) == nullptr) return false;
            }
            return true;
          },
          5s));
      for (const Sent& one : sent) {
        const auto answer = *diameter::MessageView::parse(one.mme->answer(one.id)->bytes());
        const bool success = answer.result_code() == diameter::result::success;
        if (success && one.update) {
          told[one.subscriber].mme = one.mme->host();
        } else if (success) {
          for (const AuthenticationVector& vector : vectors_of(answer)) {
            const auto sqn = usim.sqn_of(vector);
            ASSERT_TRUE(sqn);
            ASSERT_GT(*sqn, told[one.subscriber].sqn);
            told[one.subscriber].sqn = *sqn;
          }
        } else {
          EXPECT_EQ(answer.result_code(), diameter::result::unable_to_comply);
          EXPECT_FALSE(disk.powered());
          if (one.update) unanswered[one.subscriber].push_back(one.mme->host());
        }
      }
    }
    ASSERT_FALSE(disk.powered());
    hss.asks.close();
  }
  disk.restore_power();

  HssWorld hss(disk, random.next());
  for (unsigned n = 0; n < kSubscribers; ++n) {
    const auto vectors = vectors_of(hss.ask(*hss.mme1, air(*hss.mme1, imsi_number(n))));
    ASSERT_EQ(vectors.size(), 1u);
    EXPECT_GT(usim.sqn_of(vectors[0]), told[n].sqn);

    std::vector<ParcelPtr> group;
    group.push_back(
        store_request(imsi_number(n), UpdateLocation{{"probe", kRealm}, RatType::eutran, kHome}));
    ASSERT_TRUE(hss.asks.store().run(group));
    const auto& cancelled = std::get<LocationUpdated>(result_of(group[0])).cancelled;
    std::vector<std::string> possible = unanswered[n];
    possible.push_back(told[n].mme);
    EXPECT_NE(std::find(possible.begin(), possible.end(), cancelled ? cancelled->host : ""),
              possible.end());
  }
}

INSTANTIATE_TEST_SUITE_P(HundredCuts, HssPowerCutTest, ::testing::Range<std::uint64_t>(0, 100));

}  // namespace
}  // namespace siglane::hss
