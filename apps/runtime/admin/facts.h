#pragma once
#include "apps/runtime/admin/messages.h"
#include "apps/runtime/fact_log.h"

namespace siglane::runtime {

void fill(const KeptFact& kept, admin::Fact& into);
// What is kept of the past. Any thread.
void add_facts(const FactLog& log, const admin::FactsRequest& request, admin::Facts& into);

}  // namespace siglane::runtime
