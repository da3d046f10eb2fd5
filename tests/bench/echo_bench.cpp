// What an echo of 200 bytes costs a server on kernel SCTP: a node of ours, or the loop that one
// would write by hand. Run in a guest that counts instructions (scripts/with-kernel-sctp -i), where
// a nanosecond of CPU time is one. See docs/benchmarks.md.
//
//   echo_bench bare|node ASSOCIATIONS BURST MESSAGES
//
// BURST messages are under way on one association at a time, sent as one bundle.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <sys/epoll.h>

#include "tests/bench/echo_server.h"
#include "transport/sctp/kernel/socket.h"

namespace {

using namespace siglane;
using namespace siglane::test;

// epoll, read until nothing waits, answer each at once.
void serve_bare() {
  SctpOptions options;
  const auto address = *transport::SocketAddress::parse("127.0.0.1", 0);
  const auto opened = transport::open_one_to_many({&address, 1}, options, false);
  if (opened.error != 0 || transport::listen_on(opened.fd) != 0) {
    throw std::runtime_error("no bare server: " + opened.step);
  }
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{EPOLLIN, {}};
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, opened.fd, &event);
  shared->port = transport::local_port(opened.fd);
  std::vector<std::byte> space(65536);
  std::vector<std::byte> control(256);
  while (::epoll_wait(epoll, &event, 1, -1) >= 0) {
    while (true) {
      iovec part{space.data(), space.size()};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const ssize_t size = ::recvmsg(opened.fd, &message, MSG_DONTWAIT);
      if (size < 0) break;
      if ((message.msg_flags & MSG_NOTIFICATION) != 0) continue;
      sctp_assoc_t id = 0;
      for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr;
           one = CMSG_NXTHDR(&message, one)) {
        if (one->cmsg_type != SCTP_RCVINFO) continue;
        sctp_rcvinfo info{};
        std::memcpy(&info, CMSG_DATA(one), sizeof info);
        id = info.rcv_assoc_id;
      }
      alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(sctp_sndinfo))> out{};
      msghdr answer{};
      part.iov_len = static_cast<std::size_t>(size);
      answer.msg_iov = &part;
      answer.msg_iovlen = 1;
      answer.msg_control = out.data();
      answer.msg_controllen = out.size();
      cmsghdr* header = CMSG_FIRSTHDR(&answer);
      header->cmsg_level = IPPROTO_SCTP;
      header->cmsg_type = SCTP_SNDINFO;
      header->cmsg_len = CMSG_LEN(sizeof(sctp_sndinfo));
      sctp_sndinfo info{};
      info.snd_assoc_id = id;
      std::memcpy(CMSG_DATA(header), &info, sizeof info);
      (void)::sendmsg(opened.fd, &answer, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: echo_bench bare|node ASSOCIATIONS BURST MESSAGES\n");
    return 2;
  }
  const bool bare = std::string_view(argv[1]) == "bare";
  const std::size_t associations = std::stoul(argv[2]), burst = std::stoul(argv[3]),
                    messages = std::stoul(argv[4]);
  return run_with_server(
      [&] {
        if (bare) return serve_bare();
        BusyNode::serve_here({.peels = false}, [](std::uint16_t port) { shared->port = port; });
      },
      [&](const EchoServer& server) {
        std::vector<std::unique_ptr<RawPeer>> peers;
        for (std::size_t i = 0; i < associations; ++i) {
          peers.push_back(std::make_unique<RawPeer>(server.port()));
        }
        // All that grows has grown, and the node has looked at whom to peel off: once a second.
        constexpr Duration kWarmUp = 4s;
        const Instant warm = transport::Loop::fresh_now() + kWarmUp;
        while (transport::Loop::fresh_now() < warm) echo(peers, burst, 2 * burst * associations);
        const EchoCost cost = server.cost_of(messages, [&] { echo(peers, burst, messages); });
        std::printf("{\"cpu_ns_per_message\": %.1f, \"allocations_per_message\": %.4f}\n",
                    cost.cpu_ns, cost.allocations);
      });
}
