#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/secrets.h"
#include "tests/support/certificates.h"
#include "tests/support/temporary_directory.h"

namespace siglane::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdminSecretsTest : public ::testing::Test {
 protected:
  std::string wrong_with(const std::string& token) {
    const auto loaded = load_token(directory_.write("token", token));
    return loaded ? "nothing" : loaded.error().what;
  }
  Result<AdminSecrets> load() const {
    AdminConfig config;
    config.http = http_;
    return load_admin_secrets(config);
  }

  siglane::testing::TemporaryDirectory directory_;
  siglane::testing::Authority authority_;
  AdminHttpConfig http_;
};

TEST_F(AdminSecretsTest, ATokenIsALineOfAFile) {
  EXPECT_EQ(load_token(directory_.write("token", "0123456789abcdef \n\n")), "0123456789abcdef");
  EXPECT_EQ(load_token(""), "");
}

TEST_F(AdminSecretsTest, RefusesWhatIsNoToken) {
  for (const std::string& token :
       {std::string(), std::string("short"), std::string("0123456789 abcdef"),
        std::string("0123456789abcd\x01\x02"), std::string(513, 'x')}) {
    EXPECT_THAT(wrong_with(token), HasSubstr("expected a token of 16 to 512 characters"));
  }
  EXPECT_THAT(load_token(directory_.path()).error().what, HasSubstr(directory_.path() + ": "));
  EXPECT_THAT(load_token(directory_.path("none")).error().what, HasSubstr("No such file"));
}

TEST_F(AdminSecretsTest, RefusesOneTokenForBothRights) {
  http_.read_token_file = directory_.write("read", "0123456789abcdef");
  http_.change_token_file = directory_.write("change", "0123456789abcdef");
  EXPECT_THAT(load().error().what, HasSubstr("hold the same token"));
}

TEST_F(AdminSecretsTest, ChecksCertificateAndKey) {
  const TlsConfig a = authority_.issue_files_for("a.example", directory_, "a");
  const TlsConfig b = authority_.issue_files_for("b.example", directory_, "b");
  http_.tls = {a.certificate, a.key};
  const auto good = load();
  ASSERT_TRUE(good) << good.error().what;
  EXPECT_THAT(good->tls->certificate_chain, HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_THAT(good->warnings, ElementsAre());
  http_.tls->key = b.key;
  EXPECT_THAT(load().error().what, HasSubstr(b.key + " does not belong to the certificate"));
  http_.tls->key = a.certificate;
  EXPECT_THAT(load().error().what, HasSubstr("has no usable PEM private key"));
}

TEST_F(AdminSecretsTest, WarnsOfACertificateThatHasExpired) {
  const TlsConfig old = authority_.issue_files(
      directory_, "old", {.dns_names = {"a.example"}, .from = -2h, .until = -1h});
  http_.tls = {old.certificate, old.key};
  EXPECT_THAT(load()->warnings, ElementsAre(HasSubstr("expired at")));
}

}  // namespace
}  // namespace siglane::runtime
