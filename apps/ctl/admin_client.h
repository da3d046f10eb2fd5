#pragma once
#include <memory>
#include <optional>
#include <string>

#include "apps/runtime/admin/messages.h"
#include "core/result.h"
#include "core/time.h"

namespace siglane::ctl {

namespace admin = siglane::admin::v1;

// Where a node answers: at its admin socket, or at an address.
struct NodeAddress {
  std::string socket = {};       // a path; or
  std::string url = {};          // "https://node.example:8080"
  std::string token = {};        // empty: none
  std::string authorities = {};  // file of those whose certificates are good; empty: the system's

  const std::string& name() const { return socket.empty() ? url : socket; }
};

// Asks one node, over one connection as long as that lasts. Blocks.
class AdminClient {
 public:
  explicit AdminClient(NodeAddress address);
  AdminClient(AdminClient&& other) noexcept;
  AdminClient& operator=(AdminClient&& other) noexcept;
  ~AdminClient();

  // The error names the node, and says what is wrong: nobody is there, and what to look for; it
  // gave no answer within `timeout`; or what the node itself says.
  Result<admin::Response> ask(const admin::Request& request, Duration timeout);
  // The same; nullopt: the node has nothing of that name.
  Result<std::optional<admin::Response>> find(const admin::Request& request, Duration timeout);
  // The socket or URL.
  const std::string& name() const { return address_.name(); }

 private:
  struct Answer;
  Result<Answer> exchange(const admin::Request& request, Duration timeout);
  struct Transfer;

  NodeAddress address_;
  std::unique_ptr<Transfer> transfer_;
};

}  // namespace siglane::ctl
