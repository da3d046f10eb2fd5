#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"
#include "core/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace siglane::hss {

enum class Step { row, done, failed };

// A prepared statement, used again and again.
class Statement {
 public:
  Statement() = default;

  // One use: bind, step, read; at its end the statement is ready for the next. What is bound and
  // read is not copied: it must live, and is good, until then. Only one use at a time.
  class Use {
   public:
    explicit Use(sqlite3_stmt* statement) : statement_(statement) {}
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    void bind(int index, std::int64_t value);  // from 1; what is not bound is NULL
    void bind(int index, std::string_view text);
    void bind(int index, Bytes blob);

    Step step();
    bool done() { return step() == Step::done; }

    bool null(int column) const;  // from 0
    bool is_integer(int column) const;
    std::int64_t integer(int column) const;
    std::string_view text(int column) const;
    Bytes blob(int column) const;

   private:
    sqlite3_stmt* statement_;
    bool bound_ = true;
  };
  Use use() { return Use(statement_.get()); }

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// A connection. One thread at a time. Statements must go before it.
class Database {
 public:
  static Result<Database> open(const std::string& path, const std::string& vfs,
                               Duration busy_timeout);

  Result<Statement> prepare(std::string_view sql);
  [[nodiscard]] bool execute(const std::string& sql);
  // The first column of the first row.
  std::optional<std::int64_t> integer(std::string_view sql);
  std::optional<std::string> text(std::string_view sql);
  // Between BEGIN and its end; SQLite itself ends a transaction on some errors.
  bool in_transaction() const;
  // Ends a transaction if one is open still.
  void roll_back();

  // What the last failure means for its transaction.
  enum class Failure {
    of_statement,  // a constraint did not hold: the statement alone was undone
    of_page,       // a page is damaged: SQLite writes nothing more until all is rolled back
    of_disk,       // or one sector of it: SQLite has rolled back, or will have to
    other,
  };
  Failure last_failure() const;
  // What failed last, in SQLite's words.
  std::string error() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit Database(sqlite3* database) : database_(database) {}
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace siglane::hss
