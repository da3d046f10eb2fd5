#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/runtime/admin/access.h"
#include "apps/runtime/admin/api.h"
#include "apps/runtime/admin/event_streams.h"
#include "apps/runtime/admin/http_server.h"
#include "apps/runtime/admin/pace.h"
#include "transport/loop/loop.h"

namespace siglane::runtime {

// A listening socket of the admin API.
struct Gate {
  int listening_socket = -1;
  HttpLimits limits = {};
  AccessRules rules = {};
  std::optional<HttpTls> tls = {};
};

// What the door asks of the node behind it. Called on the door's thread, never from within the
// node's own turns.
class AdminNode {
 public:
  using Reply = std::function<void(admin::Response)>;

  virtual ~AdminNode() = default;
  // `reply` once, on the door's thread; never, if the node ends meanwhile.
  virtual void ask(const admin::Request& request, Reply reply) = 0;
  // `then` on the door's thread, once every loop of the node has taken a turn.
  virtual void look_alive(std::function<void()> then) = 0;
  // Why it takes no traffic; nullopt: it does.
  virtual std::optional<std::string> not_ready() const = 0;
  virtual const FactLog& facts() const = 0;
  virtual std::int64_t started_unix_ms() const = 0;
  // A client was refused: who, and why.
  virtual void on_refused(const HttpClient& client, unsigned status, std::string_view why) = 0;
};

// Where operators come in: takes HTTP requests, sees whether their sender may do that, asks the
// node, and answers. However many ask for the same, the node makes one answer to it at a time: who
// asks meanwhile gets the next one. It is asked a few things at a time, and so many in a second. On
// the loop's thread.
class Door {
 public:
  struct Limits {
    int questions_per_second_max = 100;
    int burst = 20;              // of questions, after a rest
    Duration alive_for = 100ms;  // a loop that turned so lately lives
  };
  // Takes the listening sockets over, in any case. An error: one of them cannot be served.
  static Result<std::unique_ptr<Door>> open(transport::Loop& loop, std::vector<Gate> gates,
                                            AdminNode& node, const Limits& limits);
  ~Door();
  // Over TCP, from now on; empty: there is none, and reading takes none.
  void use_tokens(const std::string& read, const std::string& change);
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

 private:
  using Exchanges = std::vector<std::shared_ptr<HttpExchange>>;

  Door(transport::Loop& loop, AdminNode& node, const Limits& limits);
  void on_request(const AccessRules& rules, const std::shared_ptr<HttpExchange>& exchange);
  void carry_out(const ApiCall& call, const std::shared_ptr<HttpExchange>& exchange);
  void refuse(const std::shared_ptr<HttpExchange>& exchange, const Problem& problem);
  void order(const admin::Request& request, const std::shared_ptr<HttpExchange>& exchange);
  void ask(const admin::Request& request, const std::shared_ptr<HttpExchange>& exchange);
  void ask_next();
  void ask_for(const std::string& question, Exchanges asking);
  void look_alive(const std::shared_ptr<HttpExchange>& exchange);

  transport::Loop& loop_;
  AdminNode& node_;
  EventStreams events_;
  const Limits limits_;
  Pace pace_;              // of questions
  transport::Timer next_;  // question may be asked
  // By the request's own encoding: who waits for the next answer. There as long as that is to be
  // asked, or one is being made.
  std::map<std::string, Exchanges> waiting_;
  std::deque<std::string> to_ask_;
  std::size_t asked_ = 0;
  Exchanges wait_for_life_;  // while the loops are awaited
  bool awaits_loops_ = false;
  std::optional<Instant> was_alive_at_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for replies that come late
  std::list<AccessRules> rules_;                           // of servers_, which refer to them
  std::vector<std::unique_ptr<HttpServer>> servers_;
};

}  // namespace siglane::runtime
