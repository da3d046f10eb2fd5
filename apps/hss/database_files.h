#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include <sys/types.h>

#include "core/result.h"

namespace siglane::hss {

// A database's file and its write-ahead log, as they stand at their paths while the database is
// open. SQLite does not notice when one is deleted, moved or replaced: it goes on writing into what
// it has open, and all that is lost when it closes.
class DatabaseFiles {
 public:
  // Of a database that is in no file of the system's: nothing is ever wrong with it.
  DatabaseFiles() = default;
  // The database has just been opened, and read from. `log_bytes`: what its log should not exceed.
  DatabaseFiles(std::string path, std::uint64_t log_bytes);

  // Whether both are still what was opened. Two system calls.
  Result<void> check() const;
  // check(), and whether the log is so long that somebody must keep it from being written back.
  Result<void> look() const;

 private:
  struct Identity {
    dev_t device;
    ino_t inode;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  static std::optional<Identity> identity_of(const std::string& path);
  static Result<void> check(const std::string& path, const std::optional<Identity>& opened);
  std::string log() const { return path_ + "-wal"; }

  std::string path_;  // empty: no file
  std::uint64_t log_bytes_ = 0;
  std::optional<Identity> file_, log_;  // none: it was not there, so that nobody can miss it
};

}  // namespace siglane::hss
