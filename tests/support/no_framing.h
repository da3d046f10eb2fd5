#pragma once
#include <optional>

#include "core/framing.h"

namespace siglane {

// The framing of a module whose transports have messages.
struct NoFraming final : Framing {
  Result<std::optional<std::size_t>> frame_length(Bytes) const override { return std::nullopt; }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
};

}  // namespace siglane
