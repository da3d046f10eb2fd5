#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "core/result.h"
#include "core/time.h"

namespace siglane::transport {
class Loop;
}

namespace siglane::runtime {

// Who has connected.
struct HttpClient {
  bool is_local = false;  // over a Unix domain socket: its user is known
  uid_t uid = 0;
  pid_t pid = 0;        // of another PID namespace: 0
  std::string address;  // over TCP: "127.0.0.1:40312"

  // Who answers for the connection, where places are shared out: the user, or the address.
  std::string owner() const;
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;   // "GET"
  std::string target;   // as it came: "/v1/peers?limit=10"
  HttpHeaders headers;  // names in lower case
  std::string body;
  HttpClient client;

  // The first one called so, in lower case; nullptr: there is none.
  const std::string* header(std::string_view name) const;
};

struct HttpAnswer {
  unsigned status = 200;
  std::string content_type = {};
  std::string body = {};
  HttpHeaders headers = {};
};

// A request that is being answered: by one answer, or by a stream of text. Nothing here does any
// harm when the client or the server has gone. On the loop's thread.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual const HttpRequest& request() const = 0;
  // The client waits for what comes next, or reads it.
  virtual bool is_open() const = 0;
  virtual void answer(HttpAnswer answer) = 0;
  // The same answer may go to many.
  virtual void answer_with(std::shared_ptr<const HttpAnswer> answer) = 0;
  // If there is no answer until then, this one.
  virtual void answer_within(Duration time, HttpAnswer otherwise) = 0;
  // An answer without an end, but the client's or the server's.
  virtual void begin_stream(HttpAnswer head) = 0;
  // The client has been sent all that was written.
  virtual bool is_drained() const = 0;
  virtual void write(std::string_view text) = 0;
};

// One connection more takes a place from its own owner, or where all places are taken from whoever
// has most to spare: the connection that has asked nothing for longest, then the oldest stream.
struct HttpLimits {
  std::size_t connections_max = 64;
  std::size_t connections_of_one_max = 32;  // of a user, or of an address
  std::size_t body_bytes_max = std::size_t{64} << 10;
  // Of all answers that are being read; with more, nothing is answered until some are gone.
  std::size_t answer_bytes_max = std::size_t{256} << 20;
  Duration request_time_max = 10s;  // from the connection, or an answer, to the end of a request
  Duration answer_time_max = 30s;   // from there to its answer, where nothing else is said
  Duration reading_time_max = 60s;  // from there until it is read, if it is no stream
  Duration idle_time_max = 60s;     // that a stream's client reads nothing
};

// PEM.
struct HttpTls {
  std::string certificate_chain, private_key;
};

// HTTP/1.1 on a listening socket: libmicrohttpd (no threads of its own) in a uv loop. What is
// malformed, too large or too slow is refused here. On the loop's thread.
class HttpServer {
 public:
  using Handler = std::function<void(std::shared_ptr<HttpExchange>)>;

  // Takes `listening_socket` over, in any case.
  static Result<std::unique_ptr<HttpServer>> create(transport::Loop& loop, int listening_socket,
                                                    const HttpLimits& limits,
                                                    const HttpTls* tls,  // nullptr: none
                                                    Handler handler);
  // Closes everything. Not from within the handler.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::size_t connections() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace siglane::runtime
