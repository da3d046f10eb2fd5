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

admin::Response peers() {
  return response(R"(
    node: "hss-1" time_unix_ms: 100000
    peers {
      peer { name: "mme-1" protocol: "diameter" configured: true configured_address: "10.0.0.1"
             configured_address: "10.0.1.1" configured_port: 3868 pin: "auto" state: "R-Open"
             state_since_unix_ms: 40000 last_cause: "peer_abort" last_cause_unix_ms: 38000
             connection { association: 4 state: "R-Open" since_unix_ms: 40000 } }
      peer { name: "pcrf" protocol: "diameter" configured: true connect_from: "main" pin: "never"
             state: "down" state_since_unix_ms: 95000 last_cause: "the peer disconnects: BUSY"
             last_cause_unix_ms: 95000 held_off_until_unix_ms: 275000
             link { id: 1 endpoint: "main" state: "waiting" next_connect_unix_ms: 275000 } }
      peer { name: "stranger" protocol: "diameter" state: "R-Open"
             connection { association: 5 state: "R-Open" since_unix_ms: 99000 } }
    })");
}

TEST(Views, PeersShowWhoIsThereAndWhoIsNotAndWhy) {
  EXPECT_EQ(peers_view({peers()}, 160),
            "PEER      PROTOCOL  STATE     FOR  PIN    CONNECTS   NEXT      ADDRESSES          "
            "LAST CAUSE\n"
            "mme-1     diameter  R-Open  1m00s  auto   to us      -         10.0.0.1,10.0.1.1  "
            "1m02s ago: peer_abort\n"
            "pcrf      diameter  down       5s  never  from main  in 2m55s  -                  "
            "held off until 00:04:35Z; 5s ago: the peer disconnects: BUSY\n"
            "stranger  diameter  R-Open     1s  -      unknown    -         -                  "
            "-\n");
}

TEST(Views, PeersKeepTheirCausesWhereTheTerminalIsNarrow) {
  EXPECT_EQ(peers_view({peers()}, 90),
            "PEER      STATE     FOR  CONNECTS   NEXT      LAST CAUSE\n"
            "mme-1     R-Open  1m00s  to us      -         1m02s ago: peer_abort\n"
            "pcrf      down       5s  from main  in 2m55s  held off until 00:04:35Z; 5s ago: the "
            "peer ~\n"
            "stranger  R-Open     1s  unknown    -         -\n");
}

