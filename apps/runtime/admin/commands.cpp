#include "apps/runtime/admin/commands.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "apps/runtime/node.h"
#include "apps/runtime/printable.h"

namespace siglane::runtime {
namespace {

std::optional<PeerOrder> order_of(admin::OrderRequest::Verb verb) {
  switch (verb) {
    case admin::OrderRequest::DISCONNECT:
      return PeerOrder::disconnect;
    case admin::OrderRequest::CONNECT:
      return PeerOrder::connect;
    case admin::OrderRequest::BLOCK:
      return PeerOrder::block;
    case admin::OrderRequest::UNBLOCK:
      return PeerOrder::unblock;
    case admin::OrderRequest::PEEL:
      return PeerOrder::peel;
    default:
      return std::nullopt;
  }
}

}  // namespace

void answer_reload(Node& node, const admin::ReloadRequest& request,
                   std::shared_ptr<admin::Response> response,
                   std::function<void(admin::Response)> reply) {
  node.reload(request.dry_run(),
              [response, reply = std::move(reply)](const ReloadOutcome& outcome) {
                admin::Reloaded& reloaded = *response->mutable_reloaded();
                reloaded.set_good(outcome.good);
                reloaded.set_dry_run(outcome.dry_run);
                reloaded.set_revision(outcome.revision);
                reloaded.set_text(printable_lines(outcome.text));
                reply(std::move(*response));
              });
}

void answer_order(Node& node, const admin::OrderRequest& request,
                  std::shared_ptr<admin::Response> response,
                  std::function<void(admin::Response)> reply) {
  const auto order = order_of(request.verb());
  if (!order) {
    refuse(*response, admin::Error::UNIMPLEMENTED, "this node does not know what is asked");
    return reply(std::move(*response));
  }
  const std::string peer = request.peer();
  node.order(
      peer, *order,
      [response, reply = std::move(reply), peer](std::optional<std::size_t> associations) {
        if (!associations) {
          refuse(*response,
                 fmt::format("{} is not configured, and has no association", in_quotes(peer)));
        } else {
          response->mutable_ordered()->set_associations(static_cast<std::uint32_t>(*associations));
        }
        reply(std::move(*response));
      });
}

void answer_log_level(Node& node, const admin::LogLevelRequest& request,
                      admin::Response& response) {
  const auto level = log_level_of(request.level());
  if (!level) {
    return refuse(response, fmt::format("{} is not one of debug, info, warning, error, off",
                                        in_quotes(request.level())));
  }
  node.set_log_level(*level);
  response.mutable_log_level_set();
}

}  // namespace siglane::runtime
