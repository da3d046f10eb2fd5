#pragma once
#include <cstddef>
#include <vector>

#include "core/bytes.h"
#include "transport/address.h"

namespace siglane::transport {

// Datagrams on their way out of one UDP socket, sent together: one system call for all of them, and
// one trip through the kernel for those of one size that follow each other to one address
// (UDP_SEGMENT, udp(7)). What the socket has no room for now waits, as far as there is room here.
class DatagramBatch {
 public:
  // `fd` must outlive the batch, which sends nothing by itself at its end.
  explicit DatagramBatch(int fd) : fd_(fd) {}

  // Copies `packet`; sends first what waits, if that is a burst already. false: nor does that make
  // room, and the packet is lost, as on a network.
  bool add(const SocketAddress& to, Bytes packet);
  // What still waits then is for when the socket is writable.
  void send();
  bool empty() const { return runs_.empty(); }

  // From now on each datagram makes its own way.
  void send_singly() { segments_ = false; }
  // From now on the socket is connected, and all datagrams are for that peer.
  void socket_is_connected() { connected_ = true; }

 private:
  // Datagrams of one size to one address; the last may be shorter.
  struct Run {
    SocketAddress to;
    std::size_t offset = 0, bytes = 0;
    std::size_t segment = 0;  // bytes
    bool ended = false;
  };
  bool extends_last(const SocketAddress& to, std::size_t size) const;
  bool has_room(const SocketAddress& to, std::size_t size) const;
  std::size_t send_from(std::size_t first);
  void remove(std::size_t runs);
  void send_one_by_one(const Run& run);

  int fd_;
  bool segments_ = true, connected_ = false;
  std::vector<std::byte> bytes_;
  std::vector<Run> runs_;
};

}  // namespace siglane::transport
