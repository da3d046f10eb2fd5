#include "apps/runtime/admin_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <list>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "transport/port_holder.h"

namespace siglane::runtime {

namespace {

uv_stream_t* stream_of(uv_pipe_t& pipe) {
  return reinterpret_cast<uv_stream_t*>(&pipe);
}
uv_handle_t* handle_of(uv_pipe_t& pipe) {
  return reinterpret_cast<uv_handle_t*>(&pipe);
}

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

admin::Response error_response(std::uint64_t id, admin::Error::Code code, std::string text) {
  admin::Response response;
  response.set_id(id);
  response.mutable_error()->set_code(code);
  response.mutable_error()->set_text(std::move(text));
  return response;
}

}  // namespace

// What libuv's callbacks point to.
struct AdminServer::State {
  // One connection; dies in its close callback. `server` is null once that is on its way.
  struct Client {
    Client(State* server_, std::size_t request_bytes_max)
        : server(server_), frames(request_bytes_max) {}

    void read();
    void on_read(ssize_t size);
    void answer_what_waits();
    void send(const admin::Response& response) { send(admin_frame(response)); }
    void send(std::string frame);
    void encode_and_send(admin::Response response);
    void close();

    State* server;
    std::list<Client*>::iterator at{};  // among the server's
    uv_pipe_t pipe{};
    uv_write_t write{};
    AdminFrames frames;
    std::string answer;      // under way, unless empty
    bool last_word = false;  // close after it
    bool reading = false;    // to start it twice is an error to libuv
    std::shared_ptr<int> alive = std::make_shared<int>(0);  // for answers that come late
  };

  State(AdminServerLimits limits_, Handler handler_, Beside beside_)
      : limits(limits_), handler(std::move(handler_)), beside(std::move(beside_)) {}
  ~State();

  Result<void> listen(uv_loop_t* loop, const std::string& path);
  void accept_one();
  bool make_room();

  AdminServerLimits limits;
  Handler handler;
  Beside beside;
  uv_pipe_t* listener = nullptr;
  std::list<Client*> clients;  // who has asked nothing for the longest time is the first
  std::array<char, 16384> read_space{};
};

AdminServer::State::~State() {
  while (!clients.empty()) clients.front()->close();
  if (listener == nullptr) return;
  listener->data = nullptr;
  // libuv removes the socket file here.
  uv_close(handle_of(*listener),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_pipe_t*>(handle); });
}

Result<void> AdminServer::State::listen(uv_loop_t* loop, const std::string& path) {
  auto pipe = std::make_unique<uv_pipe_t>();
  if (const int error = uv_pipe_init(loop, pipe.get(), 0); error != 0) {
    return failure(cannot(path, uv_strerror(error)));
  }
  listener = pipe.release();
  listener->data = this;
  int error = uv_pipe_bind(listener, path.c_str());
  // Before listen() nobody can connect, so nobody gets in before the mode is right.
  if (error == 0 && chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) error = -errno;
  if (error == 0) {
    constexpr int kBacklog = 16;
    error = uv_listen(stream_of(*listener), kBacklog, [](uv_stream_t* stream, int status) {
      auto* self = static_cast<State*>(stream->data);
      if (self != nullptr && status == 0) self->accept_one();
    });
  }
  return error == 0 ? Result<void>() : failure(cannot(path, uv_strerror(error)));
}

void AdminServer::State::accept_one() {
  auto client = std::make_unique<Client>(this, limits.request_bytes_max);
  if (uv_pipe_init(listener->loop, &client->pipe, 0) != 0) return;
  client->pipe.data = client.get();
  Client& added = *client.release();  // from here on libuv's close callback frees it
  const bool room = clients.size() < limits.clients_max || make_room();
  added.at = clients.insert(clients.end(), &added);
  if (uv_accept(stream_of(*listener), stream_of(added.pipe)) != 0) return added.close();
  if (!room) {
    added.last_word = true;
    return added.send(error_response(0, admin::Error::TOO_MANY_CLIENTS,
                                     fmt::format("{} clients are connected", clients.size() - 1)));
  }
  added.read();
}

