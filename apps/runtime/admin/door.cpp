#include "apps/runtime/admin/door.h"

#include <utility>

#include <unistd.h>

#include "apps/runtime/fact_log.h"

namespace siglane::runtime {
namespace {

// Each of them walks through the shards.
constexpr std::size_t kQuestionsAtOnceMax = 4;
constexpr Duration kAliveWithin = 5s, kOrderWithin = 10min;

// Once for all who accept the same.
class Answers {
 public:
  explicit Answers(const admin::Response& response) : response_(response) {}

  std::shared_ptr<const HttpAnswer> for_request(const HttpRequest& request) {
    auto& answer = wants_protobuf(request) ? protobuf_ : json_;
    if (answer == nullptr) {
      answer = std::make_shared<const HttpAnswer>(api_answer(request, response_));
    }
    return answer;
  }

 private:
  const admin::Response& response_;
  std::shared_ptr<const HttpAnswer> json_, protobuf_;
};

}  // namespace

Result<std::unique_ptr<Door>> Door::open(transport::Loop& loop, std::vector<Gate> gates,
                                         AdminNode& node, const Limits& limits) {
  std::unique_ptr<Door> door(new Door(loop, node, limits));
  std::optional<Error> wrong;
  for (Gate& gate : gates) {
    if (wrong) {
      ::close(gate.listening_socket);
      continue;
    }
    const AccessRules& rules = door->rules_.emplace_back(std::move(gate.rules));
    auto server = HttpServer::create(
        loop, gate.listening_socket, gate.limits, gate.tls ? &*gate.tls : nullptr,
        [door = door.get(), &rules](auto exchange) { door->on_request(rules, exchange); });
    if (server) {
      door->servers_.push_back(std::move(*server));
    } else {
      wrong = server.error();
    }
  }
  if (wrong) return tl::unexpected(*wrong);
  return door;
}

Door::Door(transport::Loop& loop, AdminNode& node, const Limits& limits)
    : loop_(loop),
      node_(node),
      events_(loop, {}, node.started_unix_ms(),
              [&node](std::uint64_t after, std::size_t count_max) {
                return node.facts().next(after, count_max);
              }),
      limits_(limits),
      pace_(Duration(1s) / limits.questions_per_second_max, limits.burst),
      next_(loop.timer([this] { ask_next(); })) {}

Door::~Door() = default;

void Door::use_tokens(const std::string& read, const std::string& change) {
  for (AccessRules& rules : rules_) {
    if (rules.owner) continue;
    rules.read_token = read;
    rules.change_token = change;
    rules.without_token = read.empty() ? Right::read : Right::nothing;
  }
}

void Door::on_request(const AccessRules& rules, const std::shared_ptr<HttpExchange>& exchange) {
  const auto call = api_call(exchange->request());
  // Whether the node lives, anybody may know, by whatever name the question came.
  if (call && call->needs == Right::nothing) return carry_out(*call, exchange);
  const auto right = right_of(rules, exchange->request());
  if (!right) return refuse(exchange, right.error());
  if (!call) return exchange->answer(problem_answer(call.error()));
  if (*right < call->needs) return refuse(exchange, not_allowed(*right, call->needs));
  carry_out(*call, exchange);
}

void Door::refuse(const std::shared_ptr<HttpExchange>& exchange, const Problem& problem) {
  node_.on_refused(exchange->request().client, problem.status, problem.detail);
  exchange->answer(problem_answer(problem));
}

void Door::carry_out(const ApiCall& call, const std::shared_ptr<HttpExchange>& exchange) {
  const auto say = [&exchange](unsigned status, std::string text) {
    exchange->answer({.status = status,
                      .content_type = "text/plain",
                      .body = std::move(text) + "\n",
                      .headers = {{"Cache-Control", "no-store"}}});
  };
  switch (call.kind) {
    case ApiCall::Kind::question:
      return call.needs == Right::change ? order(call.request, exchange)
                                         : ask(call.request, exchange);
    case ApiCall::Kind::index:
      return exchange->answer(api_index());
    case ApiCall::Kind::events:
      if (!events_.add(exchange, call.after, node_.facts().count())) {
        exchange->answer(problem_answer({503, "there are too many streams of events already"}));
      }
      return;
    case ApiCall::Kind::live:
      return look_alive(exchange);
    case ApiCall::Kind::ready: {
      const auto why = node_.not_ready();
      return say(why ? 503 : 200, why.value_or("ready"));
    }
  }
}

// Behind no question, so that a busy node does not seem dead.
void Door::look_alive(const std::shared_ptr<HttpExchange>& exchange) {
  const HttpAnswer alive{.content_type = "text/plain", .body = "alive\n"};
  if (was_alive_at_ && loop_.now() - *was_alive_at_ < limits_.alive_for) {
    return exchange->answer(alive);
  }
  exchange->answer_within(kAliveWithin, {.status = 503,
                                         .content_type = "text/plain",
                                         .body = "a loop of the node has not turned for 5 s\n"});
  std::erase_if(wait_for_life_, [](const auto& one) { return !one->is_open(); });
  wait_for_life_.push_back(exchange);
  if (std::exchange(awaits_loops_, true)) return;
  node_.look_alive([this, alive, exists = std::weak_ptr(alive_)] {
    if (exists.expired()) return;
    awaits_loops_ = false;
    was_alive_at_ = loop_.now();
    for (const auto& one : std::exchange(wait_for_life_, {})) one->answer(alive);
  });
}

// Once each, and however long it takes: a reload may import many subscribers.
void Door::order(const admin::Request& request, const std::shared_ptr<HttpExchange>& exchange) {
  exchange->answer_within(kOrderWithin,
                          problem_answer({504,
                                          "it takes longer than 10 minutes; GET /v1/facts has what "
                                          "becomes of it"}));
  node_.ask(request, [exchange](const admin::Response& response) {
    exchange->answer(api_answer(exchange->request(), response));
  });
}

void Door::ask(const admin::Request& request, const std::shared_ptr<HttpExchange>& exchange) {
  const std::string question = request.SerializeAsString();
  const auto [at, is_new] = waiting_.try_emplace(question);
  at->second.push_back(exchange);
  if (!is_new) return;
  to_ask_.push_back(question);
  ask_next();
}

// Questions take turns, and so do those who ask the same again and again.
void Door::ask_next() {
  while (asked_ < kQuestionsAtOnceMax && !to_ask_.empty()) {
    if (pace_.next() > loop_.now()) return next_.start_at(pace_.next());
    const std::string question = std::move(to_ask_.front());
    to_ask_.pop_front();
    Exchanges& waiting = waiting_[question];
    std::erase_if(waiting, [](const auto& one) { return !one->is_open(); });
    if (waiting.empty()) {
      waiting_.erase(question);
    } else {
      ++asked_;
      pace_.take(loop_.now());
      ask_for(question, std::exchange(waiting, {}));
    }
  }
}

void Door::ask_for(const std::string& question, Exchanges asking) {
  admin::Request request;
  request.ParseFromString(question);
  node_.ask(request, [this, alive = std::weak_ptr(alive_), question,
                      asking = std::move(asking)](const admin::Response& response) {
    if (alive.expired()) return;
    Answers answers(response);
    for (const auto& one : asking) one->answer_with(answers.for_request(one->request()));
    --asked_;
    to_ask_.push_back(question);  // for who has asked meanwhile
    ask_next();
  });
}

}  // namespace siglane::runtime
