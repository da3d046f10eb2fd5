#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "apps/runtime/admin/messages.h"
#include "core/association.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/routing.h"
#include "protocols/m3ua/config.h"
#include "protocols/m3ua/route_table.h"

namespace siglane::runtime {

class Node;

// Fill in where messages go, and hand `response` to `reply`. On the node's thread, and so is the
// reply.
void answer_application_servers(Node& node, std::shared_ptr<admin::Response> response,
                                std::function<void(admin::Response)> reply);
void answer_applications(Node& node, std::shared_ptr<admin::Response> response,
                         std::function<void(admin::Response)> reply);
void answer_routes(Node& node, std::shared_ptr<admin::Response> response,
                   std::function<void(admin::Response)> reply);

// What the sessions of a signalling gateway say, by name.
struct M3uaStates {
  struct One {
    AssociationId id{};  // of its session
    std::string state;
    std::size_t pending = 0;
  };
  std::map<std::string, One, std::less<>> servers, asps;
};

// The rows of it: pure.
void add_servers(const m3ua::M3uaConfig& config, const m3ua::RouteTable& table,
                 const M3uaStates& states, admin::ApplicationServers& into);
void add_applications(const diameter::RouteTable& table, admin::Applications& into);
void add_routes(const m3ua::M3uaConfig& config, const M3uaStates& states, admin::Routes& into);
// `blocked`: has the operator blocked that peer?
void add_routes(const diameter::DiameterConfig& config, const diameter::RouteTable& table,
                const std::function<bool(const std::string& peer)>& blocked, admin::Routes& into);

}  // namespace siglane::runtime
