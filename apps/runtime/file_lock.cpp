#include "apps/runtime/file_lock.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "transport/port_holder.h"

namespace siglane::runtime {
namespace {

// proc_locks(5): `1: FLOCK ADVISORY WRITE 4711 08:01:131 0 EOF`; 0: nobody that we may see.
pid_t holder_of(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return 0;
  const std::string inode = fmt::format(":{}", status.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, advisory, mode, file;
    pid_t pid = 0;
    words >> number >> kind >> advisory >> mode >> pid >> file;
    if (kind == "FLOCK" && file.ends_with(inode)) return pid;
  }
  return 0;
}

}  // namespace

Result<FileLock> FileLock::take(const std::string& path) {
  transport::FileDescriptor fd(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!fd.valid()) return failure(path + ": " + std::strerror(errno));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return FileLock(std::move(fd));
  if (errno != EWOULDBLOCK) return failure(path + ": cannot be locked: " + std::strerror(errno));
  const pid_t pid = holder_of(fd.get());
  return failure(path + ": " +
                 (pid > 0
                      ? fmt::format("{}, process {}, uses it", transport::program_name(pid), pid)
                      : std::string("another node uses it")));
}

}  // namespace siglane::runtime
