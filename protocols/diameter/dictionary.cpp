#include "protocols/diameter/dictionary.h"

#include <algorithm>
#include <array>

#include "protocols/diameter/text.h"

namespace siglane::diameter {
namespace {

// The least payload that an AVP of this type can have (RFC 6733 §4.2, §4.3).
std::size_t payload_bytes_min(AvpType type) {
  switch (type) {
    case AvpType::integer32:
    case AvpType::unsigned32:
    case AvpType::float32:
    case AvpType::time:
    case AvpType::enumerated:
      return 4;
    case AvpType::integer64:
    case AvpType::unsigned64:
    case AvpType::float64:
      return 8;
    case AvpType::address:
      return 6;  // an IPv4 one
    case AvpType::diameter_identity:
      return 1;
    case AvpType::octet_string:
    case AvpType::grouped:
    case AvpType::utf8_string:
    case AvpType::diameter_uri:
    case AvpType::ip_filter_rule:
      return 0;
  }
  return 0;
}

struct Problem {
  ResultCode result;
  std::string_view what;
};

// What is wrong with a payload of this type; its members if it is a group are not looked at.
std::optional<Problem> problem_with(AvpType type, const AvpView& avp) {
  const Bytes payload = avp.payload();
  switch (type) {
    case AvpType::integer32:
    case AvpType::unsigned32:
    case AvpType::float32:
    case AvpType::time:
    case AvpType::enumerated:
      if (payload.size() == 4) return std::nullopt;
      return Problem{result::invalid_avp_length, "is not 4 bytes long"};
    case AvpType::integer64:
    case AvpType::unsigned64:
    case AvpType::float64:
      if (payload.size() == 8) return std::nullopt;
      return Problem{result::invalid_avp_length, "is not 8 bytes long"};
    case AvpType::address:
      if (avp.address()) return std::nullopt;
      return Problem{result::invalid_avp_length, "does not fit its address family"};
    case AvpType::utf8_string:
      if (is_utf8(payload)) return std::nullopt;
      return Problem{result::invalid_avp_value, "is not UTF-8"};
    case AvpType::diameter_identity:
      if (is_identity(payload)) return std::nullopt;
      return Problem{result::invalid_avp_value, "is not a DiameterIdentity"};
    case AvpType::diameter_uri:
      if (is_uri(avp.text())) return std::nullopt;
      return Problem{result::invalid_avp_value, "is not a DiameterURI"};
    case AvpType::octet_string:
    case AvpType::grouped:
    case AvpType::ip_filter_rule:
      return std::nullopt;
  }
  return std::nullopt;
}

// One walk over a message; knows where it began, for the offsets.
class Walk {
 public:
  Walk(const MessageView& message, const Dictionary& dictionary)
      : message_(message.bytes()), dictionary_(dictionary) {}

  std::optional<Violation> validate(AvpList avps, std::size_t depth) const {
    auto it = avps.begin();
    for (; it != avps.end(); ++it) {
      if (auto violation = validate(*it, depth)) return violation;
    }
    if (it.rest().empty()) return std::nullopt;
    return broken_avp(message_, offset_of(it.rest()), dictionary_);
  }

  std::optional<Violation> check(AvpList avps, const Grammar& grammar, std::size_t depth) const {
    std::array<std::uint32_t, Grammar::kRulesMax> counts;
    std::fill_n(counts.begin(), grammar.rules.size(), 0u);
    for (const AvpView avp : avps) {
      const AvpEntry* entry = dictionary_.find(avp.code(), avp.vendor());
      const Rule* rule = entry != nullptr ? rule_for(grammar, *entry) : nullptr;
      if (rule == nullptr) {
        if (!grammar.open)
          return about(avp, {result::avp_not_allowed, "is not allowed by the grammar"});
      } else if (++counts[static_cast<std::size_t>(rule - grammar.rules.data())] > rule->max &&
                 rule->max != Rule::kMany) {
        // RFC 6733 §7.1.5: "a copy of the first instance of the offending AVP that exceeded the
        // maximum number of occurrences".
        return about(avp, {result::avp_occurs_too_many_times, "occurs too many times"});
      }
      if (entry != nullptr && entry->def.type == AvpType::grouped && depth > 0) {
        if (auto violation = check(avp.group(), entry->group, depth - 1)) return violation;
        if (avp.is(avp::vendor_specific_application_id)) {
          if (auto violation = check_vendor_application(avp.group())) return violation;
        }
      }
    }
    for (std::size_t i = 0; i < grammar.rules.size(); ++i) {
      if (counts[i] < grammar.rules[i].min) return missing(avps, grammar.rules[i]);
    }
    return std::nullopt;
  }

