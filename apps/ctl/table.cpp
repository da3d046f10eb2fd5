#include "apps/ctl/table.h"

#include <algorithm>
#include <numeric>

#include "apps/runtime/printable.h"

namespace siglane::ctl {

namespace {

constexpr std::size_t kGap = 2;

std::string fitted(std::string_view cell, std::size_t width, bool right) {
  std::string text(cell.substr(0, width));
  if (cell.size() > width && width > 0) text.back() = '~';
  text.insert(right ? 0 : text.size(), width - text.size(), ' ');
  return text;
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = runtime::printable(cell, "");
  rows_.push_back(std::move(cells));
}

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
  if (std::accumulate(widths.begin(), widths.end(), gaps) > width_max) {
    const auto last = std::find_if(columns_.rbegin(), columns_.rend(),
                                   [](const Column& column) { return column.optional; });
    if (last != columns_.rend()) {
      Table without = *this;
      without.drop(last->title);
      return without.text(width_max);
    }
  }
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

std::string fitted_to_screen(std::string_view text, std::size_t lines_max, std::size_t width_max) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::string out;
  const auto add = [&](std::string_view line) {
    out += line.size() <= width_max ? line : fitted(line, width_max, false);
    out += '\n';
  };
  const bool all = lines.size() <= lines_max || lines_max < 3;
  const std::size_t first = all ? std::min(lines.size(), lines_max) : lines_max - 2;
  for (std::size_t i = 0; i < first; ++i) add(lines[i]);
  if (all) return out;
  add("... and " + std::to_string(lines.size() - first - 1) + " lines more than fit this screen");
  add(lines.back());
  return out;
}

}  // namespace siglane::ctl
