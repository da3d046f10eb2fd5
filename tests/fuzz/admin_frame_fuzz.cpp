// Any bytes on the admin socket, in pieces: frames within the limit, and requests that parse or
// not.
#include <cstdint>
#include <cstdlib>

#include "apps/runtime/admin_frame.h"

using namespace siglane::runtime;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kLimit = 512;
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 7;
  AdminFrames frames(kLimit);
  for (std::size_t at = 1; at < size; at += piece) {
    frames.append(std::as_bytes(std::span(data + at, std::min(piece, size - at))));
    std::string message;
    AdminFrames::Next next;
    while ((next = frames.next(message)) == AdminFrames::Next::message) {
      if (message.size() > kLimit) std::abort();
      admin::Request request;
      if (!request.ParseFromString(message)) return 0;
      AdminFrames again(SIZE_MAX);
      again.append(siglane::as_bytes(admin_frame(request)));
      std::string copy;
      if (again.next(copy) != AdminFrames::Next::message) std::abort();
      if (copy != request.SerializeAsString()) std::abort();
    }
    if (next == AdminFrames::Next::too_large) return 0;
  }
  return 0;
}
