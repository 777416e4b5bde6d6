// The Python file beside this one, as text of the program.
#pragma once

namespace moefy::exports {

extern const char* const kModelingMoefy;

}  // namespace moefy::exports
