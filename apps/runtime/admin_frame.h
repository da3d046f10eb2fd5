#pragma once
#include <cstddef>
#include <string>

#include "core/bytes.h"
#include "proto/siglane/admin/v1/admin.pb.h"

namespace siglane::runtime {

namespace admin = siglane::admin::v1;

// A frame of the admin API: a varint of the message's length, then the message.
std::string admin_frame(const google::protobuf::MessageLite& message);

// Cuts a stream of bytes into frames. Holds at most one frame's worth.
class AdminFrames {
 public:
  explicit AdminFrames(std::size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}

  void append(Bytes bytes);

  enum class Next { message, more, too_large };
  // message: `message` is the next one's bytes, and is gone from here. more: none is whole yet.
  // too_large: this stream is beyond repair.
  Next next(std::string& message);

 private:
  std::size_t message_bytes_max_;
  std::string held_;
};

}  // namespace siglane::runtime
