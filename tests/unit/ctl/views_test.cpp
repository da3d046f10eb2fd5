#include "apps/ctl/views.h"

#include <algorithm>

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace siglane::ctl {
namespace {

admin::Response response(const std::string& text) {
  admin::Response response;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &response));
  return response;
}

admin::Response associations() {
  return response(R"(
    node: "hss-1" time_unix_ms: 1000000
    associations {
      association {
        id: 1 endpoint: "main" local: "127.0.0.1:3868" remote: "127.0.0.11:3868" peer: "mme-1"
        protocol: "diameter" state: "I-Open" transport: "kernel-sctp" opened_unix_ms: 995000
        placement: SHARED messages_in: 10 messages_out: 10 messages_in_per_second: 0.4
        messages_out_per_second: 0.04
      }
      association {
        id: 2 endpoint: "main" remote: "127.0.0.12:40123" state: "Wait-CER" protocol: "diameter"
        transport: "kernel-sctp" opened_unix_ms: 999000 placement: SHARED
      }
      association {
        id: 3 endpoint: "main" remote: "127.0.0.50:3868" peer: "mme-heavy" protocol: "diameter"
        state: "R-Open" transport: "kernel-sctp" opened_unix_ms: 900000 placement: PEELED
        peel_reason: "message_rate" peeled_unix_ms: 990000 peeled_at_messages_per_second: 9000
        messages_in_per_second: 12345.6 messages_out_per_second: 12345.4 residence_count: 9
        residence_p50_ns: 85000 residence_p99_ns: 1234567 pending: 12 queued_messages: 3
        congested: true shard: 2
      }
    })");
}

TEST(Views, AssociationsShowWherePeersSitAndWhy) {
  EXPECT_EQ(
      associations_view({associations()}),
      "PEER       STATE     PLACED  WHY           SINCE   IN/s  OUT/s  p50 ms  p99 ms  QUEUE  "
      "PENDING  SHARD  TRANSPORT    REMOTE              AGE\n"
      "mme-heavy  R-Open    peeled  message_rate    10s  12346  12345   0.085    1.23     3!  "
      "     12      2  kernel-sctp  127.0.0.50:3868   1m40s\n"
      "-          Wait-CER  shared  -                 -      0      0       -       -      0  "
      "      0      0  kernel-sctp  127.0.0.12:40123     1s\n"
      "mme-1      I-Open    shared  -                 -    0.4      0       -       -      0  "
      "      0      0  kernel-sctp  127.0.0.11:3868      5s\n"
      "3 associations: 1 peeled, 2 shared; 12346 messages/s in, 12345 out\n");
}

TEST(Views, AssociationsOfSeveralNodesCarryTheNodesName) {
  const admin::Response stp = response(R"(
    node: "stp-1" time_unix_ms: 5000
    associations { association { id: 9 peer: "asp-1" state: "ASP-ACTIVE" transport: "tcp"
                                 placement: DEDICATED remote: "[::1]:2905" opened_unix_ms: 5000 } })");
  const std::string text = associations_view({associations(), stp});
  EXPECT_NE(text.find("\nstp-1  asp-1      ASP-ACTIVE  own "), std::string::npos) << text;
  EXPECT_NE(text.find("\nhss-1  mme-heavy  R-Open      peeled "), std::string::npos) << text;
}

TEST(Views, AssociationsKeepWhatMattersMostWhereTheTerminalIsNarrow) {
  const std::string text = associations_view({associations(), associations()}, 86);
  EXPECT_EQ(
      text.substr(0, text.find('\n')),
      "NODE   PEER       STATE     PLACED  WHY           SINCE   IN/s  OUT/s  p50 ms  p99 ms");
}

TEST(Views, NoLineOfAssociationsIsWiderThan140Columns) {
  admin::Response wide = associations();
  for (auto& row : *wide.mutable_associations()->mutable_association()) {
    row.set_peer(std::string(60, 'p'));
    row.set_state(std::string(30, 's'));
    row.set_remote("[2001:db8:1111:2222:3333:4444:5555:6666]:40123");
    row.set_messages_in_per_second(1234567);
    row.set_queued_messages(123456);
  }
  admin::Response other = wide;
  other.set_node("a-node-with-quite-a-long-name");
  const std::string text = associations_view({wide, other});
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    EXPECT_LE(end - at, 140u) << text.substr(at, end - at);
    at = end + 1;
  }
}

