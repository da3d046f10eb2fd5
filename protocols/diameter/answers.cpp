#include "protocols/diameter/answers.h"

namespace siglane::diameter {
namespace {

MessageBuilder begin(BufferPool& pool, const MessageView& request, bool error) {
  MessageBuilder answer = MessageBuilder::answer(pool, request.header(), error);
  if (const auto session = request.find(avp::session_id)) answer.add_raw(session->raw());
  return answer;
}

}  // namespace

MessageBuilder begin_answer(BufferPool& pool, const MessageView& request,
                            const DiameterConfig& config, ResultCode result) {
  MessageBuilder answer = begin(pool, request, is_protocol_error(result));
  answer.add(avp::result_code, static_cast<std::uint32_t>(result))
      .add(avp::origin_host, config.origin_host)
      .add(avp::origin_realm, config.origin_realm);
  return answer;
}

MessageBuilder begin_experimental_answer(BufferPool& pool, const MessageView& request,
                                         const DiameterConfig& config, VendorId vendor,
                                         ResultCode result) {
  MessageBuilder answer = begin(pool, request, false);
  answer.group(avp::experimental_result, [&] {
    answer.add(avp::vendor_id, vendor)
        .add(avp::experimental_result_code, static_cast<std::uint32_t>(result));
  });
  answer.add(avp::origin_host, config.origin_host).add(avp::origin_realm, config.origin_realm);
  return answer;
}

Buffer error_answer(BufferPool& pool, const MessageView& request, const DiameterConfig& config,
                    ResultCode result, std::string_view error_message, const Violation* violation) {
  MessageBuilder answer = begin_answer(pool, request, config, result);
  // The answers of 3GPP's applications must have it, so that without it a strict peer would drop an
  // answer that has no E bit (RFC 6733 §7.2) and wait on.
  if (const auto state = request.get(avp::auth_session_state)) {
    if (!is_protocol_error(result)) answer.add(avp::auth_session_state, *state);
  }
  if (!error_message.empty()) answer.add(avp::error_message, error_message);
  if (violation != nullptr) violation->add_failed_avp(answer);
  copy_proxy_info(request, answer);
  return std::move(answer).finish();
}

void copy_proxy_info(const MessageView& request, MessageBuilder& answer) {
  for (const AvpView avp : request.avps()) {
    if (avp.is(avp::proxy_info)) answer.add_raw(avp.raw());
  }
}

AnswerPtr make_answer(const RequestParcel& request, Buffer message) {
  auto answer = std::make_unique<AnswerParcel>();
  answer->message = std::move(message);
  answer->hop_by_hop = request.header.hop_by_hop;
  answer->end_to_end = request.header.end_to_end;
  answer->caused_at = request.received_at;
  answer->tag = request.tag;
  return answer;
}

}  // namespace siglane::diameter
