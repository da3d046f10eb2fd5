#pragma once
#include <string>

#include "core/result.h"
#include "transport/file_descriptor.h"

namespace siglane::runtime {

// Keeps a file for this process as long as it lives, against others that ask in the same way; it
// hinders nobody from reading or writing (flock(2)). The file is created, for its owner's eyes
// only, if it is not there.
//
// Closing any descriptor of a file drops what its process has locked by fcntl(2), as SQLite does.
// So of a database this must outlive the last connection.
class FileLock {
 public:
  FileLock() = default;
  // The error names the program that has it.
  static Result<FileLock> take(const std::string& path);

 private:
  explicit FileLock(transport::FileDescriptor fd) : fd_(std::move(fd)) {}

  transport::FileDescriptor fd_;
};

}  // namespace siglane::runtime
