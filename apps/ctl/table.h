#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace siglane::ctl {

// Columns as wide as what stands in them. Where that is too wide for the line, those that may be
// left out are, the last one first; then those that may shrink do, the widest first, and what is
// cut off ends with `~`.
class Table {
 public:
  struct Column {
    std::string_view title;
    bool right = false;          // numbers
    std::size_t shrinks_to = 0;  // 0: never
    bool optional = false;       // may be left out
  };
  static constexpr std::size_t kWidth = 140;  // of a line, where no terminal says otherwise

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns. What is not printable ASCII in them is escaped: a cell neither ends
  // its line nor tells the terminal anything, and is as wide as its bytes are many.
  void add(std::vector<std::string> cells);
  // Leaves out a column.
  void drop(std::string_view title);
  // Lines without trailing blanks, each ended by a line break.
  std::string text(std::size_t width_max = kWidth) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// What fits a screen of so many lines and columns: the first lines, how many are left out, and the
// last one, which sums up.
std::string fitted_to_screen(std::string_view text, std::size_t lines_max, std::size_t width_max);

}  // namespace siglane::ctl
