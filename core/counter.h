#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace siglane {

// One of the numbers by which a labelled counter is split up.
struct Label {
  std::string_view name;                         // "command"
  std::string (*text)(std::uint32_t) = nullptr;  // a value in words; nullptr: the number itself
};
inline constexpr std::size_t kLabelsMax = 3;

// Something that a node counts, under a name. Every room, and every application of a user's own,
// defines its counters as constants beside the code that counts:
//
//   inline const Counter calls_granted{"charging.calls.granted", "calls that were granted time"};
//
// `name` is the room, dots and what is counted; operators see it, so it is never reused for
// something else. `help` says in a line what one count stands for.
//
// The definition enters the counter into the process's catalogue, before main(). The catalogue
// never changes once the first Counters is made: a counter that is defined later ends the program
// with a message, and so does a name that is defined twice with different words.
class Counter {
 public:
  Counter(std::string_view name, std::string_view help) : Counter(name, help, {}) {}

  std::size_t index() const { return index_; }  // in the catalogue
  bool operator==(const Counter&) const = default;

 private:
  template <std::size_t N>
  friend class LabelledCounter;
  Counter(std::string_view name, std::string_view help, std::span<const Label> labels);

  std::uint32_t index_;
};

// A counter that is also counted for each combination of its labels' values (labelled_counts.h):
//
//   inline const LabelledCounter answers{"x.answers", "answers sent",
//                                        {{"command", command_name}, {"result"}}};
//   out.count(answers, {command, result});
template <std::size_t N>
class LabelledCounter {
  static_assert(N >= 1 && N <= kLabelsMax);

 public:
  using Values = std::array<std::uint32_t, N>;

  LabelledCounter(std::string_view name, std::string_view help, const Label (&labels)[N])
      : total_(name, help, labels) {}

  // All combinations together.
  Counter total() const { return total_; }

 private:
  Counter total_;
};

// A counter as it was defined.
struct CounterInfo {
  Counter counter;
  std::string name, help;
  std::vector<Label> labels;  // empty: none
};

// All counters of this program, in no particular order: catalogue()[counter.index()] is the
// counter. Any thread, once the first Counters is made.
std::span<const CounterInfo> counter_catalogue();

// From now on the catalogue never changes. Counters says this; any thread, idempotent.
void close_counter_catalogue();

}  // namespace siglane
