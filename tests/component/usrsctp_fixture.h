#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "transport/usrsctp_transport.h"

namespace siglane::transport {

class NoFraming final : public Framing {
 public:
  Result<std::optional<std::size_t>> frame_length(Bytes) const override {
    return failure("not a stream");
  }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
};

inline Message message_of(std::string_view text, std::uint16_t stream = 0) {
  Message message;
  message.stream = StreamId{stream};
  message.protocol = PayloadProtocol::m3ua;
  message.payload = Buffer::copy_of(as_bytes(text));
  return message;
}

// Records what the transport says, and checks the order that every transport promises.
class Recorder final : public TransportSink {
 public:
  struct Log {
    std::optional<AssociationUp> up;
    std::vector<std::string> received;
    std::vector<std::string> unsent;
    std::vector<bool> congestion;
    std::optional<AssociationDown> down;
  };

  void on_event(AssociationId id, AssociationEvent event, Instant) override {
    EXPECT_FALSE(in_call) << "a call on the transport called its sink";
    Log& log = logs[id];
    EXPECT_FALSE(log.down.has_value()) << "an event after Down";
    if (auto* up = std::get_if<AssociationUp>(&event)) {
      EXPECT_FALSE(log.up.has_value());
      log.up = std::move(*up);
    } else if (auto* received = std::get_if<AssociationReceived>(&event)) {
      EXPECT_TRUE(log.up.has_value()) << "a message before Up";
      if (on_received) {
        on_received(id, received->message);
      } else {
        log.received.emplace_back(as_text(received->message.payload.bytes()));
      }
    } else if (auto* congestion = std::get_if<AssociationCongestion>(&event)) {
      log.congestion.push_back(congestion->congested);
    } else if (auto* unsent = std::get_if<AssociationUnsent>(&event)) {
      log.unsent.emplace_back(as_text(unsent->message.payload.bytes()));
    } else if (auto* down = std::get_if<AssociationDown>(&event)) {
      log.down = std::move(*down);
    }
  }
  void on_fact(AssociationId about, Fact fact, Instant) override {
    EXPECT_FALSE(in_call) << "a call on the transport called its sink";
    facts.emplace_back(about, std::move(fact));
  }

  template <class T>
  std::size_t count() const {
    return static_cast<std::size_t>(std::count_if(facts.begin(), facts.end(), [](const auto& one) {
      return std::holds_alternative<T>(one.second);
    }));
  }

  std::map<AssociationId, Log> logs;
  std::vector<std::pair<AssociationId, Fact>> facts;
  std::function<void(AssociationId, const Message&)> on_received;
  bool in_call = false;
};

class UsrsctpTest : public ::testing::Test {
 protected:
  // Quick to notice what is wrong: these tests do not wait for a real network.
  static SctpOptions quick() {
    SctpOptions options;
    options.rto_initial = 100ms;
    options.rto_min = 50ms;
    options.rto_max = 200ms;
    options.init_attempts_max = 3;
    options.init_timeout_max = 200ms;
    options.association_retransmissions_max = 3;
    options.path_retransmissions_max = 3;
    options.heartbeat_interval = 100ms;
    options.sack_delay = 20ms;
    return options;
  }
  template <class CallType>
  auto quietly(CallType call) {
    sink_.in_call = true;
    auto result = call();
    sink_.in_call = false;
    return result;
  }
  void start(UsrsctpTransportOptions options = {}) {
    transport_ = std::make_unique<UsrsctpTransport>(*loop_, pool_, counters_, options);
    transport_->set_sink(sink_);
  }
  EndpointConfig config(std::string name, std::uint16_t port, std::uint16_t udp_port,
                        bool listening) {
    EndpointConfig config;
    config.name = std::move(name);
    config.transport = TransportKind::usrsctp;
    config.addresses = {"127.0.0.1"};
    config.port = port;
    config.listening = listening;
    config.udp_encapsulation_port = udp_port;
    config.sctp = sctp_;
    config.limits = limits_;
    config.associations_max = associations_max_;
    config.tls = tls_[listening];
    return config;
  }
  EndpointId open(const EndpointConfig& config) {
    auto id = quietly([&] { return transport_->open(config, framing_); });
    EXPECT_TRUE(id.has_value()) << (id ? "" : id.error().what);
    return id.value_or(EndpointId{});
  }
  static PeerConfig peer(std::uint16_t port, std::uint16_t udp_port) {
    PeerConfig config;
    config.name = "peer";
    config.addresses = {"127.0.0.1"};
    config.port = port;
    config.remote_udp_port = udp_port;
    return config;
  }
  AssociationId connect(EndpointId local, const PeerConfig& to) {
    return quietly([&] { return transport_->connect(local, to); });
  }
  SendOutcome send(AssociationId id, std::string_view text, std::uint16_t stream = 0) {
    return quietly([&] { return transport_->find(id)->send(message_of(text, stream)); });
  }
  void close(AssociationId id, CloseMode mode) {
    quietly([&] {
      transport_->find(id)->close(mode);
      return 0;
    });
  }
  // As the policy does it.
  bool peel(AssociationId id) {
    return quietly([&] {
      auto outcome = transport_->detach(id);
      auto* peeled = std::get_if<Peeled>(&outcome);
      if (peeled == nullptr) return false;
      transport_->adopt(std::move(peeled->cargo));
      return true;
    });
  }
  template <class Done>
  [[nodiscard]] bool until(Done done, Duration limit = 10s) {
    bool late = false;
    Timer deadline = loop_->timer([&] { late = true; });
    deadline.start_after(limit);
    while (!done() && !late) loop_->run_once();
    return done();
  }
  Recorder::Log& log(AssociationId id) { return sink_.logs[id]; }
  // The association at the other end of `near`, just connected.
  AssociationId other_than(const std::vector<AssociationId>& known) {
    for (const auto& [id, log] : sink_.logs) {
      if (std::find(known.begin(), known.end(), id) == known.end()) return id;
    }
    return AssociationId::none;
  }
  void connect_pair() {
    server_ = open(config("server", 5000, 29101, true));
    client_ = open(config("client", 5001, 29102, false));
    near_ = connect(client_, peer(5000, 29101));
    ASSERT_TRUE(until([&] {
      far_ = other_than({near_});
      return log(near_).up.has_value() && far_ != AssociationId::none;
    }));
  }

  NoFraming framing_;
  SctpOptions sctp_ = quick();
  AssociationLimits limits_;
  std::size_t associations_max_ = 100;
  std::optional<TlsConfig> tls_[2];  // of who connects, of who listens
  std::unique_ptr<Loop> loop_ = Loop::create().value();
  BufferPool pool_;
  Counters counters_;
  Recorder sink_;
  std::unique_ptr<UsrsctpTransport> transport_;
  EndpointId server_{}, client_{};
  AssociationId near_{}, far_{};
};

}  // namespace siglane::transport
