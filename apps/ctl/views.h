#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/ctl/table.h"
#include "proto/siglane/admin/v1/admin.pb.h"

namespace siglane::ctl {

namespace admin = siglane::admin::v1;

// One frame of output for the answers of one or several nodes; rows carry the node's name if there
// are several. Pure: the same answers, the same text.
std::string peers_view(const std::vector<admin::Response>& nodes,
                       std::size_t width_max = Table::kWidth);
std::string associations_view(const std::vector<admin::Response>& nodes,
                              std::size_t width_max = Table::kWidth);
// Counters that are not zero, or all; of a peer or with labels, if the answers have these. With the
// answers of an earlier frame: also their rates, and the peers with the most messages first.
std::string stats_view(const std::vector<admin::Response>& nodes, bool all,
                       const std::vector<admin::Response>& earlier,
                       std::size_t width_max = Table::kWidth);
// Rows of messages that were dropped or refused, the most recent first.
std::string drops_view(const std::vector<admin::Response>& nodes,
                       std::size_t width_max = Table::kWidth);
std::string facts_view(const std::vector<admin::Response>& nodes);
std::string application_servers_view(const std::vector<admin::Response>& nodes,
                                     std::size_t width_max = Table::kWidth);
std::string routes_view(const std::vector<admin::Response>& nodes,
                        std::size_t width_max = Table::kWidth);
// Which way a message would go, and why not another.
std::string route_lookup_view(const std::vector<admin::Response>& nodes,
                              std::size_t width_max = Table::kWidth);
// What came of a command.
std::string command_view(const std::vector<admin::Response>& nodes);

// Of peers, or Application Servers: a name to a line.
std::string names_view(const std::vector<admin::Response>& nodes);

// One JSON object a line, fields named as in the schema.
std::string json_view(const std::vector<admin::Response>& nodes);

// "7s", "3m04s", "2h10m", "3d04h"
std::string age_text(std::int64_t milliseconds);
// Milliseconds: "0.850", "1.20", "35.0", "1200"
std::string latency_text(std::uint64_t nanoseconds);
// "0", "0.4", "1234"
std::string rate_text(double per_second);

}  // namespace siglane::ctl