TEST(Views, APeerHasALineForEachConnectionAndForEachLinkWithoutOne) {
  EXPECT_EQ(peers_view({response(R"(
    node: "n" time_unix_ms: 100000
    peers { peer {
      name: "dra" protocol: "diameter" configured: true connect_from: "main" pin: "auto"
      state: "I-Open" blocked: true
      connection { association: 4 state: "I-Open" since_unix_ms: 40000 }
      connection { association: 9 state: "I-Open" since_unix_ms: 99000 }
      link { id: 1 endpoint: "main" state: "connected" association: 4 }
      link { id: 2 endpoint: "main" state: "connected" association: 9 }
      link { id: 3 endpoint: "main" state: "connecting" association: 11 }
      link { id: 4 endpoint: "main" state: "resting" } } })")}),
            "PEER  PROTOCOL  STATE         FOR  PIN   CONNECTS   NEXT  ADDRESSES  LAST CAUSE\n"
            "dra   diameter  I-Open      1m00s  auto  from main  -     -          blocked by the "
            "operator\n"
            "dra   diameter  I-Open         1s  auto  from main  -     -\n"
            "dra   diameter  connecting      -  auto  from main  now   -\n");
}

TEST(Views, APeerThatIsDownHasALineAlsoWhereNothingIsOnTheWay) {
  EXPECT_EQ(peers_view({response(R"(
    node: "n" time_unix_ms: 100000
    peers {
      peer { name: "a" protocol: "m3ua" configured: true pin: "auto" state: "down"
             state_since_unix_ms: 1000 last_cause: "refused: not from that address"
             last_cause_unix_ms: 90000 }
      peer { name: "b" protocol: "m3ua" configured: true connect_from: "main" pin: "auto"
             state: "down" state_since_unix_ms: 99000 disconnected: true
             link { id: 1 endpoint: "main" state: "disabled" } }
    })")},
                       100),
            "PEER  PROTOCOL  STATE    FOR  PIN   CONNECTS   NEXT  LAST CAUSE\n"
            "a     m3ua      down   1m39s  auto  to us      -     10s ago: refused: not from that "
            "address\n"
            "b     m3ua      down      1s  auto  from main  -     disconnected by the operator\n");
}

TEST(Views, ApplicationServersShowWhoServesThem) {
  EXPECT_EQ(
      application_servers_view({response(R"(
    node: "stp-1" application_servers {
      application_server { name: "hlr" routing_context: 101 network_appearance: 1
        traffic_mode: "loadshare" state: "AS-PENDING" active_asps_min: 2 held_messages: 17
        asp { name: "hlr-a" state: "ASP-INACTIVE" } asp { name: "hlr-b" state: "ASP-DOWN" } }
      application_server { name: "msc" routing_context: 102 traffic_mode: "override"
        state: "AS-ACTIVE" active_asps_min: 1 asp { name: "msc-a" state: "ASP-ACTIVE" } }
    })")}),
      "AS    RC  NA  MODE       STATE       ACTIVE            HELD  ASPS\n"
      "hlr  101   1  loadshare  AS-PENDING  0 of 2, 2 needed    17  hlr-a ASP-INACTIVE, hlr-b "
      "ASP-DOWN\n"
      "msc  102   -  override   AS-ACTIVE   1 of 1, 1 needed     0  msc-a ASP-ACTIVE\n");
}

TEST(Views, RoutesShowWhatTheNodeHas) {
  const admin::Response diameter = response(R"(
    node: "dra" routes {
      diameter { realm: "a.example" origin_host: "dra.a.example" state: "open" application: "S6a" }
      diameter { realm: "b.example" peer: "hss" origin_host: "hss.b.example" state: "blocked"
                 connections: 2 application: "S6a" application: "any" }
      diameter { realm: "*" peer: "ipx" origin_host: "ipx.example" state: "down" agent: true } })");
  EXPECT_EQ(routes_view({diameter}),
            "REALM      PEER         STATE    OPEN  ROLE    APPLICATIONS  HOST\n"
            "a.example  (this node)  open        -  local   S6a           dra.a.example\n"
            "b.example  hss          blocked     2  member  S6a,any       hss.b.example\n"
            "*          ipx          down        0  agent   -             ipx.example\n");
  const admin::Response m3ua = response(R"(
    node: "stp" routes {
      m3ua { destination_point_code: 100 network_appearance: 1 service_indicator: 3
             service_indicator: 5 originating_point_code: 7 application_server: "hlr"
             state: "AS-ACTIVE" }
      m3ua { destination_point_code: 100 application_server: "msc" state: "AS-DOWN" } })");
  EXPECT_EQ(routes_view({m3ua}),
            "DPC  NA  SI   OPC  AS   STATE\n"
            "100   1  3,5  7    hlr  AS-ACTIVE\n"
            "100   -  -    -    msc  AS-DOWN\n");
  EXPECT_EQ(routes_view({response("node: \"n\" routes {}")}), "no routes\n");
}

TEST(Views, ALookupSaysTheWayAndWhyNotTheOthers) {
  EXPECT_EQ(route_lookup_view({response(R"(
    node: "dra" route_lookup {
      outcome: "to peer hss-1 or hss-2"
      way { name: "hss-1" chosen: true share: 0.5 why: "is of that realm" }
      way { name: "hss-2" chosen: true share: 0.5 why: "is of that realm" }
      way { name: "mme-1" why: "has not advertised the application" } })")}),
            "to peer hss-1 or hss-2\n"
            "    WAY    SHARE  WHY\n"
            "->  hss-1    50%  is of that realm\n"
            "->  hss-2    50%  is of that realm\n"
            "    mme-1      -  has not advertised the application\n");
  EXPECT_EQ(route_lookup_view({response(R"(node: "a" route_lookup { outcome: "no route" })"),
                               response(R"(node: "b\033" route_lookup { outcome: "x\r" })")}),
            "a:\nno route\n\nb\\u001b:\nx\\r\n");
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
            "bob    messages.sent    300         100\n"
            "alice  messages.sent      4         2.0\n");
}

TEST(Views, OfManyPeersThoseWithTheMostMessagesAreTheFirst) {
  const char* const rows = R"(stats {
      counter { name: "bytes.sent" value: %A% peer: "alice" }
      counter { name: "messages.sent" value: 12 peer: "alice" }
      counter { name: "messages.received" value: %B% peer: "bob" }
      counter { name: "messages.sent" value: %B% peer: "bob" }
      counter { name: "messages.sent" value: 7 peer: "carol" } })";
  const auto at = [&](const std::string& alice, const std::string& bob, std::int64_t time) {
    std::string text = rows;
    for (const auto& [from, to] : {std::pair("%A%", alice), {"%B%", bob}, {"%B%", bob}}) {
      text.replace(text.find(from), 3, to);
    }
    return stats_of_peers(text.c_str(), time);
  };
  EXPECT_EQ(stats_view({at("5000", "11", 2000)}, false, {at("1000", "9", 1000)}),
            "PEER   COUNTER            VALUE  PER SECOND\n"
            "bob    messages.received     11         2.0\n"
            "bob    messages.sent         11         2.0\n"
            "alice  bytes.sent          5000        4000\n"
            "alice  messages.sent         12           0\n"
            "carol  messages.sent          7           0\n");
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

TEST(Views, NamesStandAlone) {
  EXPECT_EQ(names_view({response(R"(peers { peer { name: "a" } peer { name: "b\001" } })"),
                        response(R"(application_servers { application_server { name: "as" } })")}),
            "a\nb\\u0001\nas\n");
}

TEST(Views, JsonIsOneObjectALineWithAllFields) {
  const std::string json = json_view(
      {response(R"(node: "a" time_unix_ms: 5 peers {})"), response(R"(node: "b" associations {
                                        association { id: 1 placement: PEELED } })")});
  EXPECT_EQ(
      json.substr(0, json.find('\n')),
      R"({"node":"a","time_unix_ms":5,"node_started_unix_ms":0,"peers":{"peer":[],"next":""}})");
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
