#pragma once
#include <cstddef>
#include <deque>

#include "core/buffer.h"
#include "protocols/m3ua/message.h"

namespace siglane::m3ua {

// ASPUP, ASPDN, ASPAC and ASPIA of one ASP that wait for their turn, in order. Whatever the ASP
// sends, little waits: what a later request makes pointless gets no answer, as RFC 4666 leaves an
// ASP to expect (T(ack)).
class RequestQueue {
 public:
  // An ASP of many ASs may ask for each of them at once.
  static constexpr std::size_t kRequestsMax = 256;
  static constexpr std::size_t kBytesMax = std::size_t{16} << 10;

  // How many requests get no answer because of it: the same one made before, those that an ASPUP or
  // ASPDN undoes, or itself where there is no room.
  std::size_t add(MessageType type, Buffer request);

  bool empty() const { return waiting_.empty(); }
  std::size_t size() const { return waiting_.size(); }
  // Precondition of both: not empty.
  Bytes front() const { return waiting_.front().bytes.bytes(); }
  Buffer take();
  void clear();

 private:
  struct Request {
    MessageType type{};
    Buffer bytes;
  };
  std::deque<Request> waiting_;
  std::size_t bytes_ = 0;
};

}  // namespace siglane::m3ua
