#include "transport/regular_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

namespace siglane::transport {

Result<FileDescriptor> open_regular_file(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!fd.valid() || fstat(fd.get(), &status) != 0) return failure(std::strerror(errno));
  if (S_ISDIR(status.st_mode)) return failure(std::strerror(EISDIR));
  if (!S_ISREG(status.st_mode)) return failure("is not a regular file, but a FIFO or a device");
  return fd;
}

}  // namespace siglane::transport
