#include "apps/hss/sqlite_store.h"

#include <array>
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
    EXPECT_FALSE(failure->of_this_subscriber);
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
  EXPECT_EQ(failure->what, config_.path + ": database is locked");
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

// Every column of one subscriber, damaged in turn: its requests fail and say whose they are, those
// of the others in the same group are done.
TEST_F(SqliteFileTest, ADamagedRowFailsItsOwnRequestsAndTheOthersOfTheGroupAreDurable) {
  const std::array damages = {
      "k = x'00'",
      "opc = x'465b5ce8b199b49faa5f0a2ee238a6bc00'",
      "amf = x''",
      "sqn = -1",
      "sqn = 1 << 48",
      "msisdn = '49 151'",
      "msisdn = '1234567890123456'",
      "mme_host = ''",
      "mme_host = 'a' || char(10), mme_realm = 'example'",
      "mme_host = 'a', mme_realm = NULL",
      "subscription = 77",
  };
  const std::vector<Subscriber> subscribers = {test_subscriber(1), test_subscriber(2),
                                               test_subscriber(3)};
  Usim usim(kTestK, kTestOpc);
  for (const char* damage : damages) {
    SCOPED_TRACE(damage);
    config_.path = directory_ / (std::to_string(std::string_view(damage).size()) + "x.db");
    std::filesystem::remove(config_.path);
    auto store = open_sqlite_store(config_);
    ASSERT_TRUE(store && (*store)->import(subscribers));
    ASSERT_TRUE(Database::open(config_.path, "", 1s)
                    ->execute("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF;"
                              "UPDATE subscriber SET " +
                              std::string(damage) + " WHERE imsi = '001010000000002'"));
    std::vector<ParcelPtr> group;
    group.push_back(store_request(imsi_number(1), GetVectors{kHome, 1, {}}));
    group.push_back(store_request(imsi_number(2), UpdateLocation{kMme1, RatType::eutran, kHome}));
    group.push_back(store_request(imsi_number(3), UpdateLocation{kMme1, RatType::eutran, kHome}));
    ASSERT_TRUE((*store)->run(group));
    const auto* failure = std::get_if<StoreFailure>(&result_of(group[1]));
    ASSERT_NE(failure, nullptr);
    EXPECT_TRUE(failure->of_this_subscriber);
    EXPECT_NE(failure->what.find("subscriber 001010000000002 in " + config_.path + ": "),
              std::string::npos)
        << failure->what;
    EXPECT_EQ(failure->what.find("465b"), std::string::npos) << "a key in an error";

    store->reset();
    store = open_sqlite_store(config_);
    ASSERT_TRUE((*store)->run(group));
    EXPECT_EQ(usim.sqn_of(std::get<VectorsMade>(result_of(group[0])).vectors[0]),
              SequenceNumber::of(2, 2))
        << "the first was durable";
    EXPECT_TRUE(std::get<LocationUpdated>(result_of(group[2])).mme_has_data);
  }
}

class DamagedPageTest : public SqliteFileTest {
 protected:
  static constexpr unsigned kSubscribers = 500;

  // The leaf with the last subscribers is garbage.
  void SetUp() override {
    for (unsigned n = 0; n < kSubscribers; ++n) subscribers_.push_back(test_subscriber(n));
    {
      auto store = open_sqlite_store(config_);
      ASSERT_TRUE(store && (*store)->import(subscribers_));
    }
    std::string content;
    {
      std::ifstream in(config_.path, std::ios::binary);
      content.assign(std::istreambuf_iterator<char>(in), {});
    }
    const std::size_t page =
        content.rfind(std::string(subscribers_.back().imsi.text())) / 4096 * 4096;
    ASSERT_GT(page, 0u);
    content.replace(page, 64, 64, '\xff');
    std::ofstream(config_.path, std::ios::binary) << content;
  }

  std::vector<Subscriber> subscribers_;
};

