#include "protocols/m3ua/request_queue.h"

#include <algorithm>
#include <utility>

namespace siglane::m3ua {

// What remains leads to the same states as all of them: the last request for each AS is there, and
// so is an ASPDN that an ASPUP follows.
std::size_t RequestQueue::add(MessageType type, Buffer request) {
  const Bytes bytes = request.bytes();
  std::size_t unanswered = std::erase_if(waiting_, [&](const Request& earlier) {
    const bool pointless = type == MessageType::aspdn ||
                           (type == MessageType::aspup && earlier.type != MessageType::aspdn) ||
                           std::ranges::equal(earlier.bytes.bytes(), bytes);
    if (pointless) bytes_ -= earlier.bytes.size();
    return pointless;
  });
  if (waiting_.size() == kRequestsMax || bytes_ + bytes.size() > kBytesMax) return unanswered + 1;
  bytes_ += bytes.size();
  waiting_.push_back({type, std::move(request)});
  return unanswered;
}

Buffer RequestQueue::take() {
  Buffer request = std::move(waiting_.front().bytes);
  waiting_.pop_front();
  bytes_ -= request.size();
  return request;
}

void RequestQueue::clear() {
  waiting_.clear();
  bytes_ = 0;
}

}  // namespace siglane::m3ua
