// What results tell of the program and of the machine that it ran on.
#pragma once

#include "base/json.h"

namespace moefy::apps {

// {"moefy_version", "build": {...}, "machine": {...}}
Json About();

}  // namespace moefy::apps
