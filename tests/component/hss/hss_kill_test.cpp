// siglane-hss as a process, killed under load again and again: after each restart, nothing that an
// MME was told is lost.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "apps/hss/sqlite_database.h"
#include "apps/hss/subscriber_file.h"
#include "tests/component/hss/hss_process.h"
#include "tests/component/hss/s6a_requests.h"
#include "tests/component/hss/tcp_mme.h"

namespace siglane::hss {
namespace {

namespace avp = diameter::avp;

constexpr int kKills = 20;
constexpr unsigned kSubscribers = 24;
constexpr const char* kTestRealm = "epc.mnc001.mcc001.3gppnetwork.org";
constexpr const char* kMaster = "465b5ce8b199b49faa5f0a2ee238a6bc";
constexpr const char* kOpcText = "cd63cb71954a9f4e48a5994e37a02baf";

struct Told {
  SequenceNumber sqn;                 // the highest that any AIA carried
  std::string mme;                    // of the last ULA
  std::vector<std::string> possible;  // of updates since then that nobody answered
};

class HssKillTest : public ::testing::Test {
 protected:
  HssKillTest() {
    std::string name = ::testing::TempDir() + "siglane-kill-XXXXXX";
    directory_ = mkdtemp(name.data());
    write_config();
    Aes128 aes = Aes128::create().value();
    for (unsigned n = 0; n < kSubscribers; ++n) {
      usims_.emplace_back(derived_key(aes, bytes_of<16>(kMaster), imsi_number(n)),
                          bytes_of<16>(kOpcText));
    }
  }
  ~HssKillTest() override { std::filesystem::remove_all(directory_); }

