#include "apps/ctl/views.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "apps/ctl/view_parts.h"
#include "apps/runtime/admin/json.h"

namespace siglane::ctl {

namespace {

std::string utc(std::int64_t unix_ms) {
  return fmt::format("{}.{:03}Z", utc_seconds(unix_ms), unix_ms % 1000);
}

std::string placement_text(const admin::Association& row) {
  switch (row.placement()) {
    case admin::SHARED:
      return "shared";
    case admin::PEELED:
      return "peeled";
    case admin::DEDICATED:
      return "own";
    default:
      return "-";
  }
}

// As in a node's log: in quotes where a blank or a mark of the line itself would mislead.
std::string shown_value(const std::string& value) {
  if (value.find_first_of(" =\"\\") == value.npos) return shown(value);
  return '"' + runtime::printable(value, "\"") + '"';
}

struct Row {
  const admin::Response* node;
  const admin::Association* association;
};

// Peeled ones on top, then by name, so that a live table does not jump.
std::vector<Row> sorted_rows(const std::vector<admin::Response>& nodes) {
  std::vector<Row> rows;
  for (const admin::Response& node : nodes) {
    for (const auto& row : node.associations().association()) rows.push_back({&node, &row});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    const auto key = [](const Row& row) {
      return std::tuple(row.association->placement() != admin::PEELED,
                        std::string_view(row.node->node()),
                        std::string_view(row.association->peer()), row.association->id());
    };
    return key(a) < key(b);
  });
  return rows;
}

std::string summary(const std::vector<Row>& rows) {
  std::size_t peeled = 0, shared = 0, own = 0;
  double in = 0, out = 0;
  for (const Row& row : rows) {
    peeled += row.association->placement() == admin::PEELED;
    shared += row.association->placement() == admin::SHARED;
    own += row.association->placement() == admin::DEDICATED;
    in += row.association->messages_in_per_second();
    out += row.association->messages_out_per_second();
  }
  return fmt::format("{} associations: {} peeled, {} shared{}; {} messages/s in, {} out\n",
                     rows.size(), peeled, shared, own > 0 ? fmt::format(", {} own", own) : "",
                     rate_text(in), rate_text(out));
}

// "application=S6a command=Update-Location"
std::string labels_text(const admin::Counter& counter) {
  std::string text;
  for (const auto& label : counter.label()) {
    text += (text.empty() ? "" : " ") + label.name() + "=" + shown_value(label.value());
  }
  return text;
}

// What a node's counters were in the frame before, unless it was restarted since. A row that was
// not there was 0.
class EarlierValues {
 public:
  EarlierValues(const admin::Response& node, const std::vector<admin::Response>& earlier) {
    const auto before = std::find_if(earlier.begin(), earlier.end(), [&](const auto& other) {
      return other.node() == node.node() &&
             other.stats().started_unix_ms() == node.stats().started_unix_ms();
    });
    if (before == earlier.end() || before->time_unix_ms() >= node.time_unix_ms()) return;
    seconds_ = static_cast<double>(node.time_unix_ms() - before->time_unix_ms()) / 1000;
    for (const admin::Counter& row : before->stats().counter()) values_[key_of(row)] = row.value();
  }

