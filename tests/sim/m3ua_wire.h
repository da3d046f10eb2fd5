#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "core/facts.h"
#include "core/transport.h"
#include "protocols/m3ua/message.h"

// What the M3UA nodes of a simulator stand on.
namespace siglane::m3ua {

// Associations that only show what is sent on them, and can be moved.
class Wire final : public Transport {
 public:
  using Sent = std::function<void(AssociationId on, const MessageView& message)>;

  class Line final : public Association {
   public:
    Line(AssociationId id, bool own_socket, const Sent& sent)
        : own(own_socket), id_(id), sent_(sent) {}
    AssociationId id() const override { return id_; }
    SendOutcome send(Message&& message) override {
      sent_(id_, *MessageView::parse(message.payload.bytes()));
      return SendOutcome::accepted;
    }
    void close(CloseMode) override { closed = true; }
    bool own, paused = false, closed = false;

   private:
    AssociationId id_;
    const Sent& sent_;
  };
  struct Cargo final : DetachedAssociation {
    explicit Cargo(std::unique_ptr<Line> l) : line(std::move(l)) {}
    AssociationId id() const override { return line->id(); }
    std::unique_ptr<Line> line;
  };

  Result<EndpointId> open(const EndpointConfig&, const Framing&) override { return EndpointId{1}; }
  AssociationId connect(EndpointId, const PeerConfig&) override { return AssociationId::none; }
  Association* find(AssociationId id) override {
    const auto it = lines.find(id);
    return it == lines.end() ? nullptr : it->second.get();
  }
  void bind(AssociationId, const PeerConfig&) override {}
  DetachOutcome detach(AssociationId id) override {
    auto line = std::move(lines.at(id));
    lines.erase(id);
    return Peeled{std::make_unique<Cargo>(std::move(line))};
  }
  void adopt(std::unique_ptr<DetachedAssociation> cargo) override {
    auto line = std::move(static_cast<Cargo&>(*cargo).line);
    line->own = true;
    line->paused = false;
    const AssociationId id = line->id();
    lines[id] = std::move(line);
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
  void set_paused(AssociationId id, bool paused) {
    const auto line = lines.find(id);
    if (line != lines.end()) line->second->paused = paused && line->second->own;
  }
};

struct NoFacts final : FactSink {
  void on_fact(const FactSource&, const Fact&, Instant) override {}
};

}  // namespace siglane::m3ua
