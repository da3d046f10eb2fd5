#include "apps/runtime/store_thread.h"

#include <atomic>
#include <map>
#include <semaphore>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "apps/runtime/store_counters.h"
#include "tests/support/facts.h"

namespace siglane::runtime {
namespace {

struct Note final : Parcel {
  explicit Note(int n) : number(n) {}
  bool wanted() const override { return is_wanted; }

  int number;
  std::atomic<bool> is_wanted = true;
  bool done = false;
  bool failed = false;
};

// What the test and the store share: the store waits at the gate before each group.
struct Script {
  std::counting_semaphore<1024> entered{0}, may_go{0};
  std::atomic<bool> gated = false;
  std::atomic<bool> fails = false;
  std::vector<std::vector<int>> groups;
  std::atomic<bool> shaky = false;
};

class ScriptedStore final : public Store {
 public:
  explicit ScriptedStore(Script& script) : script_(script) {}
  Result<void> look() override {
    return script_.shaky ? Result<void>(failure("the disk hums")) : Result<void>();
  }
  Result<void> run(std::span<const ParcelPtr> group) override {
    if (script_.gated) {
      script_.entered.release();
      script_.may_go.acquire();
    }
    auto& numbers = script_.groups.emplace_back();
    for (const ParcelPtr& parcel : group) {
      auto& note = static_cast<Note&>(*parcel);
      numbers.push_back(note.number);
      (script_.fails ? note.failed : note.done) = true;
    }
    return script_.fails ? Result<void>(failure("the disk is full")) : Result<void>();
  }

 private:
  Script& script_;
};

constexpr ShardId kShard{0};
constexpr AssociationId kAsker{7};

class StoreThreadTest : public ::testing::Test {
 protected:
  StoreThreadTest() { directory_.add_shard(kShard, mailbox_); }

  std::unique_ptr<StoreThread> start(StoreThreadConfig config = {}) {
    return std::make_unique<StoreThread>(config, std::make_unique<ScriptedStore>(script_),
                                         directory_, [this](const Fact& notice) {
                                           told_.push_back(notice);
                                           telling_.release();
                                         });
  }
  static bool ask(StoreThread& thread, int number) {
    ParcelPtr parcel = std::make_unique<Note>(number);
    const bool taken = thread.ask(kShard, kAsker, parcel);
    EXPECT_EQ(parcel == nullptr, taken);
    return taken;
  }
  std::vector<const Note*> completed() {
    mailbox_.drain(letters_);
    std::vector<const Note*> notes;
    for (Letter& letter : letters_) {
      auto& completion = std::get<Completion>(letter);
      EXPECT_EQ(completion.to, kAsker);
      notes.push_back(static_cast<const Note*>(completion.parcel.get()));
    }
    return notes;
  }

  Script script_;
  Mailbox mailbox_;
  Directory directory_;
  std::vector<Letter> letters_;
  std::vector<Fact> told_;  // by the store's thread: read after stop() or telling_
  std::counting_semaphore<1024> telling_{0};
};

TEST_F(StoreThreadTest, CompletesEveryRequestInOrderThroughTheAskersMailbox) {
  auto thread = start();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ask(*thread, i));
  thread->stop();
  const auto notes = completed();
  ASSERT_EQ(notes.size(), 1000u);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(notes[static_cast<std::size_t>(i)]->number, i);
    EXPECT_TRUE(notes[static_cast<std::size_t>(i)]->done);
  }
  EXPECT_EQ(thread->outstanding(), 0u);
  EXPECT_EQ(thread->counters().get(counter::store_requests), 1000u);
}

TEST_F(StoreThreadTest, RequestsThatWaitWhileAGroupRunsShareTheNextOne) {
  script_.gated = true;
  auto thread = start({.queue_max = 100, .group_max = 10});
  ASSERT_TRUE(ask(*thread, 0));
  script_.entered.acquire();  // the first group runs, alone
  for (int i = 1; i <= 25; ++i) ASSERT_TRUE(ask(*thread, i));
  EXPECT_TRUE(completed().empty());
  script_.gated = false;
  script_.may_go.release();
  thread->stop();
  ASSERT_EQ(script_.groups.size(), 4u);  // 1, 10, 10, 5
  EXPECT_EQ(script_.groups[0].size(), 1u);
  EXPECT_EQ(script_.groups[1].size(), 10u);
  EXPECT_EQ(script_.groups[2].size(), 10u);
  EXPECT_EQ(script_.groups[3].size(), 5u);
  EXPECT_EQ(thread->counters().get(counter::store_commits), 4u);
}

TEST_F(StoreThreadTest, NothingIsCompletedBeforeItsGroupIs) {
  script_.gated = true;
  auto thread = start();
  ASSERT_TRUE(ask(*thread, 1));
  script_.entered.acquire();
  EXPECT_TRUE(completed().empty());
  EXPECT_EQ(thread->outstanding(), 1u);
  script_.may_go.release();
  script_.gated = false;
  thread->stop();
  EXPECT_EQ(completed().size(), 1u);
}

TEST_F(StoreThreadTest, AFullQueueRefusesAndLeavesTheRequestWithTheAsker) {
  script_.gated = true;
  auto thread = start({.queue_max = 3, .group_max = 10});
  ASSERT_TRUE(ask(*thread, 1));
  script_.entered.acquire();
  EXPECT_TRUE(ask(*thread, 2));
  EXPECT_TRUE(ask(*thread, 3));
  EXPECT_FALSE(ask(*thread, 4));
  script_.gated = false;
  script_.may_go.release();
  thread->stop();
  EXPECT_EQ(completed().size(), 3u);
  EXPECT_FALSE(ask(*thread, 5)) << "a stopped thread takes nothing";
}

