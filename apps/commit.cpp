#include "commit.h"

namespace moefy::apps {

const char* Commit() { return MOEFY_COMMIT; }

}  // namespace moefy::apps
