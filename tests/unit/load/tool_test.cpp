#include "apps/load/tool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/load/config.h"
#include "apps/load/traffic.h"
#include "tests/support/paths.h"

namespace siglane::load {
namespace {

class NoTraffic final : public Traffic {
 public:
  std::string_view protocol() const override { return "none"; }
  std::size_t peers() const override { return 0; }
  std::vector<std::string> peer_names() const override { return {}; }
  Result<void> set_up(const runtime::ShardSetUp&, LoadRun&) override { return failure("ran"); }
  std::vector<GroupTally> groups() const override { return {}; }
  void finish(Instant, Report&) override {}
};

TEST(Tool, RefusesToStartWhereItsReportCannotBeWritten) {
  const auto config = load_s6a_config(test::source_dir() + "/config/load-s6a.json", {});
  ASSERT_TRUE(config) << config.error().what;
  ToolOptions options;
  options.json_file = "/nonexistent/report.json";
  NoTraffic traffic;
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_tool(config->load, options, traffic), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "siglane-load: cannot write the report to /nonexistent/report.json\n");
}

}  // namespace
}  // namespace siglane::load
