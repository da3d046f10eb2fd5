#pragma once
// What the tests of the stream transport share: a framing, a sink that records, a loop.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/facts.h"
#include "tests/support/payload_protocols.h"
#include "transport/stream/transport.h"
#include "transport/transport_facts.h"

namespace siglane::transport {

// Two bytes of length, which count themselves, then text. Zeros in them: four more have the length.
class ShortFraming final : public Framing {
 public:
  Result<std::optional<std::size_t>> frame_length(Bytes head) const override {
    if (head.size() < 2) return std::optional<std::size_t>{};
    std::size_t length = load_u16(head.data());
    if (length == 0) {
      if (head.size() < 6) return std::optional<std::size_t>{};
      length = load_u32(head.data() + 2);
    }
    if (length < 2) return failure("length " + std::to_string(length) + " is less than the header");
    return std::optional<std::size_t>{length};
  }
  PayloadProtocol stream_protocol() const override { return test::kDiameter; }
};

inline std::string framed(std::string_view text) {
  std::array<std::byte, 6> header{};
  std::size_t used = 2;
  if (text.size() + 2 <= 0xffff) {
    store_u16(header.data(), static_cast<std::uint16_t>(text.size() + 2));
  } else {
    used = header.size();
    store_u32(header.data() + 2, static_cast<std::uint32_t>(text.size() + used));
  }
  return std::string(as_text(Bytes(header).first(used))) + std::string(text);
}

inline Message message_of(std::string_view text, Instant caused_at = {}) {
  Message message;
  message.protocol = test::kDiameter;
  message.caused_at = caused_at;
  message.payload = Buffer::copy_of(as_bytes(framed(text)));
  return message;
}

inline std::string text_of(const Message& message) {
  const Bytes frame = message.payload.bytes();
  return std::string(as_text(frame.subspan(load_u16(frame.data()) == 0 ? 6 : 2)));
}

// Records what a transport says, and checks the order that every transport promises.
class Recorder final : public TransportSink {
 public:
  struct Log {
    std::optional<AssociationUp> up;
    std::vector<std::string> received;
    bool ending = false;
    std::vector<bool> congestion;
    std::vector<std::pair<std::string, bool>> unsent;
    std::optional<AssociationDown> down;
  };

  Welcome on_newcomer(AssociationId id, const std::vector<std::string>& addresses,
                      Instant now) override {
    EXPECT_FALSE(in_call) << "a call on the transport called its sink";
    EXPECT_EQ(addresses.size(), 1u);
    const Welcome welcome = on_arrival ? on_arrival(now) : Welcome{true, now};
    if (welcome.admitted) newcomers.push_back(id);
    return welcome;
  }
  void on_event(AssociationId id, AssociationEvent event, Instant now) override {
    EXPECT_FALSE(in_call) << "a call on the transport called its sink";
    EXPECT_NE(now, Instant{});
    const bool newcomer = std::find(newcomers.begin(), newcomers.end(), id) != newcomers.end();
    if (auto* down = std::get_if<AssociationDown>(&event); down && newcomer && !logs.contains(id)) {
      refused.push_back(std::move(*down));
      return;
    }
    Log& log = logs[id];
    EXPECT_FALSE(log.down.has_value()) << "an event after Down";
    if (auto* up = std::get_if<AssociationUp>(&event)) {
      EXPECT_FALSE(log.up.has_value());
      EXPECT_NE(newcomer, up->initiator) << "who comes to us is announced first";
      log.up = std::move(*up);
    } else if (auto* received = std::get_if<AssociationReceived>(&event)) {
      EXPECT_FALSE(log.ending) << "a message after Ending";
      EXPECT_EQ(received->message.protocol, test::kDiameter);
      EXPECT_EQ(received->message.caused_at, now);
      log.received.push_back(text_of(received->message));
      if (on_received) on_received(id, received->message);
    } else if (std::holds_alternative<AssociationEnding>(event)) {
      EXPECT_FALSE(log.ending) << "Ending twice";
      log.ending = true;
      if (on_ending) on_ending(id);
    } else if (auto* congestion = std::get_if<AssociationCongestion>(&event)) {
      log.congestion.push_back(congestion->congested);
    } else if (auto* unsent = std::get_if<AssociationUnsent>(&event)) {
      log.unsent.emplace_back(text_of(unsent->message), unsent->sent_unacknowledged);
    } else if (auto* down = std::get_if<AssociationDown>(&event)) {
      log.down = std::move(*down);
    }
  }
  void on_stranger(const std::string&, std::string why, Instant) override {
    EXPECT_FALSE(in_call) << "a call on the transport called its sink";
    strangers.push_back(std::move(why));
  }
  void on_fact(AssociationId, Fact fact, Instant) override {
    EXPECT_FALSE(in_call) << "a call on the transport called its sink";
    facts.push_back(std::move(fact));
  }

