#include "apps/load/answer_log.h"

#include <cerrno>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

namespace siglane::load {
namespace {

std::string hex(Bytes bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    fmt::format_to(std::back_inserter(text), "{:02x}", std::to_integer<unsigned>(b));
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<AnswerLog>> AnswerLog::create(const std::string& file) {
  std::ofstream out(file, std::ios::trunc);
  if (!out) return failure(fmt::format("cannot write answers to {}: {}", file, strerror(errno)));
  return std::unique_ptr<AnswerLog>(new AnswerLog(file, std::move(out)));
}

void AnswerLog::aia(std::string_view imsi, std::string_view mme, Bytes rand, Bytes autn) {
  out_ << fmt::format(
      "{{\"answer\":\"AIA\",\"imsi\":\"{}\",\"mme\":\"{}\",\"rand\":\"{}\",\"autn\":\"{}\"}}\n",
      imsi, mme, hex(rand), hex(autn));
}

void AnswerLog::ula(std::string_view imsi, std::string_view mme) {
  out_ << fmt::format("{{\"answer\":\"ULA\",\"imsi\":\"{}\",\"mme\":\"{}\"}}\n", imsi, mme);
}

void AnswerLog::pua(std::string_view imsi, std::string_view mme) {
  out_ << fmt::format("{{\"answer\":\"PUA\",\"imsi\":\"{}\",\"mme\":\"{}\"}}\n", imsi, mme);
}

Result<void> AnswerLog::finish() {
  out_.flush();
  if (!out_) return failure(fmt::format("cannot write answers to {}", file_));
  return {};
}

}  // namespace siglane::load
