#pragma once
#include "tests/support/sctp_node.h"

namespace siglane::kernel_test {

using namespace sctp_test;

// Called once by each test binary: its nodes are on the kernel's SCTP, in our own network
// namespace, or a failure says what is missing.
void need_kernel_sctp();

}  // namespace siglane::kernel_test
