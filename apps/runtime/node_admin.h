#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/runtime/admin/door.h"
#include "apps/runtime/admin/secrets.h"
#include "apps/runtime/node.h"
#include "core/counters.h"

// Node: the admin API's door, for its own source files.
namespace siglane::runtime {

// The node as the door sees it. On the side thread, where it says nothing else.
class Node::Admin final : public AdminNode {
 public:
  // Sockets that listen, as the config says. On the node's thread.
  static Result<std::vector<Gate>> open_gates(const AdminConfig& config);

  explicit Admin(Node& node) : node_(node) {}
  Result<void> open(std::vector<Gate> gates);
  // Any thread.
  const Counters& counters() const { return counters_; }
  void stop_being_ready(std::string why);
  // What the token files hold now. On the side thread.
  void use_tokens(const AdminSecrets& secrets);

  void ask(const admin::Request& request, Reply reply) override;
  void look_alive(std::function<void()> then) override;
  std::optional<std::string> not_ready() const override;
  const FactLog& facts() const override { return node_.facts(); }
  std::int64_t started_unix_ms() const override { return node_.started_unix_ms(); }
  void on_refused(const HttpClient& client, unsigned status, std::string_view why) override;

 private:
  Node& node_;
  Counters counters_;
  mutable std::mutex mutex_;
  std::string not_ready_;  // empty: it is
  std::optional<Instant> refusal_told_at_;
  std::size_t refused_untold_ = 0;
  std::unique_ptr<Door> door_;
};

}  // namespace siglane::runtime
