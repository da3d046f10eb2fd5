#include <cstring>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/sctp.h>

#include "tests/support/payload_protocols.h"
#include "transport/sctp/kernel/socket.h"

namespace siglane::transport {
namespace {

// What the kernel would deliver: the struct, then `rest`.
template <class T>
std::vector<std::byte> bytes_of(T head, std::string_view rest = {}) {
  const auto length = static_cast<std::uint32_t>(sizeof(T) + rest.size());
  std::vector<std::byte> bytes(length);
  std::memcpy(bytes.data(), &head, sizeof(T));
  std::memcpy(bytes.data() + 4, &length, sizeof length);
  if (!rest.empty()) std::memcpy(bytes.data() + sizeof(T), rest.data(), rest.size());
  return bytes;
}

template <class T>
T parse_as(const std::vector<std::byte>& bytes) {
  auto parsed = parse_notification(bytes);
  EXPECT_TRUE(parsed && std::holds_alternative<T>(*parsed));
  return parsed && std::holds_alternative<T>(*parsed) ? std::get<T>(*parsed) : T{};
}

std::vector<std::byte> association_change(int state, int error, std::string_view abort_chunk) {
  sctp_assoc_change change{};
  change.sac_type = SCTP_ASSOC_CHANGE;
  change.sac_state = static_cast<__u16>(state);
  change.sac_error = htons(static_cast<std::uint16_t>(error));
  change.sac_outbound_streams = 16;
  change.sac_inbound_streams = 8;
  change.sac_assoc_id = 77;
  return bytes_of(change, abort_chunk);
}

TEST(SctpNotification, CommUpTellsTheStreamsOfBothDirections) {
  const auto up =
      parse_as<notification::AssociationChanged>(association_change(SCTP_COMM_UP, 0, ""));
  EXPECT_EQ(up.change, notification::Change::comm_up);
  EXPECT_EQ(up.id, 77);
  EXPECT_EQ(up.streams_out, 16);
  EXPECT_EQ(up.streams_in, 8);
}

TEST(SctpNotification, CommLostIsThePeersAbortOnlyIfItsChunkCameAlong) {
  auto lost = parse_as<notification::AssociationChanged>(
      association_change(SCTP_COMM_LOST, 12, std::string("\x06\x00\x00\x04", 4)));
  EXPECT_EQ(lost.change, notification::Change::comm_lost);
  EXPECT_EQ(lost.error, 12);
  EXPECT_TRUE(lost.by_abort);
  lost = parse_as<notification::AssociationChanged>(association_change(SCTP_COMM_LOST, 0, ""));
  EXPECT_FALSE(lost.by_abort);
}

TEST(SctpNotification, EveryChangeOfTheKernelHasItsName) {
  const auto change = [](int state) {
    return parse_as<notification::AssociationChanged>(association_change(state, 0, "")).change;
  };
  EXPECT_EQ(change(SCTP_RESTART), notification::Change::restart);
  EXPECT_EQ(change(SCTP_SHUTDOWN_COMP), notification::Change::shutdown_complete);
  EXPECT_EQ(change(SCTP_CANT_STR_ASSOC), notification::Change::cannot_start);
  EXPECT_FALSE(parse_notification(association_change(99, 0, "")));
}

TEST(SctpNotification, AFailedSendCarriesTheChunkThatWasReturned) {
  sctp_send_failed_event failed{};
  failed.ssf_type = SCTP_SEND_FAILED_EVENT;
  failed.ssf_flags = SCTP_DATA_SENT;
  failed.ssfe_info.snd_sid = 5;
  failed.ssfe_info.snd_ppid = htonl(46);
  failed.ssfe_info.snd_flags = 2 | 4;
  failed.ssf_assoc_id = 9;
  const auto bytes = bytes_of(failed, "payload");
  const auto parsed = parse_as<notification::SendFailed>(bytes);
  EXPECT_EQ(parsed.id, 9);
  EXPECT_EQ(parsed.stream, StreamId{5});
  EXPECT_EQ(parsed.protocol, test::kDiameter);
  EXPECT_TRUE(parsed.sent);
  EXPECT_TRUE(parsed.begins);
  EXPECT_FALSE(parsed.ends);
  EXPECT_TRUE(parsed.unordered);
  EXPECT_EQ(as_text(parsed.payload), "payload");
}

TEST(SctpNotification, APathChangeNamesTheAddressInCanonicalText) {
  sctp_paddr_change change{};
  change.spc_type = SCTP_PEER_ADDR_CHANGE;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, "192.0.2.7", &address.sin_addr);
  std::memcpy(&change.spc_aaddr, &address, sizeof address);
  change.spc_state = SCTP_ADDR_UNREACHABLE;
  change.spc_assoc_id = 4;
  auto parsed = parse_as<notification::PathChanged>(bytes_of(change));
  EXPECT_EQ(parsed.id, 4);
  EXPECT_EQ(parsed.address, "192.0.2.7");
  EXPECT_EQ(parsed.state, notification::PathState::unreachable);

