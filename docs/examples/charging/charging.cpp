// An online charging server (RFC 8506): grants every call some seconds. JSON in, node up.
#include <siglane/diameter/application.h>
#include <siglane/diameter/constants.h>
#include <siglane/runtime/daemon.h>
#include <siglane/runtime/diameter_config.h>

using namespace siglane;

// siglanectl shows them beside Siglane's own counters.
const Counter calls_granted{"charging.calls_granted", "calls that were granted time"};
const Counter seconds_granted{"charging.seconds_granted", "time that was granted, in seconds"};

class Charging final : public diameter::Application {
 public:
  Charging(const diameter::DiameterModule& module, std::uint64_t seed, std::uint32_t seconds)
      : Application(module, seed), seconds_(seconds) {}

 private:
  void on_request(diameter::RequestPtr request, const diameter::MessageView& message, Instant,
                  Outbox& out) override {
    namespace avp = diameter::avp;
    auto answer =
        diameter::begin_answer(out.buffers(), message, config(), diameter::result::success);
    // The dictionary has seen to it that they are there.
    answer.add(avp::auth_application_id, *message.get(avp::auth_application_id))
        .add(avp::cc_request_type, *message.get(avp::cc_request_type))
        .add(avp::cc_request_number, *message.get(avp::cc_request_number))
        .group(avp::granted_service_unit, [&] { answer.add(avp::cc_time, seconds_); });
    out.count(calls_granted);
    out.count(seconds_granted, seconds_);
    reply(std::move(request), std::move(answer), out);
  }

  const std::uint32_t seconds_;
};

class ChargingDaemon final : public runtime::Daemon {
  Info info() const override { return {"charging", "Grants every call some time", {"diameter"}}; }
  void read(const runtime::ObjectReader& root, runtime::NodeConfig& node) override {
    diameter_ = runtime::read_diameter_config(root, node);
    diameter_.applications = {{diameter::application::credit_control}};
    seconds_ = root.object("charging").number<std::uint32_t>("seconds_granted", 60);
  }
  Result<void> build(runtime::NodeBuilder& builder) override {
    auto& module = builder.add_module(std::make_unique<diameter::DiameterModule>(diameter_));
    builder.on_shard([this, &module](const runtime::ShardSetUp& at) -> Result<void> {
      const AssociationId id = at.shard.add_coordinator(
          std::make_unique<Charging>(module, at.seed, seconds_), module, at.now);
      module.add_application(at.shard.id(), diameter::application::credit_control, id);
      return {};
    });
    return {};
  }

  diameter::DiameterConfig diameter_;
  std::uint32_t seconds_ = 0;
};

int main(int argc, char** argv) {
  return runtime::serve<ChargingDaemon>(argc, argv);
}
