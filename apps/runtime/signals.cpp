#include "apps/runtime/signals.h"

#include <csignal>

#include <fmt/format.h>

namespace siglane::runtime {

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

void SignalWatch::Close::operator()(Box* box) const {
  uv_close(reinterpret_cast<uv_handle_t*>(&box->handle),
           [](uv_handle_t* handle) { delete static_cast<Box*>(handle->data); });
}

Result<SignalWatch> SignalWatch::create(uv_loop_t* loop, int signal,
                                        std::function<void()> callback) {
  auto box = std::make_unique<Box>();
  box->callback = std::move(callback);
  if (const int error = uv_signal_init(loop, &box->handle); error != 0) {
    return failure(fmt::format("signal {} cannot be watched: {}", signal, uv_strerror(error)));
  }
  box->handle.data = box.get();
  SignalWatch watch(std::unique_ptr<Box, Close>(box.release()));
  const int error = uv_signal_start(
      &watch.box_->handle,
      [](uv_signal_t* handle, int) { static_cast<Box*>(handle->data)->callback(); }, signal);
  if (error != 0) {
    return failure(fmt::format("signal {} cannot be watched: {}", signal, uv_strerror(error)));
  }
  uv_unref(reinterpret_cast<uv_handle_t*>(&watch.box_->handle));
  return watch;
}

}  // namespace siglane::runtime
