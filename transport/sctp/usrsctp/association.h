#pragma once
#include <memory>
#include <optional>
#include <utility>

#include "transport/sctp/association_base.h"
#include "transport/sctp/usrsctp/stack.h"

namespace siglane::transport {

class UsrsctpAssociation;

// What it asks of its transport besides.
class UsrsctpHost {
 public:
  // The stack may have said something that it did not tell of.
  virtual void read_soon(UsrsctpAssociation& association) = 0;
  virtual void about_to_send() = 0;

 protected:
  ~UsrsctpHost() = default;
};

// One association of the stack in this process, on its endpoint's shared socket or on its own.
class UsrsctpAssociation final : public SctpAssociationBase {
 public:
  UsrsctpAssociation(AssociationId id, SctpId stack_id,
                     std::shared_ptr<const SctpEndpoint> endpoint, UsrsctpSocket& shared,
                     SctpHost& host, UsrsctpHost& stack_host)
      : SctpAssociationBase(id, stack_id, std::move(endpoint), host),
        shared_(&shared),
        host_(stack_host) {}

  // Where it sits.
  UsrsctpSocket& socket() const { return own_ ? *own_ : *shared_; }
  bool peeled() const override { return own_ != nullptr; }
  void sit_on(std::unique_ptr<UsrsctpSocket> own) { own_ = std::move(own); }
  std::unique_ptr<UsrsctpSocket> take_socket() { return std::move(own_); }
  void pause_input(bool paused) override;
  bool paused() const { return paused_; }

  TransportKind kind() const override { return TransportKind::usrsctp; }
  void dry() override;
  AssociationStatus status() const override;

  PathId path = 0;  // held
  std::uint16_t peer_port = 0;
  SocketAddress local;  // once it is up

 private:
  void send_queued() override;
  bool established_in_stack() const override { return socket().is_established(stack_id()); }
  void records_sent() override;
  void shut_down() override { (void)socket().shut_down(stack_id()); }
  void abort() override;
  std::string cannot_secure_again() override;

  // SctpSecurity::Stack
  bool peer_has_auth() override;
  int set_auth_key(std::uint16_t number, Bytes key) override;
  int use_auth_key(std::uint16_t number) override;
  int delete_auth_key(std::uint16_t number) override;
  int send_record(const SendInfo& info, Bytes record, bool more) override;

  void hold_small(bool on);

  UsrsctpSocket* shared_;
  UsrsctpHost& host_;
  std::unique_ptr<UsrsctpSocket> own_;
  bool dry_subscribed_ = false, holding_small_ = false, paused_ = false;
};

}  // namespace siglane::transport
