#include <algorithm>
#include <vector>

#include "apps/ctl/view_parts.h"
#include "apps/ctl/views.h"

namespace siglane::ctl {
namespace {

using Connection = admin::Peer::Connection;
using Link = admin::Peer::Link;

// "blocked by the operator; 2m05s ago: connect failed: Connection refused"
std::string cause_text(const admin::Peer& peer, std::int64_t now_unix_ms) {
  std::vector<std::string> parts;
  if (peer.disconnected()) parts.push_back("disconnected by the operator");
  if (peer.blocked()) parts.push_back("blocked by the operator");
  if (peer.held_off_until_unix_ms() > now_unix_ms) {
    parts.push_back("held off until " + utc_seconds(peer.held_off_until_unix_ms()) + "Z");
  }
  if (!peer.last_cause().empty()) {
    parts.push_back(age_text(now_unix_ms - peer.last_cause_unix_ms()) +
                    " ago: " + peer.last_cause());
  }
  return parts.empty() ? "-" : fmt::format("{}", fmt::join(parts, "; "));
}

struct Line {
  std::string state, lasts, next = "-";
};

Line line_of(const Connection& connection, std::int64_t now_unix_ms) {
  return {or_dash(connection.state()), age_text(now_unix_ms - connection.since_unix_ms())};
}

// A link without a connection of its own is on the way to one.
Line line_of(const Link& link, const admin::Peer& peer, std::int64_t now_unix_ms) {
  Line line{"down", peer.connection_size() == 0 && peer.state_since_unix_ms() > 0
                        ? age_text(now_unix_ms - peer.state_since_unix_ms())
                        : "-"};
  if (link.state() == "connecting") {
    line.state = link.state();
    line.next = "now";
  } else if (link.next_connect_unix_ms() > 0) {
    line.next = "in " + age_text(link.next_connect_unix_ms() - now_unix_ms);
  }
  return line;
}

// Its connections, then the links that have none. At least one line.
std::vector<Line> lines_of(const admin::Peer& peer, std::int64_t now_unix_ms) {
  std::vector<Line> lines;
  for (const Connection& one : peer.connection()) lines.push_back(line_of(one, now_unix_ms));
  for (const Link& link : peer.link()) {
    if (link.state() == "waiting" || link.state() == "connecting") {
      lines.push_back(line_of(link, peer, now_unix_ms));
    }
  }
  if (lines.empty()) {
    const std::int64_t since = peer.state_since_unix_ms();
    lines.push_back({or_dash(peer.state()), since > 0 ? age_text(now_unix_ms - since) : "-"});
  }
  return lines;
}

std::string connects_text(const admin::Peer& peer) {
  if (!peer.configured()) return "unknown";
  return peer.connect_from().empty() ? "to us" : "from " + peer.connect_from();
}

}  // namespace

std::string peers_view(const std::vector<admin::Response>& nodes, std::size_t width_max) {
  Table table({{"NODE", false, 8},
               {"PEER", false, 12},
               {"PROTOCOL", false, 0, true},
               {"STATE", false, 8},
               {"FOR", true},
               {"PIN", false, 0, true},
               {"CONNECTS", false, 10},
               {"NEXT"},
               {"ADDRESSES", false, 15, true},
               {"LAST CAUSE", false, 20}});
  for (const admin::Response& node : nodes) {
    for (const admin::Peer& peer : node.peers().peer()) {
      bool first = true;
      for (const Line& line : lines_of(peer, node.time_unix_ms())) {
        table.add({node.node(), peer.name(), peer.protocol(), line.state, line.lasts,
                   peer.configured() ? peer.pin() : "-", connects_text(peer), line.next,
                   list_text(peer.configured_address()),
                   first ? cause_text(peer, node.time_unix_ms()) : ""});
        first = false;
      }
    }
  }
  return finish(std::move(table), nodes.size(), width_max);
}

}  // namespace siglane::ctl
