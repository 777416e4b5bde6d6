// This header says which sources the program was built from.
#pragma once

namespace moefy::apps {

// As `git describe` named the sources when the build was last configured; "unknown" outside of a
// repository. Every row of a measurement carries it.
const char* Commit();

}  // namespace moefy::apps
