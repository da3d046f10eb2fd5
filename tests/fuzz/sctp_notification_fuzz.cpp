#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "transport/sctp/kernel/socket.h"

using namespace siglane;
using namespace siglane::transport;

// Any bytes: a notification or "malformed", and a payload that lies within them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const auto parsed = parse_notification(bytes);
  if (!parsed) return 0;
  if (const auto* failed = std::get_if<notification::SendFailed>(&*parsed)) {
    const std::byte* begin = failed->payload.data();
    if (begin < bytes.data() || begin + failed->payload.size() > bytes.data() + size) std::abort();
  }
  return 0;
}