  void write_config() {
    const std::string file = directory_ / "subscribers.json";
    std::ofstream(file) << R"({"subscribers": [{"imsi_first": ")" << imsi_number(0).text()
                        << R"(", "count": )" << kSubscribers << R"(, "k_master": ")" << kMaster
                        << R"(", "opc": ")" << kOpcText << R"(", "subscription": {
        "ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1},
        "apns": [{"apn": "internet",
                  "ambr": {"uplink_bits_per_second": 1, "downlink_bits_per_second": 1}}]}}]})";
    std::ofstream(directory_ / "hss.json")
        << R"({"node": {"name": "hss"}, "endpoints": [{"name": "s6a", "module": "diameter",
        "transport": "tcp", "addresses": ["127.0.0.1"], "listen": true, "port": )"
        << port_ << R"(}], "diameter": {"origin_host": "hss01.)" << kTestRealm
        << R"(", "origin_realm": ")" << kTestRealm << R"(", "peers": [
        {"name": "mme01", "origin_host": ")"
        << mmes_[0].host() << R"("}, {"name": "mme02", "origin_host": ")" << mmes_[1].host()
        << R"("}]}, "hss": {"database": ")" << database_path() << R"(", "subscribers": ")" << file
        << R"(", "store": {"checkpoint_pages": 16}}})";
  }
  std::string database_path() const { return directory_ / "hss.db"; }

  // The process is up when it answers CER; it has five seconds for that.
  void connect(HssProcess& hss) {
    for (TcpMme& mme : mmes_) {
      bool open = false;
      for (int tries = 0; tries < 500 && !open && !hss.ended(); ++tries) {
        open = mme.connect(port_);
        if (!open) ::poll(nullptr, 0, 10);
      }
      ASSERT_TRUE(open) << hss.log();
    }
  }

  struct Sent {
    unsigned subscriber;
    bool update;
  };
  // One request at a time for each subscriber, all subscribers at once: so the order in which the
  // HSS did one subscriber's requests is known.
  bool send_next(TcpMme& mme, unsigned subscriber, Random& random,
                 std::map<std::uint32_t, Sent>& sent) {
    const bool update = random.below(3) == 0;
    const Imsi imsi = imsi_number(subscriber);
    const Buffer request = (update ? ulr(mme, imsi) : air(mme, imsi, 2)).finish();
    sent[mme.last_id()] = {subscriber, update};
    if (update) told_[subscriber].possible.push_back(mme.host());
    return mme.send(request);
  }
  void take(const diameter::MessageView& answer, const Sent& sent, const TcpMme& mme) {
    ASSERT_EQ(answer.result_code(), diameter::result::success);
    Told& told = told_[sent.subscriber];
    if (sent.update) {
      told.mme = mme.host();
      told.possible.clear();
      return;
    }
    for (const AuthenticationVector& vector : vectors_of(answer)) {
      const auto sqn = usims_[sent.subscriber].sqn_of(vector);
      ASSERT_TRUE(sqn);
      ASSERT_GT(*sqn, told.sqn) << "SQN went backwards";
      told.sqn = *sqn;
    }
  }

  // Load until so many answers have come, then dead in the middle of it.
  void run_and_kill(HssProcess& hss, std::size_t answers, Random& random) {
    std::array<std::map<std::uint32_t, Sent>, 2> sent;
    for (unsigned n = 0; n < kSubscribers; ++n) {
      ASSERT_TRUE(send_next(mmes_[n % 2], n, random, sent[n % 2]));
    }
    for (std::size_t count = 0; count < answers; ++count) {
      const std::size_t side = count % 2;
      const auto message = mmes_[side].receive(5000);
      ASSERT_TRUE(message) << hss.log();
      const auto view = *diameter::MessageView::parse(message->bytes());
      if (view.is_request()) continue;  // CLR
      const auto asked = sent[side].find(view.header().hop_by_hop);
      ASSERT_NE(asked, sent[side].end());
      const Sent what = asked->second;
      sent[side].erase(asked);
      take(view, what, mmes_[side]);
      if (HasFatalFailure()) return;
      // The other MME's turn with this subscriber, unless that would leave this one without any.
      const std::size_t next = sent[side].size() > 2 ? random.below(2) : side;
      ASSERT_TRUE(send_next(mmes_[next], what.subscriber, random, sent[next]));
    }
    hss.kill();
    for (std::size_t side = 0; side < 2; ++side) {
      while (const auto message = mmes_[side].receive(5000)) {  // what was on its way: it counts
        const auto view = *diameter::MessageView::parse(message->bytes());
        const auto asked = sent[side].find(view.header().hop_by_hop);
        if (!view.is_request() && asked != sent[side].end()) {
          take(view, asked->second, mmes_[side]);
          sent[side].erase(asked);
        }
      }
    }
  }

  // The dead process's database, as whoever starts next will find it.
  void check_database() {
    auto database = Database::open(database_path(), "", 1s);
    ASSERT_TRUE(database) << database.error().what;
    EXPECT_EQ(database->text("PRAGMA integrity_check"), "ok");
    for (unsigned n = 0; n < kSubscribers; ++n) {
      const std::string where =
          " FROM subscriber WHERE imsi = '" + std::string(imsi_number(n).text()) + "'";
      const auto sqn = database->integer("SELECT sqn" + where);
      ASSERT_TRUE(sqn);
      EXPECT_GE(static_cast<std::uint64_t>(*sqn), told_[n].sqn.value) << "an AIA is lost";
      std::vector<std::string> possible = told_[n].possible;
      possible.push_back(told_[n].mme);
      const auto mme = database->text("SELECT coalesce(mme_host, '')" + where);
      EXPECT_NE(std::find(possible.begin(), possible.end(), mme.value_or("?")), possible.end())
          << "a ULA is lost: " << *mme << " instead of " << told_[n].mme;
      // What happened is from now on what is known.
      told_[n].mme = mme.value_or("?");
      told_[n].possible.clear();
    }
  }

  std::filesystem::path directory_;
  const std::uint16_t port_ = free_port();
  std::array<TcpMme, 2> mmes_ = {TcpMme(std::string("mme01.") + kTestRealm, kTestRealm),
                                 TcpMme(std::string("mme02.") + kTestRealm, kTestRealm)};
  std::vector<Usim> usims_;
  std::map<unsigned, Told> told_;
};

