// Which parcels a session may be given by a session of another module.
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/core/shard_world.h"

namespace siglane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr ParcelDomain kLetters{"letters"}, kNumbers{"numbers"};

struct Letter final : Parcel {
  const ParcelDomain& domain() const override { return kLetters; }
};
struct Number final : Parcel {
  const ParcelDomain& domain() const override { return kNumbers; }
};
struct Private final : Parcel {};

struct Taker final : PlainSession {
  void step(SessionInput input, Instant, Outbox&) override {
    if (auto* submitted = std::get_if<Submitted>(&input)) {
      taken.emplace_back(submitted->parcel->domain().name);
    }
  }
  std::vector<std::string> taken;
};

// Sends what it has when it is woken.
struct Sender final : PlainSession {
  void step(SessionInput input, Instant, Outbox& out) override {
    if (!std::holds_alternative<Woken>(input)) return;
    woken = true;
    out.forward(to, std::make_unique<Letter>());
    out.forward(to, std::make_unique<Number>());
    out.forward(to, std::make_unique<Private>());
  }
  std::optional<Instant> deadline() const override {
    return woken ? std::nullopt : std::optional(Instant{});
  }
  AssociationId to{};
  bool woken = false;
};

struct Module final : PlainModule {
  bool takes(const ParcelDomain& domain) const override { return &domain == taken_domain; }
  void undelivered(ShardId, AssociationId, ParcelPtr parcel, Why why, Instant,
                   Outbox&) const override {
    returned.push_back(std::string(parcel->domain().name) + ", " + std::string(name_of(why)));
  }

  const ParcelDomain* taken_domain = &kLetters;
  mutable std::vector<std::string> returned;
};

class ParcelDomainTest : public testing::Test {
 protected:
  // What comes of one parcel of each kind, from a session of `from` to one of `to`.
  void send(Module& from, Module& to) {
    auto owned = std::make_unique<Taker>();
    Taker& taker = *owned;
    auto sender = std::make_unique<Sender>();
    sender->to = node.shard.add_coordinator(std::move(owned), to, world.now());
    node.shard.add_coordinator(std::move(sender), from, world.now());
    world.run_for(1ms);
    taken = taker.taken;
  }

  sim::SimWorld world{1};
  sim::SimNode node{world, PeerTable()};
  Module module, other;
  std::vector<std::string> taken;
};

TEST_F(ParcelDomainTest, WithinOneModuleEveryParcelIsTaken) {
  send(module, module);
  EXPECT_THAT(taken, ElementsAre("letters", "numbers", "its own module's"));
  EXPECT_THAT(module.returned, IsEmpty());
}

TEST_F(ParcelDomainTest, FromAnotherModuleOnlyWhatTheOneThatIsGivenItTakes) {
  send(module, other);
  EXPECT_THAT(taken, ElementsAre("letters"));
  EXPECT_THAT(module.returned,
              ElementsAre("numbers, no_such_association", "its own module's, no_such_association"));
}

}  // namespace
}  // namespace siglane
