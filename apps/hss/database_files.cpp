#include "apps/hss/database_files.h"

#include <utility>

#include <sys/stat.h>

namespace siglane::hss {
namespace {

// A log that is so many times as long as it should be is not just behind.
constexpr std::uint64_t kLogMuchTooLong = 16;
constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;

}  // namespace

DatabaseFiles::DatabaseFiles(std::string path, std::uint64_t log_bytes)
    : path_(std::move(path)),
      log_bytes_(log_bytes),
      file_(identity_of(path_)),
      log_(identity_of(log())) {}

std::optional<DatabaseFiles::Identity> DatabaseFiles::identity_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return Identity{status.st_dev, status.st_ino};
}

Result<void> DatabaseFiles::check(const std::string& path, const std::optional<Identity>& opened) {
  const auto now = identity_of(path);
  if (!opened || now == opened) return {};
  return failure(
      path +
      (now ? " was replaced while the database was open: requests are refused, because what is "
             "written now would be lost; restart the node to use the new file"
           : " is gone, while the database is open: requests are refused, because what is written "
             "now would be lost; move the file back, or restore one and restart the node"));
}

Result<void> DatabaseFiles::check() const {
  if (path_.empty()) return {};
  if (auto good = check(path_, file_); !good) return good;
  return check(log(), log_);
}

Result<void> DatabaseFiles::look() const {
  if (path_.empty()) return {};
  if (auto good = check(); !good) return good;
  struct stat status {};
  if (stat(log().c_str(), &status) != 0) return {};
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (bytes <= kLogMuchTooLong * log_bytes_) return {};
  return failure(log() + " has grown to " + std::to_string(bytes / kMebibyte) +
                 " MiB: another process has been reading the database all the time, which keeps "
                 "the log from being written back; end its transaction");
}

}  // namespace siglane::hss
