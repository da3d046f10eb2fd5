#include "core/outbound.h"

#include <utility>

namespace siglane {

Outbound::Waiting& Outbound::waiting_for(ShardId shard) {
  const auto index = static_cast<std::size_t>(shard);
  if (waiting_.size() <= index) waiting_.resize(index + 1);
  return waiting_[index];
}

Outbound::Outcome Outbound::post(ShardId to, Delivery& delivery) {
  const Carriage carriage = delivery.parcel->carriage();
  Waiting& waiting = waiting_for(to);
  if (carriage == Carriage::control) {
    if (!waiting.letters.empty()) {
      post_control(to, std::move(delivery));
      return Outcome::waits;
    }
    const bool few = directory_.mailbox_of(to)->post_control(delivery, &own_);
    return few ? Outcome::sent : Outcome::waits;
  }
  if (waiting.letters.empty() && directory_.mailbox_of(to)->post_data(delivery, &own_)) {
    return Outcome::sent;
  }
  counters_.add(counter::mailbox_full);
  if (carriage == Carriage::unordered) return Outcome::refused;
  const std::size_t bytes = delivery.parcel->bytes_held();
  if (!waiting.data.has_room(budget_, bytes)) {
    counters_.add(counter::parcels_lost);
    return Outcome::lost;
  }
  waiting.data.add(bytes);
  waiting.letters.emplace_back(std::move(delivery));
  ++waiting_count_;
  return Outcome::waits;
}

void Outbound::post_control(ShardId to, Letter letter) {
  Waiting& waiting = waiting_for(to);
  if (waiting.letters.empty()) return directory_.mailbox_of(to)->post_control(std::move(letter));
  waiting.letters.push_back(std::move(letter));
  ++waiting_count_;
}

void Outbound::send_waiting() {
  if (waiting_count_ == 0) return;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    Waiting& waiting = waiting_[i];
    Mailbox* mailbox = directory_.mailbox_of(static_cast<ShardId>(i));
    while (!waiting.letters.empty()) {
      Letter& next = waiting.letters.front();
      auto* delivery = std::get_if<Delivery>(&next);
      if (delivery != nullptr && delivery->parcel->carriage() != Carriage::control) {
        const std::size_t bytes = delivery->parcel->bytes_held();
        if (!mailbox->post_data(*delivery, &own_)) break;
        waiting.data.remove(bytes);
      } else {
        mailbox->post_control(std::move(next));
      }
      waiting.letters.pop_front();
      ++waiting.left;
      --waiting_count_;
    }
  }
}

bool Outbound::has_ample_room(ShardId shard) const {
  const auto index = static_cast<std::size_t>(shard);
  if (index >= waiting_.size()) return true;
  const DataWaiting& data = waiting_[index].data;
  return data.parcels <= budget_.parcels_max / 8 && data.bytes <= budget_.bytes_max / 8;
}

Outbound::Posted Outbound::posted() const {
  Posted posted;
  for (const Waiting& waiting : waiting_) posted.push_back(waiting.left + waiting.letters.size());
  return posted;
}

bool Outbound::is_out(const Posted& posted) const {
  for (std::size_t i = 0; i < posted.size(); ++i) {
    if (waiting_[i].left < posted[i]) return false;
  }
  return true;
}

bool Outbound::anything_from(AssociationId id) const {
  if (waiting_count_ == 0) return false;
  for (const Waiting& waiting : waiting_) {
    for (const Letter& letter : waiting.letters) {
      const auto* delivery = std::get_if<Delivery>(&letter);
      if (delivery != nullptr && delivery->from == id) return true;
    }
  }
  return false;
}

}  // namespace siglane
