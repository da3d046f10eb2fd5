#include "transport/loop/loop.h"

#include <array>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace siglane::transport {
namespace {

class LoopTest : public ::testing::Test {
 protected:
  std::unique_ptr<Loop> loop_ = Loop::create().value();
};

struct SocketPair {
  SocketPair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds.data()), 0); }
  ~SocketPair() {
    for (int fd : fds) {
      if (fd >= 0) ::close(fd);
    }
  }
  std::array<int, 2> fds{-1, -1};
};

TEST_F(LoopTest, fires_a_timer_not_before_its_instant_and_shows_it_that_time) {
  const Instant due = Loop::fresh_now() + 5ms;
  Instant seen{};
  Timer timer = loop_->timer([&] { seen = loop_->now(); });
  timer.start_at(due);
  loop_->run();
  EXPECT_GE(seen, due);
  EXPECT_FALSE(timer.active());
}

TEST_F(LoopTest, says_the_same_time_all_through_one_wake_up) {
  std::vector<Instant> seen;
  Soon soon = loop_->soon([&] {
    seen.push_back(loop_->now());
    const Instant start = Loop::fresh_now();
    while (Loop::fresh_now() == start) {
    }
    seen.push_back(loop_->now());
  });
  soon.schedule();
  loop_->run();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_GT(loop_->now(), seen[1]);
}

TEST_F(LoopTest, counts_as_idle_what_it_waits_and_not_what_it_works) {
  loop_->measure_idle_time();
  const Instant began = Loop::fresh_now();
  Timer timer = loop_->timer([&] {
    while (Loop::fresh_now() < loop_->now() + 5ms) {
    }
  });
  timer.start_at(began + 5ms);
  loop_->run();
  EXPECT_GE(loop_->idle_time(), 3ms);
  EXPECT_LE(loop_->idle_time(), Loop::fresh_now() - began - 5ms);
}

TEST_F(LoopTest, wakes_from_another_thread) {
  bool woken = false;
  Async async = loop_->async([&] {
    woken = true;
    loop_->stop();
  });
  std::thread other([&] { async.send(); });
  loop_->run();
  other.join();
  EXPECT_TRUE(woken);
}

TEST_F(LoopTest, runs_soon_before_the_end_of_the_turn_and_may_schedule_it_again) {
  std::string order;
  int left = 2;
  Soon soon = loop_->soon([&] {
    order += 's';
    if (--left > 0) {
      soon.schedule();
    } else {
      loop_->stop();
    }
  });
  Prepare end = loop_->at_end_of_turn([&] { order += 'e'; });
  soon.schedule();
  loop_->run();
  EXPECT_EQ(order, "sese");
}

TEST_F(LoopTest, reports_what_a_descriptor_is_ready_for) {
  SocketPair pair;
  std::string got;
  Poll poll = loop_
                  ->poll(pair.fds[0],
                         [&](PollEvents events) {
                           if (events.writable && got.empty()) {
                             got += 'w';
                             poll.watch(true, false);
                             ASSERT_EQ(::write(pair.fds[1], "x", 1), 1);
                           } else if (events.readable) {
                             got += 'r';
                             poll.stop();
                           }
                         })
                  .value();
  poll.watch(true, true);
  loop_->run();
  EXPECT_EQ(got, "wr");
}

TEST_F(LoopTest, closes_a_poll_inside_its_own_callback_and_says_when_it_is_closed) {
  SocketPair pair;
  int calls = 0;
  bool closed = false;
  Poll poll = loop_
                  ->poll(pair.fds[0],
                         [&](PollEvents) {
                           ++calls;
                           poll.close([&] {
                             closed = true;
                             ::close(std::exchange(pair.fds[0], -1));
                           });
                           EXPECT_FALSE(closed);
                         })
                  .value();
  poll.watch(true, true);
  loop_->run();
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(closed);
}

TEST_F(LoopTest, lets_a_second_loop_watch_what_the_first_one_closed) {
  SocketPair pair;
  auto second = Loop::create().value();
  Poll first = loop_->poll(pair.fds[0], [](PollEvents) { FAIL(); }).value();
  first.watch(true, false);
  ASSERT_EQ(::write(pair.fds[1], "x", 1), 1);
  first.close();
  bool seen = false;
  Poll other = second
                   ->poll(pair.fds[0],
                          [&](PollEvents events) {
                            seen = events.readable;
                            other.stop();
                          })
                   .value();
  other.watch(true, false);
  loop_->run();
  second->run();
  EXPECT_TRUE(seen);
}

TEST_F(LoopTest, destroys_a_handle_inside_its_own_callback) {
  auto timer = std::make_unique<Timer>(loop_->timer([] {}));
  std::vector<int> big(100, 7);  // captured by value: must outlive the wrapper
  int sum = 0;
  timer = std::make_unique<Timer>(loop_->timer([&, big] {
    timer.reset();
    for (int v : big) sum += v;
  }));
  timer->start_after(0ms);
  loop_->run();
  EXPECT_EQ(sum, 700);
}

TEST_F(LoopTest, refuses_a_descriptor_that_cannot_be_watched) {
  const auto result = loop_->poll(-1, [](PollEvents) {});
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().what.find("cannot be watched"), std::string::npos);
}

}  // namespace
}  // namespace siglane::transport