  bool known() const { return seconds_ > 0; }
  double rate_of(const admin::Counter& counter) const {
    const auto before = values_.find(key_of(counter));
    const std::uint64_t value = before == values_.end() ? 0 : before->second;
    return static_cast<double>(counter.value() - value) / seconds_;
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;
  static Key key_of(const admin::Counter& counter) {
    return {counter.name(), counter.peer(), labels_text(counter)};
  }

  std::map<Key, std::uint64_t> values_;
  double seconds_ = 0;
};

struct CounterRow {
  const admin::Response* node;
  const admin::Counter* counter;
  std::optional<double> rate;
  double rate_of_peer = 0;  // messages per second, in and out
};

// Those to show. Where it is known how fast they grow, the peers with most messages are the first:
// of many, a screen shows no more.
std::vector<CounterRow> counter_rows(const std::vector<admin::Response>& nodes, bool all,
                                     const std::vector<admin::Response>& earlier) {
  std::vector<CounterRow> rows;
  for (const admin::Response& node : nodes) {
    const EarlierValues before(node, earlier);
    std::map<std::string_view, double> peers;
    const std::size_t first = rows.size();
    for (const admin::Counter& counter : node.stats().counter()) {
      // What a peer has no count of may be a counter of the node alone.
      if (counter.value() == 0 && (!all || !counter.peer().empty())) continue;
      CounterRow row{&node, &counter, std::nullopt};
      if (before.known()) row.rate = before.rate_of(counter);
      if (row.rate && counter.name().starts_with("messages.")) peers[counter.peer()] += *row.rate;
      rows.push_back(row);
    }
    for (std::size_t i = first; i < rows.size(); ++i) {
      if (const std::string& peer = rows[i].counter->peer(); !peer.empty()) {
        rows[i].rate_of_peer = peers[peer];
      }
    }
  }
  std::ranges::stable_sort(rows, std::ranges::greater{}, &CounterRow::rate_of_peer);
  return rows;
}

}  // namespace

std::string age_text(std::int64_t milliseconds) {
  const std::int64_t s = std::max<std::int64_t>(0, milliseconds) / 1000;
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86400, s / 3600 % 24);
}

std::string latency_text(std::uint64_t nanoseconds) {
  const double ms = static_cast<double>(nanoseconds) / 1e6;
  return fmt::format("{:.{}f}", ms, ms < 0.9995 ? 3 : ms < 9.995 ? 2 : ms < 99.95 ? 1 : 0);
}

std::string rate_text(double per_second) {
  if (per_second < 0.05) return "0";
  return per_second < 9.95 ? fmt::format("{:.1f}", per_second) : fmt::format("{:.0f}", per_second);
}

std::string associations_view(const std::vector<admin::Response>& nodes, std::size_t width_max) {
  Table table({{"NODE", false, 8},
               {"PEER", false, 12},
               {"STATE", false, 8},
               {"PLACED"},
               {"WHY", false, 8},
               {"SINCE", true},
               {"IN/s", true},
               {"OUT/s", true},
               {"p50 ms", true},
               {"p99 ms", true},
               {"QUEUE", true, 0, true},
               {"PENDING", true, 0, true},
               {"SHARD", true, 0, true},
               {"TRANSPORT", false, 6, true},
               {"REMOTE", false, 12, true},
               {"AGE", true, 0, true}});
  const std::vector<Row> rows = sorted_rows(nodes);
  for (const auto& [node, row] : rows) {
    const bool peeled = row->placement() == admin::PEELED;
    const bool timed = row->residence_count() > 0;
    table.add({node->node(), or_dash(row->peer()), or_dash(row->state()), placement_text(*row),
               or_dash(row->peel_reason()),
               peeled ? age_text(node->time_unix_ms() - row->peeled_unix_ms()) : "-",
               rate_text(row->messages_in_per_second()), rate_text(row->messages_out_per_second()),
               timed ? latency_text(row->residence_p50_ns()) : "-",
               timed ? latency_text(row->residence_p99_ns()) : "-",
               fmt::format("{}{}", row->queued_messages(), row->congested() ? "!" : ""),
               fmt::format("{}", row->pending()), fmt::format("{}", row->shard()), row->transport(),
               row->remote(), age_text(node->time_unix_ms() - row->opened_unix_ms())});
  }
  return finish(std::move(table), nodes.size(), width_max) + summary(rows);
}

std::string stats_view(const std::vector<admin::Response>& nodes, bool all,
                       const std::vector<admin::Response>& earlier, std::size_t width_max) {
  Table table({{"NODE", false, 8},
               {"PEER", false, 12},
               {"COUNTER"},
               {"LABELS"},
               {"VALUE", true},
               {"PER SECOND", true}});
  bool any = false, rates = false, peers = false, labels = false;
  std::string empty_peer;
  for (const admin::Response& node : nodes) {
    for (const admin::Counter& counter : node.stats().counter()) {
      if (counter.value() == 0 && !counter.peer().empty()) empty_peer = counter.peer();
    }
  }
  for (const CounterRow& row : counter_rows(nodes, all, earlier)) {
    any = true;
    rates = rates || row.rate;
    peers = peers || !row.counter->peer().empty();
    labels = labels || row.counter->label_size() > 0;
    table.add({row.node->node(), row.counter->peer(), row.counter->name(),
               labels_text(*row.counter), fmt::format("{}", row.counter->value()),
               row.rate ? rate_text(*row.rate) : "-"});
  }
  if (!any && !empty_peer.empty()) {
    return "nothing has been counted for " + shown(empty_peer) + " yet\n";
  }
  if (!rates) table.drop("PER SECOND");
  if (!peers) table.drop("PEER");
  if (!labels) table.drop("LABELS");
  return finish(std::move(table), nodes.size(), width_max);
}

