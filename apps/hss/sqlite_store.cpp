#include "apps/hss/sqlite_store.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>

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

template <class Array>
bool copy_exactly(Bytes from, Array& to) {
  if (from.size() != to.size()) return false;
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

class SqliteStore final : public SubscriberStore {
 public:
  SqliteStore(SqliteStoreConfig config, Database database, Aes128 aes, KasmeDerivation derivation)
      : config_(std::move(config)),
        database_(std::move(database)),
        aes_(std::move(aes)),
        derivation_(std::move(derivation)) {}

  Result<void> prepare();

  bool run(std::span<const ParcelPtr> group) override;
  Result<void> import(std::span<const Subscriber> subscribers) override;
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

  // nullopt: the database failed, and so does the group.
  std::optional<StoreResult> run_one(const StoreRequest& request);
  std::optional<StoreResult> run(const GetVectors& operation, const Imsi& imsi, Row& row);
  std::optional<StoreResult> run(const UpdateLocation& operation, const Imsi& imsi, Row& row);
  std::optional<StoreResult> run(const PurgeUe& operation, const Imsi& imsi, Row& row);

  enum class Found { yes, no, failed };
  Found find(const Imsi& imsi, Row& row);
  Result<std::shared_ptr<const Subscription>> subscription(std::int64_t id);
  std::optional<std::int64_t> keep_subscription(const Subscription& subscription);
  bool import_one(const Subscriber& subscriber);

  SqliteStoreConfig config_;
  Database database_;
  Statement begin_, commit_, find_, set_sqn_, set_mme_, set_purged_;
  Statement find_subscription_, keep_subscription_, subscription_id_, upsert_, count_;
  Aes128 aes_;
  KasmeDerivation derivation_;
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

// One transaction for all of them; COMMIT returns after the write-ahead log is on disk.
bool SqliteStore::run(std::span<const ParcelPtr> group) {
  bool good = begin_.use().done();
  for (std::size_t i = 0; good && i < group.size(); ++i) {
    auto& request = static_cast<StoreRequest&>(*group[i]);
    std::optional<StoreResult> result = run_one(request);
    good = result.has_value();
    if (good) request.result = std::move(*result);
  }
  good = good && commit_.use().done();
  if (good) return true;

  const std::string why = database_.error();
  database_.roll_back();
  for (const ParcelPtr& parcel : group) {
    static_cast<StoreRequest&>(*parcel).result = StoreFailure{why};
  }
  return false;
}

std::optional<StoreResult> SqliteStore::run_one(const StoreRequest& request) {
  Row row;
  switch (find(request.imsi, row)) {
    case Found::failed:
      return std::nullopt;
    case Found::no:
      return Denial::unknown_user;
    case Found::yes:
      break;
  }
  return std::visit([&](const auto& operation) { return run(operation, request.imsi, row); },
                    request.operation);
}

std::optional<StoreResult> SqliteStore::run(const GetVectors& operation, const Imsi& imsi,
                                            Row& row) {
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
  if (!set_sqn.done()) return std::nullopt;
  return made;
}

std::optional<StoreResult> SqliteStore::run(const UpdateLocation& operation, const Imsi& imsi,
                                            Row& row) {
  if (!row.subscription) return Denial::unknown_eps_subscription;
  auto found = subscription(*row.subscription);
  if (!found) {
    // What would follow in the group must not commit one by one.
    if (!database_.in_transaction()) return std::nullopt;
    return StoreFailure{found.error().what};
  }
  // In the order of TS 29.272 §5.2.1.1.3.
  if (!(*found)->allows(operation.rat)) return Denial::rat_not_allowed;
  if (!(*found)->allows(operation.visited)) return Denial::roaming_not_allowed;

  // An MME that purged the UE has no data left, and nothing to cancel.
  const bool served = row.mme && !row.purged;
  const bool same = served && diameter::same_identity(row.mme->host, operation.mme.host);
  LocationUpdated updated{std::nullopt, std::move(row.msisdn), std::move(*found),
                          same && row.mme_has_data};
  if (updated.mme_has_data && row.mme == operation.mme) return updated;
  if (served && !same) updated.cancelled = std::move(row.mme);
  auto set_mme = set_mme_.use();
  set_mme.bind(1, imsi.text());
  set_mme.bind(2, operation.mme.host);
  set_mme.bind(3, operation.mme.realm);
  if (!set_mme.done()) return std::nullopt;
  return updated;
}

std::optional<StoreResult> SqliteStore::run(const PurgeUe& operation, const Imsi& imsi, Row& row) {
  const bool serving = row.mme && diameter::same_identity(row.mme->host, operation.mme_host);
  if (serving && !row.purged) {
    auto set_purged = set_purged_.use();
    set_purged.bind(1, imsi.text());
    if (!set_purged.done()) return std::nullopt;
  }
  return Purged{serving};
}

SqliteStore::Found SqliteStore::find(const Imsi& imsi, Row& row) {
  auto find = find_.use();
  find.bind(1, imsi.text());
  switch (find.step()) {
    case Step::done:
      return Found::no;
    case Step::failed:
      return Found::failed;
    case Step::row:
      break;
  }
  // The schema's checks make these lengths sure; a damaged file may have others all the same.
  if (!copy_exactly(find.blob(0), row.k) || !copy_exactly(find.blob(1), row.opc) ||
      !copy_exactly(find.blob(2), row.amf)) {
    return Found::failed;
  }
  row.sqn.value = static_cast<std::uint64_t>(find.integer(3));
  row.msisdn = find.text(4);
  if (!find.null(5)) row.subscription = find.integer(5);
  if (!find.null(6)) row.mme = ServingNode{std::string(find.text(6)), std::string(find.text(7))};
  row.purged = find.integer(8) != 0;
  row.mme_has_data = find.integer(9) != 0;
  return Found::yes;
}

Result<std::shared_ptr<const Subscription>> SqliteStore::subscription(std::int64_t id) {
  if (const auto known = subscriptions_.find(id); known != subscriptions_.end()) {
    return known->second;
  }
  auto find = find_subscription_.use();
  find.bind(1, id);
  switch (find.step()) {
    case Step::done:
      return failure("subscription " + std::to_string(id) + " is gone");
    case Step::failed:
      return failure(database_.error());
    case Step::row:
      break;
  }
  auto parsed = subscription_from_json(find.text(0));
  if (!parsed) {
    return failure("subscription " + std::to_string(id) +
                   " in the database: " + parsed.error().what);
  }
  if (subscriptions_.size() >= config_.subscriptions_cached_max) subscriptions_.clear();
  return subscriptions_[id] = std::make_shared<const Subscription>(std::move(*parsed));
}

Result<void> SqliteStore::import(std::span<const Subscriber> subscribers) {
  bool good = begin_.use().done();
  for (std::size_t i = 0; good && i < subscribers.size(); ++i) good = import_one(subscribers[i]);
  if (good && commit_.use().done()) return {};
  const std::string why = database_.error();
  database_.roll_back();
  return failure(config_.path + ": no subscriber imported: " + why);
}

bool SqliteStore::import_one(const Subscriber& subscriber) {
  std::optional<std::int64_t> subscription;
  if (subscriber.subscription != nullptr) {
    subscription = keep_subscription(*subscriber.subscription);
    if (!subscription) return false;
  }
  auto upsert = upsert_.use();
  upsert.bind(1, subscriber.imsi.text());
  upsert.bind(2, Bytes(subscriber.k));
  upsert.bind(3, Bytes(subscriber.opc));
  upsert.bind(4, Bytes(subscriber.amf));
  upsert.bind(5, static_cast<std::int64_t>(subscriber.sqn.value));
  upsert.bind(6, subscriber.msisdn);
  if (subscription) upsert.bind(7, *subscription);
  return upsert.done();
}

std::optional<std::int64_t> SqliteStore::keep_subscription(const Subscription& subscription) {
  const std::string data = json_of(subscription);
  auto keep = keep_subscription_.use();
  keep.bind(1, data);
  if (!keep.done()) return std::nullopt;
  auto id = subscription_id_.use();
  id.bind(1, data);
  if (id.step() != Step::row) return std::nullopt;
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
  // FULL, not NORMAL: in WAL mode only FULL flushes at every commit.
  if (!database->execute("PRAGMA synchronous = FULL") ||
      !database->execute("PRAGMA foreign_keys = ON") ||
      !database->execute("PRAGMA wal_autocheckpoint = " +
                         std::to_string(config.checkpoint_pages))) {
    return failure(config.path + ": " + database->error());
  }
  if (auto good = bring_up_schema(*database, config.path); !good) {
    return tl::unexpected(good.error());
  }
  auto store = std::make_unique<SqliteStore>(std::move(config), std::move(*database),
                                             std::move(*aes), std::move(*derivation));
  if (auto good = store->prepare(); !good) return tl::unexpected(good.error());
  return store;
}

}  // namespace siglane::hss
