// Tensors of a checkpoint as the model wants them: all there, of the right shape, in F32.
#include <algorithm>
#include <set>

#include "moefy/base/error.h"
#include "moefy/model/device.h"
#include "moefy/model/family.h"
#include "moefy/model/transformer.h"

namespace moefy::model {
namespace {

// The tensor where it lies in the mapped file, if it can be computed on there; else a copy.
at::Tensor ViewTensor(const io::Checkpoint& checkpoint, const std::string& name) {
  const io::TensorInfo& info = checkpoint.Get(name);
  const auto bytes = checkpoint.Bytes(name);
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % alignof(float) == 0;
  if (info.dtype != io::DType::kF32 || bytes.empty() || !aligned) {
    return ReadTensor(checkpoint, name);
  }
  return at::from_blob(const_cast<std::byte*>(bytes.data()),
                       std::vector<int64_t>(info.shape.begin(), info.shape.end()), at::kFloat);
}

// Tensors that older checkpoints hold though they follow from the rest: tied copies of the
// embeddings, masks, position tables.
bool IsSuperfluous(const std::string& name) {
  static const std::vector<std::string> kEndings = {
      "lm_head.weight", "embed_out.weight", "encoder.embed_tokens.weight",
      "attn.bias",      "attention.bias",   "decoder.embed_tokens.weight",
      "masked_bias",    "inv_freq",         "position_ids"};
  return std::any_of(kEndings.begin(), kEndings.end(),
                     [&](const std::string& ending) { return name.ends_with(ending); });
}

// "" or what config.json says of the extents that disagree: " (d_model 48)".
std::string Because(const ExpectedTensor& want, const io::TensorInfo& found) {
  std::vector<std::string> reasons;
  for (size_t i = 0; i < want.shape.size(); ++i) {
    const bool agrees = found.shape.size() == want.shape.size() &&
                        found.shape[i] == static_cast<uint64_t>(want.shape[i]);
    if (!agrees && !want.extents[i].empty()) reasons.push_back(want.extents[i]);
  }
  return reasons.empty() ? "" : StrCat(" (", Join(reasons), ")");
}

}  // namespace

void CheckParameters(const io::Checkpoint& checkpoint, const ModelConfig& config,
                     std::vector<std::string>* warnings, const std::set<std::string>& left_out) {
  constexpr size_t kShown = 8;
  std::vector<std::string> problems;
  std::set<std::string> expected_names;
  for (const ExpectedTensor& want : ExpectedTensors(config)) {
    expected_names.insert(want.name);
    if (left_out.contains(want.name)) continue;
    if (problems.size() > kShown) break;  // the nearest-name search is not free
    const io::TensorInfo* found = checkpoint.Find(want.name);
    if (!found) {
      if (!want.required) continue;
      problems.push_back(StrCat("tensor ", Quoted(want.name), " ", FormatShape(want.shape),
                                " is missing", want.layers.empty() ? "" : " (", want.layers,
                                want.layers.empty() ? "" : ")",
                                DidYouMean(want.name, checkpoint.TensorNames())));
    } else if (!std::equal(found->shape.begin(), found->shape.end(), want.shape.begin(),
                           want.shape.end())) {
      problems.push_back(StrCat("tensor ", Quoted(want.name), " has shape ",
                                FormatShape(found->shape), "; config.json implies ",
                                FormatShape(want.shape), Because(want, *found)));
    }
  }
  if (!problems.empty()) {
    if (problems.size() > kShown) problems.back() = "and more";
    throw InputError(checkpoint.directory(), " does not hold the ", config.family,
                     " model that its config.json describes:\n  ", Join(problems, "\n  "));
  }
  if (!warnings) return;
  std::vector<std::string> unused;
  for (const std::string& name : checkpoint.TensorNames()) {
    if (!expected_names.contains(name) && !IsSuperfluous(name)) unused.push_back(Quoted(name));
  }
  if (unused.empty()) return;
  const size_t count = unused.size();
  if (count > kShown) unused.resize(kShown);
  warnings->push_back(StrCat(count, count == 1 ? " tensor is" : " tensors are",
                             " not used by the model: ", Join(unused),
                             count > kShown ? ", ..." : ""));
}

TensorMap ReadParameters(const io::Checkpoint& checkpoint, const ModelConfig& config,
                         std::vector<std::string>* warnings, Parts parts,
                         std::set<std::string> left_out) {
  CheckParameters(checkpoint, config, warnings, left_out);
  if (parts == Parts::kForExchange) {
    for (const FfnSpec& spec : FfnSpecs(config)) {
      left_out.insert({spec.w_in, spec.b_in, spec.w_gate, spec.b_gate, spec.w_out, spec.b_out});
    }
  }
  TensorMap parameters;
  for (const ExpectedTensor& want : ExpectedTensors(config)) {
    if (left_out.contains(want.name)) continue;
    if (!checkpoint.Find(want.name)) continue;  // not required
    parameters.emplace(want.name, parts == Parts::kForExchange ? ViewTensor(checkpoint, want.name)
                                                               : ReadTensor(checkpoint, want.name));
  }
  return parameters;
}

Transformer LoadTransformer(const io::Checkpoint& checkpoint, std::vector<std::string>* warnings,
                            Parts parts, at::Device device) {
  const ModelConfig config = ReadModelConfig(checkpoint, warnings);
  return Transformer(config, OnDevice(ReadParameters(checkpoint, config, warnings, parts), device));
}

}  // namespace moefy::model