TEST(Views, PeersShowWhoIsThereAndWhoIsNot) {
  EXPECT_EQ(peers_view({response(R"(
    node: "hss-1" time_unix_ms: 100000
    peers {
      peer { name: "mme-1" protocol: "diameter" configured: true configured_address: "10.0.0.1"
             configured_address: "10.0.1.1" configured_port: 3868 pin: "auto" state: "R-Open"
             association: 4 since_unix_ms: 40000 }
      peer { name: "pcrf" protocol: "diameter" configured: true connect_from: "main" pin: "never"
             state: "down" last_closed_why: "the peer disconnects: BUSY"
             last_closed_unix_ms: 95000 held_off_until_unix_ms: 275000 }
      peer { name: "stranger" protocol: "diameter" state: "R-Open" association: 5
             since_unix_ms: 99000 }
    })")}),
            "PEER      PROTOCOL  STATE     FOR  PIN    CONNECTS   ADDRESSES          LAST CLOSED\n"
            "mme-1     diameter  R-Open  1m00s  auto   to us      10.0.0.1,10.0.1.1  -\n"
            "pcrf      diameter  down        -  never  from main  -                  "
            "5s ago: the peer disconnects: BUSY (no connect for 2m55s)\n"
            "stranger  diameter  R-Open     1s  -      unknown    -                  -\n");
}

TEST(Views, StatsShowWhatIsNotZeroAndRatesBetweenFrames) {
  const admin::Response first = response(R"(
    node: "n" time_unix_ms: 1000 stats { started_unix_ms: 1
      counter { name: "messages.received" value: 100 } counter { name: "connects.failed" } })");
  const admin::Response second = response(R"(
    node: "n" time_unix_ms: 3000 stats { started_unix_ms: 1
      counter { name: "messages.received" value: 1100 } counter { name: "connects.failed" } })");
  EXPECT_EQ(stats_view({first}, false, {}),
            "COUNTER            VALUE\n"
            "messages.received    100\n");
  EXPECT_EQ(stats_view({first}, true, {}),
            "COUNTER            VALUE\n"
            "messages.received    100\n"
            "connects.failed        0\n");
  EXPECT_EQ(stats_view({second}, false, {first}),
            "COUNTER            VALUE  PER SECOND\n"
            "messages.received   1100         500\n");
  admin::Response restarted = second;
  restarted.mutable_stats()->set_started_unix_ms(2000);
  EXPECT_EQ(stats_view({restarted}, false, {first}),
            "COUNTER            VALUE\n"
            "messages.received   1100\n");
}

admin::Response stats_of_peers(const char* rows, std::int64_t time_unix_ms) {
  admin::Response node = response(rows);
  node.set_node("n");
  node.set_time_unix_ms(time_unix_ms);
  return node;
}

TEST(Views, StatsOfPeersKeepTheirRatesWhenRowsComeBetween) {
  const admin::Response first =
      stats_of_peers(R"(stats { counter { name: "messages.sent" value: 100 peer: "bob" } })", 1000);
  const admin::Response second = stats_of_peers(
      R"(stats { counter { name: "messages.sent" value: 4 peer: "alice" }
                 counter { name: "messages.sent" value: 300 peer: "bob" } })",
      3000);
  EXPECT_EQ(stats_view({second}, false, {first}),
            "PEER   COUNTER        VALUE  PER SECOND\n"
            "alice  messages.sent      4         2.0\n"
            "bob    messages.sent    300         100\n");
}

TEST(Views, StatsWithLabelsShowThemBesideTheirSum) {
  const char* const rows = R"(stats {
      counter { name: "diameter.requests.sent" value: %TOTAL% }
      counter { name: "diameter.requests.sent" value: 6 label { name: "application" value: "S6a" }
                label { name: "command" value: "Update-Location" } }
      counter { name: "diameter.requests.sent" value: 0 label { name: "application" value: "4" } }
      counter { name: "x.sent" value: 1 label { name: "type" value: "ASPUP ACK" } } })";
  const auto with_total = [&](const std::string& total, std::int64_t time_unix_ms) {
    std::string text = rows;
    text.replace(text.find("%TOTAL%"), 7, total);
    return stats_of_peers(text.c_str(), time_unix_ms);
  };
  EXPECT_EQ(
      stats_view({with_total("10", 2000)}, false, {with_total("6", 1000)}),
      "COUNTER                 LABELS                                   VALUE  PER SECOND\n"
      "diameter.requests.sent                                              10         4.0\n"
      "diameter.requests.sent  application=S6a command=Update-Location      6           0\n"
      "x.sent                  type=\"ASPUP ACK\"                             1           0\n");
}

TEST(Views, DropsShowTheMostRecentFirstWithItsReasonPeerAndExample) {
  const admin::Response node = response(R"(
    node: "stp-1" time_unix_ms: 100000
    drops {
      drop { reason: "m3ua.no_route" what: "no AS serves the destination" peer: "asp-1" count: 12
             example: "DATA 100 -> 300 SI 3 SLS 7" last_unix_ms: 40000 }
      drop { reason: "m3ua.malformed" what: "not a message" count: 1 last_unix_ms: 99000 }
    })");
  EXPECT_EQ(
      drops_view({node}),
      "REASON          PEER   COUNT   LAST  WHAT                          LAST EXAMPLE\n"
      "m3ua.malformed  -          1     1s  not a message                 -\n"
      "m3ua.no_route   asp-1     12  1m00s  no AS serves the destination  DATA 100 -> 300 SI 3 "
      "SLS 7\n");
}

