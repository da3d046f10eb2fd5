#pragma once
#include <cstddef>
#include <optional>

#include "core/association.h"
#include "core/result.h"

namespace siglane {

// How a byte stream (TCP) is cut into messages. Pure; any thread.
class Framing {
 public:
  // The whole length in bytes of the message that begins here, or nothing while too few bytes are
  // there to tell. An error closes the stream. Must be greater than 0 and may exceed any limit:
  // the transport enforces message_bytes_max.
  virtual Result<std::optional<std::size_t>> frame_length(Bytes head) const = 0;
  // What a message cut from a stream is labelled with.
  virtual PayloadProtocol stream_protocol() const = 0;

 protected:
  ~Framing() = default;
};

}  // namespace siglane
