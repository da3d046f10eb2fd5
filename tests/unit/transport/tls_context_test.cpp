#include "transport/secure/tls_context.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificates.h"

namespace siglane::transport {
namespace {

using siglane::testing::Authority;
using siglane::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TlsContextTest : public ::testing::Test {
 protected:
  static std::string error_of(const TlsConfig& config, TlsMode mode = TlsMode::stream) {
    const auto context = TlsContext::load(config, mode);
    return context ? "none" : context.error().what;
  }

  TemporaryDirectory directory_;
  Authority authority_;
  TlsConfig good_ = authority_.issue_files_for("mme01.epc.example", directory_, "good");
};

TEST_F(TlsContextTest, says_whom_it_makes_us) {
  const auto context = TlsContext::load(good_);
  ASSERT_TRUE(context) << context.error().what;
  EXPECT_THAT((*context)->summary(),
              AllOf(HasSubstr("certificate of mme01.epc.example, good until"), HasSubstr("GMT")));
  EXPECT_THAT((*context)->warnings(), IsEmpty());
}

TEST_F(TlsContextTest, names_the_file_that_is_missing) {
  TlsConfig config = good_;
  config.certificate = directory_.path("absent.crt");
  EXPECT_EQ(error_of(config),
            "certificate file " + config.certificate + ": No such file or directory");
  config = good_;
  config.key = directory_.path("absent.key");
  EXPECT_EQ(error_of(config), "key file " + config.key + ": No such file or directory");
  config = good_;
  config.ca = directory_.path("");
  EXPECT_EQ(error_of(config), "CA file " + config.ca + ": Is a directory");
  config.ca.clear();
  EXPECT_EQ(error_of(config), "the CA file is not named");
}

TEST_F(TlsContextTest, names_the_file_that_is_not_what_it_should_be) {
  TlsConfig config = good_;
  config.certificate = directory_.write("text.crt", "not a certificate\n");
  EXPECT_THAT(error_of(config), HasSubstr("text.crt has no usable PEM certificate"));
  config = good_;
  config.key = good_.certificate;
  EXPECT_THAT(error_of(config), HasSubstr("good.crt has no usable PEM private key"));
  config = good_;
  config.ca = directory_.write("text.ca", "not a certificate\n");
  EXPECT_THAT(error_of(config), HasSubstr("text.ca has no usable PEM certificate"));
}

TEST_F(TlsContextTest, refuses_a_key_of_another_certificate) {
  TlsConfig config = good_;
  config.key = authority_.issue_files_for("mme02.epc.example", directory_, "other").key;
  EXPECT_EQ(error_of(config), "key file " + config.key + " does not belong to the certificate in " +
                                  config.certificate);
}

TEST_F(TlsContextTest, refuses_an_encrypted_key_without_asking_for_its_passphrase) {
  TlsConfig config = good_;
  config.key = directory_.write("secret.key", siglane::testing::encrypted_key("secret"));
  EXPECT_THAT(error_of(config), HasSubstr("secret.key is encrypted"));
}

TEST_F(TlsContextTest, refuses_ciphers_that_nobody_has) {
  TlsConfig config = good_;
  config.ciphers = "ENIGMA";
  EXPECT_THAT(error_of(config), HasSubstr("ciphers \"ENIGMA\""));
}

TEST_F(TlsContextTest, refuses_ciphers_whose_records_cannot_be_read_again) {
  TlsConfig config = good_;
  config.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-SHA384";
  EXPECT_EQ(error_of(config), "none");
  EXPECT_EQ(error_of(config, TlsMode::messages),
            "ciphers \"" + config.ciphers +
                "\" has ECDHE-ECDSA-AES256-SHA384: DTLS over SCTP takes AES-GCM and ChaCha20 only");
}

TEST_F(TlsContextTest, refuses_tls_1_3_for_dtls_over_sctp) {
  TlsConfig config = good_;
  EXPECT_EQ(error_of(config, TlsMode::messages), "none");
  config.minimum_version = TlsVersion::tls_1_3;
  EXPECT_EQ(error_of(config), "none");
  EXPECT_THAT(error_of(config, TlsMode::messages), HasSubstr("up to 1.2"));
}

TEST_F(TlsContextTest, warns_of_a_certificate_that_has_expired) {
  const TlsConfig config = authority_.issue_files(
      directory_, "old", {.dns_names = {"mme01.epc.example"}, .from = -48h, .until = -24h});
  const auto context = TlsContext::load(config);
  ASSERT_TRUE(context) << context.error().what;
  EXPECT_THAT((*context)->warnings(),
              ElementsAre(AllOf(HasSubstr(config.certificate), HasSubstr("expired at"))));
}

TEST_F(TlsContextTest, warns_of_a_certificate_that_is_not_valid_yet) {
  const TlsConfig config = authority_.issue_files(
      directory_, "new", {.dns_names = {"mme01.epc.example"}, .from = 24h, .until = 48h});
  const auto context = TlsContext::load(config);
  ASSERT_TRUE(context) << context.error().what;
  EXPECT_THAT((*context)->warnings(), ElementsAre(HasSubstr("is not valid before")));
}

TEST_F(TlsContextTest, takes_the_common_name_only_where_there_are_no_other_names) {
  const auto by_name = TlsContext::load(
      authority_.issue_files(directory_, "cn", {.common_name = "mme01.epc.example"}));
  EXPECT_THAT((*by_name)->summary(), HasSubstr("certificate of mme01.epc.example,"));
  const auto by_alternatives = TlsContext::load(authority_.issue_files(
      directory_, "san",
      {.dns_names = {"a.epc.example", "b.epc.example"}, .common_name = "mme01.epc.example"}));
  EXPECT_THAT((*by_alternatives)->summary(),
              HasSubstr("certificate of a.epc.example, b.epc.example,"));
}

}  // namespace
}  // namespace siglane::transport
