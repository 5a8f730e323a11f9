#include "agent/ctl/table.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace daemonsetd::ctl {
namespace {

constexpr std::size_t kGap = 3;

// Code points, which are columns for the texts that names and reasons hold.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Table::Table(std::vector<std::string> heads) : heads_(std::move(heads)), widths_(heads_.size()) {}

void Table::Add(std::vector<std::string> cells) {
  assert(cells.size() == heads_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::Render(bool with_heads) {
  std::vector<std::vector<std::string>> rows = std::exchange(rows_, {});
  if (with_heads) rows.insert(rows.begin(), heads_);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths_[i] = std::max(widths_[i], Width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths_[i] - Width(row[i]) + kGap, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);  // an empty last cell
    text += '\n';
  }
  return text;
}

}  // namespace daemonsetd::ctl