TEST_F(HssKillTest, NoAnsweredAiaOrUlaIsLostAndNoSqnGoesBackwardsOverTwentyKills) {
  Random random(7);
  for (int round = 0; round < kKills; ++round) {
    SCOPED_TRACE("kill " + std::to_string(round));
    HssProcess hss(directory_);
    ASSERT_NO_FATAL_FAILURE(connect(hss));
    ASSERT_NO_FATAL_FAILURE(run_and_kill(hss, 50 + random.below(500), random));
    ASSERT_NO_FATAL_FAILURE(check_database());
  }
  EXPECT_GT(told_[0].sqn.seq(), static_cast<std::uint64_t>(kKills));
}

TEST_F(HssKillTest, AnMmeThatHasEndedItsHalfOfTheConnectionGetsItsAia) {
  HssProcess hss(directory_);
  ASSERT_NO_FATAL_FAILURE(connect(hss));
  TcpMme& mme = mmes_[0];
  constexpr unsigned kRequests = 20;
  for (unsigned n = 0; n < kRequests; ++n) {
    ASSERT_TRUE(mme.send(air(mme, imsi_number(n), 2).finish()));
  }
  mme.end_output();
  for (unsigned n = 0; n < kRequests; ++n) {
    const auto message = mme.receive(5000);
    ASSERT_TRUE(message) << n << "\n" << hss.log();
    const auto answer = *diameter::MessageView::parse(message->bytes());
    EXPECT_EQ(answer.result_code(), diameter::result::success);
    EXPECT_EQ(vectors_of(answer).size(), 2u);
  }
  EXPECT_TRUE(mme.at_end(5000)) << "the HSS closes its half when it owes nothing more";
  EXPECT_TRUE(mme.connect(port_)) << hss.log();
}

// The old connection is left open: the HSS does not wait for its end.
TEST_F(HssKillTest, AnMmeThatHasSaidGoodbyeIsLetInAgainAtOnce) {
  HssProcess hss(directory_);
  ASSERT_NO_FATAL_FAILURE(connect(hss));
  TcpMme& old = mmes_[0];
  ASSERT_TRUE(old.send(air(old, imsi_number(0), 1).finish()));
  auto dpr =
      diameter::MessageBuilder::request(old.buffers(), diameter::command::disconnect_peer, 7, 7);
  dpr.add(avp::origin_host, old.host())
      .add(avp::origin_realm, kTestRealm)
      .add(avp::disconnect_cause, diameter::DisconnectCause::busy);
  ASSERT_TRUE(old.send(std::move(dpr).finish()));
  for (const diameter::CommandDef& expected :
       {diameter::command::authentication_information, diameter::command::disconnect_peer}) {
    const auto message = old.receive(5000);
    ASSERT_TRUE(message) << hss.log();
    EXPECT_TRUE(diameter::MessageView::parse(message->bytes())->is(expected));
  }
  TcpMme again(old.host(), kTestRealm);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(again.connect(port_)) << hss.log();
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
  ASSERT_TRUE(again.send(air(again, imsi_number(1), 1).finish()));
  EXPECT_TRUE(again.receive(5000));
}

using HssProcessTest = HssKillTest;

// RFC 6733 §7.1.5, DIAMETER_UNSUPPORTED_VERSION: on a byte stream too, where only the length field
// of a version that nobody knows says where the message ends.
TEST_F(HssProcessTest, APeerOfAnotherVersionIsToldSoOverTcpBeforeItsConnectionEnds) {
  HssProcess hss(directory_);
  connect(hss);
  std::string bytes(as_text(air(mmes_[0], imsi_number(0)).finish().bytes()));
  bytes[0] = 2;
  ASSERT_TRUE(mmes_[0].send(Buffer::copy_of(as_bytes(bytes))));
  const auto answer = mmes_[0].receive(5000);
  ASSERT_TRUE(answer) << hss.log();
  const auto view = diameter::MessageView::parse(answer->bytes());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->result_code(), diameter::result::unsupported_version);
  EXPECT_EQ(view->header().hop_by_hop, mmes_[0].last_id());
  EXPECT_FALSE(mmes_[0].receive(5000)) << "and then the connection ends";
}

}  // namespace
}  // namespace siglane::hss
