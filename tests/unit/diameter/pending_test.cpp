#include "protocols/diameter/pending.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"

namespace siglane::diameter {
namespace {

constexpr Instant kStart{1s};

RequestPtr request(std::uint64_t tag) {
  auto parcel = std::make_unique<RequestParcel>();
  parcel->tag = tag;
  return parcel;
}

TEST(PendingTable, GivesBackWhatWasGivenAnIdentifierOnce) {
  PendingTable pending({.entries_max = 100}, 0xfffffffe);  // across the wrap
  std::map<std::uint32_t, std::uint64_t> tags;
  for (std::uint64_t tag = 0; tag < 50; ++tag) {
    RequestPtr one = request(tag);
    const auto id = pending.add(one, kStart);
    ASSERT_TRUE(id);
    EXPECT_EQ(one, nullptr);
    EXPECT_TRUE(tags.emplace(*id, tag).second);
  }
  for (const auto& [id, tag] : tags) {
    EXPECT_EQ(pending.find(id)->tag, tag);
    EXPECT_EQ(pending.take(id)->tag, tag);
    EXPECT_EQ(pending.take(id), nullptr);
  }
  EXPECT_EQ(pending.size(), 0u);
  EXPECT_EQ(pending.deadline(), std::nullopt);
}

TEST(PendingTable, KnowsNoIdentifierThatItDidNotGive) {
  PendingTable pending({.entries_max = 100}, 1000);
  RequestPtr one = request(1);
  const auto id = pending.add(one, kStart);
  for (std::uint32_t other = 0; other < 5000; ++other) {
    if (other == *id) continue;
    EXPECT_EQ(pending.take(other), nullptr) << other;
  }
  EXPECT_EQ(pending.size(), 1u);
}

TEST(PendingTable, RefusesWhenFullAndLeavesTheRequestWithTheCaller) {
  PendingTable pending({.entries_max = 3}, 1);
  for (int i = 0; i < 3; ++i) {
    RequestPtr one = request(1);
    ASSERT_TRUE(pending.add(one, kStart));
  }
  RequestPtr extra = request(7);
  EXPECT_EQ(pending.add(extra, kStart), std::nullopt);
  ASSERT_NE(extra, nullptr);
  EXPECT_EQ(extra->tag, 7u);
  EXPECT_NE(pending.take_any(), nullptr);
  EXPECT_TRUE(pending.add(extra, kStart));
}

TEST(PendingTable, ExpiresTheEarliestFirstAndNoneTooEarly) {
  PendingTable pending({.entries_max = 100}, 1);
  for (const int at : {5, 1, 3, 2, 4}) {
    RequestPtr one = request(static_cast<std::uint64_t>(at));
    pending.add(one, kStart + at * 1s);
  }
  EXPECT_EQ(pending.deadline(), kStart + 1s);
  EXPECT_EQ(pending.take_expired(kStart + 999ms), nullptr);
  EXPECT_EQ(pending.take_expired(kStart + 2s)->tag, 1u);
  EXPECT_EQ(pending.take_expired(kStart + 2s)->tag, 2u);
  EXPECT_EQ(pending.take_expired(kStart + 2s), nullptr);
  EXPECT_EQ(pending.deadline(), kStart + 3s);
}

// Against a plain map, through growth, holes and identifiers that stay long.
TEST(PendingTable, BehavesAsAMapWouldUnderRandomUse) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    PendingTable pending({.entries_max = 300}, static_cast<std::uint32_t>(random.next()));
    std::map<std::uint32_t, std::pair<Instant, std::uint64_t>> model;
    Instant now = kStart;
    for (std::uint64_t step = 0; step < 5000; ++step) {
      const auto what = random.below(100);
      if (what < 55) {
        RequestPtr one = request(step);
        const Instant deadline = now + Duration(random.below(1000)) + 1ns;
        const auto id = pending.add(one, deadline);
        ASSERT_EQ(id.has_value(), model.size() < 300);
        if (id) {
          ASSERT_TRUE(model.emplace(*id, std::pair(deadline, step)).second);
        }
      } else if (what < 85 && !model.empty()) {
        auto it = model.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(random.below(model.size())));
        const RequestPtr one = pending.take(it->first);
        ASSERT_NE(one, nullptr);
        ASSERT_EQ(one->tag, it->second.second);
        model.erase(it);
      } else {
        now += Duration(random.below(50));
        while (const RequestPtr one = pending.take_expired(now)) {
          const auto it = std::find_if(model.begin(), model.end(), [&](const auto& entry) {
            return entry.second.second == one->tag;
          });
          ASSERT_NE(it, model.end());
          ASSERT_LE(it->second.first, now);
          model.erase(it);
        }
      }
      std::optional<Instant> earliest;
      for (const auto& [id, entry] : model) {
        if (!earliest || entry.first < *earliest) earliest = entry.first;
      }
      ASSERT_EQ(pending.deadline(), earliest);
      ASSERT_EQ(pending.size(), model.size());
    }
  }
}

RequestPtr request_of(const std::string& peer, std::size_t bytes = 0) {
  auto parcel = std::make_unique<RequestParcel>();
  parcel->peer = std::make_shared<const std::string>(peer);
  parcel->message = Buffer::copy_of(std::vector<std::byte>(bytes));
  return parcel;
}

TEST(PendingTable, OnePeersRequestsTakeNoMoreThanTheyLeaveWhicheverConnectionTheyCameOn) {
  PendingTable pending({.entries_max = 90}, 1);
  const auto fill = [&](const std::string& peer) {
    std::vector<std::uint32_t> ids;
    for (RequestPtr one = request_of(peer); const auto id = pending.add(one, kStart);
         one = request_of(peer)) {
      ids.push_back(*id);
    }
    return ids;
  };
  const auto first = fill("mme01");
  EXPECT_EQ(first.size(), 45u);
  EXPECT_TRUE(fill("mme01").empty()) << "what it left waits still";
  EXPECT_EQ(fill("mme02").size(), 23u);
  EXPECT_EQ(fill("mme03").size(), 11u);
  RequestPtr ours = request(1);
  EXPECT_TRUE(pending.add(ours, kStart)) << "our own has no share";
  for (const std::uint32_t id : first) EXPECT_NE(pending.take(id), nullptr);
  EXPECT_FALSE(fill("mme01").empty());
}

TEST(PendingTable, BoundsBytesAsItBoundsRequests) {
  PendingTable pending({.entries_max = 100, .bytes_max = 1000}, 1);
  RequestPtr large = request_of("mme01", 5000);
  const auto alone = pending.add(large, kStart);
  ASSERT_TRUE(alone) << "a request of any size may wait alone";
  RequestPtr other = request_of("mme02", 1);
  EXPECT_FALSE(pending.add(other, kStart));
  ASSERT_TRUE(pending.take(*alone));
  for (int i = 0; i < 5; ++i) {
    RequestPtr one = request_of("mme01", 100);
    EXPECT_TRUE(pending.add(one, kStart));
  }
  RequestPtr sixth = request_of("mme01", 100);
  EXPECT_FALSE(pending.add(sixth, kStart));
  RequestPtr of_other = request_of("mme02", 100);
  EXPECT_TRUE(pending.add(of_other, kStart));
}

}  // namespace
}  // namespace siglane::diameter