TEST(Views, FactsOfSeveralNodesStandInTheOrderOfTime) {
  const admin::Response a = response(R"(
    node: "a" facts {
      fact { number: 1 unix_ms: 1000 kind: "peer_opened" severity: "info" association: 4
             peer: "127.0.0.1:3868" field { key: "peer" value: "mme-1" } }
      fact { number: 2 unix_ms: 3001 kind: "association_closed" severity: "info" association: 4
             peer: "mme-1" field { key: "cause" value: "lost" }
             field { key: "detail" value: "no answer" } } })");
  const admin::Response b = response(R"(
    node: "b" facts { fact { number: 1 unix_ms: 2000 kind: "notice" severity: "warning"
                             field { key: "text" value: "x" } } })");
  EXPECT_EQ(facts_view({a, b}),
            "00:00:01.000Z a info peer_opened association=4 peer=mme-1\n"
            "00:00:02.000Z b warning notice text=x\n"
            "00:00:03.001Z a info association_closed association=4 peer=mme-1 cause=lost "
            "detail=\"no answer\"\n");
}

// A node that keeps no promise: a screen that is cleared, a line break, eight-bit control, a name
// written backwards.
admin::Response hostile() {
  return response(R"(
    node: "n\033[2J" time_unix_ms: 1000
    peers { peer { name: "a\nb\302\233" protocol: "\342\200\256x" state: "\177" } })");
}

bool is_clean(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); });
}

TEST(Views, NothingThatAPeerCallsItselfReachesTheTerminalRaw) {
  const std::string peers = peers_view({hostile(), hostile()});
  EXPECT_TRUE(is_clean(peers)) << peers;
  EXPECT_NE(peers.find(R"(n\u001b[2J  a\nb\u009b  \u202ex)"), std::string::npos) << peers;
  EXPECT_EQ(std::count(peers.begin(), peers.end(), '\n'), 3) << peers;

  const std::string json = json_view({hostile()});
  EXPECT_TRUE(is_clean(json)) << json;
  EXPECT_NE(json.find(R"("protocol":"\u202ex")"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("state":"\u007f")"), std::string::npos) << json;
}

TEST(Views, AFactsValueEndsWhereItsQuotesSay) {
  const admin::Response facts = response(R"(node: "n" facts { fact {
      unix_ms: 1000 kind: "k\033" severity: "info" association: 1 peer: "p\r"
      field { key: "who" value: "x\033]0;t\007" }
      field { key: "why" value: "a\" peer=\"b" } } })");
  EXPECT_EQ(facts_view({facts}),
            R"(00:00:01.000Z info k\u001b association=1 peer=p\r who=x\u001b]0;t\u0007 )"
            R"(why="a\" peer=\"b")"
            "\n");
}

TEST(Views, WhatANodeHasMadePrintableStaysAsItIs) {
  const std::string peers = peers_view({response(R"(
    node: "n" peers { peer { name: "a\\\\b\\u001b" protocol: "diameter" } })")});
  EXPECT_NE(peers.find(R"(a\\b\u001b  diameter)"), std::string::npos) << peers;
}

TEST(Views, JsonIsOneObjectALineWithAllFields) {
  const std::string json = json_view(
      {response(R"(node: "a" time_unix_ms: 5 peers {})"), response(R"(node: "b" associations {
                                        association { id: 1 placement: PEELED } })")});
  EXPECT_EQ(
      json.substr(0, json.find('\n')),
      R"({"id":"0","node":"a","time_unix_ms":"5","node_started_unix_ms":"0","peers":{"peer":[]}})");
  const std::string second = json.substr(json.find('\n') + 1);
  EXPECT_NE(second.find(R"("placement":"PEELED")"), std::string::npos) << second;
  EXPECT_NE(second.find(R"("congested":false)"), std::string::npos) << second;
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 2);
}

TEST(Views, AgesLatenciesAndRatesAreShort) {
  EXPECT_EQ(age_text(-5), "0s");
  EXPECT_EQ(age_text(59'999), "59s");
  EXPECT_EQ(age_text(184'000), "3m04s");
  EXPECT_EQ(age_text(7'800'000), "2h10m");
  EXPECT_EQ(age_text(3 * 86'400'000 + 4 * 3'600'000), "3d04h");
  EXPECT_EQ(latency_text(0), "0.000");
  EXPECT_EQ(latency_text(850'400), "0.850");
  EXPECT_EQ(latency_text(999'600), "1.00");
  EXPECT_EQ(latency_text(9'996'000), "10.0");
  EXPECT_EQ(latency_text(99'960'000), "100");
  EXPECT_EQ(latency_text(1'234'000'000), "1234");
  EXPECT_EQ(rate_text(0.01), "0");
  EXPECT_EQ(rate_text(9.94), "9.9");
  EXPECT_EQ(rate_text(9.96), "10");
}

}  // namespace
}  // namespace siglane::ctl
