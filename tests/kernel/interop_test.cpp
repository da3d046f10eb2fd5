// The kernel's SCTP and usrsctp talk to each other, in UDP (RFC 6951), under full two-way load,
// whoever connects, and while both peel the association off. SIGLANE_LONG: 50,000 messages each
// way.
#include <gtest/gtest.h>

#include "tests/kernel/harness.h"
#include "tests/support/certificates.h"
#include "tests/support/sctp_flow.h"
#include "tests/support/seeds.h"
#include "tests/support/udp_encapsulation.h"
#include "transport/sctp/security.h"

namespace siglane::kernel_test {
namespace {

using test::UdpEncapsulation;

struct Interop : ::testing::Test {
  UdpEncapsulation encapsulation;
  World world;
  FlowEnd kernel{world, Stack::kernel}, user{world, Stack::usrsctp};
  siglane::testing::TemporaryDirectory directory;
  siglane::testing::Authority authority;

  void exchange(FlowEnd& client, FlowEnd& server, std::uint32_t messages,
                std::size_t size_max = 20000) {
    kernel.node.udp_port = UdpEncapsulation::kPort;
    server.node.listen();
    const auto [ours, theirs] = client.node.join(client.node.endpoint(), server.node);
    ASSERT_NE(theirs, AssociationId::none);
    Flow up{1, messages / Flow::kStreams, size_max}, down{2, messages / Flow::kStreams, size_max};
    client.out[ours] = server.in[theirs] = &up;
    server.out[theirs] = client.in[ours] = &down;
    client.peel_inside[ours] = messages / 3;
    server.peel_inside[theirs] = messages / 2;
    EXPECT_TRUE(world.run_until(
        [&] {
          client.pump();
          server.pump();
          return up.all_received() && down.all_received();
        },
        800s));
    EXPECT_TRUE(client.node.is_peeled(ours));
    EXPECT_TRUE(server.node.is_peeled(theirs));
    // Whatever is still to come would be a message too many.
    client.node.close(ours, CloseMode::graceful);
    EXPECT_TRUE(world.run_until([&, ours = ours, theirs = theirs] {
      return client.node.is_down(ours) && server.node.is_down(theirs);
    }));
    EXPECT_EQ(client.node.down_cause(ours), DownCause::local_close);
    EXPECT_EQ(server.node.down_cause(theirs), DownCause::peer_shutdown);
    for (const Flow* flow : {&up, &down}) {
      EXPECT_EQ(flow->total_received(), messages);
      EXPECT_EQ(flow->violations, 0u);
    }
  }
  static std::uint32_t many() { return test::long_run() ? 50'000 : 4'000; }
};

TEST_F(Interop, UsrsctpConnectsToTheKernel) {
  exchange(user, kernel, many());
}

TEST_F(Interop, TheKernelConnectsToUsrsctp) {
  exchange(kernel, user, many());
}

TEST_F(Interop, BothUnderstandEachOthersDtlsAndAuthentication) {
  kernel.node.tls = authority.issue_files_for("server.example", directory, "server");
  user.node.tls = authority.issue_files_for("client.example", directory, "client");
  exchange(user, kernel, 400, transport::SctpSecurity::kMessageBytesMax);
}

TEST_F(Interop, AlsoWhereTheKernelConnects) {
  kernel.node.tls = authority.issue_files_for("client.example", directory, "client");
  user.node.tls = authority.issue_files_for("server.example", directory, "server");
  exchange(kernel, user, 400, transport::SctpSecurity::kMessageBytesMax);
}

}  // namespace
}  // namespace siglane::kernel_test
