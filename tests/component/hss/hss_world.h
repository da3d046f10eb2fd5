#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "apps/hss/hss_application.h"
#include "apps/hss/sqlite_store.h"
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
  StoreInWorld(sim::SimWorld& world, std::unique_ptr<SubscriberStore> store)
      : world_(world), store_(std::move(store)) {}
  void complete_to(Mailbox& mailbox) { mailbox_ = &mailbox; }
  void refuse(bool refuse) { refusing_ = refuse; }
  SubscriberStore& store() { return *store_; }
  // No more than one connection at a time: before another opens the same disk.
  void close() { store_.reset(); }

  bool ask(ShardId, AssociationId from, ParcelPtr& request) override {
    if (refusing_ || store_ == nullptr) return false;
    if (waiting_.empty()) world_.after(300us, [this] { run(); });
    waiting_.push_back(std::move(request));
    askers_.push_back(from);
    return true;
  }

 private:
  void run() {
    if (store_ == nullptr) return;
    (void)store_->run(waiting_);
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      mailbox_->post_control(Delivery{AssociationId::none, askers_[i], std::move(waiting_[i])});
    }
    waiting_.clear();
    askers_.clear();
  }

  sim::SimWorld& world_;
  std::unique_ptr<SubscriberStore> store_;
  Mailbox* mailbox_ = nullptr;
  std::vector<ParcelPtr> waiting_;
  std::vector<AssociationId> askers_;
  bool refusing_ = false;
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
                    const std::string& mme2_realm = kRealm)
      : world(seed),
        asks(world, open_sqlite_store(store_on(disk)).value()),
        module(hss_diameter_config(mme2_realm)),
        node(world, PeerTable({anywhere("mme01"), anywhere("mme02")}), {}, &asks) {
    asks.complete_to(node.shard.mailbox());
    const AssociationId id = node.shard.add_coordinator(
        std::make_unique<HssApplication>(module, seed, std::move(config)), module, world.now());
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
  std::uint64_t count(Counter counter) const { return node.counters.get(counter); }

  sim::SimWorld world;
  StoreInWorld asks;
  diameter::DiameterModule module;
  sim::SimNode node;
  std::unique_ptr<RawMme> mme1, mme2;
};

}  // namespace siglane::hss
