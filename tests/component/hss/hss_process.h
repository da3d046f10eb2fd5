#pragma once
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/paths.h"

extern char** environ;

namespace siglane::hss {

// siglane-hss as a process, with the config hss.json of a directory.
class HssProcess {
 public:
  explicit HssProcess(const std::filesystem::path& directory) : log_(directory / "log") {
    const std::string program = test::binary_dir() + "/bin/siglane-hss";
    const std::string config = directory / "hss.json";
    std::vector<std::string> words = {program, "--config", config, "--admin-socket", ""};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    for (int fd : {1, 2}) {
      posix_spawn_file_actions_addopen(&files, fd, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                       0600);
    }
    if (posix_spawn(&pid_, program.c_str(), &files, nullptr, argv.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&files);
  }
  ~HssProcess() { kill(); }
  HssProcess(const HssProcess&) = delete;
  HssProcess& operator=(const HssProcess&) = delete;

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  bool ended() {
    if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    return pid_ <= 0;
  }
  // Memory in use, and the most that ever was.
  std::size_t resident_kib() const { return status_kib("VmRSS:"); }
  std::size_t most_resident_kib() const { return status_kib("VmHWM:"); }
  std::string log() const {
    std::ostringstream text;
    text << std::ifstream(log_).rdbuf();
    return text.str();
  }

 private:
  std::size_t status_kib(const std::string& key) const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string word; status >> word;) {
      std::size_t value = 0;
      if (word == key && status >> value) return value;
    }
    return 0;
  }

  std::filesystem::path log_;
  pid_t pid_ = -1;
};

// A port that was free a moment ago.
inline std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof here;
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&here), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size) == 0;
  ::close(fd);
  return bound ? ntohs(here.sin_port) : 0;
}

}  // namespace siglane::hss
