// Rows of cells under a header that names the columns: TSV and CSV. Thread-safety: one owner.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "task/row_reader.h"

namespace moefy::task {

// `text` is UTF-8 and must outlive the reader. Both throw Error{kInput} when a wanted column is
// missing in the header or there twice.
// TSV has no quoting, as in GLUE.
std::unique_ptr<RowReader> MakeTsvReader(std::string_view text, std::vector<WantedColumn> wanted,
                                         TableOptions options);
// CSV follows RFC 4180, with any separator, and Excel's line "sep=;".
std::unique_ptr<RowReader> MakeCsvReader(std::string_view text, std::vector<WantedColumn> wanted,
                                         TableOptions options);

}  // namespace moefy::task
