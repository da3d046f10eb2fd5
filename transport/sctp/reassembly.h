#pragma once
#include <cstddef>
#include <list>

#include "core/association.h"
#include "core/buffer.h"

namespace siglane::transport {

// A piece of a user message, as a read delivers it (RFC 6458 §4.1.4: without MSG_EOR more follows).
struct MessagePiece {
  StreamId stream{};
  PayloadProtocol protocol{};
  bool unordered = false;
  bool ends = false;
  Bytes bytes;
};

// Partial deliveries of one association made whole, for each stream apart. Nothing is held, and
// nothing allocated, for messages that come in one piece. Pure.
class Reassembly {
 public:
  explicit Reassembly(std::size_t message_bytes_max) : bytes_max_(message_bytes_max) {}

  // From the next piece on, also of messages that have begun.
  void limit(std::size_t message_bytes_max) { bytes_max_ = message_bytes_max; }

  enum class Outcome { partial, whole, oversized };
  // `whole`: `out` is the message. `oversized`: it passes message_bytes_max; it is forgotten, and
  // what still comes of it would begin a new one, so the association has to be closed.
  Outcome add(const MessagePiece& piece, BufferPool& pool, Message& out);
  bool empty() const { return partials_.empty(); }

  // The rest will never come (PARTIAL_DELIVERY aborted). false: there was none.
  bool abort(StreamId stream, bool unordered);
  void clear() { partials_.clear(); }

  // From now on on another thread: what is held moves to its pool.
  void move_to(BufferPool& pool);

  std::size_t bytes() const;  // held
  std::size_t messages() const { return partials_.size(); }

 private:
  struct Partial {
    StreamId stream;
    PayloadProtocol protocol;
    bool unordered;
    BufferBuilder builder;
  };
  std::list<Partial>::iterator find(StreamId stream, bool unordered);

  // Few at a time: a stack delivers one message of an association after the other, or one for each
  // stream if it interleaves (RFC 8260).
  std::list<Partial> partials_;
  std::size_t bytes_max_;
};

}  // namespace siglane::transport
