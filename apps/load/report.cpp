#include "apps/load/report.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace siglane::load {
namespace {

using Json = nlohmann::ordered_json;

double per_second(std::uint64_t count, Duration over) {
  return over > Duration::zero() ? static_cast<double>(count) / seconds(over) : 0;
}

double rounded(double value) {
  return static_cast<double>(static_cast<std::int64_t>(value * 10 + 0.5)) / 10;
}

Json to_json(const Latency& latency) {
  return Json{{"count", latency.count()},
              {"mean", rounded(latency.mean_us())},
              {"p50", rounded(latency.quantile_us(0.5))},
              {"p90", rounded(latency.quantile_us(0.9))},
              {"p99", rounded(latency.quantile_us(0.99))},
              {"p99_9", rounded(latency.quantile_us(0.999))},
              {"max", rounded(latency.max_us())}};
}

Json to_json(const Tally& tally, Duration lasted) {
  Json results = Json::object();
  for (const auto& [code, times] : tally.error_results) results[std::to_string(code)] = times;
  return Json{{"sent", tally.sent},
              {"answered", tally.answered},
              {"lost", tally.lost},
              {"timed_out", tally.timed_out},
              {"refused", tally.refused},
              {"unanswered", tally.unanswered},
              {"duplicated", tally.duplicated},
              {"out_of_order", tally.out_of_order},
              {"damaged", tally.damaged},
              {"skipped", tally.skipped},
              {"errors", tally.errors()},
              {"error_results", results},
              {"answered_per_second", rounded(per_second(tally.answered, lasted))},
              {"latency_us", to_json(tally.latency)},
              {"send_delay_us", to_json(tally.send_delay)}};
}

// 812 us, 3.1 ms, 2.40 s
std::string time_text(double us) {
  if (us < 1000) return fmt::format("{:.0f} us", us);
  if (us < 1e6) return fmt::format("{:.1f} ms", us / 1e3);
  return fmt::format("{:.2f} s", us / 1e6);
}

std::string row(const std::string& name, std::size_t peers, const Tally& tally, Duration lasted) {
  const Latency& latency = tally.latency;
  return fmt::format(
      "{:<12} {:>5} {:>10} {:>10} {:>6} {:>6} {:>6} {:>10.1f} {:>9} {:>9} {:>9} {:>9}\n", name,
      peers, tally.sent, tally.answered, tally.lost, tally.duplicated, tally.out_of_order,
      per_second(tally.answered, lasted), time_text(latency.quantile_us(0.5)),
      time_text(latency.quantile_us(0.99)), time_text(latency.quantile_us(0.999)),
      time_text(latency.max_us()));
}

void against(std::vector<std::string>& reasons, std::uint64_t count, std::string_view what) {
  if (count > 0) reasons.push_back(fmt::format("{} {}", count, what));
}

}  // namespace

Tally Report::total() const {
  Tally sum;
  for (const GroupTally& group : groups) sum.merge(group.tally);
  sum.duplicated += unmatched_answers - std::min(unmatched_answers, sum.timed_out);
  return sum;
}

std::vector<std::string> reasons_against(const Report& report) {
  std::vector<std::string> reasons;
  if (report.peers_up_most < report.peers) {
    reasons.push_back(
        fmt::format("only {} of {} peers came up", report.peers_up_most, report.peers));
  }
  const Tally total = report.total();
  if (total.answered == 0 && total.unanswered == 0) reasons.emplace_back("nothing was answered");
  against(reasons, total.lost, "lost");
  against(reasons, total.duplicated, "duplicated");
  against(reasons, total.out_of_order, "out of order");
  against(reasons, total.damaged, "damaged");
  if (!report.tolerate_reconnect) against(reasons, report.connections_lost, "connections lost");
  if (!report.tolerate_errors) against(reasons, total.errors(), "answered with an error");
  reasons.insert(reasons.end(), report.failures.begin(), report.failures.end());
  return reasons;
}

std::string to_json(const Report& report) {
  const std::vector<std::string> reasons = reasons_against(report);
  Json groups = Json::array();
  for (const GroupTally& group : report.groups) {
    Json object{{"name", group.name}, {"peers", group.peers}};
    object.update(to_json(group.tally, report.lasted));
    groups.push_back(std::move(object));
  }
  const Json json{{"protocol", report.protocol},
                  {"target", report.target},
                  {"transport", report.transport},
                  {"ok", reasons.empty()},
                  {"reasons", reasons},
                  {"interrupted", report.interrupted},
                  {"seed", report.seed},
                  {"lasted_s", rounded(seconds(report.lasted) * 100) / 100},
                  {"warm_up_s", rounded(seconds(report.warm_up) * 100) / 100},
                  {"peers",
                   {{"expected", report.peers},
                    {"up", report.peers_up_most},
                    {"connections_lost", report.connections_lost}}},
                  {"unmatched_answers", report.unmatched_answers},
                  {"total", to_json(report.total(), report.lasted)},
                  {"groups", std::move(groups)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_text(const Report& report) {
  std::string text =
      fmt::format("{} to {} over {}: {} of {} peers up, {:.1f} s of traffic{}\n", report.protocol,
                  report.target, report.transport, report.peers_up_most, report.peers,
                  seconds(report.lasted), report.interrupted ? ", interrupted" : "");
  text +=
      fmt::format("{:<12} {:>5} {:>10} {:>10} {:>6} {:>6} {:>6} {:>10} {:>9} {:>9} {:>9} {:>9}\n",
                  "group", "peers", "sent", report.judges_order ? "arrived" : "answered", "lost",
                  "dup", "order", "per s", "p50", "p99", "p99.9", "max");
  for (const GroupTally& group : report.groups) {
    text += row(group.name, group.peers, group.tally, report.lasted);
  }
  const Tally total = report.total();
  text += row("total", report.peers, total, report.lasted);
  if (total.skipped > 0) {
    text +=
        fmt::format("{} due but not sent (no connection, or the window was full)\n", total.skipped);
  }
  if (total.unanswered > 0) {
    text += fmt::format("{} unanswered when a connection broke\n", total.unanswered);
  }
  for (const auto& [code, times] : total.error_results) {
    text += fmt::format("{} answered with result {}\n", times, code);
  }
  const std::vector<std::string> reasons = reasons_against(report);
  if (reasons.empty()) return text + "ok\n";
  return text + fmt::format("FAILED: {}\n", fmt::join(reasons, "; "));
}

std::string progress_line(const Progress& now, const Progress& before) {
  const Tally& total = now.total;
  std::string line =
      fmt::format("{:.0f} s  peers {}/{}  {:.0f} per s  sent {}  answered {}  under way {}",
                  seconds(now.at), now.peers_up, now.peers,
                  per_second(total.answered - before.total.answered, now.at - before.at),
                  total.sent, total.answered, now.under_way);
  if (total.latency.count() > 0) {
    line += fmt::format("  p50 {}  p99 {}", time_text(total.latency.quantile_us(0.5)),
                        time_text(total.latency.quantile_us(0.99)));
  }
  if (total.lost > 0) line += fmt::format("  LOST {}", total.lost);
  if (total.duplicated > 0) line += fmt::format("  DUPLICATED {}", total.duplicated);
  if (total.out_of_order > 0) line += fmt::format("  OUT OF ORDER {}", total.out_of_order);
  return line;
}

}  // namespace siglane::load
