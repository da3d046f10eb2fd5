#pragma once
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

#include "transport/sctp/kernel/socket.h"

namespace siglane::test {

// As long as it lives, the kernel's SCTP of our network namespace is to be had in UDP, too, and
// makes no packets that the interface would have to split: on loopback, those of Linux 6.1 have no
// checksum or end in a panic (docs/transport.md). Throws, and ends the process at its own end, if
// the kernel does not take the port.
class UdpEncapsulation {
 public:
  static constexpr std::uint16_t kPort = 9899;

  UdpEncapsulation() {
    split_up_to(1400);
    set(kPort);
  }
  ~UdpEncapsulation() {
    set(0);
    split_up_to(65536);
  }
  UdpEncapsulation(const UdpEncapsulation&) = delete;
  UdpEncapsulation& operator=(const UdpEncapsulation&) = delete;

 private:
  static void split_up_to(int bytes) {
    const std::string command = "ip link set dev lo gso_max_size " + std::to_string(bytes);
    if (std::system(command.c_str()) != 0) throw std::runtime_error("not done: " + command);
  }
  static void set(std::uint16_t port) {
    std::ofstream("/proc/sys/net/sctp/udp_port") << port << std::flush;
    if (transport::udp_encapsulation_port() != port) {
      throw std::runtime_error("the kernel did not take net.sctp.udp_port");
    }
  }
};

}  // namespace siglane::test
