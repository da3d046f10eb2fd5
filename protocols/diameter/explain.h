#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocols/diameter/config.h"
#include "protocols/diameter/routing.h"

// Which way would a request go, and why not the others? For operators, by the code that routes.

namespace siglane::diameter {

// A request that may leave its realm (P bit) and has been nowhere yet.
struct RouteQuestion {
  std::string destination_realm, destination_host;  // empty: absent
  ApplicationId application{};
  std::string from = {};  // the name of the peer that sends it; empty: this node itself
};

// One way that it could take.
struct Way {
  enum class Kind : std::uint8_t { application, peer };
  enum class Verdict : std::uint8_t {
    chosen,
    outdone,   // it would do, and there is a better one
    unfit,     // it is none for such a request
    blocked,   // by the operator
    suspect,   // it has not answered its watchdog
    not_open,  // a configured peer without a connection
  };
  Kind kind{};
  std::string name;                                // the peer's, or that of the application
  std::string origin_host;                         // of a peer
  AssociationId connection = AssociationId::none;  // of a peer: it has a Way for each
  Verdict verdict{};
  double share = 0;  // of such requests, 0 to 1, by their end-to-end identifiers; not chosen: 0
  std::string why;   // in words that follow its name: "is of that realm"
};

struct Explanation {
  std::vector<Way> ways;  // the applications of this node, its open peers, and those configured
  std::optional<ResultCode> refusal;  // where no way is chosen: what the request is answered,
  std::string error_message;          // with this text
};

// As a request that is on `shard` would go. Any thread; both from one moment
// (DiameterModule::config(), routes()).
Explanation explain(const DiameterConfig& config, const RouteTable& routes, ShardId shard,
                    const RouteQuestion& question);

}  // namespace siglane::diameter
