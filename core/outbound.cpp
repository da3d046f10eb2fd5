#include "core/outbound.h"

#include <utility>

namespace siglane {

std::deque<Letter>& Outbound::waiting_for(ShardId shard) {
  const auto index = static_cast<std::size_t>(shard);
  if (waiting_.size() <= index) waiting_.resize(index + 1);
  return waiting_[index];
}

bool Outbound::post(ShardId to, Delivery& delivery) {
  const Carriage carriage = delivery.parcel->carriage();
  if (carriage == Carriage::control) {
    post_control(to, std::move(delivery));
    return true;
  }
  std::deque<Letter>& waiting = waiting_for(to);
  if (waiting.empty() && directory_.mailbox_of(to)->post_data(delivery, &own_)) return true;
  counters_.add(Counter::mailbox_full);
  if (carriage == Carriage::unordered) return false;
  if (waiting.size() >= kWaitingMax) {
    counters_.add(Counter::parcels_lost);
    delivery.parcel.reset();
    return true;
  }
  waiting.emplace_back(std::move(delivery));
  ++waiting_count_;
  return true;
}

void Outbound::post_control(ShardId to, Letter letter) {
  std::deque<Letter>& waiting = waiting_for(to);
  if (waiting.empty()) return directory_.mailbox_of(to)->post_control(std::move(letter));
  waiting.push_back(std::move(letter));
  ++waiting_count_;
}

void Outbound::send_waiting() {
  if (waiting_count_ == 0) return;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    std::deque<Letter>& waiting = waiting_[i];
    while (!waiting.empty()) {
      Mailbox& mailbox = *directory_.mailbox_of(static_cast<ShardId>(i));
      auto* delivery = std::get_if<Delivery>(&waiting.front());
      if (delivery != nullptr && delivery->parcel->carriage() != Carriage::control) {
        if (!mailbox.post_data(*delivery, &own_)) break;
      } else {
        mailbox.post_control(std::move(waiting.front()));
      }
      waiting.pop_front();
      --waiting_count_;
    }
  }
}

bool Outbound::anything_from(AssociationId id) const {
  if (waiting_count_ == 0) return false;
  for (const auto& waiting : waiting_) {
    for (const Letter& letter : waiting) {
      const auto* delivery = std::get_if<Delivery>(&letter);
      if (delivery != nullptr && delivery->from == id) return true;
    }
  }
  return false;
}

}  // namespace siglane