  change.spc_state = SCTP_ADDR_POTENTIALLY_FAILED;
  parsed = parse_as<notification::PathChanged>(bytes_of(change));
  EXPECT_EQ(parsed.state, notification::PathState::potentially_failed);

  std::memset(&change.spc_aaddr, 0, sizeof change.spc_aaddr);
  change.spc_state = 1000;
  parsed = parse_as<notification::PathChanged>(bytes_of(change));
  EXPECT_EQ(parsed.address, "");
  EXPECT_EQ(parsed.state, notification::PathState::other);
}

TEST(SctpNotification, TheSmallOnesTellWhoseTheyAre) {
  sctp_shutdown_event shutdown{};
  shutdown.sse_type = SCTP_SHUTDOWN_EVENT;
  shutdown.sse_assoc_id = 1;
  EXPECT_EQ(parse_as<notification::PeerShutdown>(bytes_of(shutdown)).id, 1);

  sctp_sender_dry_event dry{};
  dry.sender_dry_type = SCTP_SENDER_DRY_EVENT;
  dry.sender_dry_assoc_id = 2;
  EXPECT_EQ(parse_as<notification::SenderDry>(bytes_of(dry)).id, 2);

  sctp_pdapi_event partial{};
  partial.pdapi_type = SCTP_PARTIAL_DELIVERY_EVENT;
  partial.pdapi_assoc_id = 3;
  partial.pdapi_stream = 6;
  EXPECT_EQ(parse_as<notification::PartialDeliveryAborted>(bytes_of(partial)).stream, StreamId{6});

  sctp_authkey_event key{};
  key.auth_type = SCTP_AUTHENTICATION_EVENT;
  key.auth_indication = SCTP_AUTH_NO_AUTH;
  key.auth_assoc_id = 4;
  EXPECT_TRUE(parse_as<notification::Authentication>(bytes_of(key)).peer_has_none);

  sctp_remote_error error{};
  error.sre_type = SCTP_REMOTE_ERROR;
  error.sre_error = htons(7);
  EXPECT_EQ(parse_as<notification::RemoteError>(bytes_of(error, "tlv!")).cause, 7);
}

TEST(SctpNotification, ATypeWeDoNotKnowIsSaidToBeUnknown) {
  sctp_shutdown_event event{};
  event.sse_type = 0x80ff;
  EXPECT_EQ(parse_as<notification::Unknown>(bytes_of(event)).type, 0x80ff);
}

TEST(SctpNotification, TruncatedAnywhereItIsMalformed) {
  sctp_send_failed_event failed{};
  failed.ssf_type = SCTP_SEND_FAILED_EVENT;
  for (const auto& whole : {bytes_of(failed, "data"), association_change(SCTP_COMM_UP, 0, "")}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_FALSE(parse_notification(Bytes(whole).first(size))) << size;
    }
  }
}

}  // namespace
}  // namespace siglane::transport
