// What our transport adds to usrsctp, and what idle associations cost. See docs/benchmarks.md.
//
//   usrsctp_bench oneway BYTES MESSAGES    CPU time of both ends for each message of BYTES
//   usrsctp_bench idle ASSOCIATIONS SECONDS
//
// One way, both ends live in one thread of one process, so that CPU time is all there is to measure
// and nobody else's work gets in. The bare loop is what one would write by hand on AF_CONN: two
// connected UDP sockets, read in batches as fast as they have packets, written by the stack's
// output callback, small messages bundled by the stack's own default (Nagle). UDP carries both,
// because packets that never leave the process are nobody's service.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <usrsctp.h>

#include "transport/sctp/usrsctp/transport.h"

namespace {

using namespace siglane;
using namespace siglane::transport;

constexpr std::uint16_t kServerPort = 5000, kServerUdp = 29301, kClientUdp = 29302;
constexpr std::uint16_t kFirstClientPort = 20000;
constexpr int kRounds = 9;
const SctpOptions kOptions;  // a node's own

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto in_seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return in_seconds(used.ru_utime) + in_seconds(used.ru_stime);
}

void demand(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// There is one stack in a process, so each run has a process of its own; the figure it found.
double in_child(const std::function<double()>& run) {
  std::array<int, 2> pipe{};
  demand(::pipe(pipe.data()) == 0, "pipe");
  const pid_t child = ::fork();
  demand(child >= 0, "fork");
  if (child == 0) {
    double found = 0;
    try {
      found = run();
    } catch (const std::exception& failed) {
      std::fprintf(stderr, "%s\n", failed.what());
      std::_Exit(1);
    }
    std::_Exit(::write(pipe[1], &found, sizeof found) == sizeof found ? 0 : 1);
  }
  ::close(pipe[1]);
  double found = 0;
  const ssize_t got = ::read(pipe[0], &found, sizeof found);
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (got != sizeof found || status != 0) throw std::runtime_error("a run failed");
  return found;
}

// --- By hand ------------------------------------------------------------------------------------

// Link 1 leads from the sender's UDP socket to the receiver's, link 2 back.
std::array<int, 3> udp_of_link{-1, -1, -1};

int bare_output(void* link, void* packet, std::size_t size, std::uint8_t, std::uint8_t) {
  return ::send(udp_of_link[reinterpret_cast<std::uintptr_t>(link)], packet, size, MSG_DONTWAIT) < 0
             ? errno
             : 0;
}

sockaddr_conn conn_address(std::uintptr_t link, std::uint16_t port) {
  sockaddr_conn conn{};
  conn.sconn_family = AF_CONN;
  conn.sconn_port = htons(port);
  conn.sconn_addr = reinterpret_cast<void*>(link);
  return conn;
}

template <class T>
void set(struct ::socket* so, int level, int option, const T& value) {
  demand(usrsctp_setsockopt(so, level, option, &value, sizeof value) == 0, "usrsctp_setsockopt");
}

struct ::socket* bare_socket(std::uint16_t port) {
  struct ::socket* so =
      usrsctp_socket(AF_CONN, SOCK_SEQPACKET, IPPROTO_SCTP, nullptr, nullptr, 0, nullptr);
  demand(so != nullptr, "usrsctp_socket");
  usrsctp_set_non_blocking(so, 1);
  set(so, SOL_SOCKET, SO_RCVBUF, static_cast<int>(kOptions.receive_buffer_bytes));
  set(so, SOL_SOCKET, SO_SNDBUF, static_cast<int>(kOptions.send_buffer_bytes));
  sctp_paddrparams path{};  // as ours: what fits an Ethernet frame with UDP around it
  path.spp_address.ss_family = AF_CONN;
  path.spp_pathmtu = 1400;
  path.spp_flags = SPP_PMTUD_DISABLE;
  set(so, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, path);
  sockaddr_conn local = conn_address(0, port);
  demand(usrsctp_bind(so, reinterpret_cast<sockaddr*>(&local), sizeof local) == 0, "usrsctp_bind");
  return so;
}

// true: there were packets.
bool bare_input(std::uintptr_t link) {
  constexpr std::size_t kBatch = 32, kPacketMax = 2048;
  static std::array<std::array<char, kPacketMax>, kBatch> space;
  std::array<iovec, kBatch> parts;
  std::array<mmsghdr, kBatch> messages{};
  for (std::size_t i = 0; i < kBatch; ++i) {
    parts[i] = {space[i].data(), kPacketMax};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int got = ::recvmmsg(udp_of_link[link], messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < got; ++i) {
    const auto n = static_cast<std::size_t>(i);
    usrsctp_conninput(reinterpret_cast<void*>(link), space[n].data(), messages[n].msg_len, 0);
  }
  return got > 0;
}

double bare_oneway(std::size_t bytes, std::size_t messages) {
  std::array<sockaddr_in, 3> at{};
  for (const std::uintptr_t link : {1u, 2u}) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    const int size = 4 << 20;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    at[link].sin_family = AF_INET;
    at[link].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at[link];
    demand(::bind(fd, reinterpret_cast<sockaddr*>(&at[link]), length) == 0, "bind");
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&at[link]), &length);
    udp_of_link[link] = fd;
  }
  for (const std::uintptr_t link : {1u, 2u}) {
    const sockaddr_in& other = at[3 - link];
    demand(
        ::connect(udp_of_link[link], reinterpret_cast<const sockaddr*>(&other), sizeof other) == 0,
        "connect");
  }
  usrsctp_init_nothreads(0, bare_output, nullptr);
  usrsctp_sysctl_set_sctp_ecn_enable(0);
  usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);  // on a network, there is a checksum
  for (const std::uintptr_t link : {1u, 2u}) {
    usrsctp_register_address(reinterpret_cast<void*>(link));
  }
  struct ::socket* receiver = bare_socket(kServerPort);
  struct ::socket* sender = bare_socket(kServerPort + 1);
  demand(usrsctp_listen(receiver, 1) == 0, "usrsctp_listen");
  sockaddr_conn remote = conn_address(1, kServerPort);
  demand(usrsctp_connect(sender, reinterpret_cast<sockaddr*>(&remote), sizeof remote) == 0 ||
             errno == EINPROGRESS,
         "usrsctp_connect");

  const std::vector<char> message(bytes, 'x');
  std::vector<char> space(1 << 16);
  sctp_sndinfo info{};
  info.snd_assoc_id = usrsctp_getassocid(sender, reinterpret_cast<sockaddr*>(&remote));
  std::size_t sent = 0, received = 0;
  const double began = cpu_seconds();
  Instant ticked = Loop::fresh_now();
  while (received < messages) {
    bool progress = false;
    while (sent < messages) {
      if (usrsctp_sendv(sender, message.data(), bytes, nullptr, 0, &info, sizeof info,
                        SCTP_SENDV_SNDINFO, 0) < 0) {
        break;
      }
      ++sent;
      progress = true;
    }
    progress |= bare_input(2);
    for (;;) {
      sockaddr_conn from{};
      socklen_t from_size = sizeof from;
      sctp_rcvinfo info{};
      socklen_t info_size = sizeof info;
      unsigned type = 0;
      int flags = 0;
      const ssize_t got =
          usrsctp_recvv(receiver, space.data(), space.size(), reinterpret_cast<sockaddr*>(&from),
                        &from_size, &info, &info_size, &type, &flags);
      if (got <= 0) break;
      if ((flags & MSG_NOTIFICATION) == 0 && (flags & MSG_EOR) != 0) ++received;
      progress = true;
    }
    progress |= bare_input(1);
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::milliseconds>(Loop::fresh_now() - ticked);
    if (elapsed >= 10ms) {
      ticked += elapsed;
      usrsctp_handle_timers(static_cast<std::uint32_t>(elapsed.count()));
    }
    if (progress) continue;
    std::array<pollfd, 2> idle{pollfd{udp_of_link[1], POLLIN, 0},
                               pollfd{udp_of_link[2], POLLIN, 0}};
    ::poll(idle.data(), idle.size(), 10);
  }
  return (cpu_seconds() - began) / static_cast<double>(messages);
}

