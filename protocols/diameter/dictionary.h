#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocols/diameter/avp.h"
#include "protocols/diameter/constants.h"
#include "protocols/diameter/message.h"

// The dictionaries of config/dictionaries/*.json as tables, and what they say of a message.

namespace siglane::diameter {

// One line of a command's or a group's grammar (RFC 6733 §3.2). A place that the grammar fixes is
// not insisted on: "the Session-Id SHOULD appear immediately following the Diameter header" (§8.8).
struct Rule {
  static constexpr std::uint16_t kMany = 0xffff;

  std::uint16_t avp;  // index into the dictionary's AVPs
  std::uint16_t min;
  std::uint16_t max;
};

// `*[ AVP ]` in the grammar: others may occur too.
struct Grammar {
  static constexpr std::size_t kRulesMax = 64;  // the generator sees to it

  std::span<const Rule> rules;
  bool open = true;
};

struct AvpEntry {
  AvpDef def;
  Grammar group;  // of a Grouped AVP
};

struct CommandEntry {
  CommandDef def;
  Grammar request, answer;
};

struct ApplicationEntry {
  ApplicationId id;
  VendorId vendor;
  std::string_view name;
};

// A Result-Code, or an Experimental-Result-Code of 3GPP.
struct ResultEntry {
  ResultCode code;
  bool experimental;
  std::string_view name;  // "SUCCESS"
};

// What a message does wrong, as RFC 6733 §7.1.5 names it, with what its Failed-AVP must hold. Views
// the message.
struct Violation {
  std::size_t offset = 0;  // in the message
  ResultCode result{};
  std::string_view what;            // of the AVP: "is missing"; without one, of the message
  Bytes offending;                  // the AVP as received; if `broken`, all that is left of it
  bool broken = false;              // its length is impossible
  const AvpDef* example = nullptr;  // missing, or broken and known: one of this kind
  // The other one, where it takes two to be wrong.
  Bytes offending_too = {};
  const AvpDef* example_too = nullptr;

  // The sentence for Error-Message and log, with the AVP's name and code: "Origin-Host (264) is
  // missing".
  std::string text() const;
  // Appends Failed-AVP (RFC 6733 §7.5) with a copy of the offending AVP, or with an example of
  // minimum length filled with zeros.
  void add_failed_avp(MessageBuilder& answer) const;
};

class Dictionary {
 public:
  struct Tables {
    std::span<const AvpEntry> avps;
    std::span<const std::uint16_t> slots;    // open addressing, a power of two, at most half full
    std::span<const CommandEntry> commands;  // sorted by code
    std::span<const ApplicationEntry> applications;
    std::span<const ResultEntry> results;
  };
  explicit constexpr Dictionary(Tables tables) : tables_(tables) {}

  const AvpEntry* find(std::uint32_t code, VendorId vendor) const {
    const std::size_t mask = tables_.slots.size() - 1;
    for (std::size_t at = hash(code, vendor) & mask;; at = (at + 1) & mask) {
      const std::uint16_t index = tables_.slots[at];
      if (index == kFree) return nullptr;
      const AvpEntry& entry = tables_.avps[index];
      if (entry.def.code == code && entry.def.vendor == vendor) return &entry;
    }
  }
  const AvpEntry* find(std::string_view avp_name) const;
  const CommandEntry* find(CommandCode code) const;
  const ApplicationEntry* find(ApplicationId id) const;
  const ResultEntry* find(ResultCode code, bool experimental) const;

  const AvpEntry& avp(std::uint16_t index) const { return tables_.avps[index]; }
  std::span<const AvpEntry> avps() const { return tables_.avps; }
  std::span<const CommandEntry> commands() const { return tables_.commands; }
  std::span<const ApplicationEntry> applications() const { return tables_.applications; }

  static constexpr std::uint16_t kFree = 0xffff;
  static constexpr std::size_t hash(std::uint32_t code, VendorId vendor) {
    return (code ^ vendor * 0x9e5u) * 0x9e3779b1u >> 16;
  }

 private:
  Tables tables_;
};

// The one built in.
const Dictionary& dictionary();

// An AVP as an operator finds it in a dictionary: "Visited-PLMN-Id (1407, vendor 10415)".
std::string avp_text(std::uint32_t code, VendorId vendor, std::string_view name);

// The AVP at `offset` whose length is impossible: what MessageView::parse complained of.
Violation broken_avp(Bytes message, std::size_t offset, const Dictionary& dictionary);

// Every AVP of the message, groups included, against the dictionary: its flags (3009), that it is
// known or need not be (5001), its length (5014) and its value (5004). Values of Enumerated AVPs
// beyond those listed pass: lists grow. nullopt: all in order. Allocates nothing.
std::optional<Violation> validate(const MessageView& message, const Dictionary& dictionary,
                                  std::size_t depth_max = 8);

// What the grammar of its command says (RFC 6733 §3.2), groups included: missing AVPs (5005), too
// many (5009), not allowed (5008). A command the dictionary does not know: 3001. An answer with the
// E bit has the grammar of §7.2. Allocates nothing.
std::optional<Violation> check_command(const MessageView& message, const Dictionary& dictionary,
                                       std::size_t depth_max = 8);

}  // namespace siglane::diameter
