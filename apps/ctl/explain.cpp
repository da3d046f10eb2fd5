#include "apps/ctl/explain.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "apps/ctl/view_parts.h"
#include "apps/ctl/views.h"

namespace siglane::ctl {
namespace {

// Sentences, one to a line.
class Text {
 public:
  template <class... Arguments>
  void say(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    text_ += shown(fmt::format(format, std::forward<Arguments>(arguments)...)) + "\n";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string_view list_of(const admin::Peer& peer) {
  return peer.protocol() == "m3ua" ? "m3ua.asps" : "diameter.peers";
}

std::string_view a_protocol(std::string_view protocol) {
  return protocol == "m3ua" ? "an M3UA" : protocol == "diameter" ? "a Diameter" : "another";
}

std::string addresses_of(const admin::Peer& peer) {
  return peer.configured_address().empty()
             ? "any address"
             : fmt::format("{}", fmt::join(peer.configured_address(), ", "));
}

// --- An association -----------------------------------------------------------------------------

void say_placement(const admin::Association& one, std::int64_t now, Text& into) {
  const std::uint64_t id = one.id();
  switch (one.placement()) {
    case admin::PEELED:
      return into.say(
          "Association {} was peeled onto a socket of its own {} ago, because of {} ({} "
          "messages/s).",
          id, age_text(now - one.peeled_unix_ms()), one.peel_reason(),
          rate_text(one.peeled_at_messages_per_second()));
    case admin::SHARED:
      return into.say("Association {} shares the socket of the endpoint {}.", id, one.endpoint());
    default:
      return into.say("Association {} is a connection over {}, with a socket of its own.", id,
                      one.transport());
  }
}

void say_association(const admin::Association& one, std::int64_t now, Text& into) {
  say_placement(one, now, into);
  into.say("It is {} for {}, on shard {}, from {} to {}.", one.state(),
           age_text(now - one.opened_unix_ms()), one.shard(), one.local(), one.remote());
  if (!one.detail().empty()) into.say("Detail: {}.", one.detail());
  into.say(
      "It receives {} and sends {} messages/s. 99% of its messages stay in the node for at "
      "most {} ms.",
      rate_text(one.messages_in_per_second()), rate_text(one.messages_out_per_second()),
      one.residence_count() > 0 ? latency_text(one.residence_p99_ns()) : "-");
  if (one.congested()) {
    into.say("It is congested: {} messages wait to be sent. The peer, or the path to it, is slow.",
             one.queued_messages());
  }
}

// --- A peer -------------------------------------------------------------------------------------

void say_direction(const admin::Peer& peer, std::int64_t now, Text& into) {
  if (peer.connect_from().empty()) {
    return into.say("The peer connects to this node, from {}.", addresses_of(peer));
  }
  into.say("This node connects to the peer, from the endpoint {} to {}, port {}.",
           peer.connect_from(), addresses_of(peer), peer.configured_port());
  for (const auto& link : peer.link()) {
    if (link.state() == "connecting") into.say("An attempt to connect is under way.");
    if (link.next_connect_unix_ms() > now) {
      into.say("The next attempt is in {}.", age_text(link.next_connect_unix_ms() - now));
    }
  }
}

void say_orders(const admin::Peer& peer, std::int64_t now, Text& into) {
  if (peer.blocked()) {
    into.say(
        "It is blocked by the operator and gets no traffic; `siglanectl unblock {}` ends that.",
        peer.name());
  }
  if (peer.held_off_until_unix_ms() > now) {
    into.say("The peer has asked this node not to connect until {}Z.",
             utc_seconds(peer.held_off_until_unix_ms()));
  }
}

void say_what_brings_up(const admin::Peer& peer, std::int64_t now, Text& into) {
  if (peer.disconnected()) {
    return into.say("It is disconnected by the operator. To bring it up: `siglanectl connect {}`.",
                    peer.name());
  }
  if (peer.connect_from().empty()) {
    return into.say(
        "To bring it up: the peer must connect. `siglanectl facts` has peer_refused and "
        "strangers_seen if it tries and is refused.");
  }
  if (peer.held_off_until_unix_ms() > now) {
    return into.say("To bring it up before that: `siglanectl connect {}`.", peer.name());
  }
  into.say("To bring it up: {} node must answer at {}, port {}.", a_protocol(peer.protocol()),
           addresses_of(peer), peer.configured_port());
}

void say_peer(const Findings& found, Text& into) {
  const admin::Peer& peer = *found.peer;
  const std::int64_t now = found.now_unix_ms;
  const bool is_connected = peer.connection_size() > 0;
  const std::string since = peer.state_since_unix_ms() > 0
                                ? "for " + age_text(now - peer.state_since_unix_ms())
                                : "since the node's start";
  if (peer.configured()) {
    into.say("{} is {} peer of {}.", peer.name(), a_protocol(peer.protocol()), list_of(peer));
  } else {
    into.say("{} is {} peer that the config does not have.", peer.name(),
             a_protocol(peer.protocol()));
  }
  into.say("It is {} {}.", is_connected ? "connected (" + peer.state() + ")" : "down", since);
  if (peer.configured()) say_direction(peer, now, into);
  say_orders(peer, now, into);
  if (!peer.last_cause().empty()) {
    into.say("The last cause, {} ago: {}.", age_text(now - peer.last_cause_unix_ms()),
             peer.last_cause());
  }
  if (!is_connected) say_what_brings_up(peer, now, into);
}

// --- An Application Server ----------------------------------------------------------------------

void say_asp(const admin::ApplicationServer::Asp& asp, Text& into) {
  if (asp.state() == "ASP-ACTIVE") {
    into.say("{} is ASP-ACTIVE.", asp.name());
  } else if (asp.state() == "ASP-INACTIVE") {
    into.say("{} is ASP-INACTIVE: it must send ASPAC.", asp.name());
  } else {
    into.say("{} is {}: it must send ASPUP. `siglanectl explain {}` says more.", asp.name(),
             asp.state(), asp.name());
  }
}

void say_server(const admin::ApplicationServer& server, Text& into) {
  const auto active =
      std::ranges::count(server.asp(), "ASP-ACTIVE", [](const auto& asp) { return asp.state(); });
  into.say("{} is an Application Server of m3ua.application_servers, with routing context {}.",
           server.name(), server.routing_context());
  into.say("It is {}: {} of its {} ASPs are active, and {} must be.", server.state(), active,
           server.asp_size(), server.active_asps_min());
  if (server.held_messages() > 0) {
    into.say("{} messages wait for an active ASP.", server.held_messages());
  }
  for (const auto& asp : server.asp()) say_asp(asp, into);
}

// --- What the node has --------------------------------------------------------------------------

std::optional<std::uint64_t> number_of(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789") != text.npos || text.size() > 19) {
    return std::nullopt;
  }
  return std::stoull(text);
}

}  // namespace

Result<Findings> find(NodeLink& node, const std::string& name, Duration timeout) {
  Findings found;
  bool any = false;
  // true: there is such a thing.
  const auto ask = [&](const admin::Request& request, auto take) -> Result<void> {
    auto response = node.find(request, timeout);
    if (!response) return tl::unexpected(response.error());
    if (!*response) return {};
    found.node = (*response)->node();
    found.now_unix_ms = (*response)->time_unix_ms();
    any = take(**response) || any;
    return {};
  };
  const auto take_associations = [&](const admin::Response& response) {
    const auto& all = response.associations().association();
    found.associations.assign(all.begin(), all.end());
    return !found.associations.empty();
  };
  admin::Request request;
  if (const auto id = number_of(name); id && *id != 0) {
    request.mutable_associations()->set_id(*id);
    if (auto good = ask(request, take_associations); !good) return tl::unexpected(good.error());
  }
  request.mutable_peers()->set_name(name);
  auto good = ask(request, [&](const admin::Response& response) {
    if (response.peers().peer_size() == 0) return false;
    found.peer = response.peers().peer(0);
    return true;
  });
  if (!good) return tl::unexpected(good.error());
  if (found.peer) {
    request.mutable_associations()->set_peer(name);
    if (good = ask(request, take_associations); !good) return tl::unexpected(good.error());
  }
  request.mutable_application_servers();
  good = ask(request, [&](const admin::Response& response) {
    const auto& all = response.application_servers().application_server();
    const auto one = std::ranges::find(all, name, [](const auto& server) { return server.name(); });
    if (one == all.end()) return false;
    found.server = *one;
    return true;
  });
  if (!good) return tl::unexpected(good.error());
  if (any) return found;
  return failure(fmt::format("{}: no peer, Application Server or association is called {}",
                             node.name(), runtime::in_quotes(name)));
}

std::string explanation(const Findings& findings) {
  Text text;
  if (findings.peer) say_peer(findings, text);
  for (const admin::Association& one : findings.associations) {
    say_association(one, findings.now_unix_ms, text);
  }
  if (findings.server) say_server(*findings.server, text);
  return text.text();
}

}  // namespace siglane::ctl
