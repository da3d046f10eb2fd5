#include "transport/peeling/descriptor_reserve.h"

#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace siglane::transport {
namespace {

int lowest_free_descriptor() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(fd);
  return fd;
}

// Lowers RLIMIT_NOFILE as long as it lives.
class LoweredLimit {
 public:
  explicit LoweredLimit(int descriptors) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{static_cast<rlim_t>(descriptors), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~LoweredLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST(DescriptorReserve, ThePeelGetsTheNumberOfTheSpare) {
  const int spare = lowest_free_descriptor();
  DescriptorReserve reserve;
  EXPECT_GT(lowest_free_descriptor(), spare);
  ASSERT_FALSE(reserve.give_up_spare());
  EXPECT_EQ(lowest_free_descriptor(), spare);
  reserve.restore();
  EXPECT_GT(lowest_free_descriptor(), spare);
}

TEST(DescriptorReserve, RefusesWhereFewerThanTheMarginAreLeft) {
  DescriptorReserve reserve(10);
  const int next = lowest_free_descriptor();
  {
    LoweredLimit limit(next + 10);
    const auto why = reserve.give_up_spare();
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("RLIMIT_NOFILE"), std::string::npos) << *why;
    EXPECT_EQ(lowest_free_descriptor(), next) << "the spare must still be held";
  }
  LoweredLimit limit(next + 11);
  EXPECT_FALSE(reserve.give_up_spare());
  reserve.restore();
}

TEST(DescriptorReserve, RefusesWhereTheTableIsFull) {
  DescriptorReserve reserve(0);
  LoweredLimit limit(lowest_free_descriptor());
  const auto why = reserve.give_up_spare();
  ASSERT_TRUE(why);
  EXPECT_NE(why->find("no descriptor left"), std::string::npos) << *why;
}

TEST(DescriptorReserve, GivesItsSpareBackAtTheEnd) {
  const int before = lowest_free_descriptor();
  { DescriptorReserve reserve; }
  EXPECT_EQ(lowest_free_descriptor(), before);
}

}  // namespace
}  // namespace siglane::transport
