#include <cstdint>
#include <cstdlib>

#include "protocols/diameter/answers.h"
#include "protocols/diameter/capabilities.h"
#include "protocols/diameter/dictionary.h"
#include "protocols/diameter/message.h"

// Any bytes: parse, read everything, validate, check, and answer. What we answer must be in order.

namespace {

using namespace siglane;
using namespace siglane::diameter;

std::uint64_t read_all(AvpList avps, std::size_t depth) {
  std::uint64_t sum = avps.broken_at().value_or(0);
  for (const AvpView avp : avps) {
    sum += avp.code() + avp.vendor() + avp.payload().size() + avp.text().size();
    sum += avp.u32().value_or(1) + avp.u64().value_or(2) + (avp.address() ? 3 : 4);
    sum += avp.time() ? avp.time()->seconds : 5;
    if (depth > 0) sum += read_all(avp.group(), depth - 1);
  }
  return sum;
}

void require(bool good) {
  if (!good) std::abort();
}

const DiameterConfig& config() {
  static const DiameterConfig config = [] {
    DiameterConfig one;
    one.origin_host = "fuzz.example";
    one.origin_realm = "example";
    one.applications = {{application::s6a, vendor::tgpp, false}};
    return one;
  }();
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static BufferPool pool;
  static volatile std::uint64_t sink = 0;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const auto message = MessageView::parse(bytes);
  const auto rest = MessageView::salvage(bytes);
  require(rest.has_value() == (size >= Header::kBytes));
  std::optional<Violation> violation;
  if (message) {
    require(!message->avps().broken_at());
    sink = sink + read_all(message->avps(), 6);
    violation = validate(*message, dictionary());
    if (!violation) violation = check_command(*message, dictionary());
    if (!violation && message->is(command::capabilities_exchange)) {
      require(read_capabilities(*message, config()).applications.size() <= 1);
    }
  } else {
    require(message.error().offset <= size);
    if (rest) sink = sink + read_all(rest->avps(), 6);
    if (message.error().result == result::invalid_avp_length) {
      violation = broken_avp(bytes, message.error().offset, dictionary());
    }
  }
  if (!rest) return 0;
  const ResultCode code = violation ? violation->result : result::success;
  const Buffer answer =
      error_answer(pool, *rest, config(), code, "", violation ? &*violation : nullptr);
  const auto again = MessageView::parse(answer.bytes());
  require(again.has_value() && again->result_code() == code);
  if (violation && violation->result != result::command_unsupported) {
    const auto failed = again->get(avp::failed_avp);
    require(failed && !failed->broken_at() && !failed->empty());
  }
  return 0;
}
