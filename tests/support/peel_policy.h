#pragma once
#include <functional>

#include <gtest/gtest.h>

#include "tests/support/sctp_node.h"

namespace siglane::sctp_test {

// A peer is loud from 50 messages a second on, for half a second.
inline transport::SctpTransportOptions eager() {
  transport::SctpTransportOptions options;
  options.sample_interval = 250ms;
  options.peeloff.messages_per_second_min = 50;
  options.peeloff.bytes_per_second_min = 0;
  options.peeloff.sustained_min = 500ms;
  options.peeloff.age_min = 100ms;
  return options;
}

// A server that peels off who is loud.
struct EagerServerTest : ::testing::Test {
  explicit EagerServerTest(const transport::SctpTransportOptions& of_client = {})
      : client(world, of_client) {}

  // Keeps `loud` talking until `done`.
  bool talk_until(AssociationId loud, const std::function<bool()>& done, Duration limit = 20s) {
    return world.run_until(
        [&] {
          if (client.is_up(loud) && client.transport->status(loud)->queued_messages == 0) {
            for (int i = 0; i < 10; ++i) client.send(loud, "chatter");
          }
          return done();
        },
        limit);
  }

  World world;
  Node server{world, eager()}, client;
};

}  // namespace siglane::sctp_test
