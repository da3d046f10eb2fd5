#pragma once
#include <cstdint>
#include <fstream>
#include <stdexcept>

#include "transport/sctp_socket.h"

namespace siglane::test {

// As long as it lives, the kernel's SCTP of our network namespace is to be had in UDP, too. Throws,
// and ends the process at its own end, if the kernel does not take the port.
class UdpEncapsulation {
 public:
  static constexpr std::uint16_t kPort = 9899;

  UdpEncapsulation() { set(kPort); }
  ~UdpEncapsulation() { set(0); }
  UdpEncapsulation(const UdpEncapsulation&) = delete;
  UdpEncapsulation& operator=(const UdpEncapsulation&) = delete;

 private:
  static void set(std::uint16_t port) {
    std::ofstream("/proc/sys/net/sctp/udp_port") << port << std::flush;
    if (transport::udp_encapsulation_port() != port) {
      throw std::runtime_error("the kernel did not take net.sctp.udp_port");
    }
  }
};

}  // namespace siglane::test
