#include "apps/ctl/table.h"

#include <algorithm>
#include <numeric>

namespace siglane::ctl {

namespace {

constexpr std::size_t kGap = 2;

std::string fitted(std::string_view cell, std::size_t width, bool right) {
  std::string text(cell.substr(0, width));
  if (cell.size() > width) text.back() = '~';
  text.insert(right ? 0 : text.size(), width - text.size(), ' ');
  return text;
}

}  // namespace

void Table::drop(std::string_view title) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].title != title) continue;
    columns_.erase(columns_.begin() + static_cast<std::ptrdiff_t>(i));
    for (auto& row : rows_) row.erase(row.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

std::string Table::text(std::size_t width_max) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_[i].title.size();
    for (const auto& row : rows_) width = std::max(width, row[i].size());
    widths.push_back(width);
  }
  const std::size_t gaps = columns_.empty() ? 0 : kGap * (columns_.size() - 1);
  while (std::accumulate(widths.begin(), widths.end(), gaps) > width_max) {
    std::size_t widest = columns_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const bool may = columns_[i].shrinks_to > 0 && widths[i] > columns_[i].shrinks_to;
      if (may && (widest == columns_.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == columns_.size()) break;
    --widths[widest];
  }

  std::string text;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line.append(kGap, ' ');
      line += fitted(cell_of(i), widths[i], columns_[i].right);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  };
  add_line([&](std::size_t i) { return columns_[i].title; });
  for (const auto& row : rows_) add_line([&](std::size_t i) { return std::string_view(row[i]); });
  return text;
}

}  // namespace siglane::ctl
