#include "apps/runtime/admin/stats.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "apps/runtime/node.h"
#include "apps/runtime/printable.h"
#include "apps/runtime/program.h"

namespace siglane::runtime {
namespace {

constexpr std::string_view kOthers = "(others)";

std::vector<const CounterInfo*> counters_by_name() {
  std::vector<const CounterInfo*> counters;
  for (const CounterInfo& counter : counter_catalogue()) counters.push_back(&counter);
  std::ranges::sort(counters, {}, &CounterInfo::name);
  return counters;
}

admin::Counter& add(const CounterInfo& counter, std::uint64_t value, admin::Stats& into) {
  admin::Counter& row = *into.add_counter();
  row.set_name(counter.name);
  row.set_value(value);
  return row;
}

// --- By peer ----------------------------------------------------------------------------------

using PeerRows = std::map<std::string, SparseCounts, std::less<>>;

void add_up(const SparseCounts& counts, SparseCounts& into) {
  for (const auto& [index, count] : counts.entries()) into.add(index, count);
}

// First the associations' own counts are added to their peers'.
class PeersStep {
 public:
  PeersStep(const Shard& shard, std::shared_ptr<PeerRows> into)
      : shard_(&shard), into_(std::move(into)) {}

  bool operator()() {
    if (more_traffic_) {
      more_traffic_ = shard_->add_up_traffic(traffic_);
      return true;
    }
    last_ = shard_->peer_counts().next(last_);
    if (last_ != nullptr) add_up(last_->second, (*into_)[last_->first]);
    return last_ != nullptr;
  }

 private:
  const Shard* shard_;
  std::shared_ptr<PeerRows> into_;
  TableWalk traffic_;
  bool more_traffic_ = true;
  const PeerCounts::Row* last_ = nullptr;
};

void add_peers(const PeerRows& peers, admin::Stats& into) {
  const auto counters = counters_by_name();
  for (const auto& [peer, counts] : peers) {
    for (const CounterInfo* counter : counters) {
      const std::uint64_t value = counts.get(counter->counter.index());
      if (value != 0) add(*counter, value, into).set_peer(printable(peer));
    }
  }
}

void add_peer(const std::string& peer, const SparseCounts& counts, admin::Stats& into) {
  for (const CounterInfo* counter : counters_by_name()) {
    admin::Counter& row = add(*counter, counts.get(counter->counter.index()), into);
    row.set_peer(printable(peer));
    row.set_help(counter->help);
  }
}

// --- By label ---------------------------------------------------------------------------------

using LabelValues = std::vector<std::uint32_t>;  // empty: the others
using LabelRows = std::vector<std::pair<std::pair<std::size_t, LabelValues>, std::uint64_t>>;
using LabelSums = std::map<std::pair<std::size_t, LabelValues>, std::uint64_t>;

// Between two messages of the shard: only copies.
void collect_labels(const Shard& shard, LabelRows& into) {
  shard.counters().labelled().visit([&into](const CounterInfo& counter,
                                            std::span<const std::uint32_t> values,
                                            std::uint64_t count) {
    into.push_back({{counter.counter.index(), {values.begin(), values.end()}}, count});
  });
}

void add_labels(const CounterInfo& counter, const LabelValues& values, std::uint64_t count,
                admin::Stats& into) {
  admin::Counter& row = add(counter, count, into);
  for (std::size_t i = 0; i < counter.labels.size(); ++i) {
    const Label& label = counter.labels[i];
    admin::Counter::Label& shown = *row.add_label();
    shown.set_name(std::string(label.name));
    shown.set_value(values.empty()          ? std::string(kOthers)
                    : label.text == nullptr ? std::to_string(values[i])
                                            : printable(label.text(values[i])));
  }
}

// By the labels' numbers, and the others last.
void add_labels(const CounterInfo& counter, const LabelSums& sums, admin::Stats& into) {
  const std::size_t index = counter.counter.index();
  for (auto it = sums.upper_bound({index, {}}); it != sums.end() && it->first.first == index;
       ++it) {
    add_labels(counter, it->first.second, it->second, into);
  }
  const auto others = sums.find({index, {}});
  if (others != sums.end()) add_labels(counter, {}, others->second, into);
}

void add_node(const Node& node, const LabelRows& labelled, admin::Stats& into) {
  LabelSums sums;
  for (const auto& [key, count] : labelled) sums[key] += count;
  for (const CounterInfo* counter : counters_by_name()) {
    add(*counter, node.count(counter->counter), into).set_help(counter->help);
    add_labels(*counter, sums, into);
  }
}

void answer_all_peers(Node& node, const std::shared_ptr<admin::Response>& response,
                      const std::function<void()>& done) {
  auto rows = std::make_shared<PeerRows>();
  const auto join = [rows, response] {
    add_peers(*rows, *response->mutable_stats());
    rows->clear();
  };
  node.walk([rows](const Shard& shard, const Transport&) { return PeersStep(shard, rows); },
            [&node, join, done] { node.beside(join, done); });
}

void answer_one_peer(Node& node, const std::string& peer,
                     const std::shared_ptr<admin::Response>& response,
                     const std::function<void()>& done) {
  auto counts = std::make_shared<std::optional<SparseCounts>>();
  node.walk(
      [counts, peer](const Shard& shard, const Transport&) {
        return [&shard, counts, peer, walk = TableWalk()]() mutable {
          if (shard.add_up_traffic(walk)) return true;
          if (const SparseCounts* here = shard.peer_counts().find(peer)) {
            if (!*counts) counts->emplace();
            add_up(*here, **counts);
          }
          return false;
        };
      },
      [&node, counts, peer, response, done] {
        if (*counts || node.config().peer(peer) != nullptr) {
          add_peer(peer, counts->value_or(SparseCounts()), *response->mutable_stats());
        } else {
          refuse(*response, fmt::format("no peer is called {}; `siglanectl peers` lists the names",
                                        in_quotes(peer)));
        }
        done();
      });
}

}  // namespace

void answer_stats(Node& node, const admin::StatsRequest& request,
                  std::shared_ptr<admin::Response> response,
                  std::function<void(admin::Response)> reply) {
  admin::Stats& stats = *response->mutable_stats();
  stats.set_started_unix_ms(node.started_unix_ms());
  stats.set_version(version());
  const auto done = [response, reply = std::move(reply)] { reply(std::move(*response)); };
  if (request.by_peer()) return answer_all_peers(node, response, done);
  if (!request.peer().empty()) return answer_one_peer(node, request.peer(), response, done);
  auto rows = std::make_shared<LabelRows>();
  const auto join = [&node, rows, response] { add_node(node, *rows, *response->mutable_stats()); };
  if (!request.labels()) {
    join();
    return done();
  }
  node.on_each_shard([rows](const Shard& shard, const Transport&) { collect_labels(shard, *rows); },
                     [&node, join, done] { node.beside(join, done); });
}

}  // namespace siglane::runtime
