// Parallel text: a file for each field, in which line i belongs to example i.
// Thread-safety: one owner.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "task/row_reader.h"

namespace moefy::task {

// `texts[i]` is the file of `wanted[i]`; they must outlive the reader. Throws Error{kInput} unless
// all have as many lines.
std::unique_ptr<RowReader> MakeParallelReader(std::vector<std::string_view> texts,
                                              const std::vector<WantedColumn>& wanted);

}  // namespace moefy::task
