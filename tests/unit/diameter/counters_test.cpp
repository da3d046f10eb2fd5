#include "protocols/diameter/counters.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "protocols/diameter/constants.h"
#include "tests/unit/diameter/host.h"
#include "tests/unit/diameter/test_messages.h"

namespace siglane::diameter {
namespace {

// "diameter.requests.sent S6a Update-Location": how often.
std::map<std::string, std::uint64_t> labelled(const Counters& counters) {
  std::map<std::string, std::uint64_t> rows;
  counters.labelled().visit(
      [&](const CounterInfo& counter, std::span<const std::uint32_t> values, std::uint64_t count) {
        std::string key = counter.name;
        for (std::size_t i = 0; i < values.size(); ++i)
          key += " " + counter.labels[i].text(values[i]);
        rows[key] += count;
      });
  return rows;
}

class DiameterCountersTest : public testing::Test {
 protected:
  static DiameterConfig ours() {
    DiameterConfig config = node_config("us");
    config.peers = {{"the peer", "peer.example", "realm.peer.example", {}}};
    return config;
  }
  Buffer answer(bool experimental, std::uint32_t code) {
    const Buffer request = ulr(host_.pool, "peer.example").finish();
    auto answer = MessageBuilder::answer(host_.pool, parsed(request).header());
    if (experimental) {
      answer.group(avp::experimental_result, [&] {
        answer.add(avp::vendor_id, 10415u).add(avp::experimental_result_code, code);
      });
    } else if (code != 0) {
      answer.add(avp::result_code, code);
    }
    return std::move(answer).finish();
  }

  Host host_{ours()};
  Outbox out_{host_.pool, host_.counters};
};

TEST_F(DiameterCountersTest, CountRequestsByApplicationAndCommand) {
  count_received(parsed(ulr(host_.pool, "peer.example").finish()), out_);
  count_sent(ulr(host_.pool, "peer.example").finish().bytes(), out_);
  count_sent(ulr(host_.pool, "peer.example").finish().bytes(), out_);
  const auto rows = labelled(host_.counters);
  EXPECT_EQ(rows.at("diameter.requests.received S6a Update-Location"), 1u);
  EXPECT_EQ(rows.at("diameter.requests.sent S6a Update-Location"), 2u);
  EXPECT_EQ(host_.counters.get(counter::requests_sent.total()), 2u);
}

TEST_F(DiameterCountersTest, CountAnswersByTheirResultToo) {
  const std::pair<bool, std::uint32_t> results[] = {
      {false, 2001}, {false, 2999}, {false, 0}, {true, 5001}, {true, 5999}};
  for (const auto& [experimental, code] : results) {
    count_sent(answer(experimental, code).bytes(), out_);
  }
  std::map<std::string, std::uint64_t> expected;
  for (const char* result : {"DIAMETER_SUCCESS", "(other)", "none", "experimental:USER_UNKNOWN",
                             "experimental:(other)"}) {
    expected[std::string("diameter.answers.sent S6a Update-Location ") + result] = 1;
  }
  EXPECT_EQ(labelled(host_.counters), expected);
  EXPECT_EQ(host_.counters.get(counter::answers_error), 3u) << "2999 is a success too";
}

// A peer could fill the table with numbers of its choice, and hide what others do in its last row.
TEST_F(DiameterCountersTest, HaveOneLabelForAllThatTheDictionaryDoesNotKnow) {
  const auto received = [&](std::uint32_t command, std::uint32_t application) {
    Header header{.flags = command_flag::kRequest,
                  .command = CommandCode{command},
                  .application = ApplicationId{application}};
    count_received(parsed(MessageBuilder(host_.pool, header).finish()), out_);
  };
  for (std::uint32_t n = 0; n < 5000; ++n) received(9'000'000 + n, 77 + n);
  const auto update_location = static_cast<std::uint32_t>(command::update_location.code);
  for (std::uint32_t n = 0; n < 5000; ++n) received(update_location, 77 + n);
  received(static_cast<std::uint32_t>(command::capabilities_exchange.code), 4711);
  EXPECT_EQ(labelled(host_.counters),
            (std::map<std::string, std::uint64_t>{
                {"diameter.requests.received (other) (other)", 10'000},
                {"diameter.requests.received Common-Messages Capabilities-Exchange", 1}}));
}

TEST_F(DiameterCountersTest, ASessionCountsAllThatItReceivesAndSends) {
  constexpr AssociationId kPeer{1};
  open_peer(host_, kPeer, node_config("peer"));
  host_.receive(kPeer, ulr(host_.pool, "peer.example").finish());  // nobody serves its realm
  const auto rows = labelled(host_.counters);
  EXPECT_EQ(rows.at("diameter.requests.received S6a Update-Location"), 1u);
  EXPECT_EQ(rows.at("diameter.answers.sent Common-Messages Capabilities-Exchange "
                    "DIAMETER_SUCCESS"),
            1u);
  std::uint64_t answers = 0;
  for (const auto& [key, count] : rows) {
    if (key.starts_with("diameter.answers.sent ")) answers += count;
  }
  EXPECT_EQ(answers, host_.counters.get(counter::answers_sent.total()));
}

}  // namespace
}  // namespace siglane::diameter
