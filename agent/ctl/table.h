// Columns as kubectl prints them: upper-case heads, left-aligned, three spaces between.
#pragma once

#include <string>
#include <vector>

namespace daemonsetd::ctl {

class Table {
 public:
  explicit Table(std::vector<std::string> heads);

  // As many cells as heads. An empty cell prints as it is: write "<none>" where kubectl does.
  void Add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // Renders and forgets the rows. Widths only grow, so that the lines of a watch stay below their heads.
  std::string Render(bool with_heads);

 private:
  std::vector<std::string> heads_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace daemonsetd::ctl
