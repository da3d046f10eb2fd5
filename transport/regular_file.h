#pragma once
#include <cstddef>
#include <string>

#include "core/result.h"
#include "transport/file_descriptor.h"

namespace siglane::transport {

// Opens a file for reading, and only a file: who opens a FIFO waits for somebody at its other end,
// and a device may never end. The error is the reason alone.
Result<FileDescriptor> open_regular_file(const std::string& path);

// All of it, unless it is larger than `bytes_max`. The error is the reason alone.
Result<std::string> read_regular_file(const std::string& path, std::size_t bytes_max);

}  // namespace siglane::transport
