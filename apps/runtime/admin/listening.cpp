#include "apps/runtime/admin/listening.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "apps/runtime/printable.h"
#include "transport/port_holder.h"

namespace siglane::runtime {
namespace {

constexpr int kBacklog = 128;

// Closed, unless taken.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int take() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::string cannot(const std::string& path, std::string_view why) {
  return fmt::format("the admin socket {} cannot be opened: {}", path, why);
}

enum class Presence { no_file, nobody, somebody };
struct Found {
  Presence presence{};
  std::string who = {};  // of somebody, where that can be found out
};

std::string listener_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  // Of the process that called listen(2) (unix(7)); 0: of another PID namespace.
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return {};
  return fmt::format(" ({}, process {})", transport::program_name(peer.pid), peer.pid);
}

// Who is at the other end of a socket file.
Result<Found> knock(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failure(cannot(path, strerror(errno)));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = result == 0 ? 0 : errno;
  const std::string who = error == 0 ? listener_of(fd) : std::string();
  close(fd);
  if (error == ENOENT) return Found{Presence::no_file};
  if (error == ECONNREFUSED) return Found{Presence::nobody};
  if (error == 0 || error == EAGAIN) return Found{Presence::somebody, who};
  return failure(cannot(path, strerror(error)));
}

Result<void> clear_the_way(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return failure(cannot(
        path, fmt::format("the path is longer than {} bytes", sizeof(sockaddr_un::sun_path) - 1)));
  }
  std::error_code error;
  const auto parent = std::filesystem::absolute(path, error).parent_path();
  if (!std::filesystem::is_directory(parent, error)) {
    return failure(cannot(path, fmt::format("there is no directory {}", parent.string())));
  }
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) return failure(cannot(path, "a file is there, and not a socket"));
  const auto found = knock(path);
  if (!found) return tl::unexpected(found.error());
  if (found->presence == Presence::somebody) {
    return failure(cannot(path, "another node answers there" + found->who));
  }
  if (found->presence == Presence::nobody && unlink(path.c_str()) != 0) {
    return failure(cannot(path, strerror(errno)));
  }
  return {};
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

}  // namespace

Result<int> listen_at(const std::string& path, std::optional<gid_t> group) {
  if (auto clear = clear_the_way(path); !clear) return tl::unexpected(clear.error());
  Descriptor made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_un address = address_of(path);
  if (made.get() < 0 ||
      bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failure(cannot(path, strerror(errno)));
  }
  // Before listen() nobody can connect, so nobody gets in before the mode is right.
  const mode_t mode = S_IRUSR | S_IWUSR | (group ? S_IRGRP | S_IWGRP : 0);
  const bool good = (!group || chown(path.c_str(), static_cast<uid_t>(-1), *group) == 0) &&
                    chmod(path.c_str(), mode) == 0 && listen(made.get(), kBacklog) == 0;
  if (!good) {
    const int error = errno;
    unlink(path.c_str());
    if (group && error == EPERM) {
      return failure(cannot(path, "admin.group: the node's user is no member of that group"));
    }
    return failure(cannot(path, strerror(error)));
  }
  return made.take();
}

Result<int> listen_on(const transport::SocketAddress& address) {
  const auto complain = [&address] {
    const std::string who =
        errno == EADDRINUSE ? transport::in_use_by(transport::PortProtocol::tcp, address) : "";
    return failure(fmt::format("admin.http cannot listen on {}: {}{}", address.text_with_port(),
                               strerror(errno), who));
  };
  Descriptor made(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  if (made.get() < 0 || setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(made.get(), address.raw(), address.size()) != 0 || listen(made.get(), kBacklog) != 0) {
    return complain();
  }
  return made.take();
}

Result<gid_t> group_called(const std::string& name) {
  std::array<char, 16384> space{};
  group entry{};
  group* found = nullptr;
  const int error = getgrnam_r(name.c_str(), &entry, space.data(), space.size(), &found);
  if (found != nullptr) return found->gr_gid;
  return failure(error != 0 ? fmt::format("group {}: {}", in_quotes(name), strerror(error))
                            : fmt::format("there is no group {}", in_quotes(name)));
}

}  // namespace siglane::runtime
