#include "route/selection.h"

#include <algorithm>
#include <charconv>

#include "moefy/base/error.h"
#include "route/router.h"

namespace moefy::route {
namespace {

const std::string& OneOf(const std::vector<std::string>& known, const std::string& name,
                         const char* what, const std::string& selection) {
  const auto found = std::find(known.begin(), known.end(), name);
  if (found != known.end()) return *found;
  throw UsageError("unknown ", what, " ", Quoted(name), DidYouMean(name, known), "; one of ",
                   Join(known), name == selection ? "" : StrCat(" in ", Quoted(selection)));
}

double ParseShare(const std::string& share, const std::string& selection) {
  const char* const end = share.data() + share.size();
  double value = 0;
  const auto [stop, code] = std::from_chars(share.data(), end, value);
  if (code != std::errc() || stop != end || !(value > 0 && value <= 1)) {
    throw UsageError("the share of neurons in ", Quoted(selection), " is ", Quoted(share),
                     "; expected one above 0 and at most 1");
  }
  return value;
}

}  // namespace

const std::vector<std::string>& PolicyNames() {
  static const std::vector<std::string> names = {Selection::kTopK, Selection::kThreshold,
                                                 Selection::kRelative, Selection::kBudget};
  return names;
}

Selection ParseSelection(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string experts = text.substr(0, slash);
  const size_t colon = experts.find(':');
  Selection selection;
  selection.router = OneOf(RouterNames(), experts.substr(0, colon), "selection", text);
  selection.manner = text.substr(selection.router.size());
  if (colon != std::string::npos) {
    selection.policy = OneOf(PolicyNames(), experts.substr(colon + 1), "selection policy", text);
  }
  if (slash != std::string::npos) selection.neuron_share = ParseShare(text.substr(slash + 1), text);
  return selection;
}

std::vector<Selection> ParseSelections(const std::vector<std::string>& texts) {
  std::vector<Selection> selections;
  for (const std::string& text : texts) selections.push_back(ParseSelection(text));
  return selections;
}

}  // namespace moefy::route
