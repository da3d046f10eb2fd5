#pragma once
#include <mutex>
#include <optional>
#include <string>

namespace siglane::transport {

// How many descriptors this process may still open; nullopt: there is no limit, or nobody can tell.
std::optional<std::size_t> descriptors_left();

// Keeps a peel from ever meeting EMFILE or ENFILE: Linux migrates the association first and looks
// for a descriptor second, so that these errors kill the association, silently. A spare descriptor
// is held open; it is given up right before a peel, which gets its place, and taken again after.
//
// On Linux the lowest free number is what any call gets, so whether one is left below RLIMIT_NOFILE
// (read each time: it may change) is tried, not counted. `margin`: numbers that must stay free for
// other threads, which may open descriptors between our look and the kernel's. Peels of several
// threads go one after another.
class DescriptorReserve {
 public:
  explicit DescriptorReserve(unsigned margin = 32);
  ~DescriptorReserve();
  DescriptorReserve(const DescriptorReserve&) = delete;
  DescriptorReserve& operator=(const DescriptorReserve&) = delete;

  // nullopt: the spare is closed, peel now and call restore(), on this thread. Otherwise why not,
  // in words for an operator, and nothing has changed.
  std::optional<std::string> give_up_spare();
  void restore();

 private:
  std::optional<std::string> why_starved();

  unsigned margin_;
  std::unique_lock<std::mutex> peeling_;
  int spare_ = -1;
};

}  // namespace siglane::transport
