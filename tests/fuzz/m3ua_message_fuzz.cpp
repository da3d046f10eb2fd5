// Any bytes: a view that stays within them or an error that lies within them; and DATA that is
// relayed is the same DATA.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "protocols/m3ua/message.h"
#include "protocols/m3ua/parcels.h"

using namespace siglane;
using namespace siglane::m3ua;

namespace {

void require(bool good) {
  if (!good) std::abort();
}

void relay(BufferPool& pool, Bytes bytes, std::optional<std::uint32_t> appearance) {
  Buffer message = Buffer::copy_of(bytes);
  const auto view = MessageView::parse(message.bytes());
  auto parcel = DataParcel::received(*view, std::move(message), {});
  const MtpLabel label = parcel->label;
  const Buffer before = Buffer::copy_of(parcel->user_data());
  const Buffer relayed = std::move(*parcel).encode(appearance, 4711, pool);
  const auto again = MessageView::parse(relayed.bytes());
  require(again.has_value() && again->type() == MessageType::data);
  require(again->u32(Tag::routing_context) == 4711u);
  require(again->u32(Tag::network_appearance) == appearance);
  const Bytes data = *again->find(Tag::protocol_data);
  require(load_label(data.data()) == label);
  require(as_text(data.subspan(kMtpLabelSize)) == as_text(before.bytes()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  static BufferPool pool;
  const Bytes bytes = std::as_bytes(std::span(input, size));
  (void)length_in_header(bytes);
  const auto view = MessageView::parse(bytes);
  if (!view) {
    require(view.error().offset <= size + 3);  // at most behind the padding of the last parameter
    return 0;
  }
  ParameterReader parameters = view->parameters();
  while (const auto parameter = parameters.next()) {
    require(parameter->offset + 4 + parameter->value.size() <= view->bytes().size());
    if (parameter->tag == static_cast<std::uint16_t>(Tag::routing_key)) {
      const auto key = RoutingKeyView::parse(parameter->value);
      if (key) require(key->originating_point_codes.size() * 4 <= parameter->value.size());
    }
  }
  require(parameters.done());
  for (const std::uint32_t word : view->list(Tag::affected_point_code)) {
    require(AffectedPointCode::unpack(word).pack() == word);
  }
  if (view->type() == MessageType::data) {
    relay(pool, bytes, view->u32(Tag::network_appearance));
    relay(pool, bytes, std::nullopt);
  }
  return 0;
}
