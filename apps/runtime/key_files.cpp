#include "apps/runtime/key_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace siglane::runtime {

std::optional<std::string> exposed_key_file(std::string_view what, const std::string& file) {
  struct stat status {};
  if (stat(file.c_str(), &status) != 0) return std::nullopt;
  const bool readable = (status.st_mode & S_IROTH) != 0;
  if (!readable && (status.st_mode & S_IWOTH) == 0) return std::nullopt;
  return fmt::format(
      "{} {} holds keys and has mode {:04o}, so that every user can {} it: chmod 600 {}", what,
      file, status.st_mode & 07777u, readable ? "read" : "change", file);
}

}  // namespace siglane::runtime
