#include "apps/hss/sqlite_store.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "apps/hss/sqlite_database.h"
#include "tests/unit/hss/store_fixture.h"

namespace siglane::hss {
namespace {

const ServingNode kMme1{"mme01.example", "example"};
const ServingNode kMme2{"mme02.example", "example"};

class SqliteStoreTest : public ::testing::Test {
 protected:
  SqliteStoreTest() { reopen(); }

  void reopen() {
    store_.reset();
    auto store = open_sqlite_store(store_on(disk_));
    ASSERT_TRUE(store) << store.error().what;
    store_ = std::move(*store);
  }
  void import(const Subscriber& subscriber) {
    const auto done = store_->import({&subscriber, 1});
    ASSERT_TRUE(done) << done.error().what;
  }
  template <class Result>
  Result run(const Imsi& imsi, StoreOperation operation) {
    group_.clear();
    group_.push_back(store_request(imsi, std::move(operation)));
    EXPECT_TRUE(store_->run(group_));
    const Result* result = std::get_if<Result>(&result_of(group_[0]));
    EXPECT_NE(result, nullptr) << "result " << result_of(group_[0]).index();
    return result != nullptr ? *result : Result{};
  }
  SequenceNumber next_sqn(const Imsi& imsi) {
    const auto made = run<VectorsMade>(imsi, GetVectors{kHome, 1, std::nullopt});
    const auto sqn = usim_.sqn_of(made.vectors[0]);
    EXPECT_TRUE(sqn);
    return sqn.value_or(SequenceNumber{});
  }

