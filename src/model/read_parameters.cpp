#include "model/read_parameters.h"

#include <algorithm>
#include <optional>

#include "base/problems.h"
#include "io/mapped_file.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/stored_names.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"

namespace moefy::model {
namespace {

// Returns the tensor as it lies in the mapped file if its type is among `types` and it can be used
// there, or else a copy in F32.
at::Tensor ViewTensor(const io::Checkpoint& checkpoint, const std::string& name,
                      const std::set<at::ScalarType>& types) {
  const io::TensorInfo& info = checkpoint.Get(name);
  const auto bytes = checkpoint.Bytes(name);
  const std::optional<at::ScalarType> type = ComputableType(info.dtype);
  const auto is_aligned = [&] {
    return reinterpret_cast<uintptr_t>(bytes.data()) % c10::elementSize(*type) == 0;
  };
  if (!type || !types.contains(*type) || bytes.empty() || !is_aligned()) {
    return ReadTensor(checkpoint, name);
  }
  RequireFinite(info, bytes);
  io::ReleaseMappedPages(bytes);  // read again when they are wanted
  return at::from_blob(const_cast<std::byte*>(bytes.data()),
                       std::vector<int64_t>(info.shape.begin(), info.shape.end()), *type);
}

// Tensors that checkpoints hold though they follow from the rest or belong to no model: masks,
// position tables, a bias that old T5 files have and nothing reads, a language model's head where
// another is in use.
bool IsSuperfluous(const std::string& name, const ModelConfig& config) {
  static const std::vector<std::string> kEndings = {
      "attn.bias",
      "attention.bias",
      "masked_bias",
      "inv_freq",
      "position_ids",
      "embed_positions.weights",
      "_QuantMultA",  // how intgemm rounds what enters a map, in files of 8-bit models
      "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"};
  if (config.head != Head::kLanguageModel && name.ends_with("lm_head.weight")) return true;
  return std::ranges::any_of(kEndings,
                             [&](const std::string& ending) { return name.ends_with(ending); });
}

// How the names of tensors of the model's class begin: those in its blocks, whatever they are, and
// those of its parts.
class ClassNames {
 public:
  ClassNames(const ModelConfig& config, const ModelNames& names) : config_(config) {
    for (const StackNames* stack : {&names.encoder, &names.decoder}) {
      for (const std::string* name :
           {&stack->w_in, &stack->attention.query, &stack->attention.qkv}) {
        if (const size_t at = name->find("{}"); at != std::string::npos) {
          blocks_.insert(StoredName(config, name->substr(0, at)));
        }
      }
      for (const std::string* name :
           {&stack->token_embedding, &stack->project_in, &stack->position_embedding,
            &stack->token_type_embedding, &stack->embedding_norm, &stack->final_norm,
            &stack->project_out}) {
        AddPart(*name);
      }
    }
    if (config.head == Head::kLanguageModel || config.head == Head::kMaskedLanguageModel) {
      AddPart(names.language_model_head);
    }
    for (const std::string* name : {&names.head_dense, &names.head_norm}) AddPart(*name);
  }

  bool Has(const std::string& name) const {
    for (const std::string& block : blocks_) {
      if (name.starts_with(block) && name.size() > block.size() && name[block.size()] >= '0' &&
          name[block.size()] <= '9') {
        return true;
      }
    }
    return std::ranges::any_of(parts_, [&](const auto& part) { return name.starts_with(part); });
  }

 private:
  void AddPart(const std::string& name) {
    if (!name.empty()) parts_.insert(StoredName(config_, name + "."));
  }

