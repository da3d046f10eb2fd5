// siglane-hss as a process, and an MME that sends as much as it can, resets and is there again: it
// takes no more than its share of the store's queue, and what it left there delays nobody.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "apps/hss/sqlite_database.h"
#include "tests/component/hss/hss_process.h"
#include "tests/component/hss/s6a_requests.h"
#include "tests/component/hss/tcp_mme.h"
#include "tests/support/temporary_directory.h"

namespace siglane::hss {
namespace {

constexpr int kResets = 40;
constexpr int kBurst = 40;
constexpr std::size_t kRequestBytes = 60'000;
// A share of the queue is 1 MiB; without shares, all that is sent would be kept: 96 MB.
constexpr std::size_t kGrowthKibMax = 32 * 1024;
constexpr const char* kTestRealm = "epc.mnc001.mcc001.3gppnetwork.org";

class HssResetTest : public ::testing::Test {
 protected:
  HssResetTest() {
    std::ofstream(directory_ / "subscribers.json")
        << R"({"subscribers": [{"imsi": ")" << imsi_.text()
        << R"(", "k": "465b5ce8b199b49faa5f0a2ee238a6bc",
        "opc": "cd63cb71954a9f4e48a5994e37a02baf", "subscription": {
        "ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1},
        "apns": [{"apn": "internet",
                  "ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1}}]}}]})";
    std::ofstream(directory_ / "hss.json")
        << R"({"node": {"name": "hss"}, "endpoints": [{"name": "s6a", "module": "diameter",
        "transport": "tcp", "addresses": ["127.0.0.1"], "listen": true, "port": )"
        << port_ << R"(}], "diameter": {"origin_host": "hss01.)" << kTestRealm
        << R"(", "origin_realm": ")" << kTestRealm << R"(", "peers": [
        {"name": "mme01", "origin_host": ")"
        << loud_.host() << R"("}, {"name": "mme02", "origin_host": ")" << quiet_.host()
        << R"("}]}, "hss": {"subscribers": "subscribers.json",
        "store": {"busy_timeout_ms": 60000}}})";
  }

  void connect(TcpMme& mme, HssProcess& hss) {
    bool open = false;
    for (int tries = 0; tries < 500 && !open && !hss.ended(); ++tries) {
      open = mme.connect(port_);
      if (!open) ::poll(nullptr, 0, 10);
    }
    ASSERT_TRUE(open) << hss.log();
  }
  // Answers of the connection until this one.
  static std::optional<std::uint32_t> result_of(TcpMme& mme, std::uint32_t id) {
    while (const auto message = mme.receive(20'000)) {
      const auto view = *diameter::MessageView::parse(message->bytes());
      if (view.header().hop_by_hop == id) return view.get(diameter::avp::result_code);
    }
    return std::nullopt;
  }

  const Imsi imsi_ = imsi_number(1);
  testing::TemporaryDirectory temporary_;
  std::filesystem::path directory_ = temporary_.path();
  const std::uint16_t port_ = free_port();
  TcpMme loud_{std::string("mme01.") + kTestRealm, kTestRealm};
  TcpMme quiet_{std::string("mme02.") + kTestRealm, kTestRealm};
};

TEST_F(HssResetTest, BurstsAndResetsTakeNoMoreThanOneShareAndDelayNobody) {
  HssProcess hss(directory_);
  ASSERT_NO_FATAL_FAILURE(connect(quiet_, hss));
  // The store can do nothing as long as another process writes.
  auto writer = Database::open(directory_ / "hss.db", "", 5s);
  ASSERT_TRUE(writer && writer->execute("BEGIN IMMEDIATE"));
  const std::size_t before = hss.resident_kib();
  loud_.lengthen(kRequestBytes);
  for (int reset = 0; reset < kResets; ++reset) {
    SCOPED_TRACE("reset " + std::to_string(reset));
    ASSERT_NO_FATAL_FAILURE(connect(loud_, hss));
    for (int i = 0; i < kBurst; ++i) ASSERT_TRUE(loud_.send(air(loud_, imsi_).finish()));
    // By then all before has been taken or refused.
    ASSERT_EQ(result_of(loud_, loud_.last_id()), 3004u) << hss.log();
    loud_.reset();
  }
  ASSERT_TRUE(quiet_.send(air(quiet_, imsi_).finish()));
  EXPECT_LE(hss.most_resident_kib() - before, kGrowthKibMax);

  const auto released = std::chrono::steady_clock::now();
  ASSERT_TRUE(writer->execute("COMMIT"));
  EXPECT_EQ(result_of(quiet_, quiet_.last_id()), 2001u) << hss.log();
  EXPECT_LT(std::chrono::steady_clock::now() - released, 2s);
  ASSERT_NO_FATAL_FAILURE(connect(loud_, hss));
  ASSERT_TRUE(loud_.send(air(loud_, imsi_).finish()));
  EXPECT_EQ(result_of(loud_, loud_.last_id()), 2001u) << "its share is free again";
  EXPECT_NE(hss.log().find("peer=mme01 reason=hss.store_full"), std::string::npos) << hss.log();
}

}  // namespace
}  // namespace siglane::hss
