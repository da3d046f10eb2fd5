#include "transport/regular_file.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace siglane::transport {

Result<FileDescriptor> open_regular_file(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!fd.valid() || fstat(fd.get(), &status) != 0) return failure(std::strerror(errno));
  if (S_ISDIR(status.st_mode)) return failure(std::strerror(EISDIR));
  if (!S_ISREG(status.st_mode)) return failure("is not a regular file, but a FIFO or a device");
  return fd;
}

Result<std::string> read_regular_file(const std::string& path, std::size_t bytes_max) {
  const auto opened = open_regular_file(path);
  if (!opened) return tl::unexpected(opened.error());
  std::string text;
  std::array<char, 65536> chunk;
  while (text.size() <= bytes_max) {
    const ssize_t got = ::read(opened->get(), chunk.data(), chunk.size());
    if (got < 0) return failure(std::strerror(errno));
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return failure("is larger than the " + std::to_string(bytes_max) + " bytes that are read");
}

}  // namespace siglane::transport