// --- By our transport ---------------------------------------------------------------------------

class NoFraming final : public Framing {
 public:
  Result<std::optional<std::size_t>> frame_length(Bytes) const override {
    return failure("not a stream");
  }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
};

// A transport and what it said.
class Node final : public TransportSink {
 public:
  Node() { transport->set_sink(*this); }

  EndpointId open(std::uint16_t port, std::uint16_t udp_port, bool listening,
                  bool offload = false) {
    EndpointConfig config;
    config.name = "bench";
    config.transport = TransportKind::usrsctp;
    config.addresses = {"127.0.0.1"};
    config.port = port;
    config.listening = listening;
    config.udp_encapsulation_port = udp_port;
    config.udp_segmentation_offload = offload;
    auto id = transport->open(config, framing);
    if (!id) throw std::runtime_error(id.error().what);
    return *id;
  }
  AssociationId connect(EndpointId local) {
    PeerConfig peer;
    peer.name = "peer";
    peer.addresses = {"127.0.0.1"};
    peer.port = kServerPort;
    peer.remote_udp_port = kServerUdp;
    peer.placement = placement;
    return transport->connect(local, peer);
  }
  void on_event(AssociationId id, AssociationEvent event, Instant) override {
    if (std::holds_alternative<AssociationReceived>(event)) ++received;
    if (std::holds_alternative<AssociationUp>(event)) {
      ++up;
      PeerConfig peer;
      peer.placement = placement;
      transport->bind(id, peer);
    }
    if (std::holds_alternative<AssociationDown>(event)) ++down;
  }
  void on_stranger(const std::string&, std::string, Instant) override {}
  void on_fact(AssociationId, Fact, Instant) override {}

