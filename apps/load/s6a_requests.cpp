#include "apps/load/s6a_requests.h"

#include <algorithm>

#include <fmt/format.h>

#include "protocols/diameter/constants.h"

namespace siglane::load {
namespace {

using diameter::AvpView;
using diameter::MessageBuilder;
using diameter::MessageView;
namespace avp = diameter::avp;

// 3GPP TS 29.272 §7.3.7: bit 1 S6a/S6d-Indicator, bit 5 Initial-Attach-Indicator.
constexpr std::uint32_t kUlrFlags = 1u << 1 | 1u << 5;

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void write_decimal(std::uint64_t value, std::byte* at, std::size_t digits) {
  for (std::size_t n = digits; n-- > 0; value /= 10) {
    at[n] = static_cast<std::byte>('0' + value % 10);
  }
}

std::uint64_t power_of_ten(std::size_t exponent) {
  std::uint64_t power = 1;
  while (exponent-- > 0) power *= 10;
  return power;
}

const diameter::CommandDef& command_of(S6aRequest request) {
  switch (request) {
    case S6aRequest::authentication_information:
      return diameter::command::authentication_information;
    case S6aRequest::update_location:
      return diameter::command::update_location;
    case S6aRequest::purge_ue:
      return diameter::command::purge_ue;
  }
  return diameter::command::purge_ue;
}

}  // namespace

std::string_view name_of(S6aRequest request) {
  switch (request) {
    case S6aRequest::authentication_information:
      return "AIR";
    case S6aRequest::update_location:
      return "ULR";
    case S6aRequest::purge_ue:
      return "PUR";
  }
  return "unknown";
}

std::optional<ImsiRange> ImsiRange::from(std::string_view first, std::uint64_t count) {
  if (first.empty() || first.size() > 15 || !all_digits(first) || count == 0) return std::nullopt;
  ImsiRange range;
  for (const char c : first) range.first_ = range.first_ * 10 + static_cast<std::uint64_t>(c - '0');
  range.count_ = count;
  range.digits_ = first.size();
  if (count > power_of_ten(range.digits_) - range.first_) return std::nullopt;
  return range;
}

void ImsiRange::write(std::uint64_t index, std::byte* at) const {
  write_decimal(first_ + index, at, digits_);
}

std::string ImsiRange::text(std::uint64_t index) const {
  return fmt::format("{:0{}}", first_ + index, digits_);
}

S6aRequests::S6aRequests(const diameter::DiameterConfig& mme, const S6aRequestsConfig& config,
                         std::uint64_t seed)
    : imsis_(config.imsis), end_to_end_(static_cast<std::uint32_t>(Random(seed).next() >> 32)) {
  BufferPool pool(0);
  for (const S6aRequest request : kS6aRequests) {
    templates_[static_cast<std::size_t>(request)] = encode(pool, mme, config, request);
  }
}

// RFC 6733 §8.8: "<DiameterIdentity>;<high 32 bits>;<low 32 bits>". The low part is the one that
// make() counts.
S6aRequests::Template S6aRequests::encode(BufferPool& pool, const diameter::DiameterConfig& mme,
                                          const S6aRequestsConfig& config,
                                          S6aRequest request) const {
  const std::string session =
      fmt::format("{};{};{:0{}}", mme.origin_host, config.run, 0, kNumberDigits);
  MessageBuilder out = MessageBuilder::request(pool, command_of(request));
  out.add(avp::session_id, session);
  out.group(avp::vendor_specific_application_id, [&] {
    out.add(avp::vendor_id, diameter::vendor::tgpp)
        .add(avp::auth_application_id, static_cast<std::uint32_t>(diameter::application::s6a));
  });
  out.add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained)
      .add(avp::origin_host, mme.origin_host)
      .add(avp::origin_realm, mme.origin_realm);
  if (!config.destination_host.empty()) out.add(avp::destination_host, config.destination_host);
  out.add(avp::destination_realm, config.destination_realm)
      .add(avp::user_name, config.imsis.text(0));
  switch (request) {
    case S6aRequest::authentication_information:
      out.group(avp::requested_eutran_authentication_info, [&] {
        out.add(avp::number_of_requested_vectors, config.vectors_per_request)
            .add(avp::immediate_response_preferred, 1);
      });
      out.add(avp::visited_plmn_id, config.visited_plmn);
      break;
    case S6aRequest::update_location:
      out.add(avp::rat_type, diameter::RatType::eutran)
          .add(avp::ulr_flags, kUlrFlags)
          .add(avp::visited_plmn_id, config.visited_plmn);
      break;
    case S6aRequest::purge_ue:
      break;
  }
  Template made{.message = std::move(out).finish()};
  const MessageView view = *MessageView::parse(made.message.bytes());
  const std::byte* begin = made.message.bytes().data();
  auto end_of = [&](const AvpView& value) {
    return static_cast<std::size_t>(value.payload().data() + value.payload().size() - begin);
  };
  made.session_at = end_of(*view.find(avp::session_id)) - kNumberDigits;
  made.user_at = end_of(*view.find(avp::user_name)) - config.imsis.digits();
  return made;
}

Buffer S6aRequests::make(BufferPool& pool, S6aRequest request, std::uint64_t imsi) {
  const Template& from = templates_[static_cast<std::size_t>(request)];
  BufferBuilder out(pool, from.message.size());
  out.append(from.message.bytes());
  out.patch_u32(diameter::Header::kEndToEndAt, end_to_end_++);
  Buffer message = std::move(out).finish();
  std::byte* at = message.exclusive_bytes().data();
  write_decimal(number_++, at + from.session_at, kNumberDigits);
  imsis_.write(imsi, at + from.user_at);
  return message;
}

// MCC digits 2 and 1, MNC digit 3 (or 1111) and MCC digit 3, MNC digits 2 and 1, each octet's upper
// half first.
std::optional<std::array<std::byte, 3>> plmn_octets(std::string_view plmn) {
  if ((plmn.size() != 5 && plmn.size() != 6) || !all_digits(plmn)) return std::nullopt;
  auto pair = [](char upper, char lower) {
    return static_cast<std::byte>((upper - '0') << 4 | (lower - '0'));
  };
  const bool long_mnc = plmn.size() == 6;
  const std::byte middle =
      long_mnc ? pair(plmn[5], plmn[2]) : static_cast<std::byte>(0xF0 | (plmn[2] - '0'));
  return std::array{pair(plmn[1], plmn[0]), middle, pair(plmn[4], plmn[3])};
}

}  // namespace siglane::load
