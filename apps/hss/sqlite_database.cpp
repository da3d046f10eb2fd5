#include "apps/hss/sqlite_database.h"

#include <chrono>

#include <sqlite3.h>

namespace siglane::hss {

Statement::Use::~Use() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

// A bind that fails (out of memory) makes the step fail: a statement never runs half-bound.
void Statement::Use::bind(int index, std::int64_t value) {
  bound_ = sqlite3_bind_int64(statement_, index, value) == SQLITE_OK && bound_;
}
void Statement::Use::bind(int index, std::string_view text) {
  bound_ = sqlite3_bind_text(statement_, index, text.empty() ? "" : text.data(),
                             static_cast<int>(text.size()), SQLITE_STATIC) == SQLITE_OK &&
           bound_;
}
void Statement::Use::bind(int index, Bytes blob) {
  bound_ = sqlite3_bind_blob(statement_, index, blob.data(), static_cast<int>(blob.size()),
                             SQLITE_STATIC) == SQLITE_OK &&
           bound_;
}

Step Statement::Use::step() {
  if (!bound_) return Step::failed;
  switch (sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return Step::row;
    case SQLITE_DONE:
      return Step::done;
    default:
      return Step::failed;
  }
}

bool Statement::Use::null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
bool Statement::Use::is_integer(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_INTEGER;
}
std::int64_t Statement::Use::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}
std::string_view Statement::Use::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}
Bytes Statement::Use::blob(int column) const {
  const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}
void Database::Close::operator()(sqlite3* database) const {
  sqlite3_close(database);
}

Result<Database> Database::open(const std::string& path, const std::string& vfs,
                                Duration busy_timeout) {
  sqlite3* opened = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code =
      sqlite3_open_v2(path.c_str(), &opened, flags, vfs.empty() ? nullptr : vfs.c_str());
  Database database(opened);  // also on failure there is something to close
  if (code != SQLITE_OK) return failure(path + ": " + sqlite3_errstr(code));
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(busy_timeout);
  sqlite3_busy_timeout(opened, static_cast<int>(wait.count()));
  return database;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return failure(error());
  }
  return Statement(statement);
}

bool Database::execute(const std::string& sql) {
  return sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
}

std::optional<std::int64_t> Database::integer(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return std::nullopt;
  auto use = statement->use();
  if (use.step() != Step::row) return std::nullopt;
  return use.integer(0);
}

std::optional<std::string> Database::text(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return std::nullopt;
  auto use = statement->use();
  if (use.step() != Step::row) return std::nullopt;
  return std::string(use.text(0));
}

bool Database::in_transaction() const {
  return sqlite3_get_autocommit(database_.get()) == 0;
}

Database::Failure Database::last_failure() const {
  switch (sqlite3_errcode(database_.get()) & 0xff) {
    case SQLITE_CONSTRAINT:
      return Failure::of_statement;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Failure::of_page;
    case SQLITE_IOERR:
      return Failure::of_disk;
    default:
      return Failure::other;
  }
}

void Database::roll_back() {
  if (in_transaction()) sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

std::string Database::error() const {
  return sqlite3_errmsg(database_.get());
}

}  // namespace siglane::hss
