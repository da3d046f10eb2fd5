#pragma once
#include <string>

#include "apps/runtime/admin_frame.h"
#include "core/result.h"
#include "core/time.h"

namespace siglane::ctl {

namespace admin = siglane::admin::v1;

// A connection to one node's admin socket. Blocks, for as long as it was told.
class AdminClient {
 public:
  // The error says that nobody is there, and what to look for; or that the node is there, and has
  // let nobody in for so long.
  static Result<AdminClient> connect(const std::string& path, Duration timeout);
  AdminClient(AdminClient&& other) noexcept;
  AdminClient& operator=(AdminClient&& other) noexcept;
  ~AdminClient();

  // An Error of the node's is an error here. After any error: connect anew.
  Result<admin::Response> ask(const admin::Request& request, Duration timeout);

 private:
  AdminClient(std::string path, int fd);
  Error complaint(std::string_view what) const;

  std::string path_;
  int fd_ = -1;
  runtime::AdminFrames frames_;
};

}  // namespace siglane::ctl
