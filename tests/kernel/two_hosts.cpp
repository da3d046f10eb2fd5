#include "tests/kernel/two_hosts.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace siglane::kernel_test {
namespace {

void run(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

// One process for all of it: on an emulated machine they are dear.
void batch(const std::string& ip, const std::string& lines) {
  FILE* in = popen((ip + " -batch -").c_str(), "w");
  ASSERT_NE(in, nullptr);
  fputs(lines.c_str(), in);
  ASSERT_EQ(pclose(in), 0) << ip << ":\n" << lines;
}

// A UDP socket on an address, in the network namespace that the caller is in.
struct Datagrams {
  explicit Datagrams(const std::string& text) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(kPort);
      size = sizeof *v6;
    } else if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
      v4->sin_family = AF_INET;
      v4->sin_port = htons(kPort);
      size = sizeof *v4;
    }
    fd = transport::FileDescriptor(
        socket(address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0)
        << text << ": " << std::strerror(errno);
  }
  bool reaches(const Datagrams& other) const {
    for (int tries = 0; tries < 1000; ++tries) {
      (void)sendto(fd.get(), "", 0, 0, reinterpret_cast<const sockaddr*>(&other.address),
                   other.size);
      pollfd arrived{other.fd.get(), POLLIN, 0};
      if (poll(&arrived, 1, 10) == 1) return true;
    }
    return false;
  }

  static constexpr std::uint16_t kPort = 9;
  transport::FileDescriptor fd{-1};
  sockaddr_storage address{};
  socklen_t size = 0;
};

}  // namespace

TwoHosts::TwoHosts(std::vector<Link> links)
    : suffix_("-" + std::to_string(getpid())), links_(std::move(links)) {
  std::string hosts, left = "link set lo up\n", right = left;
  for (const Side side : {Side::left, Side::right}) hosts += "netns add " + name(side) + "\n";
  for (std::size_t n = 0; n < links_.size(); ++n) {
    hosts += "link add name " + device(Side::left, n) + " netns " + name(Side::left) +
             " type veth peer name " + device(Side::right, n) + " netns " + name(Side::right) +
             "\n";
    const auto lines = [](const std::string& device, const std::string& address) {
      const bool v6 = address.find(':') != address.npos;
      return "address add " + address + " dev " + device + (v6 ? " nodad" : "") + "\nlink set " +
             device + " up\n";
    };
    left += lines(device(Side::left, n), links_[n].left);
    right += lines(device(Side::right, n), links_[n].right);
  }
  batch("ip", hosts);
  batch("ip -n " + name(Side::left), left);
  batch("ip -n " + name(Side::right), right);
  for (std::size_t n = 0; n < links_.size(); ++n) wait_until_it_carries(n);
}

// The kernel tells IPv6 that a link is up a second late, and until then nobody there answers
// neighbor solicitations: an association would begin with a path that does not work yet.
void TwoHosts::wait_until_it_carries(std::size_t n) const {
  const auto socket_at = [&](Side side) {
    const auto here = inside(side);
    return Datagrams(addresses(side)[n]);
  };
  const Datagrams left = socket_at(Side::left), right = socket_at(Side::right);
  EXPECT_TRUE(left.reaches(right)) << "link " << n;
  EXPECT_TRUE(right.reaches(left)) << "link " << n;
}

TwoHosts::~TwoHosts() {
  batch("ip", "netns delete " + name(Side::left) + "\nnetns delete " + name(Side::right) + "\n");
}

TwoHosts::Inside::Inside(const std::string& host)
    : home_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  const transport::FileDescriptor there(open(("/run/netns/" + host).c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(setns(there.get(), CLONE_NEWNET), 0) << host << ": " << std::strerror(errno);
}

TwoHosts::Inside::~Inside() {
  EXPECT_EQ(setns(home_.get(), CLONE_NEWNET), 0) << std::strerror(errno);
}

std::vector<std::string> TwoHosts::addresses(Side side) const {
  std::vector<std::string> all;
  for (const Link& link : links_) {
    const std::string& address = side == Side::left ? link.left : link.right;
    all.push_back(address.substr(0, address.find('/')));
  }
  return all;
}

void TwoHosts::disturb(Side side, std::size_t n, const std::string& netem) {
  const std::string qdisc = "tc -n " + name(side) + " qdisc ";
  const std::string on = " dev " + device(side, n) + " root";
  run(netem.empty() ? qdisc + "delete" + on : qdisc + "replace" + on + " netem " + netem);
}

void TwoHosts::cut(std::size_t n) {
  for (const Side side : {Side::left, Side::right}) disturb(side, n, "loss 100%");
}

void TwoHosts::mend(std::size_t n) {
  for (const Side side : {Side::left, Side::right}) disturb(side, n, "");
}

void TwoHosts::set_up(std::size_t n, bool up) {
  for (const Side side : {Side::left, Side::right}) {
    run("ip -n " + name(side) + " link set " + device(side, n) + (up ? " up" : " down"));
  }
}

std::uint64_t TwoHosts::sent_by(Side side, std::size_t n) const {
  const Inside here = inside(side);
  ifaddrs* list = nullptr;
  EXPECT_EQ(getifaddrs(&list), 0);
  std::uint64_t bytes = 0;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_PACKET) continue;
    if (device(side, n) != at->ifa_name) continue;
    rtnl_link_stats statistics;
    std::memcpy(&statistics, at->ifa_data, sizeof statistics);
    bytes = statistics.tx_bytes;
  }
  freeifaddrs(list);
  return bytes;
}

}  // namespace siglane::kernel_test
