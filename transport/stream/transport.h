#pragma once
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/counters.h"
#include "core/transport.h"
#include "transport/carrier.h"
#include "transport/stream/connection.h"

namespace siglane::transport {

// TCP, and TLS over it. An association is a connection: one stream each way, cut into messages by
// the module's Framing. Nothing is shared between connections, so nothing is ever peeled off;
// Placement has no meaning here. Output is written once per turn of the loop, earlier after some
// work.
class StreamTransport final : public Carrier, private StreamHost, private StreamListener {
 public:
  // All must outlive the transport. set_sink() before the loop runs.
  StreamTransport(Loop& loop, BufferPool& buffers, Counters& counters);
  // Aborts every connection; nobody is told.
  ~StreamTransport() override;
  void set_sink(TransportSink& sink) { sink_ = &sink; }

  Result<EndpointId> open(const EndpointConfig& endpoint, const Framing& framing) override;
  AssociationId connect(EndpointId local, const PeerConfig& peer) override;
  Association* find(AssociationId id) override { return find_connection(id); }
  void bind(AssociationId, const PeerConfig&) override {}

  // Gone also for a connection that is not up yet: there is nothing to move.
  DetachOutcome detach(AssociationId id) override;
  void adopt(std::unique_ptr<DetachedAssociation> cargo) override;
  Seat seat(AssociationId id) const override;
  void pause_input(AssociationId id) override;
  void resume_input(AssociationId id) override;

  void reconfigure(EndpointId endpoint, const EndpointConfig& config,
                   std::shared_ptr<const TlsContext> loaded) override;
  void reconfigure(const PeeloffLimits&) override {}
  const EndpointConfig& config(EndpointId endpoint) const override {
    return endpoints_.at(endpoint).shared->config;
  }

  std::optional<AssociationStatus> status(AssociationId id) const override;
  const Histogram* residence(AssociationId id) const override;

  static bool made(const DetachedAssociation& cargo);

 private:
  struct Listening {
    FileDescriptor fd;
    SocketAddress address;
    std::optional<Poll> poll;
  };
  struct Endpoint {
    std::shared_ptr<const StreamEndpoint> shared;
    std::vector<std::unique_ptr<Listening>> listening;
    bool speaks = false;  // for those of other shards: was opened first
  };

  Loop& loop() override { return loop_; }
  BufferPool& buffers() override { return buffers_; }
  Counters& counters() override { return counters_; }
  std::span<std::byte> read_space() override { return read_space_; }
  void flush_at_end_of_turn(StreamConnection& connection) override;
  void attend_soon(StreamConnection& connection) override;
  void on_event(StreamConnection& connection, AssociationEvent event) override;

  Result<std::unique_ptr<Listening>> listen(const EndpointConfig& config, SocketAddress address,
                                            bool both_families, bool first);
  Result<std::vector<std::unique_ptr<Listening>>> listen_all(const StreamEndpoint& endpoint,
                                                             bool first);
  void accept_some(EndpointId id, Listening& listening);
  Instant accept_one(Endpoint& endpoint, FileDescriptor fd, const SocketAddress& remote);
  bool shed_one(Listening& listening);
  void pause_accepting(Duration pause);

  StreamConnection* find_connection(AssociationId id) const;
  StreamConnection& add(StreamState state);
  void bury(AssociationId id);
  void flush_dirty();
  void flush_if_worked_enough();
  void attend_all();
  void tell(Fact fact);
  void tell_of(const StreamEndpoint& endpoint, const std::vector<std::string>& notices,
               Severity severity = Severity::info);

  Loop& loop_;
  BufferPool& buffers_;
  Counters& counters_;
  TransportSink* sink_ = nullptr;
  std::unordered_map<EndpointId, Endpoint> endpoints_;
  std::unordered_map<AssociationId, std::unique_ptr<StreamConnection>> connections_;
  std::vector<std::byte> read_space_;

  std::vector<StreamConnection*> dirty_;                   // to be flushed at the end of this turn
  std::vector<AssociationId> attention_;                   // to be attended to soon
  std::vector<std::unique_ptr<StreamConnection>> graves_;  // freed when no frame of theirs is left
  std::vector<Fact> facts_;                                // said soon
  unsigned worked_ = 0;                                    // messages since the last flush
  Instant work_began_{};

  FileDescriptor reserve_;  // given up to turn a connection away when descriptors have run out
  bool starved_ = false;
  Timer resume_accepting_;
  Soon soon_;
  Prepare end_of_turn_;
};

}  // namespace siglane::transport
