#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace siglane::ctl {

// Columns as wide as what stands in them. Where that is too wide for the line, those that may
// shrink do, the widest first, and what is cut off ends with `~`.
class Table {
 public:
  struct Column {
    std::string_view title;
    bool right = false;          // numbers
    std::size_t shrinks_to = 0;  // 0: never
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as columns.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // Leaves out a column.
  void drop(std::string_view title);
  // Lines without trailing blanks, each ended by a line break.
  std::string text(std::size_t width_max = 140) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace siglane::ctl
