#include "apps/runtime/admin/routes.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "apps/runtime/node.h"
#include "apps/runtime/printable.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/module.h"
#include "protocols/m3ua/module.h"

namespace siglane::runtime {
namespace {

// --- M3UA ---------------------------------------------------------------------------------------

std::shared_ptr<const m3ua::M3uaConfig> config_of(const m3ua::M3uaModule& module) {
  const auto gateway = module.gateway();
  return {gateway, &gateway->config};
}

void collect(const SessionView& view, M3uaStates& into) {
  const SessionStatus status = view.session->status();
  if (status.protocol != "m3ua" || status.peer.empty()) return;
  if (!view.coordinator && !view.identified) return;
  auto& names = view.coordinator ? into.servers : into.asps;
  names[status.peer] = {view.id, std::string(status.state), status.pending};
}

// Asks every session, and then does `join` beside the node's loops.
void walk_m3ua(Node& node, const std::shared_ptr<M3uaStates>& states, std::function<void()> join,
               std::function<void()> then) {
  const auto begin = [states](const Shard& shard, const Transport&) {
    const std::function<void(const SessionView&)> visit = [states](const SessionView& view) {
      collect(view, *states);
    };
    return
        [&shard, visit, walk = TableWalk()]() mutable { return shard.visit_sessions(walk, visit); };
  };
  node.walk_what_moves(
      begin, [&node, join = std::move(join), then = std::move(then)] { node.beside(join, then); });
}

std::string state_of(const M3uaStates& states, const std::string& server) {
  const auto it = states.servers.find(server);
  return it != states.servers.end() ? it->second.state
                                    : std::string(m3ua::name_of(m3ua::AsState::down));
}

const m3ua::AsView* view_of(const m3ua::RouteTable& table, AssociationId coordinator) {
  const auto it = std::ranges::find_if(table.servers, [coordinator](const auto& view) {
    return view != nullptr && view->coordinator == coordinator;
  });
  return it != table.servers.end() ? it->get() : nullptr;
}

// An ASP is one thing to the node, and another to each of its Application Servers.
m3ua::AspState state_in(const m3ua::AsView* view, const M3uaStates& states,
                        const std::string& asp) {
  const auto it = states.asps.find(asp);
  if (it == states.asps.end() || it->second.state == m3ua::name_of(m3ua::AspState::down)) {
    return m3ua::AspState::down;
  }
  const bool active = view != nullptr && std::ranges::count(view->active, it->second.id) != 0;
  return active ? m3ua::AspState::active : m3ua::AspState::inactive;
}

// --- Diameter -----------------------------------------------------------------------------------

std::string text_of(diameter::ApplicationId id) {
  const auto* entry = diameter::dictionary().find(id);
  const std::string number = std::to_string(static_cast<std::uint32_t>(id));
  return entry != nullptr ? std::string(entry->name) : number;
}

// What all connections of a peer come to.
struct DiameterPeer {
  std::string name, origin_host, realm, state = "down";
  std::vector<std::string> routed_realms = {};
  std::uint32_t connections = 0;
  bool relay = false;
  std::set<diameter::ApplicationId> applications = {};
};

// Configured or connected, by name.
class DiameterPeers {
 public:
  DiameterPeer& at(const diameter::DiameterPeerConfig& peer) {
    return at({peer.name, peer.origin_host, peer.realm, "down", peer.routed_realms});
  }
  // The peer of a connection, which counts for it.
  DiameterPeer& with(const diameter::OpenPeer& connection) {
    DiameterPeer& peer = at({connection.name, connection.origin_host, connection.realm, "down",
                             connection.routed_realms});
    if (peer.realm.empty()) peer.realm = connection.realm;
    ++peer.connections;
    peer.relay = peer.relay || connection.relay;
    peer.applications.insert(connection.applications.begin(), connection.applications.end());
    return peer;
  }
  DiameterPeer* find(const std::string& name) {
    const auto at = places_.find(name);
    return at == places_.end() ? nullptr : &peers_[at->second];
  }
  const std::vector<DiameterPeer>& all() const { return peers_; }

 private:
  DiameterPeer& at(DiameterPeer peer) {
    const auto [at, added] = places_.try_emplace(peer.name, peers_.size());
    if (added) peers_.push_back(std::move(peer));
    return peers_[at->second];
  }