// Somebody who only keeps his connection must not keep an operator out.
bool AdminServer::State::make_room() {
  const auto idle =
      std::find_if(clients.begin(), clients.end(), [](Client* client) { return client->reading; });
  if (idle == clients.end()) return false;
  (*idle)->close();
  return true;
}

void AdminServer::State::Client::read() {
  if (std::exchange(reading, true)) return;
  const int error = uv_read_start(
      stream_of(pipe),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto* self = static_cast<Client*>(handle->data);
        if (self->server == nullptr) {
          *buffer = uv_buf_init(nullptr, 0);
          return;
        }
        auto& space = self->server->read_space;
        *buffer = uv_buf_init(space.data(), static_cast<unsigned>(space.size()));
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t*) {
        auto* self = static_cast<Client*>(stream->data);
        if (self->server != nullptr) self->on_read(size);
      });
  if (error != 0) close();
}

void AdminServer::State::Client::on_read(ssize_t size) {
  if (size < 0) return close();  // the client has gone
  frames.append(as_bytes({server->read_space.data(), static_cast<std::size_t>(size)}));
  answer_what_waits();
}

void AdminServer::State::Client::answer_what_waits() {
  std::string message;
  switch (frames.next(message)) {
    case AdminFrames::Next::more:
      return read();
    case AdminFrames::Next::too_large:
      last_word = true;
      return send(error_response(
          0, admin::Error::TOO_LARGE,
          fmt::format("a request may have {} bytes", server->limits.request_bytes_max)));
    case AdminFrames::Next::message:
      break;
  }
  admin::Request request;
  if (!request.ParseFromString(message)) {
    last_word = true;
    return send(error_response(0, admin::Error::MALFORMED, "this is no Request"));
  }
  uv_read_stop(stream_of(pipe));
  reading = false;
  server->clients.splice(server->clients.end(), server->clients, at);
  server->handler(
      request, [this, alive = std::weak_ptr(alive), id = request.id()](admin::Response response) {
        if (alive.expired() || server == nullptr) return;
        response.set_id(id);
        encode_and_send(std::move(response));
      });
}

// Elsewhere the response ends too, which takes as long.
void AdminServer::State::Client::encode_and_send(admin::Response response) {
  struct Encoding {
    admin::Response response;
    std::string frame;
  };
  const auto encoding = std::make_shared<Encoding>(Encoding{std::move(response), {}});
  server->beside(
      [encoding] {
        encoding->frame = admin_frame(encoding->response);
        encoding->response = {};
      },
      [this, alive = std::weak_ptr(alive), encoding] {
        if (!alive.expired() && server != nullptr) send(std::move(encoding->frame));
      });
}

void AdminServer::State::Client::send(std::string frame) {
  uv_read_stop(stream_of(pipe));
  reading = false;
  answer = std::move(frame);
  write.data = this;
  const uv_buf_t buffer = uv_buf_init(answer.data(), static_cast<unsigned>(answer.size()));
  const int error =
      uv_write(&write, stream_of(pipe), &buffer, 1, [](uv_write_t* written, int status) {
        auto* self = static_cast<Client*>(written->data);
        if (self->server == nullptr) return;  // closing
        if (status != 0 || self->last_word) return self->close();
        self->answer_what_waits();
      });
  if (error != 0) close();
}

void AdminServer::State::Client::close() {
  if (server == nullptr) return;
  server->clients.erase(at);
  server = nullptr;
  uv_close(handle_of(pipe), [](uv_handle_t* handle) { delete static_cast<Client*>(handle->data); });
}

Result<std::unique_ptr<AdminServer>> AdminServer::create(uv_loop_t* loop, const std::string& path,
                                                         AdminServerLimits limits, Handler handler,
                                                         Beside beside) {
  if (auto clear = clear_the_way(path); !clear) return tl::unexpected(clear.error());
  std::signal(SIGPIPE, SIG_IGN);
  auto state = std::make_unique<State>(limits, std::move(handler), std::move(beside));
  if (auto good = state->listen(loop, path); !good) return tl::unexpected(good.error());
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(state)));
}

void AdminServer::at_once(const std::function<void()>& work, const std::function<void()>& then) {
  work();
  then();
}

AdminServer::AdminServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
AdminServer::~AdminServer() = default;
std::size_t AdminServer::clients() const {
  return state_->clients.size();
}

}  // namespace siglane::runtime
