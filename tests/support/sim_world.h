#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/random.h"
#include "core/shard.h"
#include "core/transport.h"
#include "tests/support/facts.h"

namespace siglane::sim {

class SimNode;
class SimTransport;

struct SimWorldConfig {
  Duration latency_min = 50us;
  Duration latency_max = 400us;  // drawn per message; order holds within a stream only
};

// A world of nodes in one thread and virtual time: what happens next is the earliest event, and a
// seed decides every latency. Nothing sleeps; a run of an hour takes as long as its events do.
class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed, SimWorldConfig config = {});

  Instant now() const { return now_; }
  Random& random() { return random_; }
  void at(Instant when, std::function<void()> what);
  void after(Duration wait, std::function<void()> what) { at(now_ + wait, std::move(what)); }

  // Runs events in order until `done` says so or `limit` of virtual time has passed; true if done.
  bool run_until(const std::function<bool()>& done, Duration limit = 60s);
  void run_for(Duration span);

 private:
  friend class SimTransport;
  friend class SimNode;
  struct Event {
    Instant when;
    std::uint64_t number;
    std::function<void()> what;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.when != b.when ? a.when > b.when : a.number > b.number;
    }
  };
  bool run_one(Instant until);
  Duration draw_latency();

  SimWorldConfig config_;
  Random random_;
  Instant now_{1s};
  std::uint64_t events_ = 0;
  std::priority_queue<Event, std::vector<Event>, Later> queue_;
  std::map<std::string, std::pair<SimTransport*, EndpointId>> listeners_;  // "address:port"
  std::unordered_map<AssociationId, SimTransport*> transports_;
  std::vector<SimNode*> nodes_;
};

// A transport whose wire is the world's event queue. Faults are commands of the test.
class SimTransport final : public Transport {
 public:
  explicit SimTransport(SimWorld& world);
  ~SimTransport() override;
  void set_sink(TransportSink& sink) { sink_ = &sink; }

  Result<EndpointId> open(const EndpointConfig& endpoint, const Framing& framing) override;
  AssociationId connect(EndpointId local, const PeerConfig& peer) override;
  Association* find(AssociationId id) override;
  void bind(AssociationId id, const PeerConfig& peer) override;
  DetachOutcome detach(AssociationId id) override;
  void adopt(std::unique_ptr<DetachedAssociation> cargo) override;
  Seat seat(AssociationId) const override { return seat_; }
  // What was asked for last; all is delivered, whatever that was.
  void pause_input(AssociationId id) override { paused_.insert(id); }
  void resume_input(AssociationId id) override { paused_.erase(id); }
  bool is_paused(AssociationId id) const { return paused_.contains(id); }
  std::optional<AssociationStatus> status(AssociationId id) const override;
  const Histogram* residence(AssociationId) const override { return nullptr; }

  // Both ends hear Down{lost} after a latency each; what was under way is gone.
  void cut(AssociationId id);
  // Reports Congestion; the association goes on taking messages.
  void congest(AssociationId id, bool congested);
  void refuse_sends(AssociationId id, bool refuse);
  // Where all of its associations sit, and what the next detach() fails with.
  void seat_all(Seat seat) { seat_ = seat; }
  void fail_detach(std::variant<Gone, Lost, Starved> outcome) { detach_fails_ = outcome; }

  // As if over TLS: whom it connects to finds these names in its certificate.
  void show_certificate(std::vector<std::string> names) { certificate_names_ = std::move(names); }

  std::size_t association_count() const { return associations_.size(); }

 private:
  class SimAssociation;
  struct Cargo;

  void establish(AssociationId near, AssociationId far, AssociationUp up);
  void deliver(AssociationId id, AssociationEvent event);
  void down(AssociationId id, DownCause cause);
  static void send_down(SimWorld& world, AssociationId id, DownCause cause);

  SimWorld& world_;
  TransportSink* sink_ = nullptr;
  std::vector<EndpointConfig> endpoints_;
  std::optional<std::vector<std::string>> certificate_names_;
  std::unordered_map<AssociationId, std::unique_ptr<SimAssociation>> associations_;
  std::set<AssociationId> paused_;
  Seat seat_ = Seat::own;
  std::optional<std::variant<Gone, Lost, Starved>> detach_fails_;
};

// Every fact a node announced, with whom it was about.
class FactLog final : public FactSink {
 public:
  struct Entry {
    AssociationId about;
    std::string peer;  // of the association, as operators read it
    Fact fact;
    Instant at;
  };
  void on_fact(const FactSource& source, const Fact& fact, Instant now) override {
    entries_.push_back({source.association, std::string(source.peer), fact, now});
  }
  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t count(const FactKind& kind) const {
    std::size_t n = 0;
    for (const Entry& entry : entries_) n += is(entry.fact, kind) ? 1 : 0;
    return n;
  }
  // A field of the last one of that kind; empty: there is none.
  std::string last(const FactKind& kind, std::string_view key) const {
    for (auto it = entries_.rbegin(); it != entries_.rend(); ++it) {
      if (is(it->fact, kind)) return field(it->fact, key);
    }
    return {};
  }

 private:
  std::vector<Entry> entries_;
};

// One shard with all it needs, in a world.
class SimNode {
 public:
  SimNode(SimWorld& world, PeerTable table, ShardConfig config = {}, AskSink* asks = nullptr);
  ~SimNode();
  SimNode(const SimNode&) = delete;
  SimNode& operator=(const SimNode&) = delete;

  BufferPool buffers;
  Counters counters;
  Directory directory;
  PeerTable peers;
  FactLog facts;
  SimTransport transport;
  Shard shard;

 private:
  SimWorld& world_;
};

}  // namespace siglane::sim
