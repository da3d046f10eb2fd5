#include "apps/runtime/admin/facts.h"

#include <algorithm>

#include "apps/runtime/printable.h"

namespace siglane::runtime {

void fill(const KeptFact& kept, admin::Fact& into) {
  into.set_number(kept.number);
  into.set_unix_ms(kept.unix_ms);
  into.set_kind(std::string(kept.fact.kind.name));
  into.set_severity(std::string(name_of(kept.fact.severity)));
  into.set_shard(static_cast<std::uint32_t>(kept.shard));
  into.set_association(static_cast<std::uint64_t>(kept.about));
  into.set_peer(printable(kept.peer));
  for (const FactField& field : kept.fact.fields) {
    admin::Fact::Field& added = *into.add_field();
    added.set_key(std::string(field.key));
    added.set_value(printable(field.value));
  }
}

void add_facts(const FactLog& log, const admin::FactsRequest& request, admin::Facts& into) {
  // A fact is some hundred bytes; so many fit any client.
  constexpr std::size_t kFactsMax = 10'000;
  const std::size_t count_max =
      request.count_max() == 0 ? kFactsMax : std::min<std::size_t>(request.count_max(), kFactsMax);
  for (const KeptFact& kept : log.after(request.after(), count_max)) fill(kept, *into.add_fact());
}

}  // namespace siglane::runtime
