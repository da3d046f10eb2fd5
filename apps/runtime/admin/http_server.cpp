#include "apps/runtime/admin/http_server.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <list>
#include <optional>
#include <set>
#include <utility>

#include <microhttpd.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/runtime/admin/problem.h"
#include "transport/address.h"
#include "transport/file_descriptor.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {
namespace {

class Exchange;

// One client's, for all its requests.
struct Connection {
  int fd = -1;
  HttpClient client;
  Instant since{};               // its last request ended, or the one at hand was whole
  Exchange* exchange = nullptr;  // that is being answered
  bool is_leaving = false;       // it has lost its place, or never had one
  std::list<Connection>::iterator at{};
};

// Of a suspended connection libmicrohttpd does not notice it.
bool has_left(int fd) {
  pollfd looked_at{fd, POLLRDHUP, 0};
  return ::poll(&looked_at, 1, 0) == 1;
}

HttpClient client_of(int fd) {
  HttpClient client;
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return client;
  if (storage.ss_family != AF_UNIX) {
    client.address = transport::SocketAddress::from(storage).text_with_port();
    return client;
  }
  ucred peer{};
  size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return client;
  client.is_local = true;
  client.uid = peer.uid;
  client.pid = peer.pid;
  return client;
}

MHD_Result add_header(void* headers, MHD_ValueKind, const char* name, std::size_t name_size,
                      const char* value, std::size_t value_size) {
  std::string lower(name, name_size);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static_cast<HttpHeaders*>(headers)->emplace_back(
      std::move(lower), std::string(value == nullptr ? "" : value, value_size));
  return MHD_YES;
}

// What libmicrohttpd calls between the request line and the end of the answer.
class Exchange final : public HttpExchange, public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(MHD_Connection* mhd, std::string target, transport::Soon& run_server)
      : mhd_(mhd), run_server_(&run_server) {
    request_.target = std::move(target);
  }

  const HttpRequest& request() const override { return request_; }
  bool is_open() const override { return mhd_ != nullptr; }
  bool is_drained() const override { return written_.empty(); }

  void answer(HttpAnswer answer) override {
    answer_with(std::make_shared<const HttpAnswer>(std::move(answer)));
  }
  void answer_with(std::shared_ptr<const HttpAnswer> answer) override {
    if (answer_ != nullptr || mhd_ == nullptr) return;
    answer_ = std::move(answer);
    answered_at_ = transport::Loop::fresh_now();
    otherwise_.reset();
    resume();
  }
  void answer_within(Duration time, HttpAnswer otherwise) override {
    if (answer_ != nullptr) return;
    answer_by_ = transport::Loop::fresh_now() + time;
    otherwise_ = std::move(otherwise);
  }
  void begin_stream(HttpAnswer head) override {
    if (answer_ != nullptr) return;
    is_stream_ = true;
    answer(std::move(head));
  }
  void write(std::string_view text) override {
    if (mhd_ == nullptr) return;
    written_ += text;
    resume();
  }

