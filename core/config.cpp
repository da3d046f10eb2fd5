#include "core/config.h"

namespace siglane {

SctpAssociationOptions SctpPeerOptions::over(SctpAssociationOptions endpoint) const {
  const auto set = [](auto& into, const auto& own) {
    if (own) into = *own;
  };
  set(endpoint.streams_out, streams_out);
  set(endpoint.streams_in_max, streams_in_max);
  set(endpoint.init_attempts_max, init_attempts_max);
  set(endpoint.init_timeout_max, init_timeout_max);
  set(endpoint.rto_initial, rto_initial);
  set(endpoint.rto_min, rto_min);
  set(endpoint.rto_max, rto_max);
  set(endpoint.heartbeat_interval, heartbeat_interval);
  set(endpoint.association_retransmissions_max, association_retransmissions_max);
  set(endpoint.path_retransmissions_max, path_retransmissions_max);
  set(endpoint.potentially_failed_retransmissions_max, potentially_failed_retransmissions_max);
  set(endpoint.sack_delay, sack_delay);
  set(endpoint.dscp, dscp);
  set(endpoint.path_mtu_discovery, path_mtu_discovery);
  set(endpoint.path_mtu_bytes, path_mtu_bytes);
  return endpoint;
}

}  // namespace siglane
