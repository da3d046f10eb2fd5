#include "transport/sctp/reassembly.h"

#include <algorithm>
#include <utility>

namespace siglane::transport {

std::list<Reassembly::Partial>::iterator Reassembly::find(StreamId stream, bool unordered) {
  return std::find_if(partials_.begin(), partials_.end(), [&](const Partial& partial) {
    return partial.stream == stream && partial.unordered == unordered;
  });
}

Reassembly::Outcome Reassembly::add(const MessagePiece& piece, BufferPool& pool, Message& out) {
  auto partial = find(piece.stream, piece.unordered);
  const std::size_t held = partial == partials_.end() ? 0 : partial->builder.size();
  if (held + piece.bytes.size() > bytes_max_) {
    if (partial != partials_.end()) partials_.erase(partial);
    return Outcome::oversized;
  }
  if (partial == partials_.end() && piece.ends) {
    BufferBuilder whole(pool, piece.bytes.size());
    whole.append(piece.bytes);
    out.stream = piece.stream;
    out.protocol = piece.protocol;
    out.unordered = piece.unordered;
    out.payload = std::move(whole).finish();
    return Outcome::whole;
  }
  if (partial == partials_.end()) {
    partials_.push_back(
        {piece.stream, piece.protocol, piece.unordered, BufferBuilder(pool, piece.bytes.size())});
    partial = std::prev(partials_.end());
  }
  partial->builder.append(piece.bytes);
  if (!piece.ends) return Outcome::partial;

  out.stream = partial->stream;
  out.protocol = partial->protocol;
  out.unordered = partial->unordered;
  out.payload = std::move(partial->builder).finish();
  partials_.erase(partial);
  return Outcome::whole;
}

bool Reassembly::abort(StreamId stream, bool unordered) {
  auto partial = find(stream, unordered);
  if (partial == partials_.end()) return false;
  partials_.erase(partial);
  return true;
}

void Reassembly::move_to(BufferPool& pool) {
  std::list<Partial> moved;
  for (Partial& partial : partials_) {
    moved.push_back({partial.stream, partial.protocol, partial.unordered,
                     BufferBuilder(pool, partial.builder.size())});
    moved.back().builder.append(partial.builder.bytes());
  }
  partials_.swap(moved);
}

std::size_t Reassembly::bytes() const {
  std::size_t total = 0;
  for (const Partial& partial : partials_) total += partial.builder.size();
  return total;
}

}  // namespace siglane::transport