  Placement placement = Placement::automatic;
  std::size_t received = 0, up = 0, down = 0;
  NoFraming framing;
  std::unique_ptr<Loop> loop = Loop::create().value();
  BufferPool pool;
  Counters counters;
  std::unique_ptr<UsrsctpTransport> transport =
      std::make_unique<UsrsctpTransport>(*loop, pool, counters);
};

double our_oneway(std::size_t bytes, std::size_t messages, bool offload) {
  Node node;
  node.placement = Placement::always_peeled;  // as a link with that much traffic is, soon
  node.open(kServerPort, kServerUdp, true, offload);
  const AssociationId id = node.connect(node.open(kServerPort + 1, kClientUdp, false, offload));
  while (node.up < 2 || node.transport->peeled_count() < 2) node.loop->run_once();
  Message message;
  message.payload = Buffer::copy_of(std::vector<std::byte>(bytes));
  std::size_t sent = 0;
  const double began = cpu_seconds();
  while (node.received < messages) {
    while (sent < messages) {
      if (node.transport->find(id)->send(Message(message)) == SendOutcome::refused) break;
      ++sent;
    }
    node.loop->run_once();
  }
  return (cpu_seconds() - began) / static_cast<double>(messages);
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + kRounds / 2);
  return values[kRounds / 2];
}

// What a machine does beside comes and goes: each ratio is of runs that follow each other.
void oneway(std::size_t bytes, std::size_t messages) {
  std::vector<double> bare, ours, offloaded, over_bare, offloaded_over_bare;
  for (int round = 0; round < kRounds; ++round) {
    bare.push_back(in_child([&] { return bare_oneway(bytes, messages); }));
    ours.push_back(in_child([&] { return our_oneway(bytes, messages, false); }));
    offloaded.push_back(in_child([&] { return our_oneway(bytes, messages, true); }));
    over_bare.push_back(bare.back() / ours.back());
    offloaded_over_bare.push_back(bare.back() / offloaded.back());
  }
  std::printf(
      "{\"bytes\": %zu, \"bare_cpu_ns_per_message\": %.1f, "
      "\"our_cpu_ns_per_message\": %.1f, \"over_bare\": %.4f, "
      "\"offloaded_cpu_ns_per_message\": %.1f, \"offloaded_over_bare\": %.4f}\n",
      bytes, median(bare) * 1e9, median(ours) * 1e9, median(over_bare), median(offloaded) * 1e9,
      median(offloaded_over_bare));
}

// --- Idle ---------------------------------------------------------------------------------------

// The server's CPU time, a part of one core. Its peers live in another process.
void idle(std::size_t associations, int seconds) {
  std::array<int, 2> ready{};
  demand(::pipe(ready.data()) == 0, "pipe");
  const pid_t clients = ::fork();
  demand(clients >= 0, "fork");
  if (clients == 0) {
    char go = 0;
    if (::read(ready[0], &go, 1) != 1) std::_Exit(1);
    Node node;
    for (std::size_t i = 0; i < associations; ++i) {
      node.connect(node.open(static_cast<std::uint16_t>(kFirstClientPort + i), kClientUdp, false));
    }
    node.loop->run();  // until it is killed
    std::_Exit(0);
  }
  Node node;
  node.open(kServerPort, kServerUdp, true);
  demand(::write(ready[1], "g", 1) == 1, "write");
  while (node.up < associations) node.loop->run_once();
  const auto run_for = [&](Duration time) {
    bool over = false;
    Timer timer = node.loop->timer([&] { over = true; });
    timer.start_after(time);
    while (!over) node.loop->run_once();
  };
  run_for(2s);  // what the beginning has left
  const double before = cpu_seconds();
  const Instant began = Loop::fresh_now();
  run_for(std::chrono::seconds(seconds));
  const double part =
      (cpu_seconds() - before) / std::chrono::duration<double>(Loop::fresh_now() - began).count();
  ::kill(clients, SIGKILL);
  ::waitpid(clients, nullptr, 0);
  if (node.down != 0) throw std::runtime_error("associations were lost");
  std::printf("{\"associations\": %zu, \"cpu_percent\": %.3f}\n", associations, part * 100);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 4 ? argv[1] : "";
  try {
    if (what == "oneway") {
      oneway(std::stoul(argv[2]), std::stoul(argv[3]));
    } else if (what == "idle") {
      idle(std::stoul(argv[2]), std::stoi(argv[3]));
    } else {
      std::fprintf(stderr,
                   "usage: usrsctp_bench oneway BYTES MESSAGES | idle ASSOCIATIONS SECONDS\n");
      return 2;
    }
  } catch (const std::exception& failed) {
    std::fprintf(stderr, "usrsctp_bench: %s\n", failed.what());
    return 1;
  }
  return 0;
}
