#include "apps/hss/hss_application.h"

#include <algorithm>
#include <utility>

#include "apps/hss/counters.h"
#include "apps/hss/subscription_data.h"
#include "protocols/diameter/error_text.h"
#include "protocols/diameter/text.h"

namespace siglane::hss {

using diameter::MessageBuilder;
using diameter::MessageView;
using diameter::RequestParcel;
using diameter::RequestPtr;
using diameter::ResultCode;
using diameter::Violation;
namespace avp = diameter::avp;
namespace command = diameter::command;
namespace experimental_result = diameter::experimental_result;
namespace result = diameter::result;

namespace {

// ULR-Flags, TS 29.272 §7.3.7.
constexpr std::uint32_t kS6aIndicator = 1u << 1;
constexpr std::uint32_t kSkipSubscriberData = 1u << 2;
// ULA-Flags, §7.3.8: MME and SGSN numbers are kept apart.
constexpr std::uint32_t kSeparationIndication = 1u << 0;
// PUR-Flags, §7.3.149, and PUA-Flags, §7.3.48.
constexpr std::uint32_t kUePurgedInMme = 1u << 0;
constexpr std::uint32_t kFreezeMTmsi = 1u << 0;
// CLR-Flags, §7.3.152: the cancellation is for the MME, not an SGSN in the same node.
constexpr std::uint32_t kClrS6aIndicator = 1u << 0;

constexpr DropReason kTooBusy{
    "hss.store_full",
    "the store's queue, or the peer's share of it, is full: answered with "
    "DIAMETER_TOO_BUSY"};
constexpr DropReason kStoreFails{"hss.store_fails",
                                 "the store failed: answered with DIAMETER_UNABLE_TO_COMPLY"};
constexpr DropReason kDamagedData{"hss.damaged_data",
                                  "the subscriber's data are damaged: answered with "
                                  "DIAMETER_UNABLE_TO_COMPLY"};
// RFC 1035 §2.3.4: an FQDN has at most 255 octets.
constexpr std::size_t kIdentityBytesMax = 255;

constexpr DropReason kNotAServingRealm{
    "hss.not_a_serving_realm", "hss.serving_realms does not allow the realm or its network"};

void add_vendor_application(MessageBuilder& message) {
  message.group(avp::vendor_specific_application_id, [&] {
    message.add(avp::vendor_id, diameter::vendor::tgpp)
        .add(avp::auth_application_id, static_cast<std::uint32_t>(diameter::application::s6a));
  });
  // TS 29.272 §7.1.4: sessions are implicitly terminated; no state is kept between requests.
  message.add(avp::auth_session_state, diameter::AuthSessionState::no_state_maintained);
}

// TS 29.229 §7.2: the M bit of Supported-Features says that the request is not to be handled
// without those features.
bool demands_features(const MessageView& request) {
  for (const diameter::AvpView& offered : request.avps()) {
    if (offered.is(avp::supported_features) && offered.mandatory() &&
        offered.group().get(avp::feature_list).value_or(0) != 0) {
      return true;
    }
  }
  return false;
}

// TS 29.229 §7.2: whoever is asked with Supported-Features says what it supports of those lists;
// this HSS has no feature beyond the base specification.
void add_supported_features(const MessageView& request, MessageBuilder& answer) {
  constexpr std::size_t kListsMax = 4;
  std::size_t lists = 0;
  for (const diameter::AvpView& offered : request.avps()) {
    if (!offered.is(avp::supported_features) || lists == kListsMax) continue;
    const auto vendor = offered.group().get(avp::vendor_id);
    const auto list = offered.group().get(avp::feature_list_id);
    if (vendor != diameter::vendor::tgpp || !list) continue;
    ++lists;
    answer.group(avp::supported_features, [&] {
      answer.add(avp::vendor_id, *vendor).add(avp::feature_list_id, *list);
      answer.add(avp::feature_list, 0u);
    });
  }
}

ResultCode code_of(Denial denial) {
  switch (denial) {
    case Denial::unknown_user:
      return experimental_result::user_unknown;
    case Denial::unknown_eps_subscription:
      return experimental_result::unknown_eps_subscription;
    case Denial::rat_not_allowed:
      return experimental_result::rat_not_allowed;
    case Denial::roaming_not_allowed:
      return experimental_result::roaming_not_allowed;
    case Denial::authentication_data_unavailable:
      return experimental_result::authentication_data_unavailable;
  }
  return result::unable_to_comply;
}

template <std::size_t Size>
bool copy_exactly(Bytes from, std::array<std::byte, Size>& to) {
  if (from.size() != Size) return false;
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

}  // namespace

// Its request is gone once it is answered, or on its way to the store.
struct HssApplication::Incoming {
  RequestPtr request;
  const MessageView message;
};
struct HssApplication::Done {
  RequestPtr request;
  const MessageView message;
  const Imsi& imsi;

