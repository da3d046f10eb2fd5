#include "protocols/diameter/describe.h"

#include <gtest/gtest.h>

#include "tests/unit/diameter/host.h"

namespace siglane::diameter {
namespace {

TEST(Describe, ARequestIsItsCommandFromWhomToWhomAndItsIdentifiers) {
  BufferPool pool;
  EXPECT_EQ(describe(ulr(pool, "mme.example", "hss.example", "home.example", 42).finish().bytes()),
            "Update-Location request from mme.example to host hss.example of realm home.example, "
            "application 16777251, end-to-end 0x2a");
  EXPECT_EQ(describe(ulr(pool, "mme.example", {}, "home.example", 0).finish().bytes()),
            "Update-Location request from mme.example to realm home.example, application 16777251, "
            "end-to-end 0x0");
}

TEST(Describe, AnAnswerIsItsResult) {
  BufferPool pool;
  const DiameterConfig peer = node_config("peer");
  const Buffer request = ulr(pool, "mme.example", {}, "home.example", 0xdeadbeef).finish();
  EXPECT_EQ(describe(answer_to(pool, request, result::unable_to_deliver, peer).bytes()),
            "Update-Location answer from peer.example with 3002, application 16777251, end-to-end "
            "0xdeadbeef");
}

TEST(Describe, WhatIsQuotedIsCleaned) {
  BufferPool pool;
  const std::string text =
      describe(ulr(pool, "a\n\x1b[2J", {}, std::string(10'000, 'r')).finish().bytes());
  EXPECT_NE(text.find("from a??[2J to realm rrrr"), std::string::npos) << text;
  EXPECT_LT(text.size(), 500u);
}

TEST(Describe, WhatIsNoMessageIsItsSize) {
  BufferPool pool;
  EXPECT_EQ(describe(Bytes()), "0 octets");
  const Buffer request = ulr(pool, "mme.example", {}, "home.example", 1).finish();
  const Bytes half = request.bytes().first(40);
  EXPECT_EQ(describe(half),
            "Update-Location request of 40 octets, application 16777251, end-to-end 0x1");
}

}  // namespace
}  // namespace siglane::diameter
