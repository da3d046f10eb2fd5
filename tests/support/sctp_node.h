#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/facts.h"
#include "tests/support/no_framing.h"
#include "transport/carrier.h"
#include "transport/sctp/kernel/transport.h"

// Nodes on either SCTP stack, for tests of what both promise.
namespace siglane::sctp_test {

enum class Stack { kernel, usrsctp };
// What this binary's tests run on, where they do not say.
inline Stack default_stack = Stack::usrsctp;

class Node;
class OneUsrsctp;

// A loop that turns until something is true, or it took too long.
class World {
 public:
  World();
  ~World();

  // Turns the loop until `done`. false: it took longer than `limit`.
  bool run_until(const std::function<bool()>& done, Duration limit = 20s);
  // For what must not happen.
  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }

  transport::Loop& loop() { return *loop_; }
  BufferPool buffers;

 private:
  friend class Node;
  std::unique_ptr<transport::Loop> loop_;
  std::unique_ptr<OneUsrsctp> usrsctp_;  // there is one in a process: all nodes share it
  bool in_call_ = false;
};

// What one association told.
struct Told {
  std::optional<AssociationUp> up;
  bool ending = false;
  std::vector<std::string> received;
  std::vector<bool> congestion;
  std::vector<std::pair<std::string, PathState>> paths;
  std::vector<std::string> unsent;
  std::optional<AssociationDown> down;
};

// A node's endpoints and associations, and all that they told. Holds every association to the order
// of events, and every call to its promise to call nobody. On usrsctp the nodes of a world have
// one transport: the first one's options are everybody's, and so are the counters, and facts that
// are about no association.
class Node final : public TransportSink {
 public:
  explicit Node(World& world, transport::SctpTransportOptions options = never_peeling(),
                Stack stack = default_stack);
  ~Node();

  static transport::SctpTransportOptions never_peeling();

  // On loopback; port 0 is any. Aborts the test if it cannot.
  EndpointId open(EndpointConfig config);
  EndpointId listen(std::string at = "127.0.0.1", std::uint16_t on = 0);
  EndpointId endpoint(std::string at = "127.0.0.1", std::uint16_t on = 0);
  static EndpointConfig config(std::string address, std::uint16_t port, bool listening);
  // The error, for one that cannot be opened.
  std::string open_in_vain(EndpointConfig config);

  AssociationId connect(EndpointId from, const Node& to, Placement placement = {});
  AssociationId connect(EndpointId from, const PeerConfig& peer);
  PeerConfig peer() const;  // this node, for another one
  // Connects and turns the loop until both ends are up; ours and theirs.
  std::pair<AssociationId, AssociationId> join(EndpointId from, Node& to, Placement placement = {});

  bool send(AssociationId id, std::string_view text, int stream = 0);
  SendOutcome send(AssociationId id, Message&& message);
  void close(AssociationId id, CloseMode mode);
  void bind(AssociationId id, Placement placement);
  // The two halves of a move, on this same transport. false: it could not be detached.
  bool peel(AssociationId id);
  bool is_peeled(AssociationId id) const;
  std::size_t peeled_count() const;
  std::size_t partial_bytes(AssociationId id) const;
  // Of this node's endpoints; of all nodes, on usrsctp.
  void reconfigure(EndpointId endpoint, EndpointConfig config);
  void reconfigure(const transport::PeeloffLimits& limits);

  bool is_up(AssociationId id) const;
  bool is_down(AssociationId id) const { return down_cause(id).has_value(); }
  std::optional<DownCause> down_cause(AssociationId id) const;
  const Told& of(AssociationId id) { return told_[id]; }
  // Of the associations that told Up, the newest.
  AssociationId newest() const { return opened.back(); }

  std::vector<Fact> facts_of(const FactKind& kind) const {
    std::vector<Fact> found;
    for (const auto& [about, fact] : facts) {
      if (is(fact, kind)) found.push_back(fact);
    }
    return found;
  }

  void on_event(AssociationId id, AssociationEvent event, Instant now) override;
  void on_stranger(const std::string& address, std::string why, Instant now) override;
  void on_fact(AssociationId about, Fact fact, Instant now) override;

 private:
  std::unique_ptr<Counters> own_counters_;  // of the kernel's
  std::unique_ptr<transport::SctpTransport> kernel_;
  transport::Carrier* carrier_ = nullptr;

 public:
  World& world;
  Transport* transport = nullptr;
  Counters& counters;
  std::optional<TlsConfig> tls;  // of endpoints opened from now on
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;      // of the last endpoint
  std::uint16_t udp_port = 0;  // RFC 6951
  std::vector<AssociationId> opened;
  std::vector<AssociationDown> refused;  // who came and never was up; not if we ended it
  std::vector<std::string> strangers;    // whom the transport has turned away: why
  std::vector<std::pair<AssociationId, Fact>> facts;
  // If set, messages go here and are not kept.
  std::function<void(AssociationId, const Message&)> on_message;
  std::function<void(AssociationId)> on_up;

 private:
  template <class Call>
  auto quietly(Call call);

  std::map<AssociationId, Told> told_;
  std::set<AssociationId> connects_;
  NoFraming framing_;
};

// Calls it with the descriptor of each socket of this process that speaks `protocol`.
void for_each_socket(int protocol, const std::function<void(int fd)>& call);

// As long as it lives, every packet to and from this process is lost: on the kernel's SCTP, every
// one on the loopback of our network namespace.
class DeadNetwork {
 public:
  DeadNetwork();
  ~DeadNetwork();
  DeadNetwork(const DeadNetwork&) = delete;
  DeadNetwork& operator=(const DeadNetwork&) = delete;
};

// A node in a process of its own, that connects to `to` from SCTP port `from` (on usrsctp always
// the same UDP port, too), says "hello", and waits for its end.
class PeerProcess {
 public:
  // `certificates`: a directory with those of "client". `streams_in`: how many it accepts; 0: as
  // many as any node.
  PeerProcess(const Node& to, std::uint16_t from, const std::string& certificates = {},
              std::uint16_t streams_in = 0);
  // As vanish().
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  // Ends, and nobody hears of it.
  void vanish();
  // A process that was started so begins by not making a place of its own to run in.
  static bool is_this_one();

 private:
  int pid_ = -1, lifeline_ = -1;
};

}  // namespace siglane::sctp_test
