#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "transport/file_descriptor.h"

namespace siglane::kernel_test {

enum class Side { left, right };

// Addresses of one link, with their prefix: "192.0.2.1/30".
struct Link {
  std::string left, right;
};

// Two hosts, each a network namespace, joined by links, each a veth pair. Gone with this.
class TwoHosts {
 public:
  explicit TwoHosts(std::vector<Link> links);
  ~TwoHosts();
  TwoHosts(const TwoHosts&) = delete;
  TwoHosts& operator=(const TwoHosts&) = delete;

  // As long as it lives, sockets are made in that host. They stay there.
  class Inside {
   public:
    explicit Inside(const std::string& host);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    transport::FileDescriptor home_;
  };
  Inside inside(Side side) const { return Inside(name(side)); }

  // The addresses of a host, without prefix, by link.
  std::vector<std::string> addresses(Side side) const;

  // netem(8) on what `side` sends by link `n`: "loss 100%", "delay 30ms"; "" for nothing any more.
  void disturb(Side side, std::size_t n, const std::string& netem);
  void cut(std::size_t n);
  void mend(std::size_t n);
  void set_up(std::size_t n, bool up);

  // Bytes that `side` has sent by link `n`.
  std::uint64_t sent_by(Side side, std::size_t n) const;

 private:
  void wait_until_it_carries(std::size_t n) const;
  std::string name(Side side) const { return (side == Side::left ? "left" : "right") + suffix_; }
  static std::string device(Side side, std::size_t n) {
    return (side == Side::left ? "l" : "r") + std::to_string(n);
  }
  std::string suffix_;
  std::vector<Link> links_;
};

}  // namespace siglane::kernel_test
