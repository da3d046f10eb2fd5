#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transport/sctp_transport.h"

namespace siglane::kernel_test {

// Called once by each test binary: our own network namespace, or a failure that says what is
// missing.
void need_kernel_sctp();

// A loop that turns until something is true, or it took too long.
class World {
 public:
  World();

  // Turns the loop until `done`. false: it took longer than `limit`.
  bool run_until(const std::function<bool()>& done, Duration limit = 20s);
  // For what must not happen.
  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }

  transport::Loop& loop() { return *loop_; }
  BufferPool buffers;

 private:
  std::unique_ptr<transport::Loop> loop_;
};

// A framing that nothing here asks.
struct NoFraming final : Framing {
  Result<std::optional<std::size_t>> frame_length(Bytes) const override { return std::nullopt; }
  PayloadProtocol stream_protocol() const override { return PayloadProtocol::none; }
};

// What one association told.
struct Told {
  std::optional<AssociationUp> up;
  std::vector<std::string> received;
  std::vector<bool> congestion;
  std::vector<std::pair<std::string, PathState>> paths;
  std::vector<std::string> unsent;
  std::optional<AssociationDown> down;
};

// A transport and all that it told. Holds every association to the order of events.
class Node final : public TransportSink {
 public:
  explicit Node(World& world, transport::SctpTransportOptions options = never_peeling());

  static transport::SctpTransportOptions never_peeling();

  // On loopback; port 0 is any. Aborts the test if it cannot.
  EndpointId open(EndpointConfig config);
  EndpointId listen(std::string at = "127.0.0.1", std::uint16_t on = 0);
  EndpointId endpoint(std::string at = "127.0.0.1", std::uint16_t on = 0);
  static EndpointConfig config(std::string address, std::uint16_t port, bool listening);

  AssociationId connect(EndpointId from, const Node& to, Placement placement = {});
  // Connects and turns the loop until both ends are up; ours and theirs.
  std::pair<AssociationId, AssociationId> join(EndpointId from, Node& to);

  bool send(AssociationId id, std::string_view text, int stream = 0);
  void close(AssociationId id, CloseMode mode) { transport->find(id)->close(mode); }
  // The two halves of a move, on this same transport. false: it could not be detached.
  bool peel(AssociationId id);
  bool is_peeled(AssociationId id) const;

  bool is_up(AssociationId id) const;
  bool is_down(AssociationId id) const { return down_cause(id).has_value(); }
  std::optional<DownCause> down_cause(AssociationId id) const;
  const Told& of(AssociationId id) { return told_[id]; }
  // Of the associations that told Up, the newest.
  AssociationId newest() const { return opened.back(); }

  template <class F>
  std::vector<F> facts_of() const {
    std::vector<F> found;
    for (const auto& [about, fact] : facts) {
      if (const F* one = std::get_if<F>(&fact)) found.push_back(*one);
    }
    return found;
  }

  void on_event(AssociationId id, AssociationEvent event, Instant now) override;
  void on_fact(AssociationId about, Fact fact, Instant now) override;

  World& world;
  Counters counters;
  std::unique_ptr<transport::SctpTransport> transport;
  std::optional<TlsConfig> tls;  // of endpoints opened from now on
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // of the last endpoint
  std::vector<AssociationId> opened;
  std::vector<std::pair<AssociationId, Fact>> facts;
  // If set, messages go here and are not kept.
  std::function<void(AssociationId, const Message&)> on_message;
  std::function<void(AssociationId)> on_up;

 private:
  std::map<AssociationId, Told> told_;
  NoFraming framing_;
};

// As long as it lives, every packet takes 30 ms.
class SlowNetwork {
 public:
  SlowNetwork();
  ~SlowNetwork();
  SlowNetwork(const SlowNetwork&) = delete;
  SlowNetwork& operator=(const SlowNetwork&) = delete;
};

// As long as it lives, the loopback of our network namespace loses every packet.
class DeadNetwork {
 public:
  DeadNetwork();
  ~DeadNetwork();
  DeadNetwork(const DeadNetwork&) = delete;
  DeadNetwork& operator=(const DeadNetwork&) = delete;
};

}  // namespace siglane::kernel_test