  // The first of that kind.
  const Fact* fact(const FactKind& kind) const {
    const auto found = std::ranges::find_if(facts, [&](const Fact& one) { return is(one, kind); });
    return found == facts.end() ? nullptr : &*found;
  }
  // Port of the endpoint that was opened first; 0: none yet.
  std::uint16_t port() const {
    const Fact* opened = fact(kEndpointOpened);
    return static_cast<std::uint16_t>(opened == nullptr ? 0 : std::stoi(field(*opened, "port")));
  }
  // The first association that is not one of `known`.
  AssociationId other_than(std::vector<AssociationId> known) const {
    for (const auto& [id, log] : logs) {
      if (std::find(known.begin(), known.end(), id) == known.end()) return id;
    }
    return AssociationId::none;
  }

  std::map<AssociationId, Log> logs;
  std::vector<AssociationId> newcomers;
  std::vector<AssociationDown> refused;  // newcomers that never were up
  std::vector<std::string> strangers;    // whom the transport has turned away: why
  std::vector<Fact> facts;
  std::function<Welcome(Instant now)> on_arrival;  // if set, says whether it may come in
  std::function<void(AssociationId, const Message&)> on_received;
  std::function<void(AssociationId)> on_ending;
  bool in_call = false;
};

// A loop with a transport on it.
struct Side {
  // Like a session that owes nothing, it closes its half when the peer has ended the other.
  Side() {
    transport.set_sink(sink);
    sink.on_ending = [this](AssociationId id) { close(id, CloseMode::graceful); };
  }

  // Turns until `done`, five seconds at most.
  template <class Done>
  [[nodiscard]] bool until(Done done, Duration limit = 5s) {
    bool late = false;
    Timer deadline = loop->timer([&] { late = true; });
    deadline.start_after(limit);
    while (!done() && !late) loop->run_once();
    return done();
  }
  template <class CallType>
  auto quietly(CallType call) {
    sink.in_call = true;
    auto result = call();
    sink.in_call = false;
    return result;
  }
  // The same, but without waiting for events: for what a raw peer does in `done`.
  template <class Done>
  [[nodiscard]] bool spin_until(Done done, Duration limit = 20s) {
    const Instant end = Loop::fresh_now() + limit;
    while (!done() && Loop::fresh_now() < end) loop->run_once(false);
    return done();
  }
  void reconfigure(EndpointId endpoint, const EndpointConfig& config) {
    quietly([&] {
      transport.reconfigure(endpoint, config, nullptr);
      return 0;
    });
  }
  AssociationId connect(EndpointId local, const PeerConfig& peer) {
    return quietly([&] { return transport.connect(local, peer); });
  }
  SendOutcome send(AssociationId id, std::string_view text, Instant caused_at = {}) {
    return quietly([&] { return transport.find(id)->send(message_of(text, caused_at)); });
  }
  void close(AssociationId id, CloseMode mode) {
    quietly([&] {
      transport.find(id)->close(mode);
      return 0;
    });
  }
  Recorder::Log& log(AssociationId id) { return sink.logs[id]; }

  std::unique_ptr<Loop> loop = Loop::create().value();
  BufferPool pool;
  Counters counters;
  Recorder sink;
  StreamTransport transport{*loop, pool, counters};
};

}  // namespace siglane::transport
