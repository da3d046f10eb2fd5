// SctpAssociationOptions: what the kernel makes of them, what goes over the wire, and that a peeled
// association keeps them.
#include <array>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/file_descriptor.h"
#include "transport/sctp/kernel/options.h"
#include "transport/sctp/kernel/socket.h"
#include "transport/socket_option.h"

namespace siglane::transport {
namespace {

SctpAssociationOptions unusual() {
  SctpAssociationOptions options;
  options.streams_out = 3;
  options.streams_in_max = 5;
  options.rto_initial = 600ms;
  options.rto_min = 300ms;
  options.rto_max = 4s;
  options.heartbeat_interval = 7s;
  options.association_retransmissions_max = 6;
  options.path_retransmissions_max = 6;
  options.potentially_failed_retransmissions_max = 2;
  options.sack_delay = 40ms;
  options.dscp = 46;
  options.path_mtu_discovery = false;
  options.path_mtu_bytes = 800;
  return options;
}

SctpOptions of_endpoint(const SctpAssociationOptions& options) {
  SctpOptions all;
  static_cast<SctpAssociationOptions&>(all) = options;
  return all;
}

bool wait_readable(int fd, int limit_ms = 5000) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, limit_ms) > 0;
}

// The association that the next COMM_UP on `fd` tells.
notification::AssociationChanged wait_up(int fd) {
  for (int i = 0; i < 10 && wait_readable(fd); ++i) {
    std::array<std::byte, 4096> space;
    std::array<iovec, 1> into{iovec{space.data(), space.size()}};
    const ReceivedPiece piece = receive_piece(fd, into);
    if (!piece.is_notification) continue;
    auto parsed = parse_notification(Bytes(space).first(piece.size));
    const auto* changed =
        parsed ? std::get_if<notification::AssociationChanged>(&*parsed) : nullptr;
    if (changed != nullptr && changed->change == notification::Change::comm_up) return *changed;
  }
  ADD_FAILURE() << "no COMM_UP";
  return {};
}

