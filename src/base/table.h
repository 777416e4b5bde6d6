// Tables for people: plain text in columns, the same in a terminal, a log and a file. Pure
// function.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace moefy {

// A table whose columns are as wide as their widest cell. The first `num_left` columns are aligned
// to the left, the others to the right. The width of a cell in UTF-8 is its number of code points.
std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows, size_t num_left = 1);

}  // namespace moefy