  const ModelConfig& config_;
  std::set<std::string> blocks_, parts_;
};

// Tensors of the file that the model does not use: those of its class, an error, and others.
struct UnusedTensors {
  std::vector<std::string> of_class, others;
};

UnusedTensors FindUnused(const io::Checkpoint& checkpoint, const ModelConfig& config,
                         const std::set<std::string>& expected) {
  const ModelNames names = GetFamily(config.family).names(config);
  const ClassNames of_class(config, names);
  std::set<std::string> tied;
  for (const std::string& name : TiedNames(config, names)) tied.insert(StoredName(config, name));
  std::set<std::string> copies;  // of the embedding, if they are what their names say
  for (const std::string& name : names.tied_names) copies.insert(config.added_prefix + name);
  UnusedTensors unused;
  for (const std::string& name : checkpoint.TensorNames()) {
    if (expected.contains(name) || IsSuperfluous(name, config)) continue;
    const bool is_copy = std::ranges::any_of(tied, [&](const std::string& used) {
      return expected.contains(used) && AreEqual(checkpoint, name, used);
    });
    // A bias of the output projection may stand beside it too.
    const bool is_bias = !names.logits_bias.empty() &&
                         name == StoredName(config, names.language_model_head + ".bias") &&
                         AreEqual(checkpoint, name, StoredName(config, names.logits_bias));
    if (is_copy || is_bias) continue;
    (of_class.Has(name) || copies.contains(name) ? unused.of_class : unused.others)
        .push_back(Quoted(name));
  }
  return unused;
}

// What config.json says of the extents that disagree: " (d_model 48)", or "".
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
  Problems problems(kShown);
  std::set<std::string> expected_names;
  for (const ExpectedTensor& want : ExpectedTensors(config)) {
    expected_names.insert(want.name);
    if (left_out.contains(want.name)) continue;
    if (problems.StopSearch()) break;  // the nearest-name search is not free
    const io::TensorInfo* found = checkpoint.Find(want.name);
    if (!found) {
      if (!want.required) continue;
      problems.Add("tensor ", Quoted(want.name), " ", FormatShape(want.shape), " is missing",
                   want.layers.empty() ? "" : " (", want.layers, want.layers.empty() ? "" : ")",
                   DidYouMean(want.name, checkpoint.TensorNames()));
    } else if (!ComputableType(found->dtype)) {
      problems.Add("tensor ", Quoted(want.name), " is stored as ", io::DTypeName(found->dtype),
                   "; moefy computes on F32, F16, BF16 and F64");
    } else if (!io::HasShape(*found, want.shape)) {
      problems.Add("tensor ", Quoted(want.name), " has shape ", FormatShape(found->shape),
                   "; config.json implies ", FormatShape(want.shape), Because(want, *found));
    }
  }
  if (problems.count() > 0) RefusePackedWeights(checkpoint);
  WithContext(StrCat(checkpoint.directory(), " does not hold the ", config.family,
                     " model that its config.json describes"),
              [&] { problems.ThrowIfAny(); });
  auto [of_class, others] = FindUnused(checkpoint, config, expected_names);
  const auto shown = [](std::vector<std::string>& names) {
    const bool more = names.size() > kShown;
    if (more) names.resize(kShown);
    return Join(names) + (more ? ", ..." : "");
  };
  if (const size_t count = of_class.size(); count > 0) {
    throw InputError(checkpoint.directory(), " holds ", count, count == 1 ? " tensor" : " tensors",
                     " that a ", config.family,
                     " model has no use for by its config.json: ", shown(of_class),
                     "; what was trained with them computes something else without");
  }
  if (others.empty() || !warnings) return;
  const size_t count = others.size();
  warnings->push_back(StrCat(count, count == 1 ? " tensor is" : " tensors are",
                             " not used by the model: ", shown(others)));
}

void CheckValues(const io::Checkpoint& checkpoint, const ModelConfig& config) {
  for (const ExpectedTensor& want : ExpectedTensors(config)) {
    if (!checkpoint.Find(want.name)) continue;  // CheckParameters says so
    const auto bytes = checkpoint.Bytes(want.name);
    RequireFinite(checkpoint.Get(want.name), bytes);
    ThrowIfInterrupted();
  }
}

TensorMap ReadParameters(const io::Checkpoint& checkpoint, const ModelConfig& config,
                         std::vector<std::string>* warnings, Parts parts,
                         std::set<std::string> left_out) {
  const std::vector<ExpectedTensor> wanted = ExpectedTensors(config);
  std::set<std::string> not_checked = left_out;
  for (const ExpectedTensor& want : wanted) {
    if (parts == Parts::kPacked && want.exchanged) not_checked.insert(want.name);
  }
  CheckParameters(checkpoint, config, warnings, not_checked);
  if (parts == Parts::kForExchange || parts == Parts::kPacked) {
    for (const FfnSpec& spec : FfnSpecs(config)) {
      left_out.insert({spec.w_in, spec.b_in, spec.w_gate, spec.b_gate, spec.w_out, spec.b_out});
    }
  }
  const ModelNames names = GetFamily(config.family).names(config);
  std::set<std::string> embeddings;
  for (const StackNames* stack : {&names.encoder, &names.decoder}) {
    embeddings.insert(StoredName(config, stack->token_embedding + ".weight"));
  }
  TensorMap parameters;
  for (const ExpectedTensor& want : wanted) {
    if (left_out.contains(want.name)) continue;
    if (parts == Parts::kPacked && want.exchanged) {
      parameters.emplace(want.name, at::empty(want.shape, at::device(at::kMeta).dtype(at::kFloat)));
      continue;
    }
    if (!checkpoint.Find(want.name)) continue;  // not required
    std::set<at::ScalarType> in_file;           // types of tensors that stay there
    if (parts != Parts::kAll) in_file = {at::kFloat};
    if (parts == Parts::kAsStored && (want.exchanged || embeddings.contains(want.name))) {
      in_file.insert({at::kHalf, at::kBFloat16});
    }
    parameters.emplace(want.name, ViewTensor(checkpoint, want.name, in_file));
  }
  return parameters;
}

}  // namespace moefy::model