TEST_F(StoreThreadTest, AFailedGroupIsCompletedAsFailedAndCounted) {
  script_.fails = true;
  auto thread = start();
  ASSERT_TRUE(ask(*thread, 1));
  thread->stop();
  const auto notes = completed();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_TRUE(notes[0]->failed);
  EXPECT_EQ(thread->counters().get(counter::store_failures), 1u);
  EXPECT_EQ(thread->counters().get(counter::store_commits), 0u);
}

TEST_F(StoreThreadTest, WhatNobodyWantsBeforeItBeginsIsDroppedAndWhatHasBegunIsNot) {
  script_.gated = true;
  auto thread = start({.queue_max = 4, .shares = 1});
  std::vector<Note*> notes;
  for (int i = 0; i < 4; ++i) {
    auto note = std::make_unique<Note>(i);
    notes.push_back(note.get());
    ParcelPtr parcel = std::move(note);
    ASSERT_TRUE(thread->ask(kShard, kAsker, parcel));
    if (i == 0) script_.entered.acquire();  // it runs, alone
  }
  for (const int i : {0, 1, 3}) notes[static_cast<std::size_t>(i)]->is_wanted = false;
  EXPECT_FALSE(ask(*thread, 4)) << "they count until they are gone";
  script_.gated = false;
  script_.may_go.release();
  thread->stop();
  ASSERT_EQ(script_.groups.size(), 2u);
  EXPECT_EQ(script_.groups[0], std::vector<int>{0});
  EXPECT_EQ(script_.groups[1], std::vector<int>{2});
  EXPECT_EQ(completed().size(), 2u);
  EXPECT_EQ(thread->outstanding(), 0u);
  EXPECT_EQ(thread->counters().get(counter::store_abandoned), 2u);
  EXPECT_EQ(thread->counters().get(counter::store_requests), 2u);
  EXPECT_EQ(thread->counters().get(counter::store_refused_full), 1u);
}

TEST_F(StoreThreadTest, AStoreThatFailsIsToldOnceUntilItIsTimeToTellAgainAndThenItsEnd) {
  script_.fails = true;
  auto thread = start({.group_max = 1});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(ask(*thread, i));
  telling_.acquire();
  while (thread->outstanding() > 0) std::this_thread::yield();
  script_.fails = false;
  ASSERT_TRUE(ask(*thread, 10));
  thread->stop();
  ASSERT_EQ(told_.size(), 2u);
  EXPECT_EQ(field(told_[0], "text"), "the store fails: the disk is full");
  EXPECT_EQ(told_[0].severity, Severity::warning);
  EXPECT_EQ(field(told_[1], "text"), "the store works again");
  EXPECT_EQ(told_[1].severity, Severity::info);
}

TEST_F(StoreThreadTest, TroubleThatComesAndGoesIsToldNoMoreOftenThanTroubleThatStays) {
  auto thread = start();
  for (int i = 0; i < 20; ++i) {
    script_.fails = i % 2 == 0;
    ASSERT_TRUE(ask(*thread, i));
    while (thread->outstanding() > 0) std::this_thread::yield();
  }
  thread->stop();
  EXPECT_EQ(told_.size(), 2u);
}

TEST_F(StoreThreadTest, LooksAlsoWhenNobodyAsksAndTellsAgainWhileItLasts) {
  script_.shaky = true;
  auto thread = start({.look_every = 1ms, .tell_every = 1ms});
  telling_.acquire();
  telling_.acquire();
  script_.shaky = false;
  thread->stop();
  EXPECT_EQ(field(told_[0], "text"), "the store is in danger: the disk hums");
  EXPECT_EQ(field(told_[1], "text"), field(told_[0], "text"));
}

TEST_F(StoreThreadTest, EachCompletionGoesToTheShardThatAsked) {
  Mailbox second;
  directory_.add_shard(ShardId{1}, second);
  auto thread = start();
  ParcelPtr parcel = std::make_unique<Note>(1);
  ASSERT_TRUE(thread->ask(ShardId{1}, kAsker, parcel));
  ASSERT_TRUE(ask(*thread, 2));
  thread->stop();
  EXPECT_EQ(completed().size(), 1u);
  second.drain(letters_);
  ASSERT_EQ(letters_.size(), 1u);
  EXPECT_EQ(static_cast<Note&>(*std::get<Completion>(letters_[0]).parcel).number, 1);
}

TEST_F(StoreThreadTest, ManyThreadsMayAskAtOnceAndEachKeepsItsOrder) {
  auto thread = start({.queue_max = 1 << 20, .group_max = 64});
  std::vector<std::thread> askers;
  for (int a = 0; a < 4; ++a) {
    askers.emplace_back([&thread, a] {
      for (int i = 0; i < 2000; ++i) EXPECT_TRUE(ask(*thread, a * 10000 + i));
    });
  }
  for (auto& asker : askers) asker.join();
  thread->stop();
  std::map<int, int> next;
  for (const Note* note : completed())
    EXPECT_EQ(note->number % 10000, next[note->number / 10000]++);
  for (int a = 0; a < 4; ++a) EXPECT_EQ(next[a], 2000);
}

}  // namespace
}  // namespace siglane::runtime