 private:
  std::optional<Violation> validate(const AvpView& avp, std::size_t depth) const {
    // RFC 6733 §4.1 wants both: "an unrecognized bit SHOULD be considered an error", and "the
    // receiver SHOULD ignore all 'R' (reserved) bits". The code for it decides (§7.1.3, 3009):
    // "flag bits are set to an unrecognized value". P is not reserved, but means nothing.
    if ((avp.flags() & avp_flag::kReserved) != 0) {
      return about(avp, {result::invalid_avp_bits, "has reserved flags set"});
    }
    const AvpEntry* entry = dictionary_.find(avp.code(), avp.vendor());
    if (entry == nullptr) {
      if (!avp.mandatory()) return std::nullopt;
      return about(avp, {result::avp_unsupported, "is mandatory and not known here"});
    }
    if (entry->def.type == AvpType::grouped) {
      if (depth == 0) return about(avp, {result::invalid_avp_value, "nests too deep"});
      return validate(avp.group(), depth - 1);
    }
    const auto problem = problem_with(entry->def.type, avp);
    return problem ? std::optional(about(avp, *problem)) : std::nullopt;
  }

  // RFC 6733 §6.11, what its grammar cannot say: "A Vendor-Specific-Application-Id AVP MUST contain
  // exactly one of either Auth-Application-Id or Acct-Application-Id." Both go into Failed-AVP.
  std::optional<Violation> check_vendor_application(AvpList avps) const {
    const auto auth = avps.find(avp::auth_application_id);
    const auto acct = avps.find(avp::acct_application_id);
    if (auth.has_value() != acct.has_value()) return std::nullopt;
    if (auth) {
      auto both = about(*auth, {result::avp_occurs_too_many_times,
                                "occurs too many times: one application id is allowed"});
      both.offending_too = acct->raw();
      return both;
    }
    return Violation{offset_of(avps.bytes()),
                     result::missing_avp,
                     "is missing",
                     {},
                     false,
                     &avp::auth_application_id,
                     {},
                     &avp::acct_application_id};
  }

  const Rule* rule_for(const Grammar& grammar, const AvpEntry& entry) const {
    const auto index = static_cast<std::uint16_t>(&entry - dictionary_.avps().data());
    for (const Rule& rule : grammar.rules) {
      if (rule.avp == index) return &rule;
    }
    return nullptr;
  }

  Violation about(const AvpView& avp, Problem problem) const {
    return {offset_of(avp.raw()), problem.result, problem.what, avp.raw(), false, nullptr};
  }
  Violation missing(AvpList avps, const Rule& rule) const {
    return {offset_of(avps.bytes()),       result::missing_avp, "is missing", {}, false,
            &dictionary_.avp(rule.avp).def};
  }
  std::size_t offset_of(Bytes part) const {
    return static_cast<std::size_t>(part.data() - message_.data());
  }

