#include "core/peer_table.h"

#include <algorithm>

#include "core/certificate_names.h"

namespace siglane {
namespace {

// For the addresses of peers, where there are few: a peer's host may have strangers on it too.
constexpr std::size_t kKeptPlacesMin = 128;

}  // namespace

PeerTable::PeerTable(std::vector<PeerConfig> peers, AdmissionConfig admission)
    : peers_(std::move(peers)), admission_(admission) {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    by_name_.emplace(peers_[i].name, i);
    for (const auto& address : peers_[i].addresses) by_address_.emplace(address, i);
    if (peers_[i].addresses.empty()) some_peer_may_be_anywhere_ = true;
  }
  // All that are configured may come at once, when the node has been restarted.
  admission_.unidentified_associations_max =
      std::max(admission_.unidentified_associations_max, peers_.size());
}

const PeerConfig* PeerTable::find(std::string_view name) const {
  auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : &peers_[it->second];
}

bool PeerTable::admits(std::string_view address) const {
  return admission_.accept_unknown_peers || some_peer_may_be_anywhere_ ||
         by_address_.contains(std::string(address));
}

bool PeerTable::admits_any(const std::vector<std::string>& addresses) const {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const std::string& address) { return admits(address); });
}

Newcomers::Places PeerTable::places() const {
  return {admission_.unidentified_associations_max,
          by_address_.empty() ? 0 : std::max({kKeptPlacesMin, peers_.size(), by_address_.size()})};
}

bool PeerTable::admits_certificate(const std::vector<std::string>& names) const {
  return admission_.accept_unknown_peers ||
         std::any_of(peers_.begin(), peers_.end(),
                     [&](const PeerConfig& peer) { return names_host(names, peer.identity()); });
}

bool PeerTable::at_home(const PeerConfig& peer, const std::vector<std::string>& addresses) {
  return peer.addresses.empty() ||
         std::any_of(addresses.begin(), addresses.end(), [&](const std::string& address) {
           return std::find(peer.addresses.begin(), peer.addresses.end(), address) !=
                  peer.addresses.end();
         });
}

}  // namespace siglane