// The most recent on top: what goes wrong now is what an operator looks for.
std::string drops_view(const std::vector<admin::Response>& nodes, std::size_t width_max) {
  struct DropRow {
    const admin::Response* node;
    const admin::Drop* drop;
    std::int64_t age_ms() const { return node->time_unix_ms() - drop->last_unix_ms(); }
  };
  std::vector<DropRow> rows;
  for (const admin::Response& node : nodes) {
    for (const admin::Drop& drop : node.drops().drop()) rows.push_back({&node, &drop});
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const DropRow& a, const DropRow& b) { return a.age_ms() < b.age_ms(); });
  Table table({{"NODE", false, 8},
               {"REASON"},
               {"PEER", false, 12},
               {"COUNT", true},
               {"LAST", true},
               {"WHAT", false, 20},
               {"LAST EXAMPLE", false, 20}});
  for (const DropRow& row : rows) {
    table.add({row.node->node(), row.drop->reason(), or_dash(row.drop->peer()),
               fmt::format("{}", row.drop->count()), age_text(row.age_ms()), row.drop->what(),
               or_dash(row.drop->example())});
  }
  return finish(std::move(table), nodes.size(), width_max);
}

std::string facts_view(const std::vector<admin::Response>& nodes) {
  struct Line {
    const admin::Response* node;
    const admin::Fact* fact;
  };
  std::vector<Line> lines;
  for (const admin::Response& node : nodes) {
    for (const admin::Fact& fact : node.facts().fact()) lines.push_back({&node, &fact});
  }
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return a.fact->unix_ms() < b.fact->unix_ms();
  });
  std::string text;
  for (const auto& [node, fact] : lines) {
    text += utc(fact->unix_ms());
    if (nodes.size() > 1) text += " " + shown(node->node());
    text += fmt::format(" {} {}", shown(fact->severity()), shown(fact->kind()));
    if (fact->association() != 0) text += fmt::format(" association={}", fact->association());
    bool named = fact->peer().empty();
    for (const auto& field : fact->field()) named = named || field.key() == "peer";
    if (!named) text += " peer=" + shown_value(fact->peer());
    for (const auto& field : fact->field()) {
      text += fmt::format(" {}={}", shown(field.key()), shown_value(field.value()));
    }
    text += "\n";
  }
  return text;
}

std::string command_view(const std::vector<admin::Response>& nodes) {
  std::string text;
  for (const admin::Response& node : nodes) {
    if (nodes.size() > 1) text += node.node() + ":\n";
    switch (node.what_case()) {
      case admin::Response::kReloaded:
        text += node.reloaded().text();
        if (!text.ends_with('\n')) text += '\n';
        break;
      case admin::Response::kOrdered:
        text += fmt::format("done; it concerns {} association{}\n", node.ordered().associations(),
                            node.ordered().associations() == 1 ? "" : "s");
        break;
      default:
        text += "done\n";
        break;
    }
  }
  return text;
}

std::string names_view(const std::vector<admin::Response>& nodes) {
  std::string text;
  for (const admin::Response& node : nodes) {
    for (const auto& peer : node.peers().peer()) text += shown(peer.name()) + "\n";
    for (const auto& server : node.application_servers().application_server()) {
      text += shown(server.name()) + "\n";
    }
  }
  return text;
}

std::string json_view(const std::vector<admin::Response>& nodes) {
  std::string text;
  for (const admin::Response& node : nodes) text += runtime::to_json(node) + "\n";
  return text;
}

}  // namespace siglane::ctl