  PowerCutDisk disk_{1};
  std::unique_ptr<SubscriberStore> store_;
  std::vector<ParcelPtr> group_;
  Usim usim_{kTestK, kTestOpc};
  const Imsi imsi_ = imsi_number(1);
};

TEST_F(SqliteStoreTest, MakesVectorsThatTheUsimAcceptsWithSqnAlwaysRising) {
  import(test_subscriber(1));
  SequenceNumber last{};
  for (unsigned round = 0; round < 50; ++round) {
    const unsigned count = 1 + round % kVectorsMax;
    const auto made = run<VectorsMade>(imsi_, GetVectors{kHome, count, std::nullopt});
    ASSERT_EQ(made.count, count);
    EXPECT_FALSE(made.resynchronised);
    for (unsigned i = 0; i < count; ++i) {
      const auto sqn = usim_.sqn_of(made.vectors[i]);
      ASSERT_TRUE(sqn) << "MAC-A, XRES or separation bit wrong";
      EXPECT_GT(*sqn, last);
      EXPECT_EQ(sqn->ind(), (round + 1) % SequenceNumber::kIndices);
      last = *sqn;
    }
  }
  reopen();
  EXPECT_GT(next_sqn(imsi_), last);
}

TEST_F(SqliteStoreTest, ServesOneSubscribersRequestsOfAGroupInOrder) {
  import(test_subscriber(1));
  for (int i = 0; i < 10; ++i) group_.push_back(store_request(imsi_, GetVectors{kHome, 1, {}}));
  ASSERT_TRUE(store_->run(group_));
  SequenceNumber last{};
  for (const ParcelPtr& parcel : group_) {
    const auto sqn = usim_.sqn_of(std::get<VectorsMade>(result_of(parcel)).vectors[0]);
    ASSERT_TRUE(sqn);
    EXPECT_GT(*sqn, last);
    last = *sqn;
  }
}

TEST_F(SqliteStoreTest, OneFlushServesAWholeGroup) {
  std::vector<Subscriber> subscribers;
  for (unsigned n = 1; n <= 100; ++n) subscribers.push_back(test_subscriber(n));
  store_.reset();
  SqliteStoreConfig config = store_on(disk_);
  config.checkpoint_pages = 1000;  // no checkpoint in between
  store_ = std::move(*open_sqlite_store(config));
  ASSERT_TRUE(store_->import(subscribers));
  for (unsigned n = 1; n <= 100; ++n) {
    group_.push_back(store_request(imsi_number(n), GetVectors{kHome, 1, {}}));
  }
  const auto before = disk_.flushes();
  ASSERT_TRUE(store_->run(group_));
  EXPECT_EQ(disk_.flushes() - before, 1u);
}

TEST_F(SqliteStoreTest, ResynchronisesToAUsimThatIsAhead) {
  import(test_subscriber(1));
  const Rand rand = bytes_of<16>("23553cbe9637a89d218ae64dae47bf35");
  const auto ms = SequenceNumber::of(1000, 4);
  const auto made =
      run<VectorsMade>(imsi_, GetVectors{kHome, 1, Resynchronisation{rand, usim_.auts(rand, ms)}});
  EXPECT_TRUE(made.resynchronised);
  const auto sqn = usim_.sqn_of(made.vectors[0]);
  ASSERT_TRUE(sqn);
  EXPECT_EQ(*sqn, SequenceNumber::of(1001, 5));
  EXPECT_GT(next_sqn(imsi_), *sqn);
}

TEST_F(SqliteStoreTest, AForgedAutsChangesNothing) {
  import(test_subscriber(1));
  const Rand rand{};
  Auts auts = usim_.auts(rand, SequenceNumber::of(1000, 4));
  auts[13] ^= std::byte{1};
  EXPECT_EQ(run<Denial>(imsi_, GetVectors{kHome, 1, Resynchronisation{rand, auts}}),
            Denial::authentication_data_unavailable);
  EXPECT_EQ(next_sqn(imsi_), SequenceNumber::of(1, 1));
}

TEST_F(SqliteStoreTest, AnExhaustedSqnGivesNoVector) {
  Subscriber subscriber = test_subscriber(1);
  subscriber.sqn.value = SequenceNumber::kMax;
  import(subscriber);
  EXPECT_EQ(run<Denial>(imsi_, GetVectors{kHome, 1, {}}), Denial::authentication_data_unavailable);
}

TEST_F(SqliteStoreTest, WithoutRandomBytesThereIsNoVectorAndNoSqnSpent) {
  import(test_subscriber(1));
  store_.reset();
  SqliteStoreConfig config = store_on(disk_);
  config.random = [](std::span<std::byte>) { return false; };
  store_ = std::move(*open_sqlite_store(config));
  EXPECT_EQ(run<Denial>(imsi_, GetVectors{kHome, 1, {}}), Denial::authentication_data_unavailable);
  reopen();
  EXPECT_EQ(next_sqn(imsi_), SequenceNumber::of(1, 1));
}

TEST_F(SqliteStoreTest, KnowsWhoIsUnknownAndWhoHasNoEpsSubscription) {
  Subscriber subscriber = test_subscriber(2);
  subscriber.subscription = nullptr;
  import(subscriber);
  for (const StoreOperation& operation :
       {StoreOperation(GetVectors{kHome, 1, {}}),
        StoreOperation(UpdateLocation{kMme1, RatType::eutran, kHome})}) {
    EXPECT_EQ(run<Denial>(imsi_number(1), operation), Denial::unknown_user);
    EXPECT_EQ(run<Denial>(imsi_number(2), operation), Denial::unknown_eps_subscription);
  }
  EXPECT_EQ(run<Denial>(imsi_number(1), PurgeUe{kMme1.host}), Denial::unknown_user);
}

TEST_F(SqliteStoreTest, AnUpdateReturnsTheSubscriptionAndTheMmeToCancel) {
  import(test_subscriber(1));
  auto updated = run<LocationUpdated>(imsi_, UpdateLocation{kMme1, RatType::eutran, kHome});
  EXPECT_FALSE(updated.cancelled);
  EXPECT_EQ(*updated.subscription, test_subscription());
  EXPECT_EQ(updated.msisdn, "49151000001");

  updated = run<LocationUpdated>(imsi_, UpdateLocation{kMme1, RatType::eutran, kHome});
  EXPECT_FALSE(updated.cancelled) << "the same MME again";
  reopen();
  updated = run<LocationUpdated>(imsi_, UpdateLocation{kMme2, RatType::eutran, kHome});
  EXPECT_EQ(updated.cancelled, kMme1);
}

TEST_F(SqliteStoreTest, KnowsWhetherTheMmeHasTheDataAsTheyAre) {
  import(test_subscriber(1));
  const auto has_data = [&](const ServingNode& mme) {
    return run<LocationUpdated>(imsi_, UpdateLocation{mme, RatType::eutran, kHome}).mme_has_data;
  };
  EXPECT_FALSE(has_data(kMme1));
  EXPECT_TRUE(has_data(kMme1));
  reopen();
  import(test_subscriber(1));
  EXPECT_TRUE(has_data(kMme1)) << "imported again as it was";
  Subscriber changed = test_subscriber(1);
  changed.msisdn = "4930";
  import(changed);
  EXPECT_FALSE(has_data(kMme1));
  changed.subscription = nullptr;
  import(changed);
  import(test_subscriber(1));
  EXPECT_FALSE(has_data(kMme1));
  EXPECT_FALSE(has_data(kMme2));
  run<Purged>(imsi_, PurgeUe{kMme2.host});
  EXPECT_FALSE(has_data(kMme2));
}

TEST_F(SqliteStoreTest, AnMmeIsTheSameInAnySpellingOfItsName) {
  import(test_subscriber(1));
  run<LocationUpdated>(imsi_, UpdateLocation{kMme1, RatType::eutran, kHome});
  const ServingNode shouting{"MME01.Example", "Example"};
  const auto updated =
      run<LocationUpdated>(imsi_, UpdateLocation{shouting, RatType::eutran, kHome});
  EXPECT_FALSE(updated.cancelled);
  EXPECT_TRUE(run<Purged>(imsi_, PurgeUe{kMme1.host}).serving);
}

TEST_F(SqliteStoreTest, APurgedUeHasNobodyToCancel) {
  import(test_subscriber(1));
  run<LocationUpdated>(imsi_, UpdateLocation{kMme1, RatType::eutran, kHome});
  EXPECT_FALSE(run<Purged>(imsi_, PurgeUe{kMme2.host}).serving);
  EXPECT_TRUE(run<Purged>(imsi_, PurgeUe{kMme1.host}).serving);
  EXPECT_TRUE(run<Purged>(imsi_, PurgeUe{kMme1.host}).serving) << "a repeated PUR";
  reopen();
  auto updated = run<LocationUpdated>(imsi_, UpdateLocation{kMme2, RatType::eutran, kHome});
  EXPECT_FALSE(updated.cancelled);
  updated = run<LocationUpdated>(imsi_, UpdateLocation{kMme1, RatType::eutran, kHome});
  EXPECT_EQ(updated.cancelled, kMme2) << "the update ended the purge";
}

TEST_F(SqliteStoreTest, BarsNetworksAndRatsThatTheSubscriptionBars) {
  Subscriber subscriber = test_subscriber(1);
  Subscription subscription = test_subscription();
  subscription.visited_plmns = {kHome};
  subscription.access_restriction = kEutranNotAllowed;
  subscriber.subscription = std::make_shared<const Subscription>(subscription);
  import(subscriber);
  const Plmn elsewhere = *plmn_from_digits("26201");
  EXPECT_EQ(run<Denial>(imsi_, UpdateLocation{kMme1, RatType::eutran_nb_iot, elsewhere}),
            Denial::roaming_not_allowed);
  EXPECT_EQ(run<Denial>(imsi_, UpdateLocation{kMme1, RatType::eutran, elsewhere}),
            Denial::rat_not_allowed)
      << "the RAT is checked first";
  EXPECT_EQ(run<Denial>(imsi_, UpdateLocation{kMme1, RatType::eutran, kHome}),
            Denial::rat_not_allowed);
  const auto updated =
      run<LocationUpdated>(imsi_, UpdateLocation{kMme1, RatType::eutran_nb_iot, kHome});
  EXPECT_FALSE(updated.cancelled) << "what was refused left no location";
}

TEST_F(SqliteStoreTest, AnImportUpdatesWhatIsProvisionedAndKeepsWhatIsState) {
  import(test_subscriber(1));
  run<LocationUpdated>(imsi_, UpdateLocation{kMme1, RatType::eutran, kHome});
  SequenceNumber last{};
  for (int i = 0; i < 5; ++i) last = next_sqn(imsi_);

  Subscriber changed = test_subscriber(1);
  changed.msisdn = "4930";
  Subscription subscription = test_subscription();
  subscription.apns[0].apn = "ims";
  changed.subscription = std::make_shared<const Subscription>(subscription);
  import(changed);
  EXPECT_EQ(*store_->subscriber_count(), 1u);
  EXPECT_GT(next_sqn(imsi_), last) << "an import never takes SQN back";
  const auto updated = run<LocationUpdated>(imsi_, UpdateLocation{kMme2, RatType::eutran, kHome});
  EXPECT_EQ(updated.cancelled, kMme1);
  EXPECT_EQ(updated.msisdn, "4930");
  EXPECT_EQ(updated.subscription->apns[0].apn, "ims");

  changed.sqn = SequenceNumber::of(5000, 0);
  import(changed);
  EXPECT_EQ(next_sqn(imsi_), SequenceNumber::of(5001, 1));
}

TEST_F(SqliteStoreTest, AFlushThatFailsFailsTheWholeGroupAndChangesNothing) {
  import(test_subscriber(1));
  import(test_subscriber(2));
  const SequenceNumber before = next_sqn(imsi_);
  group_.clear();
  group_.push_back(store_request(imsi_, GetVectors{kHome, 1, {}}));
  group_.push_back(store_request(imsi_number(9), GetVectors{kHome, 1, {}}));
  group_.push_back(store_request(imsi_number(2), UpdateLocation{kMme1, RatType::eutran, kHome}));
  disk_.fail_next_flush();
  EXPECT_FALSE(store_->run(group_));
  for (const ParcelPtr& parcel : group_) {
    const auto* failure = std::get_if<StoreFailure>(&result_of(parcel));
    ASSERT_NE(failure, nullptr);
    EXPECT_FALSE(failure->what.empty());
  }
  EXPECT_EQ(next_sqn(imsi_), next_batch(before, 1)->first) << "and the store goes on";
  const auto updated =
      run<LocationUpdated>(imsi_number(2), UpdateLocation{kMme2, RatType::eutran, kHome});
  EXPECT_FALSE(updated.cancelled);
}

TEST_F(SqliteStoreTest, EqualSubscriptionsAreKeptOnce) {
  std::vector<Subscriber> subscribers;
  for (unsigned n = 1; n <= 10; ++n) subscribers.push_back(test_subscriber(n));
  ASSERT_TRUE(store_->import(subscribers));
  const auto first =
      run<LocationUpdated>(imsi_number(1), UpdateLocation{kMme1, RatType::eutran, kHome});
  const auto second =
      run<LocationUpdated>(imsi_number(2), UpdateLocation{kMme1, RatType::eutran, kHome});
  EXPECT_EQ(first.subscription, second.subscription) << "one object for both";
}

class SqliteFileTest : public ::testing::Test {
 protected:
  SqliteFileTest() {
    std::string name = ::testing::TempDir() + "siglane-hss-XXXXXX";
    directory_ = mkdtemp(name.data());
    config_.path = directory_ / "hss.db";
  }
  ~SqliteFileTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
  SqliteStoreConfig config_;
};

TEST_F(SqliteFileTest, ANewDatabaseIsForItsOwnersEyesOnly) {
  ASSERT_TRUE(open_sqlite_store(config_));
  struct stat status {};
  ASSERT_EQ(stat(config_.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(SqliteFileTest, RefusesADatabaseOfAnotherKind) {
  {
    auto database = Database::open(config_.path, "", 1s);
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->execute("CREATE TABLE orders (id INTEGER)"));
  }
  const auto store = open_sqlite_store(config_);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().what.find("hss.db: holds schema version 0"), std::string::npos)
      << store.error().what;
}

TEST_F(SqliteFileTest, RefusesANewerSchema) {
  ASSERT_TRUE(open_sqlite_store(config_));
  ASSERT_TRUE(Database::open(config_.path, "", 1s)->execute("PRAGMA user_version = 3"));
  const auto store = open_sqlite_store(config_);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().what.find("schema version 3"), std::string::npos) << store.error().what;
}

TEST_F(SqliteFileTest, BringsTheFirstSchemaUpToDateAndKeepsWhatItHolds) {
  const Subscriber subscriber = test_subscriber(1);
  std::vector<ParcelPtr> group;
  group.push_back(store_request(subscriber.imsi, GetVectors{kHome, 3, {}}));
  group.push_back(store_request(subscriber.imsi, UpdateLocation{kMme1, RatType::eutran, kHome}));
  {
    auto store = open_sqlite_store(config_);
    ASSERT_TRUE(store && (*store)->import({&subscriber, 1}) && (*store)->run(group));
  }
  ASSERT_TRUE(Database::open(config_.path, "", 1s)
                  ->execute("ALTER TABLE subscriber DROP COLUMN mme_has_data;"
                            "PRAGMA user_version = 1"));
  auto store = open_sqlite_store(config_);
  ASSERT_TRUE(store) << store.error().what;
  ASSERT_TRUE((*store)->run(group));
  Usim usim(kTestK, kTestOpc);
  EXPECT_EQ(usim.sqn_of(std::get<VectorsMade>(result_of(group[0])).vectors[0]),
            SequenceNumber::of(4, 2));
  const auto& updated = std::get<LocationUpdated>(result_of(group[1]));
  EXPECT_FALSE(updated.cancelled || updated.mme_has_data);
}

TEST_F(SqliteFileTest, ALockedDatabaseFailsTheGroupAndServesTheNext) {
  config_.busy_timeout = 0ms;
  auto store = open_sqlite_store(config_);
  const Subscriber subscriber = test_subscriber(1);
  ASSERT_TRUE(store && (*store)->import({&subscriber, 1}));
  std::vector<ParcelPtr> group;
  group.push_back(store_request(subscriber.imsi, GetVectors{kHome, 1, {}}));
  auto other = Database::open(config_.path, "", 1s);
  ASSERT_TRUE(other && other->execute("BEGIN IMMEDIATE"));
  EXPECT_FALSE((*store)->run(group));
  const auto* failure = std::get_if<StoreFailure>(&result_of(group[0]));
  ASSERT_NE(failure, nullptr);
  EXPECT_EQ(failure->what, "database is locked");
  ASSERT_TRUE(other->execute("COMMIT"));
  EXPECT_TRUE((*store)->run(group));
  EXPECT_TRUE(std::holds_alternative<VectorsMade>(result_of(group[0])));
}

TEST_F(SqliteFileTest, RefusesAFileThatIsNoDatabase) {
  std::ofstream(config_.path) << std::string(8192, 'x');
  const auto store = open_sqlite_store(config_);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().what.find("file is not a database"), std::string::npos)
      << store.error().what;
}

TEST_F(SqliteFileTest, ADamagedPageFailsItsGroupAndNotTheNext) {
  constexpr unsigned kSubscribers = 500;
  std::vector<Subscriber> subscribers;
  for (unsigned n = 0; n < kSubscribers; ++n) subscribers.push_back(test_subscriber(n));
  {
    auto store = open_sqlite_store(config_);
    ASSERT_TRUE(store && (*store)->import(subscribers));
  }
  std::string content;
  {
    std::ifstream in(config_.path, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(in), {});
  }
  // The leaf with the last subscribers.
  const std::size_t page = content.rfind(std::string(subscribers.back().imsi.text())) / 4096 * 4096;
  ASSERT_GT(page, 0u);
  content.replace(page, 64, 64, '\xff');
  std::ofstream(config_.path, std::ios::binary) << content;

  auto store = open_sqlite_store(config_);
  ASSERT_TRUE(store) << store.error().what;
  std::vector<ParcelPtr> group;
  for (unsigned n : {0u, kSubscribers - 1, 1u}) {
    group.push_back(store_request(imsi_number(n), GetVectors{kHome, 1, {}}));
  }
  EXPECT_FALSE((*store)->run(group));
  for (const ParcelPtr& parcel : group) {
    const auto* failure = std::get_if<StoreFailure>(&result_of(parcel));
    ASSERT_NE(failure, nullptr);
    EXPECT_EQ(failure->what, "database disk image is malformed");
  }
  group.erase(group.begin() + 1);
  ASSERT_TRUE((*store)->run(group));
  Usim usim(kTestK, kTestOpc);
  EXPECT_EQ(usim.sqn_of(std::get<VectorsMade>(result_of(group[0])).vectors[0]),
            SequenceNumber::of(1, 1))
      << "no SQN was spent";
}

TEST_F(SqliteFileTest, NamesAFileThatCannotBeOpened) {
  config_.path = directory_ / "missing" / "hss.db";
  const auto store = open_sqlite_store(config_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().what, config_.path + ": No such file or directory");
}

TEST_F(SqliteFileTest, AnotherProcessMayImportWhileTheStoreIsOpen) {
  auto store = open_sqlite_store(config_);
  auto other = open_sqlite_store(config_);
  ASSERT_TRUE(store && other);
  const Subscriber subscriber = test_subscriber(1);
  ASSERT_TRUE((*other)->import({&subscriber, 1}));
  std::vector<ParcelPtr> group;
  group.push_back(store_request(subscriber.imsi, GetVectors{kHome, 1, {}}));
  ASSERT_TRUE((*store)->run(group));
  EXPECT_TRUE(std::holds_alternative<VectorsMade>(result_of(group[0])));
}

}  // namespace
}  // namespace siglane::hss
