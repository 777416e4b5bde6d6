// Whether the processor multiplies and adds four bytes in one instruction.
#pragma once

namespace moefy::runtime {

bool HasAvx512Vnni();
bool HasAvxVnni();
// For tests of the ways without: both answer no while it is set.
void ForbidVnni(bool forbid);

}  // namespace moefy::runtime
