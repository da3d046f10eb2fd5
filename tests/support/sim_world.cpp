#include "tests/support/sim_world.h"

#include <algorithm>

namespace siglane::sim {

SimWorld::SimWorld(std::uint64_t seed, SimWorldConfig config) : config_(config), random_(seed) {}

void SimWorld::at(Instant when, std::function<void()> what) {
  queue_.push({std::max(when, now_), events_++, std::move(what)});
}

Duration SimWorld::draw_latency() {
  const auto span = static_cast<std::uint64_t>((config_.latency_max - config_.latency_min).count());
  return config_.latency_min + Duration(static_cast<Duration::rep>(random_.below(span + 1)));
}

// The earliest thing of all: an event, or a shard's deadline. False: nothing before `until`.
bool SimWorld::run_one(Instant until) {
  for (SimNode* node : nodes_) {
    do {
      node->shard.run_mailbox(now_);
    } while (!node->shard.mailbox().empty());
  }
  SimNode* due = nullptr;
  Instant earliest = until;
  for (SimNode* node : nodes_) {
    if (auto at = node->shard.next_deadline(); at && *at < earliest) {
      earliest = *at;
      due = node;
    }
  }
  if (!queue_.empty() && queue_.top().when <= earliest) {
    auto what = std::move(const_cast<Event&>(queue_.top()).what);
    now_ = std::max(now_, queue_.top().when);
    queue_.pop();
    what();
    return true;
  }
  if (due == nullptr) return false;
  now_ = std::max(now_, earliest);
  due->shard.run_due(now_);
  return true;
}

bool SimWorld::run_until(const std::function<bool()>& done, Duration limit) {
  const Instant until = now_ + limit;
  while (!done()) {
    if (run_one(until)) continue;
    now_ = until;
    return done();
  }
  return true;
}

void SimWorld::run_for(Duration span) {
  (void)run_until([] { return false; }, span);
}

// --- Associations -------------------------------------------------------------------------------

class SimTransport::SimAssociation final : public Association {
 public:
  SimAssociation(SimTransport& home, AssociationId near, AssociationId far_end, EndpointId local,
                 std::string remote_text)
      : transport(&home),
        far(far_end),
        endpoint(local),
        remote(std::move(remote_text)),
        id_(near) {}

  AssociationId id() const override { return id_; }

  SendOutcome send(Message&& message) override {
    SimWorld& world = transport->world_;
    if (closing || refusing || !world.transports_.contains(far)) return SendOutcome::refused;
    Instant when = world.now_ + world.draw_latency();
    if (!message.unordered) {
      Instant& last = last_arrival_[message.stream];
      last = when = std::max(last, when);
    }
    last_of_all_ = std::max(last_of_all_, when);
    auto shared = std::make_shared<Message>(std::move(message));
    world.at(when, [&world, to = far, shared, when] {
      auto it = world.transports_.find(to);
      if (it == world.transports_.end()) return;
      shared->caused_at = when;
      it->second->deliver(to, AssociationReceived{std::move(*shared)});
    });
    return SendOutcome::accepted;
  }

  void close(CloseMode mode) override {
    if (closing) return;
    closing = true;
    SimWorld& world = transport->world_;
    const bool graceful = mode == CloseMode::graceful;
    // A graceful close arrives behind everything that was sent; an abort overtakes it.
    const Instant when =
        std::max(graceful ? last_of_all_ : Instant{}, world.now_ + world.draw_latency());
    world.at(when, [&world, near = id_, to = far, graceful] {
      send_down(world, to, graceful ? DownCause::peer_shutdown : DownCause::peer_abort);
      send_down(world, near, DownCause::local_close);
    });
  }

  SimTransport* transport;
  AssociationId far;
  EndpointId endpoint;
  std::string remote;
  bool closing = false;
  bool refusing = false;
  bool congested = false;
  bool moved = false;

