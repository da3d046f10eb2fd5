#include "transport/loop/uv_handles.h"

#include <algorithm>
#include <string>

namespace siglane::transport {
namespace detail {

template <class BoxType>
void close_box(BoxType* box) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&box->handle);
  if (uv_is_closing(handle)) return;
  uv_close(handle, [](uv_handle_t* closed) {
    std::unique_ptr<BoxType> dead(static_cast<BoxType*>(closed->data));
    if (dead->then) dead->then();
  });
}

template void close_box(Box<uv_poll_t, PollEvents>*);
template void close_box(Box<uv_timer_t>*);
template void close_box(Box<uv_async_t>*);
template void close_box(Box<uv_prepare_t>*);
template void close_box(Box<uv_check_t>*);
template void close_box(Box<uv_idle_t>*);

}  // namespace detail

namespace {

template <class BoxType>
detail::BoxPtr<BoxType> make_box(decltype(BoxType::callback) callback) {
  auto box = detail::BoxPtr<BoxType>(new BoxType);
  box->callback = std::move(callback);
  return box;
}

// libuv keeps `data` as it was before init; set after it all the same.
template <class BoxType>
void bind(BoxType& box) {
  box.handle.data = &box;
}

template <class BoxType, class Handle>
BoxType& box_of(Handle* handle) {
  return *static_cast<BoxType*>(handle->data);
}

}  // namespace

Result<Poll> Poll::create(uv_loop_t* loop, int fd, Callback callback) {
  auto box = std::make_unique<Box>();
  box->callback = std::move(callback);
  // On failure libuv has not taken the handle, so the box dies here without a close.
  if (const int error = uv_poll_init(loop, &box->handle, fd); error != 0) {
    return failure("descriptor " + std::to_string(fd) +
                   " cannot be watched: " + uv_strerror(error));
  }
  bind(*box);
  return Poll(detail::BoxPtr<Box>(box.release()));
}

void Poll::watch(bool readable, bool writable) {
  if (!box_) return;
  const int wanted = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  if (wanted == watched_ &&
      (wanted == 0 || uv_is_active(reinterpret_cast<uv_handle_t*>(&box_->handle)) != 0)) {
    return;
  }
  watched_ = wanted;
  if (wanted == 0) {
    uv_poll_stop(&box_->handle);
    return;
  }
  uv_poll_start(&box_->handle, wanted, [](uv_poll_t* handle, int status, int events) {
    box_of<Box>(handle).callback(
        PollEvents{(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0, std::min(status, 0)});
  });
}

void Poll::close(std::function<void()> then) {
  if (!box_) return;
  box_->then = std::move(then);
  box_.reset();
}

Timer::Timer(uv_loop_t* loop, std::function<void()> callback)
    : box_(make_box<Box>(std::move(callback))) {
  uv_timer_init(loop, &box_->handle);
  bind(*box_);
}

void Timer::start(std::uint64_t milliseconds) {
  uv_timer_start(
      &box_->handle, [](uv_timer_t* handle) { box_of<Box>(handle).callback(); }, milliseconds, 0);
}

void Timer::start_after(Duration delay) {
  start_at(Instant(Duration(static_cast<std::int64_t>(uv_hrtime()))) + delay);
}

void Timer::start_at(Instant at) {
  // libuv counts from its cached clock, whole milliseconds of the same CLOCK_MONOTONIC.
  const std::int64_t due = (at.time_since_epoch().count() + 999'999) / 1'000'000;
  const auto now = static_cast<std::int64_t>(uv_now(box_->handle.loop));
  start(static_cast<std::uint64_t>(std::max<std::int64_t>(0, due - now)));
}

void Timer::stop() {
  uv_timer_stop(&box_->handle);
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&box_->handle)) != 0;
}

Async::Async(uv_loop_t* loop, std::function<void()> callback)
    : box_(make_box<Box>(std::move(callback))) {
  // Cannot fail: the loop made its wake-up descriptor when it was initialised.
  uv_async_init(loop, &box_->handle, [](uv_async_t* handle) { box_of<Box>(handle).callback(); });
  bind(*box_);
}

void Async::send() {
  uv_async_send(&box_->handle);
}

Prepare::Prepare(uv_loop_t* loop, std::function<void()> callback)
    : box_(make_box<Box>(std::move(callback))) {
  uv_prepare_init(loop, &box_->handle);
  bind(*box_);
  uv_prepare_start(&box_->handle, [](uv_prepare_t* handle) { box_of<Box>(handle).callback(); });
}

Check::Check(uv_loop_t* loop, std::function<void()> callback)
    : box_(make_box<Box>(std::move(callback))) {
  uv_check_init(loop, &box_->handle);
  bind(*box_);
  uv_check_start(&box_->handle, [](uv_check_t* handle) { box_of<Box>(handle).callback(); });
}

void Prepare::unref() {
  uv_unref(reinterpret_cast<uv_handle_t*>(&box_->handle));
}

void Check::unref() {
  uv_unref(reinterpret_cast<uv_handle_t*>(&box_->handle));
}

Soon::Soon(uv_loop_t* loop, std::function<void()> callback)
    : box_(make_box<Box>(std::move(callback))) {
  uv_idle_init(loop, &box_->handle);
  bind(*box_);
}

void Soon::schedule() {
  uv_idle_start(&box_->handle, [](uv_idle_t* handle) {
    uv_idle_stop(handle);
    box_of<Box>(handle).callback();
  });
}

void Soon::cancel() {
  uv_idle_stop(&box_->handle);
}

}  // namespace siglane::transport