  // "Update-Location for 001010000000001"
  std::string text() const {
    const auto* command = diameter::dictionary().find(message.command());
    return std::string(command != nullptr ? command->def.name : "a request") + " for " +
           std::string(imsi.text());
  }
  std::string peer() const { return std::string(request->asked_by()); }
};

HssApplication::HssApplication(const diameter::DiameterModule& module, std::uint64_t seed,
                               std::shared_ptr<const Config> config)
    : Application(module, seed), config_(std::move(config)), next_session_(random().next()) {}

void HssApplication::on_request(RequestPtr request, const MessageView& message, Instant,
                                Outbox& out) {
  Incoming in{std::move(request), message};
  const auto take = [&](auto operation) {
    if (demands_features(message)) return deny(in, experimental_result::feature_unsupported, out);
    const auto user = message.find(avp::user_name);
    if (!user) return refuse_missing(in, avp::user_name, out);
    const auto imsi = Imsi::parse(user->text());
    if (!imsi) return refuse(in, result::invalid_avp_value, *user, out);
    if (!read(in, operation, out)) return;
    keep_for_answer(*in.request, {&avp::supported_features, &avp::ulr_flags}, out);
    auto asked = std::make_unique<StoreRequest>();
    asked->imsi = *imsi;
    asked->operation = std::move(operation);
    asked->cause = std::move(in.request);
    out.ask(std::move(asked));
  };
  if (message.is(command::authentication_information)) {
    out.count(counter::air_received);
    take(GetVectors{});
  } else if (message.is(command::update_location)) {
    out.count(counter::ulr_received);
    take(UpdateLocation{});
  } else if (message.is(command::purge_ue)) {
    out.count(counter::pur_received);
    take(PurgeUe{});
  } else {
    reject(std::move(in.request), result::command_unsupported, out);
  }
}

// TS 29.272 §5.2.3.1.
bool HssApplication::read(Incoming& in, GetVectors& operation, Outbox& out) {
  if (!read_visited(in, operation.visited, out)) return false;
  const auto wanted = in.message.get(avp::requested_eutran_authentication_info);
  if (!wanted) {
    // Vectors for UTRAN and GERAN are an SGSN's business, over S6d.
    if (in.message.find(avp::requested_utran_geran_authentication_info)) {
      deny(in, Denial::authentication_data_unavailable, out);
    } else {
      refuse_missing(in, avp::requested_eutran_authentication_info, out);
    }
    return false;
  }
  // §5.2.3.1.3: not every realm's nodes may have vectors for every network. K_ASME binds a vector
  // to the network; this keeps one network from asking for what it would use in another's name.
  if (!may_serve(in, &operation.visited, out)) return false;
  const std::uint32_t count = wanted->get(avp::number_of_requested_vectors).value_or(1);
  const unsigned vectors_max = std::clamp(hss_config().vectors_max, 1u, kVectorsMax);
  operation.count = std::clamp(count, 1u, vectors_max);
  return read_resynchronisation(in, operation, out);
}

// The USIM has one SQN, whichever access it failed to synchronise on.
bool HssApplication::read_resynchronisation(Incoming& in, GetVectors& operation, Outbox& out) {
  std::optional<diameter::AvpView> info;
  const auto look = [&](const auto& requested) {
    const auto group = in.message.get(requested);
    const auto found = group ? group->find(avp::re_synchronization_info) : std::nullopt;
    if (!found) return true;
    return !std::exchange(info, found);
  };
  // §5.2.3.1.3: given one for each access, the HSS checks neither and sends no vector.
  if (!look(avp::requested_eutran_authentication_info) ||
      !look(avp::requested_utran_geran_authentication_info)) {
    reject(std::move(in.request), result::unable_to_comply, out);
    return false;
  }
  if (!info) return true;
  // §7.3.15: "It shall contain the concatenation of RAND and AUTS": 16 and 14 octets.
  Resynchronisation& resynchronisation = operation.resynchronisation.emplace();
  const std::size_t rand_size = resynchronisation.rand.size();
  if (info->payload().size() != rand_size + resynchronisation.auts.size()) {
    refuse(in, result::invalid_avp_length, *info, out);
    return false;
  }
  copy_exactly(info->payload().first(rand_size), resynchronisation.rand);
  copy_exactly(info->payload().subspan(rand_size), resynchronisation.auts);
  return true;
}

// The Origin-Realm is one that the peer may speak for: its session has seen to that.
bool HssApplication::may_serve(Incoming& in, const Plmn* visited, Outbox& out) {
  const auto& serving_realms = hss_config().serving_realms;
  if (serving_realms.empty()) return true;
  const std::string_view realm = in.message.get(avp::origin_realm).value_or("");
  const auto serving = std::find_if(
      serving_realms.begin(), serving_realms.end(),
      [&](const ServingRealm& one) { return diameter::same_identity(one.origin_realm, realm); });
  const bool listed = serving != serving_realms.end();
  if (listed && (visited == nullptr || std::ranges::count(serving->visited_plmns, *visited) != 0)) {
    return true;
  }
  const std::string why =
      "realm " + diameter::excerpt(realm) +
      (listed ? " may not serve Visited-PLMN-Id " + digits_of(*visited) + " by hss.serving_realms"
              : " is not in hss.serving_realms");
  out.count(counter::denied);
  out.drop(kNotAServingRealm, diameter::command_text(in.message) + ": " + why,
           std::string(in.request->asked_by()));
  reject(std::move(in.request), result::authorization_rejected, out);
  return false;
}

// TS 29.272 §5.2.1.1.
bool HssApplication::read(Incoming& in, UpdateLocation& operation, Outbox& out) {
  if (!read_visited(in, operation.visited, out)) return false;
  const auto flags = in.message.get(avp::ulr_flags);
  const auto rat = in.message.get(avp::rat_type);
  const auto host = in.message.find(avp::origin_host);
  const auto realm = in.message.find(avp::origin_realm);
  if (!flags) return refuse_missing(in, avp::ulr_flags, out), false;
  if (!rat) return refuse_missing(in, avp::rat_type, out), false;
  if (!host) return refuse_missing(in, avp::origin_host, out), false;
  if (!realm) return refuse_missing(in, avp::origin_realm, out), false;
  // "This bit, when set, indicates that the ULR message is sent on the S6a interface": otherwise an
  // SGSN sent it on S6d, which this HSS does not serve.
  if ((*flags & kS6aIndicator) == 0) {
    refuse(in, result::invalid_avp_value, *in.message.find(avp::ulr_flags), out);
    return false;
  }
  for (const diameter::AvpView& identity : {*host, *realm}) {
    if (identity.payload().size() > kIdentityBytesMax) {
      refuse(in, result::invalid_avp_value, identity, out);
      return false;
    }
  }
  if (!may_serve(in, &operation.visited, out)) return false;
  operation.mme = {std::string(host->text()), std::string(realm->text())};
  operation.rat = *rat;
  return true;
}

// TS 29.272 §5.2.1.3.
bool HssApplication::read(Incoming& in, PurgeUe& operation, Outbox& out) {
  const auto host = in.message.get(avp::origin_host);
  if (!host) return refuse_missing(in, avp::origin_host, out), false;
  if (!may_serve(in, nullptr, out)) return false;
  // A combined MME/SGSN may have purged the UE on its SGSN side only: then no MME did, and the
  // empty host is never a serving MME's.
  const std::uint32_t flags = in.message.get(avp::pur_flags).value_or(kUePurgedInMme);
  if ((flags & kUePurgedInMme) != 0) operation.mme_host = *host;
  return true;
}

bool HssApplication::read_visited(Incoming& in, Plmn& visited, Outbox& out) {
  const auto plmn = in.message.find(avp::visited_plmn_id);
  if (!plmn) return refuse_missing(in, avp::visited_plmn_id, out), false;
  if (copy_exactly(plmn->payload(), visited)) return true;
  refuse(in, result::invalid_avp_length, *plmn, out);
  return false;
}

void HssApplication::on_completed(Completed completed, Instant, Outbox& out) {
  auto& asked = static_cast<StoreRequest&>(*completed.parcel);
  auto request = diameter::parcel_cast<RequestParcel>(std::move(asked.cause));
  const MessageView message = request->view();
  Done done{std::move(request), message, asked.imsi};
  if (!completed.ran) return refuse_too_busy(done, out);
  std::visit([&](const auto& result) { answer(done, result, out); }, asked.result);
}

void HssApplication::refuse_too_busy(Done& done, Outbox& out) {
  out.count(counter::too_busy);
  out.drop(kTooBusy, done.text(), done.peer());
  reject(std::move(done.request), result::too_busy, out);
}

void HssApplication::answer(Done& done, const StoreFailure& failure, Outbox& out) {
  out.count(counter::store_failures);
  out.drop(failure.of_this_subscriber ? kDamagedData : kStoreFails,
           done.text() + ": " + failure.what, done.peer());
  reject(std::move(done.request), result::unable_to_comply, out);
}

void HssApplication::answer(Done& done, Denial denial, Outbox& out) {
  Incoming in{std::move(done.request), done.message};
  deny(in, denial, out);
}

void HssApplication::answer(Done& done, const VectorsMade& made, Outbox& out) {
  out.count(counter::vectors_sent, made.count);
  if (made.resynchronised) out.count(counter::resynchronisations);
  MessageBuilder answer = begin(done.message, out);
  answer.group(avp::authentication_info, [&] {
    for (unsigned i = 0; i < made.count; ++i) {
      const AuthenticationVector& vector = made.vectors[i];
      answer.group(avp::e_utran_vector, [&] {
        // §7.3.23: numbered where there are several, for the order of their use.
        if (made.count > 1) answer.add(avp::item_number, i + 1);
        answer.add(avp::rand, vector.rand)
            .add(avp::xres, vector.xres)
            .add(avp::autn, vector.autn)
            .add(avp::kasme, vector.kasme);
      });
    }
  });
  reply(std::move(done.request), std::move(answer), out);
}

void HssApplication::answer(Done& done, const LocationUpdated& updated, Outbox& out) {
  MessageBuilder answer = begin(done.message, out);
  answer.add(avp::ula_flags, kSeparationIndication);
  // §7.3.7: "If the subscription data has changed in the HSS after the last successful update of
  // the MME/SGSN, the HSS shall ignore this bit and send the updated subscription data."
  const bool skip = (done.message.get(avp::ulr_flags).value_or(0) & kSkipSubscriberData) != 0;
  if (!skip || !updated.mme_has_data) {
    add_subscription_data(answer, *updated.subscription, updated.msisdn);
  }
  reply(std::move(done.request), std::move(answer), out);
  if (updated.cancelled) cancel_location(done.imsi, *updated.cancelled, out);
}

void HssApplication::answer(Done& done, const Purged& purged, Outbox& out) {
  MessageBuilder answer = begin(done.message, out);
  answer.add(avp::pua_flags, purged.serving ? kFreezeMTmsi : 0u);
  reply(std::move(done.request), std::move(answer), out);
}

// TS 29.272 §5.2.1.1.3: "the HSS shall send a Cancel Location Request with a Cancellation-Type of
// MME_UPDATE_PROCEDURE ... to the previous MME (if any)".
void HssApplication::cancel_location(const Imsi& imsi, const ServingNode& mme, Outbox& out) {
  // RFC 6733 §8.8: <DiameterIdentity>;<high 32 bits>;<low 32 bits>
  const std::uint64_t number = next_session_++;
  const std::string session = config().origin_host + ";" + std::to_string(number >> 32) + ";" +
                              std::to_string(number & 0xffffffffu);
  MessageBuilder request = MessageBuilder::request(out.buffers(), command::cancel_location);
  request.add(avp::session_id, session);
  add_vendor_application(request);
  request.add(avp::origin_host, config().origin_host)
      .add(avp::origin_realm, config().origin_realm)
      .add(avp::destination_host, mme.host)
      .add(avp::destination_realm, mme.realm)
      .add(avp::user_name, imsi.text())
      .add(avp::cancellation_type, diameter::CancellationType::mme_update_procedure)
      .add(avp::clr_flags, kClrS6aIndicator);
  out.count(counter::clr_sent);
  send(std::move(request), 0, Duration::zero(), out);
}

// Whatever came of it, the subscriber's location is the new one: a CLA needs no more than counting.
void HssApplication::on_answer(diameter::AnswerPtr, const MessageView& message, Instant,
                               Outbox& out) {
  if (message.result_code() != result::success) out.count(counter::clr_failed);
}

MessageBuilder HssApplication::begin(const MessageView& request, Outbox& out) const {
  MessageBuilder answer = diameter::begin_answer(out.buffers(), request, config(), result::success);
  add_vendor_application(answer);
  add_supported_features(request, answer);
  return answer;
}

void HssApplication::add_application_avps(MessageBuilder& answer) const {
  add_vendor_application(answer);
}

void HssApplication::deny(Incoming& in, Denial denial, Outbox& out) {
  deny(in, code_of(denial), out);
}

void HssApplication::deny(Incoming& in, ResultCode experimental, Outbox& out) {
  out.count(experimental == experimental_result::user_unknown ? counter::unknown_users
                                                              : counter::denied);
  MessageBuilder answer = diameter::begin_experimental_answer(out.buffers(), in.message, config(),
                                                              diameter::vendor::tgpp, experimental);
  add_vendor_application(answer);
  add_supported_features(in.message, answer);
  reply(std::move(in.request), std::move(answer), out);
}

void HssApplication::refuse(Incoming& in, ResultCode result, const diameter::AvpView& offending,
                            Outbox& out) {
  Violation violation;
  violation.offset = static_cast<std::size_t>(offending.raw().data() - in.message.bytes().data());
  violation.result = result;
  violation.what = result == result::invalid_avp_length ? "has a wrong length"
                                                        : "has a value that is not possible here";
  violation.offending = offending.raw();
  reject(std::move(in.request), result, out, &violation);
}

void HssApplication::refuse_missing(Incoming& in, const diameter::AvpDef& missing, Outbox& out) {
  Violation violation;
  violation.result = result::missing_avp;
  violation.what = "is missing";
  violation.example = &missing;
  reject(std::move(in.request), result::missing_avp, out, &violation);
}

}  // namespace siglane::hss
