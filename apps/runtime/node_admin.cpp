#include "apps/runtime/node_admin.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "apps/runtime/admin/counters.h"
#include "apps/runtime/admin/listening.h"
#include "apps/runtime/admin/secrets.h"
#include "apps/runtime/admin/service.h"
#include "apps/runtime/fact_log.h"
#include "apps/runtime/side_thread.h"

namespace siglane::runtime {
namespace {

// So that a user, or an address, leaves places for others.
std::size_t share_of_one(const AdminConfig& admin) {
  return std::max<std::size_t>(admin.clients_max / 2, 1);
}

// Either all that is needed to serve, or why not.
Result<Gate> http_gate(const AdminConfig& admin) {
  const AdminHttpConfig& http = *admin.http;
  Gate gate;
  gate.limits.connections_max = admin.clients_max;
  gate.limits.connections_of_one_max = share_of_one(admin);
  gate.rules.host_names = http.host_names;
  gate.rules.host_names.push_back(http.address);
  auto secrets = load_admin_secrets(admin);
  if (!secrets) return tl::unexpected(secrets.error());
  gate.rules.without_token = secrets->read_token.empty() ? Right::read : Right::nothing;
  gate.rules.read_token = std::move(secrets->read_token);
  gate.rules.change_token = std::move(secrets->change_token);
  gate.tls = std::move(secrets->tls);
  const auto address = transport::SocketAddress::parse(http.address, http.port);
  if (!address) return tl::unexpected(address.error());
  if (!address->is_loopback() && (!gate.tls || gate.rules.read_token.empty())) {
    return failure(
        fmt::format("admin.http: {} can be reached from other machines; expected tls and "
                    "read_token_file",
                    http.address));
  }
  auto listening = listen_on(*address);
  if (!listening) return tl::unexpected(listening.error());
  gate.listening_socket = *listening;
  return gate;
}

Result<Gate> socket_gate(const AdminConfig& admin) {
  std::optional<gid_t> group;
  if (!admin.group.empty()) {
    auto found = group_called(admin.group);
    if (!found) return failure("admin.group: " + found.error().what);
    group = *found;
  }
  auto listening = listen_at(admin.socket, group);
  if (!listening) return tl::unexpected(listening.error());
  Gate gate;
  gate.listening_socket = *listening;
  gate.limits.connections_max = admin.clients_max;
  gate.limits.connections_of_one_max = share_of_one(admin);
  gate.rules.owner = geteuid();
  if (group) gate.rules.without_token = admin.group_may_change ? Right::change : Right::read;
  return gate;
}

}  // namespace

Result<std::vector<Gate>> Node::Admin::open_gates(const AdminConfig& config) {
  std::vector<Gate> gates;
  if (!config.socket.empty()) {
    auto gate = socket_gate(config);
    if (!gate) return tl::unexpected(gate.error());
    gates.push_back(std::move(*gate));
  }
  if (config.http) {
    auto gate = http_gate(config);
    if (!gate) {
      if (!gates.empty()) ::unlink(config.socket.c_str());
      for (const Gate& open : gates) ::close(open.listening_socket);
      return tl::unexpected(gate.error());
    }
    gates.push_back(std::move(*gate));
  }
  return gates;
}

Result<void> Node::Admin::open(std::vector<Gate> gates) {
  auto door =
      Door::open(node_.side_thread_->loop(), std::move(gates), *this,
                 {.questions_per_second_max = node_.config().admin.questions_per_second_max});
  if (!door) return tl::unexpected(door.error());
  door_ = std::move(*door);
  return {};
}

void Node::Admin::stop_being_ready(std::string why) {
  const std::lock_guard lock(mutex_);
  not_ready_ = std::move(why);
}

void Node::Admin::use_tokens(const AdminSecrets& secrets) {
  door_->use_tokens(secrets.read_token, secrets.change_token);
}

std::optional<std::string> Node::Admin::not_ready() const {
  const std::lock_guard lock(mutex_);
  return not_ready_.empty() ? std::nullopt : std::optional(not_ready_);
}

void Node::Admin::ask(const admin::Request& request, Reply reply) {
  node_.call([this, request, reply = std::move(reply)]() mutable {
    answer_admin(node_, request, [this, reply = std::move(reply)](admin::Response response) {
      auto kept = std::make_shared<admin::Response>(std::move(response));
      node_.side_thread_->call([reply, kept] { reply(std::move(*kept)); });
    });
  });
}

void Node::Admin::look_alive(std::function<void()> then) {
  node_.call([this, then = std::move(then)]() mutable {
    node_.on_each_shard([](const Shard&, const Transport&) {},
                        [this, then = std::move(then)] { node_.side_thread_->call(then); });
  });
}

void Node::Admin::on_refused(const HttpClient& client, unsigned status, std::string_view why) {
  constexpr Duration kPause = 1min;
  counters_.add(counter::admin_refused);
  ++refused_untold_;
  const Instant now = transport::Loop::fresh_now();
  if (refusal_told_at_ && now - *refusal_told_at_ < kPause) return;
  refusal_told_at_ = now;
  const std::string who =
      client.is_local ? fmt::format("user {}, process {}", client.uid, client.pid) : client.address;
  node_.facts_->on_fact({},
                        {kAdminRefused,
                         {{"client", who},
                          {"status", status},
                          {"why", why},
                          {"requests", std::exchange(refused_untold_, 0)}}},
                        now);
}

// ---- Node ---------------------------------------------------------------------------------------

SideThread* Node::side_thread() {
  if (side_thread_ == nullptr) {
    try {
      side_thread_ = std::make_unique<SideThread>(loop());
    } catch (const std::system_error& error) {
      side_thread_trouble_ = error.what();
    }
  }
  return side_thread_.get();
}

Result<void> Node::start_admin() {
  auto gates = Admin::open_gates(config_->admin);
  if (!gates) return tl::unexpected(gates.error());
  if (gates->empty()) return {};
  if (side_thread() == nullptr) {
    if (!config_->admin.socket.empty()) ::unlink(config_->admin.socket.c_str());
    for (const Gate& gate : *gates) ::close(gate.listening_socket);
    return failure("no thread for the admin API: " + side_thread_trouble_);
  }
  serves_admin_http_ = config_->admin.http.has_value();
  admin_ = std::make_unique<Admin>(*this);
  Result<void> opened;
  side_thread_->run_now([&] { opened = admin_->open(std::move(*gates)); });
  return opened;
}

void Node::use_admin_tokens(const AdminSecrets& secrets) {
  if (!serves_admin_http_) return;
  side_thread_->call([this, secrets] {
    if (admin_ != nullptr) admin_->use_tokens(secrets);
  });
}

// The file goes first: once the socket is closed, another node may have one there.
void Node::end_admin() {
  if (admin_ == nullptr) return;
  if (!config_->admin.socket.empty()) ::unlink(config_->admin.socket.c_str());
  side_thread_->run_now([this] { admin_.reset(); });
}

}  // namespace siglane::runtime
