#include "model/stored_names.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "io/mapped_file.h"
#include "io/tensor_file.h"
#include "model/expected_tensors.h"
#include "model/families/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// What DistributedDataParallel and torch.compile put before every name.
std::string FindAddedPrefix(const std::vector<std::string>& stored) {
  constexpr std::array<std::string_view, 2> kWrappers = {"module.", "_orig_mod."};
  std::string prefix;
  for (bool found = !stored.empty(); found;) {
    found = false;
    for (const std::string_view wrapper : kWrappers) {
      const std::string longer = prefix + std::string(wrapper);
      if (!std::ranges::all_of(stored, [&](const auto& n) { return n.starts_with(longer); })) {
        continue;
      }
      prefix = longer;
      found = true;
    }
  }
  return prefix;
}

// The notes of safetensors' save_model() on tensors that it left out because another is the same.
std::map<std::string, std::string> NotedAliases(const io::Checkpoint& checkpoint) {
  std::map<std::string, std::string> aliases;
  for (const auto& file : checkpoint.files()) {
    for (const auto& [name, target] : file->metadata()) {
      if (!checkpoint.Find(name) && checkpoint.Find(target)) aliases.emplace(name, target);
    }
  }
  return aliases;
}

std::string HeadName(const ModelConfig& config, const ModelNames& names) {
  const bool predicts =
      config.head == Head::kLanguageModel || config.head == Head::kMaskedLanguageModel;
  return predicts && !names.language_model_head.empty() ? names.language_model_head + ".weight"
                                                        : "";
}

// If the file can tell whether the output projection is the token embedding, it decides: the
// reference uses an lm_head.weight that differs, whatever tie_word_embeddings says.
void FindOutput(const io::Checkpoint& checkpoint, const Family& family, ModelConfig& config,
                const Warn& warn) {
  const ModelNames names = family.names(config);
  const std::string head = HeadName(config, names);
  if (head.empty()) return;
  const std::string stored = StoredName(config, head);
  if (config.tied_embeddings && checkpoint.Find(stored)) {
    std::vector<std::string> embeddings = TiedNames(config, names);
    std::erase_if(embeddings, [&](const std::string& name) {
      return name == head || !checkpoint.Find(StoredName(config, name));
    });
    if (!embeddings.empty() &&
        !AreEqual(checkpoint, stored, StoredName(config, embeddings.front()))) {
      config.tied_embeddings = false;
    }
  } else if (!config.tied_embeddings && config.architecture == Architecture::kDecoder &&
             !config.head_bias && !checkpoint.Find(stored) &&
             !NotedAliases(checkpoint).contains(stored)) {
    config.tied_embeddings = true;
    warn(StrCat("has no ", Quoted(stored), "; the input embedding is used in its place"));
  }
}

// Gives missing tensors the names of those that stand for them, as the file's notes say.
void FindAliases(const io::Checkpoint& checkpoint, const Family& family, ModelConfig& config) {
  const std::map<std::string, std::string> noted = NotedAliases(checkpoint);
  const std::vector<std::string> tied = TiedNames(config, family.names(config));
  for (const ExpectedTensor& want : ExpectedTensors(config)) {
    if (checkpoint.Find(want.name)) continue;
    if (const auto found = noted.find(want.name); found != noted.end()) {
      config.aliases.insert(*found);
      continue;
    }
    const auto is_want = [&](const auto& name) { return StoredName(config, name) == want.name; };
    if (std::ranges::none_of(tied, is_want)) continue;
    for (const std::string& name : tied) {
      if (!checkpoint.Find(StoredName(config, name))) continue;
      config.aliases[want.name] = StoredName(config, name);
      break;
    }
  }
}

}  // namespace

std::vector<std::string> TiedNames(const ModelConfig& config, const ModelNames& names) {
  std::vector<std::string> tied;
  const auto add = [&](const std::string& name) {
    if (!name.empty() && std::ranges::find(tied, name) == tied.end()) tied.push_back(name);
  };
  for (const StackNames* stack : {&names.encoder, &names.decoder}) {
    if (!stack->token_embedding.empty()) add(stack->token_embedding + ".weight");
  }
  for (const std::string& name : names.tied_names) add(name);
  if (config.tied_embeddings) add(HeadName(config, names));
  return tied;
}

bool AreEqual(const io::Checkpoint& checkpoint, const std::string& a, const std::string& b) {
  const io::TensorInfo *first = checkpoint.Find(a), *second = checkpoint.Find(b);
  if (!first || !second || first->dtype != second->dtype || first->shape != second->shape) {
    return false;
  }
  const auto x = checkpoint.Bytes(a), y = checkpoint.Bytes(b);
  const bool equal = x.data() == y.data() || std::memcmp(x.data(), y.data(), x.size()) == 0;
  io::ReleaseMappedPages(x);
  io::ReleaseMappedPages(y);
  return equal;
}

void FindStoredNames(const io::Checkpoint& checkpoint, const Family& family, ModelConfig& config,
                     const Warn& warn) {
  const std::vector<std::string> stored = checkpoint.TensorNames();
  config.added_prefix = FindAddedPrefix(stored);
  if (!config.added_prefix.empty()) {
    warn(StrCat("every tensor name begins with ", Quoted(config.added_prefix),
                ", as training wrappers leave them; read as if it were not there, and kept"));
  }
  const std::string base = config.added_prefix + family.base_prefix;
  if (std::ranges::none_of(stored, [&](const auto& name) { return name.starts_with(base); })) {
    config.missing_prefix = family.base_prefix;
    // Models without a head cause no warning: their files lack the prefix as a rule.
    if (config.head != Head::kNone && !config.missing_prefix.empty()) {
      warn(StrCat("tensor names lack the prefix ", Quoted(config.missing_prefix),
                  ", as in old checkpoints; read as if they had it"));
    }
  }
  config.gamma_beta =
      std::ranges::any_of(stored, [](const auto& name) { return name.ends_with(".gamma"); });
  if (config.gamma_beta) {
    warn("norms are called gamma and beta, as in old checkpoints; read as weight and bias");
  }
  FindOutput(checkpoint, family, config, warn);
  FindAliases(checkpoint, family, config);
}

std::string StoredName(const ModelConfig& config, const std::string& name) {
  const auto to_stored = GetFamily(config.family).stored_name;
  const std::string own = to_stored ? to_stored(name) : name;
  const std::string stored =
      config.added_prefix +
      (own.starts_with(config.missing_prefix) ? own.substr(config.missing_prefix.size()) : own);
  const auto alias = config.aliases.find(stored);
  return alias == config.aliases.end() ? stored : alias->second;
}

NormSuffixes SuffixesOfNorms(const ModelConfig& config) {
  return config.gamma_beta ? NormSuffixes{".gamma", ".beta"} : NormSuffixes{".weight", ".bias"};
}

}  // namespace moefy::model