  Bytes message_;
  const Dictionary& dictionary_;
};

// RFC 6733 §7.2: what an answer with the E bit must have, whatever its command.
std::optional<Violation> check_error_answer(const MessageView& message) {
  for (const AvpDef* def : {static_cast<const AvpDef*>(&avp::origin_host),
                            static_cast<const AvpDef*>(&avp::origin_realm),
                            static_cast<const AvpDef*>(&avp::result_code)}) {
    if (!message.find(*def)) {
      return Violation{Header::kBytes, result::missing_avp, "is missing", {}, false, def};
    }
  }
  return std::nullopt;
}

// An AVP of minimum length, filled with zeros.
void add_example(MessageBuilder& answer, std::uint32_t code, std::uint8_t flags, VendorId vendor,
                 std::size_t payload_bytes) {
  std::array<std::byte, AvpView::kVendorHeaderBytes + 8> bytes{};
  const bool has_vendor = (flags & avp_flag::kVendor) != 0;
  const std::size_t length =
      (has_vendor ? AvpView::kVendorHeaderBytes : AvpView::kHeaderBytes) + payload_bytes;
  store_u32(bytes.data(), code);
  store_u32(bytes.data() + 4, std::uint32_t{flags} << 24 | static_cast<std::uint32_t>(length));
  if (has_vendor) store_u32(bytes.data() + 8, vendor);
  answer.add_raw(Bytes(bytes).first(length));
}

void add_example(MessageBuilder& answer, const AvpDef& def) {
  const auto flags = static_cast<std::uint8_t>((def.vendor != 0 ? avp_flag::kVendor : 0) |
                                               (def.mandatory ? avp_flag::kMandatory : 0));
  add_example(answer, def.code, flags, def.vendor, payload_bytes_min(def.type));
}

}  // namespace

std::string avp_text(std::uint32_t code, VendorId vendor, std::string_view name) {
  std::string text = name.empty() ? "AVP" : std::string(name);
  text += " (" + std::to_string(code);
  if (vendor != 0) text += ", vendor " + std::to_string(vendor);
  return text + ")";
}

std::string Violation::text() const {
  const auto of_kind = [](const AvpDef& def) { return avp_text(def.code, def.vendor, def.name); };
  const auto as_received = [](Bytes avp) {
    const bool has_vendor = (std::to_integer<unsigned>(avp[4]) & avp_flag::kVendor) != 0 &&
                            avp.size() >= AvpView::kVendorHeaderBytes;
    const std::uint32_t code = load_u32(avp.data());
    const VendorId vendor = has_vendor ? load_u32(avp.data() + 8) : 0;
    const AvpEntry* entry = dictionary().find(code, vendor);
    return avp_text(code, vendor, entry != nullptr ? entry->def.name : std::string_view());
  };
  std::string subject;
  if (offending.size() >= AvpView::kHeaderBytes) {
    subject = as_received(offending);
    if (!offending_too.empty()) subject += " beside " + as_received(offending_too);
  } else if (example != nullptr) {
    subject = of_kind(*example);
    if (example_too != nullptr) subject += " or " + of_kind(*example_too);
  } else if (broken) {
    subject = "the last AVP";
  }
  if (subject.empty()) return std::string(what);
  return what.empty() ? subject : subject + " " + std::string(what);
}

void Violation::add_failed_avp(MessageBuilder& answer) const {
  if (offending.empty() && example == nullptr) return;
  auto failed = answer.group(avp::failed_avp);
  if (!offending.empty() && !broken) {
    answer.add_raw(offending);
    if (!offending_too.empty()) answer.add_raw(offending_too);
    return;
  }
  if (!broken) {
    add_example(answer, *example);
    if (example_too != nullptr) add_example(answer, *example_too);
    return;
  }
  const std::size_t payload = example != nullptr ? payload_bytes_min(example->type) : 0;
  // RFC 6733 §7.1.5, 5014: "it is sufficient to include the offending AVP header and a zero filled
  // payload of the minimum required length for the payloads data type", the header itself padded
  // with zeros where it is cut. Its length is ours, or our answer would be as broken.
  std::array<std::byte, AvpView::kVendorHeaderBytes> header{};
  std::copy_n(offending.begin(), std::min(offending.size(), header.size()), header.begin());
  add_example(answer, load_u32(header.data()), std::to_integer<std::uint8_t>(header[4]),
              load_u32(header.data() + 8), payload);
}

const AvpEntry* Dictionary::find(std::string_view avp_name) const {
  for (const AvpEntry& entry : tables_.avps) {
    if (entry.def.name == avp_name) return &entry;
  }
  return nullptr;
}

const CommandEntry* Dictionary::find(CommandCode code) const {
  const auto it = std::lower_bound(
      tables_.commands.begin(), tables_.commands.end(), code,
      [](const CommandEntry& entry, CommandCode wanted) { return entry.def.code < wanted; });
  return it != tables_.commands.end() && it->def.code == code ? &*it : nullptr;
}

const ApplicationEntry* Dictionary::find(ApplicationId id) const {
  for (const ApplicationEntry& entry : tables_.applications) {
    if (entry.id == id) return &entry;
  }
  return nullptr;
}

const ResultEntry* Dictionary::find(ResultCode code, bool experimental) const {
  for (const ResultEntry& entry : tables_.results) {
    if (entry.code == code && entry.experimental == experimental) return &entry;
  }
  return nullptr;
}

Violation broken_avp(Bytes message, std::size_t offset, const Dictionary& dictionary) {
  Violation violation{offset,
                      result::invalid_avp_length,
                      "has an impossible length",
                      message.subspan(std::min(offset, message.size())),
                      true,
                      nullptr};
  const Bytes rest = violation.offending;
  if (rest.size() < AvpView::kHeaderBytes) return violation;
  const bool has_vendor = (std::to_integer<unsigned>(rest[4]) & avp_flag::kVendor) != 0;
  if (has_vendor && rest.size() < AvpView::kVendorHeaderBytes) return violation;
  const AvpEntry* entry =
      dictionary.find(load_u32(rest.data()), has_vendor ? load_u32(rest.data() + 8) : 0);
  if (entry != nullptr) violation.example = &entry->def;
  return violation;
}

std::optional<Violation> validate(const MessageView& message, const Dictionary& dictionary,
                                  std::size_t depth_max) {
  return Walk(message, dictionary).validate(message.avps(), depth_max);
}

std::optional<Violation> check_command(const MessageView& message, const Dictionary& dictionary,
                                       std::size_t depth_max) {
  const CommandEntry* entry = dictionary.find(message.command());
  if (entry == nullptr) {
    return Violation{5,      result::command_unsupported, "the command is not known", {}, false,
                     nullptr};
  }
  if (message.header().is_error()) return check_error_answer(message);
  const Grammar& grammar = message.is_request() ? entry->request : entry->answer;
  return Walk(message, dictionary).check(message.avps(), grammar, depth_max);
}

}  // namespace siglane::diameter
