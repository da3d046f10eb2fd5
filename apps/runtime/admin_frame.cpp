#include "apps/runtime/admin_frame.h"

#include <algorithm>
#include <cstdint>

namespace siglane::runtime {

std::string admin_frame(const google::protobuf::MessageLite& message) {
  std::string frame;
  for (std::uint64_t rest = message.ByteSizeLong();;) {
    const auto low = static_cast<unsigned char>(rest & 0x7f);
    rest >>= 7;
    frame.push_back(static_cast<char>(rest == 0 ? low : low | 0x80));
    if (rest == 0) break;
  }
  message.AppendToString(&frame);
  return frame;
}

void AdminFrames::append(Bytes bytes) {
  held_ += as_text(bytes);
}

AdminFrames::Next AdminFrames::next(std::string& message) {
  constexpr std::size_t kVarintBytesMax = 5;
  std::uint64_t length = 0;
  std::size_t at = 0;
  for (;; ++at) {
    if (at == kVarintBytesMax) return Next::too_large;
    if (at == held_.size()) return Next::more;
    const auto byte = static_cast<unsigned char>(held_[at]);
    length |= std::uint64_t{byte & 0x7fu} << (7 * at);
    if ((byte & 0x80) == 0) break;
  }
  ++at;
  if (length > message_bytes_max_) return Next::too_large;
  if (held_.size() - at < length) return Next::more;
  message.assign(held_, at, length);
  held_.erase(0, at + length);
  return Next::message;
}

}  // namespace siglane::runtime
