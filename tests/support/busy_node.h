#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "apps/runtime/fact_log.h"
#include "apps/runtime/node.h"
#include "core/module.h"
#include "transport/loop/loop.h"

namespace siglane::test {

// What a message to a BusyNode asks for: its first byte. The rest, from the fourth byte on, is the
// asker's.
enum class Demand : std::uint8_t {
  echo,    // the same back, with `echo_work`
  answer,  // so many bytes back as the second and third byte say, beginning as the message does
  work,    // time, and nothing back
};

// Does what it is asked to, and takes its time for it.
class BusyModule final : public ProtocolModule {
 public:
  // `sessions`, if any: how many there are.
  explicit BusyModule(Duration work, Duration echo_work = {},
                      std::atomic<std::size_t>* sessions = nullptr)
      : work_(work), echo_work_(echo_work), sessions_(sessions) {}

  std::string_view name() const override { return "busy"; }
  std::span<const PayloadProtocol> payload_protocols() const override { return kProtocols; }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
  Result<std::optional<std::size_t>> frame_length(Bytes) const override { return std::nullopt; }
  std::unique_ptr<Session> open_session(AssociationId id, const AssociationUp&, const PeerTable&,
                                        std::uint64_t) const override {
    return std::make_unique<Busy>(id, *this);
  }
  void route(ShardId, AssociationId, ParcelPtr, Instant, Outbox&) const override {}
  void undelivered(ShardId, AssociationId, ParcelPtr, Why, Instant, Outbox&) const override {}
  void publish(ShardId, AssociationId, ParcelPtr) override {}

 private:
  static constexpr std::array kProtocols{PayloadProtocol::none};

  class Busy final : public Session {
   public:
    Busy(AssociationId id, const BusyModule& module)
        : name_("peer" + std::to_string(static_cast<std::uint64_t>(id))), module_(module) {
      if (module_.sessions_ != nullptr) ++*module_.sessions_;
    }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() override {
      if (module_.sessions_ != nullptr) --*module_.sessions_;
    }
    void step(SessionInput input, Instant, Outbox& out) override {
      if (std::holds_alternative<AssociationUp>(input)) return out.identify(name_);
      if (std::holds_alternative<Stopping>(input)) return out.close(CloseMode::abort);
      auto* received = std::get_if<AssociationReceived>(&input);
      if (received == nullptr) return;
      Message& message = received->message;
      const Bytes bytes = message.payload.bytes();
      switch (static_cast<Demand>(bytes[0])) {
        case Demand::echo:
          spend(module_.echo_work_);
          return out.transmit(std::move(message));
        case Demand::answer: {
          BufferBuilder builder(out.buffers(), load_u16(bytes.data() + 1));
          builder.append(bytes);
          builder.zeros(load_u16(bytes.data() + 1) - bytes.size());
          message.payload = std::move(builder).finish();
          return out.transmit(std::move(message));
        }
        case Demand::work:
          return spend(module_.work_);
      }
    }
    std::optional<Instant> deadline() const override { return std::nullopt; }
    SessionStatus status() const override { return {name_, "busy", "open", 0, {}}; }

   private:
    static void spend(Duration time) {
      const Instant done = transport::Loop::fresh_now() + time;
      while (transport::Loop::fresh_now() < done) {
      }
    }

    std::string name_;
    const BusyModule& module_;
  };

  Duration work_, echo_work_;
  std::atomic<std::size_t>* sessions_;
};

struct BusyNodeOptions {
  std::uint16_t shards = 1;
  bool peels = true;
  bool tune_kernel = false;
  std::uint16_t sockets = 1;      // on the first shards, so that the arms of a comparison agree
  double loud_per_second = 1000;  // what makes a peer loud
  std::size_t receive_buffer_bytes = std::size_t{4} << 20;
  Duration work = 100us, echo_work{};
  std::atomic<std::size_t>* sessions = nullptr;  // as BusyModule's
};

// A node that listens on one shared socket of kernel SCTP, on threads of its own.
class BusyNode {
 public:
  explicit BusyNode(const BusyNodeOptions& options) : node_(build(options)) {
    thread_ = std::thread([this] { node_->run(); });
    while ((port_ = port_of(*node_)) == 0) std::this_thread::yield();
  }
  // On this thread, for ever. `ready` is told the port.
  static void serve_here(const BusyNodeOptions& options,
                         const std::function<void(std::uint16_t)>& ready) {
    const auto node = build(options);
    while (port_of(*node) == 0) node->turn(false);
    ready(port_of(*node));
    node->run();
  }
  ~BusyNode() {
    node_->stop();
    thread_.join();
  }

  std::uint16_t port() const { return port_; }
  runtime::Node& node() { return *node_; }
  bool said(std::string_view kind) const {
    return said_that([&](const Fact& fact) { return fact.kind.name == kind; });
  }
  // With a field that contains `what`.
  bool said(std::string_view kind, std::string_view what) const {
    return said_that([&](const Fact& fact) {
      return fact.kind.name == kind && std::ranges::any_of(fact.fields, [&](const auto& field) {
               return field.value.find(what) != std::string::npos;
             });
    });
  }

 private:
  template <class Is>
  bool said_that(Is is) const {
    return std::ranges::any_of(node_->facts().after(0, 10'000),
                               [&](const auto& kept) { return is(kept.fact); });
  }
  static std::unique_ptr<runtime::Node> build(const BusyNodeOptions& options) {
    runtime::NodeConfig config;
    config.name = "busy";
    config.runtime.shards = options.shards;
    config.runtime.tune_kernel = options.tune_kernel;
    config.log.level = runtime::LogLevel::off;
    config.runtime.stop_grace = 1s;
    config.admission.accept_unknown_peers = true;
    config.peeloff.messages_per_second_min = options.loud_per_second;
    config.peeloff.bytes_per_second_min = 0;
    config.peeloff.sustained_min = 1s;
    config.peeloff.age_min = 1s;
    if (!options.peels) config.peeloff.peeled_max = 0;
    runtime::NodeEndpoint endpoint;
    endpoint.module = "busy";
    endpoint.endpoint.name = "main";
    endpoint.endpoint.transport = TransportKind::kernel_sctp;
    endpoint.endpoint.addresses = {"127.0.0.1"};
    endpoint.endpoint.listening = true;
    endpoint.endpoint.sockets = options.sockets;
    endpoint.endpoint.sctp.receive_buffer_bytes = options.receive_buffer_bytes;
    config.endpoints = {endpoint};
    runtime::NodeBuilder builder(std::move(config));
    builder.embed();
    builder.add_module(
        std::make_unique<BusyModule>(options.work, options.echo_work, options.sessions));
    auto node = std::move(builder).build();
    if (!node) throw std::runtime_error(node.error().what);
    return std::move(*node);
  }
  static std::uint16_t port_of(const runtime::Node& node) {
    for (const auto& kept : node.facts().after(0, 100)) {
      if (kept.fact.kind.name != "endpoint_opened") continue;
      for (const auto& field : kept.fact.fields) {
        if (field.key == "port") return static_cast<std::uint16_t>(std::stoi(field.value));
      }
    }
    return 0;
  }

  std::unique_ptr<runtime::Node> node_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace siglane::test
