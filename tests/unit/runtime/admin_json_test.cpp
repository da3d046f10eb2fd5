#include <limits>

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "apps/runtime/admin/json.h"
#include "apps/runtime/admin/messages.h"

namespace siglane::runtime {
namespace {

// An independent reader of protobuf's mapping takes it.
void expect_read_back(const google::protobuf::Message& message, google::protobuf::Message& again) {
  const std::string json = to_json(message);
  const auto status = google::protobuf::util::JsonStringToMessage(json, &again);
  ASSERT_TRUE(status.ok()) << status.ToString() << "\n" << json;
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(message, again)) << json;
}

TEST(AdminJson, HasNumbersAsNumbersAndNamesOfTheSchema) {
  admin::Drop drop;
  drop.set_reason("m3ua.no_route");
  drop.set_count(std::numeric_limits<std::uint64_t>::max());
  drop.set_last_unix_ms(std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(to_json(drop),
            R"({"reason":"m3ua.no_route","what":"","peer":"","count":18446744073709551615,)"
            R"("example":"","last_unix_ms":-9223372036854775808,"association":0})");
}

TEST(AdminJson, LeavesOutOnlyWhatMayBeAbsent) {
  admin::M3uaRoute route;
  EXPECT_EQ(to_json(route),
            R"({"destination_point_code":0,"service_indicator":[],"originating_point_code":[],)"
            R"("application_server":"","state":""})");
  route.set_network_appearance(0);
  route.add_service_indicator(3);
  route.add_service_indicator(5);
  EXPECT_EQ(to_json(route),
            R"({"destination_point_code":0,"network_appearance":0,"service_indicator":[3,5],)"
            R"("originating_point_code":[],"application_server":"","state":""})");
}

TEST(AdminJson, IsPrintable) {
  admin::Error error;
  error.set_text(
      "a\"b\\c\nd\x01"
      "e\x7f/ü\U0001f600");
  EXPECT_EQ(to_json(error), R"({"code":"CODE_UNSPECIFIED","text":)"
                            R"("a\"b\\c\nd\u0001e\u007f/\u00fc\ud83d\ude00"})");
  admin::Error again;
  expect_read_back(error, again);
}

TEST(AdminJson, IsReadBackByProtobuf) {
  admin::Response response;
  response.set_node("stp \"1\"");
  admin::Association& row = *response.mutable_associations()->add_association();
  row.set_id(1ull << 63);
  row.set_placement(admin::PEELED);
  row.set_congested(true);
  row.set_messages_in_per_second(0.1);
  row.set_messages_out_per_second(1e300);
  response.mutable_associations()->add_association()->set_peer("x");
  admin::Response again;
  expect_read_back(response, again);
  row.set_peeled_at_messages_per_second(std::numeric_limits<double>::infinity());
  expect_read_back(response, again);
}

}  // namespace
}  // namespace siglane::runtime
