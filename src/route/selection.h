// What the text of a selection means: who scores the experts, and how scores become a choice. A
// command parses the text once and passes the value on. Values, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace moefy::route {

// "ROUTER", "ROUTER:POLICY" as in "mlp:threshold", and either with "/SHARE" as in "mlp/0.5": only
// this share of the chosen experts' neurons goes through W_out, those with the largest
// contributions (route/neuron_share.h).
struct Selection {
  std::string router;                                     // of RouterNames()
  std::string policy = kTopK;                             // of PolicyNames()
  std::optional<double> neuron_share;                     // above 0, at most 1; or as stored
  std::string manner;                                     // what the text says behind the router
  static constexpr const char* kTopK = "top-k";           // as many experts for every token
  static constexpr const char* kThreshold = "threshold";  // those that score so much: dynamic k
  static constexpr const char* kRelative = "relative";    // that score so much of the token's best
  static constexpr const char* kBudget = "budget";        // top-k, more of it where that helps most

  std::string Text() const { return router + manner; }  // as it was written
};
const std::vector<std::string>& PolicyNames();

// Throws Error{kUsage} for an unknown router or policy, with the nearest name, and for a share of
// neurons that is none.
Selection ParseSelection(const std::string& text);
std::vector<Selection> ParseSelections(const std::vector<std::string>& texts);

}  // namespace moefy::route