 private:
  AssociationId id_;
  std::unordered_map<StreamId, Instant> last_arrival_;
  Instant last_of_all_{};
};

struct SimTransport::Cargo final : DetachedAssociation {
  ~Cargo() override {
    if (association != nullptr) association->close(CloseMode::abort);
  }
  AssociationId id() const override { return association->id(); }
  std::unique_ptr<SimAssociation> association;
};

SimTransport::SimTransport(SimWorld& world) : world_(world) {}

SimTransport::~SimTransport() {
  for (auto& [id, association] : associations_) world_.transports_.erase(id);
  std::erase_if(world_.listeners_,
                [this](const auto& entry) { return entry.second.first == this; });
}

Result<EndpointId> SimTransport::open(const EndpointConfig& endpoint, const Framing&) {
  const EndpointId id{static_cast<std::uint32_t>(endpoints_.size())};
  if (endpoint.listening) {
    for (const auto& address : endpoint.addresses) {
      const std::string where = address + ":" + std::to_string(endpoint.port);
      if (!world_.listeners_.try_emplace(where, this, id).second) {
        return failure(endpoint.name + ": " + where + " is taken");
      }
    }
  }
  endpoints_.push_back(endpoint);
  return id;
}

AssociationId SimTransport::connect(EndpointId local, const PeerConfig& peer) {
  const AssociationId near = next_association_id();
  world_.transports_[near] = this;
  world_.after(world_.draw_latency(), [this, near, local, peer] {
    auto it = world_.listeners_.end();
    if (!peer.addresses.empty()) {
      it = world_.listeners_.find(peer.addresses.front() + ":" + std::to_string(peer.port));
    }
    if (it == world_.listeners_.end()) {
      world_.transports_.erase(near);
      sink_->on_event(near, AssociationDown{DownCause::refused, "nobody listens"}, world_.now_);
      return;
    }
    auto [other, endpoint] = it->second;
    const AssociationId far = next_association_id();
    const EndpointConfig& mine = endpoints_[static_cast<std::size_t>(local)];
    const EndpointConfig& theirs = other->endpoints_[static_cast<std::size_t>(endpoint)];
    const std::uint16_t streams = std::min(mine.sctp.streams_out, theirs.sctp.streams_out);
    AssociationUp up{endpoint, theirs.addresses, mine.addresses, mine.port, streams, streams, "",
                     false};
    up.certificate_names = certificate_names_;
    other->establish(far, near, std::move(up));
    establish(
        near, far,
        {local, mine.addresses, peer.addresses, peer.port, streams, streams, peer.name, true});
  });
  return near;
}

void SimTransport::establish(AssociationId near, AssociationId far, AssociationUp up) {
  world_.transports_[near] = this;
  const std::string remote = (up.remote_addresses.empty() ? "?" : up.remote_addresses.front()) +
                             ":" + std::to_string(up.remote_port);
  associations_[near] = std::make_unique<SimAssociation>(*this, near, far, up.local, remote);
  world_.after(Duration{0}, [this, near, up = std::move(up)] { deliver(near, up); });
}

void SimTransport::deliver(AssociationId id, AssociationEvent event) {
  if (associations_.contains(id)) sink_->on_event(id, std::move(event), world_.now_);
}

void SimTransport::down(AssociationId id, DownCause cause) {
  world_.transports_.erase(id);
  if (associations_.erase(id) == 0) return;
  sink_->on_event(id, AssociationDown{cause, {}}, world_.now_);
}

void SimTransport::send_down(SimWorld& world, AssociationId id, DownCause cause) {
  auto it = world.transports_.find(id);
  if (it != world.transports_.end()) it->second->down(id, cause);
}

Association* SimTransport::find(AssociationId id) {
  auto it = associations_.find(id);
  return it == associations_.end() ? nullptr : it->second.get();
}

void SimTransport::bind(AssociationId, const PeerConfig&) {}

DetachOutcome SimTransport::detach(AssociationId id) {
  auto it = associations_.find(id);
  if (it == associations_.end() || it->second->closing) return Gone{};
  if (auto fails = std::exchange(detach_fails_, std::nullopt)) {
    if (std::holds_alternative<Lost>(*fails)) cut(id);
    return std::visit([](auto& one) { return DetachOutcome(std::move(one)); }, *fails);
  }
  auto cargo = std::make_unique<Cargo>();
  cargo->association = std::move(it->second);
  associations_.erase(it);
  world_.transports_.erase(id);
  return Peeled{std::move(cargo)};
}

void SimTransport::adopt(std::unique_ptr<DetachedAssociation> cargo) {
  auto association = std::move(static_cast<Cargo&>(*cargo).association);
  association->transport = this;
  association->moved = true;
  const AssociationId id = association->id();
  world_.transports_[id] = this;
  associations_[id] = std::move(association);
}

std::optional<AssociationStatus> SimTransport::status(AssociationId id) const {
  auto it = associations_.find(id);
  if (it == associations_.end()) return std::nullopt;
  const SimAssociation& association = *it->second;
  const EndpointConfig& endpoint = endpoints_[static_cast<std::size_t>(association.endpoint)];
  AssociationStatus status;
  status.endpoint = endpoint.name;
  status.local = (endpoint.addresses.empty() ? "*" : endpoint.addresses.front()) + ":" +
                 std::to_string(endpoint.port);
  status.remote = association.remote;
  status.transport = TransportKind::simulated;
  status.peeled = association.moved;
  status.congested = association.congested;
  return status;
}

void SimTransport::cut(AssociationId id) {
  auto it = associations_.find(id);
  if (it == associations_.end()) return;
  for (AssociationId end : {id, it->second->far}) {
    world_.after(world_.draw_latency(),
                 [&world = world_, end] { send_down(world, end, DownCause::lost); });
  }
}

void SimTransport::congest(AssociationId id, bool congested) {
  auto it = associations_.find(id);
  if (it == associations_.end()) return;
  it->second->congested = congested;
  world_.after(Duration{0},
               [this, id, congested] { deliver(id, AssociationCongestion{congested}); });
}

void SimTransport::refuse_sends(AssociationId id, bool refuse) {
  auto it = associations_.find(id);
  if (it != associations_.end()) it->second->refusing = refuse;
}

// --- Nodes --------------------------------------------------------------------------------------

SimNode::SimNode(SimWorld& world, PeerTable table, ShardConfig config, AskSink* asks)
    : peers(std::move(table)),
      transport(world),
      shard(config, transport, peers, directory, facts, asks, buffers, counters),
      world_(world) {
  transport.set_sink(shard);
  world.nodes_.push_back(this);
}

SimNode::~SimNode() {
  std::erase(world_.nodes_, this);
}

}  // namespace siglane::sim
