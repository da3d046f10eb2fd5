#pragma once
#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "apps/hss/subscriber_store.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"
#include "tests/unit/hss/store_fixture.h"

// Requests as an MME makes them, whichever wire it has: RawMme, TcpMme.
namespace siglane::hss {

template <class Mme>
diameter::MessageBuilder air(Mme& mme, const Imsi& imsi, std::uint32_t vectors = 1,
                             Bytes resynchronisation = {}) {
  namespace avp = diameter::avp;
  auto out = mme.request(diameter::command::authentication_information);
  out.add(avp::user_name, imsi.text());
  out.group(avp::requested_eutran_authentication_info, [&] {
    out.add(avp::number_of_requested_vectors, vectors).add(avp::immediate_response_preferred, 1u);
    if (!resynchronisation.empty()) out.add(avp::re_synchronization_info, resynchronisation);
  });
  out.add(avp::visited_plmn_id, kHome);
  return out;
}
template <class Mme>
diameter::MessageBuilder ulr(Mme& mme, const Imsi& imsi, std::uint32_t flags = 0x22,
                             RatType rat = RatType::eutran, const Plmn& visited = kHome) {
  namespace avp = diameter::avp;
  auto out = mme.request(diameter::command::update_location);
  out.add(avp::user_name, imsi.text())
      .add(avp::rat_type, rat)
      .add(avp::ulr_flags, flags)
      .add(avp::visited_plmn_id, visited);
  return out;
}
template <class Mme>
diameter::MessageBuilder pur(Mme& mme, const Imsi& imsi) {
  auto out = mme.request(diameter::command::purge_ue);
  out.add(diameter::avp::user_name, imsi.text());
  return out;
}

inline std::vector<AuthenticationVector> vectors_of(const diameter::MessageView& answer) {
  namespace avp = diameter::avp;
  std::vector<AuthenticationVector> vectors;
  const auto info = answer.get(avp::authentication_info);
  if (!info) return vectors;
  for (const diameter::AvpView& one : *info) {
    if (!one.is(avp::e_utran_vector)) continue;
    AuthenticationVector& vector = vectors.emplace_back();
    const auto copy = [&](const auto& key, auto& to) {
      const auto from = one.group().get(key).value_or(Bytes{});
      EXPECT_EQ(from.size(), to.size());
      std::copy_n(from.begin(), std::min(from.size(), to.size()), to.begin());
    };
    copy(avp::rand, vector.rand);
    copy(avp::xres, vector.xres);
    copy(avp::autn, vector.autn);
    copy(avp::kasme, vector.kasme);
  }
  return vectors;
}

}  // namespace siglane::hss
