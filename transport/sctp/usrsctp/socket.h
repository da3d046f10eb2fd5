#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/association.h"
#include "core/config.h"
#include "transport/sctp/notification.h"
#include "transport/socket_option.h"

struct socket;  // usrsctp's; <usrsctp.h> stays in the .cpp files: the kernel's names are the same

namespace siglane::transport {

// What usrsctp takes for an address (AF_CONN): a number for one pair of UDP addresses, ours and the
// peer's. UsrsctpStack computes it, always the same for one pair: it travels in cookies, and the
// stack need not remember whom it gave which. 0: none.
using PathId = std::uint64_t;

struct UsrsctpAddress {
  PathId path = 0;
  std::uint16_t port = 0;
};

// A socket of the SCTP stack in this process, one-to-many or peeled off, never blocking. Values in,
// errno values out (0: done). None of it may be called from inside the stack, i.e. from `readable`
// or while it sends a packet.
class UsrsctpSocket {
 public:
  struct Opened {
    std::unique_ptr<UsrsctpSocket> socket;
    int error = 0;
    std::string step;  // what failed
  };
  // `port` 0: any that is free. Everything that has to be set before an association exists is.
  static Opened open_one_to_many(std::uint16_t port, const SctpOptions& options);
  // SCTP_NODELAY and buffers of the socket, and what associations to come begin with.
  [[nodiscard]] OptionOutcome set_options(const SctpOptions& options);
  // Aborts what lives on it.
  ~UsrsctpSocket();
  UsrsctpSocket(const UsrsctpSocket&) = delete;
  UsrsctpSocket& operator=(const UsrsctpSocket&) = delete;

  // Called by the stack, inside it, when something arrived; not level-triggered.
  void on_readable(std::function<void()> readable) { readable_ = std::move(readable); }
  bool readable() const;
  // For whoever is called: has this been noted already?
  bool noted = false;
  [[nodiscard]] int listen();
  std::uint16_t port() const { return port_; }

  struct Connected {
    SctpId id = 0;
    int error = 0;  // 0 also while the handshake is under way
  };
  Connected connect(UsrsctpAddress peer);

  struct Piece {
    int error = 0;  // EAGAIN: nothing waits
    std::size_t size = 0;
    bool end_of_file = false;
    bool is_notification = false;
    bool ends = false;
    SctpId id = 0;  // of data; a notification tells its own
    StreamId stream{};
    PayloadProtocol protocol{};
    bool unordered = false;
  };
  Piece receive(std::span<std::byte> into);
  [[nodiscard]] int send(SctpId id, const Message& message) {
    return send(id, {message.stream, message.protocol, message.unordered}, message.payload.bytes());
  }
  [[nodiscard]] int send(SctpId id, const SendInfo& info, Bytes bytes);
  // While on, what is small waits for company if something is in flight. Off: as the options say.
  void hold_small(bool on);

  // SCTP-AUTH (RFC 4895), before associations exist. With `require`, DATA chunks of a peer that
  // does not authenticate them are dropped.
  [[nodiscard]] int enable_auth(bool require);
  bool peer_has_auth(SctpId id) const;
  // Of one association. No bytes: the empty key.
  [[nodiscard]] int set_auth_key(SctpId id, std::uint16_t number, Bytes key);
  [[nodiscard]] int use_auth_key(SctpId id, std::uint16_t number);
  [[nodiscard]] int delete_auth_key(SctpId id, std::uint16_t number);

  // For one association: tell when nothing is unsent or unacknowledged any more.
  [[nodiscard]] int subscribe_dry(SctpId id, bool on);
  bool is_dry(SctpId id) const;
  // false: it is ending, or there is no such association.
  bool is_established(SctpId id) const;

  // RFC 9260 §9.2, §9.1. The notification follows.
  [[nodiscard]] int shut_down(SctpId id);
  [[nodiscard]] int abort(SctpId id);

  // The association's own socket, with all that waits for it; nullptr and an errno value otherwise.
  std::unique_ptr<UsrsctpSocket> peel_off(SctpId id, int& error);

  std::vector<UsrsctpAddress> peers(SctpId id) const;

 private:
  UsrsctpSocket(struct ::socket* so, std::uint16_t port, bool nodelay)
      : so_(so), port_(port), nodelay_(nodelay) {}
  void watch();

  struct ::socket* so_;
  std::uint16_t port_;
  bool nodelay_;
  std::function<void()> readable_;
};

// A notification of usrsctp, whose layouts are not Linux's. An address in it is a PathId, which
// `name` makes text of. Total: nullopt is "malformed".
std::optional<Notification> parse_usrsctp_notification(
    Bytes bytes, const std::function<std::string(PathId)>& name);

}  // namespace siglane::transport
