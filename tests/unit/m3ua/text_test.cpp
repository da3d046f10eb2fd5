#include "protocols/m3ua/text.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "protocols/m3ua/message.h"

namespace siglane::m3ua {
namespace {

class TextTest : public testing::Test {
 protected:
  MessageBuilder build(MessageType type) { return MessageBuilder(buffers, type); }
  static std::string text(MessageBuilder builder) {
    return describe(std::move(builder).finish().bytes());
  }

  BufferPool buffers;
};

TEST_F(TextTest, DataIsItsLabelAndWhereItCameFrom) {
  MessageBuilder data = build(MessageType::data);
  data.u32(Tag::network_appearance, 1).u32(Tag::routing_context, 5);
  data.protocol_data({100, 300, 3, 2, 0, 7}, as_bytes("x"));
  EXPECT_EQ(text(std::move(data)), "DATA 100 -> 300 NI 2 SI 3 SLS 7 NA 1 RC 5");
  MessageBuilder plain = build(MessageType::data);
  plain.protocol_data({100, 300, 3, 2, 0, 7}, as_bytes("x"));
  EXPECT_EQ(text(std::move(plain)), "DATA 100 -> 300 NI 2 SI 3 SLS 7");
}

TEST_F(TextTest, OfAListTheFirstAreShown) {
  MessageBuilder daud = build(MessageType::daud);
  daud.list(Tag::routing_context, std::vector<std::uint32_t>{101});
  daud.list(Tag::affected_point_code,
            std::vector<std::uint32_t>{AffectedPointCode{8, 256}.pack(), 2, 3, 4, 5, 6});
  EXPECT_EQ(text(std::move(daud)), "DAUD 256 mask 8, 2, 3, 4 and 2 more RC 101");
}

TEST_F(TextTest, AnErrIsItsCode) {
  MessageBuilder err = build(MessageType::err);
  err.u32(Tag::error_code, 0x19).list(Tag::routing_context, std::vector<std::uint32_t>{7});
  EXPECT_EQ(text(std::move(err)), "ERR Invalid Routing Context RC 7");
}

TEST_F(TextTest, WhatCannotBeReadIsItsOctetsAndWhatIsWrongWithThem) {
  EXPECT_EQ(describe(as_bytes("")), "0 octets: (Protocol Error at offset 0)");
  EXPECT_EQ(describe(as_bytes(std::string("\x01\x00\x01\x01\x00\x00\x00\x08", 8))),
            "DATA, 8 octets: 01 00 01 01 00 00 00 08 (Missing Parameter at offset 8)");
  const std::string much = describe(as_bytes(std::string(1000, '\x02')));
  EXPECT_LT(much.size(), 200u);
  EXPECT_NE(much.find(" ... (Invalid Version at offset 0)"), std::string::npos) << much;
}

TEST(ErrorReasons, EveryCodeHasOneOfItsOwn) {
  std::set<std::string_view> names;
  for (std::uint32_t code = 0; code < 0x40; ++code) {
    if (name_of(static_cast<ErrorCode>(code)) == name_of(ErrorCode{0xffff})) continue;
    EXPECT_TRUE(names.insert(reason_of(static_cast<ErrorCode>(code)).name).second) << code;
  }
  EXPECT_EQ(names.size(), 18u);
  EXPECT_FALSE(names.contains(reason_of(ErrorCode{0xffff}).name));
}

}  // namespace
}  // namespace siglane::m3ua
