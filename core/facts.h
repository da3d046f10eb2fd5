#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/association.h"

namespace siglane {

enum class Severity : std::uint8_t { debug, info, warning, error };
std::string_view name_of(Severity severity);

// A kind of event that an operator would want to read one by one. Each room, and every application,
// defines its kinds as constants beside the code where they happen; docs/facts.md lists those of
// Siglane. What happens per message is counted instead (counters.h, drops.h).
struct FactKind {
  // Operators see it, so it is never reused for something else. An application's own begins with
  // the application's name and a dot ("charging.credit_exhausted"), and meets none of Siglane's.
  std::string_view name;
  Severity severity = Severity::info;
  std::string_view what;  // in words
};

// `key` is a literal. `value` may be anything, also what a peer has sent.
struct FactField {
  FactField(std::string_view field_key, std::string_view text) : key(field_key), value(text) {}
  template <std::integral T>
  FactField(std::string_view field_key, T number) : key(field_key) {
    if constexpr (std::same_as<T, bool>) {
      value = number ? "yes" : "no";
    } else {
      value = std::to_string(number);
    }
  }

  std::string_view key;
  std::string value;
};

// What happened, once. Log and admin API live on these and on the counters; nothing else reports.
// No code decides by what is in a fact: it is for people.
//
//   constexpr FactKind kCreditExhausted{"charging.credit_exhausted", Severity::warning,
//                                       "a subscriber has used up all credit"};
//   out.announce({kCreditExhausted, {{"subscriber", name}, {"seconds_used", 180}}});
struct Fact {
  // Fields with an empty value are left out.
  Fact(const FactKind& of, Severity how_bad, std::vector<FactField> with)
      : kind(of), severity(how_bad), fields(std::move(with)) {
    std::erase_if(fields, [](const FactField& field) { return field.value.empty(); });
  }
  Fact(const FactKind& of, std::vector<FactField> with = {})
      : Fact(of, of.severity, std::move(with)) {}

  FactKind kind;
  Severity severity;  // the kind's, if this one is not better or worse news than most
  std::vector<FactField> fields;
};

// Of every room that has nothing more special to say.
inline constexpr FactKind kNotice{
    "notice", Severity::info,
    "anything else to be read once, such as a start or a fallback that was taken. A warning says "
    "what to mend"};
inline Fact notice(std::string_view text, Severity severity = Severity::info) {
  return {kNotice, severity, {{"text", text}}};
}

// Where a fact comes from.
struct FactSource {
  ShardId shard{};
  AssociationId association{};  // none: it is about no association
  // Of the association: the peer's name or, until that is known, its address and port. Empty: it is
  // a stranger, or not here any more.
  std::string_view peer;
};

// Where facts go. Called on the shard's thread, must not block and must not call back.
class FactSink {
 public:
  virtual void on_fact(const FactSource& source, const Fact& fact, Instant now) = 0;

 protected:
  ~FactSink() = default;
};

}  // namespace siglane
