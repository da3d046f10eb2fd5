// An online charging server (RFC 8506): grants every call some seconds. JSON in, node up.
#include <atomic>
#include <memory>

#include <siglane/diameter/application.h>
#include <siglane/diameter/constants.h>
#include <siglane/runtime/diameter_daemon.h>

using namespace siglane;

// siglanectl shows them beside Siglane's own counters.
const Counter calls_granted{"charging.calls_granted", "calls that were granted time"};
const Counter seconds_granted{"charging.seconds_granted", "time that was granted, in seconds"};

class Charging final : public diameter::Application {
 public:
  Charging(const diameter::DiameterModule& module, std::uint64_t seed,
           const std::atomic<std::uint32_t>& seconds)
      : Application(module, seed), seconds_(seconds) {}

 private:
  void on_request(diameter::RequestPtr request, const diameter::MessageView& message, Instant,
                  Outbox& out) override {
    namespace avp = diameter::avp;
    const std::uint32_t seconds = seconds_;
    auto answer =
        diameter::begin_answer(out.buffers(), message, config(), diameter::result::success);
    // The dictionary has seen to it that they are there.
    answer.add(avp::auth_application_id, *message.get(avp::auth_application_id))
        .add(avp::cc_request_type, *message.get(avp::cc_request_type))
        .add(avp::cc_request_number, *message.get(avp::cc_request_number))
        .group(avp::granted_service_unit, [&] { answer.add(avp::cc_time, seconds); });
    out.count(calls_granted);
    out.count(seconds_granted, seconds);
    reply(std::move(request), std::move(answer), out);
  }

  const std::atomic<std::uint32_t>& seconds_;
};

class ChargingDaemon final : public runtime::DiameterDaemon {
  Info info() const override { return {"charging", "Grants every call some time", {"diameter"}}; }
  std::vector<diameter::SupportedApplication> applications() const override {
    return {{diameter::application::credit_control}};
  }
  void read_own(const runtime::ObjectReader& root, runtime::NodeConfig&) override {
    seconds_ = root.object("charging").number<std::uint32_t>("seconds_granted", 60);
  }
  std::unique_ptr<diameter::Application> make_application(const diameter::DiameterModule& module,
                                                          std::uint64_t seed) override {
    return std::make_unique<Charging>(module, seed, seconds_);
  }
  // A reload: calls from now on are granted what the config says now.
  void hand_over_own(runtime::Daemon& next) override {
    seconds_ = static_cast<ChargingDaemon&>(next).seconds_.load();
  }

  std::atomic<std::uint32_t> seconds_ = 0;
};

int main(int argc, char** argv) {
  return runtime::serve<ChargingDaemon>(argc, argv);
}
