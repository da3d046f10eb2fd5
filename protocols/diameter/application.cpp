#include "protocols/diameter/application.h"

#include <algorithm>
#include <utility>

#include "protocols/diameter/error_text.h"

namespace siglane::diameter {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

Application::Application(const DiameterModule& module, std::uint64_t seed)
    : module_(module),
      config_(module.config()),
      random_(seed),
      end_to_end_(static_cast<std::uint32_t>(random_.next())) {}

void Application::step(SessionInput input, Instant now, Outbox& out) {
  std::visit(Overloaded{
                 [&](Submitted& submitted) {
                   receive(submitted.from, std::move(submitted.parcel), now, out);
                 },
                 [&](Completed& completed) { on_completed(std::move(completed), now, out); },
                 [&](Woken&) { on_woken(now, out); }, [&](Stopping&) { on_stopping(now, out); },
                 [&](Reconfigured&) {
                   config_ = module_.config();
                   on_reconfigured(now, out);
                 },
                 [](auto&) {},  // a coordinator has no association to hear of
             },
             input);
}

void Application::receive(AssociationId from, ParcelPtr parcel, Instant now, Outbox& out) {
  switch (kind_of(*parcel)) {
    case ParcelKind::request: {
      auto request = parcel_cast<RequestParcel>(std::move(parcel));
      const MessageView message = request->view();
      const std::size_t depth = config().limits.avp_depth_max;
      auto violation = validate(message, dictionary(), depth);
      if (!violation) violation = check_command(message, dictionary(), depth);
      if (violation) return reject(std::move(request), violation->result, out, &*violation);
      return on_request(std::move(request), message, now, out);
    }
    case ParcelKind::answer: {
      auto answer = parcel_cast<AnswerParcel>(std::move(parcel));
      const MessageView message = answer->view();
      const auto awaited = answered_.extract(answer->tag);
      if (awaited) return awaited.mapped()(std::move(answer), message, now, out);
      return on_answer(std::move(answer), message, now, out);
    }
    case ParcelKind::peer_change: {
      const auto peer = parcel_cast<PeerChange>(std::move(parcel));
      if (peer->state == PeerChange::State::open) return on_peer_open(*peer, from, now, out);
      return on_peer_closed(*peer, from, now, out);
    }
    case ParcelKind::call:
      return parcel_cast<CallParcel>(std::move(parcel))->call(*this, now, out);
  }
}

SessionStatus Application::status() const {
  return {{}, "diameter", "application", 0, {}};
}

void Application::on_answer(AnswerPtr, const MessageView&, Instant, Outbox&) {}
void Application::on_completed(Completed, Instant, Outbox&) {}
void Application::on_peer_open(const PeerChange&, AssociationId, Instant, Outbox&) {}
void Application::on_peer_closed(const PeerChange&, AssociationId, Instant, Outbox&) {}
void Application::on_woken(Instant, Outbox&) {}
void Application::on_stopping(Instant, Outbox&) {}
void Application::on_reconfigured(Instant, Outbox&) {}
void Application::add_application_avps(MessageBuilder&) const {}

void Application::reply(RequestPtr request, MessageBuilder answer, Outbox& out) {
  copy_proxy_info(request->view(), answer);
  out.forward(request->origin, make_answer(*request, std::move(answer).finish()));
}

void Application::reject(RequestPtr request, ResultCode result, Outbox& out,
                         const Violation* violation) {
  const MessageView message = request->view();
  MessageBuilder answer = begin_answer(out.buffers(), message, config(), result);
  // RFC 6733 §7.2 gives answers with the E bit a grammar of their own; others keep their command's.
  if (!is_protocol_error(result)) add_application_avps(answer);
  if (violation != nullptr) {
    const std::string text = violation->text();
    out.drop(kInvalidRequest, command_text(message) + ": " + text,
             std::string(request->asked_by()));
    if (!text.empty()) answer.add(avp::error_message, text);
    violation->add_failed_avp(answer);
  } else if (result == result::command_unsupported) {
    answer.add(avp::error_message, unsupported_command_text(message));
  }
  reply(std::move(request), std::move(answer), out);
}

void Application::keep_for_answer(RequestParcel& request, std::initializer_list<const AvpDef*> also,
                                  Outbox& out) const {
  const MessageView message = request.view();
  const auto needed = [&](const AvpView& avp) {
    return avp.is(avp::session_id) || avp.is(avp::proxy_info) ||
           std::any_of(also.begin(), also.end(), [&](const AvpDef* def) { return avp.is(*def); });
  };
  std::size_t bytes = Header::kBytes;
  for (const AvpView& avp : message.avps()) {
    if (needed(avp)) bytes += (avp.raw().size() + 3) & ~std::size_t{3};
  }
  MessageBuilder kept(out.buffers(), message.header(), bytes);
  for (const AvpView& avp : message.avps()) {
    if (needed(avp)) kept.add_raw(avp.raw());
  }
  request.message = std::move(kept).finish();
}

void Application::send(MessageBuilder request, std::uint64_t tag, Duration timeout, Outbox& out) {
  out.accept(pack(std::move(request), tag, timeout));
}

void Application::send_to(AssociationId peer, MessageBuilder request, std::uint64_t tag,
                          Duration timeout, Outbox& out) {
  RequestPtr parcel = pack(std::move(request), tag, timeout);
  parcel->direct = true;
  out.forward(peer, std::move(parcel));
}

void Application::send(MessageBuilder request, Answered then, Duration timeout, Outbox& out) {
  send(std::move(request), keep(std::move(then)), timeout, out);
}

void Application::send_to(AssociationId peer, MessageBuilder request, Answered then,
                          Duration timeout, Outbox& out) {
  send_to(peer, std::move(request), keep(std::move(then)), timeout, out);
}

std::uint64_t Application::keep(Answered then) {
  answered_.emplace(next_tag_, std::move(then));
  return next_tag_++;
}

RequestPtr Application::pack(MessageBuilder request, std::uint64_t tag, Duration timeout) {
  auto parcel = std::make_unique<RequestParcel>();
  request.set_end_to_end(++end_to_end_);
  parcel->message = std::move(request).finish();
  parcel->header = *Header::read(parcel->message.bytes());
  parcel->timeout = timeout;
  parcel->tag = tag;
  return parcel;
}

}  // namespace siglane::diameter