TEST_F(DamagedPageTest, FailsItsOwnRequestAndTheOthersOfTheGroupAreDone) {
  auto store = open_sqlite_store(config_);
  ASSERT_TRUE(store) << store.error().what;
  std::vector<ParcelPtr> group;
  for (unsigned n : {0u, kSubscribers - 1, 1u}) {
    group.push_back(store_request(imsi_number(n), GetVectors{kHome, 1, {}}));
  }
  ASSERT_TRUE((*store)->run(group));
  const auto* failure = std::get_if<StoreFailure>(&result_of(group[1]));
  ASSERT_NE(failure, nullptr);
  EXPECT_TRUE(failure->of_this_subscriber);
  EXPECT_EQ(failure->what,
            "subscriber 001010000000499 in " + config_.path + ": database disk image is malformed");
  Usim usim(kTestK, kTestOpc);
  for (const std::size_t i : {0u, 2u}) {
    EXPECT_EQ(usim.sqn_of(std::get<VectorsMade>(result_of(group[i])).vectors[0]),
              SequenceNumber::of(1, 1));
  }
}

TEST_F(DamagedPageTest, IsLeftOutByAnImportThatSaysSo) {
  auto store = open_sqlite_store(config_);
  ASSERT_TRUE(store) << store.error().what;
  for (Subscriber& subscriber : subscribers_) subscriber.msisdn = "4930";
  const auto imported = (*store)->import(subscribers_);
  ASSERT_TRUE(imported) << imported.error().what;
  EXPECT_GT(imported->failed, 0u);
  EXPECT_EQ(imported->subscribers + imported->failed, kSubscribers);
  EXPECT_NE(imported->why.find("subscriber 00101"), std::string::npos) << imported->why;
  EXPECT_NE(imported->why.find("malformed"), std::string::npos) << imported->why;
  std::vector<ParcelPtr> group;
  group.push_back(store_request(imsi_number(0), UpdateLocation{kMme1, RatType::eutran, kHome}));
  ASSERT_TRUE((*store)->run(group));
  EXPECT_EQ(std::get<LocationUpdated>(result_of(group[0])).msisdn, "4930");
}

// SQLite ends the whole transaction when a page cannot be read.
TEST_F(SqliteStoreTest, ABadSectorFailsItsOwnRequestsAndTheOthersOfTheGroupAreDurable) {
  constexpr unsigned kSubscribers = 200;
  std::vector<Subscriber> subscribers;
  for (unsigned n = 1; n <= kSubscribers; ++n) subscribers.push_back(test_subscriber(n));
  ASSERT_TRUE(store_->import(subscribers));
  reopen();  // so that all is in the file, and nothing in a cache
  disk_.make_unreadable("hss.db", std::string(imsi_number(kSubscribers).text()));
  for (const unsigned n : {1u, kSubscribers, 2u, kSubscribers, 1u}) {
    group_.push_back(store_request(imsi_number(n), GetVectors{kHome, 1, {}}));
  }
  ASSERT_TRUE(store_->run(group_));
  for (const std::size_t i : {1u, 3u}) {
    const auto* failure = std::get_if<StoreFailure>(&result_of(group_[i]));
    ASSERT_NE(failure, nullptr);
    EXPECT_TRUE(failure->of_this_subscriber);
    EXPECT_EQ(failure->what, "subscriber 001010000000200 in hss.db: disk I/O error");
  }
  const auto sqn = [&](std::size_t i) {
    return usim_.sqn_of(std::get<VectorsMade>(result_of(group_[i])).vectors[0]);
  };
  EXPECT_EQ(sqn(0), SequenceNumber::of(1, 1)) << "spent once, though its group began anew";
  EXPECT_EQ(sqn(2), SequenceNumber::of(1, 1));
  EXPECT_EQ(sqn(4), SequenceNumber::of(2, 2));
}

TEST_F(SqliteStoreTest, ADiskThatGivesNothingIsTheStoresFailureAndNobodysDamage) {
  std::vector<Subscriber> subscribers;
  for (unsigned n = 1; n <= 200; ++n) subscribers.push_back(test_subscriber(n));
  ASSERT_TRUE(store_->import(subscribers));
  reopen();
  disk_.make_unreadable("hss.db", std::string(imsi_number(200).text()));
  for (int i = 0; i < 2; ++i) {
    group_.push_back(store_request(imsi_number(200), GetVectors{kHome, 1, {}}));
  }
  const auto done = store_->run(group_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, "hss.db: disk I/O error");
  for (const ParcelPtr& parcel : group_) {
    EXPECT_FALSE(std::get<StoreFailure>(result_of(parcel)).of_this_subscriber);
  }
}

