#include "apps/load/m3ua_traffic.h"

#include <algorithm>
#include <utility>

namespace siglane::load {

M3uaTraffic::M3uaTraffic(M3uaTrafficConfig config)
    : config_(std::move(config)), flows_(flows_of(config_.point_codes.size(), config_.sls_count)) {}

M3uaTraffic::Place M3uaTraffic::place_of(std::size_t flow) const {
  const std::size_t senders = config_.point_codes.size();
  return {.sender = flow / config_.sls_count / senders,
          .destination = flow / config_.sls_count % senders,
          .sls = static_cast<std::uint8_t>(flow % config_.sls_count)};
}

m3ua::MtpLabel M3uaTraffic::label_of(const Place& place) const {
  return {.opc = config_.point_codes[place.sender],
          .dpc = config_.point_codes[place.destination],
          .si = config_.service_indicator,
          .ni = config_.network_indicator,
          .mp = 0,
          .sls = place.sls};
}

bool M3uaTraffic::goes_to(const m3ua::AffectedPointCode& affected) const {
  return std::ranges::any_of(config_.point_codes,
                             [&](std::uint32_t code) { return affected.covers(code); });
}

std::unique_ptr<m3ua::DataParcel> M3uaTraffic::make(std::size_t sender, std::size_t bytes,
                                                    Instant due, Random& random, BufferPool& pool) {
  const std::size_t senders = config_.point_codes.size();
  M3uaTrafficConfig::Circle circle;
  if (!config_.circles.empty()) circle = config_.circles[sender];
  if (circle.count == 0) circle.count = senders;
  const std::size_t others = 1 + random.below(circle.count - 1);
  const std::size_t destination = circle.first + (sender - circle.first + others) % circle.count;
  const std::size_t sls = random.below(config_.sls_count);
  const std::size_t number = (sender * senders + destination) * config_.sls_count + sls;
  Flow& flow = flows_[number];

  BufferBuilder out(pool, bytes);
  write_payload(out,
                {.flow = static_cast<std::uint32_t>(number),
                 .sequence = flow.sent++,
                 .run = config_.run,
                 .sender = static_cast<std::uint32_t>(sender),
                 .due = due},
                bytes);
  return std::make_unique<m3ua::DataParcel>(label_of(place_of(number)), std::move(out).finish());
}

M3uaTraffic::Judgement M3uaTraffic::judge(const m3ua::DataParcel& data, std::size_t receiver) {
  const auto read = read_payload(data.user_data());
  if (!read) return {Verdict::damaged, 0, {}};
  const Stamp& stamp = read->stamp;
  if (read->is_long && stamp.run != config_.run) return {Verdict::foreign, 0, {}};
  if (stamp.flow >= flows_.size()) return {Verdict::damaged, 0, {}};
  const Place place = place_of(stamp.flow);
  Flow& flow = flows_[stamp.flow];
  const std::uint64_t sequence =
      read->is_long
          ? stamp.sequence
          : widen_sequence(static_cast<std::uint32_t>(stamp.sequence), flow.receiver.next());
  if (place.destination != receiver || sequence >= flow.sent ||
      (read->is_long && stamp.sender != place.sender) || data.label != label_of(place)) {
    return {Verdict::damaged, 0, {}};
  }
  const auto due = read->is_long ? std::optional(stamp.due) : std::nullopt;
  switch (flow.receiver.receive(sequence)) {
    case Arrival::in_order:
      return {Verdict::in_order, place.sender, due};
    case Arrival::out_of_order:
      return {Verdict::out_of_order, place.sender, due};
    case Arrival::duplicate:
      return {Verdict::duplicate, place.sender, due};
  }
  return {Verdict::damaged, 0, {}};
}

std::optional<std::size_t> M3uaTraffic::sender_of(const m3ua::DataParcel& data) const {
  const auto read = read_payload(data.user_data());
  if (!read || read->stamp.flow >= flows_.size()) return std::nullopt;
  return place_of(read->stamp.flow).sender;
}

std::uint64_t M3uaTraffic::lost(std::size_t sender) const {
  const std::size_t flows = config_.point_codes.size() * config_.sls_count;
  std::uint64_t lost = 0;
  for (std::size_t n = sender * flows; n < (sender + 1) * flows; ++n) {
    lost += flows_[n].receiver.lost(flows_[n].sent);
  }
  return lost;
}

}  // namespace siglane::load
