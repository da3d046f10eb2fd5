#pragma once
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"

namespace siglane::load {

// What was answered with success, one JSON object to a line, in the order of arrival: for tests
// that look afterwards whether the HSS has kept what it said.
//
//   {"answer":"AIA","imsi":"001010000000007","mme":"mme01...","rand":"<hex>","autn":"<hex>"}
//   {"answer":"ULA","imsi":"001010000000007","mme":"mme01..."}
//
// An AIA with several vectors takes as many lines.
class AnswerLog {
 public:
  static Result<std::unique_ptr<AnswerLog>> create(const std::string& file);

  void aia(std::string_view imsi, std::string_view mme, Bytes rand, Bytes autn);
  void ula(std::string_view imsi, std::string_view mme);
  void pua(std::string_view imsi, std::string_view mme);
  // Writes out what is buffered; an error names the file.
  Result<void> finish();

 private:
  AnswerLog(std::string file, std::ofstream out) : file_(std::move(file)), out_(std::move(out)) {}

  std::string file_;
  std::ofstream out_;
};

}  // namespace siglane::load
