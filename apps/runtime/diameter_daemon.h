#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "apps/runtime/daemon.h"
#include "protocols/diameter/application.h"
#include "protocols/diameter/config.h"
#include "protocols/diameter/module.h"

namespace siglane::runtime {

// A daemon that is one Diameter application, with one instance on each shard. Reads "diameter",
// builds the node, and follows new configs; what is the application's own is left to say:
//
//   class Greeter final : public siglane::runtime::DiameterDaemon {
//     Info info() const override { return {"greeter", "Answers every request", {"diameter"}}; }
//     std::vector<diameter::SupportedApplication> applications() const override {
//       return {{diameter::application::s6a, diameter::vendor::tgpp}};
//     }
//     std::unique_ptr<diameter::Application> make_application(
//         const diameter::DiameterModule& module, std::uint64_t seed) override {
//       return std::make_unique<GreeterApplication>(module, seed);
//     }
//   };
//   int main(int argc, char** argv) { return siglane::runtime::serve<Greeter>(argc, argv); }
class DiameterDaemon : public Daemon {
 public:
  void read(const ObjectReader& root, NodeConfig& node) final;
  Result<void> check() override;
  Result<void> build(NodeBuilder& builder) final;
  void take_place_of(const Daemon& running) final;
  void add_rules(PlanRules& rules) const override;
  std::set<std::string> to_reconnect(const Daemon& next) const final;
  Result<void> build_next(Daemon& next, Reconfiguration& reconfiguration) final;
  void hand_over(Daemon& next) final;

 protected:
  // What the node advertises; the first one's requests go to the application.
  virtual std::vector<diameter::SupportedApplication> applications() const = 0;
  virtual std::unique_ptr<diameter::Application> make_application(
      const diameter::DiameterModule& module, std::uint64_t seed) = 0;
  // Sections of the file besides those that every Diameter node has.
  virtual void read_own(const ObjectReader& /*root*/, NodeConfig& /*node*/) {}
  // Before the module is made: a store, say.
  virtual Result<void> set_up(NodeBuilder& /*builder*/) { return {}; }
  // Takes over from `next`, a daemon of the same kind, what its applications are to use from now
  // on. On the node's thread: what applications on other shards read is a Snapshot, or atomic.
  virtual void hand_over_own(Daemon& /*next*/) {}

  const diameter::DiameterConfig& diameter() const { return *diameter_; }

 private:
  std::shared_ptr<const diameter::DiameterConfig> diameter_;  // as it was read, or built
  std::string realm_in_force_;                                // of the node that it takes over
  diameter::DiameterModule* module_ = nullptr;                // of the node that build() makes
};

}  // namespace siglane::runtime
