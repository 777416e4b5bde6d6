// What happens to an output whose place is taken.
#pragma once

namespace moefy {

enum class IfExists {
  // An existing target is an Error{kUsage} that names --force.
  kRefuse,
  // A target that moefy made, and nobody changed since, makes room. Any other is an Error{kUsage}.
  kReplace,
  // For a caller who made the target itself: a file makes room whatever is in it, and a directory
  // also when its files were changed, cut short or lost. Files of others in it are an
  // Error{kUsage}.
  kRenew,
};

}  // namespace moefy
