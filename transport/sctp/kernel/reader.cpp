#include "transport/sctp/kernel/reader.h"

#include <array>
#include <utility>

namespace siglane::transport {

ReceivedPiece SctpReader::read(int fd) {
  if (!block_) {
    block_.emplace(pool_, kBlockBytes);
    block_bytes_ = block_->extend(kBlockBytes);
  }
  std::array<iovec, 2> into{
      iovec{block_bytes_, kBlockBytes},
      iovec{scratch_.data(), scratch_.size()},
  };
  ReceivedPiece piece = receive_piece(fd, into);
  size_ = piece.size;
  return piece;
}

Buffer SctpReader::take_whole() {
  if (size_ <= kBlockBytes) {
    block_->shrink_to(size_);
    Buffer whole = std::move(*block_).finish();
    block_.reset();
    return whole;
  }
  BufferBuilder builder(pool_, size_);
  builder.append(first());
  builder.append(rest());
  return std::move(builder).finish();
}

Reassembly::Outcome SctpReader::add_to(Reassembly& reassembly, const ReceivedPiece& piece,
                                       Message& out) {
  MessagePiece part{piece.stream, piece.protocol, piece.unordered, piece.ends, first()};
  if (!rest().empty()) {
    part.ends = false;
    if (reassembly.add(part, pool_, out) == Reassembly::Outcome::oversized) {
      return Reassembly::Outcome::oversized;
    }
    part.bytes = rest();
    part.ends = piece.ends;
  }
  return reassembly.add(part, pool_, out);
}

Bytes SctpReader::in_one_run() {
  if (rest().empty()) return first();
  run_.assign(first().begin(), first().end());
  run_.insert(run_.end(), rest().begin(), rest().end());
  return run_;
}

}  // namespace siglane::transport
