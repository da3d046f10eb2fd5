#include "apps/runtime/admin_frame.h"

#include <google/protobuf/util/delimited_message_util.h>
#include <gtest/gtest.h>

namespace siglane::runtime {
namespace {

using Next = AdminFrames::Next;

TEST(AdminFrame, IsWhatProtobufCallsDelimited) {
  for (std::size_t length : {0u, 1u, 100u, 127u, 128u, 20'000u, 3'000'000u}) {
    admin::Error error;
    error.set_text(std::string(length, 'x'));
    std::ostringstream expected;
    google::protobuf::util::SerializeDelimitedToOstream(error, &expected);
    EXPECT_EQ(admin_frame(error), expected.str()) << length;
  }
}

TEST(AdminFrame, IsFoundAgainHoweverTheBytesArrive) {
  admin::Request first, second;
  first.set_id(7);
  first.mutable_peers();
  second.set_id(300);
  second.mutable_facts()->set_after(1'000'000);
  const std::string stream = admin_frame(first) + admin_frame(second);
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    AdminFrames frames(100);
    std::vector<std::string> messages;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      frames.append(as_bytes(std::string_view(stream).substr(at, piece)));
      std::string message;
      while (frames.next(message) == Next::message) messages.push_back(message);
    }
    ASSERT_EQ(messages.size(), 2u) << piece;
    EXPECT_EQ(messages[0], first.SerializeAsString());
    EXPECT_EQ(messages[1], second.SerializeAsString());
  }
}

TEST(AdminFrame, AboveTheLimitIsRefusedFromItsLengthAlone) {
  std::string message;
  AdminFrames at_limit(300);
  at_limit.append(as_bytes("\xac\x02"));  // 300
  EXPECT_EQ(at_limit.next(message), Next::more);
  AdminFrames above(299);
  above.append(as_bytes("\xac\x02"));
  EXPECT_EQ(above.next(message), Next::too_large);
}

TEST(AdminFrame, LengthThatDoesNotEndIsRefused) {
  std::string message;
  AdminFrames frames(300);
  frames.append(as_bytes("\x80\x80\x80\x80"));
  EXPECT_EQ(frames.next(message), Next::more);
  frames.append(as_bytes("\x80"));
  EXPECT_EQ(frames.next(message), Next::too_large);
}

}  // namespace
}  // namespace siglane::runtime
