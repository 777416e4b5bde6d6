#include "moefy/base/error.h"

namespace moefy {

void ThrowBug(const char* condition, const char* file, int line) {
  throw Error(ErrorKind::kBug,
              StrCat("internal check failed: ", condition, " at ", file, ":", line));
}

}  // namespace moefy
