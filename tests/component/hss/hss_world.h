#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "apps/hss/hss_application.h"
#include "apps/hss/sqlite_store.h"
#include "apps/runtime/store_queue.h"
#include "protocols/diameter/module.h"
#include "tests/component/hss/raw_mme.h"
#include "tests/component/hss/s6a_requests.h"
#include "tests/support/sim_world.h"
#include "tests/unit/hss/store_fixture.h"

namespace siglane::hss {

// The store thread in virtual time: what was asked within a while is one group, and its
// completions reach the shard's mailbox after it.
class StoreInWorld final : public AskSink {
 public:
  StoreInWorld(sim::SimWorld& world, std::unique_ptr<SubscriberStore> store,
               const runtime::StoreThreadConfig& config)
      : world_(world), store_(std::move(store)), config_(config), queue_(config.limits()) {}
  void complete_to(Mailbox& mailbox) { mailbox_ = &mailbox; }
  void refuse(bool refuse) { refusing_ = refuse; }
  // Nothing is run: a disk that takes its time.
  void stall(bool stall) {
    if (stalled_ && !stall) run_soon();
    stalled_ = stall;
  }
  SubscriberStore& store() { return *store_; }
  const DataWaiting& outstanding() const { return queue_.outstanding(); }
  std::size_t abandoned() const { return abandoned_; }
  // No more than one connection at a time: before another opens the same disk.
  void close() { store_.reset(); }

  bool ask(ShardId shard, AssociationId from, ParcelPtr& request) override {
    if (refusing_ || store_ == nullptr) return false;
    const bool first = queue_.empty();
    if (queue_.push(shard, from, request) != runtime::StoreQueue::Outcome::taken) return false;
    if (first && !stalled_) run_soon();
    return true;
  }

 private:
  void run_soon() {
    world_.after(300us, [this] { run(); });
  }
  void run() {
    if (store_ == nullptr) return;
    while (!queue_.empty()) {
      runtime::StoreQueue::Group group, abandoned;
      queue_.pop(config_.group_max, group, abandoned);
      (void)store_->run(group.requests);
      queue_.release(group);
      queue_.release(abandoned);
      abandoned_ += abandoned.requests.size();
      for (std::size_t i = 0; i < group.requests.size(); ++i) {
        mailbox_->post_control(Completion{group.askers[i].id, std::move(group.requests[i])});
      }
    }
  }

  sim::SimWorld& world_;
  std::unique_ptr<SubscriberStore> store_;
  Mailbox* mailbox_ = nullptr;
  const runtime::StoreThreadConfig config_;
  runtime::StoreQueue queue_;
  std::size_t abandoned_ = 0;
  bool refusing_ = false, stalled_ = false;
};

inline constexpr const char* kRealm = "epc.mnc001.mcc001.3gppnetwork.org";

inline diameter::DiameterConfig hss_diameter_config(const std::string& mme2_realm = kRealm) {
  diameter::DiameterConfig config;
  config.origin_host = std::string("hss01.") + kRealm;
  config.origin_realm = kRealm;
  config.applications = {{diameter::application::s6a, diameter::vendor::tgpp}};
  config.peers = {{"mme01", std::string("mme01.") + kRealm, kRealm, {}},
                  {"mme02", "mme02." + mme2_realm, mme2_realm, {}}};
  return config;
}

inline PeerConfig anywhere(std::string name) {
  PeerConfig peer;
  peer.name = std::move(name);
  return peer;
}

// A HSS, real but for its wire, its clock and its disk, and two MMEs.
class HssWorld {
 public:
  explicit HssWorld(PowerCutDisk& disk, std::uint64_t seed = 1, HssApplicationConfig config = {},
                    const runtime::StoreThreadConfig& store = {},
                    const std::string& mme2_realm = kRealm)
      : world(seed),
        asks(world, open_sqlite_store(store_on(disk)).value(), store),
        module(hss_diameter_config(mme2_realm)),
        node(world, PeerTable({anywhere("mme01"), anywhere("mme02")}), {}, &asks) {
    asks.complete_to(node.shard.mailbox());
    const AssociationId id = node.shard.add_coordinator(
        std::make_unique<HssApplication>(
            module, seed, std::make_shared<HssApplication::Config>(std::move(config))),
        module, world.now());
    module.add_application(node.shard.id(), diameter::application::s6a, id);

    EndpointConfig endpoint;
    endpoint.name = "s6a";
    endpoint.transport = TransportKind::simulated;
    endpoint.addresses = {"10.0.0.1"};
    endpoint.port = 3868;
    endpoint.listening = true;
    node.shard.open(endpoint, module).value();
    PeerConfig hss = anywhere("hss");
    hss.addresses = {"10.0.0.1"};
    hss.port = 3868;
    mme1 = std::make_unique<RawMme>(world, std::string("mme01.") + kRealm, kRealm, "10.0.0.2", hss);
    mme2 = std::make_unique<RawMme>(world, "mme02." + mme2_realm, mme2_realm, "10.0.0.3", hss);
    EXPECT_TRUE(world.run_until([this] { return mme1->open() && mme2->open(); }));
  }

  // Sends and waits for the answer, which is then checked against the dictionary.
  diameter::MessageView ask(RawMme& mme, diameter::MessageBuilder request) {
    return ask(mme, std::move(request).finish());
  }
  diameter::MessageView ask(RawMme& mme, Buffer request) {
    const std::uint32_t id = mme.last_id();
    mme.send(std::move(request));
    EXPECT_TRUE(world.run_until([&] { return mme.answer(id) != nullptr; }, 5s)) << "no answer";
    const auto answer = diameter::MessageView::parse(mme.answer(id)->bytes());
    EXPECT_TRUE(answer);
    // What Failed-AVP holds is wrong by its nature.
    if (!answer->find(diameter::avp::failed_avp)) {
      EXPECT_FALSE(validate(*answer, diameter::dictionary()));
    }
    return *answer;
  }
  // Its old connection is gone when this returns, and it has another.
  void reconnect(RawMme& mme) {
    mme.reset_connection();
    EXPECT_TRUE(world.run_until([&] { return !mme.open(); }));
    EXPECT_TRUE(world.run_until([&] { return mme.open(); }));
  }
  std::uint64_t count(Counter counter) const { return node.counters.get(counter); }

  sim::SimWorld world;
  StoreInWorld asks;
  diameter::DiameterModule module;
  sim::SimNode node;
  std::unique_ptr<RawMme> mme1, mme2;
};

}  // namespace siglane::hss