TEST_F(SqliteStoreTest, ASubscriptionThatCannotBeReadFailsOnlyWhoNeedsIt) {
  std::vector<Subscriber> subscribers;
  for (unsigned n = 1; n <= 100; ++n) {
    Subscriber& subscriber = subscribers.emplace_back(test_subscriber(n));
    Subscription subscription = test_subscription();
    subscription.apns[0].apn = "apn" + std::to_string(n);
    subscriber.subscription = std::make_shared<const Subscription>(subscription);
  }
  ASSERT_TRUE(store_->import(subscribers));
  reopen();
  disk_.make_unreadable("hss.db", "\"apn100\"");
  for (unsigned n : {1u, 100u}) {
    group_.push_back(store_request(imsi_number(n), UpdateLocation{kMme1, RatType::eutran, kHome}));
    group_.push_back(store_request(imsi_number(n), GetVectors{kHome, 1, {}}));
  }
  ASSERT_TRUE(store_->run(group_));
  EXPECT_TRUE(std::holds_alternative<LocationUpdated>(result_of(group_[0])));
  EXPECT_TRUE(std::holds_alternative<VectorsMade>(result_of(group_[1])));
  EXPECT_TRUE(std::get<StoreFailure>(result_of(group_[2])).of_this_subscriber);
  EXPECT_TRUE(std::holds_alternative<VectorsMade>(result_of(group_[3])));
}

TEST_F(SqliteFileTest, WhileItsFileIsGoneOrAnotherEveryRequestFails) {
  const Subscriber subscriber = test_subscriber(1);
  auto store = open_sqlite_store(config_);
  ASSERT_TRUE(store && (*store)->import({&subscriber, 1}));
  EXPECT_TRUE((*store)->look());
  std::vector<ParcelPtr> group;
  group.push_back(store_request(subscriber.imsi, GetVectors{kHome, 1, {}}));
  const auto expect_failure = [&](const std::string& file, std::string_view what) {
    const auto done = (*store)->run(group);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().what.find(file + " " + std::string(what)), 0u) << done.error().what;
    const auto* failure = std::get_if<StoreFailure>(&result_of(group[0]));
    ASSERT_NE(failure, nullptr);
    EXPECT_FALSE(failure->of_this_subscriber);
    const auto looked = (*store)->look();
    ASSERT_FALSE(looked) << "also when nobody asks";
    EXPECT_EQ(looked.error().what, done.error().what);
  };
  const std::string aside = config_.path + ".aside";
  for (const std::string& file : {config_.path, config_.path + "-wal"}) {
    SCOPED_TRACE(file);
    std::filesystem::rename(file, aside);
    expect_failure(file, "is gone, while the database is open");
    std::filesystem::copy_file(aside, file);
    expect_failure(file, "was replaced while the database was open");
    std::filesystem::rename(aside, file);
    EXPECT_TRUE((*store)->look());
    ASSERT_TRUE((*store)->run(group)) << "it is back";
  }
  Usim usim(kTestK, kTestOpc);
  EXPECT_EQ(usim.sqn_of(std::get<VectorsMade>(result_of(group[0])).vectors[0]),
            SequenceNumber::of(2, 2));
}

TEST_F(SqliteFileTest, TheLogShrinksAgainWhenAReaderThatKeptItLongIsGone) {
  constexpr std::uintmax_t kLogBytes = 8 * 4096;
  const std::string log = config_.path + "-wal";
  config_.checkpoint_pages = 8;
  const Subscriber subscriber = test_subscriber(1);
  auto store = open_sqlite_store(config_);
  ASSERT_TRUE(store && (*store)->import({&subscriber, 1}));
  std::vector<ParcelPtr> group;
  group.push_back(store_request(subscriber.imsi, GetVectors{kHome, 1, {}}));
  {
    auto reader = Database::open(config_.path, "", 1s);
    ASSERT_TRUE(reader && reader->execute("BEGIN; SELECT count(*) FROM subscriber"));
    for (int i = 0; i < 200; ++i) ASSERT_TRUE((*store)->run(group));
    EXPECT_GT(std::filesystem::file_size(log), 16 * kLogBytes);
    const auto looked = (*store)->look();
    ASSERT_FALSE(looked);
    EXPECT_EQ(looked.error().what.find(log + " has grown to "), 0u) << looked.error().what;
  }
  for (int i = 0; i < 2; ++i) ASSERT_TRUE((*store)->run(group));  // the first writes all back
  EXPECT_LE(std::filesystem::file_size(log), kLogBytes);
  EXPECT_TRUE((*store)->look());
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
