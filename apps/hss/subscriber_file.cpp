#include "apps/hss/subscriber_file.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "apps/hss/subscription_json.h"
#include "apps/runtime/config_include.h"

namespace siglane::hss {
namespace {

using runtime::ObjectReader;

constexpr std::uint32_t kRangeMax = 10'000'000;
constexpr std::size_t kPlmnDigitsMin = 5;  // MCC and the shorter kind of MNC
constexpr std::string_view kImsi = "an IMSI: 6 to 15 digits, MCC, MNC and MSIN (TS 23.003 §2.2)";

// `digits` + `n` as a decimal number of the same length; nullopt: it overflows.
std::optional<std::string> advanced(std::string_view digits, std::uint64_t n) {
  std::string text(digits);
  for (auto digit = text.rbegin(); digit != text.rend() && n > 0; ++digit) {
    n += static_cast<std::uint64_t>(*digit - '0');
    *digit = static_cast<char>('0' + n % 10);
    n /= 10;
  }
  return n == 0 ? std::optional(std::move(text)) : std::nullopt;
}

std::optional<std::string> parse_msisdn(std::string_view text) {
  const bool digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  // E.164 §6.2.1: at most 15 digits, of which the country code is first; none begins with 0.
  if (!digits || text.empty() || text.size() > 15 || text.front() == '0') return std::nullopt;
  return std::string(text);
}

constexpr std::string_view kMsisdn =
    "an MSISDN: 1 to 15 digits, country code first, without a prefix like + or 00";

template <std::size_t Size>
std::array<std::byte, Size> read_hex(const ObjectReader& reader, std::string_view key) {
  const std::vector<std::byte> bytes = reader.hex_bytes(key, Size);
  std::array<std::byte, Size> out{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), Size), out.begin());
  return out;
}

class SubscriberReader {
 public:
  explicit SubscriberReader(Aes128& aes) : aes_(aes) {}

  void read(const ObjectReader& reader) {
    if (reader.has("imsi_first")) {
      read_range(reader);
    } else {
      read_one(reader);
    }
  }
  std::vector<Subscriber> take() { return std::move(subscribers_); }

 private:
  void read_one(const ObjectReader& reader) {
    Subscriber subscriber = read_common(reader);
    subscriber.imsi = reader.required_parsed("imsi", kImsi, Imsi::parse);
    subscriber.k = read_hex<16>(reader, "k");
    subscriber.msisdn = reader.parsed("msisdn", std::string(), kMsisdn, parse_msisdn);
    const Key op = read_operator_key(reader);
    add(reader, "imsi", std::move(subscriber), op);
  }

  void read_range(const ObjectReader& reader) {
    const Subscriber common = read_common(reader);
    const Imsi first = reader.required_parsed("imsi_first", kImsi, Imsi::parse);
    const auto count = reader.required_number<std::uint32_t>("count", {.min = 1, .max = kRangeMax});
    const Key master = read_hex<16>(reader, "k_master");
    const std::string msisdn_first =
        reader.parsed("msisdn_first", std::string(), kMsisdn, parse_msisdn);
    const Key op = read_operator_key(reader);
    if (first.text().empty()) return;  // complained of
    const auto last = advanced(first.text(), count - 1);
    if (last && last->substr(0, kPlmnDigitsMin) != first.text().substr(0, kPlmnDigitsMin)) {
      reader.complain("imsi_first", "the range leaves the network that its first IMSI is of");
      return;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      Subscriber subscriber = common;
      const auto imsi = advanced(first.text(), i);
      const auto msisdn = advanced(msisdn_first, msisdn_first.empty() ? 0 : i);
      if (!imsi || !msisdn) {
        reader.complain(imsi ? "msisdn_first" : "imsi_first",
                        "the range does not fit into so many digits");
        return;
      }
      subscriber.imsi = *Imsi::parse(*imsi);
      subscriber.msisdn = *msisdn;
      subscriber.k = derived_key(aes_, master, subscriber.imsi);
      if (!add(reader, "imsi_first", std::move(subscriber), op)) return;
    }
  }

  static Subscriber read_common(const ObjectReader& reader) {
    Subscriber subscriber;
    if (reader.has("amf")) {
      subscriber.amf = read_hex<2>(reader, "amf");
    } else {
      subscriber.amf = {std::byte{0x80}, std::byte{0}};
    }
    subscriber.sqn.value =
        reader.number<std::uint64_t>("sqn", 0, {.min = 0, .max = SequenceNumber::kMax});
    if (const auto subscription = reader.optional_object("subscription")) {
      subscriber.subscription =
          std::make_shared<const Subscription>(read_subscription(*subscription));
      check_subscription(*subscription, *subscriber.subscription);
    }
    return subscriber;
  }

  // OP or OPc; which of the two, the next call of add() has to know.
  Key read_operator_key(const ObjectReader& reader) {
    has_op_ = reader.has("op");
    if (has_op_ && reader.has("opc")) reader.complain("op", "stands beside \"opc\"; give one");
    return read_hex<16>(reader, has_op_ ? "op" : "opc");
  }

  bool add(const ObjectReader& reader, std::string_view key, Subscriber subscriber,
           const Key& operator_key) {
    if (!known_.insert(std::string(subscriber.imsi.text())).second) {
      reader.complain(key, "IMSI " + std::string(subscriber.imsi.text()) + " appears twice");
      return false;
    }
    subscriber.opc = has_op_ ? Milenage::opc(aes_, subscriber.k, operator_key) : operator_key;
    subscribers_.push_back(std::move(subscriber));
    return true;
  }

  Aes128& aes_;
  bool has_op_ = false;
  std::vector<Subscriber> subscribers_;
  std::unordered_set<std::string> known_;
};

}  // namespace

Key derived_key(Aes128& aes, const Key& master, const Imsi& imsi) {
  Block block{};
  const Bytes digits = as_bytes(imsi.text());
  std::copy(digits.begin(), digits.end(), block.begin());
  aes.set_key(master);
  return aes.encrypted(block);
}

Result<std::vector<Subscriber>> read_subscribers(const ObjectReader& root) {
  auto aes = Aes128::create();
  if (!aes) return tl::unexpected(aes.error());
  SubscriberReader subscribers(*aes);
  for (const ObjectReader& element : root.objects("subscribers", {1, kRangeMax})) {
    subscribers.read(element);
  }
  return subscribers.take();
}

Result<std::vector<Subscriber>> read_subscribers(const std::filesystem::path& file) {
  auto document = runtime::load_config_document(file);
  if (!document) return tl::unexpected(document.error());
  runtime::ConfigReader reader(*document);
  auto subscribers = read_subscribers(reader.root());
  if (auto good = reader.finish(); !good) return tl::unexpected(good.error());
  return subscribers;
}

}  // namespace siglane::hss