  void take_head(const char* method, const Connection& from) {
    request_.method = method;
    request_.client = from.client;
    MHD_get_connection_values_n(mhd_, MHD_HEADER_KIND, add_header, &request_.headers);
    has_head_ = true;
  }
  bool has_head() const { return has_head_; }
  bool is_handled() const { return is_handled_; }
  bool is_stream() const { return is_stream_; }
  const HttpAnswer* answered() const { return answer_.get(); }
  Instant answered_at() const { return answered_at_; }
  void give_up_waiting(Instant now) {
    if (otherwise_ && now >= answer_by_) answer(std::exchange(otherwise_, std::nullopt).value());
  }
  void take_body(std::string_view bytes, std::size_t bytes_max) {
    is_too_large_ = is_too_large_ || request_.body.size() + bytes.size() > bytes_max;
    if (!is_too_large_) request_.body += bytes;
  }
  void handle(const HttpServer::Handler& handler, bool is_refused, bool has_room) {
    is_handled_ = true;
    if (is_refused) {
      return refuse(503, "too many clients are connected; try again later");
    }
    if (!has_room) {
      return refuse(503, "clients read too many large answers now; try again later");
    }
    if (is_too_large_) {
      return refuse(413, "the body is too large for any request");
    }
    handler(shared_from_this());
  }
  // The answer, if there is one by now; else the client waits without work for anybody.
  MHD_Result go_on() {
    if (answer_ == nullptr) {
      suspend();
      return MHD_YES;
    }
    MHD_Response* response =
        is_stream_
            ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, kStreamBlock, read, this, nullptr)
            // It lives as long as this, which is as long as it is sent.
            : MHD_create_response_from_buffer(answer_->body.size(),
                                              const_cast<char*>(answer_->body.data()),
                                              MHD_RESPMEM_PERSISTENT);
    if (response == nullptr) return MHD_NO;
    if (!answer_->content_type.empty()) {
      MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                              answer_->content_type.c_str());
    }
    for (const auto& [name, value] : answer_->headers) {
      MHD_add_response_header(response, name.c_str(), value.c_str());
    }
    const MHD_Result queued = MHD_queue_response(mhd_, answer_->status, response);
    MHD_destroy_response(response);
    return queued;
  }
  void resume() {
    if (!std::exchange(is_suspended_, false)) return;
    MHD_resume_connection(mhd_);
    run_server_->schedule();  // else it would wait for the next thing to happen on any connection
  }
  void end_stream() {
    is_ended_ = true;
    resume();
  }
  // The connection ends, or the request does.
  void leave() {
    mhd_ = nullptr;
    is_suspended_ = false;
    written_.clear();
  }

  std::list<std::shared_ptr<Exchange>>::iterator at{};  // among the server's

 private:
  static constexpr std::size_t kStreamBlock = 16 << 10;

  static ssize_t read(void* exchange, std::uint64_t, char* into, std::size_t size) {
    auto& self = *static_cast<Exchange*>(exchange);
    if (self.is_ended_) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (self.written_.empty()) {
      self.suspend();
      return 0;
    }
    const std::size_t taken = std::min(size, self.written_.size());
    self.written_.copy(into, taken);
    self.written_.erase(0, taken);
    return static_cast<ssize_t>(taken);
  }
  void suspend() {
    is_suspended_ = true;
    MHD_suspend_connection(mhd_);
  }
  void refuse(unsigned status, std::string detail) {
    answer(problem_answer({status, std::move(detail), {{"Connection", "close"}}}));
  }

  MHD_Connection* mhd_;  // null: the request is over, and so may the server be
  transport::Soon* run_server_;
  HttpRequest request_;
  bool has_head_ = false, is_too_large_ = false, is_handled_ = false, is_suspended_ = false;
  std::shared_ptr<const HttpAnswer> answer_;
  std::optional<HttpAnswer> otherwise_;
  Instant answer_by_{}, answered_at_{};
  bool is_stream_ = false, is_ended_ = false;
  std::string written_;  // and not taken yet
};

}  // namespace

std::string HttpClient::owner() const {
  return is_local ? "user " + std::to_string(uid) : address.substr(0, address.rfind(':'));
}

const std::string* HttpRequest::header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
  return found == headers.end() ? nullptr : &found->second;
}

struct HttpServer::State {
  State(transport::Loop& loop_, int listening_socket, const HttpLimits& limits_, Handler handler_)
      : loop(loop_),
        listener(listening_socket),
        limits(limits_),
        handler(std::move(handler_)),
        due(loop.timer([this] { run(); })),
        soon(loop.soon([this] { run(); })),
        tidying(loop.timer([this] { tidy(); })) {}
  ~State();

  Result<void> start(const HttpTls* tls);
  void run();
  void accept_some();
  void tidy();
  void on_connected(MHD_Connection* mhd, void** context);
  void make_room_for(Connection& newcomer);
  MHD_Result on_request(MHD_Connection* mhd, const char* method, std::string_view body,
                        Exchange& exchange);
  bool has_room_for_answers() const;

  // libmicrohttpd's callbacks; `state` is this, and a request's context is its Exchange.
  static void notify_connection(void* state, MHD_Connection* mhd, void** context,
                                MHD_ConnectionNotificationCode code);
  static void* begin_request(void* state, const char* target, MHD_Connection* mhd);
  static MHD_Result take_request(void* state, MHD_Connection* mhd, const char* url,
                                 const char* method, const char* version, const char* body,
                                 std::size_t* body_size, void** context);
  static void end_request(void* state, MHD_Connection* mhd, void** context,
                          MHD_RequestTerminationCode code);

  transport::Loop& loop;
  transport::FileDescriptor listener;
  const HttpLimits limits;
  Handler handler;
  MHD_Daemon* daemon = nullptr;
  std::optional<transport::Poll> newcomers, poll;
  transport::Timer due;      // libmicrohttpd's own wish to run
  transport::Soon soon;      // a client has been given more, or has come
  transport::Timer tidying;  // once a second, as long as there is anything to look after
  bool accepts = true;       // else there was no descriptor; tidy() tries again
  std::list<Connection> connections;
  std::list<std::shared_ptr<Exchange>> exchanges;
};

namespace {

Connection* connection_of(MHD_Connection* mhd) {
  const auto* info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<Connection*>(info->socket_context);
}

}  // namespace

