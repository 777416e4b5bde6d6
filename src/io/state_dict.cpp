#include "io/state_dict.h"

#include <algorithm>
#include <array>
#include <set>

#include "io/tensor_name.h"

namespace moefy::io {
namespace {

using pickle::NodeId;
using pickle::Pickle;

// The keys under which training scripts keep the model's state, in the order in which they are
// tried.
constexpr std::array<std::string_view, 4> kNestedKeys = {"state_dict", "model_state_dict", "model",
                                                         "module"};
constexpr const char* kLoneTensor = "tensor";

struct Entry {
  std::string key;
  NodeId value;
};

// Entries of a dict whose keys are texts.
std::vector<Entry> Entries(const Pickle& pickle, NodeId dict) {
  const std::vector<NodeId>& items = std::get<pickle::Dict>(pickle[dict]).items;
  std::vector<Entry> entries;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (const auto* text = std::get_if<pickle::Text>(&pickle[items[i]])) {
      entries.push_back({std::string(text->utf8), items[i + 1]});
    }
  }
  return entries;
}

template <typename T>
bool Is(const Pickle& pickle, NodeId id) {
  return std::holds_alternative<T>(pickle[id]);
}

// The dict with the model's tensors: `dict`, or the one under a well-known key in it, and so on.
// `path` gets the keys.
NodeId Descend(const Pickle& pickle, NodeId dict, std::vector<std::string>& path) {
  std::set<NodeId> seen;  // a dict may hold itself
  while (seen.insert(dict).second) {
    const std::vector<Entry> entries = Entries(pickle, dict);
    const auto nested = [&]() -> const Entry* {
      for (const std::string_view key : kNestedKeys) {
        const auto found = std::ranges::find_if(entries, [&](const Entry& entry) {
          return entry.key == key && Is<pickle::Dict>(pickle, entry.value);
        });
        if (found != entries.end()) return &*found;
      }
      return nullptr;
    }();
    if (!nested) break;
    path.push_back(nested->key);
    dict = nested->value;
  }
  return dict;
}

std::string FirstKeys(const std::vector<std::string>& keys) {
  constexpr size_t kShown = 5;
  std::vector<std::string> quoted;
  for (const std::string& key : keys) {
    if (quoted.size() < kShown) quoted.push_back(Quoted(key));
  }
  return Join(quoted) +
         (keys.size() > kShown ? StrCat(" and ", keys.size() - kShown, " more") : "");
}

}  // namespace

StateDict FindStateDict(const Pickle& pickle) {
  StateDict out;
  if (Is<pickle::Tensor>(pickle, pickle.root)) {
    out.tensors.emplace(kLoneTensor, pickle.root);
    return out;
  }
  if (!Is<pickle::Dict>(pickle, pickle.root)) {
    throw InputError(
        "holds neither a dict of tensors nor a tensor; moefy reads what "
        "torch.save(model.state_dict(), path) writes");
  }
  std::vector<std::string> path;
  const NodeId dict = Descend(pickle, pickle.root, path);
  std::vector<std::string> others;
  for (const Entry& entry : Entries(pickle, dict)) {
    if (!Is<pickle::Tensor>(pickle, entry.value)) {
      others.push_back(entry.key);
      continue;
    }
    CheckTensorName(entry.key);
    if (!out.tensors.emplace(entry.key, entry.value).second) {
      throw InputError("tensor ", Quoted(entry.key), " appears twice");
    }
  }
  if (out.tensors.empty()) {
    throw InputError("holds no tensors by name",
                     path.empty() ? "" : " in " + Quoted(Join(path, ".")),
                     others.empty() ? "" : "; there are " + FirstKeys(others),
                     "; moefy reads a dict of tensors, or one under 'state_dict', "
                     "'model_state_dict', 'model' or 'module'");
  }
  if (!path.empty()) {
    std::vector<std::string> left_out;
    for (const Entry& entry : Entries(pickle, pickle.root)) {
      if (entry.key != path.front()) left_out.push_back(entry.key);
    }
    if (!left_out.empty()) {
      out.warnings.push_back(StrCat("the tensors are those of ", Quoted(Join(path, ".")),
                                    "; left out: ", FirstKeys(left_out)));
    }
  }
  if (!others.empty()) {
    out.warnings.push_back(StrCat("left out, because they are no tensors: ", FirstKeys(others)));
  }
  return out;
}

}  // namespace moefy::io
