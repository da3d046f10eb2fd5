#pragma once
#include <functional>
#include <utility>

#include "core/shard.h"
#include "protocols/diameter/application.h"
#include "protocols/diameter/module.h"
#include "protocols/diameter/parcels.h"

namespace siglane::diameter {

// The one way into an application from other threads of the program. What is posted runs on the
// application's shard, as a step of its own: there it may send requests, like the application.
//
//   diameter::Door door(at.shard, id, module);                        // at set-up
//   ...
//   door.post([](diameter::Application& application, Instant, Outbox& out) {   // on any thread
//     static_cast<Policy&>(application).ask_for_usage("001010000000001", out);
//   });
//
// A small value: copy it. Good as long as the node.
class Door {
 public:
  // `application` lives on that shard, and does not move.
  Door(Shard& shard, AssociationId application, DiameterModule& module)
      : mailbox_(&shard.mailbox()), application_(application), module_(&module) {}

  // false: too much waits for that shard, and this is not taken. Any thread. What waits when the
  // node stops is dropped.
  [[nodiscard]] bool post(CallParcel::Call what) const {
    Delivery delivery{AssociationId::none, application_,
                      std::make_unique<CallParcel>(std::move(what)), module_};
    return mailbox_->post_data(delivery);
  }

 private:
  Mailbox* mailbox_;
  AssociationId application_;
  DiameterModule* module_;
};

}  // namespace siglane::diameter
