// A handshake and what follows, between two channels, by a script: the input says who speaks, what
// is changed, lost, doubled or swapped on the way, and where it goes on with bytes of its own.
// Whatever happens on the way, nobody may read what the other has not written, a message has the
// tag of the record that brought it, and who sealed a message can read it again.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "tests/support/certificates.h"
#include "transport/secure/channel.h"

using namespace siglane;
using namespace siglane::transport;

namespace {

struct Packet {
  std::vector<std::byte> bytes;
  std::uint64_t tag = 0;  // of the record of a message: its number, from 1 on
};

constexpr std::size_t kStepsMax = 200;

std::shared_ptr<const TlsContext> context(TlsMode mode, bool server) {
  static const testing::TemporaryDirectory directory;
  static const testing::Authority authority;
  static const TlsConfig configs[] = {authority.issue_files_for("a.example", directory, "a"),
                                      authority.issue_files_for("b.example", directory, "b")};
  static std::shared_ptr<const TlsContext> made[2][2];
  auto& context = made[mode == TlsMode::messages][server];
  if (context == nullptr) context = TlsContext::load(configs[server], mode).value();
  return context;
}

// What to do next, byte by byte; zeros when it is over.
class Script {
 public:
  explicit Script(Bytes bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  unsigned u8() { return take(1).empty() ? 0 : std::to_integer<unsigned>(last_.front()); }
  std::size_t u16() {
    const unsigned high = u8();
    return high << 8 | u8();
  }
  Bytes take(std::size_t size) {
    last_ = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(last_.size());
    return last_;
  }

 private:
  Bytes bytes_, last_;
};

struct End {
  End(TlsMode mode, bool server)
      : channel(context(mode, server),
                server ? SecureChannel::Role::accepting : SecureChannel::Role::connecting,
                server ? "" : "b.example") {}

  SecureChannel channel;
  std::deque<Packet> under_way;  // to the other
  std::vector<std::string> written;
  std::string all_written, all_read;
};

class Pair {
 public:
  explicit Pair(TlsMode mode) : mode_(mode), ends_{End(mode, false), End(mode, true)} {}

  void step(Script& script) {
    const unsigned what = script.u8();
    End& from = ends_[what & 1];
    End& to = ends_[(what & 1) ^ 1];
    switch (what >> 1 & 7) {
      case 0:
        deliver_all(from, to);
        break;
      case 1:  // changed on the way
        if (!from.under_way.empty()) {
          auto& bytes = from.under_way.front().bytes;
          bytes[script.u16() % bytes.size()] ^= std::byte(script.u8());
        }
        deliver_one(from, to);
        break;
      case 2:  // cut
        if (!from.under_way.empty()) {
          auto& bytes = from.under_way.front().bytes;
          bytes.resize(1 + script.u16() % bytes.size());
        }
        deliver_one(from, to);
        break;
      case 3:
        to.channel.receive(script.take(script.u8()));
        break;
      case 4:
        write(from, std::string(script.u16() % 20000, static_cast<char>('a' + script.u8() % 26)));
        break;
      case 5:
        from.channel.close();
        break;
      case 6:  // lost
        if (!from.under_way.empty()) from.under_way.pop_front();
        break;
      case 7:  // doubled, behind the others
        if (!from.under_way.empty()) from.under_way.push_back(from.under_way.front());
        break;
    }
    settle(from);
    settle(to);
  }

 private:
  void write(End& end, std::string text) {
    if (!end.channel.write(as_bytes(text))) return;
    end.all_written += text;
    end.written.push_back(std::move(text));
    if (mode_ == TlsMode::stream || end.written.back().empty()) return;
    const auto clear = end.channel.unseal(end.channel.output());
    if (!clear || as_text(*clear) != end.written.back()) std::abort();
    put_on_its_way(end, end.written.size());
  }
  static void put_on_its_way(End& end, std::uint64_t tag) {
    const Bytes out = end.channel.output();
    end.under_way.push_back({{out.begin(), out.end()}, tag});
    end.channel.sent(out.size());
  }
  void deliver_one(End& from, End& to) {
    if (from.under_way.empty()) return;
    to.channel.receive(from.under_way.front().bytes, from.under_way.front().tag);
    from.under_way.pop_front();
  }
  void deliver_all(End& from, End& to) {
    while (!from.under_way.empty()) deliver_one(from, to);
  }
  // Reads everything, and puts on its way what is to be sent.
  void settle(End& end) {
    const End& other = ends_[&end == &ends_[0] ? 1 : 0];
    std::array<std::byte, SecureChannel::kMessageBytesMax> space;
    while (const std::size_t got = end.channel.read(space)) {
      const std::string text(as_text(Bytes(space).first(got)));
      end.all_read += text;
      const std::uint64_t number = end.channel.tag();
      const bool right =
          mode_ == TlsMode::messages
              ? number > 0 && number <= other.written.size() && other.written[number - 1] == text
              : other.all_written.starts_with(end.all_read);
      if (!right) std::abort();
    }
    const bool failed = end.channel.state() == SecureChannel::State::failed;
    if (failed == end.channel.problem().empty()) std::abort();
    while (!end.channel.output().empty()) put_on_its_way(end, 0);
  }

  TlsMode mode_;
  End ends_[2];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script script(std::as_bytes(std::span(data, size)));
  Pair pair((script.u8() & 1) != 0 ? TlsMode::messages : TlsMode::stream);
  for (std::size_t steps = 0; steps < kStepsMax && !script.done(); ++steps) pair.step(script);
  return 0;
}
