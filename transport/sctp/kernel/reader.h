#pragma once
#include <algorithm>
#include <optional>
#include <vector>

#include "core/buffer.h"
#include "transport/sctp/kernel/socket.h"
#include "transport/sctp/reassembly.h"

namespace siglane::transport {

// Reads one piece at a time from any SCTP socket of a loop: into a pooled block of the size that
// signaling messages have, which becomes the message without a copy; what is longer goes on into
// one large scratch area, and is copied once it is known how long it is.
class SctpReader {
 public:
  explicit SctpReader(BufferPool& pool) : pool_(pool), scratch_(kScratchBytes) {}

  // What it says of the piece; its bytes are here until the next read.
  ReceivedPiece read(int fd);

  // Of the piece just read: as a message of its own, for reassembly, or in one run.
  Buffer take_whole();
  Reassembly::Outcome add_to(Reassembly& reassembly, const ReceivedPiece& piece, Message& out);
  Bytes in_one_run();

 private:
  static constexpr std::size_t kBlockBytes = 1024;
  // No notification is longer than a chunk and its header.
  static constexpr std::size_t kScratchBytes = 68 * 1024;

  Bytes first() const { return Bytes(block_bytes_, std::min(size_, kBlockBytes)); }
  Bytes rest() const {
    return Bytes(scratch_).first(size_ > kBlockBytes ? size_ - kBlockBytes : 0);
  }

  BufferPool& pool_;
  std::optional<BufferBuilder> block_;
  std::byte* block_bytes_ = nullptr;  // of block_, kBlockBytes
  std::vector<std::byte> scratch_;
  std::vector<std::byte> run_;
  std::size_t size_ = 0;
};

}  // namespace siglane::transport
