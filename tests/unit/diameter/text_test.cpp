#include "protocols/diameter/text.h"

#include <string>

#include <gtest/gtest.h>

namespace siglane::diameter {
namespace {

std::string hex(Bytes bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[std::to_integer<unsigned>(b) >> 4];
    text += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

std::string ip(std::string_view text) {
  const auto address = parse_ip(text);
  return address ? hex(address->bytes()) : "none";
}

// The encoding that RFC 3629 §3 defines; `code` up to 0x1fffff.
std::string encoded(std::uint32_t code, int bytes) {
  constexpr unsigned kLead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  std::string text(static_cast<std::size_t>(bytes), '\0');
  for (int i = bytes - 1; i > 0; --i, code >>= 6) {
    text[static_cast<std::size_t>(i)] = static_cast<char>(0x80 | (code & 0x3f));
  }
  text[0] = static_cast<char>(bytes == 1 ? code : kLead[bytes] | code);
  return text;
}

TEST(Text, TakesEveryCharacterInItsShortestFormAndInNoOther) {
  for (std::uint32_t code = 0; code < 0x120000; code += code < 0x3000 ? 1 : 37) {
    const int shortest = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    const bool exists = code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    EXPECT_EQ(is_utf8(as_bytes(encoded(code, shortest))), exists) << code;
    for (int longer = std::max(2, shortest + 1); longer <= 4; ++longer) {
      EXPECT_FALSE(is_utf8(as_bytes(encoded(code, longer)))) << code;
    }
  }
}

TEST(Text, RefusesCutAndStrayBytesWhereverTheyStand) {
  for (std::size_t before = 0; before < 20; ++before) {
    const std::string ascii(before, 'a');
    EXPECT_TRUE(is_utf8(as_bytes(ascii + "\xe2\x82\xac" + ascii)));
    EXPECT_FALSE(is_utf8(as_bytes(ascii + "\xe2\x82")));
    EXPECT_FALSE(is_utf8(as_bytes(ascii + "\xe2\x82" + ascii + "a")));
    EXPECT_FALSE(is_utf8(as_bytes(ascii + "\x80" + ascii)));
    EXPECT_FALSE(is_utf8(as_bytes(ascii + "\xff" + ascii)));
  }
}

TEST(Text, AnIdentityIsPrintableAsciiWithoutSpaces) {
  EXPECT_FALSE(is_identity({}));
  for (std::size_t at = 0; at < 20; ++at) {
    for (unsigned c = 0; c < 256; ++c) {
      std::string text(20, 'a');
      text[at] = static_cast<char>(c);
      EXPECT_EQ(is_identity(as_bytes(text)), c > 0x20 && c < 0x7f) << at << ' ' << c;
    }
  }
}

TEST(Text, AnIdentityIsNoLongerThanADomainNameMayBe) {
  EXPECT_TRUE(is_identity(as_bytes(std::string(255, 'a'))));
  EXPECT_FALSE(is_identity(as_bytes(std::string(256, 'a'))));
}

TEST(Text, AnExcerptIsOneShortPrintableLine) {
  EXPECT_EQ(excerpt("a peer's words"), "a peer's words");
  EXPECT_EQ(excerpt("two\nlines\x1b\x7f\xe2\x82\xac"), "two?lines?????");
  EXPECT_EQ(excerpt(std::string(60000, 'x')), std::string(255, 'x'));
}

TEST(Text, AUriBeginsWithTheAaaSchemes) {
  EXPECT_TRUE(is_uri("aaa://host.example:3868;transport=sctp"));
  EXPECT_TRUE(is_uri("aaas://host.example"));
  EXPECT_FALSE(is_uri("aaa://"));
  EXPECT_FALSE(is_uri("http://host.example"));
  EXPECT_FALSE(is_uri(""));
}

TEST(Text, IdentitiesAreTheSameWhateverTheirCase) {
  EXPECT_TRUE(same_identity("HSS.Example", "hss.example"));
  EXPECT_FALSE(same_identity("hss.example", "hss.example."));
  EXPECT_FALSE(same_identity("[", "{"));
  EXPECT_TRUE(identity_less("HSS.example", "mme.example"));
  EXPECT_FALSE(identity_less("mme.example", "HSS.example"));
  EXPECT_TRUE(identity_less("hss", "HSS.example"));
  EXPECT_FALSE(identity_less("HSS.example", "hss.Example"));
}

TEST(Text, ReadsIpAddresses) {
  EXPECT_EQ(ip("192.0.2.1"), "c0000201");
  EXPECT_EQ(ip("255.255.255.255"), "ffffffff");
  EXPECT_EQ(ip("::"), "00000000000000000000000000000000");
  EXPECT_EQ(ip("::1"), "00000000000000000000000000000001");
  EXPECT_EQ(ip("2001:db8::1"), "20010db8000000000000000000000001");
  EXPECT_EQ(ip("2001:db8:1:2:3:4:5:6"), "20010db8000100020003000400050006");
  EXPECT_EQ(ip("fe80::"), "fe800000000000000000000000000000");
  EXPECT_EQ(ip("::ffff:192.0.2.1"), "00000000000000000000ffffc0000201");
}

TEST(Text, RefusesWhatIsNoIpAddress) {
  for (const char* text : {"",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "1.2.3.x",
                           "1.2.3.",
                           "1..2.3",
                           "1.2.3.0004",
                           ":",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1::2::3",
                           "12345::",
                           ":1",
                           "1:",
                           "g::",
                           "1:2:3:4:5:6:7::8:9",
                           "::1.2.3",
                           "1.2.3.4::",
                           "sim:1"}) {
    EXPECT_EQ(ip(text), "none") << text;
  }
}

TEST(Text, FindsTheDomainThatAHostIsIn) {
  EXPECT_TRUE(is_within("mme.a.example", "A.example"));
  EXPECT_TRUE(is_within("a.example", "a.example"));
  EXPECT_FALSE(is_within("mme.xa.example", "a.example"));
  EXPECT_FALSE(is_within("example", "a.example"));
  EXPECT_FALSE(is_within("mme.a.example", ""));
}

}  // namespace
}  // namespace siglane::diameter
