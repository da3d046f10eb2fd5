#include "protocols/m3ua/parcels.h"

#include "protocols/m3ua/text.h"

namespace siglane::m3ua {

std::string_view name_of(AspState state) {
  switch (state) {
    case AspState::down:
      return "ASP-DOWN";
    case AspState::inactive:
      return "ASP-INACTIVE";
    case AspState::active:
      return "ASP-ACTIVE";
  }
  return "unknown";
}

std::string_view name_of(AsState state) {
  switch (state) {
    case AsState::down:
      return "AS-DOWN";
    case AsState::inactive:
      return "AS-INACTIVE";
    case AsState::active:
      return "AS-ACTIVE";
    case AsState::pending:
      return "AS-PENDING";
  }
  return "unknown";
}

namespace {

constexpr std::size_t kWordParameterSize = kParameterHeaderSize + 4;

constexpr std::size_t padded(std::size_t size) {
  return (size + 3) / 4 * 4;
}

// DATA as encode() writes it: [Network Appearance] Routing Context, Protocol Data, padding.
bool has_our_shape(const MessageView& view, Bytes message, bool with_appearance, Bytes context,
                   Bytes data) {
  const std::size_t context_at =
      kHeaderSize + (with_appearance ? kWordParameterSize : 0) + kParameterHeaderSize;
  const std::size_t data_at = context_at + 4 + kParameterHeaderSize;
  return context.size() == 4 && view.offset_of(context) == context_at &&
         view.offset_of(data) == data_at && view.bytes().size() == message.size() &&
         message.size() == data_at + padded(data.size());
}

}  // namespace

std::unique_ptr<DataParcel> DataParcel::received(const MessageView& view, Buffer message,
                                                 Instant at) {
  const Bytes data = view.find(Tag::protocol_data).value_or(Bytes{});
  const auto context = view.find(Tag::routing_context);
  auto parcel = std::make_unique<DataParcel>();
  parcel->label = load_label(data.data());
  parcel->network_appearance = view.u32(Tag::network_appearance);
  parcel->appearance_in_buffer_ = parcel->network_appearance;
  parcel->correlation_id = view.u32(Tag::correlation_id);
  parcel->received_at = at;
  parcel->data_offset_ = static_cast<std::uint32_t>(view.offset_of(data) + kMtpLabelSize);
  parcel->data_size_ = static_cast<std::uint32_t>(data.size() - kMtpLabelSize);
  if (context) {
    parcel->routing_context = load_u32(context->data());
    if (has_our_shape(view, message.bytes(), parcel->network_appearance.has_value(), *context,
                      data)) {
      parcel->routing_context_at_ = static_cast<std::uint32_t>(view.offset_of(*context));
    }
  }
  parcel->buffer_ = std::move(message);
  return parcel;
}

std::string DataParcel::describe() const {
  return m3ua::describe(label, network_appearance, routing_context);
}

std::unique_ptr<DataParcel> DataParcel::share() const {
  auto other = std::make_unique<DataParcel>();
  other->label = label;
  other->network_appearance = network_appearance;
  other->routing_context = routing_context;
  other->correlation_id = correlation_id;
  other->received_at = received_at;
  other->server = server;
  other->sender = sender;
  other->appearance_in_buffer_ = appearance_in_buffer_;
  other->buffer_ = buffer_;
  other->data_offset_ = data_offset_;
  other->data_size_ = data_size_;
  other->routing_context_at_ = routing_context_at_;
  return other;
}

Buffer DataParcel::encode(std::optional<std::uint32_t> appearance,
                          std::optional<std::uint32_t> context, BufferPool& pool) && {
  if (routing_context_at_ != 0 && context && appearance == appearance_in_buffer_ &&
      !correlation_id) {
    const std::span<std::byte> bytes = buffer_.exclusive_bytes();
    if (!bytes.empty()) {
      store_u32(bytes.data() + routing_context_at_, *context);
      data_size_ = data_offset_ = 0;
      return std::move(buffer_);
    }
  }
  MessageBuilder out(pool, MessageType::data,
                     kHeaderSize + 3 * kWordParameterSize + kParameterHeaderSize + kMtpLabelSize +
                         padded(data_size_));
  out.u32_if(Tag::network_appearance, appearance).u32_if(Tag::routing_context, context);
  out.protocol_data(label, user_data()).u32_if(Tag::correlation_id, correlation_id);
  buffer_ = Buffer();
  data_size_ = data_offset_ = 0;
  return std::move(out).finish();
}

}  // namespace siglane::m3ua
