#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/counters.h"
#include "core/transport.h"
#include "transport/address.h"
#include "transport/file_descriptor.h"
#include "transport/loop/loop.h"
#include "transport/secure/channel.h"
#include "transport/send_queue.h"
#include "transport/stream/rate_window.h"

namespace siglane::transport {

// What connections need to know of the endpoint they belong to. Immutable, shared between loops;
// reconfiguring the endpoint makes another one.
struct StreamEndpoint {
  EndpointId id{};
  EndpointConfig config;
  std::vector<SocketAddress> addresses;  // parsed; empty: any
  const Framing* framing = nullptr;
  std::shared_ptr<const TlsContext> tls;  // null: in clear
};

// All of a connection that moves from loop to loop.
struct StreamState {
  StreamState(AssociationId id_, std::shared_ptr<const StreamEndpoint> endpoint_)
      : id(id_), endpoint(std::move(endpoint_)), queue(endpoint->config.limits) {}

  AssociationId id;
  std::shared_ptr<const StreamEndpoint> endpoint;
  FileDescriptor fd;
  SocketAddress local, remote;
  SendQueue queue;
  std::size_t sealed = 0;        // messages of the queue's front that end in the channel's output
  std::size_t front_sent = 0;    // bytes of the first one behind these that are written, or sealed
  std::vector<std::byte> input;  // the beginning of a message
  std::unique_ptr<SecureChannel> channel;  // null: in clear
  Histogram residence;
  RateWindow in, out;
};

class StreamConnection;

// What a connection asks of its transport. None of it calls back into the connection at once.
class StreamHost {
 public:
  virtual Loop& loop() = 0;
  virtual BufferPool& buffers() = 0;
  virtual Counters& counters() = 0;
  virtual std::span<std::byte> read_space() = 0;
  virtual void flush_at_end_of_turn(StreamConnection& connection) = 0;
  virtual void attend_soon(StreamConnection& connection) = 0;

 protected:
  ~StreamHost() = default;
};

// Where a connection's events go. Called from loop callbacks only; anything may have happened to
// the connection when it returns, except that it is still allocated.
class StreamListener {
 public:
  virtual void on_event(StreamConnection& connection, AssociationEvent event) = 0;

 protected:
  ~StreamListener() = default;
};

// One TCP connection, with or without TLS: connects, cuts its input into messages, queues and
// writes its output, ends well or badly. With TLS it is up when the handshake is done and the peer
// is who it should be. Nothing it is told to do makes it report before the loop comes round.
class StreamConnection final : public Association {
 public:
  StreamConnection(StreamHost& host, StreamListener& listener, StreamState state);

  // One of these three, once.
  void connect(const PeerConfig& peer);
  void accepted();  // the state has its descriptor; may report Up: from a loop callback only
  void adopted();

  AssociationId id() const override { return id_; }
  EndpointPool& pool() const { return *pool_; }
  SendOutcome send(Message&& message) override;
  void close(CloseMode mode) override;

  // Its endpoint was reconfigured: the new limits are its own from now on, and the new times of
  // what begins from now on.
  void follow(std::shared_ptr<const StreamEndpoint> endpoint);

  bool movable() const { return phase_ == Phase::open && broken_ == 0 && !peer_ended_; }
  // Stops watching and gives everything away. Precondition: movable().
  StreamState detach();

  // Reads nothing, or goes on reading.
  void pause(bool paused);

  // Called by the host, from the loop: what was asked for above.
  void flush();
  void attend();

  // After attend(): over, and what could not be sent was given back; this Down is next.
  bool ended() const { return phase_ == Phase::ended; }
  AssociationDown take_end() { return std::move(end_); }

  const StreamState& state() const { return state_; }

 private:
  enum class Phase { connecting, securing, open, flushing, awaiting_end, ended, moved };

  bool alive() const { return sending() || phase_ == Phase::awaiting_end; }
  bool receiving() const { return alive() && !peer_ended_; }
  bool sending() const {
    return phase_ == Phase::securing || phase_ == Phase::open || phase_ == Phase::flushing;
  }
  bool start_polling();
  void watch();
  void on_poll(PollEvents events);

  void try_next_address();
  std::string start_attempt(const SocketAddress& remote);
  void attempt_failed(int error);
  void finish_connect();
  void established();
  void report_up();

  bool read_once();
  void consume(Bytes fresh);
  std::optional<std::size_t> whole_message();
  void deliver(std::size_t size);
  void read_ended(int error);
  void peer_ended();
  void write_some();
  void note_written(std::size_t bytes);
  void front_is_out(Instant now);
  void ask_for_flush();
  void drain_broken();
  void end(DownCause cause, std::string detail, bool reset = false);

  // With TLS (secure.cpp).
  void begin_handshake();
  void read_plain();
  void write_sealed();
  void seal_some();
  bool close_announced();
  void secure_ended();
  void say_last_words();
  void secure_failed(const std::string& problem);

  StreamHost& host_;
  StreamListener& listener_;
  AssociationId id_;  // these two stay when the state moves away
  std::shared_ptr<EndpointPool> pool_;
  StreamState state_;
  Phase phase_ = Phase::connecting;
  std::optional<Poll> poll_;
  std::optional<Timer> timer_;  // connecting, or closing
  bool flush_asked_ = false;
  bool blocked_ = false;     // the socket takes no more for now
  bool paused_ = false;      // nothing is read for now
  bool input_left_ = false;  // adopted with input that is to be looked at first
  bool peer_ended_ = false;  // its half of the stream: there is nothing more to read
  bool in_consume_ = false;
  Bytes unread_;    // while consuming: what is left of it
  int broken_ = 0;  // errno: drain, then end
  AssociationDown end_;

  std::string peer_;      // whom we connected to
  std::string identity_;  // what its certificate must name
  bool initiator_ = false;
  std::vector<SocketAddress> targets_;
  std::size_t next_target_ = 0;
  DownCause attempt_cause_ = DownCause::unreachable;
  std::string attempts_;  // what became of them
};

// What an errno says about a connection.
DownCause cause_of_errno(int error, bool connecting);

}  // namespace siglane::transport