  std::vector<DiameterPeer> peers_;
  std::unordered_map<std::string, std::size_t> places_;
};

// Of several connections, one that takes requests decides.
DiameterPeers peers_of(const diameter::DiameterConfig& config, const diameter::RouteTable& table,
                       const std::function<bool(const std::string&)>& blocked) {
  DiameterPeers peers;
  for (const diameter::DiameterPeerConfig& peer : config.peers) {
    if (blocked(peer.name)) {
      peers.at(peer).state = "blocked";
    } else {
      peers.at(peer);
    }
  }
  for (const std::string& suspect : table.suspects) {
    DiameterPeer* peer = peers.find(suspect);
    if (peer != nullptr && peer->state == "down") peer->state = "suspect";
  }
  for (const diameter::IdlePeer& idle : table.idle) {
    const bool is_blocked = idle.reason == diameter::IdlePeer::Reason::blocked;
    peers.with(idle.peer).state = is_blocked ? "blocked" : "suspect";
  }
  for (const diameter::OpenPeer& open : table.peers) peers.with(open).state = "open";
  return peers;
}

admin::DiameterRoute row_of(const DiameterPeer& peer, const std::string& realm, bool agent) {
  admin::DiameterRoute row;
  row.set_realm(printable(realm));
  row.set_peer(printable(peer.name));
  row.set_origin_host(printable(peer.origin_host));
  row.set_state(peer.state);
  row.set_connections(peer.connections);
  row.set_agent(agent);
  for (const diameter::ApplicationId id : peer.applications) row.add_application(text_of(id));
  if (peer.relay) row.add_application("any");
  return row;
}

// The applications of the node itself, which each shard has.
admin::DiameterRoute own_row(const diameter::DiameterConfig& config,
                             const diameter::RouteTable& table) {
  DiameterPeer self{"", config.origin_host, config.origin_realm, "open"};
  for (const auto& local : table.applications) self.applications.insert(local.id);
  return row_of(self, config.origin_realm, false);
}

}  // namespace

void add_servers(const m3ua::M3uaConfig& config, const m3ua::RouteTable& table,
                 const M3uaStates& states, admin::ApplicationServers& into) {
  for (const m3ua::ApplicationServerConfig& server : config.application_servers) {
    admin::ApplicationServer& row = *into.add_application_server();
    row.set_name(printable(server.name));
    row.set_routing_context(server.routing_context);
    if (server.network_appearance) row.set_network_appearance(*server.network_appearance);
    row.set_traffic_mode(std::string(m3ua::name_of(server.traffic_mode)));
    row.set_state(state_of(states, server.name));
    row.set_active_asps_min(static_cast<std::uint32_t>(server.active_asps_min));
    const auto session = states.servers.find(server.name);
    const bool there = session != states.servers.end();
    if (there) row.set_held_messages(session->second.pending);
    const m3ua::AsView* view = there ? view_of(table, session->second.id) : nullptr;
    for (const std::string& asp : server.asps) {
      admin::ApplicationServer::Asp& member = *row.add_asp();
      member.set_name(printable(asp));
      member.set_state(std::string(m3ua::name_of(state_in(view, states, asp))));
    }
  }
}

// By destination; then as RouteConfig says, the most specific first.
void add_routes(const m3ua::M3uaConfig& config, const M3uaStates& states, admin::Routes& into) {
  std::vector<const m3ua::RouteConfig*> routes;
  for (const m3ua::RouteConfig& route : config.routes) routes.push_back(&route);
  std::ranges::stable_sort(routes, {}, [](const m3ua::RouteConfig* route) {
    return std::tuple(route->destination_point_code, !route->network_appearance,
                      route->service_indicators.empty(), route->originating_point_codes.empty());
  });
  for (const m3ua::RouteConfig* route : routes) {
    admin::M3uaRoute& row = *into.add_m3ua();
    row.set_destination_point_code(route->destination_point_code);
    if (route->network_appearance) row.set_network_appearance(*route->network_appearance);
    for (const std::uint8_t si : route->service_indicators) row.add_service_indicator(si);
    for (const std::uint32_t opc : route->originating_point_codes) {
      row.add_originating_point_code(opc);
    }
    row.set_application_server(printable(route->application_server));
    row.set_state(state_of(states, route->application_server));
  }
}

void add_routes(const diameter::DiameterConfig& config, const diameter::RouteTable& table,
                const std::function<bool(const std::string& peer)>& blocked, admin::Routes& into) {
  std::vector<admin::DiameterRoute> rows;
  if (!table.applications.empty()) rows.push_back(own_row(config, table));
  const DiameterPeers peers = peers_of(config, table, blocked);
  for (const DiameterPeer& peer : peers.all()) {
    if (!peer.realm.empty()) rows.push_back(row_of(peer, peer.realm, false));
    for (const std::string& realm : peer.routed_realms) rows.push_back(row_of(peer, realm, true));
  }
  std::ranges::sort(rows, {}, [](const admin::DiameterRoute& row) {
    return std::tuple<std::string_view, bool, std::string_view>(row.realm(), row.agent(),
                                                                row.peer());
  });
  for (admin::DiameterRoute& row : rows) *into.add_diameter() = std::move(row);
}

void add_applications(const diameter::RouteTable& table, admin::Applications& into) {
  struct Row {
    bool served_here = false;
    std::set<std::string> peers;
  };
  std::map<diameter::ApplicationId, Row> rows;
  for (const diameter::LocalApplication& local : table.applications) {
    rows[local.id].served_here = true;
  }
  for (const diameter::OpenPeer& peer : table.peers) {
    for (const diameter::ApplicationId id : peer.applications) rows[id].peers.insert(peer.name);
  }
  for (const auto& [id, row] : rows) {
    admin::Application& added = *into.add_application();
    added.set_id(static_cast<std::uint32_t>(id));
    const auto* entry = diameter::dictionary().find(id);
    if (entry != nullptr) added.set_name(std::string(entry->name));
    added.set_served_here(row.served_here);
    for (const std::string& peer : row.peers) added.add_peer(printable(peer));
  }
}

void answer_application_servers(Node& node, std::shared_ptr<admin::Response> response,
                                std::function<void(admin::Response)> reply) {
  const auto* module = node.find_module<m3ua::M3uaModule>();
  if (module == nullptr) {
    refuse(*response, "this node has no Application Servers: it is no M3UA gateway");
    return reply(std::move(*response));
  }
  const auto states = std::make_shared<M3uaStates>();
  walk_m3ua(
      node, states,
      [module, states, response] {
        const auto config = config_of(*module);  // first (M3uaModule::routes)
        add_servers(*config, *module->routes(), *states, *response->mutable_application_servers());
      },
      [response, reply = std::move(reply)] { reply(std::move(*response)); });
}

void answer_applications(Node& node, std::shared_ptr<admin::Response> response,
                         std::function<void(admin::Response)> reply) {
  const auto* diameter = node.find_module<diameter::DiameterModule>();
  if (diameter == nullptr) {
    refuse(*response, "this node has no applications: it does not speak Diameter");
    return reply(std::move(*response));
  }
  node.beside(
      [diameter, response] {
        add_applications(*diameter->routes(), *response->mutable_applications());
      },
      [response, reply = std::move(reply)] { reply(std::move(*response)); });
}

void answer_routes(Node& node, std::shared_ptr<admin::Response> response,
                   std::function<void(admin::Response)> reply) {
  const auto* gateway = node.find_module<m3ua::M3uaModule>();
  const auto* diameter = node.find_module<diameter::DiameterModule>();
  if (gateway == nullptr && diameter == nullptr) {
    refuse(*response, "this node has no routes: it speaks neither Diameter nor M3UA as a gateway");
    return reply(std::move(*response));
  }
  const auto states = std::make_shared<M3uaStates>();
  const auto join = [&node, gateway, diameter, states, response] {
    admin::Routes& routes = *response->mutable_routes();
    if (gateway != nullptr) add_routes(*config_of(*gateway), *states, routes);
    if (diameter == nullptr) return;
    const auto blocked = [&node, diameter](const std::string& peer) {
      return node.orders_of(diameter, peer).blocked;
    };
    add_routes(*diameter->config(), *diameter->routes(), blocked, routes);
  };
  auto then = [response, reply = std::move(reply)] { reply(std::move(*response)); };
  if (gateway == nullptr) return node.beside(join, std::move(then));
  walk_m3ua(node, states, join, std::move(then));
}

}  // namespace siglane::runtime
