#pragma once
#include <iostream>

#include <gtest/gtest.h>

#include "tests/support/session_script.h"

namespace siglane::test {

// A SessionScript that prints what it has seen where the test has failed.
class TestScript : public SessionScript {
 public:
  using SessionScript::SessionScript;
  ~TestScript() {
    if (testing::Test::HasFailure()) std::cout << history() << std::flush;
  }
};

}  // namespace siglane::test
