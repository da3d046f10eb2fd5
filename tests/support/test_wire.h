#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "core/facts.h"
#include "core/transport.h"

namespace siglane::test {

// A transport whose associations are the test's: it adds and removes them, tells the shard what
// they report, and sees what is sent on them. They can be paused and moved to another Wire, as on
// real sockets.
class Wire final : public Transport {
 public:
  class Line;
  // Without one, everything is accepted.
  using OnSend = std::function<SendOutcome(Line& line, const Message& message)>;

  class Line final : public Association {
   public:
    Line(AssociationId id, bool own_socket, const OnSend* on_send)
        : own(own_socket), id_(id), on_send_(on_send) {}
    AssociationId id() const override { return id_; }
    SendOutcome send(Message&& message) override {
      if (on_send_ == nullptr || !*on_send_) return SendOutcome::accepted;
      return (*on_send_)(*this, message);
    }
    void close(CloseMode) override { closed = true; }

    bool own;  // or on a socket that it shares, where nobody is paused alone
    bool paused = false, closed = false;
    bool refusing = false;  // for the test's OnSend

   private:
    AssociationId id_;
    const OnSend* on_send_;
  };

  // `on_send` must outlive the lines, wherever they move to.
  explicit Wire(const OnSend* on_send = nullptr) : on_send_(on_send) {}

  Line& add(AssociationId id, bool own_socket) {
    auto& line = lines[id] = std::make_unique<Line>(id, own_socket, on_send_);
    return *line;
  }
  // nullptr: it is not here.
  Line* line(AssociationId id) const {
    const auto it = lines.find(id);
    return it == lines.end() ? nullptr : it->second.get();
  }
  // Onto a socket of its own, which ends a pause.
  void peel(AssociationId id) {
    lines.at(id)->own = true;
    lines.at(id)->paused = false;
  }

  Result<EndpointId> open(const EndpointConfig&, const Framing&) override {
    return EndpointId{++endpoints_};
  }
  AssociationId connect(EndpointId, const PeerConfig&) override { return AssociationId::none; }
  Association* find(AssociationId id) override { return line(id); }
  void bind(AssociationId, const PeerConfig&) override {}
  DetachOutcome detach(AssociationId id) override {
    return Peeled{std::make_unique<Cargo>(std::move(lines.extract(id).mapped()))};
  }
  void adopt(std::unique_ptr<DetachedAssociation> cargo) override {
    const AssociationId id = cargo->id();
    lines[id] = std::move(static_cast<Cargo&>(*cargo).line);
    peel(id);
  }
  void pause_input(AssociationId id) override { set_paused(id, true); }
  void resume_input(AssociationId id) override { set_paused(id, false); }
  Seat seat(AssociationId id) const override {
    return lines.at(id)->own ? Seat::own : Seat::shared;
  }
  std::optional<AssociationStatus> status(AssociationId) const override { return std::nullopt; }
  const Histogram* residence(AssociationId) const override { return nullptr; }

  std::map<AssociationId, std::unique_ptr<Line>> lines;

 private:
  struct Cargo final : DetachedAssociation {
    explicit Cargo(std::unique_ptr<Line> l) : line(std::move(l)) {}
    AssociationId id() const override { return line->id(); }
    std::unique_ptr<Line> line;
  };
  void set_paused(AssociationId id, bool paused) {
    if (Line* one = line(id)) one->paused = paused && one->own;
  }

  const OnSend* on_send_;
  std::uint32_t endpoints_ = 0;
};

struct NoFacts final : FactSink {
  void on_fact(const FactSource&, const Fact&, Instant) override {}
};

}  // namespace siglane::test
