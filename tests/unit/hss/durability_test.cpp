#include <gtest/gtest.h>

#include "apps/hss/sqlite_database.h"
#include "tests/unit/hss/store_fixture.h"

// What an MME was told survives a power cut, whenever it comes.

namespace siglane::hss {
namespace {

constexpr unsigned kSubscribers = 12;

struct State {
  SequenceNumber sqn;
  std::string mme;
  bool purged = false;
};
using World = std::vector<State>;

const ServingNode kProbe{"probe.example", "example"};

// What the requests of a group do to a subscriber, told once more in five lines.
void carry_out(const StoreRequest& request, World& world) {
  State& state =
      world[static_cast<std::size_t>(std::stoul(std::string(request.imsi.text().substr(5))))];
  if (const auto* get = std::get_if<GetVectors>(&request.operation)) {
    state.sqn = next_batch(state.sqn, get->count)->last();
  } else if (const auto* update = std::get_if<UpdateLocation>(&request.operation)) {
    state.mme = update->mme.host;
    state.purged = false;
  } else if (state.mme == std::get<PurgeUe>(request.operation).mme_host) {
    state.purged = true;
  }
}

StoreOperation random_operation(Random& random) {
  const std::string mme = "mme" + std::to_string(random.below(3)) + ".example";
  switch (random.below(4)) {
    case 0:
      return UpdateLocation{{mme, "example"}, RatType::eutran, kHome};
    case 1:
      return PurgeUe{mme};
    default:
      return GetVectors{kHome, 1 + static_cast<unsigned>(random.below(3)), {}};
  }
}

std::vector<ParcelPtr> random_group(Random& random) {
  std::vector<ParcelPtr> group(1 + random.below(8));
  for (ParcelPtr& parcel : group) {
    parcel = store_request(imsi_number(static_cast<unsigned>(random.below(kSubscribers))),
                           random_operation(random));
  }
  return group;
}

// The subscribers as the reopened store has them. Asks with the requests an MME has: the next
// vector's SQN, and the MME that an update cancels.
World found(SubscriberStore& store) {
  Usim usim(kTestK, kTestOpc);
  World world(kSubscribers);
  for (unsigned n = 0; n < kSubscribers; ++n) {
    std::vector<ParcelPtr> group;
    group.push_back(store_request(imsi_number(n), GetVectors{kHome, 1, {}}));
    group.push_back(store_request(imsi_number(n), UpdateLocation{kProbe, RatType::eutran, kHome}));
    EXPECT_TRUE(store.run(group));
    const auto& made = std::get<VectorsMade>(result_of(group[0]));
    world[n].sqn = usim.sqn_of(made.vectors[0]).value_or(SequenceNumber{});
    const auto& updated = std::get<LocationUpdated>(result_of(group[1]));
    if (updated.cancelled) world[n].mme = updated.cancelled->host;
  }
  return world;
}

bool agrees(const World& expected, const World& found) {
  for (unsigned n = 0; n < kSubscribers; ++n) {
    const std::string mme = expected[n].purged ? "" : expected[n].mme;
    if (found[n].sqn != next_batch(expected[n].sqn, 1)->first || found[n].mme != mme) return false;
  }
  return true;
}

class PowerCutTest : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(PowerCutTest, LosesNothingThatWasAnsweredAndNothingByHalves) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  Random random(GetParam());
  PowerCutDisk disk(random.next());
  auto store = open_sqlite_store(store_on(disk));
  ASSERT_TRUE(store) << store.error().what;
  std::vector<Subscriber> subscribers;
  for (unsigned n = 0; n < kSubscribers; ++n) subscribers.push_back(test_subscriber(n));
  ASSERT_TRUE((*store)->import(subscribers));

  World answered(kSubscribers), attempted;
  disk.cut_power_after(1 + random.below(300));
  for (int groups = 0; groups < 1000 && disk.powered(); ++groups) {
    const std::vector<ParcelPtr> group = random_group(random);
    attempted = answered;
    for (const ParcelPtr& parcel : group) carry_out(static_cast<StoreRequest&>(*parcel), attempted);
    if ((*store)->run(group)) {
      answered = attempted;
    } else {
      ASSERT_FALSE(disk.powered()) << "failed without a cause";
      for (const ParcelPtr& parcel : group) {
        ASSERT_TRUE(std::holds_alternative<StoreFailure>(result_of(parcel)));
      }
    }
  }
  ASSERT_FALSE(disk.powered());
  store->reset();
  disk.restore_power();

  store = open_sqlite_store(store_on(disk));
  ASSERT_TRUE(store) << store.error().what;
  const World after = found(**store);
  // The group that was not answered may have become durable all the same, but whole.
  EXPECT_TRUE(agrees(answered, after) || agrees(attempted, after));
  for (unsigned n = 0; n < kSubscribers; ++n) EXPECT_GT(after[n].sqn, answered[n].sqn);
}

INSTANTIATE_TEST_SUITE_P(HundredCuts, PowerCutTest, ::testing::Range<std::uint64_t>(0, 100));

// The disk's own honesty: without flushes, things do get lost.
TEST(PowerCutDiskTest, WithoutFlushesTheSameLoadLosesAnswers) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    PowerCutDisk disk(seed);
    {
      auto database = Database::open("plain.db", disk.name(), 1s);
      ASSERT_TRUE(database);
      ASSERT_TRUE(database->execute("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER)"));
      ASSERT_TRUE(database->execute("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = OFF"));
      for (int n = 0; n < 20; ++n) ASSERT_TRUE(database->execute("INSERT INTO t VALUES (1)"));
      disk.cut_power_after(1);
      (void)database->execute("INSERT INTO t VALUES (1)");
    }
    disk.restore_power();
    auto database = Database::open("plain.db", disk.name(), 1s);
    ASSERT_TRUE(database);
    const auto rows = database->integer("SELECT count(*) FROM t");
    lost += !rows || *rows < 20 ? 1 : 0;
  }
  EXPECT_GT(lost, 10);
}

}  // namespace
}  // namespace siglane::hss
