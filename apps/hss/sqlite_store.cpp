#include "apps/hss/sqlite_store.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>

#include "apps/hss/database_files.h"
#include "apps/hss/sqlite_database.h"
#include "apps/hss/subscription_json.h"
#include "protocols/diameter/text.h"

namespace siglane::hss {
namespace {

constexpr int kSchemaVersion = 2;
constexpr const char* kSchema = R"sql(
CREATE TABLE subscription (
  id INTEGER PRIMARY KEY,
  data TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE subscriber (
  imsi TEXT NOT NULL PRIMARY KEY,
  k BLOB NOT NULL CHECK (length(k) = 16),
  opc BLOB NOT NULL CHECK (length(opc) = 16),
  amf BLOB NOT NULL CHECK (length(amf) = 2),
  sqn INTEGER NOT NULL CHECK (sqn BETWEEN 0 AND 281474976710655),
  msisdn TEXT NOT NULL,
  subscription INTEGER REFERENCES subscription (id),
  mme_host TEXT,
  mme_realm TEXT,
  purged INTEGER NOT NULL DEFAULT 0 CHECK (purged IN (0, 1)),
  mme_has_data INTEGER NOT NULL DEFAULT 0 CHECK (mme_has_data IN (0, 1))
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 2;
)sql";
// From version 1, which had no mme_has_data.
constexpr const char* kUpgrade = R"sql(
ALTER TABLE subscriber
  ADD COLUMN mme_has_data INTEGER NOT NULL DEFAULT 0 CHECK (mme_has_data IN (0, 1));
PRAGMA user_version = 2;
)sql";

// How often a group begins anew without a request that spoilt its transaction, after all whose data
// cannot be read were sorted out at once.
constexpr unsigned kNewBeginningsMax = 8;
constexpr std::size_t kMsisdnDigitsMax = 15;

template <class Array>
bool copy_exactly(Bytes from, Array& to) {
  if (from.size() != to.size()) return false;
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

bool is_msisdn(std::string_view text) {
  return text.size() <= kMsisdnDigitsMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

class SqliteStore final : public SubscriberStore {
 public:
  SqliteStore(SqliteStoreConfig config, Database database, DatabaseFiles files, Aes128 aes,
              KasmeDerivation derivation)
      : config_(std::move(config)),
        database_(std::move(database)),
        files_(std::move(files)),
        aes_(std::move(aes)),
        derivation_(std::move(derivation)) {}

  Result<void> prepare();

  Result<void> run(std::span<const ParcelPtr> group) override;
  Result<void> look() override;
  Result<Imported> import(std::span<const Subscriber> subscribers) override;
  Result<std::uint64_t> subscriber_count() override;

 private:
  // A subscriber as a request finds it.
  struct Row {
    Key k, opc;
    Amf amf;
    SequenceNumber sqn;
    std::string msisdn;
    std::optional<std::int64_t> subscription;
    std::optional<ServingNode> mme;
    bool purged = false;
    bool mme_has_data = false;  // as it is provisioned now
  };

  // What a subscriber subscribed to; null: `damage` says why not.
  struct Subscribed {
    std::shared_ptr<const Subscription> subscription;
    std::string damage;
  };
  using Requests = std::span<const ParcelPtr>;

  // An error everywhere below is SQLite's; damaged data are a StoreFailure, and nothing was
  // written.
  Result<void> attempt(Requests group);
  Result<void> fail(Requests group, std::string why);
  bool settle_unreadable(Requests group);

  Result<StoreResult> run_one(const StoreRequest& request);
  Result<StoreResult> run(const GetVectors& operation, const Imsi& imsi, Row& row);
  Result<StoreResult> run(const UpdateLocation& operation, const Imsi& imsi, Row& row);
  Result<StoreResult> run(const PurgeUe& operation, const Imsi& imsi, Row& row);

  // A value: the row cannot be had, and that is the result.
  Result<std::optional<StoreResult>> find(const Imsi& imsi, Row& row);
  Result<Subscribed> subscription(std::int64_t id);
  Result<void> readable(const StoreRequest& request);

  Result<void> import_but(std::span<const Subscriber> subscribers,
                          const std::vector<bool>& left_out, Imported& imported);
  Result<void> import_one(const Subscriber& subscriber);
  Result<std::int64_t> keep_subscription(const Subscription& subscription);
  Result<void> done(Statement::Use& statement);
  StoreFailure damaged(const Imsi& imsi, const std::string& what) const;

  SqliteStoreConfig config_;
  Database database_;
  DatabaseFiles files_;
  Statement begin_, commit_, find_, set_sqn_, set_mme_, set_purged_;
  Statement find_subscription_, keep_subscription_, subscription_id_, upsert_, count_;
  Aes128 aes_;
  KasmeDerivation derivation_;
  std::vector<bool> settled_;  // of a group: failed for good, whatever becomes of the others
  std::optional<std::size_t> spoiler_;  // the request that ended the last attempt
  // By row id. What an id means never changes: other data is another row.
  std::unordered_map<std::int64_t, std::shared_ptr<const Subscription>> subscriptions_;
};

Result<void> SqliteStore::prepare() {
  const std::pair<Statement*, const char*> statements[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&find_,
       "SELECT k, opc, amf, sqn, msisdn, subscription, mme_host, mme_realm, purged, mme_has_data "
       "FROM subscriber WHERE imsi = ?1"},
      {&set_sqn_, "UPDATE subscriber SET sqn = ?2 WHERE imsi = ?1"},
      {&set_mme_,
       "UPDATE subscriber SET mme_host = ?2, mme_realm = ?3, purged = 0, mme_has_data = 1 "
       "WHERE imsi = ?1"},
      {&set_purged_, "UPDATE subscriber SET purged = 1 WHERE imsi = ?1"},
      {&find_subscription_, "SELECT data FROM subscription WHERE id = ?1"},
      {&keep_subscription_,
       "INSERT INTO subscription (data) VALUES (?1) ON CONFLICT (data) DO NOTHING"},
      {&subscription_id_, "SELECT id FROM subscription WHERE data = ?1"},
      {&upsert_,
       "INSERT INTO subscriber (imsi, k, opc, amf, sqn, msisdn, subscription) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
       "ON CONFLICT (imsi) DO UPDATE SET k = ?2, opc = ?3, amf = ?4, sqn = max(sqn, ?5), "
       "msisdn = ?6, subscription = ?7, "
       "mme_has_data = mme_has_data AND msisdn = ?6 AND subscription IS ?7"},
      {&count_, "SELECT count(*) FROM subscriber"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = database_.prepare(sql);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return {};
}

// A request that meets damaged data fails alone, and the others commit. Where SQLite itself failed,
// the group begins anew: first without those whose data cannot be read, then without the one that
// spoilt it.
Result<void> SqliteStore::run(Requests group) {
  settled_.assign(group.size(), false);
  if (const auto there = files_.check(); !there) return fail(group, there.error().what);
  auto committed = attempt(group);
  if (!committed && spoiler_ && settle_unreadable(group)) committed = attempt(group);
  for (unsigned n = 0; n < kNewBeginningsMax && !committed && spoiler_; ++n) {
    settled_[*spoiler_] = true;
    committed = attempt(group);
  }
  return committed ? committed : fail(group, config_.path + ": " + committed.error().what);
}

Result<void> SqliteStore::fail(Requests group, std::string why) {
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (!settled_[i]) static_cast<StoreRequest&>(*group[i]).result = StoreFailure{why};
  }
  return failure(std::move(why));
}

// One transaction for all that are not settled; COMMIT returns after the write-ahead log is on
// disk. An error: nothing was changed.
Result<void> SqliteStore::attempt(Requests group) {
  spoiler_.reset();
  const auto failed = [this] {
    const std::string why = database_.error();
    database_.roll_back();
    return failure(why);
  };
  if (!begin_.use().done()) return failed();
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (settled_[i]) continue;
    auto& request = static_cast<StoreRequest&>(*group[i]);
    auto result = run_one(request);
    if (result) {
      request.result = std::move(*result);
      continue;
    }
    const auto failure = database_.last_failure();
    request.result = damaged(request.imsi, result.error().what);
    if (failure == Database::Failure::of_statement) continue;
    if (failure != Database::Failure::other) spoiler_ = i;
    return failed();
  }
  if (!commit_.use().done()) return failed();
  return {};
}

// Outside a transaction, which none of them can spoil. true: there are some. Where none at all can
// be read it is the disk, and nobody's data.
bool SqliteStore::settle_unreadable(Requests group) {
  std::size_t unreadable = 0;
  bool damaged_page = false;
  for (std::size_t i = 0; i < group.size(); ++i) {
    auto& request = static_cast<StoreRequest&>(*group[i]);
    const auto good = readable(request);
    if (good) continue;
    damaged_page |= database_.last_failure() == Database::Failure::of_page;
    request.result = damaged(request.imsi, good.error().what);
    settled_[i] = true;
    ++unreadable;
  }
  if (unreadable < group.size() || damaged_page) return unreadable > 0;
  settled_.assign(group.size(), false);
  spoiler_.reset();
  return false;
}

Result<void> SqliteStore::readable(const StoreRequest& request) {
  Row row;
  const auto found = find(request.imsi, row);
  if (!found) return tl::unexpected(found.error());
  if (!row.subscription || !std::holds_alternative<UpdateLocation>(request.operation)) return {};
  const auto subscribed = subscription(*row.subscription);
  return subscribed ? Result<void>() : tl::unexpected(subscribed.error());
}

Result<void> SqliteStore::look() {
  return files_.look();
}

Result<void> SqliteStore::done(Statement::Use& statement) {
  if (statement.done()) return {};
  return failure(database_.error());
}

StoreFailure SqliteStore::damaged(const Imsi& imsi, const std::string& what) const {
  return {"subscriber " + std::string(imsi.text()) + " in " + config_.path + ": " + what, true};
}

Result<StoreResult> SqliteStore::run_one(const StoreRequest& request) {
  Row row;
  auto found = find(request.imsi, row);
  if (!found) return tl::unexpected(found.error());
  if (*found) return std::move(**found);
  return std::visit([&](const auto& operation) { return run(operation, request.imsi, row); },
                    request.operation);
}

Result<StoreResult> SqliteStore::run(const GetVectors& operation, const Imsi& imsi, Row& row) {
  if (!row.subscription) return Denial::unknown_eps_subscription;
  Milenage milenage(aes_, row.k, row.opc);
  VectorsMade made;

  SequenceNumber he = row.sqn;
  if (const auto& resynchronisation = operation.resynchronisation) {
    // TS 29.272 §5.2.3.1.3: AUTS is checked before new vectors are sent.
    const auto ms = verified_sqn_ms(milenage, resynchronisation->rand, resynchronisation->auts);
    if (!ms) return Denial::authentication_data_unavailable;
    he = resynchronised(he, *ms);
    made.resynchronised = true;
  }

  made.count = std::clamp(operation.count, 1u, kVectorsMax);
  const auto batch = next_batch(he, made.count);
  if (!batch) return Denial::authentication_data_unavailable;
  for (unsigned i = 0; i < made.count; ++i) {
    Rand rand;
    if (!config_.random(rand) || !make_vector(milenage, derivation_, rand, batch->at(i).bytes(),
                                              row.amf, operation.visited, made.vectors[i])) {
      return Denial::authentication_data_unavailable;
    }
  }

  auto set_sqn = set_sqn_.use();
  set_sqn.bind(1, imsi.text());
  set_sqn.bind(2, static_cast<std::int64_t>(batch->last().value));
  if (const auto set = done(set_sqn); !set) return tl::unexpected(set.error());
  return made;
}

Result<StoreResult> SqliteStore::run(const UpdateLocation& operation, const Imsi& imsi, Row& row) {
  if (!row.subscription) return Denial::unknown_eps_subscription;
  auto subscribed = subscription(*row.subscription);
  if (!subscribed) return tl::unexpected(subscribed.error());
  if (subscribed->subscription == nullptr) return damaged(imsi, subscribed->damage);
  const Subscription& allowed = *subscribed->subscription;
  // In the order of TS 29.272 §5.2.1.1.3.
  if (!allowed.allows(operation.rat)) return Denial::rat_not_allowed;
  if (!allowed.allows(operation.visited)) return Denial::roaming_not_allowed;

  // An MME that purged the UE has no data left, and nothing to cancel.
  const bool served = row.mme && !row.purged;
  const bool same = served && diameter::same_identity(row.mme->host, operation.mme.host);
  LocationUpdated updated{std::nullopt, std::move(row.msisdn), std::move(subscribed->subscription),
                          same && row.mme_has_data};
  if (updated.mme_has_data && row.mme == operation.mme) return updated;
  if (served && !same) updated.cancelled = std::move(row.mme);
  auto set_mme = set_mme_.use();
  set_mme.bind(1, imsi.text());
  set_mme.bind(2, operation.mme.host);
  set_mme.bind(3, operation.mme.realm);
  if (const auto set = done(set_mme); !set) return tl::unexpected(set.error());
  return updated;
}

Result<StoreResult> SqliteStore::run(const PurgeUe& operation, const Imsi& imsi, Row& row) {
  const bool serving = row.mme && diameter::same_identity(row.mme->host, operation.mme_host);
  if (serving && !row.purged) {
    auto set_purged = set_purged_.use();
    set_purged.bind(1, imsi.text());
    if (const auto set = done(set_purged); !set) return tl::unexpected(set.error());
  }
  return Purged{serving};
}

// What the schema's checks make sure is looked at once more: a damaged file may hold anything. Keys
// stand in no error.
Result<std::optional<StoreResult>> SqliteStore::find(const Imsi& imsi, Row& row) {
  auto find = find_.use();
  find.bind(1, imsi.text());
  switch (find.step()) {
    case Step::done:
      return Denial::unknown_user;
    case Step::failed:
      return failure(database_.error());
    case Step::row:
      break;
  }
  const auto wrong = [&](const char* column) {
    return damaged(imsi, std::string("its row is damaged (") + column +
                             "): import the subscriber again, or restore the database");
  };
  if (!copy_exactly(find.blob(0), row.k)) return wrong("k");
  if (!copy_exactly(find.blob(1), row.opc)) return wrong("opc");
  if (!copy_exactly(find.blob(2), row.amf)) return wrong("amf");
  row.sqn.value = static_cast<std::uint64_t>(find.integer(3));
  if (!find.is_integer(3) || row.sqn.value > SequenceNumber::kMax) return wrong("sqn");
  row.msisdn = find.text(4);
  if (!is_msisdn(row.msisdn)) return wrong("msisdn");
  if (!find.null(5)) {
    if (!find.is_integer(5)) return wrong("subscription");
    row.subscription = find.integer(5);
  }
  if (!find.null(6)) {
    row.mme = ServingNode{std::string(find.text(6)), std::string(find.text(7))};
    if (!diameter::is_identity(as_bytes(row.mme->host))) return wrong("mme_host");
    if (!diameter::is_identity(as_bytes(row.mme->realm))) return wrong("mme_realm");
  }
  row.purged = find.integer(8) != 0;
  row.mme_has_data = find.integer(9) != 0;
  return std::nullopt;
}

Result<SqliteStore::Subscribed> SqliteStore::subscription(std::int64_t id) {
  if (const auto known = subscriptions_.find(id); known != subscriptions_.end()) {
    return Subscribed{known->second, {}};
  }
  const std::string which = "its subscription, row " + std::to_string(id);
  auto find = find_subscription_.use();
  find.bind(1, id);
  switch (find.step()) {
    case Step::done:
      return Subscribed{nullptr, which + ", is not there: import the subscriber again"};
    case Step::failed:
      return failure(database_.error());
    case Step::row:
      break;
  }
  auto parsed = subscription_from_json(find.text(0));
  if (!parsed) return Subscribed{nullptr, which + ", is damaged: " + parsed.error().what};
  if (subscriptions_.size() >= config_.subscriptions_cached_max) subscriptions_.clear();
  auto kept = std::make_shared<const Subscription>(std::move(*parsed));
  subscriptions_[id] = kept;
  return Subscribed{std::move(kept), {}};
}

// Where SQLite fails, it is tried once more without those whose data cannot be read.
Result<Imported> SqliteStore::import(std::span<const Subscriber> subscribers) {
  Imported imported;
  std::vector<bool> left_out(subscribers.size());
  auto committed = import_but(subscribers, left_out, imported);
  if (!committed) {
    imported = {};
    for (std::size_t i = 0; i < subscribers.size(); ++i) {
      Row row;
      const auto found = find(subscribers[i].imsi, row);
      if (found) continue;
      left_out[i] = true;
      if (imported.failed++ == 0)
        imported.why = damaged(subscribers[i].imsi, found.error().what).what;
    }
    if (imported.failed > 0) committed = import_but(subscribers, left_out, imported);
  }
  if (committed && (imported.subscribers > 0 || imported.failed == 0)) return imported;
  return failure(config_.path + ": no subscriber imported: " +
                 (committed ? imported.why : committed.error().what));
}

Result<void> SqliteStore::import_but(std::span<const Subscriber> subscribers,
                                     const std::vector<bool>& left_out, Imported& imported) {
  const auto failed = [this](const std::string& why) {
    database_.roll_back();
    return failure(why);
  };
  if (!begin_.use().done()) return failed(database_.error());
  for (std::size_t i = 0; i < subscribers.size(); ++i) {
    if (left_out[i]) continue;
    const auto done = import_one(subscribers[i]);
    if (done) {
      ++imported.subscribers;
      continue;
    }
    if (database_.last_failure() != Database::Failure::of_statement) {
      return failed(done.error().what);
    }
    if (imported.failed++ == 0) imported.why = damaged(subscribers[i].imsi, done.error().what).what;
  }
  return commit_.use().done() ? Result<void>() : failed(database_.error());
}

Result<void> SqliteStore::import_one(const Subscriber& subscriber) {
  std::optional<std::int64_t> subscription;
  if (subscriber.subscription != nullptr) {
    const auto kept = keep_subscription(*subscriber.subscription);
    if (!kept) return tl::unexpected(kept.error());
    subscription = *kept;
  }
  auto upsert = upsert_.use();
  upsert.bind(1, subscriber.imsi.text());
  upsert.bind(2, Bytes(subscriber.k));
  upsert.bind(3, Bytes(subscriber.opc));
  upsert.bind(4, Bytes(subscriber.amf));
  upsert.bind(5, static_cast<std::int64_t>(subscriber.sqn.value));
  upsert.bind(6, subscriber.msisdn);
  if (subscription) upsert.bind(7, *subscription);
  return done(upsert);
}

Result<std::int64_t> SqliteStore::keep_subscription(const Subscription& subscription) {
  const std::string data = json_of(subscription);
  auto keep = keep_subscription_.use();
  keep.bind(1, data);
  if (const auto kept = done(keep); !kept) return tl::unexpected(kept.error());
  auto id = subscription_id_.use();
  id.bind(1, data);
  if (id.step() != Step::row) return failure(database_.error());
  return id.integer(0);
}

Result<std::uint64_t> SqliteStore::subscriber_count() {
  auto count = count_.use();
  if (count.step() != Step::row) return failure(config_.path + ": " + database_.error());
  return static_cast<std::uint64_t>(count.integer(0));
}

// Creates the schema in an empty database, and brings an older one up to date; refuses one that is
// newer, or something else.
Result<void> bring_up_schema(Database& database, const std::string& path) {
  const auto version = database.integer("PRAGMA user_version");
  const auto tables = database.integer("SELECT count(*) FROM sqlite_schema");
  if (!version || !tables) return failure(path + ": " + database.error());
  if (*version == kSchemaVersion) return {};
  const bool ours = database.integer(
                        "SELECT count(*) FROM sqlite_schema "
                        "WHERE type = 'table' AND name = 'subscriber'") == 1;
  const bool older = *version == 1 && ours;
  if (!older && (*version != 0 || *tables != 0)) {
    return failure(path + ": holds schema version " + std::to_string(*version) +
                   " of something; this program works on its own version " +
                   std::to_string(kSchemaVersion) + " or an empty file");
  }
  if (!database.execute("BEGIN IMMEDIATE") || !database.execute(older ? kUpgrade : kSchema) ||
      !database.execute("COMMIT")) {
    const std::string why = database.error();
    database.roll_back();
    return failure(path + ": " + why);
  }
  return {};
}

}  // namespace

RandomBytes openssl_random() {
  return [](std::span<std::byte> out) {
    return RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) ==
           1;
  };
}

Result<std::unique_ptr<SubscriberStore>> open_sqlite_store(SqliteStoreConfig config) {
  auto aes = Aes128::create();
  if (!aes) return tl::unexpected(aes.error());
  auto derivation = KasmeDerivation::create();
  if (!derivation) return tl::unexpected(derivation.error());

  if (config.vfs.empty()) {
    // SQLite gives its log the database's mode; so it is set before there is anything to read.
    const int fd = ::open(config.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return failure(config.path + ": " + std::strerror(errno));
    ::close(fd);
  }
  auto database = Database::open(config.path, config.vfs, config.busy_timeout);
  if (!database) return tl::unexpected(database.error());
  if (database->text("PRAGMA journal_mode = WAL") != "wal") {
    return failure(config.path + ": has no write-ahead log: " + database->error());
  }
  // What a full checkpoint leaves of the log: as much as comes together until the next one.
  const auto log_bytes =
      static_cast<std::uint64_t>(config.checkpoint_pages) *
      static_cast<std::uint64_t>(database->integer("PRAGMA page_size").value_or(0));
  // FULL, not NORMAL: in WAL mode only FULL flushes at every commit.
  if (!database->execute("PRAGMA synchronous = FULL") ||
      !database->execute("PRAGMA foreign_keys = ON") ||
      !database->execute("PRAGMA wal_autocheckpoint = " +
                         std::to_string(config.checkpoint_pages)) ||
      !database->execute("PRAGMA journal_size_limit = " + std::to_string(log_bytes))) {
    return failure(config.path + ": " + database->error());
  }
  if (auto good = bring_up_schema(*database, config.path); !good) {
    return tl::unexpected(good.error());
  }
  DatabaseFiles files;
  if (config.vfs.empty()) files = DatabaseFiles(config.path, log_bytes);
  auto store =
      std::make_unique<SqliteStore>(std::move(config), std::move(*database), std::move(files),
                                    std::move(*aes), std::move(*derivation));
  if (auto good = store->prepare(); !good) return tl::unexpected(good.error());
  return store;
}

}  // namespace siglane::hss