// Two sockets and their association.
struct Pair {
  explicit Pair(const SctpOptions& options = {}, const std::vector<std::string>& at = {"127.0.0.1"},
                std::uint16_t udp_port = 0)
      : server(open(at, options)), client(open({at.front()}, options)) {
    EXPECT_EQ(listen_on(server.get()), 0);
    std::vector<SocketAddress> peer;
    for (const auto& text : at) {
      peer.push_back(*SocketAddress::parse(text, local_port(server.get())));
    }
    EXPECT_EQ(connect_association(client.get(), peer, udp_port).error, 0);
    accepted = wait_up(server.get());
    connected = wait_up(client.get());
  }
  static FileDescriptor open(const std::vector<std::string>& at, const SctpOptions& options) {
    std::vector<SocketAddress> local;
    for (const auto& text : at) local.push_back(*SocketAddress::parse(text, 0));
    const OpenedSocket opened = open_one_to_many(local, options, false);
    EXPECT_EQ(opened.error, 0) << opened.step << ": " << std::strerror(opened.error);
    return FileDescriptor(opened.fd);
  }
  FileDescriptor peel_client() const {
    return FileDescriptor(
        sctp_peeloff_flags(client.get(), connected.id, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
  void send(int fd, std::size_t size) const {
    Message message;
    message.payload = Buffer::copy_of(std::vector<std::byte>(size));
    EXPECT_EQ(send_message(fd, connected.id, message, {}), 0);
  }

  FileDescriptor server, client;
  notification::AssociationChanged accepted, connected;
};

// What the kernel says of association `id`: one line for each option.
std::string read_back(int fd, SctpId id) {
  std::string text;
  const auto add = [&](const char* name, std::uint64_t value) {
    text += std::string(name) + "=" + std::to_string(value) + " ";
  };
  // The kernel counts in ticks, of 4 ms or so.
  const auto add_time = [&](const char* name, std::uint64_t value) { add(name, value / 10 * 10); };
  sctp_rtoinfo rto{};
  rto.srto_assoc_id = id;
  EXPECT_EQ(get_option(fd, IPPROTO_SCTP, SCTP_RTOINFO, rto), 0);
  add_time("rto_initial", rto.srto_initial);
  add_time("rto_min", rto.srto_min);
  add_time("rto_max", rto.srto_max);
  sctp_paddrparams path{};
  path.spp_assoc_id = id;
  EXPECT_EQ(get_option(fd, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, path), 0);
  add_time("heartbeat", (path.spp_flags & SPP_HB_ENABLE) != 0 ? path.spp_hbinterval : 0);
  add("path_max", path.spp_pathmaxrxt);
  add("dscp", path.spp_dscp >> 2);
  add("fixed_mtu", (path.spp_flags & SPP_PMTUD_DISABLE) != 0 ? path.spp_pathmtu : 0);
  sctp_paddrthlds thresholds{};
  thresholds.spt_assoc_id = id;
  EXPECT_EQ(get_option(fd, IPPROTO_SCTP, SCTP_PEER_ADDR_THLDS, thresholds), 0);
  add("pf", thresholds.spt_pathpfthld);
  sctp_sack_info sack{};
  sack.sack_assoc_id = id;
  EXPECT_EQ(get_option(fd, IPPROTO_SCTP, SCTP_DELAYED_SACK, sack), 0);
  add_time("sack_delay", sack.sack_freq == 1 ? 0 : sack.sack_delay);
  sctp_assocparams association{};
  association.sasoc_assoc_id = id;
  EXPECT_EQ(get_option(fd, IPPROTO_SCTP, SCTP_ASSOCINFO, association), 0);
  add("association_max", association.sasoc_asocmaxrxt);
  return text;
}

constexpr const char* kUnusual =
    "rto_initial=600 rto_min=300 rto_max=4000 heartbeat=7000 path_max=6 dscp=46 fixed_mtu=800 "
    "pf=2 sack_delay=40 association_max=6 ";
constexpr const char* kDefault =
    "rto_initial=500 rto_min=250 rto_max=2000 heartbeat=10000 path_max=4 dscp=0 fixed_mtu=0 "
    "pf=0 sack_delay=100 association_max=8 ";

TEST(SctpOptions, ThoseOfAnEndpointAreThoseOfAllItsAssociations) {
  const Pair pair(of_endpoint(unusual()));
  EXPECT_EQ(read_back(pair.client.get(), pair.connected.id), kUnusual);
  EXPECT_EQ(read_back(pair.server.get(), pair.accepted.id), kUnusual);
  EXPECT_EQ(pair.accepted.streams_out, 3);
  EXPECT_EQ(pair.accepted.streams_in, 3);
}

TEST(SctpOptions, ThoseOfOneAssociationAreItsOwnAndItKeepsThemWhenPeeled) {
  const Pair pair;
  EXPECT_EQ(read_back(pair.client.get(), pair.connected.id), kDefault);
  const OptionOutcome set =
      set_association_options(pair.client.get(), pair.connected.id, unusual());
  ASSERT_EQ(set.error, 0) << set.which;
  EXPECT_EQ(read_back(pair.client.get(), pair.connected.id), kUnusual);
  EXPECT_EQ(read_back(pair.client.get(), 0), kDefault) << "others are not touched";
  const FileDescriptor peeled = pair.peel_client();
  ASSERT_TRUE(peeled.valid());
  EXPECT_EQ(read_back(peeled.get(), pair.connected.id), kUnusual);
  // And it can be told otherwise there.
  ASSERT_EQ(set_association_options(peeled.get(), pair.connected.id, {}).error, 0);
  EXPECT_EQ(read_back(peeled.get(), pair.connected.id), kDefault);
}

TEST(SctpOptions, ZeroTurnsHeartbeatsAndTheDelayOfSacksOff) {
  SctpAssociationOptions off;
  off.heartbeat_interval = 0ms;
  off.sack_delay = 0ms;
  const Pair pair(of_endpoint(off));
  const std::string options = read_back(pair.client.get(), pair.connected.id);
  EXPECT_NE(options.find("heartbeat=0 "), options.npos) << options;
  EXPECT_NE(options.find("sack_delay=0 "), options.npos) << options;
  ASSERT_EQ(set_association_options(pair.client.get(), pair.connected.id, {}).error, 0);
  EXPECT_EQ(read_back(pair.client.get(), pair.connected.id), kDefault) << "and on again";
}

TEST(SctpOptions, AnAssociationLimitBeyondThatOfItsPathsIsRefusedByItsName) {
  const Pair pair({}, {"127.0.0.1", "127.0.0.2"});
  SctpAssociationOptions options;
  options.path_retransmissions_max = 3;
  options.association_retransmissions_max = 7;
  const OptionOutcome set = set_association_options(pair.client.get(), pair.connected.id, options);
  EXPECT_EQ(set.error, EINVAL);
  EXPECT_EQ(set.which, "SCTP_ASSOCINFO");
}

TEST(SctpOptions, WhatInitCarriesCountsForTheNextConnectOnly) {
  const FileDescriptor server = Pair::open({"127.0.0.1"}, {});
  const FileDescriptor client = Pair::open({"127.0.0.1"}, {});
  const FileDescriptor other = Pair::open({"127.0.0.1"}, {});
  ASSERT_EQ(listen_on(server.get()), 0);
  const std::array peer{*SocketAddress::parse("127.0.0.1", local_port(server.get()))};
  ASSERT_EQ(set_init_options(client.get(), unusual()).error, 0);
  ASSERT_EQ(connect_association(client.get(), peer, 0).error, 0);
  EXPECT_EQ(wait_up(client.get()).streams_out, 3);
  ASSERT_EQ(connect_association(other.get(), peer, 0).error, 0);
  EXPECT_EQ(wait_up(other.get()).streams_out, 16);
}

TEST(SctpOptions, WhatAPeeledSocketDoesNotInheritIsCopied) {
  const Pair pair({}, {"::1"});
  const int tos = 0xb8, priority = 5;
  ASSERT_EQ(set_option(pair.client.get(), IPPROTO_IP, IP_TOS, tos), 0);
  ASSERT_EQ(set_option(pair.client.get(), IPPROTO_IPV6, IPV6_TCLASS, tos), 0);
  ASSERT_EQ(set_option(pair.client.get(), SOL_SOCKET, SO_PRIORITY, priority), 0);
  const FileDescriptor peeled = pair.peel_client();
  const auto of_peeled = [&](int level, int option) {
    int value = -1;
    EXPECT_EQ(get_option(peeled.get(), level, option, value), 0);
    return value;
  };
  ASSERT_NE(of_peeled(SOL_SOCKET, SO_PRIORITY), priority) << "nothing to copy, then";
  copy_uninherited(pair.client.get(), peeled.get());
  EXPECT_EQ(of_peeled(IPPROTO_IP, IP_TOS), tos);
  EXPECT_EQ(of_peeled(IPPROTO_IPV6, IPV6_TCLASS), tos);
  EXPECT_EQ(of_peeled(SOL_SOCKET, SO_PRIORITY), priority);
}

// --- On the wire ----------------------------------------------------------------------------

struct Packet {
  bool v6 = false, dont_fragment = false, in_udp = false;
  unsigned dscp = 0;
  unsigned chunk_size = 0;
  std::uint16_t udp_port = 0;  // where it goes
};

// Packets with a DATA chunk from SCTP port `from` that cross the loopback.
class Wire {
 public:
  Wire() : fd_(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    sockaddr_ll loopback{};
    loopback.sll_family = AF_PACKET;
    loopback.sll_protocol = htons(ETH_P_ALL);
    loopback.sll_ifindex = static_cast<int>(if_nametoindex("lo"));
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback), 0)
        << std::strerror(errno);
  }
  // Until one satisfies `enough`.
  std::vector<Packet> data_from(std::uint16_t from,
                                const std::function<bool(const std::vector<Packet>&)>& enough) {
    std::vector<Packet> packets;
    while (!enough(packets) && wait_readable(fd_.get())) {
      std::array<std::uint8_t, 66'000> space;
      const auto got = recv(fd_.get(), space.data(), space.size(), 0);
      if (got < 60) continue;
      if (auto packet = parse(space.data(), from)) {
        packets.push_back(*packet);
      }
    }
    EXPECT_TRUE(enough(packets)) << packets.size() << " packets";
    return packets;
  }
  Packet one_from(std::uint16_t from) {
    return data_from(from, [](const auto& packets) { return !packets.empty(); }).front();
  }

 private:
  static unsigned u16(const std::uint8_t* at) { return at[0] * 256u + at[1]; }

  static std::optional<Packet> parse(const std::uint8_t* at, std::uint16_t from) {
    Packet packet;
    packet.v6 = at[0] >> 4 == 6;
    unsigned traffic_class = at[1], next = at[9];
    std::size_t header = (at[0] & 15u) * 4;
    if (packet.v6) {
      traffic_class = (at[0] & 15u) << 4 | at[1] >> 4;
      next = at[6];
      header = 40;
    } else {
      packet.dont_fragment = (at[6] & 0x40) != 0;
    }
    packet.dscp = traffic_class >> 2;
    const std::uint8_t* sctp = at + header;
    if (next == IPPROTO_UDP) {
      packet.in_udp = true;
      packet.udp_port = static_cast<std::uint16_t>(u16(sctp + 2));
      sctp += 8;
    } else if (next != IPPROTO_SCTP) {
      return std::nullopt;
    }
    constexpr unsigned kCommonHeader = 12, kData = 0;
    if (u16(sctp) != from || sctp[kCommonHeader] != kData) return std::nullopt;
    packet.chunk_size = u16(sctp + kCommonHeader + 2);
    return packet;
  }

  FileDescriptor fd_;
};

TEST(SctpOptionsOnTheWire, TheDscpIsInIpv4AndIpv6PacketsAlsoAfterAPeel) {
  for (const char* at : {"127.0.0.1", "::1"}) {
    SCOPED_TRACE(at);
    Wire wire;
    SctpAssociationOptions options;
    options.dscp = 10;
    const Pair pair(of_endpoint(options), {at});
    const std::uint16_t port = local_port(pair.client.get());
    pair.send(pair.client.get(), 100);
    EXPECT_EQ(wire.one_from(port).dscp, 10u);

    options.dscp = 46;
    ASSERT_EQ(set_association_options(pair.client.get(), pair.connected.id, options).error, 0);
    const FileDescriptor peeled = pair.peel_client();
    pair.send(peeled.get(), 100);
    const auto marked = wire.data_from(
        port, [](const auto& packets) { return !packets.empty() && packets.back().dscp == 46; });
    EXPECT_EQ(marked.back().v6, std::string_view(at) == "::1");
  }
}

TEST(SctpOptionsOnTheWire, WithoutDiscoveryTheyFitThePathMtuAndMayBeFragmented) {
  Wire wire;
  const auto sent = [&](const SctpAssociationOptions& options) {
    const Pair pair(of_endpoint(options));
    pair.send(pair.client.get(), 2000);
    return wire.one_from(local_port(pair.client.get()));
  };
  SctpAssociationOptions fixed;
  fixed.path_mtu_discovery = false;
  fixed.path_mtu_bytes = 600;
  const Packet packet = sent(fixed);
  EXPECT_FALSE(packet.dont_fragment);
  EXPECT_LE(packet.chunk_size, 600u - 20 - 12);
  EXPECT_GE(packet.chunk_size, 500u);
  const Packet discovering = sent({});
  EXPECT_TRUE(discovering.dont_fragment);
  EXPECT_GT(discovering.chunk_size, 2000u) << "the loopback takes 65536 bytes";
}

TEST(SctpOptionsOnTheWire, AnEncapsulatedAssociationStaysSoAfterAPeel) {
  constexpr std::uint16_t kPort = 9899;
  EXPECT_EQ(udp_encapsulation_port(), 0);
  std::ofstream("/proc/sys/net/sctp/udp_port") << kPort << std::flush;
  ASSERT_EQ(udp_encapsulation_port(), kPort);
  {
    Wire wire;
    const Pair pair({}, {"127.0.0.1"}, kPort);
    const std::uint16_t port = local_port(pair.client.get());
    const FileDescriptor peeled = pair.peel_client();
    pair.send(peeled.get(), 100);
    const Packet packet = wire.one_from(port);
    EXPECT_TRUE(packet.in_udp);
    EXPECT_EQ(packet.udp_port, kPort);

    const Pair plain;
    plain.send(plain.client.get(), 100);
    EXPECT_FALSE(wire.one_from(local_port(plain.client.get())).in_udp) << "as its peer has no port";
  }
  std::ofstream("/proc/sys/net/sctp/udp_port") << 0 << std::flush;
}

}  // namespace
}  // namespace siglane::transport