HttpServer::State::~State() {
  if (daemon == nullptr) return;
  // Who waits for an answer gets none: libmicrohttpd closes only what is not suspended.
  for (const auto& exchange : exchanges) exchange->resume();
  newcomers.reset();
  poll.reset();
  MHD_stop_daemon(daemon);  // ends the requests
}

Result<void> HttpServer::State::start(const HttpTls* tls) {
  // It does not log: what it would say is what a client did, and we have facts for that.
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
  std::vector<MHD_OptionItem> options;
  const auto add = [&options](MHD_OPTION option, std::intptr_t value,
                              const void* pointer = nullptr) {
    options.push_back({option, value, const_cast<void*>(pointer)});
  };
  if (tls != nullptr) {
    flags |= MHD_USE_TLS;
    add(MHD_OPTION_HTTPS_MEM_CERT, 0, tls->certificate_chain.c_str());
    add(MHD_OPTION_HTTPS_MEM_KEY, 0, tls->private_key.c_str());
    add(MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1");
  }
  // Some more than ours, which are on their way out.
  constexpr std::size_t kLeavingMax = 64;
  add(MHD_OPTION_CONNECTION_LIMIT,
      static_cast<std::intptr_t>(limits.connections_max + kLeavingMax));
  add(MHD_OPTION_CONNECTION_TIMEOUT,
      static_cast<std::intptr_t>(
          std::chrono::ceil<std::chrono::seconds>(limits.idle_time_max).count()));
  add(MHD_OPTION_STRICT_FOR_CLIENT, 1);
  add(MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1);
  add(MHD_OPTION_END, 0);
  daemon = MHD_start_daemon(flags, 0, nullptr, nullptr, take_request, this, MHD_OPTION_ARRAY,
                            options.data(), MHD_OPTION_NOTIFY_CONNECTION, notify_connection, this,
                            MHD_OPTION_URI_LOG_CALLBACK, begin_request, this,
                            MHD_OPTION_NOTIFY_COMPLETED, end_request, this, MHD_OPTION_END);
  if (daemon == nullptr) {
    return failure(tls == nullptr ? "libmicrohttpd does not start"
                                  : "libmicrohttpd does not take the certificate and its key");
  }
  const auto* info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  auto working = loop.poll(info->epoll_fd, [this](transport::PollEvents) { run(); });
  if (!working) return tl::unexpected(working.error());
  auto listening = loop.poll(listener.get(), [this](transport::PollEvents) { accept_some(); });
  if (!listening) return tl::unexpected(listening.error());
  poll = std::move(*working);
  poll->watch(true, false);
  newcomers = std::move(*listening);
  newcomers->watch(true, false);
  return {};
}

void HttpServer::State::run() {
  MHD_run(daemon);
  MHD_UNSIGNED_LONG_LONG milliseconds = 0;
  if (MHD_get_timeout(daemon, &milliseconds) == MHD_YES) {
    due.start_after(std::chrono::milliseconds(milliseconds));
  } else {
    due.stop();
  }
}

// Without a descriptor to spare, newcomers wait in the kernel's queue until the next look.
void HttpServer::State::accept_some() {
  constexpr int kAtOnce = 16;
  for (int i = 0; i < kAtOnce; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = accept4(listener.get(), reinterpret_cast<sockaddr*>(&from), &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      MHD_add_connection(daemon, fd, reinterpret_cast<sockaddr*>(&from), size);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      accepts = false;
      newcomers->stop();
      if (!tidying.active()) tidying.start_after(1s);
    }
    break;
  }
  soon.schedule();
}

// Nobody keeps a place by sending nothing, or one byte at a time, or by taking an answer so.
void HttpServer::State::tidy() {
  const Instant now = transport::Loop::fresh_now();
  for (const auto& exchange : exchanges) exchange->give_up_waiting(now);
  for (const Connection& one : connections) {
    if (one.exchange == nullptr) {
      if (now - one.since >= limits.request_time_max) ::shutdown(one.fd, SHUT_RDWR);
    } else if (one.exchange->is_stream()) {
      if (has_left(one.fd)) one.exchange->end_stream();
    } else if (one.exchange->answered() != nullptr) {
      const Duration reads_for = now - one.exchange->answered_at();
      if (reads_for >= limits.reading_time_max) ::shutdown(one.fd, SHUT_RDWR);
    }
  }
  if (!std::exchange(accepts, true)) newcomers->watch(true, false);
  if (!connections.empty()) tidying.start_after(1s);
}

void HttpServer::State::on_connected(MHD_Connection* mhd, void** context) {
  Connection& added = connections.emplace_back();
  added.at = std::prev(connections.end());
  const auto* info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
  added.fd = info->connect_fd;
  added.client = client_of(added.fd);
  added.since = transport::Loop::fresh_now();
  *context = &added;
  if (!tidying.active()) tidying.start_after(1s);
  make_room_for(added);
}

// Somebody who only keeps connections must not keep an operator out.
void HttpServer::State::make_room_for(Connection& newcomer) {
  const std::string owner = newcomer.client.owner();
  std::size_t all = 0, of_owner = 0;
  for (const Connection& one : connections) {
    if (one.is_leaving) continue;
    ++all;
    if (one.client.owner() == owner) ++of_owner;
  }
  const bool only_own = of_owner > limits.connections_of_one_max;
  if (!only_own && all <= limits.connections_max) return;
  Connection* idle = nullptr;
  Connection* stream = nullptr;
  for (Connection& one : connections) {
    if (one.is_leaving || &one == &newcomer) continue;
    if (only_own && one.client.owner() != owner) continue;
    if (one.exchange != nullptr && !one.exchange->is_stream()) continue;
    Connection*& oldest = one.exchange == nullptr ? idle : stream;
    if (oldest == nullptr || one.since < oldest->since) oldest = &one;
  }
  Connection& leaves = idle != nullptr ? *idle : stream != nullptr ? *stream : newcomer;
  leaves.is_leaving = true;
  if (&leaves == &newcomer) return;  // it hears why
  ::shutdown(leaves.fd, SHUT_RDWR);
  if (leaves.exchange != nullptr) leaves.exchange->end_stream();
}

// What many clients are sent at a time counts once.
bool HttpServer::State::has_room_for_answers() const {
  std::set<const HttpAnswer*> answers;
  std::size_t bytes = 0;
  for (const auto& exchange : exchanges) {
    const HttpAnswer* answer = exchange->answered();
    if (answer != nullptr && answers.insert(answer).second) bytes += answer->body.size();
  }
  return bytes <= limits.answer_bytes_max;
}

MHD_Result HttpServer::State::on_request(MHD_Connection* mhd, const char* method,
                                         std::string_view body, Exchange& exchange) {
  Connection& from = *connection_of(mhd);
  if (!exchange.has_head()) {
    exchange.take_head(method, from);
    return MHD_YES;  // the body, or its absence, is another call
  }
  if (!body.empty()) {
    exchange.take_body(body, limits.body_bytes_max);
    return MHD_YES;
  }
  if (!exchange.is_handled()) {
    from.exchange = &exchange;
    from.since = transport::Loop::fresh_now();
    exchange.answer_within(limits.answer_time_max,
                           problem_answer({504,
                                           "the node gave no answer in time; GET /livez says "
                                           "whether its loops turn"}));
    exchange.handle(handler, from.is_leaving, has_room_for_answers());
  }
  return exchange.go_on();
}

void HttpServer::State::notify_connection(void* state, MHD_Connection* mhd, void** context,
                                          MHD_ConnectionNotificationCode code) {
  auto& self = *static_cast<State*>(state);
  if (code == MHD_CONNECTION_NOTIFY_STARTED) return self.on_connected(mhd, context);
  self.connections.erase(static_cast<Connection*>(*context)->at);
}

void* HttpServer::State::begin_request(void* state, const char* target, MHD_Connection* mhd) {
  auto& self = *static_cast<State*>(state);
  auto& exchanges = self.exchanges;
  exchanges.push_back(std::make_shared<Exchange>(mhd, target, self.soon));
  exchanges.back()->at = std::prev(exchanges.end());
  return exchanges.back().get();
}

MHD_Result HttpServer::State::take_request(void* state, MHD_Connection* mhd, const char*,
                                           const char* method, const char*, const char* body,
                                           std::size_t* body_size, void** context) {
  auto& exchange = *static_cast<Exchange*>(*context);
  const std::string_view piece(body, *body_size);
  *body_size = 0;  // all is taken
  return static_cast<State*>(state)->on_request(mhd, method, piece, exchange);
}

void HttpServer::State::end_request(void* state, MHD_Connection* mhd, void** context,
                                    MHD_RequestTerminationCode) {
  auto& self = *static_cast<State*>(state);
  auto* exchange = static_cast<Exchange*>(std::exchange(*context, nullptr));
  if (exchange == nullptr) return;
  exchange->leave();
  self.exchanges.erase(exchange->at);
  if (Connection* from = connection_of(mhd)) {
    from->exchange = nullptr;
    from->since = transport::Loop::fresh_now();
  }
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(transport::Loop& loop, int listening_socket,
                                                       const HttpLimits& limits, const HttpTls* tls,
                                                       Handler handler) {
  auto state = std::make_unique<State>(loop, listening_socket, limits, std::move(handler));
  if (auto good = state->start(tls); !good) return tl::unexpected(good.error());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::~HttpServer() = default;
std::size_t HttpServer::connections() const {
  return state_->connections.size();
}

}  // namespace siglane::runtime
