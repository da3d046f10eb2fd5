#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/config.h"
#include "core/newcomers.h"

namespace siglane {

// The configured peers, by name and by address; immutable once built.
class PeerTable {
 public:
  PeerTable() = default;
  explicit PeerTable(std::vector<PeerConfig> peers, AdmissionConfig admission = {});

  const PeerConfig* find(std::string_view name) const;
  // May an association from `address` be one of ours at all? True where unknown peers are
  // accepted, or where some peer has no address and so could be anywhere.
  bool admits(std::string_view address) const;
  bool admits_any(const std::vector<std::string>& addresses) const;
  // Has a peer this address, by its config?
  bool has(const std::string& address) const { return by_address_.contains(address); }
  // For those who have not said who they are.
  Newcomers::Places places() const;
  // May the holder of a certificate with these names be one of ours?
  bool admits_certificate(const std::vector<std::string>& names) const;
  // May `name` come from one of `addresses`?
  static bool at_home(const PeerConfig& peer, const std::vector<std::string>& addresses);

  const std::vector<PeerConfig>& peers() const { return peers_; }
  const AdmissionConfig& admission() const { return admission_; }

 private:
  std::vector<PeerConfig> peers_;
  AdmissionConfig admission_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::unordered_map<std::string, std::size_t> by_address_;
  bool some_peer_may_be_anywhere_ = false;
};

}  // namespace siglane
