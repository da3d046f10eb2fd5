#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/counters.h"
#include "core/mailbox.h"
#include "core/peer_table.h"
#include "core/session.h"

namespace siglane {

// Why somebody is turned away: as what that is counted, and in words.
struct Objection {
  Counter counter;
  std::string why;
};

// What to answer an association that says which peer it is.
struct Bind {};     // it is that peer, if that may have one more association
struct Inquire {};  // that peer has all it may have: ask whether they stay, and look again then
struct Refuse {
  std::string why;
  bool connected_already = false;  // it may be that peer, but that has all it may have
};
using Verdict = std::variant<Bind, Inquire, Refuse>;

// An association of which nobody knows yet which peer it is, and what it has claimed to be.
class Unidentified {
 public:
  // How many inputs are held of one that waits to hear whether it may be who it says. It is not
  // read meanwhile, if it has a socket of its own.
  static constexpr std::size_t kHeldMax = 64;

  Unidentified(Instant by, std::vector<std::string> addresses,
               std::optional<std::vector<std::string>> names)
      : identify_by(by),
        remote_addresses(std::move(addresses)),
        certificate_names(std::move(names)) {}

  const Instant identify_by;
  const std::vector<std::string> remote_addresses;
  const std::optional<std::vector<std::string>> certificate_names;  // nothing: it has shown none
  bool noted = false;  // that it was turned away, or has gone

  // `peer` has as many associations as it may. Inquire the first time: from here on this one is
  // claiming, until settled(). If they are all still there when it looks again: Refuse.
  Verdict claim(const std::string& peer, std::size_t connections_max);
  // So many of them are asked whether they stay. true: that was the last one's answer.
  void asked(std::size_t holders) { unanswered_ = holders; }
  [[nodiscard]] bool answered() { return unanswered_ == 0 || --unanswered_ == 0; }
  bool claiming() const { return !claim_.empty(); }
  const std::string& claimed() const { return claim_; }
  // What comes for it while it is claiming. false: that is more than may be held. Its Down always
  // is.
  [[nodiscard]] bool hold(SessionInput&& input);
  // Its Down is held.
  bool is_down() const {
    return !held_.empty() && std::holds_alternative<AssociationDown>(held_.back());
  }
  std::vector<SessionInput> take_held() { return std::exchange(held_, {}); }
  void settled() { claim_.clear(); }

 private:
  std::string claim_;  // the peer's name; empty: none
  std::size_t unanswered_ = 0;
  std::vector<SessionInput> held_;
};

// Who may connect to a node, and who may be which peer, by its config. Decides, and carries out
// nothing. Which peers have an association already stands in the Directory.
class Admission {
 public:
  explicit Admission(const PeerTable& peers) : peers_(&peers) {}
  // Judges by these from now on.
  void use(const PeerTable& peers) { peers_ = &peers; }
  // From now on everybody is turned away.
  void stop() { stopping_ = true; }

  // To somebody who has just connected, before a handshake that secures it.
  std::optional<Objection> to_newcomer(const std::vector<std::string>& addresses) const;
  // To an association that is up.
  std::optional<Objection> to_association(const AssociationUp& up) const;
  std::unique_ptr<Unidentified> unidentified(const AssociationUp& up, Instant now) const;

  // It says that it is `peer`. `connected_to`: the peer that we connected to by this association;
  // empty: it has connected to us.
  Verdict judge(const Unidentified& who, const std::string& connected_to,
                const std::string& peer) const;
  // It says so again, after it was identified as `identified`.
  static Verdict judge_again(const std::string& identified, const std::string& peer);

 private:
  const PeerTable* peers_;
  bool stopping_ = false;
};

// --- Inquiries ----------------------------------------------------------------------------------

// How many turns of its loop a shard has to read the end of the old association. Of a loop that has
// nothing else to do, microseconds. Each turn reads only a part of what waits in a socket (of TCP,
// 64 KiB), and the end is behind all of it.
inline constexpr unsigned kTurnsToReadAll = 64;

// Where an inquiry goes next, from the shard `here`.
struct InquireLater {
  ShardId at{};
};                        // behind what that shard reads in this turn
struct AskItsSession {};  // whether it stays: Superseded
struct AnswerNow {};      // the claimant looks again
using InquiryStep = std::variant<InquireLater, AskItsSession, AnswerNow>;

// `home`: where the holder lives, as far as `here` knows; nothing: nowhere any more. Counts
// `inquiry.turns` down.
InquiryStep next_step(Inquiry& inquiry, ShardId here, bool holder_is_here,
                      std::optional<ShardId> home);

}  // namespace siglane
