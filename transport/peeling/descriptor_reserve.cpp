#include "transport/peeling/descriptor_reserve.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace siglane::transport {
namespace {

// Takes the lowest free number and, like a socket, an entry of the system's file table.
int open_something() {
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

std::mutex& of_the_process() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

std::optional<std::size_t> descriptors_left() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
  const int probe = open_something();
  if (probe < 0) return errno == EMFILE ? std::optional<std::size_t>(0) : std::nullopt;
  close(probe);
  const auto next = static_cast<rlim_t>(probe);
  return next < limit.rlim_cur ? static_cast<std::size_t>(limit.rlim_cur - next) : 0;
}

DescriptorReserve::DescriptorReserve(unsigned margin) : margin_(margin) {
  restore();
}

DescriptorReserve::~DescriptorReserve() {
  if (spare_ >= 0) close(spare_);
}

std::optional<std::string> DescriptorReserve::why_starved() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::string(std::strerror(errno));
  const int probe = open_something();
  if (probe < 0) {
    return std::string("no descriptor left (") + std::strerror(errno) + "; RLIMIT_NOFILE is " +
           std::to_string(limit.rlim_cur) + ")";
  }
  close(probe);
  if (limit.rlim_cur != RLIM_INFINITY && static_cast<rlim_t>(probe) + margin_ >= limit.rlim_cur) {
    return "fewer than " + std::to_string(margin_) + " descriptors left of RLIMIT_NOFILE " +
           std::to_string(limit.rlim_cur) + ": raise it (ulimit -n, LimitNOFILE=)";
  }
  return std::nullopt;
}

std::optional<std::string> DescriptorReserve::give_up_spare() {
  std::unique_lock lock(of_the_process());
  if (auto why = why_starved()) return why;
  peeling_ = std::move(lock);
  if (spare_ >= 0) close(spare_);
  spare_ = -1;
  return std::nullopt;
}

void DescriptorReserve::restore() {
  if (spare_ < 0) spare_ = open_something();
  if (peeling_) peeling_.unlock();
}

}  // namespace siglane::transport
