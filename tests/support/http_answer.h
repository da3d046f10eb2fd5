#pragma once
#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace siglane::testing {

inline std::string http_answer(std::string_view body, std::string_view status = "200 OK") {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

// A Unix socket on which every request gets what `answer` says, byte for byte, one client at a
// time; an empty one hangs up. On a thread of its own.
class AnsweringSocket {
 public:
  using Answer = std::function<std::string(const std::string& request)>;

  AnsweringSocket(const std::string& path, Answer answer)
      : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), answer_(std::move(answer)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 4), 0);
    thread_ = std::thread([this] {
      for (int client = 0; (client = accept(fd_, nullptr, nullptr)) >= 0;) {
        client_ = client;
        while (serve_one(client)) continue;
        client_ = -1;
        close(client);
      }
    });
  }
  ~AnsweringSocket() {
    shutdown(fd_, SHUT_RDWR);
    hang_up();
    thread_.join();
    close(fd_);
  }
  // On whoever is connected.
  void hang_up() { shutdown(client_, SHUT_RDWR); }
  AnsweringSocket(const AnsweringSocket&) = delete;
  AnsweringSocket& operator=(const AnsweringSocket&) = delete;

 private:
  bool serve_one(int client) const {
    std::string request;
    while (request.find("\r\n\r\n") == std::string::npos) {
      char space[4096];
      const ssize_t n = recv(client, space, sizeof space, 0);
      if (n <= 0) return false;
      request.append(space, static_cast<std::size_t>(n));
    }
    const std::string answer = answer_(request);
    return !answer.empty() && send(client, answer.data(), answer.size(), MSG_NOSIGNAL) ==
                                  static_cast<ssize_t>(answer.size());
  }

  int fd_;
  Answer answer_;
  std::atomic<int> client_ = -1;
  std::thread thread_;
};

}  // namespace siglane::testing
