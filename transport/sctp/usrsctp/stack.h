#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "transport/address.h"
#include "transport/file_descriptor.h"
#include "transport/loop/loop.h"
#include "transport/peeling/descriptor_reserve.h"
#include "transport/sctp/usrsctp/datagram_batch.h"
#include "transport/sctp/usrsctp/keyed_hash.h"
#include "transport/sctp/usrsctp/socket.h"

namespace siglane::transport {

// The SCTP stack in this process and its way to the network: SCTP packets in UDP (RFC 6951), read
// and written by us on one loop, and the clock that the stack is told about. There is one stack in
// a process and so one UsrsctpStack at a time.
class UsrsctpStack {
 public:
  // An error: somebody has it already.
  static Result<std::unique_ptr<UsrsctpStack>> claim(Loop& loop);
  ~UsrsctpStack();
  UsrsctpStack(const UsrsctpStack&) = delete;
  UsrsctpStack& operator=(const UsrsctpStack&) = delete;

  // Called from loop callbacks, outside the stack, after it was given input, or time: sockets may
  // have become readable, and room to send may have appeared.
  void after_input(std::function<void()> callback) { after_input_ = std::move(callback); }
  void after_time(std::function<void()> callback) { after_time_ = std::move(callback); }

  // Binds a UDP port, once for each address and port. The error names both. `offload`: packets of
  // one size to or from one peer pass the kernel as one (UDP_SEGMENT, UDP_GRO); once refused,
  // never.
  using UdpPort = std::size_t;
  Result<UdpPort> open_udp(const SocketAddress& local, bool offload);
  const SocketAddress& udp_address(UdpPort port) const { return udp_[port]->local; }
  // What the kernel let us have for receiving, if that is less than we asked for.
  std::optional<std::size_t> clipped_buffer(UdpPort port) const { return udp_[port]->clipped; }

  // The path from one of our ports to `remote`, ready for a connect.
  PathId path_to(UdpPort port, const SocketAddress& remote);
  // Invalid if there is no such path.
  SocketAddress remote_of(PathId path) const;
  SocketAddress local_of(PathId path) const;
  // Anybody can send from any number of addresses. A path is remembered once the stack has accepted
  // a cookie that came by it, or where we connect; and forgotten some seconds after nobody holds
  // it.
  void hold(PathId path);
  void drop(PathId path);
  std::size_t paths() const { return paths_.size(); }
  // A UDP socket for this path alone, connected to the peer, on the same port, until nobody holds
  // the path: the kernel looks up the route once and not for each packet, and no other peer's
  // packets fill its buffer. Where there cannot be one now, nothing changes.
  void give_own_socket(PathId path);

  // The stack is told the time now and then, seldom while nothing moves. Before it is to send: so
  // that what it starts then is counted from now.
  void catch_up();

  // Sends the packets that the stack has made because its sockets were used. Those that it made
  // because of input or time are sent without it, and all of them at the end.
  void send_packets();

  std::uint64_t packets_in() const { return packets_in_; }
  std::uint64_t packets_out() const { return packets_out_; }

 private:
  struct Udp {
    FileDescriptor fd;
    SocketAddress local;
    UdpPort port = 0;
    PathId path = 0;  // the only one, to `remote`; 0: all that have none of their own
    SocketAddress remote;
    bool offload = false;
    std::optional<std::size_t> clipped;
    std::optional<DatagramBatch> out;
    std::optional<Poll> poll;
    bool unsent = false;  // is in unsent_
    bool more = false;    // the last read left something
  };
  struct Path {
    Udp* udp = nullptr;
    SocketAddress remote;
    unsigned holders = 0;
    bool registered = false;  // with the stack, as an address of ours
    Instant last_held{};      // while nobody holds it
  };
  struct Unheld {
    PathId id = 0;
    Instant since{};
  };
  struct PacketSpace;
  friend struct UsrsctpCallbacks;

  explicit UsrsctpStack(Loop& loop);
  Result<std::unique_ptr<Udp>> bind_udp(const SocketAddress& local, const Udp* beside = nullptr);
  Result<void> watch(Udp& udp);
  static void set_offload(Udp& udp, bool on);
  void on_udp(Udp& udp, PollEvents events);
  bool read_packets(Udp& udp, int rounds_max);
  void take(Udp& udp, const SocketAddress& sender, Bytes packets, std::size_t segment);
  void input(PathId path, Bytes packets, std::size_t segment);
  int output(PathId path, const void* packet, std::size_t size);
  static void send_from(Udp& udp);
  void close_own_socket(PathId path);
  void tick();
  std::uint32_t take_time(Instant now);
  void start_timer(Duration after);
  void stir();
  PathId id_of(UdpPort port, const SocketAddress& remote) const;
  Path& remember(PathId id, Udp& udp, const SocketAddress& remote);
  void register_path(PathId id, Path& path);
  void forget_unheld_paths(Instant now);

  Loop& loop_;
  std::function<void()> after_input_, after_time_;
  std::vector<std::unique_ptr<Udp>> udp_;  // by UdpPort
  std::unordered_map<PathId, std::unique_ptr<Udp>> own_;
  std::vector<std::unique_ptr<Udp>> closing_;  // at the next tick, outside their callbacks
  DescriptorReserve reserve_;
  std::vector<Udp*> unsent_;  // have got packets since send_packets()
  KeyedHash path_hash_;
  std::unordered_map<PathId, Path> paths_;
  std::deque<Unheld> unheld_;  // the longest first; some may be held again, or be gone
  // Whose packet the stack has in hand, where nothing is remembered of it.
  PathId passing_ = 0;
  Udp* passing_udp_ = nullptr;
  SocketAddress passing_remote_;
  std::unique_ptr<PacketSpace> space_;
  std::uint64_t packets_in_ = 0, packets_out_ = 0;

  Instant ticked_{};       // up to here the stack was told the time
  Instant due_{};          // the next tick
  Instant last_packet_{};  // in or out
  bool hurried_ = false;   // the timer runs at its fast pace
  Timer timer_;
};

}  // namespace siglane::transport
