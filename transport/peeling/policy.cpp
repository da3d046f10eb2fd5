#include "transport/peeling/policy.h"

#include <algorithm>

namespace siglane::transport {
namespace {

bool is_wedged(const SharedPressure& pressure) {
  return pressure.receive_memory_share >= kReceiveMemoryFull &&
         pressure.since_progress >= kWedgedAfter;
}

// How far beyond the threshold, by the measure that is exceeded most.
double loudness(const PeeloffSample& sample, const PeeloffLimits& limits) {
  const auto ratio = [](double value, double min) { return min > 0 ? value / min : 0; };
  return std::max(ratio(sample.rates.messages(), limits.messages_per_second_min),
                  ratio(sample.rates.bytes(), limits.bytes_per_second_min));
}

bool by_messages(const PeeloffSample& sample, const PeeloffLimits& limits) {
  return limits.messages_per_second_min > 0 &&
         sample.rates.messages() >= limits.messages_per_second_min;
}

class Chooser {
 public:
  Chooser(std::span<PeeloffSample> samples, const PeeloffLimits& limits, std::size_t peeled_now)
      : limits_(limits),
        room_(peeled_now < limits.peeled_max ? limits.peeled_max - peeled_now : 0),
        candidates_(samples) {
    drop([](const PeeloffSample& s) { return s.pin == Placement::never_peeled; });
  }

  void take_pinned() {
    take_all(PeeloffReason::pinned,
             [](const PeeloffSample& s) { return s.pin == Placement::always_peeled; });
  }

  // Whose fragments fill the memory is known only roughly, so more than one goes: half of all that
  // is held makes room enough for the others to move.
  void relieve_wedge() {
    sort([](const PeeloffSample& a, const PeeloffSample& b) {
      if (a.bytes_undelivered != b.bytes_undelivered) {
        return a.bytes_undelivered > b.bytes_undelivered;
      }
      return a.rates.bytes_in > b.rates.bytes_in;
    });
    std::uint64_t total = 0, gone = 0;
    for (const PeeloffSample& s : candidates_) total += s.bytes_undelivered;
    bool first = true;
    take_all(PeeloffReason::receive_wedge, [&](const PeeloffSample& s) {
      if (!first && gone * 2 >= total) return false;
      first = false;
      gone += s.bytes_undelivered;
      return true;
    });
  }

  // Many that are cut off at once may each hold little, and nobody else gets a message in: what one
  // of them leaves free, the others would fill.
  void take_most_clogged(bool send_blocked) {
    sort(
        [](const PeeloffSample& a, const PeeloffSample& b) { return a.bytes_held > b.bytes_held; });
    std::uint64_t total = 0, gone = 0;
    for (const PeeloffSample& s : candidates_) total += s.held_is_stuck ? s.bytes_held : 0;
    take_all(PeeloffReason::clogged, [&](const PeeloffSample& s) {
      if (!s.held_is_stuck || s.bytes_held == 0) return false;
      if (gone > 0 && (!send_blocked || gone * 2 >= total)) return false;
      gone += s.bytes_held;
      return true;
    });
  }

  void take_loud() {
    sort([&](const PeeloffSample& a, const PeeloffSample& b) {
      return loudness(a, limits_) > loudness(b, limits_);
    });
    const auto is_loud = [&](const PeeloffSample& s) {
      return loudness(s, limits_) >= 1 && s.above_threshold >= limits_.sustained_min &&
             s.age >= limits_.age_min;
    };
    take_all(PeeloffReason::message_rate, is_loud);
  }

  PeeloffChoice finish() && { return std::move(choice_); }

 private:
  // Among equals, the one with the lower identifier is first.
  template <class Before>
  void sort(Before before) {
    std::ranges::sort(candidates_, [&](const PeeloffSample& a, const PeeloffSample& b) {
      if (before(a, b)) return true;
      return !before(b, a) && a.id < b.id;
    });
  }

  // Those for whom `is` holds; asked once of each, in order.
  template <class Is>
  void drop(Is is) {
    std::size_t left = 0;
    for (PeeloffSample& sample : candidates_) {
      if (!is(sample)) candidates_[left++] = sample;
    }
    candidates_ = candidates_.first(left);
  }

  template <class Earns>
  void take_all(PeeloffReason reason, Earns earns) {
    drop([&](const PeeloffSample& sample) {
      if (!earns(sample)) return false;
      if (choice_.chosen.size() == room_) {
        ++choice_.starved;
        return true;
      }
      const bool byte_rate = reason == PeeloffReason::message_rate && !by_messages(sample, limits_);
      choice_.chosen.push_back({sample.id, byte_rate ? PeeloffReason::byte_rate : reason});
      return true;
    });
  }

  const PeeloffLimits& limits_;
  std::size_t room_;
  std::span<PeeloffSample> candidates_;
  PeeloffChoice choice_;
};

}  // namespace

PeeloffChoice choose_peeloffs(std::span<PeeloffSample> samples, const SharedPressure& pressure,
                              const PeeloffLimits& limits, std::size_t peeled_now) {
  Chooser chooser(samples, limits, peeled_now);
  chooser.take_pinned();
  if (limits.peeled_max > 0) {
    if (is_wedged(pressure)) chooser.relieve_wedge();
    if (is_send_tight(pressure)) chooser.take_most_clogged(pressure.send_blocked);
    chooser.take_loud();
  }
  return std::move(chooser).finish();
}

}  // namespace siglane::transport
