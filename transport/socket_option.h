#pragma once
#include <cerrno>
#include <string_view>

#include <sys/socket.h>

namespace siglane::transport {

// setsockopt(2), getsockopt(2) of one value: 0, or the errno value.
template <class T>
int set_option(int fd, int level, int option, const T& value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : errno;
}

template <class T>
int get_option(int fd, int level, int option, T& value) {
  socklen_t size = sizeof value;
  return getsockopt(fd, level, option, &value, &size) == 0 ? 0 : errno;
}

// Of several options set one after another.
struct OptionOutcome {
  int error = 0;           // errno; 0: all is set
  std::string_view which;  // the option that failed; those before it are set
};

}  // namespace siglane::transport
