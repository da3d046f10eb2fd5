// Our Diameter codec and freeDiameter's on the same two messages: an S6a Update-Location-Request
// and a Gy Credit-Control-Request (tests/bench/vectors/).
//
// decode: the whole message is checked against the dictionary (flags, lengths, values, groups
// included) and every AVP's value is read. encode: from values to wire bytes, in typed code with
// our builder, with dictionary objects looked up beforehand with libfdproto.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/buffer.h"
#include "protocols/diameter/constants.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"
#include "tests/bench/libfdproto_codec.h"
#include "tests/bench/message_digest.h"
#include "tests/support/paths.h"

namespace siglane::diameter {
namespace {

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "diameter_codec_bench: %s\n", what.c_str());
  std::exit(1);
}

std::vector<std::byte> read_vector(const std::string& name) {
  std::ifstream file(test::source_dir() + "/tests/bench/vectors/" + name, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.empty()) fail("cannot read " + name);
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  return {begin, begin + bytes.size()};
}
const std::uint8_t* raw(Bytes bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

std::uint64_t visit(AvpList avps, std::uint64_t digest) {
  for (const AvpView avp : avps) {
    digest = digest_number(digest, std::uint64_t{avp.vendor()} << 32 | avp.code());
    switch (value_kind(avp.code(), avp.vendor())) {
      case kValueGroup:
        digest = visit(avp.group(), digest);
        break;
      case kValueU32:
        digest = digest_number(digest, avp.u32().value_or(0));
        break;
      case kValueU64:
        digest = digest_number(digest, avp.u64().value_or(0));
        break;
      case kValueBytes:
        digest = digest_bytes(digest, avp.payload().data(), avp.payload().size());
        break;
    }
  }
  return digest;
}

std::uint64_t decode(Bytes bytes) {
  const auto message = MessageView::parse(bytes);
  if (!message) fail("does not parse");
  if (const auto violation = validate(*message, dictionary())) {
    fail("not valid: " + std::string(violation->what));
  }
  return visit(message->avps(), 0);
}

constexpr std::string_view kRealm = "epc.mnc001.mcc001.3gppnetwork.org";

Buffer encode_ulr(BufferPool& pool) {
  constexpr std::byte kPlmn[] = {std::byte{0x01}, std::byte{0xf1}, std::byte{0x10}};
  auto ulr = MessageBuilder::request(pool, command::update_location, 0x11223344, 0x55667788);
  ulr.add(avp::session_id, "mme01.epc.mnc001.mcc001.3gppnetwork.org;1700000000;1;app_s6a");
  ulr.group(avp::vendor_specific_application_id, [&] {
    ulr.add(avp::vendor_id, vendor::tgpp)
        .add(avp::auth_application_id, static_cast<std::uint32_t>(application::s6a));
  });
  ulr.add(avp::auth_session_state, AuthSessionState::no_state_maintained)
      .add(avp::origin_host, "mme01.epc.mnc001.mcc001.3gppnetwork.org")
      .add(avp::origin_realm, kRealm)
      .add(avp::destination_host, "hss01.epc.mnc001.mcc001.3gppnetwork.org")
      .add(avp::destination_realm, kRealm)
      .add(avp::user_name, "001010000000001");
  ulr.group(avp::supported_features, [&] {
    ulr.add(avp::vendor_id, vendor::tgpp).add(avp::feature_list_id, 1).add(avp::feature_list, 15);
  });
  ulr.add(avp::rat_type, RatType::eutran).add(avp::ulr_flags, 34).add(avp::visited_plmn_id, kPlmn);
  return std::move(ulr).finish();
}

void add_subscription(MessageBuilder& ccr, SubscriptionIdType type, std::string_view data) {
  ccr.group(avp::subscription_id,
            [&] { ccr.add(avp::subscription_id_type, type).add(avp::subscription_id_data, data); });
}

void add_service(MessageBuilder& ccr, std::uint32_t rating_group) {
  ccr.group(avp::multiple_services_credit_control, [&] {
    ccr.group(avp::requested_service_unit, [&] { ccr.add(avp::cc_total_octets, 1'000'000); });
    ccr.group(avp::used_service_unit, [&] {
      ccr.add(avp::cc_time, 60)
          .add(avp::cc_total_octets, 123'456)
          .add(avp::cc_input_octets, 100'000)
          .add(avp::cc_output_octets, 23'456);
    });
    ccr.add(avp::service_identifier, 1).add(avp::rating_group, rating_group);
  });
}

Buffer encode_ccr(BufferPool& pool) {
  constexpr std::byte kChargingId[] = {std::byte{0x12}, std::byte{0x34}, std::byte{0x56},
                                       std::byte{0x78}};
  auto ccr = MessageBuilder::request(pool, command::credit_control, 0x11223344, 0x55667788, 1024);
  ccr.add(avp::session_id, "pgw01.epc.mnc001.mcc001.3gppnetwork.org;1700000000;1;gy")
      .add(avp::origin_host, "pgw01.epc.mnc001.mcc001.3gppnetwork.org")
      .add(avp::origin_realm, kRealm)
      .add(avp::destination_realm, "ocs.mnc001.mcc001.3gppnetwork.org")
      .add(avp::auth_application_id, static_cast<std::uint32_t>(application::credit_control))
      .add(avp::service_context_id, "32251@3gpp.org")
      .add(avp::cc_request_type, CcRequestType::update_request)
      .add(avp::cc_request_number, 7)
      .add(avp::user_name, "001010000000001")
      .add(avp::event_timestamp, Time{0xe500'0000});
  add_subscription(ccr, SubscriptionIdType::end_user_e164, "12025550100");
  add_subscription(ccr, SubscriptionIdType::end_user_imsi, "001010000000001");
  ccr.add(avp::multiple_services_indicator, MultipleServicesIndicator::multiple_services_supported);
  add_service(ccr, 10);
  add_service(ccr, 11);
  ccr.group(avp::service_information, [&] {
    ccr.group(avp::ps_information, [&] {
      ccr.add(avp::tgpp_charging_id, kChargingId)
          .add(avp::tgpp_pdp_type, TgppPdpType::ipv4)
          .add(avp::called_station_id, "internet.mnc001.mcc001.gprs")
          .add(avp::tgpp_imsi_mcc_mnc, "00101")
          .add(avp::tgpp_sgsn_mcc_mnc, "00101");
    });
  });
  return std::move(ccr).finish();
}

struct Sample {
  const char* name;
  std::vector<std::byte> bytes;
  Buffer (*encode)(BufferPool&);
  LibfdprotoValues* values;
};

// Both codecs must see the same in the vector, and in what either of them encodes.
void check(const Sample& sample) {
  BufferPool pool;
  const std::uint64_t expected = decode(sample.bytes);
  auto require = [&](bool good, const char* what) {
    if (!good) fail(std::string(sample.name) + ": " + what);
  };
  require(libfdproto_decode(raw(sample.bytes), sample.bytes.size()) == expected,
          "the two codecs read different values");
  const Buffer ours = sample.encode(pool);
  require(ours.size() == sample.bytes.size(), "our encoding has another size than the vector");
  require(decode(ours.bytes()) == expected, "our encoding has other values than the vector");
  std::uint8_t* theirs = nullptr;
  std::size_t size = 0;
  libfdproto_encode(sample.values, &theirs, &size);
  require(size == sample.bytes.size(), "libfdproto's encoding has another size than the vector");
  require(decode({reinterpret_cast<std::byte*>(theirs), size}) == expected,
          "libfdproto's encoding has other values than the vector");
  std::free(theirs);
}

void decode_siglane(benchmark::State& state, const Sample& sample) {
  for (auto _ : state) benchmark::DoNotOptimize(decode(sample.bytes));
}
void decode_libfdproto(benchmark::State& state, const Sample& sample) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(libfdproto_decode(raw(sample.bytes), sample.bytes.size()));
  }
}
void encode_siglane(benchmark::State& state, const Sample& sample) {
  BufferPool pool;
  for (auto _ : state) {
    Buffer encoded = sample.encode(pool);
    benchmark::DoNotOptimize(encoded.bytes().data());
  }
}
void encode_libfdproto(benchmark::State& state, const Sample& sample) {
  for (auto _ : state) {
    std::uint8_t* encoded = nullptr;
    std::size_t size = 0;
    libfdproto_encode(sample.values, &encoded, &size);
    benchmark::DoNotOptimize(encoded);
    std::free(encoded);
  }
}

void add(const std::string& what, void (*run)(benchmark::State&, const Sample&),
         const Sample& sample) {
  benchmark::RegisterBenchmark((what + "/" + sample.name).c_str(), run, sample);
}

}  // namespace
}  // namespace siglane::diameter

int main(int argc, char** argv) {
  using namespace siglane::diameter;
  libfdproto_start();
  std::vector<Sample> samples = {{"ulr", read_vector("ulr.bin"), encode_ulr, nullptr},
                                 {"ccr", read_vector("ccr.bin"), encode_ccr, nullptr}};
  for (Sample& sample : samples) {
    sample.values = libfdproto_values(raw(sample.bytes), sample.bytes.size());
    check(sample);
    add("decode/siglane", decode_siglane, sample);
    add("decode/libfdproto", decode_libfdproto, sample);
    add("encode/siglane", encode_siglane, sample);
    add("encode/libfdproto", encode_libfdproto, sample);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
