#include "transport/sctp/kernel/options.h"

#include <algorithm>
#include <cstring>

#include <netinet/in.h>
#include <netinet/sctp.h>

namespace siglane::transport {
namespace {

std::uint32_t milliseconds(Duration duration) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

int set_rto(int fd, SctpId id, const SctpAssociationOptions& options) {
  sctp_rtoinfo rto{};
  rto.srto_assoc_id = id;
  rto.srto_initial = milliseconds(options.rto_initial);
  rto.srto_min = milliseconds(options.rto_min);
  rto.srto_max = milliseconds(options.rto_max);
  return set_option(fd, IPPROTO_SCTP, SCTP_RTOINFO, rto);
}

int set_path_parameters(int fd, SctpId id, const SctpAssociationOptions& options) {
  sctp_paddrparams path{};  // no address: all paths, also those to come
  path.spp_assoc_id = id;
  path.spp_hbinterval = milliseconds(options.heartbeat_interval);
  path.spp_pathmaxrxt = options.path_retransmissions_max;
  path.spp_pathmtu = options.path_mtu_bytes;
  path.spp_dscp = static_cast<std::uint8_t>(options.dscp << 2);
  path.spp_flags = SPP_DSCP;
  path.spp_flags |= options.heartbeat_interval > 0ms ? SPP_HB_ENABLE : SPP_HB_DISABLE;
  path.spp_flags |= options.path_mtu_discovery ? SPP_PMTUD_ENABLE : SPP_PMTUD_DISABLE;
  return set_option(fd, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, path);
}

int set_thresholds(int fd, SctpId id, const SctpAssociationOptions& options) {
  sctp_paddrthlds thresholds{};
  thresholds.spt_assoc_id = id;
  thresholds.spt_pathmaxrxt = options.path_retransmissions_max;
  thresholds.spt_pathpfthld = options.potentially_failed_retransmissions_max;
  return set_option(fd, IPPROTO_SCTP, SCTP_PEER_ADDR_THLDS, thresholds);
}

int set_sack(int fd, SctpId id, Duration delay) {
  sctp_sack_info sack{};
  sack.sack_assoc_id = id;
  sack.sack_delay = milliseconds(delay);
  sack.sack_freq = delay > 0ms ? 2 : 1;  // 1: no delay
  return set_option(fd, IPPROTO_SCTP, SCTP_DELAYED_SACK, sack);
}

// After the paths' own limit: Linux compares with their sum.
int set_association_limit(int fd, SctpId id, const SctpAssociationOptions& options) {
  sctp_assocparams association{};
  association.sasoc_assoc_id = id;
  association.sasoc_asocmaxrxt = options.association_retransmissions_max;
  return set_option(fd, IPPROTO_SCTP, SCTP_ASSOCINFO, association);
}

}  // namespace

OptionOutcome set_init_options(int fd, const SctpAssociationOptions& options) {
  sctp_initmsg init{};
  init.sinit_num_ostreams = options.streams_out;
  init.sinit_max_instreams = options.streams_in_max;
  init.sinit_max_attempts = options.init_attempts_max;
  init.sinit_max_init_timeo =
      static_cast<__u16>(std::min<std::uint32_t>(milliseconds(options.init_timeout_max), 0xffff));
  if (const int error = set_option(fd, IPPROTO_SCTP, SCTP_INITMSG, init)) {
    return {error, "SCTP_INITMSG"};
  }
  return {set_rto(fd, 0, options), "SCTP_RTOINFO"};
}

OptionOutcome set_association_options(int fd, SctpId id, const SctpAssociationOptions& options) {
  if (const int error = set_rto(fd, id, options)) return {error, "SCTP_RTOINFO"};
  if (const int error = set_path_parameters(fd, id, options)) {
    return {error, "SCTP_PEER_ADDR_PARAMS"};
  }
  if (const int error = set_thresholds(fd, id, options)) return {error, "SCTP_PEER_ADDR_THLDS"};
  if (const int error = set_sack(fd, id, options.sack_delay)) return {error, "SCTP_DELAYED_SACK"};
  return {set_association_limit(fd, id, options), "SCTP_ASSOCINFO"};
}

int set_primary_path(int fd, SctpId id, const SocketAddress& path) {
  sctp_setprim primary{};
  primary.ssp_assoc_id = id;
  std::memcpy(&primary.ssp_addr, path.raw(), path.size());
  return set_option(fd, IPPROTO_SCTP, SCTP_PRIMARY_ADDR, primary);
}

bool path_unconfirmed(int fd, SctpId id, const SocketAddress& path) {
  sctp_paddrinfo info{};
  info.spinfo_assoc_id = id;
  std::memcpy(&info.spinfo_address, path.raw(), path.size());
  return get_option(fd, IPPROTO_SCTP, SCTP_GET_PEER_ADDR_INFO, info) == 0 &&
         info.spinfo_state == SCTP_UNCONFIRMED;
}

}  // namespace siglane::transport
