// The directory of a zip archive in memory, for archives that store their entries and do not
// compress them, as torch.save writes them. Pure function.
// Source: PKWARE's APPNOTE.TXT 6.3, with the Zip64 extension.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace moefy::io {

// Names and bytes of the entries; both point into `file`. Throws Error{kInput} for anything but a
// whole archive of distinct stored entries that lie inside it. Checksums are not computed: that
// would read every weight.
using ZipEntries = std::map<std::string_view, std::span<const std::byte>>;
ZipEntries ReadZipDirectory(std::span<const std::byte> file);

}  // namespace moefy::io
