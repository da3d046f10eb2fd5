#include "core/certificate_names.h"

#include <vector>

#include <gtest/gtest.h>

namespace siglane {
namespace {

bool names(std::vector<std::string> names, std::string_view identity) {
  return names_host(names, identity);
}

TEST(CertificateNames, name_a_host_whatever_the_case) {
  EXPECT_TRUE(names({"other.example", "MME01.epc.example"}, "mme01.EPC.example"));
  EXPECT_FALSE(names({"other.example", "mme02.epc.example"}, "mme01.epc.example"));
  EXPECT_FALSE(names({}, "mme01.epc.example"));
}

TEST(CertificateNames, do_not_name_a_host_by_a_part_of_its_name) {
  EXPECT_FALSE(names({"epc.example"}, "mme01.epc.example"));
  EXPECT_FALSE(names({"mme01.epc.example"}, "epc.example"));
  EXPECT_FALSE(names({"mme01.epc.example.attacker.example"}, "mme01.epc.example"));
}

TEST(CertificateNames, may_leave_one_whole_label_open) {
  EXPECT_TRUE(names({"*.epc.example"}, "mme01.EPC.example"));
  EXPECT_FALSE(names({"*.epc.example"}, "a.mme01.epc.example"));
  EXPECT_FALSE(names({"*.epc.example"}, "epc.example"));
  EXPECT_FALSE(names({"*.epc.example"}, ".epc.example"));
}

TEST(CertificateNames, do_not_leave_more_open_than_that) {
  EXPECT_FALSE(names({"*"}, "mme01"));
  EXPECT_FALSE(names({"*.example"}, "mme01.example"));
  EXPECT_FALSE(names({"mme*.epc.example"}, "mme01.epc.example"));
  EXPECT_FALSE(names({"mme01.*.example"}, "mme01.epc.example"));
}

TEST(CertificateNames, name_nobody_for_an_empty_identity) {
  EXPECT_FALSE(names({"", "*.epc.example"}, ""));
}

}  // namespace
}  // namespace siglane
