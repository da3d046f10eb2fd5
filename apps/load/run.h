#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/time.h"

namespace siglane::load {

struct RunConfig {
  Duration connect_timeout = 10s;  // for all peers to come up
  Duration duration = 20s;         // of sending, warm-up included
  Duration warm_up = 1s;           // its messages count, but not in the percentiles
  Duration drain_max = 5s;         // for what is still under way at the end
  bool tolerate_reconnect = false;
};

enum class Phase { connecting, sending, draining, finished };

// The stages of one run, shared by all its clients: sending begins when every peer is up, and
// draining ends when nothing is under way. A function of what it is told and the time. One thread.
class LoadRun {
 public:
  LoadRun(RunConfig config, std::size_t peers, Instant now)
      : config_(config), peers_(peers), connect_by_(now + config.connect_timeout) {}

  void peer_up(Instant now);
  void peer_down(Instant now);
  void sent(std::uint64_t count = 1) { under_way_ += count; }
  void settled(std::uint64_t count = 1) { under_way_ -= count; }
  // The operator wants it to end: no more sending, only what is under way.
  void interrupt(Instant now);

  Phase phase(Instant now) const;

  // When sending began and ends; nullopt while connecting.
  std::optional<Instant> began() const { return began_; }
  Instant ends() const { return ends_; }
  // Does a message that was due at `due` count in the percentiles?
  bool measured(Instant due) const;

  const RunConfig& config() const { return config_; }
  std::size_t peers() const { return peers_; }
  std::size_t peers_up() const { return up_; }
  std::size_t peers_up_most() const { return up_most_; }
  // Connections lost while sending or draining.
  std::uint64_t connections_lost() const { return connections_lost_; }
  std::uint64_t under_way() const { return under_way_; }

 private:
  RunConfig config_;
  std::size_t peers_;
  Instant connect_by_;
  std::size_t up_ = 0;
  std::size_t up_most_ = 0;
  std::uint64_t connections_lost_ = 0;
  std::uint64_t under_way_ = 0;
  bool interrupted_ = false;
  std::optional<Instant> began_;
  Instant ends_{};
};

}  // namespace siglane::load
